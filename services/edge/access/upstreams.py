"""The lists that nginx keeps of the endpoints a request was offered to: ``$upstream_addr`` and its kin.

An entry per endpoint, with a comma and a blank between (ngx_http_upstream_module); absent where none was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.edge.access.rows import Rows
from services.edge.access.written import DIGITS, MILLISECONDS, NAMES, looked_up, seconds_between
from services.edge.core.tried import Tried

UpstreamColumn = Callable[[bytes, Rows], Iterable[bytes]]
"""(what stands for an absent value, rows) -> texts."""


def _listed(absent: bytes, rows: Rows, text: Callable[[Tried], bytes]) -> Iterable[bytes]:
    return [b", ".join(map(text, tries)) if tries else absent for tries in rows.tries()]


def _seconds(value: float) -> bytes:
    return b"-" if value < 0 else MILLISECONDS[int(value * 1000)]


def _addresses(absent: bytes, rows: Rows) -> Iterable[bytes]:
    if rows.at_once:
        return looked_up(NAMES, rows.endpoint)
    return _listed(absent, rows, lambda tried: NAMES[tried.endpoint])


def _statuses(absent: bytes, rows: Rows) -> Iterable[bytes]:
    if rows.at_once:
        return looked_up(DIGITS, rows.upstream_status)
    return _listed(absent, rows, lambda tried: DIGITS[tried.status] if tried.status else b"-")


def _lengths(absent: bytes, rows: Rows) -> Iterable[bytes]:
    if rows.at_once:
        return looked_up(DIGITS, rows.upstream_length)
    return _listed(absent, rows, lambda tried: DIGITS[tried.length])


def _response_times(absent: bytes, rows: Rows) -> Iterable[bytes]:
    if rows.at_once:
        return rows.took if rows.chosen == rows.started else seconds_between(rows.ended, rows.chosen)
    return _listed(absent, rows, lambda tried: _seconds(tried.response_seconds))


def _connect_times(absent: bytes, rows: Rows) -> Iterable[bytes]:
    return _listed(absent, rows, lambda tried: _seconds(tried.connect_seconds))


def _header_times(absent: bytes, rows: Rows) -> Iterable[bytes]:
    return _listed(absent, rows, lambda tried: _seconds(tried.header_seconds))


UPSTREAM: Final[dict[str, UpstreamColumn]] = {
    "upstream_addr": _addresses,
    "upstream_status": _statuses,
    "upstream_response_length": _lengths,
    "upstream_bytes_received": _lengths,
    "upstream_response_time": _response_times,
    "upstream_connect_time": _connect_times,
    "upstream_header_time": _header_times,
}
