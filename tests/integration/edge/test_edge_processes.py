"""An edge as it is run: ports, names, admin pages, events, and what it says about options that cannot be used."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from proto.codec import record_of
from proto.policies import Decorations, RateLimit
from proto.reports import RoleStatus
from proto.resources import Forward, PathMatch, Route, VirtualHost
from proto.signing import format_key, key_id_of
from proto.subjects import Subjects
from services.runtime.status import gather_status
from tests.support.edges import Connection, EdgeProcesses, ask, edge_processes, endpoint
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.snapshots import Publisher, answering, host, upstream
from tests.support.waiting import eventually


async def test_ipv4_and_ipv6_listeners(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    await publisher.start(answering("a.example.com", 403))
    six = free_port("::1")
    async with edge_processes(tmp_path / "edge", nats.url, "e1", 1, "--http", f"[::1]:{six}") as edge:
        await edge.start_ready()
        assert (await edge.ask("a.example.com")).status == 403
        connection = await Connection.open(six, "::1")
        assert (await connection.ask("a.example.com")).status == 403
        connection.close()


async def test_external_names(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    async with endpoint("outside") as pod:
        await publisher.start(
            host("ext.example.com", "default/ext:80"),
            upstream("default/ext:80", pod.port, address="localhost", dns=True),
        )
        async with (
            edge_processes(tmp_path / "open", nats.url, "open", 1, "--allow-loopback-upstreams") as trusting,
            edge_processes(tmp_path / "shut", nats.url, "shut") as careful,
        ):
            await trusting.start_ready()
            await careful.start_ready()

            async def reached() -> bool:
                return (await trusting.ask("ext.example.com")).body == b"outside"

            await eventually(reached)
            await eventually(lambda: "refused" in careful.output)
            assert (await careful.ask("ext.example.com")).status == 503
            assert await careful.metric("limen_edge_unresolved_names") == 1


async def test_what_an_edge_says_of_itself(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    async with endpoint("pod") as pod:
        await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
        async with edge_processes(tmp_path / "edge", nats.url, "e1", 2) as edge:
            await edge.start_ready()
            await edge.serves(1, 1)
            for _ in range(7):
                await edge.ask("a.example.com")
            await edge.ask("nobody.example.com")

            # /status, and the same over the bus
            status = await edge.status()
            assert status["counts"]["workers"] == 2
            assert status["counts"]["hosts"] == 1
            (over_bus,) = await gather_status(publisher.bus, Subjects(), at_most=1, timeout=2)
            assert isinstance(over_bus, RoleStatus)
            assert (over_bus.role, over_bus.name, over_bus.version) == ("edge", "e1", 1)
            assert [report.worker for report in over_bus.edges] == [0, 1]

            # metrics, ingress-nginx's names among them
            requests = "nginx_ingress_controller_requests"
            assert await edge.metric(requests, status="200", namespace="default", ingress="test", service="echo") == 7
            assert await edge.metric(requests, status="404") == 0, "as in ingress-nginx: nobody declared that host"
            assert await edge.metric("nginx_ingress_controller_nginx_process_requests_total") == 8
            assert await edge.metric("nginx_ingress_controller_request_duration_seconds_count", ingress="test") == 7
            assert await edge.metric("nginx_ingress_controller_config_last_reload_successful") == 1
            assert await edge.metric("limen_edge_ready") == 1
            assert await edge.metric("limen_edge_bus_connected") == 2
            assert await edge.metric("limen_edge_swap_seconds_count") == 2
            assert (await ask(edge.admin, path="/healthz")).status == 200

            # reports and events
            stored = await publisher.bus.last_of_each(
                f"KV_{publisher.subjects.edges_bucket}", publisher.subjects.edge_reports
            )
            reports = [json.loads(entry.data) for entry in stored]
            assert {(report["edge"], report["worker"], report["version"]) for report in reports} == {
                ("e1", 0, 1),
                ("e1", 1, 1),
            }
            assert all(report["digest"] == publisher.log.digest.hex() and report["proof"] for report in reports)

            async def announced() -> bool:
                events = await publisher.bus.range(publisher.subjects.events_stream, 1, limit=100)
                kinds = sorted(json.loads(event.data)["type"] for event in events)
                return kinds == ["io.limen.edge.applied"] * 2 + ["io.limen.edge.joined"] * 2

            await eventually(announced)


async def test_workers_count_clients_together(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    limit = RateLimit(per_minute=1, burst=9)
    who = Decorations(always=(("X-Worker", "$pid"),))
    action = Route(PathMatch("prefix", "/"), Forward("default/echo:80"), (limit, who), "default/test", "/")
    limited = record_of("a.example.com", VirtualHost("a.example.com", routes=(action,)))
    async with endpoint("pod") as pod:
        await publisher.start(limited, upstream("default/echo:80", pod.port))
        async with edge_processes(tmp_path / "edge", nats.url, "e1", 2) as edge:
            await edge.start_ready()
            await edge.serves(1, 1)
            answers = [await edge.ask("a.example.com") for _ in range(30)]
            assert [answer.status for answer in answers] == [200] * 10 + [503] * 20
            assert {int(answer.headers["x-worker"]) for answer in answers[:10]} <= set(await edge.worker_pids())
            for worker in await edge.worker_pids():  # one after the other, so that one always serves
                os.kill(worker, signal.SIGKILL)
                await eventually(lambda gone=worker: gone not in edge.children())
                await edge.ready()
                assert (await edge.ask("a.example.com")).status == 503


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda edge: (edge.folder / "verify.key").write_text("nonsense"), "--verify-key"),
        (lambda edge: (edge.folder / "sealing.key").unlink(), "--sealing-key"),
    ],
)
async def test_wrong_keys_are_named(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    edge = EdgeProcesses(tmp_path, "nats://127.0.0.1:1")
    change(edge)
    edge.start()
    assert edge.process is not None
    assert await asyncio.to_thread(edge.process.wait) != 0
    assert message in edge.output


async def test_a_verify_key_that_fits_no_snapshot_is_said(
    tmp_path: Path, nats: NatsServer, publisher: Publisher
) -> None:
    await publisher.start(answering("a.example.com", 403))
    public = os.urandom(32)
    async with edge_processes(tmp_path / "edge", nats.url) as edge:
        (edge.folder / "verify.key").write_text(format_key("verify", public, key_id_of(public)))
        edge.start()

        async def said() -> bool:
            return "--verify-key" in (await edge.status()).get("last_error", "")

        await eventually(said, 20)
        assert not await edge.is_ready()


async def test_a_port_in_use_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    edge = EdgeProcesses(tmp_path, "nats://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", edge.port)):
        edge.start()
        assert edge.process is not None
        assert await asyncio.to_thread(edge.process.wait) != 0
    assert f"127.0.0.1:{edge.port}: in use" in edge.output
