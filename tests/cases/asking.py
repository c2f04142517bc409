"""Requests of the behaviour cases, sent as they are written, and everything that came of them on both sides."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from dataclasses import dataclass
from typing import Any

import grpc
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from tests.cases.calls import call
from tests.cases.pods import Arrival
from tests.cases.world import World
from tests.support.edge import Reply, read_reply

TIME = 30.0
KNOWN = frozenset(
    {"method", "scheme", "host", "path", "headers", "body", "cookies", "basic_auth"}
    | {"sni", "client_cert", "port", "via", "count", "parallel"}
)


@dataclass
class Answer:
    """A response with what TLS said before it, or how a ``call`` of gRPC went."""

    reply: Reply
    seconds: float
    tls: ssl.SSLObject | None
    call: grpc.StatusCode | None = None

    @property
    def status(self) -> int:
        return self.reply.status

    def values(self, name: str) -> list[str]:
        lines = self.reply.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (value.split(";")[0].partition("=") for value in self.values("Set-Cookie"))
        return {name: value for name, _, value in pairs}

    @property
    def chain(self) -> list[x509.Certificate]:
        """The certificates that the edge sent."""
        assert self.tls is not None
        raw: Any = self.tls._sslobj  # type: ignore[attr-defined]  # the public method is there from Python 3.13 on
        return [x509.load_pem_x509_certificate(each.public_bytes().encode()) for each in raw.get_unverified_chain()]

    @property
    def names(self) -> list[str]:
        """The DNS names of the edge's own certificate."""
        extension = self.chain[0].extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        return list(extension.value.get_values_for_type(x509.DNSName))  # type: ignore[attr-defined]


@dataclass
class Exchange:
    """One answer, and what the pods saw meanwhile."""

    answer: Answer
    arrived: list[Arrival]


async def ask(world: World, entry: dict[str, Any]) -> list[Exchange]:
    """Send the request of ``entry`` as often as it says."""
    wanted = entry["request"]
    assert wanted.keys() <= KNOWN, f"nobody knows how to send {sorted(wanted.keys() - KNOWN)}"
    mark = len(world.arrived)
    if parallel := wanted.get("parallel"):
        answers = await asyncio.gather(*(_send(world, entry) for _ in range(parallel)))
        exchanges = [Exchange(answer, []) for answer in answers]
        exchanges[-1].arrived = world.arrived[mark:]
        return exchanges
    exchanges = []
    for _ in range(wanted.get("count", 1)):
        mark = len(world.arrived)
        exchanges.append(Exchange(await _send(world, entry), world.arrived[mark:]))
    return exchanges


def _head_and_body(world: World, entry: dict[str, Any]) -> tuple[bytes, bytes]:
    """(what goes before the request, the request); the bodies of requests stand under what is expected."""
    wanted, expected = entry["request"], entry["expect"]
    lines = [f"{wanted.get('method', 'GET')} {wanted['path']} HTTP/1.1", f"Host: {wanted['host']}"]
    lines += [f"{name}: {value}" for name, value in (wanted.get("headers") or {}).items()]
    cookies = dict(wanted.get("cookies") or {})
    preamble, via = b"", wanted.get("via", "")
    if via.startswith("cookie "):
        cookies |= world.saved_cookies
    elif via.startswith("PROXY "):
        preamble = via.partition("\r\n")[0].encode() + b"\r\n"
    else:
        assert not via, f"nobody knows how to send {via}"
    if cookies:
        lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()))
    if login := wanted.get("basic_auth"):
        lines.append("Authorization: Basic " + base64.b64encode(login.encode()).decode())
    text = wanted.get("body", expected.get("body", ""))
    body = bytes(expected["body_bytes"]) if "body_bytes" in expected else text.encode()
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return preamble, "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def _send(world: World, entry: dict[str, Any]) -> Answer:
    wanted = entry["request"]
    if delay := re.fullmatch(r"delay (\d+)(?: s)?", wanted.get("via", "")):
        return Answer(Reply(0, b"", b""), 0.0, None, await call(world, wanted, float(delay[1])))
    scheme = wanted.get("scheme", "http")
    assert wanted.get("port", world.told[scheme]) == world.told[scheme]
    preamble, data = _head_and_body(world, entry)
    started = time.monotonic()
    async with asyncio.timeout(TIME):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.ports[scheme])
        try:
            writer.write(preamble)
            if scheme == "https":
                context = world.client_context(certificate=bool(wanted.get("client_cert")))
                await writer.start_tls(context, server_hostname=wanted.get("sni") or wanted["host"])
            writer.write(data)
            reply = await read_reply(reader, bodiless=wanted.get("method") == "HEAD")
            return Answer(reply, time.monotonic() - started, writer.get_extra_info("ssl_object"))
        finally:
            writer.close()
