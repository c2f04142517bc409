"""Heads between HTTP/2 and the edge's own form: what goes on, and what is remembered."""

from __future__ import annotations

import pytest

from services.edge.core.forwarded import client_facts
from services.edge.core.generation import Generation
from services.edge.core.http2.events import RequestHead
from services.edge.core.http2.hpack_decoder import Decoder
from services.edge.core.http2_request import REMEMBERED, REMEMBERED_IN_ALL, Requests, block_of, check_target
from services.edge.core.http2_response import Blocks, fields_of
from services.edge.core.http2_response import block_of as response_block
from services.edge.core.request_head import USUAL_LIMITS, RefusedError
from services.edge.core.response_head import Naming, read_whole

FACTS = client_facts("192.0.2.1", 443, True)


def head(*fields: tuple[bytes, bytes], length: int = -1, authority: bytes = b"a.example") -> RequestHead:
    return RequestHead(b"GET", b"https", authority, length, False, fields)


@pytest.mark.parametrize(
    ("length", "ended", "framing"),
    [
        (-1, True, b""),
        (-1, False, b"Transfer-Encoding: chunked\r\n"),
        (5, False, b"Content-Length: 5\r\n"),
        (0, True, b"Content-Length: 0\r\n"),
    ],
)
def test_a_block_says_how_the_body_is_framed(length: int, ended: bool, framing: bytes) -> None:
    assert block_of(head((b"x", b"y"), length=length), ended) == b"\r\nHost: a.example\r\nx: y\r\n%b\r\n" % framing


@pytest.mark.parametrize(
    "field",
    [(b"a:b", b"c"), (b"X", b"y"), (b"", b"y"), (b"a b", b"c"), (b"x", b"y\r\nz: 1"), (b"x\r\ny", b"z"), (b"x", b"\n")],
)
def test_what_would_tear_a_head_apart_is_refused(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(RefusedError):
        block_of(head(field), True)


@pytest.mark.parametrize(
    ("method", "target", "status"), [(b"TRACE", b"/", 405), (b"CONNECT", b"", 405), (b"G", b"*", 400)]
)
def test_targets(method: bytes, target: bytes, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        check_target(method, target, USUAL_LIMITS)
    assert refused.value.status == status


@pytest.mark.parametrize(("method", "target"), [(b"GET", b"/a?b"), (b"OPTIONS", b"*")])
def test_good_targets(method: bytes, target: bytes) -> None:
    check_target(method, target, USUAL_LIMITS)


def test_the_same_head_is_read_once_in_a_generation() -> None:
    first, second = (Generation.first([], 1, version, bytes(32)) for version in (1, 2))
    requests = Requests(FACTS)
    one = head((b"user-agent", b"t"))
    prepared = requests.prepare(one, True, first)
    assert requests.prepare(one, True, first) is prepared
    assert requests.prepare(one, False, first) is not prepared
    again = requests.prepare(one, True, second)
    assert again is not prepared
    assert again.standing.generation is second
    assert b"X-Forwarded-For: 192.0.2.1\r\n" in prepared.middle


def test_memory_is_bounded() -> None:
    generation = Generation.first([], 1, 1, bytes(32))
    requests = Requests(FACTS)
    heads = [head((b"x", b"%d" % number)) for number in range(3 * REMEMBERED)]
    first = requests.prepare(heads[0], True, generation)
    for each in heads[1:]:
        requests.prepare(each, True, generation)
    assert requests.prepare(heads[0], True, generation) is not first
    assert requests.prepare(heads[-1], True, generation) is requests.prepare(heads[-1], True, generation)


@pytest.mark.parametrize("ended", [[True], [False], [True, False]])
def test_bytes_that_are_remembered_of_a_client_are_bounded(ended: list[bool]) -> None:
    generation = Generation.first([], 1, 1, bytes(32))
    requests = Requests(FACTS)
    for number in range(3 * REMEMBERED):
        large = head((b"x", b"%d" % number), (b"y", 3_000 * b"y"))
        whole = ended[number % len(ended)]
        assert requests.prepare(large, whole, generation) is requests.prepare(large, whole, generation)
        kept = [*requests._ended.values(), *requests._unended.values()]
        assert sum(len(each.headers.block) for each in kept) == requests._size <= REMEMBERED_IN_ALL
    requests.forget()
    assert not requests._ended
    assert not requests._unended


def test_names_with_an_underscore_are_left_out() -> None:
    generation = Generation.first([], 1, 1, bytes(32))
    prepared = Requests(FACTS).prepare(head((b"x_y", b"1"), (b"x-y", b"2")), True, generation)
    assert b"x_y" not in prepared.middle
    assert b"x-y: 2\r\n" in prepared.middle


def test_only_what_means_something_in_http2_goes_to_clients() -> None:
    lines = (
        b"Connection: close\r\nKEEP-Alive: 1\r\nTransfer-Encoding: chunked\r\nUpgrade: x\r\nX-A:  b c \r\nx-a: d\r\n"
    )
    assert fields_of(lines) == [(b"x-a", b"b c"), (b"x-a", b"d")]


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [field.pair for field in Decoder().decode(block)]


@pytest.mark.parametrize("dated", [True, False])
def test_a_response_is_encoded_once_but_for_its_date(dated: bool) -> None:
    line = b"Date: then\r\n" if dated else b""
    read = read_whole(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\nServer: s\r\n\r\n" % line, True)
    assert read is not None
    blocks = Blocks(b"Strict-Transport-Security: max-age=1\r\n")
    first, second = blocks.block(read, b"now"), blocks.block(read, b"later")
    assert (first == second) is dated
    assert dict(decoded(first)) == {
        b":status": b"200",
        b"content-length": b"2",
        b"strict-transport-security": b"max-age=1",
        b"date": b"then" if dated else b"now",
    }
    assert (
        dict(decoded(Blocks(b"", Naming(b"Server: limen\r\n", endpoints=True)).block(read, b"now")))[b"server"] == b"s"
    )
    assert blocks.says_the_same(Blocks(b"Strict-Transport-Security: max-age=1\r\n"))
    assert not blocks.says_the_same(Blocks(b""))


def test_own_answers() -> None:
    assert decoded(response_block(404, b"Content-Type: text/html\r\n")) == [
        (b":status", b"404"),
        (b"content-type", b"text/html"),
    ]
