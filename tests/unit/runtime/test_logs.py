"""Log lines: fields are kept apart, and nothing in a message can forge a second line."""

from __future__ import annotations

import json
import logging
import sys

from services.runtime import logs


def _record(message: str, /, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("services.x", logging.INFO, __file__, 1, message, (), None)
    record.fields = fields
    return record


def test_json_lines_hold_fields() -> None:
    line = json.loads(logs.JsonLines("edge e1").format(_record("applied", version=3, hosts=("a", "b"), message="x")))
    assert (line["role"], line["message"], line["version"], line["hosts"]) == ("edge e1", "applied", 3, ["a", "b"])
    assert line["time"].endswith("+00:00")
    assert line["level"] == "info"


def test_text_lines_stay_one_line() -> None:
    line = logs.TextLines("edge").format(_record("bad\n12:00:00 INFO forged", host="a\nb", name="two words"))
    assert "\n" not in line
    assert "host='a\\nb'" in line
    assert "name='two words'" in line


def test_exceptions_are_kept() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    assert "ValueError: why" in json.loads(logs.JsonLines("edge").format(record))["exception"]
    assert "ValueError: why" in logs.TextLines("edge").format(record)
