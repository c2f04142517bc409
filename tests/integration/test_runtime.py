"""Lifecycle, admin endpoint, events and status: real signals, sockets and bus."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
from pathlib import Path

import aiohttp
import pytest

from proto.events import EdgeJoined, IngressRejected
from proto.reports import RoleStatus
from proto.subjects import Subjects
from services.runtime import admin, metrics
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus, BusOptions, StreamSpec
from services.runtime.lifecycle import Lifecycle, run
from services.runtime.settings import HostPort, SettingsError
from services.runtime.status import answer_status, gather_status
from tests.support.nats import NatsServer
from tests.support.processes import process
from tests.support.waiting import eventually, eventually_sync


def _status(role: str, name: str) -> RoleStatus:
    return RoleStatus(role=role, name=name, software="0", started_at=1.0, ready=True)  # type: ignore[arg-type]


def test_run_returns_when_main_does() -> None:
    async def main(lifecycle: Lifecycle) -> None:
        lifecycle.spawn("beside", asyncio.Event().wait())

    assert run(main) == 0


def test_a_failing_task_ends_the_process() -> None:
    cancelled = []

    async def fail() -> None:
        raise ValueError("broken")

    async def main(lifecycle: Lifecycle) -> None:
        lifecycle.spawn("failing", fail())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert run(main) == 1
    assert cancelled == [True]


def test_a_failing_main_is_code_1() -> None:
    async def main(lifecycle: Lifecycle) -> None:
        raise ValueError("broken")

    assert run(main) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_ask_for_a_graceful_end(number: signal.Signals) -> None:
    async def main(lifecycle: Lifecycle) -> None:
        os.kill(os.getpid(), number)
        await lifecycle.stopping.wait()

    assert run(main) == 0


@pytest.mark.parametrize(("before", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_asks_too_unless_that_is_ignored(before: signal.Handlers, ends: bool) -> None:
    stopped: list[bool] = []

    async def main(lifecycle: Lifecycle) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM if not ends else 0)
        await lifecycle.stopping.wait()
        stopped.append(signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN)

    previous = signal.signal(signal.SIGHUP, before)
    try:
        assert run(main) == 0
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert stopped == [ends]


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import asyncio, sys
        from services.runtime.lifecycle import run
        async def main(lifecycle):
            print("up", flush=True)
            await lifecycle.stopping.wait()
            print("stopping", flush=True)
            await asyncio.Event().wait()
        sys.exit(run(main))
    """)
    with process(sys.executable, "-c", script, log=tmp_path / "log") as child:
        eventually_sync(lambda: "up" in child.output())
        child.send(signal.SIGINT)
        eventually_sync(lambda: "stopping" in child.output())
        child.send(signal.SIGINT)
        assert child.wait(5) == 0


def test_a_third_interrupt_does_not_cut_the_end_short() -> None:
    ended: list[bool] = []

    async def main(lifecycle: Lifecycle) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await lifecycle.stopping.wait()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)  # the signal arrives here, and must not end this
            ended.append(True)

    assert run(main) == 0
    assert ended == [True]


async def test_admin_pages() -> None:
    ready = False
    server = await admin.serve(
        HostPort("127.0.0.1", 0),
        ready=lambda: ready,
        status=lambda: _status("edge", "e1"),
        healthy=lambda: not ready,
    )
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:

        async def code(path: str) -> int:
            async with client.get(path) as response:
                return response.status

        assert (await code("/healthz"), await code("/readyz")) == (200, 503)
        ready = True
        assert (await code("/healthz"), await code("/readyz"), await code("/other")) == (500, 200, 404)
        async with client.get("/status") as response:
            assert (await response.json())["name"] == "e1"
        async with client.get("/metrics") as response:
            assert "process_resident_memory_bytes" in await response.text()
    with pytest.raises(SettingsError, match="--admin"):
        await admin.serve(server.address, ready=lambda: True, status=lambda: _status("edge", "e1"))
    await server.close()


async def test_every_role_answers_a_status_request(nats: NatsServer) -> None:
    subjects = Subjects("blue")
    buses = []
    for role, name in (("edge", "e2"), ("compiler", "c"), ("edge", "e1")):
        bus = Bus(BusOptions(servers=(nats.url,), name=name))
        await bus.start()
        status = _status(role, name)
        await answer_status(bus, subjects, lambda status=status: status)
        await bus.wait_connected()
        buses.append(bus)
    found = await gather_status(buses[0], subjects, timeout=5, at_most=3)
    assert [(status.role, status.name) for status in found] == [("compiler", "c"), ("edge", "e1"), ("edge", "e2")]
    assert await gather_status(buses[0], Subjects("green"), timeout=5) == []
    for bus in buses:
        await bus.close()


async def test_events_are_stored_in_order_even_if_the_bus_comes_late(nats: NatsServer) -> None:
    nats.kill()
    subjects = Subjects("blue")
    bus = Bus(BusOptions(servers=(nats.url,), name="e1"))
    await bus.start()
    publisher = EventPublisher(bus, subjects, "/limen/edge/e1")
    publisher.publish(EdgeJoined(edge="e1", worker=0), trace="ab" * 16)
    publisher.publish(IngressRejected(namespace="shop", name="web.v1"))
    await nats.start()
    await bus.wait_connected()
    await bus.ensure_stream(StreamSpec(name=subjects.events_stream, subjects=(subjects.events,)))

    async def both() -> bool:
        return len(await bus.range(subjects.events_stream, 1, limit=10)) == 2

    await eventually(both)
    stored = await bus.range(subjects.events_stream, 1, limit=10)
    assert [s.subject for s in stored] == [
        "blue.events.edge.joined.-.e1-0",
        "blue.events.ingress.rejected.shop.web~v1",
    ]
    event = json.loads(stored[0].data)
    assert event["type"] == "io.limen.edge.joined"
    assert event["source"] == "/limen/edge/e1"
    assert event["traceparent"].startswith("00-" + "ab" * 16)
    assert event["data"] == {"edge": "e1", "worker": 0}
    await publisher.close()
    assert b"limen_events_published_total" in metrics.render()
    await bus.close()
