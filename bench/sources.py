"""Where Limen reads from in a benchmark, and how that changes: a folder of manifests, or a real API server.

Owns the few objects that load and probes go to (host ``flip.example`` with Services ``a``, ``b`` and ``moving``), the
made-up cluster beside them, and the changes. Each change gives the moment from which on it counts: when the rename has
returned, or the API server's answer is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench import manifests
from bench.asking import start_backend
from bench.figures import say
from bench.manifests import Manifest
from bench.world import World

if TYPE_CHECKING:
    from tests.support.kube import KubeApi

HOST = "flip.example"
CHURNING = 50
"""Services that nobody asks for, whose endpoints change as churn."""

_LOOPBACK = {b"A": "127.0.0.2", b"B": "127.0.0.3"}
_PODS = {b"A": "10.244.9.1", b"B": "10.244.9.2"}
_INSIDE = "LIMEN_BENCH_INSIDE"
_AT_ONCE = 50


class Source(Protocol):
    """What a benchmark changes. ``arguments``: how ``limen up`` is told to read it."""

    arguments: list[str | Path]

    async def route_to(self, service: str) -> float:
        """Let the Ingress name ``service``."""
        ...

    async def endpoint_at(self, name: bytes) -> float:
        """Let the Service ``moving`` have backend ``name`` as its only endpoint."""
        ...

    async def churn(self, number: int) -> None:
        """Change the endpoints of a Service that nobody asks for."""
        ...


def _fixed(addresses: dict[bytes, str], ports: dict[bytes, int]) -> list[Manifest]:
    found = [
        manifests.ingress_class(),
        manifests.configmap(),
        *(manifests.service(name) for name in ("a", "b", "moving")),
    ]
    return found + [manifests.endpoints(name.decode().lower(), [addresses[name]], ports[name]) for name in ports]


def _churning() -> list[Manifest]:
    names = [f"churn-{number}" for number in range(CHURNING)]
    return [*map(manifests.service, names), *(manifests.ingress(name, f"{name}.example", name) for name in names)]


def _churned(number: int) -> Manifest:
    addresses = [f"10.99.{number >> 8 & 255}.{number & 255}", "10.99.255.1"]
    return manifests.endpoints(f"churn-{number % CHURNING}", addresses, 80)


class FolderSource:
    """A folder of manifests; every change is one file, renamed into place."""

    def __init__(self, folder: Path, ports: dict[bytes, int], world: World | None) -> None:
        self._folder = folder
        self._ports = ports
        self.arguments: list[str | Path] = ["--manifests", folder]
        folder.mkdir(parents=True)
        manifests.write(folder / "fixed.json", _fixed(_LOOPBACK, ports))
        manifests.write(folder / "churning.json", _churning())
        manifests.write(folder / "flip.json", [manifests.ingress("flip", HOST, "a")])
        manifests.write(folder / "moving.json", [manifests.endpoints("moving", [_LOOPBACK[b"A"]], ports[b"A"])])
        if world is not None:
            manifests.write(folder / "world.json", manifests.of_world(world))

    async def route_to(self, service: str) -> float:
        """See Source."""
        manifests.write(self._folder / "flip.json", [manifests.ingress("flip", HOST, service)])
        return time.perf_counter()

    async def endpoint_at(self, name: bytes) -> float:
        """See Source."""
        slice_ = manifests.endpoints("moving", [_LOOPBACK[name]], self._ports[name])
        manifests.write(self._folder / "moving.json", [slice_])
        return time.perf_counter()

    async def churn(self, number: int) -> None:
        """See Source."""
        manifests.write(self._folder / f"churn-{number % CHURNING}.json", [_churned(number)])


class KubeSource:
    """A real kube-apiserver, in a network namespace where the pods' addresses are local."""

    def __init__(self, api: KubeApi, ports: dict[bytes, int]) -> None:
        self._api = api
        self._ports = ports
        self._churned: set[int] = set()
        self.arguments: list[str | Path] = ["--kube", "--kubeconfig", api.kubeconfig()]

    async def fill(self, world: World | None) -> None:
        """Create everything."""
        await self._create([*_fixed(_PODS, self._ports), *_churning()])
        await self._create([manifests.ingress("flip", HOST, "a"), self._moving(b"A")])
        if world is not None:
            say("filling the API server")
            await self._create(manifests.of_world(world))

    async def _create(self, documents: Iterable[Manifest]) -> None:
        waiting = iter(documents)

        async def one_after_the_other() -> None:
            for document in waiting:
                await self._api.create(document)

        await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))

    def _moving(self, name: bytes) -> Manifest:
        return manifests.endpoints("moving", [_PODS[name]], self._ports[name])

    async def route_to(self, service: str) -> float:
        """See Source."""
        await self._api.replace(manifests.ingress("flip", HOST, service))
        return time.perf_counter()

    async def endpoint_at(self, name: bytes) -> float:
        """See Source."""
        await self._api.replace(self._moving(name))
        return time.perf_counter()

    async def churn(self, number: int) -> None:
        """See Source."""
        service = number % CHURNING
        await (self._api.replace if service in self._churned else self._api.create)(_churned(number))
        self._churned.add(service)


@contextlib.asynccontextmanager
async def source(folder: Path, world: World | None, *, kube: bool) -> AsyncIterator[Source]:
    """The source with its backends A and B, filled. With ``kube`` the process must be in its own network."""
    addresses = _PODS if kube else _LOOPBACK
    servers = {name: await start_backend(name, address) for name, address in addresses.items()}
    ports = {name: port for name, (_, port) in servers.items()}
    try:
        if kube:
            from tests.support.kube import kube_api  # the one API server that tests and benchmarks share

            async with kube_api(folder / "kube") as api:
                cluster = KubeSource(api, ports)
                await cluster.fill(world)
                yield cluster
        else:
            yield FolderSource(folder / "manifests", ports, world)
    finally:
        for server, _ in servers.values():
            server.close()


def enter_network() -> None:
    """Start this program again in a network of its own, where the pods' addresses are local; at once if it is there.

    The API server refuses loopback addresses in EndpointSlices, so the backends need others.
    """
    if os.environ.get(_INSIDE) == "1":
        commands = ["link set lo up", "link add pods type bridge", "link set pods up"]
        commands += [f"addr add {address}/16 dev pods" for address in _PODS.values()]
        commands += ["route add default dev pods"]  # the API server wants one
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        return
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        raise SystemExit("--kube needs a network of its own: apt-get install util-linux iproute2")
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "benchmarks are run with python -m"
    again = ["unshare", "--net", *rights, sys.executable, "-m", spec.name, *sys.argv[1:]]
    os.execvpe(again[0], again, {**os.environ, _INSIDE: "1"})
