"""Entries of the ConfigMaps of TCP and UDP services."""

from __future__ import annotations

import pytest

from services.contract.annotations.values import MalformedError
from services.contract.stream_services import StreamService, parse_external_port, parse_stream_service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b:80", StreamService(9, "a", "b", "80")),
        (" a/b:80\n", StreamService(9, "a", "b", "80")),
        ("a/b:080", StreamService(9, "a", "b", "80")),
        ("a/b.c:my-port", StreamService(9, "a", "b.c", "my-port")),
        ("a/b:80:PROXY", StreamService(9, "a", "b", "80", True, False)),
        ("a/b:80:proxy:", StreamService(9, "a", "b", "80", True, False)),
        ("a/b:80::PROXY", StreamService(9, "a", "b", "80", False, True)),
        ("a/b:80:Proxy:pRoXy", StreamService(9, "a", "b", "80", True, True)),
        ("a/b:80:TLS", StreamService(9, "a", "b", "80", unknown=("TLS",))),
        ("a/b:80:PROXY:PROXY:PROXY", StreamService(9, "a", "b", "80", True, True, ("PROXY",))),
    ],
)
def test_values(text: str, expected: StreamService) -> None:
    assert parse_stream_service(9, text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "a/b", "a/b:", "/b:80", "a/:80", "a/b/c:80", "b:80", "a/b:0", "a/b:65536", "a/b:-1", "A/b:80", "a/b:x y"],
)
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_stream_service(9, text)


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("65535", 65535), ("+80", 80), ("0080", 80)])
def test_keys(text: str, port: int) -> None:
    assert parse_external_port(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80 ", "http", "8_0", "٨٠", "99999999999"])
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_external_port(text)
