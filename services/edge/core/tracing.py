"""A request's place in a trace: the context that came with it, the one that goes on, and whether its span is kept.

Owns W3C Trace Context (level 1) and OpenTelemetry's samplers. Pure: identifiers come from whoever asks
(``services.edge.tracing``), and what becomes of a span is not known here.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from proto.resources import Settings
from services.edge.core.edits import RequestEdit

SAMPLERS: Final = ("AlwaysOn", "AlwaysOff", "TraceIdRatioBased")
PARENT: Final = b"traceparent"
STATE: Final = b"tracestate"
STATE_AT_MOST: Final = 512
"""Bytes of a tracestate that have to be passed on; of a longer one nothing is told to the collector."""
MARK: Final = b"@traceparent"
"""Under this name a record's headers hold the context that went on: no client can send a header of it."""

NAME_AT_MOST: Final = 1024
"""Bytes of a span's name: what clients send may be part of it, and must not make messages that a collector refuses."""

_SAMPLED: Final = 1
_parent = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_OWN: Final = frozenset((PARENT,))
_BOTH: Final = frozenset((PARENT, STATE))


class Parent(Struct, frozen=True, gc=False):
    """The span that a request came from. ``flags``: of the trace."""

    trace_id: bytes
    span_id: bytes
    flags: int
    state: bytes = b""


class Trace(Struct, frozen=True, gc=False):
    """The span of a request at hand: identifiers in bytes, ``parent`` empty for the first of its trace. ``sampled``:
    it is told to the collector."""

    trace_id: bytes
    span_id: bytes
    parent: bytes
    state: bytes
    sampled: bool
    name: str

    @property
    def context(self) -> bytes:
        """The value of the ``traceparent`` that goes on."""
        ids = self.trace_id.hex(), self.span_id.hex()
        return b"00-%b-%b-%02d" % (ids[0].encode(), ids[1].encode(), _SAMPLED if self.sampled else 0)

    @property
    def edit(self) -> RequestEdit:
        """What the endpoint is told. The state goes on as it came, if what it belongs to does."""
        return RequestEdit(_OWN if self.parent else _BOTH, b"traceparent: %b\r\n" % self.context)

    @property
    def mark(self) -> bytes:
        """A line to stand behind a record's headers (``MARK``)."""
        return b"%b: %b\r\n" % (MARK, self.context)


class Sampler(Struct, frozen=True, gc=False):
    """Which traces are kept. ``below``: of 2**64, by the lower half of the trace's id, so that all who sample by it
    keep the same ones; ``by_parent``: a parent's word holds, if there is one."""

    below: int
    by_parent: bool

    def keeps(self, trace_id: bytes, parent: Parent | None) -> bool:
        """Whether the span of a request is kept."""
        if parent is not None and self.by_parent:
            return bool(parent.flags & _SAMPLED)
        return int.from_bytes(trace_id[8:], "big") < self.below


def sampler_of(settings: Settings) -> Sampler:
    """The sampler that the settings name."""
    ratio = {"AlwaysOn": 1.0, "AlwaysOff": 0.0}.get(settings.otel_sampler, settings.otel_sampler_ratio)
    return Sampler(round(ratio * 2**64), settings.otel_sampler_parent_based)


def parent_of(value: bytes | None, state: bytes | None) -> Parent | None:
    """The parent that the headers tell (several lines of ``tracestate`` joined by commas); None: none, or no good one.

    Of a version that is not known yet the part that is known counts (section 4.1 of the specification).
    """
    found = None if value is None else _parent(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    told = b"" if state is None or len(state) > STATE_AT_MOST else state
    return Parent(bytes.fromhex(trace_id.decode()), bytes.fromhex(span_id.decode()), int(flags, 16), told)
