"""What clients may not do over HTTP/2, against a real edge with a strict origin behind and another client beside.

The cases are data (``h2_abuse.yaml``; its ``meta`` says what the outcomes mean). Whatever happens, another client that
asks all along gets its own answers and nothing else, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest

from proto.policies import BackendProtocol
from proto.resources import ResourceRecord
from services.edge.core.http2 import errors
from tests.cases.h2_abuse import PLAYS, Case, load
from tests.cases.recorder import Recorder, origins
from tests.support.edge import HOST, NO_HTTPS, certificate, edge, host, route, settings, upstream
from tests.support.edge_process import EdgeProcess, edge_process
from tests.support.h2_endpoint import Request, endpoint
from tests.support.http2 import Client, http2
from tests.support.processes import REPOSITORY
from tests.support.waiting import eventually

CODES = {name: code for name, code in vars(errors).items() if isinstance(code, int)}
PAUSE = 0.002
MEMORY = 32 * 1024 * 1024
"""How much a flood may cost."""
AT_LEAST = 0.1
"""Seconds below which a 99th percentile says nothing: attacker, edge and bystander may share one core with others."""
OF_ENDPOINTS = "H2-52"
"""The case that is about endpoints: what they answer is played by ``test_bad_status_of_an_endpoint``."""

PLAYED = [(case, variant) for case in load() if case.id != OF_ENDPOINTS for variant in case.variants]
FLOODS = [(case, variant) for case, variant in PLAYED if case.flood]


def ids(pair: tuple[Case, str]) -> str:
    return f"{pair[0].id}-{pair[1]}"


def test_every_variant_is_played() -> None:
    assert {(case.id, variant) for case, variant in PLAYED} == PLAYS.keys()


def records(port: int) -> list[ResourceRecord]:
    """Hosts with TLS: two share a certificate that covers them, the third is not in it."""
    made, _ = certificate("default/pair", HOST, "other.example")
    hosts = [
        host(name, route("default/web:80", policies=NO_HTTPS), tls=True, certificate="default/pair")
        for name in (HOST, "other.example", "uncovered.example")
    ]
    return [*hosts, made, upstream(port), settings(http2_max_concurrent_streams=20, client_header_timeout=0.5)]


@asynccontextmanager
async def bystander(port: int, tls: bool) -> AsyncIterator[list[float]]:
    """Another client, on one connection for as long as the block runs; yields how long its answers took."""
    stop = asyncio.Event()
    took: list[float] = []

    async def run() -> None:
        async with http2(port, tls=tls) as client:
            while not stop.is_set() or not took:
                path = f"/bystander/{len(took)}"
                began = monotonic()
                response = await client.ask("GET", path)
                took.append(monotonic() - began)
                assert response.status == 200
                assert response.body in (f"web GET {path}".encode(), b"oo")
                await asyncio.sleep(PAUSE)

    task = asyncio.create_task(run())
    try:
        yield took
    finally:
        stop.set()
        await task


async def outcome(client: Client, stream: int, wanted: list[str]) -> str:
    """What became of what was sent, in the file's words."""
    if any(each.startswith("goaway") or each == "closed" for each in wanted):
        with suppress(TimeoutError):
            await client.until(lambda: client.closed or (stream > 0 and client.at(stream).over), 10)
        if client.goaway:
            return "goaway:" + name_of(client.goaway[-1].error_code)
        if client.closed:
            return "closed"
    response = await client.response(stream)
    if response.reset is not None and not response.ended:
        return "reset:" + name_of(response.reset)
    return "served" if response.status == 200 else f"status:{response.status}"


def name_of(code: int) -> str:
    return next(name for name, value in CODES.items() if value == code)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "h2c"])
@pytest.mark.parametrize("played", PLAYED, ids=ids)
async def test_abuse(played: tuple[Case, str], tls: bool) -> None:
    case, variant = played
    wanted = case.variants[variant]
    recorder = Recorder()
    async with origins(recorder, "web") as ports, edge(*records(ports["web"]), h2c=True) as running:
        port = running.https if tls else running.http
        async with bystander(port, tls), http2(port, tls=tls) as client:
            stream = await PLAYS[case.id, variant](client)
            came = await outcome(client, stream, wanted)
            assert came in wanted
            if not client.goaway and not client.closed:
                assert (await client.ask("GET", "/after")).status == 200
        assert recorder.malformed == []
        if "served" not in wanted:
            allowed = {"H2-08", "H2-80"}
            assert case.id in allowed or not [seen for seen in recorder.requests if complete(seen.target)]
        listeners = [listener for each in running.listeners for listener in each.each]
        await eventually(lambda: not any(listener.connections for listener in listeners), what="connections gone")
        await eventually(lambda: recorder.open == running.serving.pools.idle, what="endpoints left alone")


def complete(target: bytes) -> bool:
    return target == b"/attack"


@pytest.mark.parametrize("status", next(case for case in load() if case.id == OF_ENDPOINTS).variants)
async def test_bad_status_of_an_endpoint(status: str) -> None:
    case = next(case for case in load() if case.id == OF_ENDPOINTS)

    def answer(seen: Request) -> None:
        seen.link.engine.send_headers(seen.stream_id, [(":status", status)], end_stream=True)

    grpc = host(HOST, route(policies=[*NO_HTTPS, BackendProtocol("grpc")]))
    async with endpoint(answer) as web, edge(grpc, upstream(web.port)) as running, http2(running.https) as client:
        came = await outcome(client, client.request("GET", "/attack"), case.variants[status])
    assert came in case.variants[status]


@pytest.fixture(scope="module")
def victim() -> AsyncIterator[EdgeProcess]:
    with edge_process() as process:
        yield process


@pytest.mark.parametrize("played", FLOODS, ids=ids)
async def test_a_flood_harms_nobody_else(played: tuple[Case, str], victim: EdgeProcess) -> None:
    case, variant = played
    async with bystander(victim.https, True) as took:
        await eventually(lambda: len(took) >= 200)
        alone, before = percentile(took), victim.memory
        command = ("-m", "tests.cases.h2_abuse", str(victim.https), case.id, variant, "1")
        attacker = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=REPOSITORY)
        took.clear()
        assert await attacker.wait() == 0
        during = percentile(took)
    assert during <= max(2 * alone, AT_LEAST)
    assert victim.memory - before < MEMORY
    assert victim.alive


def percentile(took: list[float]) -> float:
    """The 99th."""
    assert len(took) > 20
    return sorted(took)[int(len(took) * 0.99)]
