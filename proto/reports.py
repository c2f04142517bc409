"""What roles say about themselves: edge reports (KV), status answers, and the compiler's findings for the watcher.

All JSON, so that people can read them with the ``nats`` command.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.snapshots import HeadProof

Role = Literal["watcher", "compiler", "edge"]


class EdgeReport(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one worker of an edge serves. Written on each swap and every few seconds; times in Unix seconds.

    ``digest``: hex. ``swap_seconds``: receiving the delta to serving it. ``live_seconds``: the watcher seeing the
    change to serving it (clocks of two machines: a figure for people). ``error``: why a newer version was refused.
    """

    edge: str
    worker: int
    epoch: int = 0
    version: int = 0
    digest: str = ""
    applied_at: float = 0.0
    swap_seconds: float = 0.0
    live_seconds: float = 0.0
    started_at: float = 0.0
    ready: bool = False
    draining: bool = False
    stale: bool = False
    error: str = ""
    proof: HeadProof | None = None


class SourceStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A kind of one source, for people: ``age`` is seconds since the last word of the source about it."""

    kind: str
    synced: bool = False
    objects: int = 0
    age: float = 0.0
    error: str = ""


class HeldRemoval(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A mass removal that waits for a second list or ``limen approve``."""

    since: float
    routes_now: int
    routes_after: int
    objects: tuple[str, ...] = ()


class RoleStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer of one process to a status request, and its ``/status`` page.

    ``version`` and ``epoch`` are 0 and ``digest`` empty while there is no snapshot. ``age``: seconds since that
    version came into force. ``counts``: named gauges (objects, hosts, routes, upstreams, endpoints, connections …).
    """

    role: Role
    name: str
    software: str
    started_at: float
    ready: bool
    active: bool = True
    epoch: int = 0
    version: int = 0
    digest: str = ""
    age: float = 0.0
    counts: dict[str, int] = {}
    last_error: str = ""
    connected: bool = False
    sources: tuple[SourceStatus, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    held: HeldRemoval | None = None
    edges: tuple[EdgeReport, ...] = ()


class Findings(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The compiler's word on Ingresses, for the watcher: what is served (status) and what was found (Events).

    Sent whole when a watcher asks and as changes otherwise. ``served``: ``namespace/name`` of Ingresses that this
    controller owns and serves; ``gone``: those it no longer does.
    """

    complete: bool = False
    served: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def to_json(value: Struct) -> bytes:
    """``value`` as JSON with stable key order."""
    return msgspec.json.encode(value, order="deterministic")
