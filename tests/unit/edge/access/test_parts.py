"""The access log's parts by themselves: escaping, what is remembered, pieces of a pipe, times."""

from __future__ import annotations

import json
import os
import weakref
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.variables.registry import VARIABLES
from services.edge.access.blocks import Blocks
from services.edge.access.clock import Times, common_log_time, iso_time, syslog_time
from services.edge.access.escape import ESCAPES
from services.edge.access.form import DEFAULT_FORMAT, Form, Renderer
from services.edge.access.outlet import Direct, File, pieces
from services.edge.access.rows import Rows
from services.edge.access.values import column_of, header_of
from services.edge.access.writer import Writer
from services.edge.core.header_reads import cookie, header
from services.edge.core.link import NO_LINK, Secured
from services.edge.core.plan import RouteLabels
from services.edge.core.tried import Tried
from services.edge.strangers import AT_MOST, Strangers
from services.edge.traffic import Record
from tests.support.waiting import eventually


def test_rows_are_the_columns_of_records() -> None:
    assert Rows.__struct_fields__[: len(Record._fields)] == Record._fields


def test_every_variable_that_has_a_value_is_found_somewhere() -> None:
    for name, entry in VARIABLES.items():
        found = column_of(name, ESCAPES["default"]) or header_of(name)
        assert (found is not None) == (entry.since != "never"), name


@given(st.binary())
def test_default_escaping_leaves_only_what_cannot_forge(value: bytes) -> None:
    text = ESCAPES["default"].one(value)
    assert all(0x20 <= byte < 0x7F for byte in text)
    assert b'"' not in text
    assert ESCAPES["default"].all([value, None]) == [text, b"-"]


@given(st.text())
def test_json_escaping_is_json(value: str) -> None:
    assert json.loads(b'"%b"' % ESCAPES["json"].one(value.encode("utf-8", "replace"))) == value.encode(
        "utf-8", "replace"
    ).decode("utf-8")


@given(st.binary())
def test_without_escaping_a_line_stays_a_line(value: bytes) -> None:
    assert ESCAPES["none"].one(value) == value.replace(b"\r", b" ").replace(b"\n", b" ")


def test_headers_of_one_name_are_joined_whatever_their_case() -> None:
    block = b"\r\nHost: h\r\nX-A: 1\r\nx-a:\t2 \r\nCookie: a=1; B=2\r\nX-Ab: no\r\ncookie: c=3\r\n\r\n"
    lower = block.lower()
    assert header("x-a")(block, lower) == b"1, 2"
    assert header("x-none")(block, lower) is None
    assert [cookie(name)(block, lower) for name in ("a", "b", "c", "d")] == [b"1", b"2", b"3", None]


def test_what_repeats_is_remembered_and_what_does_not_is_not() -> None:
    blocks = Blocks(ESCAPES["default"])
    blocks.add(header("x-a"))
    one = b"\r\nX-A: 1\r\n\r\n"
    assert blocks.columns([one, b"\r\n\r\n", one]) == ((b"1", b"-", b"1"),)
    for number in range(40):
        (column,) = blocks.columns([b"\r\nX-A: %d\r\n\r\n" % number])
        assert list(column) == [b"%d" % number]
    assert len(blocks._known) <= 1


_LINES = st.sampled_from(
    (b"X-A: 1", b"x-a:\t2 ", b"X-A:", b'X-A: "', b"X-Ab: 3", b"Cookie: a=1; B=2", b"cookie: b=3", b"X-B: X-A: 4",
     b"Authorization: Basic dTpw", b"authorization: Bearer x", b"Host: h:80")
)  # fmt: skip


@given(st.lists(st.lists(_LINES, max_size=4), min_size=1, max_size=8), st.booleans())
def test_a_batch_says_what_each_block_says(batch: list[list[bytes]], repeats: bool) -> None:
    names = ("http_x_a", "http_cookie", "cookie_b", "remote_user", "host", "http_none")
    readers = [header_of(name) for name in names]
    escape = ESCAPES["default"]
    blocks = Blocks(escape)
    for reader in readers:
        assert reader is not None
        blocks.add(reader)
    blocks._repeat = repeats
    received = [b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" for lines in batch]
    for column, reader in zip(blocks.columns(received), readers, strict=True):
        assert reader is not None
        assert list(column) == [escape.one(reader(block, block.lower())) for block in received]


_ROUTES = RouteLabels("a.example", upstream=b"ns-a-80"), RouteLabels("b.example", upstream=b"ns-b-80", logged=False)
_SEEN = st.builds(
    Record,
    labels=st.sampled_from(_ROUTES),
    method=st.sampled_from((b"GET", b"POST", b"")),
    status=st.sampled_from((200, 499)),
    started=st.sampled_from((5.0, 5.5)),
    ended=st.sampled_from((6.0, 6.25)),
    connected=st.sampled_from((0.0, 5.75)),
    answered=st.sampled_from((0.0, 5.875)),
    received=st.sampled_from((70, 7000)),
    sent=st.sampled_from((300, 400)),
    client=st.sampled_from(("192.0.2.1", "2001:db8::1")),
    target=st.sampled_from((b"/", b'/"?a=b')),
    minor=st.sampled_from((0, 1)),
    block=st.sampled_from((b"\r\nHost: h\r\n\r\n", b'\r\nUser-Agent: "\r\nReferer: r\r\n\r\n')),
    request_id=st.sampled_from((b"0" * 32, b"1" * 32)),
    endpoint=st.sampled_from(("", "192.0.2.7:80")),
    upstream_status=st.sampled_from((200, 404)),
    upstream_length=st.sampled_from((0, 200)),
    earlier=st.sampled_from(((), (Tried("192.0.2.8:80", 502, 0.0, -1.0, 0.5, 0),))),
    chosen=st.sampled_from((5.0, 5.5)),
    head_sent=st.sampled_from((100, 150)),
    link=st.just(NO_LINK),
    answer=st.just(b""),
)


@given(st.lists(_SEEN, min_size=1, max_size=6))
def test_what_is_alike_in_a_batch_stands_in_each_of_its_lines(seen: list[Record]) -> None:
    renderer = Renderer(
        Form(DEFAULT_FORMAT.replace("$time_local", "") + " $server_name $scheme $bytes_sent $host $args")
    )
    batch = [tuple(record) for record in seen]
    whole = renderer.text(batch, tuple(zip(*batch, strict=True)))
    assert whole == b"".join(renderer.text([record], tuple(zip(record))) for record in batch)
    assert whole.count(b"\n") == sum(record.labels.logged for record in seen)


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 20))
def test_pieces_are_whole_lines(lines: list[bytes], at_most: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    found = list(pieces(text, at_most))
    assert b"".join(found) == text
    assert all(piece.endswith(b"\n") for piece in found)
    assert all(len(piece) <= at_most or piece.count(b"\n") == 1 for piece in found)


def test_a_pipe_takes_whole_lines_in_pieces_or_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    direct = Direct(writing, 4096)
    lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(200)]
    written = direct.write(b"".join(lines))
    assert 0 < written < 200 * 1000
    assert os.read(reading, 1 << 20) == b"".join(lines[: written // 1000])
    assert direct.write(b"y" * 5000 + b"\n") == 0, "it could be torn"
    os.close(reading)
    assert direct.write(b"".join(lines)) == 0
    os.close(writing)


async def test_lines_that_are_lost_are_said_once_for_each_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer()
    for name in ("absent/one.log", "absent/two.log"):
        writer.change(lambda path=str(tmp_path / name): File(path))  # type: ignore[misc]
        writer.write(b"a\n")
        writer.write(b"b\n")
    writer.end()
    await eventually(lambda: writer.ended)
    assert writer.lost == 4
    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"place": str(tmp_path / name), "error": "No such file or directory"}
        for name in ("absent/one.log", "absent/two.log")
    ]


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert common_log_time(1_767_323_045) == b"02/Jan/2026:03:04:05 +0000"
    assert iso_time(1_767_323_045) == b"2026-01-02T03:04:05+00:00"
    assert syslog_time(1_767_323_045) == b"Jan  2 03:04:05"
    times = Times(lambda second: b"%d" % second)
    now = monotonic()
    first, last = times([now - 5.0, now])
    assert int(last) - int(first) == 5


def test_strangers_are_told_apart_up_to_a_number() -> None:
    strangers = Strangers()
    nobody = RouteLabels()
    batch = [(nobody, *range(11), b"\r\nHost: H%d.test:8080\r\n\r\n" % number) for number in range(AT_MOST + 50)]
    named = [record[0] for record in strangers.named(batch)]
    assert named[0].host == "h0.test"
    assert strangers.knows(named[0])
    assert named[-1] is nobody
    assert strangers.named([batch[0]])[0][0] is named[0]


def test_lines_tell_of_tls_that_ended_without_holding_on_to_it() -> None:
    class Told:
        session_reused = True

        def version(self) -> str:
            return "TLSv1.3"

        def cipher(self) -> tuple[str, str, int]:
            return "TLS_AES_128_GCM_SHA256", "TLSv1.3", 128

    told = Told()
    gone = weakref.ref(told)
    secured = Secured(told)
    before = secured.version(), secured.cipher(), secured.session_reused
    del told
    secured.end()
    assert gone() is None
    secured.end()
    assert (secured.version(), secured.cipher(), secured.session_reused) == before == ("TLSv1.3", before[1], True)
