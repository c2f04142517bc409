"""``limen up``'s machinery: the bus and the roles as children, started, kept alive, asked how they do, ended in order.

Owns the children and the sockets reserved for them. Must not know options' names nor what people see.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from services.cli import embedded_nats, pipeline
from services.cli.children import Child, stop_in_order
from services.cli.merge import merged
from services.cli.options import bus_options, servers
from services.cli.running import Running, leave_note
from services.runtime import metrics
from services.runtime.bus.values import BusError
from services.runtime.keys import KeysError, make_keys
from services.runtime.logs import log
from services.runtime.settings import HostPort, SettingsError
from services.runtime.version import software

if TYPE_CHECKING:
    from services.cli.pages import Pages

_log = logging.getLogger(__name__)

GREETS_WITHIN = 10.0


class ChildStatus(Struct, frozen=True):
    """A child for ``/status``; ``status`` is its own word, None while it says nothing."""

    name: str
    role: str
    running: bool
    ready: bool = False
    pid: int = 0
    restarts: int = 0
    started_at: float = 0.0
    last_exit: str = ""
    status: msgspec.Raw | None = None


class UpStatus(Struct, frozen=True):
    """``/status`` of ``limen up``."""

    role: str
    software: str
    started_at: float
    ready: bool
    nats: str
    http: tuple[str, ...]
    https: tuple[str, ...]
    children: tuple[ChildStatus, ...]


class Supervisor:
    """One installation on one machine. ``values``: the options by key; ``logs``: where children's output goes."""

    def __init__(self, values: Mapping[str, Any], state: Path, logs: Path | None = None) -> None:
        self._values = values
        self._state = state
        self._logs = logs
        self._reserved: list[socket.socket] = []
        self._admin_sockets: dict[str, socket.socket] = {}
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._http: tuple[HostPort, ...] = ()
        self._https: tuple[HostPort, ...] = ()
        self._nats_url: tuple[str, ...] = ()
        self._nats_public = ""
        self._bus: embedded_nats.EmbeddedNats | None = None
        self._started_at = time.time()
        self._pages: Pages | None = None
        self.stopping = False

    async def __aenter__(self) -> Supervisor:
        """Make keys, reserve ports, start everything. Raises SettingsError, having started nothing that stays."""
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def nats(self) -> tuple[str, ...]:
        """The bus, with whatever password it needs."""
        return self._nats_url

    @property
    def nats_public(self) -> str:
        """The bus as it may be shown."""
        return self._nats_public

    @property
    def http(self) -> tuple[HostPort, ...]:
        """Where HTTP is served."""
        return self._http

    @property
    def https(self) -> tuple[HostPort, ...]:
        """Where HTTPS is served."""
        return self._https

    @property
    def edges(self) -> list[str]:
        """The names of the edges."""
        return [name for name, child in self._children.items() if child.spec.role == "edge"]

    # --- start and end ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        try:
            made = make_keys(self._state / "keys")
        except KeysError as error:
            raise SettingsError(str(error)) from None
        if made.written:
            log(_log, logging.INFO, "made keys", folder=str(self._state / "keys"))
        self._http = tuple(self._reserve(address, "--http") for address in self._values["http"])
        self._https = tuple(self._reserve(address, "--https") for address in self._values["https"])
        if self._logs:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._start_bus()
        edges = self._values["edges"]
        self._admin_sockets = {name: _listening() for name in pipeline.names(edges)}
        plan = pipeline.Plan(
            values=self._values,
            state=self._state,
            nats=self._nats_url,
            http=self._http,
            https=self._https,
            edges=edges,
            admin_sockets={name: listening.fileno() for name, listening in self._admin_sockets.items()},
            logs=self._logs,
        )
        for spec in pipeline.specs(plan):
            self._run(Child(spec))
        await asyncio.sleep(0)  # they start now; what follows takes a while to import
        from services.cli.pages import Pages

        self._pages = Pages(self._admin_sockets)

    async def _start_bus(self) -> None:
        given = servers(self._values["nats"])
        if given:
            try:
                bus_options({**self._values, "nats": given}, "up")
            except BusError as error:
                raise SettingsError(str(error)) from None
            self._nats_url = given
            self._nats_public = ", ".join(embedded_nats.without_password(server) for server in given)
            return
        for _ in range(3):  # the port may be taken between looking and starting
            bus = embedded_nats.prepare(self._state, self._values["instance"])
            child = Child(bus.spec)
            task = self._run(child)
            if await embedded_nats.greeting(bus.port, GREETS_WITHIN) and child.running:
                self._bus, self._nats_url, self._nats_public = bus, (bus.url,), bus.public
                log(_log, logging.INFO, "NATS runs", url=bus.public)
                return
            await child.stop()
            await task
            self._tasks.remove(task)
        raise SettingsError(f"nats-server does not start, see {self._state / 'nats.log'}")

    def _run(self, child: Child) -> asyncio.Task[None]:
        self._children[child.spec.name] = child
        task = asyncio.get_running_loop().create_task(child.run(), name=child.spec.name)
        self._tasks.append(task)
        return task

    async def _end(self) -> None:
        """Edges first, while the rest still serves them; the bus last."""
        self.stopping = True
        order = (("edge",), ("compiler", "watcher"), ("nats",))
        groups = [[child for child in self._children.values() if child.spec.role in roles] for roles in order]
        try:
            await stop_in_order(groups)
        finally:
            for child in self._children.values():
                child.kill()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._pages is not None:
                await self._pages.close()
            for reserved in (*self._reserved, *self._admin_sockets.values()):
                reserved.close()

    async def refusal(self) -> str:
        """Wait for a child that cannot run with its options; its name."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().get_name()

    def kill(self) -> None:
        """End every child at once."""
        for child in self._children.values():
            child.kill()

    def note(self, admin: str) -> None:
        """Leave word for other commands of this user."""
        leave_note(
            self._state,
            Running(os.getpid(), self._values["instance"], ",".join(self._nats_url), admin, str(self._state)),
        )

    def _reserve(self, address: HostPort, option: str) -> HostPort:
        """Keep ``address`` for the edges: bound and shared (SO_REUSEPORT), but not listening, so that it gets no
        connection. Port 0 becomes a free port, the same for all edges."""
        if not address.host:
            _bound(address, option, share=False).close()
            return address
        if address.port:
            _bound(address, option, share=False).close()  # another program there must not share it with us
        held = _bound(address, option, share=True)
        self._reserved.append(held)
        return HostPort(address.host, int(held.getsockname()[1]))

    # --- how they do ------------------------------------------------------------------------------------------

    async def ready(self) -> bool:
        """Whether every edge says that it serves a complete generation."""
        if self.stopping:
            return False
        return all(await asyncio.gather(*(self._ready(name) for name in self.edges)))

    async def _ready(self, name: str) -> bool:
        return await self._get(name, "/readyz") is not None

    async def _get(self, name: str, path: str) -> bytes | None:
        if not self._children[name].running or self._pages is None:
            return None
        return await self._pages.get(name, path)

    async def status(self) -> UpStatus:
        """What is known of every child."""
        children = await asyncio.gather(*(self._child_status(name) for name in self._children))
        return UpStatus(
            role="up",
            software=software(),
            started_at=self._started_at,
            ready=await self.ready(),
            nats=self._nats_public,
            http=tuple(map(str, self._http)),
            https=tuple(map(str, self._https)),
            children=tuple(children),
        )

    async def _child_status(self, name: str) -> ChildStatus:
        child = self._children[name]
        body, ready = await asyncio.gather(self._get(name, "/status"), self._ready(name))
        return ChildStatus(
            name=name,
            role=child.spec.role,
            running=child.running,
            ready=ready or (child.spec.role == "nats" and child.running),
            pid=child.pid,
            restarts=child.restarts,
            started_at=child.started_at,
            last_exit=child.last_exit,
            status=msgspec.Raw(body) if body else None,
        )

    async def metrics(self) -> bytes:
        """The metrics of all children and of this process as those of one."""
        names = [name for name in self._children if name in self._admin_sockets]
        bodies = await asyncio.gather(*(self._get(name, "/metrics") for name in names))
        texts = [metrics.render().decode(), *(body.decode() for body in bodies if body)]
        return merged(texts) + self._own_metrics().encode()

    def _own_metrics(self) -> str:
        lines = [
            "# HELP limen_up_child_restarts_total Children that died and were started again.",
            "# TYPE limen_up_child_restarts_total counter",
            *(f'limen_up_child_restarts_total{{name="{c.spec.name}"}} {c.restarts}' for c in self._children.values()),
            "# HELP limen_up_child_running Whether a child runs.",
            "# TYPE limen_up_child_running gauge",
            *(f'limen_up_child_running{{name="{c.spec.name}"}} {int(c.running)}' for c in self._children.values()),
        ]
        return "\n".join(lines) + "\n"


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    return listening


def _bound(address: HostPort, option: str, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        hint = ""
        if isinstance(error, PermissionError):
            hint = " (ports below 1024 need the capability NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start)"
        elif error.errno == errno.EADDRINUSE:
            hint = f" (end what listens there, or name another address with {option})"
        raise SettingsError(f"{option} {address}: {error.strerror or error}{hint}") from None
    return bound
