"""Lines of the access log, written by an edge that serves real requests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace as replaced

from proto.policies import AccessLog as AccessLogPolicy
from proto.resources import ResourceRecord, Settings
from services.edge.access.log import AccessLog
from tests.support.edge import (
    HOST,
    Edge,
    Origin,
    Seen,
    ask,
    connection,
    edge,
    host,
    origin,
    read_body,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.waiting import eventually

DEFAULT = re.compile(
    r'(?P<addr>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) (?P<body>\d+) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<length>\d+) (?P<seconds>\d+\.\d{3}) \[(?P<name>[^]]*)\] \[\] '
    r"(?P<upstream>\S+(?:, \S+)*) (?P<ulength>\S+(?:, \S+)*) (?P<useconds>\S+(?:, \S+)*) (?P<ustatus>\S+(?:, \S+)*) "
    r"(?P<id>\S+)"
)


class Logged:
    """An edge with its log in ``path``."""

    def __init__(self, running: Edge, log: AccessLog, path: Path, site: Origin) -> None:
        self.edge = running
        self.log = log
        self.path = path
        self.site = site
        self._asked = 0

    def flush(self) -> None:
        """Have lines written that would wait for others, or for a second to pass."""
        self.edge.serving.traffic.flush()
        self.log._hand_over()

    async def lines(self, number: int) -> list[str]:
        """The first ``number`` lines (and there are no others)."""
        self.flush()
        await eventually(lambda: self.path.exists() and self.path.read_bytes().count(b"\n") >= number)
        found = self.path.read_text("latin-1").splitlines()
        assert len(found) == number, found
        return found

    async def line(self) -> str:
        """The one line."""
        return (await self.lines(1))[0]


@asynccontextmanager
async def logged(path: Path, *records: ResourceRecord, answer: object = None, **more: object) -> AsyncIterator[Logged]:
    """An edge that logs to ``path``, with one origin behind it."""
    values = {"access_log_path": str(path), **more}
    async with origin(*(() if answer is None else (answer,))) as site:  # type: ignore[arg-type]
        known = records or (host(), upstream(site.port))
        async with edge(*known, settings(**values)) as running:
            log = AccessLog(asyncio.get_running_loop(), running.serving.traffic)
            generation = running.serving.generation
            assert generation is not None
            log.follow(generation.settings)
            try:
                yield Logged(running, log, path, site)
            finally:
                await log.close()


async def test_the_default_line(tmp_path: Path) -> None:
    async with logged(tmp_path / "log") as there:
        sent = request("GET", "/a?b=c", "User-Agent: t/1", "Referer: http://r/", "X-Request-ID: abc")
        await ask(there.edge.http, sent)
        match = DEFAULT.fullmatch(await there.line())
    assert match is not None
    found = match.groupdict()
    assert (found["addr"], found["user"], found["request"]) == ("127.0.0.1", "-", "GET /a?b=c HTTP/1.1")
    assert (found["status"], found["body"], found["length"]) == ("200", "2", str(len(sent)))
    assert (found["referer"], found["agent"], found["name"]) == ("http://r/", "t/1", "default-web-80")
    assert (found["upstream"], found["ulength"], found["ustatus"]) == (f"127.0.0.1:{there.site.port}", "2", "200")
    assert found["id"] == "abc"


async def test_what_a_client_sends_cannot_forge_a_line(tmp_path: Path) -> None:
    async with logged(tmp_path / "log") as there:
        await ask(there.edge.http, request("GET", '/"\\', 'User-Agent: a"b\\c\td\xe9'))
        line = await there.line()
    assert r'"GET /\x22\x5C HTTP/1.1"' in line
    assert r'"a\x22b\x5Cc\x09d\xE9"' in line


async def test_json(tmp_path: Path) -> None:
    form = (
        '{"time": "$time_iso8601", "agent": "$http_user_agent", "none": "$http_x_none", "query": "$args",'
        ' "uri": "$uri",'
        ' "host": "$host", "cookie": "$cookie_b", "arg": "$arg_X", "ingress": "$namespace/$ingress_name", "status":'
        ' $status, "sent": "$sent_http_content_length", "scheme": "${scheme}", "user": "$remote_user"}'
    )
    async with logged(tmp_path / "log", log_format_escape_json=True, log_format_upstream=form) as there:
        lines = ('User-Agent: say "hi"\t\\', "Cookie: a=1; B=2", "Cookie: c=3", "Authorization: Basic dXNlcjpwYXNz")
        await ask(there.edge.http, request("GET", "/p%20q?x=1&y", *lines, name="T.example:80"))
        found = json.loads(await there.line())
    assert found["agent"] == 'say "hi"\t\\'
    assert found == found | {
        "none": "",
        "query": "x=1&y",
        "uri": "/p q",
        "host": HOST,
        "cookie": "2",
        "arg": "1",
        "ingress": "default/web",
        "status": 200,
        "sent": "2",
        "scheme": "http",
        "user": "user",
    }


async def test_answers_of_the_edge_itself(tmp_path: Path) -> None:
    async with logged(tmp_path / "log", host(HOST, route("default/none:80"))) as there:
        reply = await ask(there.edge.http, request())
        await ask(there.edge.http, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        await ask(there.edge.http, request("HEAD", "/"), bodiless=True)
        without_endpoints, refused, head = (DEFAULT.fullmatch(line) for line in await there.lines(3))
    assert without_endpoints is not None
    assert refused is not None
    assert head is not None
    assert without_endpoints["body"] == str(len(reply.body))
    assert (without_endpoints["status"], without_endpoints["name"]) == ("503", "default-none-80")
    assert [without_endpoints[name] for name in ("upstream", "ulength", "useconds", "ustatus")] == ["-"] * 4
    assert (refused["status"], refused["name"]) == ("400", "")
    assert head["body"] == "0"


async def test_a_client_that_leaves_is_499(tmp_path: Path) -> None:
    asked = asyncio.Event()
    never = asyncio.Event()

    async def silent(_seen: Seen, _reader: object, _writer: object) -> None:
        asked.set()
        await never.wait()

    async with logged(tmp_path / "log", answer=silent) as there:
        async with connection(there.edge.http) as (_, writer):
            writer.write(request())
            await asked.wait()
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        await eventually(lambda: there.edge.statuses)
        match = DEFAULT.fullmatch(await there.line())
        never.set()
    assert match is not None
    assert (match["status"], match["body"], match["ustatus"], match["ulength"]) == ("499", "0", "-", "0")


async def test_every_endpoint_that_was_tried_is_listed(tmp_path: Path) -> None:
    free = socket.socket()
    free.bind(("127.0.0.1", 0))  # bound and not listening: refuses
    refusing = free.getsockname()[1]
    async with origin() as site, logged(tmp_path / "log", host(), upstream(refusing, site.port)) as there:
        for _ in range(2):  # whichever of them comes first
            await ask(there.edge.http)
        matches = [DEFAULT.fullmatch(line) for line in await there.lines(2)]
        tried = next(match for match in matches if match is not None and "," in match["upstream"])
    free.close()
    assert tried["upstream"] == f"127.0.0.1:{refusing}, 127.0.0.1:{site.port}"
    assert (tried["ustatus"], tried["ulength"]) == ("502, 200", "0, 2")
    assert re.fullmatch(r"\d\.\d{3}, \d\.\d{3}", tried["useconds"])


async def test_what_is_not_to_be_logged(tmp_path: Path) -> None:
    quiet = replaced(route(path="/quiet"), policies=(AccessLogPolicy(enabled=False),))
    async with logged(tmp_path / "log", skip_access_log_urls=("/health", "~^/probe[0-9]")) as there:
        there.edge.change(host(HOST, route(), quiet))
        for target in ("/health", "/HEALTH", "/probe7/x", "/quiet/x", "/health?x"):
            await ask(there.edge.http, request("GET", target))
        await ask(there.edge.http, request("GET", "/", name="nobody.example"))
        await ask(there.edge.http, request("GET", "/healthz", name="nobody.example"))
        assert "GET /health?x " in await there.line()


async def test_lengths_of_bodies_in_chunks(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def in_pieces(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await more.wait()
        writer.write(b"0\r\n\r\n")

    form = "$bytes_sent $body_bytes_sent $request_length $upstream_response_length"
    async with logged(tmp_path / "log", answer=in_pieces, log_format_upstream=form) as there:
        sent = request("POST", "/", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"
        async with connection(there.edge.http) as (reader, writer):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            more.set()
            rest = await reader.readuntil(b"0\r\n\r\n")
        assert await there.line() == f"{len(head) + len(rest)} {len(rest)} {len(sent)} 3"


async def test_tls(tmp_path: Path) -> None:
    form = "$scheme $https $ssl_protocol $ssl_cipher $server_protocol $ssl_server_name $remote_port"
    async with logged(tmp_path / "log", log_format_upstream=form) as there:
        await ask(there.edge.https, request(), tls=HOST)
        scheme, on, protocol, cipher, version, name, port = (await there.line()).split()
    assert (scheme, on, protocol, version) == ("https", "on", "TLSv1.3", "HTTP/1.1")
    assert cipher.startswith("TLS_")
    assert name == HOST
    assert int(port) > 1024


async def test_a_change_of_form_and_place_is_followed(tmp_path: Path) -> None:
    async with logged(tmp_path / "log") as there:
        await ask(there.edge.http)
        there.log.follow(Settings(access_log_path=str(tmp_path / "other"), log_format_upstream="$status"))
        await ask(there.edge.http)
        assert DEFAULT.fullmatch(await there.line())
        there.path = tmp_path / "other"
        assert await there.line() == "200"
        there.log.follow(Settings(disable_access_log=True))
        await ask(there.edge.http)
        assert await there.line() == "200"


async def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with logged(path) as there:
        await ask(there.edge.http)
        await there.line()
        path.rename(tmp_path / "log.1")
        there.log.reopen()
        await ask(there.edge.http)
        await there.line()
        path.rename(tmp_path / "log.2")  # and without being told
        await ask(there.edge.http)
        await there.line()


async def test_syslog(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(10)
    port = server.getsockname()[1]
    async with logged(
        tmp_path / "log", enable_syslog=True, syslog_host="127.0.0.1", syslog_port=port, log_format_upstream="$status"
    ) as there:
        await ask(there.edge.http)
        there.flush()
        received = await asyncio.to_thread(server.recv, 4096)
    server.close()
    assert re.fullmatch(rb"<190>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d \S+ nginx: 200", received)


async def test_a_reader_that_stops_costs_lines_and_no_request(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    form = "x" * 60_000
    async with logged(path, log_format_upstream=form) as there, connection(there.edge.http) as (reader, writer):
        for _ in range(150):
            writer.write(request())
            assert (await read_reply(reader)).status == 200
            there.edge.serving.traffic.flush()
        assert there.log.lost > 0, "more than what may wait"
        os.close(reading)
    assert there.edge.statuses == {200: 150}


async def test_lines_in_a_pipe_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    async with logged(path, log_format_upstream="$req_id " + "x" * 300) as there:
        async with connection(there.edge.http) as (reader, writer):
            for number in range(200):
                writer.write(request("GET", "/", f"X-Request-ID: {number}"))
                await read_reply(reader)
                if number == 0:  # the thread opens the pipe; from then on it is written to directly
                    there.flush()
                    await eventually(lambda: there.log.written == 1)
        there.flush()
        await eventually(lambda: there.log.written == 200)
        assert there.log.lost == 0
        lines = os.read(reading, 1 << 20)
    os.close(reading)
    assert lines.splitlines() == [b"%d %b" % (number, b"x" * 300) for number in range(200)]


async def test_http2(tmp_path: Path) -> None:
    async with logged(tmp_path / "log") as there:
        command = ["curl", "-sk", "--http2", f"https://{HOST}:{there.edge.https}/x?y", "-A", "t/2"]
        command += ["--resolve", f"{HOST}:{there.edge.https}:127.0.0.1"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        match = DEFAULT.fullmatch(await there.line())
    assert output == b"ok"
    assert match is not None
    assert (match["request"], match["status"], match["agent"]) == ("GET /x?y HTTP/2.0", "200", "t/2")
    assert match["upstream"] == f"127.0.0.1:{there.site.port}"
