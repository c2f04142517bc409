"""The whole, and what becomes of NATS: traffic never notices, and changes are live again soon after."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from proto.codec import encode
from proto.objects import ObjectKey
from proto.subjects import Subjects
from services.runtime.bus import Bus, BusOptions
from tests.support.edges import ask
from tests.support.pipeline import Pipeline, annotated
from tests.support.traffic import Counter, on
from tests.support.waiting import eventually

HOST, TLS = "a.example.com", "tls.example.com"
SUBJECTS = Subjects()


@pytest.mark.parametrize("seconds", [0.0, 3.0])
async def test_killed_and_back(running: Pipeline, seconds: float) -> None:
    """What was changed meanwhile, and what is changed afterwards, is live within five seconds of its return."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        running.nats.kill()
        counter.step()
        await asyncio.sleep(seconds)  # how long it is away is what differs
        await traffic.more(100)
        assert all([await edge.is_ready() for edge in running.edges])
        await running.nats.restart()
        await counter.live(5)
        counter.step()
        await counter.live(1)
        await traffic.more(50)
    traffic.check()
    counter.check()
    epochs = {(await role.position())[0] for role in (running.compiler, *running.edges)}
    assert epochs == {1}, "nothing was lost: no new epoch"


async def test_restarted_empty(running: Pipeline) -> None:
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        await counter.churn(5)
        await counter.live(5)
        before = max([await edge.position() for edge in running.edges])
        await running.nats.restart(empty=True)
        counter.step()
        await counter.live(10)
        counter.step()
        await counter.live(1)
        await traffic.more(50)
        positions = [await edge.position() for edge in running.edges]
        assert all(position[0] > before[0] for position in positions), "a new epoch"
        await eventually(running.agrees)
    traffic.check()
    counter.check()


async def test_restarted_empty_with_the_compiler_gone_for_good(running: Pipeline) -> None:
    """The new compiler knows nothing but what edges report: their proofs make it open a higher epoch."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        await counter.churn(5)
        await counter.live(5)
        running.compiler.kill()
        shutil.rmtree(running.folder / "compiler-state", ignore_errors=True)
        await running.nats.restart(empty=True)
        running.compiler.start()
        counter.step()
        await counter.live(10)
        assert {(await edge.position())[0] for edge in running.edges} == {2}
        await eventually(running.agrees)
        await traffic.more(50)
    traffic.check()
    counter.check()


async def test_restored_from_an_old_copy(running: Pipeline, tmp_path: Path) -> None:
    """Edges hold versions that the log lacks: they never go back, and a new epoch brings everybody together."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        await _roll_back(running, counter, tmp_path)
        counter.step()
        await counter.live(30)
        counter.step()
        await counter.live(1)
        assert {(await edge.position())[0] for edge in running.edges} == {2}
        await traffic.more(50)
    traffic.check()
    counter.check()


async def test_restored_from_an_old_copy_with_every_writer_restarted(running: Pipeline, tmp_path: Path) -> None:
    """Watcher and compiler come back knowing nothing: the old objects on the bus must not be served again."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        for role in (running.compiler, running.watcher):
            role.kill()
        running.compiler.start()
        running.watcher.start()
        await _roll_back(running, counter, tmp_path, running.compiler, running.watcher)
        counter.step()
        await counter.live(30)
        counter.step()
        await counter.live(1)
        await eventually(running.agrees)
        await traffic.more(50)
    traffic.check()
    counter.check()


async def _roll_back(running: Pipeline, counter: Counter, folder: Path, *restarted) -> None:  # type: ignore[no-untyped-def]
    """Put the bus' files back to what they were twenty changes ago; ``restarted``: roles that are killed meanwhile."""
    await counter.live(10)
    await eventually(running.agrees)
    running.nats.kill()
    shutil.copytree(running.nats.store, folder / "copy")
    await running.nats.restart()
    counter.step()
    await counter.live(5)
    await counter.churn(20)
    await counter.live(5)
    for role in restarted:
        role.kill()
    running.nats.kill()
    shutil.rmtree(running.nats.store)
    shutil.copytree(folder / "copy", running.nats.store)
    await running.nats.restart()
    for role in restarted:
        role.start()


async def test_streams_taken_away(running: Pipeline) -> None:
    """An operator deletes every stream: all of them come back with the next change."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        bus = await _bus(running)
        for stream in (SUBJECTS.deltas_stream, SUBJECTS.bases_stream, SUBJECTS.objects_stream):
            await bus.purge(stream)
        counter.step()
        await counter.live(10)
        await bus.close()
        await traffic.more(50)
    traffic.check()
    counter.check()


async def test_a_stranger_on_the_bus_moves_nothing(running: Pipeline) -> None:
    """Whatever somebody without keys publishes, on any subject: no byte of traffic changes, and it is named."""
    stranger = await _bus(running)
    compiler, edge = running.compiler, running.edge
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        await eventually(running.agrees)
        before = await compiler.position()
        genuine = await stranger.last(SUBJECTS.deltas_stream, SUBJECTS.delta)
        assert genuine is not None
        key = ObjectKey("ingress", "shop", HOST)
        stored = await stranger.last(SUBJECTS.objects_stream, SUBJECTS.object(key))
        assert stored is not None
        other = SUBJECTS.object(ObjectKey("ingress", "shop", "victim"))
        torn = stored.data[:-20] + bytes(20)
        nonsense = [b"", b"\x00", b"\xff" * 900_000, encode((1, b"body", bytes(16))), encode((99, b"", b""))]
        for data in (*nonsense, torn, stored.data):
            await stranger.publish(other, data)  # the last one: genuine, but moved to another name
        for data in (*nonsense[1:], torn):
            await stranger.publish(SUBJECTS.object(key), data)
        for data in (*nonsense, genuine.data[:-1], genuine.data, _flipped(genuine.data)):
            await stranger.publish(SUBJECTS.live_delta, data)
            await stranger.publish(SUBJECTS.delta, data)
            await stranger.publish(SUBJECTS.beacon, data)
            await stranger.publish(SUBJECTS.findings, data)
            await stranger.publish(SUBJECTS.accepted("shop", "victim"), data)
            await stranger.publish(SUBJECTS.accepted("shop", HOST), data)
            await stranger.publish(SUBJECTS.base_chunk(*before, 0), data)
            await stranger.publish(SUBJECTS.edge_report("stranger-0"), data)
        await stranger.publish(SUBJECTS.delta, encode((1, [], b"x")))
        await eventually(lambda: _rejected(running))
        for reason in ("malformed", "oversized", "signature"):
            assert await edge.metric("limen_edge_rejected_messages", reason=reason), reason
            assert f"reason={reason}" in edge.output
        assert "message refused" in compiler.output
        await traffic.more(100)
        assert {await each.position() for each in running.edges} == {before}
        assert (await ask(edge.http, "victim")).status == 404
        # and the pipeline goes on
        counter.step()
        await counter.live(5)
        await traffic.more(50)
    traffic.check()
    counter.check()
    await stranger.close()


async def test_a_stranger_fills_the_bus_before_a_compiler_starts(running: Pipeline) -> None:
    """A compiler that starts finds forged objects in the place of good ones, and a forged log. It publishes nothing
    until the watcher, which compares the bus with what it left, has put that right: no route is lost."""
    stranger = await _bus(running)
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        running.compiler.kill()
        forged = encode((1, encode(annotated(HOST, app_root="/forged")), bytes(16)))
        await stranger.publish(SUBJECTS.object(ObjectKey("ingress", "shop", HOST)), forged)
        await stranger.publish(SUBJECTS.object(ObjectKey("ingress", "shop", "more")), b"\xc1")
        await stranger.publish(SUBJECTS.delta, encode((1, [], b"")))
        await stranger.publish(SUBJECTS.accepted("shop", HOST), b"\xc1")
        await stranger.publish(SUBJECTS.edge_report("edge-1-0"), b"{}")
        running.compiler.start()
        counter.step()
        await eventually(lambda: "before the watcher confirms" in running.compiler.output)
        await traffic.more(100)
        assert await running.compiler.metric("limen_compiler_rejected_messages") >= 4
        running.watcher.kill()  # a watcher that starts compares at once; one that runs, every half minute
        running.watcher.start()
        await counter.live(10)
        await traffic.more(50)
        fresh = running.add_edge("fresh")
        running.other.append(fresh)
        fresh.start()
        await fresh.ready()
        await eventually(running.agrees)
    traffic.check()
    counter.check()
    await stranger.close()


def _flipped(data: bytes) -> bytes:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return bytes(flipped)


async def _rejected(running: Pipeline) -> bool:
    reasons = [await edge.metric("limen_edge_rejected_messages", reason="signature") for edge in running.edges]
    return all(reasons) and await running.compiler.metric("limen_compiler_rejected_messages") >= 20


async def _bus(running: Pipeline) -> Bus:
    bus = Bus(BusOptions(servers=(running.nats.url,), name="stranger"))
    await bus.start()
    await bus.wait_connected()
    return bus
