"""The roles alone, each a real process started through the ``limen`` command: keys, a bus, a folder of manifests."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.edges import ask, children_of
from tests.support.manifests import Manifest, endpoints, ingress, ingress_class, secret, service
from tests.support.nats import NatsServer
from tests.support.pairs import tls_data
from tests.support.ports import can_connect, free_port
from tests.support.processes import Process, limen
from tests.support.waiting import eventually

NAMESPACE = "shop"
PREFIX = "nginx.ingress.kubernetes.io/"


class Manifests:
    """A folder of manifests. A file is replaced by renaming, as tools do it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aside = folder.parent / "being-written"
        folder.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(exist_ok=True)

    def put(self, name: str, *manifests: Manifest) -> None:
        """``name``.yaml holds these, and nothing else."""
        (self._aside / name).write_text("---\n".join(json.dumps(manifest) + "\n" for manifest in manifests))
        (self._aside / name).rename(self.folder / f"{name}.yaml")

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink()

    def serve(self, pod: int, *hosts: str, tls: str = "") -> None:
        """An IngressClass, a Service with one endpoint on loopback, an Ingress for each host, and one with TLS."""
        self.put("class", ingress_class())
        self.put("web", service("web", NAMESPACE), slice_of("web", pod))
        for host in hosts:
            self.put(host, ingress(host, NAMESPACE, host))
        if tls:
            self.put(tls, ingress(tls, NAMESPACE, tls, secret=tls), secret(tls, NAMESPACE, tls_data(tls)))


def slice_of(name: str, port: int, address: str = "127.0.0.1") -> Manifest:
    """An EndpointSlice with one endpoint."""
    made = endpoints(name, NAMESPACE, address)
    made["ports"][0]["port"] = port
    return made


def annotated(host: str, path_type: str = "", path: str = "", **annotations: str) -> Manifest:
    """An Ingress for ``host`` with annotations of ingress-nginx; ``_`` in their names stands for ``-``."""
    words = {PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    made = ingress(host, NAMESPACE, host, annotations=words)
    only = made["spec"]["rules"][0]["http"]["paths"][0]
    only["pathType"] = path_type or only["pathType"]
    only["path"] = path or only["path"]
    return made


class Role:
    """One process of the pipeline, started and killed at will. Its ports and its state folder stay."""

    def __init__(self, name: str, folder: Path, command: list[str], admin: int) -> None:
        self.name = name
        self.admin = admin
        self.log = folder / f"{name}.log"
        self._command = command
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        self._process = Process(self._command, self.log)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def end(self) -> None:
        """SIGKILL, if it was started: how edges drain is not what tests of the whole wait for."""
        if self._process is not None:
            self._process.kill()

    async def page(self, path: str) -> tuple[int, bytes]:
        answer = await ask(self.admin, path=path, timeout=3)
        return answer.status, answer.body

    async def is_up(self) -> bool:
        return (await self.page("/healthz"))[0] == 200

    async def is_ready(self) -> bool:
        return (await self.page("/readyz"))[0] == 200

    async def up(self, timeout: float = 15.0) -> None:
        """Wait until the process runs (which says nothing of being ready)."""
        await self._eventually(self.is_up, timeout, "runs")

    async def ready(self, timeout: float = 15.0) -> None:
        await self._eventually(self.is_ready, timeout, "is ready")

    async def _eventually(self, condition: Any, timeout: float, what: str) -> None:
        try:
            await eventually(condition, timeout, f"{self.name} {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-3000:]}") from None

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self.page("/status"))[1])
        return found

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry ``labels``."""
        text = (await self.page("/metrics"))[1].decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
        )

    async def position(self) -> tuple[int, int]:
        """(epoch, version) that it has."""
        status = await self.status()
        return status.get("epoch", 0), status.get("version", 0)


class Edge(Role):
    """An edge with its traffic ports."""

    def __init__(self, name: str, folder: Path, command: list[str], admin: int, http: int, https: int) -> None:
        super().__init__(name, folder, command, admin)
        self.http = http
        self.https = https
        self.snapshot = folder / f"{name}-state" / f"edge-{name}.snapshot"

    def accepts(self) -> bool:
        return can_connect(self.http)


class Pipeline:
    """Everything of one installation; nothing runs until it is started. ``keys``: made by ``limen keys``."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder = folder
        self.keys = keys
        self.manifests = Manifests(folder / "manifests")
        self.nats = NatsServer(folder / "nats")
        self.watcher = self.add_watcher("--manifests", self.manifests.folder)
        self.compiler = self.add_compiler("compiler")
        self.edge = self.add_edge("edge-1")
        self.other: list[Role] = []

    @property
    def roles(self) -> list[Role]:
        return [self.watcher, self.compiler, self.edge, *self.other]

    @property
    def edges(self) -> list[Edge]:
        return [role for role in self.roles if isinstance(role, Edge)]

    def add_watcher(self, *source: str | Path) -> Role:
        return self._role("watcher", "watcher", ("sealing", "objects"), *source)

    def add_compiler(self, name: str, nats: str = "") -> Role:
        """``nats``: URL of something that stands before the bus."""
        return self._role("compiler", name, ("signing", "objects"), nats=nats)

    def add_edge(self, name: str, *options: str) -> Edge:
        http, https = free_port(), free_port()
        ports = (f"--http=127.0.0.1:{http}", f"--https=127.0.0.1:{https}", "--worker-shutdown-timeout=2")
        role = self._role("edge", name, ("sealing", "verify"), *ports, *options)
        return Edge(name, self.folder, role._command, role.admin, http, https)

    def _role(self, role: str, name: str, keys: tuple[str, ...], *options: str | Path, nats: str = "") -> Role:
        admin = free_port()
        words = limen(
            role,
            *(f"--name={name}", f"--nats={nats or self.nats.url}", f"--admin=127.0.0.1:{admin}"),
            *("--state", self.folder / f"{name}-state"),
            *(f"--{key}-key={self.keys / f'{key}.key'}" for key in keys),
            *options,
        )
        return Role(name, self.folder, words, admin)

    async def start(self) -> None:
        """All of it, as fast as it goes, until every edge is ready."""
        await self.nats.start()
        for role in self.roles:
            role.start()
        await asyncio.gather(*(edge.ready() for edge in self.edges))

    async def agrees(self) -> bool:
        """Whether every edge holds what the compiler published last."""
        newest = await self.compiler.status()
        found = [await edge.status() for edge in self.edges]
        keys = ("epoch", "version", "digest")
        return newest.get("version", 0) > 0 and all(
            [each.get(key) for key in keys] == [newest.get(key) for key in keys] for each in found
        )

    async def command(self, *words: str) -> tuple[int, str]:
        """Exit code and output of a ``limen`` command that finds the bus."""
        log = self.folder / f"{words[0]}-{next(_numbers)}.log"
        child = Process(limen(*words, f"--nats={self.nats.url}"), log)
        try:
            return await asyncio.to_thread(child.wait, 20), child.output()
        finally:
            child.end()

    async def overview(self) -> dict[str, Any]:
        """``limen status --json``."""
        code, output = await self.command("status", "--json")
        assert code == 0, output
        found: dict[str, Any] = json.loads(output)
        return found

    async def served(self, host: str, path: str = "/", timeout: float = 10.0, status: int = 200) -> float:
        """Wait until every edge answers so; how long that took, in seconds."""
        started = time.monotonic()

        async def everywhere() -> bool:
            answers = [await ask(edge.http, host, path, timeout=3) for edge in self.edges]
            return all(answer.status == status for answer in answers)

        try:
            await eventually(everywhere, timeout, f"{host}{path} answers {status} everywhere")
        except AssertionError as error:
            tails = "\n".join(f"--- {role.name}\n{role.output[-1500:]}" for role in self.roles)
            raise AssertionError(f"{error}\n{tails}") from None
        return time.monotonic() - started

    def end(self) -> None:
        for role in self.roles:
            role.end()
        self.nats.kill()


_numbers = itertools.count()


@asynccontextmanager
async def pipeline(folder: Path, keys: Path) -> AsyncIterator[Pipeline]:
    """A pipeline of which nothing runs yet, ended at the end of the block."""
    made = Pipeline(folder, keys)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.end)


def family(pid: int) -> set[int]:
    """``pid`` and all that descend from it."""
    found = {pid}
    for child in children_of(pid):
        found |= family(child)
    return found
