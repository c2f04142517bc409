"""The streams that the compiler writes or needs, and how each is kept (docs: the bus).

Only the log is republished (a refused append never is), and nothing expires by itself where the last message must
stay: pruning the log and the bases is the compiler's own work.
"""

from __future__ import annotations

from proto.subjects import Subjects
from services.runtime.bus import Bus, StreamSpec

REPORT_TTL = 30.0
"""Seconds after which an edge that reports no more is gone."""

EVENTS_AGE = 7 * 24 * 3600.0
EVENTS_COUNT = 200_000
EVENTS_BYTES = 256 * 1024 * 1024


def specs(subjects: Subjects, replicas: int) -> tuple[StreamSpec, ...]:
    """Every stream but the objects' (the watcher's). ``replicas``: copies in a NATS cluster; 1 on one server."""
    return (
        StreamSpec(
            name=subjects.deltas_stream,
            subjects=(subjects.delta,),
            republish=(subjects.delta, subjects.live_delta),
            replicas=replicas,
        ),
        StreamSpec(
            name=subjects.bases_stream,
            subjects=(subjects.bases,),
            max_per_subject=1,
            replicas=replicas,
        ),
        StreamSpec(
            name=subjects.accepted_stream,
            subjects=(subjects.all_accepted,),
            max_per_subject=1,
            replicas=replicas,
        ),
        StreamSpec(
            name=subjects.events_stream,
            subjects=(subjects.events,),
            max_age=EVENTS_AGE,
            max_messages=EVENTS_COUNT,
            max_bytes=EVENTS_BYTES,
            replicas=replicas,
        ),
        StreamSpec(
            name=f"KV_{subjects.edges_bucket}",
            subjects=(subjects.edge_reports,),
            max_per_subject=1,
            max_age=REPORT_TTL,
            replicas=replicas,
        ),
    )


async def ensure(bus: Bus, subjects: Subjects, replicas: int) -> None:
    """Create what is missing and set right what differs. Raises BusError."""
    for spec in specs(subjects, replicas):
        await bus.ensure_stream(spec)
