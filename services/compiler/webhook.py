"""The validating admission webhook: where the API server has Ingresses checked before it stores them.

Owns the HTTPS side: how much is read, of how many at a time, and the certificate. A review is a pure function of its
body and the compiled table (``core.review``): nothing is run, opened or asked for it. While this process cannot judge
yet it answers 503, and ``failurePolicy`` decides.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from proto.objects import Ingress
from services.compiler import metrics
from services.compiler.core.review import Reviewed
from services.compiler.options import WebhookOptions
from services.compiler.reviews import UnreadableReviewError, answer
from services.runtime.settings import HostPort, SettingsError

_log = logging.getLogger(__name__)

MAX_BODY: Final = 9_000_000
"""Bytes of a review: it carries the old and the new object, of at most 1.5 MiB in etcd each, as text."""
AT_ONCE: Final = 8
"""Bodies that are read at a time; further ones wait."""
READ_WITHIN: Final = 10.0
"""Seconds, as long as the API server itself waits by default."""
LOOK_EVERY: Final = 30.0
"""Seconds after which a certificate that was renewed is noticed."""


class Webhook:
    """A running webhook. ``verdict`` judges an Ingress; ``ready``: whether it can."""

    def __init__(
        self, options: WebhookOptions, verdict: Callable[[Ingress], Reviewed], ready: Callable[[], bool]
    ) -> None:
        self._options = options
        self._verdict = verdict
        self._ready = ready
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._pair_of = (0.0, 0.0)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/{path:.*}", self._review)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> HostPort:
        """Listen; where. Raises SettingsError for an address or a pair that cannot be used."""
        self._load()
        address = self._options.address
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, address.host or None, address.port, ssl_context=self._context)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise SettingsError(f"--validating-webhook {address}: {reason}") from None
        self._looking = asyncio.create_task(self._look())
        bound = HostPort(address.host, int(self._runner.addresses[0][1]))
        _log.info("validating webhook on %s", bound)
        return bound

    async def close(self) -> None:
        """Stop listening."""
        if self._looking is not None:
            self._looking.cancel()
        await self._runner.cleanup()

    # --- the pair -----------------------------------------------------------------------------------------------

    def _load(self) -> None:
        files = self._options.certificate, self._options.key
        try:
            times = files[0].stat().st_mtime, files[1].stat().st_mtime
            if times != self._pair_of:
                self._context.load_cert_chain(*files)
                self._pair_of = times
        except (OSError, ssl.SSLError) as error:
            names = f"--validating-webhook-certificate {files[0]}, --validating-webhook-key {files[1]}"
            raise SettingsError(f"{names}: {error}") from None

    async def _look(self) -> None:
        """Take up a renewed pair; one that cannot be used leaves the one before in place."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                self._load()
            except SettingsError as error:
                _log.warning("%s; the pair before is kept", error)

    # --- reviews ------------------------------------------------------------------------------------------------

    async def _review(self, request: web.Request) -> web.Response:
        if not self._ready():
            return web.Response(status=503, text="nothing has been compiled yet\n")
        if (request.content_length or 0) > MAX_BODY:
            return web.Response(status=413, text=f"at most {MAX_BODY} bytes are read\n")
        try:
            async with self._reading, asyncio.timeout(READ_WITHIN):
                body = await request.read()
                return self._answered(body)
        except TimeoutError:
            return web.Response(status=408, text="the body did not come in time\n")

    def _answered(self, body: bytes) -> web.Response:
        started = time.perf_counter()
        try:
            told, allowed = answer(body, self._verdict)
        except UnreadableReviewError as error:
            return web.Response(status=400, text=f"{error}\n")
        metrics.REVIEW_SECONDS.observe(time.perf_counter() - started)
        metrics.REVIEWS.labels("allowed" if allowed else "refused").inc()
        return web.Response(body=told, content_type="application/json")
