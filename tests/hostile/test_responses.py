"""Responses by the grammar must come to the client as they are; mutated ones as every parser reads them, or as 502.

What an endpoint sent too much of never becomes the answer to somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hostile.grammar import Sent, fuzz, in_pieces, mutated, responses
from tests.hostile.readings import MalformedError, Message, by_h11_responses, read_one, responses_alike
from tests.hostile.world import World, world
from tests.support.edge import request

TARGET = b"/scripted"


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with world() as made:
        yield made
        made.unharmed()


def answered(running: World, pieces: list[bytes], *, closes: bool) -> bytes:
    """What a client gets while the endpoint sends ``pieces``."""
    running.capture.scripts[TARGET] = (pieces, closes)
    return running.play(request("GET", TARGET.decode()))


def first(received: bytes) -> Message | None:
    """The one response in ``received``; None: it broke off, which the client notices."""
    try:
        read = read_one(received, response=True)
    except MalformedError:
        raise AssertionError(received) from None
    if read is None:
        return None
    assert read[1] == len(received)
    assert len(responses_alike(received).messages) == 1
    return read[0]


@fuzz
@given(responses(), st.data())
def test_what_is_valid_comes_as_it_is(running: World, sent: Sent, data: st.DataObject) -> None:
    pieces = data.draw(in_pieces(st.just(sent.data)))
    closes = sent.closes or data.draw(st.booleans())
    read = first(answered(running, pieces, closes=closes))
    assert read is not None
    assert read.essence == (sent.start, sent.body)


@fuzz
@given(in_pieces(mutated(responses().map(lambda each: each.data))))
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
@example([b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"])
def test_what_is_mutated_is_read_alike_or_is_502(running: World, pieces: list[bytes]) -> None:
    read = first(answered(running, pieces, closes=True))
    if read is None or read.start == (b"502",):
        return
    expected = by_h11_responses(b"".join(pieces), ended=True).messages
    assert expected, (pieces, read)
    assert read.essence == expected[0].essence


@fuzz
@given(responses().filter(lambda each: not each.closes), st.sampled_from([b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n"]))
def test_what_is_too_much_is_nobodys_answer(running: World, sent: Sent, more: bytes) -> None:
    """The bystander asks on the same connections."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    read = first(answered(running, [sent.data + more + evil], closes=False))
    assert read is not None
    assert read.essence == (sent.start, sent.body)


BAD_HEADS = {
    "no version": b"200 OK\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "zero": b"HTTP/1.1 000 OK\r\n\r\n",
    "letters": b"HTTP/1.1 2xx OK\r\n\r\n",
    "minus": b"HTTP/1.1 -20 OK\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "tab": b"HTTP/1.1\t200 OK\r\n\r\n",
    "no reason, no space, text": b"HTTP/1.1 200OK\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "CR in the reason": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "leading empty line": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "leading space": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "one bare LF": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
    "no name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
    "space in a name": b"HTTP/1.1 200 OK\r\nX Y: x\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "DEL in a value": b"HTTP/1.1 200 OK\r\nX: a\x7fb\r\nContent-Length: 0\r\n\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings, chunked first": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "chunked over HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "empty coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "plus": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "minus one": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "hexadecimal": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
    "overflow": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    "a length with letters": b"HTTP/1.1 200 OK\r\nContent-Length: 5a\r\n\r\nhello",
    "101 that nobody asked for": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nhello",
    "interim with a body": b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
    "interim without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "a head of 64 KiB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 65536 + b"\r\n\r\n",
    "100 000 header lines": b"HTTP/1.1 200 OK\r\n" + b"X:y\r\n" * 100_000 + b"\r\n",
    "an ended head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2 frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "TLS": b"\x16\x03\x03\x00\x02\x01\x00",
    "HTML": b"<html>hello</html>",
    "first chunk broken": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_is_none_is_502(running: World, name: str, byte_by_byte: bool) -> None:
    data = BAD_HEADS[name]
    cut = byte_by_byte and len(data) < 1000
    pieces = [data[at : at + 1] for at in range(len(data))] if cut else [data]
    received = answered(running, pieces, closes=True)
    read = first(received)
    if name == "first chunk broken" and read is None:
        return  # the head had gone on before: the client sees that the rest is missing
    assert read is not None, received
    assert read.start == (b"502",)
    assert b"Set-Cookie" not in received


BROKEN_BODIES = {
    "shorter than its length": b"Content-Length: 10\r\n\r\nhello",
    "no last chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "half a chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "no end behind the last chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "a bad second chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
    "LF in the framing": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    "a bad trailer": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX\r\n\r\n",
    "a size of 16 digits": b"Transfer-Encoding: chunked\r\n\r\n0000000000000005\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_body_that_breaks_off_is_never_taken_for_complete(running: World, name: str) -> None:
    received = answered(running, [b"HTTP/1.1 200 OK\r\n" + BROKEN_BODIES[name]], closes=True)
    read = first(received)
    assert read is None or read.start == (b"502",)
