"""``limen compiler``: keys, bus, loop, admin endpoint, put together and run until asked to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proto.reports import to_json
from proto.signing import KeyFileError, Signer, Verifier, parse_keys
from proto.subjects import Subjects
from services.compiler.announce import Announcer
from services.compiler.background import Background
from services.compiler.inbox import (
    AcceptedSeen,
    ApprovalAsked,
    BeaconSeen,
    Connected,
    DeltaSeen,
    MessagesLost,
    ObjectSeen,
)
from services.compiler.ingress_metrics import IngressCollector
from services.compiler.loop import Loop
from services.compiler.options import CompilerOptions
from services.compiler.signed import RefusedError, open_entry
from services.compiler.state import Keys, State
from services.compiler.statefile import StateFile
from services.compiler.webhook import Webhook
from services.runtime import admin, logs
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus, Message
from services.runtime.lifecycle import Lifecycle
from services.runtime.lifecycle import run as run_lifecycle
from services.runtime.metrics import controller_labels, registry
from services.runtime.settings import SettingsError, read_object_authenticator, read_signer
from services.runtime.status import answer_status

_log = logging.getLogger(__name__)

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
        await _subscribe(self._bus, self.state, self._background)
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


async def _subscribe(bus: Bus, state: State, background: Background) -> None:
    """Turn what arrives into events of the loop. Nobody subscribes to the log's own subject: refused appends show up
    there; the server republishes what it stored on the live one."""
    subjects, inbox = state.subjects, state.inbox

    async def on_object(message: Message) -> None:
        admitted = state.admit(message.subject, message.data)
        if admitted is not None:
            inbox.put(ObjectSeen(admitted, time.monotonic()))

    async def on_beacon(message: Message) -> None:
        try:
            inbox.put(BeaconSeen(state.doorkeeper.beacon(message.subject, message.data)))
        except RefusedError as error:
            state.refuse(error)

    async def on_delta(message: Message) -> None:
        if message.data == state.log.written:
            return  # the echo of our own
        try:
            sequence = int(message.headers.get("Nats-Sequence", "0"))
            inbox.put(DeltaSeen(open_entry(message.data, state.verifier, sequence)))
        except (RefusedError, ValueError) as error:
            state.refuse(error if isinstance(error, RefusedError) else RefusedError("malformed", str(error)))

    async def on_accepted(message: Message) -> None:
        if not state.accepted.knows(message.subject, message.data):
            ingress = state.accepted.open(message.subject, message.data)
            if ingress is not None:
                inbox.put(AcceptedSeen(message.subject, message.data, ingress))

    async def on_report(message: Message) -> None:
        seen = state.report(message.subject, message.data)
        if seen is not None:
            inbox.put(seen)

    async def on_approve(message: Message) -> None:
        inbox.put(ApprovalAsked(message.reply))

    async def on_ask(message: Message) -> None:
        if message.reply and state.active and state.ready:
            background.send(message.reply, *(to_json(findings) for findings in state.findings.complete()))

    async def on_connected() -> None:
        inbox.put(Connected())

    async def on_loss() -> None:
        inbox.put(MessagesLost())

    await bus.subscribe(subjects.objects, on_object)
    await bus.subscribe(subjects.beacon, on_beacon)
    await bus.subscribe(subjects.live_delta, on_delta)
    await bus.subscribe(subjects.all_accepted, on_accepted)
    await bus.subscribe(subjects.edge_reports, on_report)
    await bus.subscribe(subjects.approve_request, on_approve)
    await bus.subscribe(f"{subjects.findings}.ask", on_ask)
    await answer_status(bus, subjects, state.status)
    bus.on_connected(on_connected)
    bus.on_loss(on_loss)
