"""The whole under churn while those who write are killed, stopped and doubled: it ends true, and no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from tests.support.manifests import ingress
from tests.support.nats import NatsServer
from tests.support.pipeline import NAMESPACE, Pipeline, Role, annotated
from tests.support.traffic import Counter, on
from tests.support.waiting import eventually

HOST, TLS = "a.example.com", "tls.example.com"


async def _ends_true(running: Pipeline, counter: Counter, within: float) -> None:
    """The last change is live on every edge, and every edge holds exactly what the compiler compiled."""
    await counter.live(within)
    await eventually(running.agrees)
    counter.check()


async def test_a_compiler_killed_again_and_again(running: Pipeline) -> None:
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        for _ in range(4):
            churn = asyncio.create_task(counter.churn(25, 0.01))
            await eventually(lambda: counter.written % 10 == 5)  # in the middle of it
            running.compiler.kill()
            running.compiler.start()
            await churn
        await _ends_true(running, counter, 10)
        await traffic.more(50)
        assert (await running.compiler.position())[0] == 1, "nothing was lost: no new epoch"
    traffic.check()


async def test_two_compilers_that_are_killed_and_stopped_in_turns(running: Pipeline) -> None:
    second = running.add_compiler("compiler-2")
    running.other.append(second)
    second.start()
    await second.ready()
    pair = [running.compiler, second]
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        churn = asyncio.create_task(counter.churn(400, 0.01))
        for turn in range(4):
            victim = pair[turn % 2]
            with _stopped(victim):
                await _goes_on(counter)
            await _goes_on(counter)
        for victim in pair:
            victim.kill()
            await _goes_on(counter)
            victim.start()
            await victim.ready()
        churn.cancel()
        await asyncio.gather(churn, return_exceptions=True)
        counter.step()
        await _ends_true(running, counter, 10)
        await traffic.more(50)
        positions = [await role.position() for role in pair]
        assert positions[0] == positions[1]
        assert positions[0][0] == 1, "nothing was lost: no new epoch"
    traffic.check()


@contextlib.contextmanager
def _stopped(role: Role):  # type: ignore[no-untyped-def]
    os.kill(role.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(role.process.pid, signal.SIGCONT)


async def _goes_on(counter: Counter) -> None:
    """Something that was written after this call is live on every edge."""
    wanted = counter.written + 1
    await eventually(lambda: counter.seen and min(counter.seen.values()) >= wanted, 10, f"{wanted} live everywhere")


async def test_a_watcher_killed_under_churn(running: Pipeline) -> None:
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        for turn in range(3):
            await counter.churn(10, 0.01)
            running.manifests.put("extra", ingress(f"extra-{turn}", NAMESPACE, f"extra-{turn}.example.com"))
            running.watcher.kill()
            counter.step()
            running.watcher.start()
            await counter.churn(10, 0.01)
        await _ends_true(running, counter, 10)
        await running.served("extra-2.example.com")
        # what was replaced while nobody watched is gone
        await running.served("extra-0.example.com", status=404)
        await running.served("extra-1.example.com", status=404)
        await traffic.more(50)
    traffic.check()


async def test_everything_but_the_edges_is_killed_under_churn(running: Pipeline) -> None:
    """Each alone, all at once, and in any order of coming back."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        churn = asyncio.create_task(counter.churn(500, 0.01))
        for order in ("nats compiler watcher", "watcher nats compiler", "compiler watcher nats"):
            running.compiler.kill()
            running.watcher.kill()
            running.nats.kill()
            for name in order.split():
                if name == "nats":
                    await running.nats.restart()
                else:
                    role = running.compiler if name == "compiler" else running.watcher
                    role.start()
                    await role.up()
            await _goes_on(counter)
        churn.cancel()
        await asyncio.gather(churn, return_exceptions=True)
        counter.step()
        await _ends_true(running, counter, 10)
        await traffic.more(50)
    traffic.check()


class DeafToAcks:
    """A relay before the bus: from the first append on, nothing that the server says gets through, acknowledgements
    least of all. ``lost``: the append itself gets lost too."""

    def __init__(self, nats: NatsServer, subject: bytes) -> None:
        self._nats = nats
        self._subject = subject
        self._tasks: set[asyncio.Task[None]] = set()
        self.armed = asyncio.Event()
        self.appended = asyncio.Event()
        self.lost = False
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._nats.host, self._nats.port)
        tasks = [
            asyncio.create_task(self._up(reader, up_writer)),
            asyncio.create_task(self._down(up_reader, writer)),
        ]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, up_writer):
            one.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.armed.is_set() and self._subject in data:
                self.appended.set()
            if not (self.lost and self.appended.is_set()):
                writer.write(data)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.appended.is_set():
                writer.write(data)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def deaf_to_acks(nats: NatsServer) -> AsyncIterator[DeafToAcks]:
    relay = DeafToAcks(nats, b"PUB limen.snapshots.delta")
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.end()


async def test_a_compiler_killed_between_an_append_and_its_acknowledgement(running: Pipeline) -> None:
    """Whether the append was stored or lost: the next compiler goes on from what is there, and writes nothing twice."""
    for lost in (False, True):
        async with deaf_to_acks(running.nats) as relay:
            relay.lost = lost
            running.compiler.kill()
            running.compiler = running.add_compiler("compiler", nats=f"nats://127.0.0.1:{relay.port}")
            running.compiler.start()
            await running.compiler.ready()
            before = await running.edge.position()
            host = f"stored-{not lost}.example.com".lower()
            relay.armed.set()
            running.manifests.put(host, annotated(host))
            await asyncio.wait_for(relay.appended.wait(), 5)
            if not lost:
                await running.served(host)  # edges hear what was stored; only the compiler does not know
            running.compiler.kill()
            running.compiler = running.add_compiler("compiler")
            running.compiler.start()
            await running.compiler.ready()
            await running.served(host)
            await eventually(running.agrees)
            assert await running.edge.position() == (before[0], before[1] + 1), "written once, in the same epoch"
