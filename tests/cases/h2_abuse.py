"""How each variant of the HTTP/2 cases is sent. The cases themselves are data (``h2_abuse.yaml``).

python -m tests.cases.h2_abuse PORT CASE VARIANT SECONDS      # sends one again and again, over TLS
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import msgspec
import yaml
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from msgspec import Struct

from tests.support.edge import HOST
from tests.support.http2 import Client, http2

FILE = Path(__file__).parent / "h2_abuse.yaml"
Play = Callable[[Client], Awaitable[int]]
"""Sends one variant; returns the stream that tells the outcome, 0 for the connection."""

MANY = 20_000
"""Frames of a flood; the connection is ended long before they are all sent."""


class Case(Struct, frozen=True):
    """One case, as the file has it. ``variants``: to the outcomes that pass."""

    id: str
    title: str
    client_sends: str
    variants: dict[str, list[str]]
    source: list[str]
    flood: bool = False


class _File(Struct, frozen=True):
    meta: dict[str, object]
    cases: tuple[Case, ...]


@functools.cache
def load() -> tuple[Case, ...]:
    """The cases of the file."""
    return msgspec.convert(yaml.safe_load(FILE.read_text()), _File).cases


PLAYS: dict[tuple[str, str], Play] = {}


Send = Callable[[Client, str], Awaitable[int]]


def play(case: str, *variants: str) -> Callable[[Send], Send]:
    """Register how the ``variants`` of a case are sent."""

    def register(send: Send) -> Send:
        for variant in variants:
            PLAYS[case, variant] = functools.partial(_played, send, variant)
        return send

    return register


def _played(send: Send, variant: str, client: Client) -> Awaitable[int]:
    return send(client, variant)


def raw(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame that no library would make."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def opened(client: Client) -> HeadersFrame:
    """A request whose body is still to come."""
    head = client.head("POST", "/attack", ended=False)
    client.send(head)
    return head


def fields(client: Client, *more: tuple[bytes | str, bytes | str], name: str | None = HOST) -> int:
    """A request with these fields, whatever they are."""
    frame = client.head("GET", "/attack", more, name=name)
    client.send(frame)
    return frame.stream_id


# --- frames in wrong places, of wrong sizes -----------------------------------------------------------------------


@play("H2-03", "data", "headers")
async def _too_large(client: Client, variant: str) -> int:
    if variant == "data":
        client.send(raw(0, 0, opened(client).stream_id, bytes(16385)))
    else:
        client.send(raw(1, 4, 1, bytes(16385)))
    return 0


@play("H2-05", "priority-between", "other-headers-between")
async def _interleaved(client: Client, variant: str) -> int:
    head = client.head("GET", "/attack")
    first, last = head.data[:5], head.data[5:]
    between = raw(2, 0, 1, bytes(5)) if variant == "priority-between" else raw(1, 5, 3, head.data)
    client.send(raw(1, 1, head.stream_id, first), between, ContinuationFrame(head.stream_id, last))
    return 0


@play("H2-08", "one-too-many")
async def _one_too_many(client: Client, variant: str) -> int:
    await client.until(lambda: 3 in client.settings)
    taken = [opened(client) for _ in range(client.settings[3])]
    over = opened(client)
    for head in taken:
        client.data(head.stream_id, b"")
    for head in taken:
        assert (await client.response(head.stream_id)).status == 200
    return over.stream_id


@play("H2-10", "data-after-end", "headers-after-end", "continuation-after-end")
async def _after_end(client: Client, variant: str) -> int:
    head = client.head("GET", "/attack")
    client.send(head, _late(client, head.stream_id, variant))
    return head.stream_id


@play("H2-10", "data-after-reset", "headers-after-reset", "continuation-after-reset")
async def _after_reset(client: Client, variant: str) -> int:
    head = opened(client)
    client.send(RstStreamFrame(head.stream_id, 8))
    client.send(_late(client, head.stream_id, variant))
    return head.stream_id


def _late(client: Client, stream: int, variant: str) -> bytes:
    if variant.startswith("data"):
        return DataFrame(stream, b"late").serialize()
    if variant.startswith("continuation"):
        return ContinuationFrame(stream, b"").serialize()
    return client.headers([("x-late", "1")], stream=stream).serialize()


@play("H2-15", "settings-on-1", "ping-on-1", "goaway-on-1", "data-on-0", "headers-on-0", "priority-on-0")
@play("H2-15", "reset-on-0", "continuation-on-0")
async def _wrong_stream(client: Client, variant: str) -> int:
    payloads = {
        "settings-on-1": raw(4, 0, 1, b""),
        "ping-on-1": raw(6, 0, 1, bytes(8)),
        "goaway-on-1": raw(7, 0, 1, bytes(8)),
        "data-on-0": raw(0, 1, 0, b"data"),
        "headers-on-0": raw(1, 5, 0, client.head("GET", "/attack").data),
        "priority-on-0": raw(2, 0, 0, bytes(5)),
        "reset-on-0": raw(3, 0, 0, bytes(4)),
        "continuation-on-0": raw(9, 4, 0, b""),
    }
    client.send(payloads[variant])
    return 0


@play("H2-24", "alone", "after-end-headers", "after-data")
async def _continuation(client: Client, variant: str) -> int:
    stream = 1
    if variant != "alone":
        stream = opened(client).stream_id
    if variant == "after-data":
        client.data(stream, b"data", ended=False)
    client.send(ContinuationFrame(stream, b"", flags=["END_HEADERS"]))
    return 0


# --- settings, windows, codes -------------------------------------------------------------------------------------


@play("H2-17", "enable-push-2", "window-2-31", "frame-16383", "frame-2-24")
async def _bad_settings(client: Client, variant: str) -> int:
    wrong = {
        "enable-push-2": (2, 2),
        "window-2-31": (4, 1 << 31),
        "frame-16383": (5, 16383),
        "frame-2-24": (5, 1 << 24),
    }
    identifier, value = wrong[variant]
    client.send(raw(4, 0, 0, identifier.to_bytes(2) + value.to_bytes(4)))
    return 0


@play("H2-18", "identifier-255")
async def _unknown_setting(client: Client, variant: str) -> int:
    client.send(raw(4, 0, 0, (255).to_bytes(2) + bytes(4)))
    return client.request("GET", "/attack")


@play("H2-19", "settings")
async def _settings(client: Client, variant: str) -> int:
    await client.answers_ping()
    before = client.acknowledged
    client.send(SettingsFrame(0))
    await client.until(lambda: client.acknowledged == before + 1)
    return client.request("GET", "/attack")


@play("H2-21", "connection", "stream")
async def _window_overflows(client: Client, variant: str) -> int:
    stream = opened(client).stream_id if variant == "stream" else 0
    client.open(stream, (1 << 31) - 1)
    client.open(stream, (1 << 31) - 1)
    return stream


@play("H2-22", "connection", "stream")
async def _window_by_nothing(client: Client, variant: str) -> int:
    stream = opened(client).stream_id if variant == "stream" else 0
    client.send(raw(8, 0, stream, bytes(4)))
    return stream


@play("H2-26", "goaway", "reset")
async def _unknown_codes(client: Client, variant: str) -> int:
    if variant == "goaway":
        client.send(GoAwayFrame(0, 0, 0xFF))
    else:
        client.send(RstStreamFrame(opened(client).stream_id, 0xFF))
    return client.request("GET", "/attack")


# --- heads --------------------------------------------------------------------------------------------------------


@play("H2-29", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te")
async def _connection_fields(client: Client, variant: str) -> int:
    values = {"connection": "x", "transfer-encoding": "chunked", "upgrade": "websocket", "te": "gzip"}
    return fields(client, (variant, values.get(variant, "timeout=5")))


@play("H2-30", "upper-case")
async def _upper_case(client: Client, variant: str) -> int:
    return fields(client, ("X-Bad-Header", "1"))


@play("H2-40", "crlf", "lf", "cr", "nul", "space-before", "space-behind")
async def _bad_value(client: Client, variant: str) -> int:
    values = {"crlf": b"safe\r\nevil: 1", "lf": b"safe\nevil: 1", "cr": b"safe\revil", "nul": b"sa\0fe"}
    values |= {"space-before": b" safe", "space-behind": b"safe "}
    return fields(client, (b"x-evil", values[variant]))


@play("H2-42", "crlf", "colon", "empty", "space")
async def _bad_name(client: Client, variant: str) -> int:
    names = {"crlf": b"foo: bar\r\nx", "colon": b"a:b", "empty": b"", "space": b"a b"}
    return fields(client, (names[variant], b"y"))


@play("H2-44", "differs", "twice")
async def _two_hosts(client: Client, variant: str) -> int:
    if variant == "differs":
        return fields(client, ("host", "evil.example"))
    return fields(client, ("host", HOST), ("host", "evil.example"))


@play("H2-46", "ftp", "url", "empty")
async def _scheme(client: Client, variant: str) -> int:
    scheme = {"ftp": "ftp", "url": "http://localhost/?", "empty": ""}[variant]
    frame = client.head("GET", "/attack", scheme=scheme)
    client.send(frame)
    return frame.stream_id


@play("H2-50", "content-length", "host", "x-forwarded-for", "x_auth_user")
async def _trailers(client: Client, variant: str) -> int:
    head = opened(client)
    client.data(head.stream_id, b"abc", ended=False)
    client.send(client.headers([(variant, "1")], stream=head.stream_id))
    return head.stream_id


@play("H2-51", "connect", "extended")
async def _connect(client: Client, variant: str) -> int:
    pairs = [(":method", "CONNECT"), (":authority", HOST)]
    if variant == "extended":
        pairs += [(":protocol", "websocket"), (":scheme", "https"), (":path", "/attack")]
    frame = client.headers(pairs)
    client.send(frame)
    return frame.stream_id


@play("H2-55", "TRACE", "trace", "Trace", "connect", "Connect", "CONNECT")
async def _refused_method(client: Client, variant: str) -> int:
    frame = client.head(variant, "/attack")
    client.send(frame)
    return frame.stream_id


@play("H2-56", "hundred", "one-more", "crumbs")
async def _many_lines(client: Client, variant: str) -> int:
    lines = [(f"x-{number}", "v") for number in range(100 if variant == "one-more" else 98)]
    more = [("cookie", f"c{number}=v") for number in range(200 if variant == "crumbs" else 1)]
    return fields(client, *lines, *more)


@play("H2-53", "not-in-the-certificate")
async def _other_authority(client: Client, variant: str) -> int:
    frame = client.head("GET", "/attack", name="uncovered.example")
    client.send(frame)
    return frame.stream_id


@play("H2-54", "both-in-the-certificate")
async def _coalesced(client: Client, variant: str) -> int:
    assert (await client.ask("GET", "/attack")).status == 200
    frame = client.head("GET", "/attack", name="other.example")
    client.send(frame)
    return frame.stream_id


# --- too much, too slow -------------------------------------------------------------------------------------------


@play("H2-70", "resets")
async def _rapid_reset(client: Client, variant: str) -> int:
    block = client.head("GET", "/attack").data
    client.encoder.encode([])
    return await _flood(client, lambda n: raw(1, 5, 2 * n + 3, block) + raw(3, 0, 2 * n + 3, b"\0\0\0\x08"))


@play("H2-71", "window-update-0", "over-the-window", "bad-priority")
async def _made_you_reset(client: Client, variant: str) -> int:
    block = client.head("POST", "/attack", ended=False).data
    wrong = {
        "window-update-0": lambda stream: raw(8, 0, stream, bytes(4)),
        "over-the-window": lambda stream: raw(8, 0, stream, b"\x7f\xff\xff\xff"),
        "bad-priority": lambda stream: raw(2, 0, stream, stream.to_bytes(4) + b"\0"),
    }[variant]
    return await _flood(client, lambda n: raw(1, 4, 2 * n + 3, block) + wrong(2 * n + 3))


@play("H2-72", "full", "empty")
async def _continuations(client: Client, variant: str) -> int:
    client.send(raw(1, 0, 1, b""))
    piece = raw(9, 0, 1, b"\0\x01a" + b"\x7f\x81\x7f" + bytes(8000) if variant == "full" else b"")
    return await _flood(client, lambda _: piece)


@play("H2-73", "bomb")
async def _bomb(client: Client, variant: str) -> int:
    head = client.head("GET", "/attack", [("x", 3000 * "a")] * 10_000)  # which the encoder puts into the table at once
    client.send(head)
    return head.stream_id


@play("H2-74", "pings")
async def _pings(client: Client, variant: str) -> int:
    piece = PingFrame(0, b"flooding").serialize()
    return await _flood(client, lambda _: piece)


@play("H2-75", "settings")
async def _settings_flood(client: Client, variant: str) -> int:
    piece = SettingsFrame(0, settings={3: 7}).serialize()
    return await _flood(client, lambda _: piece)


@play("H2-76", "empty-data")
async def _empty_data(client: Client, variant: str) -> int:
    piece = raw(0, 0, opened(client).stream_id, b"")
    return await _flood(client, lambda _: piece)


@play("H2-77", "window-updates")
async def _window_updates(client: Client, variant: str) -> int:
    piece = WindowUpdateFrame(0, 1).serialize()
    return await _flood(client, lambda _: piece)


@play("H2-79", "preface-alone", "no-end-of-headers")
async def _slow(client: Client, variant: str) -> int:
    if variant == "no-end-of-headers":
        await client.answers_ping()
        client.send(raw(1, 0, 1, client.head("GET", "/attack").data))
    return 0


@play("H2-80", "last-streams")
async def _last_streams(client: Client, variant: str) -> int:
    frame = client.head("GET", "/attack", stream=(1 << 31) - 1)
    client.send(frame)
    assert (await client.response(frame.stream_id)).status == 200
    return 0


async def _flood(client: Client, piece: Callable[[int], bytes]) -> int:
    """Send pieces until the edge has had enough."""
    for start in range(0, MANY, 50):
        if client.goaway or client.closed:
            break
        client.send(b"".join(piece(number) for number in range(start, start + 50)))
        await client.breathe()
    return 0


async def _attack(port: int, case: str, variant: str, seconds: float) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        async with http2(port) as client:
            await PLAYS[case, variant](client)


if __name__ == "__main__":
    asyncio.run(_attack(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])))
