"""One example of every route event: for the documentation, the golden files and whoever writes a consumer."""

from __future__ import annotations

from typing import Final

from proto.diagnostics import Diagnostic
from proto.events import (
    CertificateChanged,
    CertificateExpiring,
    CloudEvent,
    EdgeApplied,
    EdgeJoined,
    EdgeLeft,
    EventData,
    IngressAccepted,
    IngressRejected,
    RouteAdded,
    RouteRemoved,
    RouteUpdated,
    SnapshotPublished,
    UpstreamChanged,
    cloud_event,
)
from proto.objects import ObjectKey

_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"

EXAMPLES: Final[tuple[EventData, ...]] = (
    IngressAccepted(
        namespace="shop",
        name="cafe",
        resource_version="4711",
        hosts=("cafe.example.com",),
        diagnostics=(
            Diagnostic(
                object=ObjectKey("ingress", "shop", "cafe"),
                code="secret-not-found",
                severity="warning",
                field="spec.tls[0].secretName",
                value="cafe-tls",
                message="there is no Secret shop/cafe-tls; the default certificate is served",
                remedy="create the Secret or correct the name",
            ),
        ),
    ),
    IngressRejected(
        namespace="shop",
        name="menu",
        resource_version="4712",
        keeps_last_good=True,
        diagnostics=(
            Diagnostic(
                object=ObjectKey("ingress", "shop", "menu"),
                code="path-invalid",
                severity="error",
                field="spec.rules[0].http.paths[0].path",
                value="menu",
                message="a path starts with /; the version before is served on",
                remedy="write /menu",
            ),
        ),
    ),
    RouteAdded(
        host="cafe.example.com",
        path="/coffee",
        match="prefix",
        ingress="shop/cafe",
        upstream="shop/coffee:80",
        version=42,
        epoch=1,
    ),
    RouteUpdated(
        host="cafe.example.com",
        path="/tea",
        match="prefix",
        ingress="shop/cafe",
        upstream="shop/tea:http",
        version=43,
        epoch=1,
    ),
    RouteRemoved(host="cafe.example.com", path="/cocoa", match="exact", ingress="shop/cafe", version=44, epoch=1),
    UpstreamChanged(
        upstream="shop/coffee:80",
        added=("10.244.1.7:8080",),
        removed=("10.244.2.9:8080",),
        total=3,
        version=45,
        epoch=1,
    ),
    CertificateChanged(
        certificate="shop/cafe-tls",
        names=("cafe.example.com",),
        not_after=1830297600,
        fingerprint="9f86d081" * 8,
        version=46,
        epoch=1,
    ),
    CertificateExpiring(certificate="shop/old-tls", names=("old.example.com",), not_after=1798761600, days_left=9),
    SnapshotPublished(
        epoch=1,
        from_version=41,
        to_version=42,
        digest="2c26b46b" * 8,
        cause="change",
        objects=("ingress shop/cafe",),
        resource_version="4711",
        observed_at=1798000000.25,
        trace=_TRACE,
        upserts=1,
        removals=0,
        counts={"hosts": 12, "routes": 31, "upstreams": 9, "endpoints": 27, "certificates": 4},
    ),
    EdgeJoined(edge="edge-1", worker=0),
    EdgeApplied(edge="edge-1", worker=0, epoch=1, version=42, swap_seconds=0.0008, live_seconds=0.0041),
    EdgeLeft(edge="edge-2", worker=1, reason="drained"),
)
"""In the order of ``proto.events.EVENT_TYPES``."""


def example_event(data: EventData) -> CloudEvent:
    """``data`` in its envelope, as it would stand on the bus."""
    source = {"edge": "/limen/edge/edge-1"}.get(data.type.partition(".")[0], "/limen/compiler/compiler-1")
    trace = _TRACE if isinstance(data, SnapshotPublished | RouteAdded) else ""
    identity = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
    return cloud_event(data, id_=identity, source=source, time="2026-12-23T04:26:40.254Z", trace=trace)
