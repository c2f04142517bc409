"""``limen compiler``: keys, bus, loop, admin endpoint, put together and run until asked to stop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proto.signing import KeyFileError, Signer, Verifier, parse_keys
from proto.subjects import Subjects
from services.compiler.announce import Announcer
from services.compiler.background import Background
from services.compiler.ingress_metrics import IngressCollector
from services.compiler.loop import Loop
from services.compiler.options import CompilerOptions
from services.compiler.state import Keys, State
from services.compiler.statefile import StateFile
from services.compiler.subscriptions import Subscriptions
from services.compiler.webhook import Webhook
from services.runtime import admin, logs
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus
from services.runtime.lifecycle import Lifecycle
from services.runtime.lifecycle import run as run_lifecycle
from services.runtime.metrics import controller_labels, registry
from services.runtime.settings import SettingsError, read_object_authenticator, read_signer

_GC_THRESHOLD = (50_000, 20, 100)
"""The collector looks at everything seldom: what is held are values without cycles, and a full look at ten thousand
hosts takes longer than a change may."""


def run(options: CompilerOptions) -> int:
    """Run a compiler; the exit code. Raises SettingsError and BusError for options that cannot be used."""
    logs.setup(f"compiler {options.name}", options.log_json)
    keys = read_keys(options)

    async def main(lifecycle: Lifecycle) -> None:
        service = CompilerService(options, keys)
        state = service.state
        constant = controller_labels(options.name)
        registry.register(IngressCollector(constant, state.compiler.orphans, state.findings.checks))
        await service.run(lifecycle.stopping)

    return run_lifecycle(main)


def read_keys(options: CompilerOptions) -> Keys:
    """The keys that the options name. Raises SettingsError."""
    return Keys(
        read_signer(options.signing_key),
        _own_verifier(options.signing_key, options.instance),
        read_object_authenticator(options.objects_key),
    )


def _own_verifier(path: Path, instance: str) -> Verifier:
    """What recognises deltas signed with any key of the signing key's file: older keys stay in it after a rotation."""
    try:
        seeds = parse_keys("signing", path.read_text())
        return Verifier(instance, [(key_id, Signer(key_id, seed).public()) for key_id, seed in seeds])
    except (OSError, ValueError, KeyFileError) as error:
        raise SettingsError(f"--signing-key: {path}: {error}") from None


class CompilerService:
    """One compiler. ``state`` is what its loop owns; others only look at it."""

    def __init__(self, options: CompilerOptions, keys: Keys) -> None:
        self._bus = Bus(options.bus)
        self._file = StateFile(options.state, options.instance)
        self._publisher = EventPublisher(
            self._bus, Subjects(options.instance), f"/{options.instance}/compiler/{options.name}"
        )
        self._announcer = Announcer(self._publisher)
        self.state = State(self._bus, options, keys, self._announcer)
        self.state.log.learn(self._file.read())
        self._background = Background(self.state, self._file)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping``. Raises BusError for bus options that cannot be used, SettingsError for the admin
        address, and whatever ends one of its tasks, which is a defect."""
        await Subscriptions(self._bus, self.state, self._background).begin()
        state, options = self.state, self.state.options
        endpoint, webhook = None, None
        if options.admin is not None:
            endpoint = await admin.serve(
                options.admin, ready=lambda: state.ready, status=state.status, metrics=state.metrics
            )
        tasks: Sequence[asyncio.Future[Any]] = ()
        try:
            if options.webhook is not None:
                webhook = Webhook(options.webhook, state.compiler.review, lambda: state.ready)
                await webhook.start()
            await self._bus.start()
            gc.set_threshold(*_GC_THRESHOLD)
            runs = (Loop(state, self._background).run(), self._background.run(), self._announcer.run(), stopping.wait())
            tasks = [asyncio.ensure_future(run) for run in runs]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._file.write(state.log.highest)
        finally:
            if webhook is not None:
                await webhook.close()
            await self._end(tasks, endpoint)

    async def _end(self, tasks: Sequence[asyncio.Future[Any]], endpoint: admin.AdminServer | None) -> None:
        await self._background.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._publisher.close()
        await self._bus.close()
        if endpoint is not None:
            await endpoint.close()
