"""The compiler's metrics, ``limen_compiler_*``."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.runtime.metrics import registry

_FAST = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

EVENTS: Final = Counter("limen_compiler_events", "Things that happened to the loop.", ["kind"], registry=registry)
REJECTED: Final = Counter(
    "limen_compiler_rejected_messages", "Messages on the bus that were refused.", ["reason"], registry=registry
)
COMPILE_SECONDS: Final = Histogram(
    "limen_compiler_compile_seconds", "Compiling what changed.", buckets=_FAST, registry=registry
)
COMPILE_FAILURES: Final = Counter(
    "limen_compiler_compile_failures", "Compiles that ended in an error of the compiler itself.", registry=registry
)
PUBLISH_SECONDS: Final = Histogram(
    "limen_compiler_publish_seconds", "Signing and storing a version.", buckets=_FAST, registry=registry
)
REACTION_SECONDS: Final = Histogram(
    "limen_compiler_reaction_seconds",
    "First object message of a change received to its version stored.",
    buckets=_FAST,
    registry=registry,
)
PUBLISHED: Final = Counter(
    "limen_compiler_snapshots_published", "Versions written by this process.", ["form"], registry=registry
)
CONFLICTS: Final = Counter(
    "limen_compiler_append_conflicts", "Appends that another compiler was faster with.", registry=registry
)
REREADS: Final = Counter("limen_compiler_rereads", "Complete reads of the objects.", ["cause"], registry=registry)
REVIEWS: Final = Counter(
    "limen_compiler_reviews", "Ingresses that the API server asked about.", ["verdict"], registry=registry
)
REVIEW_SECONDS: Final = Histogram(
    "limen_compiler_review_seconds", "Judging one of them.", buckets=_FAST, registry=registry
)
EPOCH: Final = Gauge("limen_compiler_snapshot_epoch", "Epoch of the newest version.", registry=registry)
VERSION: Final = Gauge("limen_compiler_snapshot_version", "Newest version within its epoch.", registry=registry)
ACTIVE: Final = Gauge("limen_compiler_active", "1 while this compiler is the one that writes.", registry=registry)
HELD: Final = Gauge("limen_compiler_held_objects", "Objects of a mass removal kept aside.", registry=registry)
OBJECTS: Final = Gauge("limen_compiler_objects", "Objects known.", registry=registry)
ROUTES: Final = Gauge("limen_compiler_routes", "Routes in the compiled table.", registry=registry)
EDGES: Final = Gauge("limen_compiler_edge_workers", "Workers of edges that report.", registry=registry)
EDGES_LIVE: Final = Gauge("limen_compiler_edge_workers_live", "Workers on the newest version.", registry=registry)
EDGES_REFUSING: Final = Gauge(
    "limen_compiler_edge_workers_refusing", "Workers that refuse a newer version.", registry=registry
)
CERTIFICATES_EXPIRING: Final = Gauge(
    "limen_compiler_certificates_expiring", "Certificates that end within ten days.", registry=registry
)
EVENTS_LEFT_OUT: Final = Counter(
    "limen_compiler_events_left_out", "Route events of mass changes that were only counted.", registry=registry
)
