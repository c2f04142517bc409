"""Which outcomes a bad request had, and whether one of them passes. A field without a check fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cases.bad_input import Case, Client, Mode, Reply
from tests.cases.recorder import SENTINEL, Recorder, Request

_SENT_AT_MOST = 24 << 20
"""Bytes that may stand in buffers on the way to a client that does not read: nearly all are the kernel's."""


@dataclass
class Played:
    """What came of a case. ``replies``: without that to the request that was asked afterwards."""

    client: Client
    recorder: Recorder
    mode: Mode
    sent: bytes

    @property
    def replies(self) -> list[Reply]:
        return [reply for reply in self.client.replies if SENTINEL not in reply.head + reply.body]

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.replies]

    @property
    def requests(self) -> list[Request]:
        return self.recorder.requests


def judge(case: Case, played: Played) -> None:
    """Raise AssertionError unless one of the accepted outcomes came about, and nothing that must not."""
    shown = f"{played.statuses}, {'ended' if played.client.ended else 'open'}, upstream {played.requests}"
    assert len(played.requests) <= case.upstream_requests_max, shown
    assert not played.recorder.malformed, played.recorder.malformed
    for what in case.must_not:
        assert not MUST_NOT[what](played), what
    outcomes = [name for name in case.accept if OUTCOMES[name](case, played)]
    assert outcomes, f"none of {case.accept}: {shown}"
    if outcomes[0] in ("F1", "TUNNEL"):
        for name, wanted in case.upstream.items():
            OF_UPSTREAM[name](played.requests[0], wanted, played)


# --- outcomes


def _refused(case: Case, played: Played) -> bool:
    return _local(case, played) and played.client.ended and played.statuses[0] >= 400


def _closed(_case: Case, played: Played) -> bool:
    return played.statuses == [] and played.client.ended and not played.requests


def _local(case: Case, played: Played) -> bool:
    return len(played.statuses) == 1 and played.statuses[0] in case.status and not played.requests


def _forwarded(case: Case, played: Played) -> bool:
    """What follows on the connection may be refused; it is not forwarded."""
    if len(played.requests) != 1 or not case.reads:
        return len(played.requests) == 1 and 0 < played.recorder.sent < _SENT_AT_MOST
    first, *more = played.replies or [Reply(0, b"", b"")]
    refused = more == [] or (len(more) == 1 and more[0].status == 400 and played.client.ended)
    return first.status == 200 and first.body == played.requests[0].answer and refused


def _forwarded_both(_case: Case, played: Played) -> bool:
    bodies = [reply.body for reply in played.replies]
    return played.statuses == [200, 200] and bodies == [request.answer for request in played.requests]


def _forwarded_many(_case: Case, played: Played) -> bool:
    """As the one such case tells: a thousand, the last of which says so."""
    last = played.replies[-1].head.lower()
    return played.statuses == [200] * 1000 and b"\r\nconnection: close" in last and played.client.ended


def _tunnel(case: Case, played: Played) -> bool:
    accept = b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    echoed = played.client.received.endswith(b"\r\n\r\nping")
    return played.statuses == list(case.status) and accept in played.replies[0].head and echoed


OUTCOMES: dict[str, Callable[[Case, Played], bool]] = {
    "R": _refused,
    "CLOSE": _closed,
    "LOCAL": _local,
    "F1": _forwarded,
    "F2": _forwarded_both,
    "FN": _forwarded_many,
    "TUNNEL": _tunnel,
}


def _asked(method: bytes, target: bytes) -> Callable[[Played], bool]:
    return lambda played: any((each.method, each.target) == (method, target) for each in played.requests)


MUST_NOT: dict[str, Callable[[Played], bool]] = {
    "GET /smuggled upstream": _asked(b"GET", b"/smuggled"),
    "POST /smuggled upstream": _asked(b"POST", b"/smuggled"),
    "a header X-Injected upstream": lambda played: any(each.values("X-Injected") for each in played.requests),
    "a Set-Cookie response header": lambda played: any(
        b"\r\nset-cookie:" in each.head.lower() for each in played.replies
    ),
}


# --- what the endpoint saw


def _one(name: str) -> Callable[[Request, Any, Played], None]:
    def check(request: Request, wanted: str | None, _played: Played) -> None:
        assert request.values(name) == ([wanted.encode()] if wanted is not None else [])

    return check


def _body(request: Request, wanted: str, _played: Played) -> None:
    assert request.body == wanted.encode()


def _count_of_length(request: Request, wanted: int, _played: Played) -> None:
    assert len(request.values("Content-Length")) == wanted


def _chunked(request: Request, wanted: bool, _played: Played) -> None:
    assert bool(request.values("Transfer-Encoding")) == wanted


def _no_trailers(request: Request, unwanted: list[str], _played: Played) -> None:
    assert not {name.decode().lower() for name, _ in request.trailers} & set(unwanted)


def _header(request: Request, wanted: dict[str, str], played: Played) -> None:
    for name, value in wanted.items():
        of_tls = played.mode == "tls" and value == "http"  # the schemes are written down for a client without TLS
        assert request.values(name) == [b"https" if of_tls else value.encode("latin-1")], name


def _header_values(request: Request, wanted: dict[str, list[str]], _played: Played) -> None:
    for name, values in wanted.items():
        assert b", ".join(request.values(name)) == ", ".join(values).encode()


def _header_absent(request: Request, unwanted: list[str], _played: Played) -> None:
    assert [name for name in unwanted if request.values(name)] == []


def _header_present(request: Request, wanted: list[str], _played: Played) -> None:
    assert [name for name in wanted if not request.values(name)] == []


def _client_address(request: Request, wanted: list[str], _played: Played) -> None:
    for name in wanted:
        assert request.values(name) == [b"127.0.0.1"], name


def _version(request: Request, wanted: str, _played: Played) -> None:
    assert request.version == wanted.encode()


def _path(request: Request, wanted: str, _played: Played) -> None:
    assert request.target == wanted.encode()


def _service(request: Request, wanted: str, _played: Played) -> None:
    assert request.service == wanted


def _path_as_received(request: Request, _wanted: str, played: Played) -> None:
    """The choice is made: paths go on as they came."""
    assert request.target == played.sent.split(b" ")[1]


def _nothing(_request: Request, _wanted: str, _played: Played) -> None:
    """A note for people."""


OF_UPSTREAM: dict[str, Callable[[Request, Any, Played], None]] = {
    "content_length": _one("Content-Length"),
    "count_of_content_length": _count_of_length,
    "transfer_encoding": _one("Transfer-Encoding"),
    "transfer_encoding_seen_by_both": _chunked,
    "host": _one("Host"),
    "body": _body,
    "trailer_absent": _no_trailers,
    "header": _header,
    "header_raw": _header,
    "header_values": _header_values,
    "header_absent": _header_absent,
    "header_present": _header_present,
    "client_ip_headers": _client_address,
    "version": _version,
    "path": _path,
    "service": _service,
    "path_is": _path_as_received,
    "note": _nothing,
}
