"""The whole, started in any order: nothing is answered before everything is known, and it ends served."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.support.edges import ask
from tests.support.pipeline import Pipeline
from tests.support.traffic import Pod
from tests.support.waiting import eventually

HOST = "a.example.com"


class Witness:
    """Asks an edge from before its start on: notes every answer, and whether it was ready just before the first."""

    def __init__(self, port: int, admin: int) -> None:
        self._port = port
        self._admin = admin
        self.answers: list[int] = []
        self.readiness: list[bool] = []

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                ready = (await ask(self._admin, path="/readyz")).status == 200
                self.readiness.append(ready)
                if ready:  # whoever is ready answers
                    self.answers.append((await ask(self._port, HOST)).status)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                self.answers.append((await ask(self._port, HOST)).status)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "order",
    [
        "edge watcher compiler nats",
        "edge compiler nats watcher",
        "compiler edge watcher nats",
        "nats edge compiler watcher",
        "watcher nats compiler edge",
    ],
)
async def test_any_start_order_ends_served(whole: Pipeline, web: Pod, order: str) -> None:
    whole.manifests.serve(web.port, HOST)
    witness = Witness(whole.edge.http, whole.edge.admin)
    watching = asyncio.create_task(witness.run())
    names = order.split()
    for name in names:
        if name == "nats":
            await whole.nats.start()
        else:
            role = {"watcher": whole.watcher, "compiler": whole.compiler, "edge": whole.edge}[name]
            role.start()
            await role.up()
        if name == "edge" and name != names[-1]:
            assert not await whole.edge.is_ready()
            assert not whole.edge.accepts(), "nobody is told 404 by an edge that knows nothing"
    await whole.served(HOST, timeout=10)
    await whole.edge.ready()
    await eventually(lambda: len(witness.answers) > 20)
    watching.cancel()
    assert set(witness.answers) == {200}
    first = witness.readiness.index(True)
    assert all(witness.readiness[first:])
    assert await whole.agrees()


async def test_an_edge_starts_with_everything_else_gone(whole: Pipeline, web: Pod) -> None:
    """From its file, within two seconds; a damaged file is named and the one before taken; without any it waits."""
    edge = whole.edge
    whole.manifests.serve(web.port, HOST)
    await whole.start()
    await whole.served(HOST)
    whole.manifests.serve(web.port, HOST, "b.example.com")
    await whole.served("b.example.com")
    previous = edge.snapshot.with_name(edge.snapshot.name + ".previous")
    await eventually(previous.exists)
    before = await edge.position()
    await asyncio.to_thread(edge.process.terminate)
    for role in (whole.compiler, whole.watcher, edge):
        role.kill()
    whole.nats.kill()

    edge.start()
    await edge.ready()
    assert (await ask(edge.http, "b.example.com")).status == 200
    assert await edge.position() == before
    edge.kill()

    data = bytearray(edge.snapshot.read_bytes())
    data[len(data) // 2] ^= 1
    edge.snapshot.write_bytes(data)
    edge.start()
    await edge.ready()
    assert f"{edge.snapshot}: " in edge.output
    assert "damaged" in edge.output
    assert (await ask(edge.http, HOST)).status == 200
    assert (await ask(edge.http, "b.example.com")).status == 404, "the generation before did not have it"
    edge.kill()

    edge.snapshot.write_bytes(b"")
    previous.write_bytes(data[:100])
    edge.start()
    await edge.up()
    assert not await edge.is_ready()
    assert not edge.accepts()
    assert f"{previous}: " in edge.output

    # everything comes back, and it serves again, newer than ever
    await whole.nats.restart()
    whole.compiler.start()
    whole.watcher.start()
    await whole.served("b.example.com")
    assert await edge.position() >= before
