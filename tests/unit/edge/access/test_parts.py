"""The access log's parts by themselves: escaping, what is remembered, pieces of a pipe, times."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.variables.registry import VARIABLES
from services.edge.access.clock import Times, common_log_time, iso_time, syslog_time
from services.edge.access.escape import ESCAPES
from services.edge.access.headers import Blocks, cookie, header
from services.edge.access.outlet import Direct, File
from services.edge.access.rows import Rows
from services.edge.access.values import column_of, header_of
from services.edge.access.writer import Writer
from services.edge.core.plan import RouteLabels
from services.edge.strangers import AT_MOST, Strangers
from services.edge.traffic import Record
from tests.support.waiting import eventually


def test_rows_are_the_columns_of_records() -> None:
    names = {"client": "client"}
    assert Rows.__struct_fields__ == tuple(names.get(field, field) for field in Record._fields)


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
        assert blocks.columns([b"\r\nX-A: %d\r\n\r\n" % number]) == ((b"%d" % number,),)
    assert len(blocks._known) <= 1


def test_a_pipe_takes_whole_lines_in_pieces_or_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    direct = Direct(writing, 4096)
    lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(200)]
    written = direct.write(lines)
    assert 0 < written < 200
    assert os.read(reading, 1 << 20) == b"".join(lines[:written])
    assert direct.write([b"y" * 5000]) == 0, "it could be torn"
    os.close(reading)
    assert direct.write(lines) == 0
    os.close(writing)


async def test_lines_that_are_lost_are_said_once_for_each_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer()
    for name in ("absent/one.log", "absent/two.log"):
        writer.change(lambda path=str(tmp_path / name): File(path))  # type: ignore[misc]
        writer.write([b"a\n"], 2)
        writer.write([b"b\n"], 2)
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
