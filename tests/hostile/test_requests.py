"""Requests by the grammar must pass as they are; mutated ones pass as every parser reads them, or are refused.

Never does an endpoint get a request that the client's bytes do not hold when they are read by others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.cases.bad_input import FILE, MORE, load
from tests.hostile.capture import answer_to
from tests.hostile.grammar import Sent, fuzz, in_pieces, mutated, requests
from tests.hostile.readings import Message, Reading, by_h11, by_llhttp, requests_alike, responses_alike
from tests.hostile.world import World, others, world

LOCAL = {200, 204, 301, 400, 404, 405, 408, 413, 414, 431, 501}
"""Statuses of answers to requests that are not as they should be."""


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with world() as made:
        yield made
        made.unharmed()


def seen_by_endpoint(running: World) -> list[Message]:
    """What all parsers read in what left the edge, connection by connection."""
    return others([message for raw in running.raw for message in requests_alike(raw).messages])


def held_by(data: bytes, seen: list[Message]) -> None:
    """Raise AssertionError unless others find in the client's bytes, in this order, what the endpoint saw.

    One of them may have given up before (h11 on an empty line before a request, llhttp on methods that it does not
    know); what they do read must be the same, and one of them must have read it.
    """
    held = [_held(read(data), seen) for read in (by_h11, by_llhttp)]
    assert max(held) == len(seen), (data, seen)


def _held(reading: Reading, seen: list[Message]) -> int:
    """How many of ``seen`` stand in ``reading``: all, unless it ended with an error."""
    found = iter([(_origin_form(message), message.body) for message in reading.messages])
    for number, message in enumerate(seen):
        if message.essence not in found:
            assert reading.ending == "error", (reading, message)
            return number
    return len(seen)


def _origin_form(message: Message) -> tuple[bytes, ...]:
    method, target = message.start
    match = re.fullmatch(rb"(?i:https?)://[^/?]+([^?]*)(\?.*)?", target)
    return (method, (match[1] or b"/") + (match[2] or b"")) if match else (method, target)


@fuzz
@given(st.lists(requests(), min_size=1, max_size=3), st.data())
def test_what_is_valid_passes_as_it_is(running: World, sent: list[Sent], data: st.DataObject) -> None:
    pieces = data.draw(in_pieces(st.just(b"".join(each.data for each in sent))))
    received = running.play(*pieces)
    assert [message.essence for message in seen_by_endpoint(running)] == [(each.start, each.body) for each in sent]
    for each in sent:
        head, _, received = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        body = answer_to(Message(each.start, (), each.body))
        assert b"\r\nContent-Length: %d" % len(body) in head
        if each.start[0] != b"HEAD":
            assert received.startswith(body)
            received = received[len(body) :]
    assert received == b""


@fuzz
@given(in_pieces(mutated(st.lists(requests().map(lambda each: each.data), min_size=1, max_size=2).map(b"".join))))
@example([b"POST /x HTTP/1.1\r\nHost: t.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
@example([b"POST /x HTTP/1.1\r\nHost: t.example\r\nX: y\nContent-Length: 43\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"])
def test_what_is_mutated_is_read_alike_or_refused(running: World, pieces: list[bytes]) -> None:
    received = running.play(*pieces)
    data = b"".join(pieces)
    held_by(data, seen_by_endpoint(running))
    if b"HEAD" not in data:
        answers = responses_alike(received)
        assert {int(message.start[0]) for message in answers.messages} <= LOCAL, answers


CASES = {case.id: case for file in (FILE, MORE) for case in load(file).cases if case.reads and len(case.data) < 1 << 16}


@pytest.mark.parametrize("name", sorted({name[:2] for name in CASES}))
def test_what_leaves_for_each_bad_request_is_read_alike(running: World, name: str) -> None:
    for case in CASES.values():
        if not case.id.startswith(name) or case.config or "TUNNEL" in case.accept:
            continue
        running.play(case.data)
        seen = seen_by_endpoint(running)
        assert len(seen) <= case.upstream_requests_max, case
        if case.id not in REFUSED_BY_OTHERS:
            held_by(case.data, seen)


REFUSED_BY_OTHERS = {"CH-28"}
"""Both of the others refuse trailers of these names; the edge leaves trailers away, whatever they are."""
