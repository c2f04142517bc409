"""Trace contexts and samplers: what is read from a client, what goes on, which traces are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.resources import Settings
from services.edge.core.tracing import Parent, Trace, parent_of, sampler_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


def test_a_parent_is_read() -> None:
    parent = parent_of(GOOD, b"a=1,b=2")
    assert parent == Parent(bytes.fromhex(TRACE), bytes.fromhex(SPAN), 1, b"a=1,b=2")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        GOOD + b"-more",
        GOOD.upper(),
        GOOD + b" ",
        GOOD + b", " + GOOD,
        b"ff" + GOOD[2:],
        b"00-" + b"0" * 32 + b"-" + SPAN.encode() + b"-01",
        b"00-" + TRACE.encode() + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE.encode() + b"-" + SPAN.encode() + b"-1",
        b"00-" + TRACE.encode()[1:] + b"-" + SPAN.encode() + b"-01",
    ],
)
def test_what_is_no_traceparent_is_no_parent(value: bytes) -> None:
    assert parent_of(value, b"a=1") is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = parent_of(b"01" + GOOD[2:] + b"-what-comes-then", None)
    assert later is not None
    assert later.trace_id.hex() == TRACE
    assert parent_of(b"01" + GOOD[2:] + b"x", None) is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    parent = parent_of(GOOD, b"a=" + b"x" * 600)
    assert parent is not None
    assert parent.state == b""


@given(st.binary(max_size=80))
def test_nothing_that_a_client_sends_breaks_it(value: bytes) -> None:
    parent = parent_of(value, value)
    assert parent is None or (len(parent.trace_id), len(parent.span_id)) == (16, 8)


def test_what_goes_on_is_ours() -> None:
    trace = Trace(bytes.fromhex(TRACE), b"\1" * 8, b"\2" * 8, b"", True, "x")
    assert trace.context == f"00-{TRACE}-{'01' * 8}-01".encode()
    assert trace.edit.removed == {b"traceparent"}
    first = Trace(bytes.fromhex(TRACE), b"\1" * 8, b"", b"", False, "")
    assert first.context.endswith(b"-00")
    assert first.edit.removed == {b"traceparent", b"tracestate"}


@pytest.mark.parametrize(
    ("sampler", "ratio", "parent_based", "alone", "kept", "left"),
    [
        ("AlwaysOn", 0.0, True, True, True, False),
        ("AlwaysOn", 0.0, False, True, True, True),
        ("AlwaysOff", 1.0, True, False, True, False),
        ("AlwaysOff", 1.0, False, False, False, False),
        ("TraceIdRatioBased", 1.0, True, True, True, False),
        ("TraceIdRatioBased", 0.0, False, False, False, False),
    ],
)
def test_samplers(sampler: str, ratio: float, parent_based: bool, alone: bool, kept: bool, left: bool) -> None:
    """Without a parent; with one that is kept; with one that is not."""
    made = sampler_of(Settings(otel_sampler=sampler, otel_sampler_ratio=ratio, otel_sampler_parent_based=parent_based))
    for trace in (bytes(16), b"\xff" * 16):
        parents = (None, Parent(trace, b"1" * 8, 1), Parent(trace, b"1" * 8, 0))
        assert [made.keeps(trace, parent) for parent in parents] == [alone, kept, left]


def test_a_ratio_is_of_all_trace_ids() -> None:
    sampler = sampler_of(Settings(otel_sampler="TraceIdRatioBased", otel_sampler_ratio=0.25))
    traces = [bytes(8) + (number << 54).to_bytes(8, "big") for number in range(1024)]
    assert sum(sampler.keeps(trace, None) for trace in traces) == 256
