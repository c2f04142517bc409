"""What holds for every text: of entries of TCP and UDP services, and of PROXY headers that are written and read."""

from __future__ import annotations

import contextlib
import re
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from services.contract.annotations.values import MalformedError
from services.contract.stream_services import parse_external_port, parse_stream_service
from services.edge.core.proxy_protocol import Header, HeaderReader, line_for

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
WORDS = st.sampled_from(["", "PROXY", "proxy", "Proxy"])
PORTS = st.one_of(st.integers(1, 65535).map(str), st.from_regex(r"[a-z]([-a-z0-9]{0,13}[a-z0-9])?", fullmatch=True))


@given(st.text() | st.from_regex(r"[a-z/:.0-9A-Z]*", fullmatch=True))
def test_any_text_is_a_value_or_is_refused_with_a_reason(text: str) -> None:
    with contextlib.suppress(MalformedError):
        found = parse_stream_service(1, text)
        assert re.fullmatch(r"[-.a-z0-9]+", found.namespace)
        assert re.fullmatch(r"[-.a-z0-9]+", found.name)
        assert re.fullmatch(r"[-a-z0-9]+", found.service_port)
    with contextlib.suppress(MalformedError):
        assert 0 < parse_external_port(text) < 65536


@given(NAMES, NAMES, PORTS, WORDS, WORDS)
def test_every_well_formed_value_is_understood(namespace: str, name: str, port: str, first: str, second: str) -> None:
    found = parse_stream_service(1, f"{namespace}/{name}:{port}:{first}:{second}")
    assert (found.namespace, found.name) == (namespace, name)
    assert found.service_port == (str(int(port)) if port.isdigit() else port)
    assert (found.reads_proxy, found.writes_proxy, found.unknown) == (bool(first), bool(second), ())


@given(
    st.one_of(
        st.tuples(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**32 - 1).map(IPv4Address)),
        st.tuples(st.integers(0, 2**128 - 1).map(IPv6Address), st.integers(0, 2**128 - 1).map(IPv6Address)),
    ),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.binary(max_size=50),
)
def test_a_header_that_is_written_can_be_read(
    ends: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address], port: int, server_port: int, rest: bytes
) -> None:
    header = Header(str(ends[0]), port, str(ends[1]), server_port)
    reader = HeaderReader()
    assert reader.feed(line_for(header) + rest) == header
    assert reader.rest == rest
    assert HeaderReader().feed(line_for(Header())) == Header()
