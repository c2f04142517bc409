"""Commands for people against a bus where little or nothing answers: what they say, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from pathlib import Path

import pytest

from proto.events import EdgeLeft, cloud_event
from proto.reports import to_json
from services.runtime.bus import Bus, BusOptions
from tests.support.nats import nats_server
from tests.support.processes import REPOSITORY, limen, process
from tests.support.waiting import eventually

EVENT = to_json(
    cloud_event(
        EdgeLeft(edge="e", worker=1, reason="lost"), id_="1", source="/limen/x", time="2026-01-02T03:04:05.678901Z"
    )
)


@pytest.mark.parametrize(("command", "what"), [("status", "process"), ("approve", "compiler")])
async def test_nobody_answers(tmp_path: Path, command: str, what: str) -> None:
    async with nats_server(tmp_path) as nats:
        done = await asyncio.to_thread(
            subprocess.run, limen(command, f"--nats={nats.url}"), capture_output=True, text=True, cwd=REPOSITORY
        )
    assert done.returncode == 1
    assert f"no {what} of instance 'limen' answers at {nats.url}" in done.stderr
    assert "--state" in done.stderr


async def test_events_say_that_the_bus_is_gone(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as nats:
        bus = Bus(BusOptions(servers=(nats.url,), name="test"))
        await bus.start()
        await bus.wait_connected()
        with process(*limen("events", f"--nats={nats.url}"), log=tmp_path / "out") as child:

            async def heard() -> bool:
                await bus.publish("limen.events.edge.left.limen.e", EVENT)
                return "edge.left" in child.output()

            await eventually(heard, what="an event", every=0.1)
            await bus.close()
            nats.kill()
            await eventually(lambda: "connection to NATS is lost; connecting again" in child.output(), what="the loss")


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_a_reader_of_events_may_go_away(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with nats_server(tmp_path) as nats:
        bus = Bus(BusOptions(servers=(nats.url,), name="test"))
        await bus.start()
        await bus.wait_connected()
        child = await asyncio.create_subprocess_exec(
            *limen("events", f"--nats={nats.url}", *words),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            async with asyncio.timeout(20):
                heard = asyncio.create_task(child.stdout.readline())
                while not heard.done():  # until it has subscribed
                    await bus.publish("limen.events.edge.left.limen.e", EVENT)
                    await asyncio.wait((heard,), timeout=0.1)
                assert b"lost" in heard.result()
                child.stdout._transport.close()  # type: ignore[attr-defined]  # as `| head -1` does
                while child.returncode is None:
                    await bus.publish("limen.events.edge.left.limen.e", EVENT)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(child.wait(), 0.1)
                assert (await child.stderr.read()).decode() == ""
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
            await bus.close()
