"""Headers as users write them, and what replaces what in heads of endpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.contract.annotations.values import MalformedError
from services.contract.header_values import (
    header_problem,
    parse_header_list,
    parse_redirect_part,
    parse_replacement,
    parse_version,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_header_list, "X-A, x_b,,X-A", ("X-A", "x_b")),
        (parse_redirect_part, "default", "off"),
        (parse_redirect_part, " http://a.example/ ", "http://a.example/"),
        (parse_replacement, "off", ()),
        (parse_replacement, "localhost  a.example", ("localhost", "a.example")),
        (parse_version, "1.0", "1.0"),
    ],
)
def test_what_is_read(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_header_list, "X A"),
        (parse_header_list, "X-A\r\nB"),
        (parse_redirect_part, "~^http"),
        (parse_redirect_part, "http://$host/"),
        (parse_replacement, "one"),
        (parse_replacement, "one two three"),
        (parse_replacement, "~one two"),
        (parse_replacement, "one two;Secure"),
        (parse_version, "2"),
    ],
)
def test_what_is_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(MalformedError):
        parse(text)


def test_headers() -> None:
    assert header_problem("X-A", "42 $remote_addr") == ""
    assert "is no name" in header_problem("X A", "1")
    assert "characters" in header_problem("X-A", "1\r\nX-B: 2")
    assert "characters" in header_problem("X-A", "")
