"""Route events as lines for people: pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from proto.events import (
    EVENT_TYPES,
    TYPE_PREFIX,
    CertificateChanged,
    CertificateExpiring,
    CloudEvent,
    EdgeApplied,
    EdgeJoined,
    EdgeLeft,
    IngressAccepted,
    IngressRejected,
    RouteAdded,
    RouteRemoved,
    RouteUpdated,
    SnapshotPublished,
    UpstreamChanged,
)

_TYPES: Final = {str(getattr(type_, "type")): type_ for type_ in EVENT_TYPES}  # noqa: B009 - a ClassVar of each
_ENVELOPE: Final = msgspec.json.Decoder(CloudEvent)


class Line(Struct, frozen=True):
    """``time``: HH:MM:SS.mmm UTC; ``type`` without its prefix; ``data``: the event itself, None for an unknown type."""

    time: str
    type: str
    text: str
    data: Struct | None = None


def read(message: bytes) -> Line:
    """The line of an event. Raises ValueError for what is no event."""
    try:
        event = _ENVELOPE.decode(message)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a route event: {error}") from None
    name = event.type.removeprefix(TYPE_PREFIX)
    clock = event.time.partition("T")[2][:12]
    type_ = _TYPES.get(name)
    if type_ is None:
        return Line(clock, name, event.subject)
    try:
        data = msgspec.json.decode(event.data, type=type_)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{event.type} of {event.source}: {error}") from None
    return Line(clock, name, describe(data), data)


def describe(data: Struct) -> str:
    """What happened, in one line."""
    match data:
        case IngressAccepted():
            return f"{data.namespace}/{data.name} serves {', '.join(data.hosts) or 'every host'}"
        case IngressRejected():
            first = data.diagnostics[0] if data.diagnostics else None
            why = f"{first.code}: {first.message}" if first else ""
            kept = " (its last good version is served on)" if data.keeps_last_good else ""
            return f"{data.namespace}/{data.name} {why}{kept}"
        case RouteAdded() | RouteUpdated() | RouteRemoved():
            target = f" → {data.upstream}" if data.upstream else ""
            return f"{data.host or '*'}{data.path} ({data.match}){target}  {data.ingress}"
        case UpstreamChanged():
            changes = [*(f"+{endpoint}" for endpoint in data.added), *(f"-{endpoint}" for endpoint in data.removed)]
            return f"{data.upstream} {' '.join(changes)} ({data.total} now)"
        case CertificateChanged():
            return f"{data.certificate} for {', '.join(data.names)}"
        case CertificateExpiring():
            return f"{data.certificate} for {', '.join(data.names)} ends in {data.days_left} days"
        case SnapshotPublished():
            objects = (
                f" by {', '.join(data.objects[:3])}{' …' if len(data.objects) > 3 else ''}" if data.objects else ""
            )
            return (
                f"{data.epoch}.{data.to_version} ({data.cause}{objects}): {data.upserts} set, {data.removals} removed"
            )
        case EdgeJoined():
            return f"{data.edge} worker {data.worker}"
        case EdgeApplied():
            live = f", {data.live_seconds * 1000:.1f} ms after the change was seen" if data.live_seconds else ""
            return f"{data.edge} worker {data.worker} serves {data.epoch}.{data.version}{live}"
        case EdgeLeft():
            return f"{data.edge} worker {data.worker} {data.reason}"
    return ""
