"""One run of ``limen demo``: everything started, the start told, requests printed or made, changes told until the end.

Owns the terminal. The machinery is ``limen up``'s; what happens is heard on the bus like by anyone who subscribes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from proto.events import SnapshotPublished
from proto.subjects import Subjects
from services.cli.demo_calls import CALLS, complaint, curl_words, echo_round_trip, make, shown
from services.cli.demo_timeline import Timeline, Told, told
from services.cli.demo_troubles import Looks
from services.cli.event_lines import read
from services.cli.overview import overview
from services.cli.sample_backend import serving
from services.cli.supervisor import Supervisor
from services.runtime import admin
from services.runtime.bus import Bus, BusError, BusOptions, Message
from services.runtime.lifecycle import Lifecycle
from services.runtime.settings import HostPort
from services.runtime.status import gather_status

READY_WITHIN: Final = 30.0
QUIET_FOR: Final = 0.5
"""Seconds without a new version after which the start is over."""
LOOKS_EVERY: Final = 0.3
"""Seconds between two looks at what is wrong."""
SAMPLES: Final = {
    "coffee": ("127.0.0.11:9001", "127.0.0.12:9001"),
    "tea": ("127.0.0.21:9001",),
    "echo": ("127.0.0.31:9001",),
    "fallback": ("127.0.0.41:9001",),
}
"""The servers that the EndpointSlices of examples/ point at."""


class Demo:
    """``values``: the options of ``limen up``; ``state``: an empty folder."""

    def __init__(self, values: Mapping[str, Any], state: Path, life: Lifecycle) -> None:
        self._values = values
        self._state = state
        self._life = life
        self._console = Console(highlight=False)
        self._timeline = Timeline(values["edges"])
        self._subjects = Subjects(values["instance"])
        self._looks = Looks()
        self._last_version_at = 0.0

    async def play(self, once: bool) -> int:
        """Run to the end; the exit code. Raises SettingsError if something cannot be started."""
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            for name, addresses in SAMPLES.items():
                await stack.enter_async_context(serving(name, [HostPort.parse(address) for address in addresses]))
            supervisor = await stack.enter_async_context(Supervisor(self._values, self._state, self._state / "logs"))
            server = await admin.serve(
                self._values["admin"], ready=supervisor.ready, status=supervisor.status, metrics=supervisor.metrics
            )
            stack.push_async_callback(server.close)
            supervisor.note(str(server.address))
            await stack.enter_async_context(self._telling(supervisor))
            self._say(f"started NATS, watcher, compiler, {self._values['edges']} edges and sample servers")
            if not await self._ready(supervisor):
                return 0 if self._life.stopping.is_set() else self._failed()
            self._say(f"ready {time.monotonic() - began:.1f} s after the start", good=True)
            await self._settled()
            if once:
                return await self._check(supervisor)
            self._invite(supervisor, server.address)
            await self._life.stopping.wait()
            self._say("stopping")
        return 0

    # --- start ------------------------------------------------------------------------------------------------

    async def _ready(self, supervisor: Supervisor) -> bool:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline and not self._life.stopping.is_set():
            if await supervisor.ready():
                return True
            await self._pause(0.02)
        return False

    async def _settled(self) -> None:
        """Wait for the versions that follow the first one closely."""
        self._last_version_at = self._last_version_at or time.monotonic()
        while time.monotonic() - self._last_version_at < QUIET_FOR and not self._life.stopping.is_set():
            await self._pause(0.05)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._life.stopping.wait(), seconds)

    def _failed(self) -> int:
        self._say(f"not ready within {READY_WITHIN:.0f} s", good=False)
        self._show_logs()
        return 1

    # --- telling ----------------------------------------------------------------------------------------------

    def _say(self, text: str, *, good: bool | None = None) -> None:
        sign = {None: ("·", "dim"), True: ("✓", "green"), False: ("✗", "red")}[good]
        line = Text.assemble((time.strftime("%H:%M:%S"), "dim"), " ", sign, " ", text)
        self._console.print(line, soft_wrap=True)

    def _tell(self, lines: list[Told]) -> None:
        for line in lines:
            self._say(line.text, good=line.good)

    @contextlib.asynccontextmanager
    async def _telling(self, supervisor: Supervisor) -> AsyncIterator[None]:
        bus = Bus(BusOptions(servers=supervisor.nats, name="limen demo"))

        async def take(message: Message) -> None:
            with contextlib.suppress(ValueError):
                data = read(message.data).data
                if isinstance(data, SnapshotPublished):
                    self._last_version_at = time.monotonic()
                if data is not None:
                    self._tell(self._timeline.add(data, time.monotonic()))

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.2)
                self._tell(self._timeline.tick(time.monotonic()))

        async def look() -> None:
            while True:
                await asyncio.sleep(LOOKS_EVERY)
                with contextlib.suppress(BusError):
                    await self._look(bus)

        await bus.subscribe(self._subjects.events, take)
        await bus.start()
        loop = asyncio.get_running_loop()
        running = [loop.create_task(tick()), loop.create_task(look())]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await bus.close()

    async def _look(self, bus: Bus) -> None:
        """Tell what is wrong now and was not before, and the other way round."""
        roles = await gather_status(bus, self._subjects, timeout=LOOKS_EVERY, at_most=2 + self._values["edges"])
        if {"watcher", "compiler"} <= {role.role for role in roles if role.ready}:
            self._tell(told(self._looks.look(overview(roles))))

    def _invite(self, supervisor: Supervisor, admin_address: HostPort) -> None:
        http, https = supervisor.http[0], supervisor.https[0]
        self._console.print()
        for call in CALLS:
            self._console.print(Text(f"# {call.title}", style="dim"))
            self._console.print(Text(shown(curl_words(call, http, https)), style="bold"), soft_wrap=True)
        folder = self._values["manifests"][0]
        limen = "limen" if shutil.which("limen") else sys.argv[0]  # as it was called, e.g. .venv/bin/limen
        self._console.print()
        self._say(f"edit a file in {folder} and see it go live here; Ctrl-C ends")
        self._say(
            f"`{limen} status`, `{limen} events` and `nats sub 'limen.events.>' -s {supervisor.nats_public}` work too"
        )
        self._say(f"http://{admin_address}/status, /metrics; logs in {self._state / 'logs'}")

    # --- checking ---------------------------------------------------------------------------------------------

    async def _check(self, supervisor: Supervisor) -> int:
        """Make every call that would be printed; 0 if each was answered as it should be."""
        http, https = supervisor.http[0], supervisor.https[0]
        wrong = 0
        for call in CALLS:
            answer = await make(call, http, https)
            why = complaint(call, answer)
            if call.websocket and not why:
                why = await echo_round_trip(call.host, http)
            wrong += bool(why)
            self._say(shown(curl_words(call, http, https)), good=not why)
            if why:
                self._say(f"  {call.title}: {why}", good=False)
        self._say(f"{len(CALLS) - wrong} of {len(CALLS)} answered as they should", good=not wrong)
        if wrong:
            self._show_logs()
        return int(bool(wrong))

    def _show_logs(self) -> None:
        for log in sorted((self._state / "logs").glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-8:]
            self._console.print(Text(f"--- {log.name}\n" + "\n".join(tail), style="dim"), soft_wrap=True)
