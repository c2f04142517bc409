"""Edges and the bus: whatever becomes of NATS, an edge serves its last generation, and is current again soon after."""

from __future__ import annotations

import shutil
from pathlib import Path

from proto.resources import ResourceRecord
from services.runtime.bus import Bus, BusOptions
from tests.support.edges import EdgeProcesses, Endpoint, Load
from tests.support.nats import NatsServer
from tests.support.snapshots import Log, Publisher, answering, host, upstream
from tests.support.waiting import eventually


def from_pod(answer) -> bool:  # type: ignore[no-untyped-def]
    return answer.status == 200 and answer.body == b"pod"


async def test_follows_and_serves(edge: EdgeProcesses, publisher: Publisher, pod: Endpoint) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    assert from_pod(await edge.ask("a.example.com"))
    assert (await edge.ask("b.example.com")).status == 404
    await publisher.step(host("b.example.com"))
    await eventually(lambda: _is_from_pod(edge, "b.example.com"), 1)
    await edge.serves(1, 2)
    status = await edge.status()
    assert (status["ready"], status["connected"]) == (True, True)
    assert status["edges"][0]["digest"] == publisher.log.digest.hex()


async def _is_from_pod(edge: EdgeProcesses, name: str) -> bool:
    return from_pod(await edge.ask(name))


async def test_nats_killed_and_restarted(
    edge: EdgeProcesses, publisher: Publisher, pod: Endpoint, nats: NatsServer
) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    async with Load(edge.port, "a.example.com", from_pod) as load:
        await load.more(50)
        nats.kill()
        await load.more(200)
        assert await edge.is_ready()
        await nats.restart()
        await publisher.bus.wait_connected()
        await publisher.step(host("b.example.com"))
        await edge.serves(1, 2, 5)
        await load.more(50)
    assert load.failures == []


async def test_nats_restarted_empty(edge: EdgeProcesses, publisher: Publisher, pod: Endpoint, nats: NatsServer) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    for number in range(5):
        await publisher.step(host(f"h{number}.example.com"))
    await edge.start_ready()
    await edge.serves(1, 6)
    async with Load(edge.port, "a.example.com", from_pod) as load:
        await nats.restart(empty=True)
        await load.more(100)
        assert (await edge.status())["version"] == 6
        await publisher.bus.wait_connected()
        reborn = Publisher(publisher.bus, Log(epoch=2))
        await reborn.start(host("a.example.com"), upstream("default/echo:80", pod.port), host("new.example.com"))
        await edge.serves(2, 1)
        assert from_pod(await edge.ask("new.example.com"))
    assert load.failures == []


async def test_nats_restored_from_an_old_copy(
    edge: EdgeProcesses, publisher: Publisher, pod: Endpoint, nats: NatsServer, tmp_path: Path
) -> None:
    await publisher.start(answering("a.example.com", 404), upstream("default/echo:80", pod.port))
    nats.kill()
    shutil.copytree(nats.store, tmp_path / "copy")
    await nats.restart()
    await publisher.bus.wait_connected()
    await publisher.step(host("a.example.com"))
    await edge.start_ready()
    await edge.serves(1, 2)
    async with Load(edge.port, "a.example.com", from_pod) as load:
        nats.kill()
        shutil.rmtree(nats.store)
        shutil.copytree(tmp_path / "copy", nats.store)
        await nats.restart()
        await eventually(lambda: "older version" in edge.output)
        # what the compiler that wrote before the restore would write next: the same version with other content
        await publisher.bus.wait_connected()
        other = Log()
        other.step(answering("a.example.com", 404), upstream("default/echo:80", pod.port))
        await publisher.append(other.step(answering("a.example.com", 500)))
        await load.more(100)
        await eventually(lambda: _rejected(edge, "conflict"))
        # the compiler finds the reports' proofs and begins a new epoch
        reborn = Publisher(publisher.bus, Log(epoch=2))
        await reborn.rebase(host("a.example.com"), upstream("default/echo:80", pod.port), host("c.example.com"))
        await edge.serves(2, 1)
    assert load.failures == []


async def _rejected(edge: EdgeProcesses, reason: str) -> float:
    return await edge.metric("limen_edge_rejected_messages", reason=reason)


async def test_streams_purged(edge: EdgeProcesses, publisher: Publisher, pod: Endpoint) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    async with Load(edge.port, "a.example.com", from_pod) as load:
        await publisher.drop_streams()
        await load.more(100)
        await publisher.rebase(host("b.example.com"))
        await edge.serves(1, 2)
    assert load.failures == []


async def test_first_start_without_nats_answers_nobody(edge: EdgeProcesses, nats: NatsServer) -> None:
    nats.kill()
    edge.start()
    await eventually(lambda: "admin endpoint" in edge.output)
    await eventually(lambda: "cannot connect" in edge.output)
    assert not await edge.is_ready()
    assert not edge.accepts(), "nobody is told 404 by an edge that knows nothing"
    await nats.restart()
    bus = Bus(BusOptions(servers=(nats.url,), name="compiler"))
    await bus.start()
    await bus.wait_connected()
    await Publisher(bus, Log()).start(answering("a.example.com", 503))
    await edge.ready()
    assert (await edge.ask("a.example.com")).status == 503
    await bus.close()


async def test_restart_with_everything_else_gone(
    edge: EdgeProcesses, publisher: Publisher, pod: Endpoint, nats: NatsServer
) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    await eventually(edge.snapshot.exists)
    nats.kill()
    edge.kill()
    await edge.start_ready(2.0)
    assert from_pod(await edge.ask("a.example.com"))
    status = await edge.status()
    assert status["edges"][0]["stale"] is True
    assert not status.get("connected", False)
    assert await edge.metric("limen_edge_snapshot_stale") == 1
    # and the bus, when it is back, is followed from there
    await nats.restart()
    await publisher.bus.wait_connected()
    await publisher.step(host("b.example.com"))
    await edge.serves(1, 2)
    assert (await edge.status())["edges"][0].get("stale", False) is False


async def test_a_stranger_on_the_bus_moves_no_byte(edge: EdgeProcesses, publisher: Publisher, pod: Endpoint) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    stranger = Log(seed=bytes(32), epoch=7)
    genuine = publisher.log.step(host("b.example.com"))
    forgeries = [
        stranger.step(answering("a.example.com", 500)),
        genuine[:-1],
        genuine + b"x",
        b"",
        b"\xff" * 900_000,
        Log("other", epoch=8).step(answering("a.example.com", 500)),
    ]
    async with Load(edge.port, "a.example.com", from_pod) as load:
        for _ in range(3):
            for forgery in forgeries:
                await publisher.forge_live(forgery)
        await eventually(lambda: _rejected(edge, "signature"))
        await load.more(50)
    assert load.failures == []
    assert (await edge.status())["version"] == 1
    assert await _rejected(edge, "malformed") >= 6
    assert await _rejected(edge, "oversized") == 3
    assert "unknown key" in edge.output
    assert await edge.metric("limen_edge_generations") == 1
    await publisher.append(genuine)
    await edge.serves(1, 2)


async def test_a_refused_version_is_reported_within_a_second(
    edge: EdgeProcesses, publisher: Publisher, pod: Endpoint
) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
    await edge.start_ready()
    async with Load(edge.port, "a.example.com", from_pod) as load:
        await publisher.step(ResourceRecord("virtualhost", "a.example.com", b"\xc1 nonsense"))

        async def reported() -> bool:
            stored = await publisher.bus.last(
                f"KV_{publisher.subjects.edges_bucket}", publisher.subjects.edge_report("e1-0")
            )
            return stored is not None and b"virtualhost a.example.com" in stored.data

        await eventually(reported, 1.0)
        await load.more(50)
    assert load.failures == []
    assert await edge.is_ready()

    async def in_status() -> bool:
        return "virtualhost a.example.com" in (await edge.status()).get("last_error", "")

    await eventually(in_status, 1.0)
    assert await edge.metric("nginx_ingress_controller_config_last_reload_successful") == 0
