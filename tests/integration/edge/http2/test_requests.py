"""Requests that come over HTTP/2: what endpoints get to see of them, and what clients get back."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from proto.policies import Rewrite
from tests.support.edge import HOST, NO_HTTPS, Seen, ask, edge, host, origin, request, route, settings, upstream
from tests.support.http2 import Client, http2
from tests.support.waiting import eventually

PLAIN = host(HOST, route(policies=NO_HTTPS))


async def test_an_endpoint_gets_the_head_that_http_1_1_would_have_brought() -> None:
    fields = [("user-agent", "test"), ("cookie", "a=1"), ("te", "trailers"), ("x_dropped", "1"), ("cookie", "b=2")]
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        response = await client.ask("GET", "/a/%20b?c=d", [*fields, ("x-forwarded-for", "9.9.9.9"), ("x-own", "v")])
    assert (response.status, response.body) == (200, b"ok")
    seen = web.seen[0]
    assert seen.line == b"GET /a/%20b?c=d HTTP/1.1"
    assert seen.values("Host") == [HOST.encode()]
    assert seen.values("Cookie") == [b"a=1; b=2"]
    assert seen.value("X-Forwarded-For") == b"127.0.0.1"
    assert seen.value("X-Forwarded-Proto") == b"https"
    assert seen.value("X-Original-Forwarded-For") == b"9.9.9.9"
    assert len(seen.value("X-Request-ID")) == 32
    assert seen.value("X-Own") == b"v"
    for name in ("TE", "x_dropped", "Connection", "Transfer-Encoding", "Content-Length"):
        assert seen.values(name) == []


async def test_what_repeats_is_remembered_and_each_request_has_an_id_of_its_own() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        for number in range(3):
            assert (await client.ask("GET", f"/{number}", [("x-same", "1")])).status == 200
        running.change(settings(proxy_real_ip_cidr=("0.0.0.0/0",), use_forwarded_headers=True))
        again = [("x-same", "1"), ("x-forwarded-for", "9.9.9.9")]
        assert (await client.ask("GET", "/3", again)).status == 200
    assert [seen.line for seen in web.seen] == [b"GET /%d HTTP/1.1" % number for number in range(4)]
    assert len({seen.value("X-Request-ID") for seen in web.seen}) == 4
    assert web.seen[3].value("X-Real-IP") == b"9.9.9.9"


async def test_requests_are_answered_as_their_endpoints_answer_not_in_order() -> None:
    release = asyncio.Event()

    async def answer(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"GET /slow"):
            await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen.line), seen.line))

    async with origin(answer) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        slow = [client.request("GET", f"/slow/{number}") for number in range(20)]
        assert (await client.ask("GET", "/quick")).body == b"GET /quick HTTP/1.1"
        assert not any(client.at(stream).over for stream in slow)
        release.set()
        for number, stream in enumerate(slow):
            assert (await client.response(stream)).body == b"GET /slow/%d HTTP/1.1" % number


@pytest.mark.parametrize("buffering", [True, False])
@pytest.mark.parametrize("told", [True, False], ids=["length", "no-length"])
async def test_a_body_arrives_whole(buffering: bool, told: bool) -> None:
    body = gzip.compress(bytes(range(256)) * 200) * 40
    fields = [("content-length", str(len(body)))] if told else []
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port), settings(proxy_request_buffering=buffering)) as running,
        http2(running.https) as client,
    ):
        assert (await client.ask("POST", "/", fields, body=body)).status == 200
    seen = web.seen[0]
    assert seen.complete
    assert seen.body == body
    lengths = [str(len(body)).encode()] if told or buffering else []
    assert seen.values("Content-Length") == lengths
    assert bool(seen.values("Transfer-Encoding")) is not bool(lengths)


async def test_trailers_of_a_request_end_its_body_and_go_no_further() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        head = client.head("POST", ended=False)
        client.send(head)
        client.data(head.stream_id, b"abc", ended=False)
        client.send(client.headers([("x-trailer", "1")], stream=head.stream_id))
        assert (await client.response(head.stream_id)).status == 200
    assert web.seen[0].body == b"abc"
    assert b"x-trailer" not in web.seen[0].head.lower()


async def test_who_waits_for_100_continue_gets_it() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        head = client.head("POST", fields=[("expect", "100-continue"), ("content-length", "3")], ended=False)
        client.send(head)
        await client.until(lambda: client.at(head.stream_id).interim == [100])
        client.data(head.stream_id, b"abc")
        assert (await client.response(head.stream_id)).status == 200
    assert web.seen[0].body == b"abc"


@pytest.mark.parametrize(
    ("answer", "method", "status", "body", "present", "absent"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Own:  a b \r\nConnection: close, x-named\r\nx-named: 1\r\n"
            b"Server: s\r\n\r\nok",
            "GET",
            200,
            b"ok",
            {"content-length": "2", "x-own": "a b"},
            {"connection", "x-named", "server", "transfer-encoding"},
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nx: 1\r\n\r\n",
            "GET",
            200,
            b"ok",
            {},
            {"transfer-encoding", "trailer", "content-length", "x"},
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", 200, b"", {"content-length": "9"}, set()),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, b"", {}, {"content-length"}),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n', "GET", 304, b"", {"etag": '"e"'}, set()),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", 200, b"", {}, set()),
    ],
)
async def test_responses(
    answer: bytes, method: str, status: int, body: bytes, present: dict[str, str], absent: set[str]
) -> None:
    async with origin(answer) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        for _ in range(2):  # the second is made of what is remembered of the first
            response = await client.ask(method)
            assert (response.status, response.body) == (status, body)
            assert present.items() <= response.headers.items()
            assert not absent & response.headers.keys()
            assert not response.trailers
            assert "date" in response.headers
            assert response.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("complete", [True, False])
async def test_a_response_that_breaks_off_is_not_taken_for_complete(complete: bool) -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab" if complete else b"HTTP/1.1 200 OK\r\nConte")
        writer.close()

    async with origin(answer) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        response = await client.ask()
        if complete:
            assert (response.body, response.reset) == (b"ab", 2)
        else:
            assert response.status == 502
        assert (await client.ask("GET", "/%zz")).status == 400


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/%zz", [], 400),
        ("/../..", [], 400),
        ("/" + 9000 * "a", [], 414),
        ("/", [("content-length", "2000000")], 413),
        ("/", [("x-long", 20_000 * "a")], 431),
        ("/", [(f"x-{number}", "1") for number in range(120)], 431),
        ("/", [("x-long", 40_000 * "a")], 431),
    ],
)
async def test_what_is_refused(path: str, fields: list[tuple[str, str]], status: int) -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        head = client.head("POST" if status == 413 else "GET", path, fields, ended=status != 413)
        if len(head.data) > 16_000:
            client.send(*client.pieces(head))
        else:
            client.send(head)
        response = await client.response(head.stream_id)
        assert response.status == status
        assert b"<center>nginx</center>" in response.body
        assert (await client.ask()).status == 200
    assert len(web.seen) == 1


@pytest.mark.parametrize("path", ["/a#b", "*", "", "a", "http://t.example/"])
async def test_a_path_that_is_none_is_malformed(path: str) -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        assert (await client.ask("GET", path)).reset == 1
        assert (await client.ask()).status == 200
    assert len(web.seen) == 1


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_methods_that_nobody_may_use(method: str) -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        fields = [(":method", method), (":authority", HOST)]
        if method == "TRACE":
            fields += [(":scheme", "https"), (":path", "/")]
        frame = client.headers(fields)
        client.send(frame)
        assert (await client.response(frame.stream_id)).status == 405
        assert (await client.ask()).status == 200
    assert len(web.seen) == 1


async def test_answers_of_the_edge_itself() -> None:
    records = (
        host(HOST, route(path="/old", policies=(*NO_HTTPS, Rewrite("^/old$", "https://new.example/")))),
        host("none.example", route("default/gone:80")),
    )
    async with edge(*records) as running, http2(running.https) as client:
        found = await client.ask("GET", "/old")
        assert (found.status, found.headers["location"]) == (302, "https://new.example/")
        head = client.head("GET", "/", name="none.example")
        client.send(head)
        assert (await client.response(head.stream_id)).status == 503
        missing = await client.ask("HEAD", "/nowhere")
        assert (missing.status, missing.body) == (404, b"")
        assert missing.headers["content-type"] == "text/html"


async def test_records_tell_the_protocol() -> None:
    batches: list[tuple[object, ...]] = []
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        running.serving.traffic.on_batch(lambda batch, _columns: batches.extend(batch))
        async with http2(running.https) as client:
            await client.ask("GET", "/over-2")
        await ask(running.http, request("GET", "/over-1"))
        await eventually(lambda: running.statuses == {200: 2})
    assert [(record[10], record[11]) for record in batches] == [(b"/over-2", 2), (b"/over-1", 1)]


async def test_websockets_stay_on_http_1_1_of_the_same_port() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        writer.write(await reader.readexactly(4))

    lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    async with origin(answer) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/")]
        refused = client.headers([*fields, (":authority", HOST)])
        client.send(refused)
        response = await client.response(refused.stream_id)
        assert response.reset is not None or response.status >= 400
        reply = await ask(running.https, request("GET", "/", *lines), tls=HOST, bodiless=True)
        assert reply.status == 101


async def test_heads_may_be_as_large_as_is_said() -> None:
    async def status(client: Client, path: str, *fields: tuple[str, str]) -> int:
        known = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]
        head = client.headers([*known, *fields])
        client.send(*client.pieces(head))
        return (await client.response(head.stream_id)).status

    large = settings(large_client_header_buffers=(3, 24_000))
    async with origin() as web, edge(PLAIN, upstream(web.port), large) as running:
        async with http2(running.https) as client:
            assert await status(client, "/", ("x-long", 20_000 * "!"), ("x-more", 20_000 * "!")) == 200
            assert await status(client, "/" + 20_000 * "a") == 200
            assert await status(client, "/", ("x-long", 30_000 * "a")) == 431
            assert await status(client, "/" + 30_000 * "a") == 414
        running.change(settings(large_client_header_buffers=(2, 1024)))
        async with http2(running.https) as client:
            assert await status(client, "/", ("x-long", 900 * "a")) == 200
            assert await status(client, "/", ("x-long", 1100 * "a")) == 431
            assert await status(client, "/" + 1100 * "a") == 414


async def test_in_the_clear_it_is_spoken_as_long_as_the_settings_say_so() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        assert (await ask(running.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).status == 400
        running.change(settings(http2_in_clear=True))
        async with http2(running.http, tls=False) as client:
            assert (await client.ask("GET", "/")).status == 200
            assert (await ask(running.http)).status == 200
            running.change(settings())
            assert (await client.ask("GET", "/")).status == 200
        assert (await ask(running.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).status == 400


async def test_http2_is_offered_only_where_it_is_wanted() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port), settings(use_http2=False)) as running:
        with pytest.raises(AssertionError):
            async with http2(running.https):
                pass
        assert (await ask(running.https, tls=HOST)).status == 200
