"""The admin endpoint of a process: ``/healthz``, ``/readyz``, ``/metrics``, ``/status``.

Owns the HTTP side. What is ready, counted or said is asked of functions given by the role.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from msgspec import Struct

from services.runtime import metrics as process_metrics
from services.runtime.settings import HostPort, SettingsError

_log = logging.getLogger(__name__)

Flag = Callable[[], bool | Awaitable[bool]]
Text = Callable[[], bytes | Awaitable[bytes]]
Status = Callable[[], Struct | Awaitable[Struct]]


class AdminServer:
    """A running endpoint."""

    def __init__(self, runner: web.AppRunner, address: HostPort) -> None:
        self._runner = runner
        self.address = address

    @property
    def port(self) -> int:
        """The port it listens on (also when 0 was asked for)."""
        return self.address.port

    async def close(self) -> None:
        """Stop listening and end open connections."""
        await self._runner.cleanup()


async def serve(
    address: HostPort,
    *,
    ready: Flag,
    status: Status,
    metrics: Text = process_metrics.render,
    healthy: Flag = lambda: True,
) -> AdminServer:
    """Listen on ``address``. Each function may be plain or a coroutine function.

    ``/healthz`` and ``/readyz`` answer 200 ``ok``, or 500 and 503. Raises SettingsError if the address is taken.
    """
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", _flag(healthy, 500, "not healthy")),
            web.get("/readyz", _flag(ready, 503, "not ready")),
            web.get("/metrics", _body(metrics)),
            web.get("/status", _json(status)),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        if address.inherited:
            site: web.BaseSite = web.SockSite(runner, socket.socket(fileno=address.port))
        else:
            site = web.TCPSite(runner, address.host or None, address.port)
        await site.start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"--admin {address}: {reason}") from None
    host, port = runner.addresses[0][:2]
    bound = HostPort(str(host) if address.inherited else address.host, int(port))
    _log.info("admin endpoint on %s", bound)
    return AdminServer(runner, bound)


def _flag(flag: Flag, otherwise: int, text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        value = flag()
        if inspect.isawaitable(value):
            value = await value
        return web.Response(text="ok\n") if value else web.Response(status=otherwise, text=text + "\n")

    return handle


def _body(text: Text) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        value = text()
        if inspect.isawaitable(value):
            value = await value
        return web.Response(body=value, headers={"Content-Type": process_metrics.CONTENT_TYPE})

    return handle


def _json(status: Status) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        value = status()
        if inspect.isawaitable(value):
            value = await value
        body = msgspec.json.format(msgspec.json.encode(value), indent=2)
        return web.Response(body=body + b"\n", content_type="application/json")

    return handle
