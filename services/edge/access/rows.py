"""A batch of records turned by ninety degrees: a column per field, so that most of the work on it is done in C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from services.edge.access.written import seconds_between
from services.edge.core.link import Link
from services.edge.core.plan import RouteLabels
from services.edge.core.tried import Tried
from services.edge.traffic import Columns, Record


class Rows(Struct, frozen=True, gc=False):
    """The columns of a batch; fields and their order are those of ``traffic.Record``. ``at_once``: every request was
    answered by the first endpoint that it was offered to. ``took``: the seconds from ``started``
    to ``ended``, as text."""

    labels: Sequence[RouteLabels]
    method: Sequence[bytes]
    status: Sequence[int]
    started: Sequence[float]
    ended: Sequence[float]
    connected: Sequence[float]
    answered: Sequence[float]
    received: Sequence[int]
    sent: Sequence[int]
    client: Sequence[str]
    target: Sequence[bytes]
    minor: Sequence[int]
    block: Sequence[bytes]
    request_id: Sequence[bytes]
    endpoint: Sequence[str]
    upstream_status: Sequence[int]
    upstream_length: Sequence[int]
    earlier: Sequence[tuple[Tried, ...]]
    chosen: Sequence[float]
    head_sent: Sequence[int]
    link: Sequence[Link]
    answer: Sequence[bytes]
    at_once: bool
    took: Sequence[bytes]

    def tries(self) -> Iterator[tuple[Tried, ...]]:
        """For each record every endpoint that was tried, the last one too; none where it reached no endpoint.

        Of the last, ``status`` 0: it answered nothing, and nobody answered in its place (the client left).
        """
        for earlier, endpoint, status, chosen, connected, answered, ended, length in zip(
            self.earlier,
            self.endpoint,
            self.upstream_status,
            self.chosen,
            self.connected,
            self.answered,
            self.ended,
            self.upstream_length,
            strict=True,
        ):
            if not endpoint:
                yield earlier
                continue
            connect = connected - chosen if connected else -1.0
            header = answered - chosen if answered else -1.0
            yield (*earlier, Tried(endpoint, status, connect, header, ended - chosen, length))


def rows_of(columns: Columns) -> Rows:
    """The columns of a batch with what they say together."""
    started, ended, answered, endpoint, earlier = (columns[field] for field in _TOLD)
    at_once = all(answered) and all(endpoint) and not any(earlier)
    values: tuple[Any, ...] = (*columns, at_once, list(seconds_between(ended, started)))
    return Rows(*values)


_TOLD: Final = tuple(map(Record._fields.index, ("started", "ended", "answered", "endpoint", "earlier")))
