"""The Services' pods of a case, and servers beside them: each tells what it saw and answers as the path asks it to."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

import pytest

from tests.support.edge import Origin, Seen, read_body

_addresses = itertools.count(os.getpid() * 251)


@dataclass(frozen=True)
class Arrival:
    """A request as a pod got it."""

    pod: Pod
    seen: Seen

    @property
    def path(self) -> str:
        return self.seen.line.split(b" ")[1].decode("latin-1")

    @property
    def proto(self) -> str:
        return self.seen.line.split(b" ")[2].decode()

    def values(self, name: str) -> list[str]:
        return [value.decode("latin-1") for value in self.seen.values(name)]


@dataclass(eq=False)
class Pod:
    """One server. ``log``: where it tells what arrives; several pods may share one."""

    service: str
    log: list[Arrival] = field(repr=False)
    address: str = "127.0.0.1"
    port: int = 0
    _origin: Origin = field(default_factory=Origin, repr=False)
    _server: asyncio.Server | None = field(default=None, repr=False)

    async def start(self) -> Pod:
        self._origin.answer = self._answer
        self._server = await asyncio.start_server(self._origin.serve, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """Gone: no connection is taken any more, those there are end."""
        assert self._server is not None
        self._server.close()
        self._origin.close_connections()

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrival = Arrival(self, seen)
        self.log.append(arrival)
        if seen.value("Expect") == b"100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await read_body(seen, reader)
        status, headers, body = await _response(arrival)
        if self.service == "always-503":
            status = 503
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        if not seen.line.startswith(b"HEAD "):
            writer.write(body)
        await writer.drain()


async def outside(service: str, log: list[Arrival]) -> Pod:
    """A server with an address of its own at port 80, where ExternalName Services lead."""
    number = next(_addresses)
    pod = Pod(service, log, f"127.{64 + number % 128}.{number // 128 % 256}.1", 80)
    try:
        return await pod.start()
    except PermissionError:
        pytest.skip("needs to listen on port 80, to which Services without ports lead")


async def _response(arrival: Arrival) -> tuple[int, list[str], bytes]:
    """(status, header lines, body): what the path and the query ask for."""
    path, _, query = arrival.path.partition("?")
    words = parse_qs(query, keep_blank_values=True)
    headers = ["Strict-Transport-Security: max-age=3600; preload"] if "hsts" in words else []
    match path.strip("/").split("/"):
        case ["status", code]:
            return int(code), headers, b""
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case ["xml"]:
            return 200, ["Content-Type: application/xml"], b"<?xml version='1.0'?><all>" + b"<one/>" * 500 + b"</all>"
        case ["html"]:
            return 200, ["Content-Type: text/html; charset=utf-8"], b"<!DOCTYPE html>" + b"<p>text</p>" * 500
        case ["redirect-to"]:
            return 302, [f"Location: {words['url'][0]}"], b""
        case ["set-cookie"]:
            headers += [f"Set-Cookie: {cookie}" for cookie in words.get("c", [])]
        case ["cookies", "set", name, value]:
            headers.append(f"Set-Cookie: {name}={value}; Path=/")
        case ["basic-auth", user, password]:
            wanted = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
            if arrival.values("Authorization") != [f"Basic {wanted}"]:
                return 401, ['WWW-Authenticate: Basic realm="pod"'], b""
    return 200, [*headers, "Content-Type: text/plain"], f"{arrival.pod.service} got {arrival.path}".encode("latin-1")
