"""Bad and odd requests, each in one write, byte by byte and over TLS, against a real edge with a strict origin behind.

The cases are data (``http1_bad_input.yaml``; its ``meta`` says what the outcomes mean). Whatever happens, another
client that asks all along gets its own answers and nothing else, and the next connection is served as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import msgspec
import pytest

from proto.codec import record_of
from proto.objects import ObjectKey
from proto.policies import SSLRedirect
from proto.resources import ResourceRecord
from services.contract.configmap.read import read_configmap
from tests.cases.bad_input import Case, Client, Mode, Response, connect, load
from tests.cases.outcomes import Played, judge
from tests.cases.recorder import Recorder, origins
from tests.support.edge import HOST, Edge, ask, edge, host, origin, read_reply, request, route, upstream
from tests.support.waiting import eventually

MODES: tuple[Mode, ...] = ("whole", "bytes", "tls")
ONE_WAY = {
    "CN-13": "is about bytes without TLS at the port with TLS",
    "PN-23": "is about the redirect from http to https",
    "PP-02": "is about what comes before TLS too",
    "PP-03": "is about what comes before TLS too",
}
"""Cases that cannot be sent over TLS."""
PAUSE = 0.002
"""Seconds that the bystander rests between two requests."""
KEPT = 900
"""Requests that the bystander sends on one connection, fewer than an edge takes on one (``keep-alive-requests``)."""


def parameters() -> list[object]:
    """Every case in every mode that it can be sent in."""
    sent = [(case, mode) for case in load().cases for mode in MODES if mode != "tls" or case.id not in ONE_WAY]
    return [pytest.param(case, mode, id=f"{case.id}-{mode}") for case, mode in sent]


def records(case: Case, ports: dict[str, int]) -> Iterator[ResourceRecord]:
    """One host whose routes lead to the origins, and one with a wildcard."""
    forced = case.config.get("annotations", {}).get("nginx.ingress.kubernetes.io/force-ssl-redirect") == "true"
    policies = (SSLRedirect(enabled=None, force=True),) if forced else ()
    paths = case.routes or [{"path": "/", "service": "web"}]
    routes = [route(f"default/{path['service']}:80", path["path"], policies=policies) for path in paths]
    yield host(HOST, *routes)
    yield host("*.wild.example", *routes)
    for service, port in ports.items():
        yield upstream(port, name=f"default/{service}:80")
    read = read_configmap(ObjectKey("configmap", "limen", "limen"), case.config.get("configmap", {}))
    yield record_of("global", read.settings)


def opening(case: Case) -> bytes:
    """What a client that does as it should says before its first request."""
    proxied = case.config.get("configmap", {}).get("use-proxy-protocol") == "true"
    return b"PROXY UNKNOWN\r\n" if proxied else b""


@asynccontextmanager
async def bystander(port: int, service: str, first: bytes) -> AsyncIterator[list[int]]:
    """Another client, asking for as long as the block runs. Raises AssertionError for a wrong answer.

    ``first``: what a connection begins with. It keeps its connection as long as an edge does: for KEPT requests.
    """
    stop = asyncio.Event()
    asked: list[int] = []

    async def run() -> None:
        while not stop.is_set() or not asked:
            await ask_on(*await asyncio.open_connection("127.0.0.1", port))

    async def ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        with closing(writer):
            for _ in range(KEPT):
                if stop.is_set() and asked:
                    return
                target = f"/bystander/{len(asked)}"
                writer.write(request("GET", target))
                reply = await read_reply(reader)
                assert (reply.status, reply.body) == (200, f"{service} GET {target}".encode())
                asked.append(reply.status)
                await asyncio.sleep(PAUSE)

    task = asyncio.create_task(run())
    try:
        yield asked
    finally:
        stop.set()
        await task


async def play(case: Case, mode: Mode, port: int, recorder: Recorder) -> Played:
    """Send the case. A connection that stays is asked once more, so that nothing that was left over goes unseen."""
    client: Client = await connect(port, mode, HOST)
    try:
        if not case.reads:
            client.transport.pause_reading()
        await client.send(case.data, mode)
        if not case.reads:
            await eventually(lambda: recorder.sent > 0)
            return Played(client, recorder, mode, case.data)
        wanted = 2 if "F2" in case.accept else 1000 if "FN" in case.accept else 1
        await client.until(lambda: len(client.replies) >= wanted)
        before = len(client.replies)
        if client.tunnelled:
            await client.send(b"ping", mode)
            await client.until(lambda: client.received.endswith(b"\r\n\r\nping"))
        elif not client.ended:
            client.transport.write(request("GET", "/sentinel"))
            await client.until(lambda: len(client.replies) > before)
        return Played(client, recorder, mode, case.data)
    finally:
        client.transport.abort()


async def unharmed(running: Edge, recorder: Recorder, service: str, first: bytes) -> None:
    """The next connection is served, and of those before none is left."""
    fresh = await ask(running.http, first + request())
    assert (fresh.status, fresh.body) == (200, f"{service} GET /".encode())
    assert recorder.malformed == []
    left = [each for listeners in running.listeners for each in listeners.each]
    await eventually(lambda: not any(listener.connections for listener in left), what="connections gone", every=0.001)


@pytest.mark.parametrize(("case", "mode"), parameters())
async def test_request(case: Case, mode: Mode) -> None:
    recorder = Recorder()
    services = [path["service"] for path in case.routes] or ["web"]
    forced = bool(case.config.get("annotations"))
    async with origins(recorder, *services) as ports, edge(*records(case, ports)) as running:
        port = running.https if mode == "tls" or case.config.get("port") == "https" else running.http
        plain = running.https if forced else running.http
        if forced:
            judge(case, await play(case, mode, port, recorder))
            return
        async with bystander(plain, services[-1], opening(case)) as asked:
            played = await play(case, mode, port, recorder)
        assert asked
        judge(case, played)
        if not case.reads:
            await eventually(lambda: recorder.open <= 1, what="the endpoint told that nobody reads")
        await unharmed(running, recorder, services[-1], opening(case))


WRONG: list[dict[str, object]] = [
    {"accept": ["R", "CLOSE", "LOCAL", "F2", "FN", "TUNNEL"]},
    {"upstream_requests_max": 0},
    {"upstream": {"body": "Goodbye"}},
    {"upstream": {"content_length": None}},
    {"upstream": {"header_present": ["X-Other"]}},
    {"upstream": {"header_absent": ["Host"]}},
    {"upstream": {"client_ip_headers": ["X-Request-ID"]}},
]


@pytest.mark.parametrize("words", WRONG, ids=str)
async def test_a_wrong_expectation_fails(words: dict[str, object]) -> None:
    case = next(case for case in load().cases if case.id == "CL-09")
    recorder = Recorder()
    async with origins(recorder, "web") as ports, edge(*records(case, ports)) as running:
        played = await play(case, "whole", running.http, recorder)
        judge(case, played)
        with pytest.raises(AssertionError):
            judge(msgspec.structs.replace(case, **words), played)


def not_connected(response: Response) -> list[pytest.MarkDecorator]:
    if not response.origin_sends.startswith("("):
        return []
    return [pytest.mark.skip(reason="no bytes: how long connecting may take is tested with endpoints that are silent")]


@pytest.mark.parametrize(
    "response", [pytest.param(each, id=each.id, marks=not_connected(each)) for each in load().responses]
)
async def test_response(response: Response) -> None:
    sends = response.origin_sends.replace("<1 MiB of a>", "a" * (1 << 20)).encode("latin-1")
    closes = "close" in response.expect or "close-delimited" in response.title or "chunked" in response.title

    async def answer(_seen: object, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sends)
        if closes:
            writer.close()

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        client = await connect(running.http, "whole", HOST)
        client.transport.write(request())
        match response.expect.replace(",", "").partition(" ")[0]:
            case "502" | "empty":
                await client.until(lambda: bool(client.replies))
                first = client.replies[0]
                assert first.status == 502 or (response.id == "RS-02" and (first.status, first.body) == (200, b""))
            case "client":
                await client.until(lambda: False)
                assert client.replies == []
                assert b"Content-Length: 10\r\n" in client.received
            case "200":
                await client.until(lambda: client.received.endswith(b"0\r\n\r\n"))
                assert b"Transfer-Encoding: chunked\r\n" in client.received
                assert b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n" in client.received
            case "first":
                await client.until(lambda: bool(client.replies))
                assert client.replies[0].body == b"hello"
                assert (await ask(running.http)).body == b"hello"
                assert web.connections == 2
            case other:
                raise AssertionError(f"nobody knows how to judge {other}")
        client.transport.abort()
        before = web.connections
        web.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
        assert (await ask(running.http)).body == b"next"
        assert web.connections == before + 1


def test_every_case_is_there_and_nothing_by_hand_is_left_over() -> None:
    ids = {case.id for case in load().cases}
    assert len(ids) == len(load().cases) == 142
    assert len(load().responses) == 14
    assert ids >= ONE_WAY.keys()
