"""The processes of an edge: killed, stopped, drained, and replaced under traffic."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edges import (
    Answer,
    Connection,
    EdgeProcesses,
    Endpoint,
    Load,
    alive,
    edge_processes,
)
from tests.support.nats import NatsServer
from tests.support.snapshots import Publisher, host, upstream
from tests.support.waiting import eventually


@pytest.fixture
async def publisher(publisher: Publisher, pod: Endpoint) -> Publisher:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    return publisher


@pytest.fixture
async def two_workers(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> AsyncIterator[EdgeProcesses]:
    async with edge_processes(tmp_path / "edge", nats.url, workers=2) as edge:
        await edge.start_ready()
        await edge.serves(1, 1)
        yield edge


def from_pod(answer: Answer) -> bool:
    return answer.status == 200 and answer.body == b"pod"


async def all_ready(edge: EdgeProcesses) -> bool:
    return bool((await edge.status())["counts"]["workers_ready"] == 2)


async def test_a_killed_worker_is_replaced_and_its_queue_taken_over(two_workers: EdgeProcesses) -> None:
    await eventually(lambda: all_ready(two_workers))
    victim, other = await two_workers.worker_pids()
    # a stopped worker accepts nobody: these connections wait in its queue, or reach the other worker
    os.kill(victim, signal.SIGSTOP)
    waiting = [asyncio.create_task(two_workers.ask("a.example.com")) for _ in range(40)]
    await eventually(lambda: sum(task.done() for task in waiting) > 5)
    os.kill(victim, signal.SIGKILL)
    answers = await asyncio.gather(*waiting)
    assert all(map(from_pod, answers)), "who waited is answered by the successor"
    assert await two_workers.is_ready()
    await eventually(lambda: all_ready(two_workers))
    assert victim not in two_workers.children()
    assert other in two_workers.children()
    assert await two_workers.metric("limen_edge_worker_restarts") == 1


async def test_a_worker_that_is_told_to_leave_alone_is_replaced(two_workers: EdgeProcesses) -> None:
    await eventually(lambda: all_ready(two_workers))
    (first, _) = await two_workers.worker_pids()
    async with Load(two_workers.port, "a.example.com", from_pod) as load:
        os.kill(first, signal.SIGTERM)
        await eventually(lambda: first not in two_workers.children())
        await eventually(lambda: all_ready(two_workers))
        await load.more(50)
    assert load.failures == []
    for _ in range(30):  # both listen again
        assert from_pod(await two_workers.ask("a.example.com"))


async def test_totals_never_go_back_when_a_worker_dies(two_workers: EdgeProcesses) -> None:
    for _ in range(60):
        assert from_pod(await two_workers.ask("a.example.com"))
    before = await two_workers.metric("nginx_ingress_controller_requests", ingress="test")
    assert before == 60
    os.kill((await two_workers.worker_pids())[0], signal.SIGKILL)
    await eventually(lambda: "ended by itself" in two_workers.output)
    await eventually(lambda: all_ready(two_workers))
    for _ in range(10):
        assert from_pod(await two_workers.ask("a.example.com"))
    assert await two_workers.metric("nginx_ingress_controller_requests", ingress="test") == before + 10


async def test_a_killed_admin_process_costs_no_request(two_workers: EdgeProcesses) -> None:
    admin = sorted(two_workers.children())[-1]
    async with Load(two_workers.port, "a.example.com", from_pod) as load:
        os.kill(admin, signal.SIGKILL)
        await load.more(100)
        await eventually(lambda: two_workers.is_ready())
    assert load.failures == []
    assert admin not in two_workers.children()


async def test_a_pause_of_supervisor_and_admin_process_costs_no_request(two_workers: EdgeProcesses) -> None:
    assert two_workers.process is not None
    paused = [two_workers.process.pid, sorted(two_workers.children())[-1]]
    async with Load(two_workers.port, "a.example.com", from_pod) as load:
        for pid in paused:
            os.kill(pid, signal.SIGSTOP)
        try:
            await load.more(300, 5.0)
        finally:
            for pid in paused:
                os.kill(pid, signal.SIGCONT)
        await eventually(lambda: two_workers.is_ready())
    assert load.failures == []


async def test_nothing_outlives_a_killed_supervisor(two_workers: EdgeProcesses) -> None:
    assert two_workers.process is not None
    children = two_workers.children()
    assert len(children) == 3
    os.kill(two_workers.process.pid, signal.SIGKILL)
    await eventually(lambda: not any(map(alive, children)), 10)
    assert not two_workers.accepts()


async def test_a_drain_finishes_what_is_under_way(
    tmp_path: Path, nats: NatsServer, publisher: Publisher, pod: Endpoint
) -> None:
    async with edge_processes(tmp_path / "edge", nats.url, "e1", 1, "--shutdown-grace-period", "1") as edge:
        await edge.start_ready()
        slow, idle = await Connection.open(edge.port), await Connection.open(edge.port)
        assert from_pod(await idle.ask("a.example.com"))
        slow.send("a.example.com", "/slow")
        await eventually(lambda: pod.requests == 2)
        stopping = asyncio.create_task(edge.stop(20))
        await eventually(lambda: _not_ready(edge), 1, "not ready at once")
        # load balancers that have not noticed yet are still served
        assert from_pod(await edge.ask("a.example.com"))
        await eventually(lambda: not edge.accepts(), 5)
        assert not stopping.done()
        # a version that is published meanwhile still counts
        await publisher.step(host("b.example.com"))
        await edge.serves(1, 2)
        assert await idle.reader.read() == b"", "an idle connection is closed in the end"
        idle.close()
        pod.release.set()
        assert from_pod(await slow.receive())
        slow.close()
        assert await stopping == 0
        stored = await publisher.bus.last(
            f"KV_{publisher.subjects.edges_bucket}", publisher.subjects.edge_report("e1-0")
        )
        assert stored is not None
        assert stored.data == b"", "the report is taken back"
        events = await publisher.bus.last_of_each(publisher.subjects.events_stream, publisher.subjects.events)
        assert {"edge.joined", "edge.applied", "edge.left"} <= {
            ".".join(event.subject.split(".")[2:4]) for event in events
        }


async def _not_ready(edge: EdgeProcesses) -> bool:
    return not await edge.is_ready()


async def test_a_drain_ends_in_time_whatever_clients_do(
    tmp_path: Path, nats: NatsServer, publisher: Publisher, pod: Endpoint
) -> None:
    async with edge_processes(tmp_path / "edge", nats.url, "e1", 1, "--worker-shutdown-timeout", "1") as edge:
        await edge.start_ready()
        stuck = await Connection.open(edge.port)
        stuck.send("a.example.com", "/slow")
        await eventually(lambda: pod.requests == 1)
        assert await edge.stop(6) == 0
        assert "connections were cut" in edge.output


async def test_rolling_restarts_lose_no_request(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    """Two edges share the port; each is restarted in turn under clients that open connection after connection."""
    async with (
        edge_processes(tmp_path / "one", nats.url, "one") as one,
        edge_processes(tmp_path / "two", nats.url, "two", port=one.port) as two,
    ):
        await one.start_ready()
        await two.start_ready()
        failures: list[str] = []
        done = asyncio.Event()
        answered = 0

        async def client() -> None:
            nonlocal answered
            while not done.is_set():
                try:
                    answer = await one.ask("a.example.com")
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                    failures.append(repr(error))
                    continue
                answered += 1
                if not from_pod(answer):
                    failures.append(str(answer.status))

        clients = [asyncio.create_task(client()) for _ in range(8)]
        async with Load(one.port, "a.example.com", from_pod) as kept:
            for edge in (one, two, one, two):
                await edge.restart()
            await eventually(lambda: answered > 200 or failures, 60, "enough answers")
        done.set()
        await asyncio.gather(*clients)
        assert failures == []
        assert kept.failures == []


async def test_out_of_descriptors_it_lives_and_recovers(
    tmp_path: Path, nats: NatsServer, publisher: Publisher, pod: Endpoint
) -> None:
    async with edge_processes(tmp_path / "edge", nats.url) as edge:
        await edge.start_ready()
        (worker,) = await edge.worker_pids()
        used = descriptors(worker)
        _, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 20, hard))
        flood = await asyncio.gather(*(Connection.open(edge.port) for _ in range(200)), return_exceptions=True)
        before = processor_ticks(worker)
        await asyncio.sleep(1.0)  # the time over which processor time is measured
        spent = processor_ticks(worker) - before
        assert spent < 50, f"{spent} of 100 ticks spent on connections that cannot be taken"
        assert await edge.is_ready()
        for connection in flood:
            if isinstance(connection, Connection):
                connection.close()
        # a version that is published meanwhile is taken, and requests are answered again
        await publisher.step(host("b.example.com"))
        await edge.serves(1, 2, 5)

        async def answered() -> bool:
            return from_pod(await edge.ask("b.example.com", timeout=1))

        await eventually(answered, 5)
        assert worker in edge.children()


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def processor_ticks(pid: int) -> int:
    """Processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
