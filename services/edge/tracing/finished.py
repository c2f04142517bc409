"""A span that is over, as it waits for its export: plain values, made while its request is still warm."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from services.edge.core.tracing import Trace

if TYPE_CHECKING:
    from services.edge.core.asked import Asked
    from services.edge.core.plan import RouteLabels

LONGEST: Final = 1024
"""Bytes of a text that go to the collector: what clients send must not make messages that it refuses."""


class Finished(Struct, frozen=True, gc=False):
    """See the module. ``started`` and ``ended``: of ``time.monotonic``; texts are cut at ``LONGEST``."""

    trace: Trace
    labels: RouteLabels
    method: bytes
    target: bytes
    minor: int
    scheme: str
    host: bytes
    server: str
    agent: bytes
    status: int
    port: int
    peer: str
    peer_port: int
    started: float
    ended: float


def finished(trace: Trace, asked: Asked, status: int) -> Finished:
    """The span of a request that is over now."""
    return Finished(
        trace,
        asked.labels,
        asked.method[:LONGEST],
        asked.target[:LONGEST],
        asked.minor,
        "https" if asked.tls else "http",
        asked.headers.authority[:LONGEST],
        asked.host.host or "_",
        (asked.header("user-agent") or b"")[:LONGEST],
        status,
        asked.link.server_port or asked.facts.port,
        asked.address,
        asked.link.peer_port,
        asked.started,
        monotonic(),
    )
