"""Which responses are packed with gzip, and what their heads say then."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import brotli
import pytest

from proto.resources import Settings
from services.edge.core.policies.compression import Packer, compression_of
from services.edge.core.response_head import CHUNKED, ResponseHead, read_whole
from tests.unit.edge.core.test_phases import asked, generation, route

BODY = b"<p>hello</p>" * 100


def head_of(*lines: str, status: int = 200, length: int = len(BODY), kind: str = "text/html") -> ResponseHead:
    shown = (f"Content-Type: {kind}", f"Content-Length: {length}", *lines)
    text = f"HTTP/1.1 {status} X\r\n" + "".join(f"{line}\r\n" for line in shown) + "\r\n"
    head = read_whole(text.encode(), True)
    assert head is not None
    return head


def packer(
    *lines: str, head: ResponseHead | None = None, method: str = "GET", bodiless: bool = False, **settings: object
) -> Packer:
    compression = compression_of(Settings(**{"use_gzip": True, **settings}))  # type: ignore[arg-type]
    assert compression is not None
    request = asked(generation(route()), "/", *lines, method=method)
    return Packer(compression, request, head or head_of(), bodiless)


def test_off_by_default() -> None:
    assert compression_of(Settings()) is None


def test_a_packed_response() -> None:
    made = packer(
        "Accept-Encoding: br, gzip", head=head_of('ETag: "1"', "Accept-Ranges: bytes", "Vary: Cookie", "X-A: b")
    )
    assert made.packs
    assert made.head.length == CHUNKED
    assert not made.head.framed
    assert made.head.passed.split(b"\r\n")[1:] == [
        b"Content-Type: text/html",
        b'ETag: W/"1"',
        b"Vary: Cookie",
        b"X-A: b",
        b"Vary: Accept-Encoding",
        b"Content-Encoding: gzip",
        b"",
    ]
    assert gzip.decompress(made.pack(BODY) + made.pack(b"") + made.pack(BODY) + made.end()) == BODY * 2
    assert made.end() == b""


def test_each_piece_can_be_read_when_it_comes() -> None:
    made, reader = packer("Accept-Encoding: gzip"), zlib.decompressobj(zlib.MAX_WBITS + 16)
    for piece in (b"data: 1\n\n", b"data: 2\n\n"):
        assert reader.decompress(made.pack(piece)) == piece


@pytest.mark.parametrize(
    ("accepts", "packs"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("br;q=1.0, gzip; q=1.0, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*", False),
        ("x-gzip", False),
        ("identity", False),
        ("", False),
    ],
)
def test_what_clients_take(accepts: str, packs: bool) -> None:
    made = packer(f"Accept-Encoding: {accepts}")
    assert made.packs is packs
    assert b"\r\nVary: Accept-Encoding\r\n" in made.head.passed  # it depends on it either way
    assert (b"Content-Encoding" in made.head.passed) is packs
    if not packs:
        assert made.pack(BODY) == BODY
        assert made.end(BODY) == BODY


@pytest.mark.parametrize(
    "head",
    [
        head_of(length=255),
        head_of(status=500),
        head_of(status=206),
        head_of(kind="image/png"),
        head_of("Content-Encoding: br"),
        head_of("Cache-Control: public, No-Transform"),
    ],
)
def test_what_is_left_as_it_is(head: ResponseHead) -> None:
    made = packer("Accept-Encoding: gzip", head=head)
    assert not made.packs
    assert made.head is head


def test_heads_alone_are_left_as_they_are() -> None:
    assert not packer("Accept-Encoding: gzip", bodiless=True).packs


@pytest.mark.parametrize(
    ("kind", "types", "packs"),
    [
        ("text/html; charset=utf-8", ("text/css",), True),
        ("TEXT/CSS", ("text/css",), True),
        ("text/csv", ("text/css",), False),
        ("text/csv", ("*",), True),
        ("application/json", Settings().gzip_types, True),
    ],
)
def test_types(kind: str, types: tuple[str, ...], packs: bool) -> None:
    assert packer("Accept-Encoding: gzip", head=head_of(kind=kind), gzip_types=types).packs is packs


@pytest.mark.parametrize(
    ("disable", "agent", "packs"),
    [
        ("msie6", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", False),
        ("msie6", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", True),
        ("msie6", "Mozilla/4.0 (compatible; MSIE 5.5)", False),
        ("msie6", "Mozilla/4.0 (compatible; MSIE 7.0)", True),
        ("msie6", "msie6", True),
        ("^curl/[0-7]", "CURL/7.1", False),
        ("^curl/[0-7]", "curl/8.1", True),
        ("", "anything", True),
    ],
)
def test_browsers_that_are_left_out(disable: str, agent: str, packs: bool) -> None:
    assert packer("Accept-Encoding: gzip", f"User-Agent: {agent}", gzip_disable=disable).packs is packs


def test_a_tag_that_is_weak_already_stays_and_one_that_is_none_goes() -> None:
    assert b'ETag: W/"1"\r\n' in packer("Accept-Encoding: gzip", head=head_of('ETag: W/"1"')).head.passed
    assert b"ETag" not in packer("Accept-Encoding: gzip", head=head_of("ETag: 1")).head.passed


BOTH: dict[str, Any] = {"enable_brotli": True, "use_gzip": True}


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("gzip, br", b"br"),
        ("BR;q=0.1, gzip", b"br"),
        ("gzip, br;q=0", b"gzip"),
        ("brotli", b""),
        ("gzip", b"gzip"),
        ("", b""),
    ],
)
def test_brotli_goes_before_gzip(accepts: str, coding: bytes) -> None:
    made = packer(f"Accept-Encoding: {accepts}", **BOTH)
    assert (b"\r\nContent-Encoding: %b\r\n" % coding in made.head.passed) is bool(coding)
    assert b"\r\nVary: Accept-Encoding\r\n" in made.head.passed
    packed = made.pack(BODY) + made.end(BODY)
    assert {b"br": brotli.decompress, b"gzip": gzip.decompress, b"": bytes}[coding](packed) == BODY * 2


def test_each_way_has_its_own_types_and_lengths() -> None:
    small = head_of(length=100)
    assert b"Content-Encoding: br" in packer("Accept-Encoding: gzip, br", head=small, **BOTH).head.passed
    assert not packer("Accept-Encoding: gzip", head=small, **BOTH).packs
    rss = head_of(kind="application/xml+rss")
    assert b"Content-Encoding: br" in packer("Accept-Encoding: gzip, br", head=rss, **BOTH).head.passed
    assert b"Vary" not in packer("Accept-Encoding: br", head=head_of(kind="image/png"), **BOTH).head.passed
    assert (
        b"Content-Encoding: gzip"
        in packer(
            "Accept-Encoding: gzip, br", brotli_types=("font/opentype",), head=head_of(kind="text/css"), **BOTH
        ).head.passed
    )


def test_browsers_that_cannot_read_gzip_may_read_brotli() -> None:
    lines = ("Accept-Encoding: gzip, br", "User-Agent: odd")
    assert b"Content-Encoding: br" in packer(*lines, gzip_disable="odd", **BOTH).head.passed
    assert not packer(*lines, gzip_disable="odd").packs


@pytest.mark.parametrize("level", range(12))
def test_every_level_of_brotli(level: int) -> None:
    made = packer("Accept-Encoding: br", enable_brotli=True, brotli_level=level)
    assert brotli.decompress(made.pack(BODY) + made.end(BODY)) == BODY * 2
