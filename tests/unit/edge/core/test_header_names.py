"""Names of headers that are out of the ordinary, over both protocols' ways of reading them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core import grammar
from services.edge.core.request_head import HeadLimits, ordinary, read_block
from services.edge.core.whole_head import read_head

STRICT, UNDERSCORES, ODD = HeadLimits(), HeadLimits(underscores=True), HeadLimits(underscores=True, odd=True)


def passed(limits: HeadLimits, *names: str) -> list[str]:
    lines = "".join(f"{name}: v\r\n" for name in names)
    head = read_head(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode(), limits)
    return [found[1].decode() for found in grammar.field.finditer(head.headers.passed)]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (STRICT, ["X-A", "9"]),
        (UNDERSCORES, ["X-A", "9", "X_A", "_"]),
        (ODD, ["X-A", "9", "X_A", "_", "X.A", "X!"]),
    ],
)
def test_which_names_go_on(limits: HeadLimits, wanted: list[str]) -> None:
    assert passed(limits, "X-A", "9", "X_A", "_", "X.A", "X!") == wanted


@pytest.mark.parametrize(
    "name",
    [
        "X_Forwarded_For",
        "x-forwarded_proto",
        "Content_Length",
        "content.length",
        "Transfer_Encoding",
        "SSL_Client_Verify",
        "X_Auth_User",
        "X_Request_ID",
        "Proxy_Authorization",
        "Host_",
        "Forwarded",
    ],
)
def test_none_goes_on_that_could_be_taken_for_one_of_ours(name: str) -> None:
    wanted = [name] if name == "Host_" else []
    assert passed(ODD, name) == wanted


def test_what_clients_prove_themselves_with_goes_on_in_any_dress() -> None:
    assert passed(UNDERSCORES, "X_Auth_Token", "X_Auth_Tokens") == ["X_Auth_Token"]


@given(st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True))
def test_the_quick_way_takes_only_ordinary_names(name: bytes) -> None:
    block = b"\r\nHost: a\r\n%b: v\r\n\r\n" % name
    quick = read_block(block, 0, 1, True) if name.lower() != b"host" else None
    if quick is not None:
        assert ordinary(block, STRICT) == block
    assert ordinary(block, ODD).count(b"\r\n") <= block.count(b"\r\n")
