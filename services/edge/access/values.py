"""What each variable is in a batch of records: a column of texts by the variable's name.

Owns where a value is found in a record and how nginx prints it. Must not know the form of a line. A column is worked
out only if a format names it; most of the work on a batch is done in C, for it is done for every request.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from operator import attrgetter, sub
from typing import Final

from services.contract.paths import normalise
from services.edge.access.clock import Times, common_log_time, iso_time, with_milliseconds
from services.edge.access.escape import Escape
from services.edge.access.rows import Rows
from services.edge.access.upstreams import UPSTREAM
from services.edge.access.written import DIGITS, NAMES, looked_up
from services.edge.core.header_reads import (
    Read,
    cookie,
    escaped,
    header,
    host,
    set_cookie,
    span_id,
    trace_id,
    trace_parent,
    user,
)
from services.edge.core.link import Link
from services.edge.core.shown_certificates import OF_LINK
from services.edge.traffic import alike
from services.runtime.version import software

Column = Callable[[Rows], Iterable[bytes]]
"""Texts that stand in a line as they are; ``itertools.repeat`` where all are the same."""
Raw = Callable[[Rows], Sequence[bytes | None]]
"""Texts of clients and endpoints, which need escaping; None: there is none."""

_PROTOCOLS: Final = {0: b"HTTP/1.0", 1: b"HTTP/1.1", 2: b"HTTP/2.0"}


def _request(rows: Rows) -> Sequence[bytes]:
    """The request line; empty where none was read."""
    if alike(rows.target) and alike(rows.method) and alike(rows.minor):
        method, target, minor = rows.method[0], rows.target[0], rows.minor[0]
        return [b" ".join((method, target, _PROTOCOLS[minor])) if method else b""] * len(rows.target)
    lines = list(map(b" ".join, zip(rows.method, rows.target, _protocols(rows), strict=True)))
    if b"" in rows.method:
        return [line if method else b"" for line, method in zip(lines, rows.method, strict=True)]
    return lines


def _protocols(rows: Rows) -> Iterable[bytes]:
    return map(_PROTOCOLS.__getitem__, rows.minor)


def _queries(rows: Rows) -> Sequence[bytes | None]:
    return [target.partition(b"?")[2] or None for target in rows.target]


def _paths(rows: Rows) -> Sequence[bytes | None]:
    return [_path(target) for target in rows.target]


def _path(target: bytes) -> bytes:
    raw = target.partition(b"?")[0]
    path = normalise(raw)
    return raw if path is None else path.encode("latin-1", "replace")


def _argument(name: str) -> Raw:
    """nginx: the first argument of that name, in any case, as it was written."""
    wanted = name.encode()

    def read(target: bytes) -> bytes | None:
        for pair in target.partition(b"?")[2].split(b"&"):
            found, equals, value = pair.partition(b"=")
            if equals and found.lower() == wanted:
                return value
        return None

    return lambda rows: [read(target) for target in rows.target]


def _of_answer(read: Read) -> Raw:
    return lambda rows: [read(answer, answer.lower()) for answer in rows.answer]


def _forwarded_for(rows: Rows) -> Sequence[bytes]:
    values = [_chain(block, block.lower()) for block in rows.block]
    clients = map(NAMES.__getitem__, rows.client)
    return [client if chain is None else chain + b", " + client for chain, client in zip(values, clients, strict=True)]


_chain: Final = header("x-forwarded-for")


def _of_link(read: Callable[[Link], bytes | None]) -> Raw:
    return lambda rows: [read(link) for link in rows.link]


def _of_labels(name: str) -> Raw:
    get = attrgetter(name)
    return lambda rows: [get(labels).encode() for labels in rows.labels]


def _cipher(link: Link) -> bytes | None:
    tell: Callable[[], tuple[str, str, int] | None] | None = getattr(link.secured, "cipher", None)
    cipher = None if tell is None else tell()
    return None if cipher is None else cipher[0].encode()


def _protocol(link: Link) -> bytes | None:
    version = None if link.secured is None else link.secured.version()
    return version.encode() if version else None


def _resumed(link: Link) -> bytes | None:
    reused: bool | None = getattr(link.secured, "session_reused", None)
    return None if reused is None else b"r" if reused else b"."


def _text_of(name: str, link: Link) -> bytes | None:
    return str(getattr(link, name)).encode() or None


def _encoded(read: Callable[[Link], str], link: Link) -> bytes | None:
    return read(link).encode() or None


def _subdomains(rows: Rows) -> Sequence[bytes | None]:
    """What stands for the ``*`` of the host that was found."""
    wild = [labels.host.startswith("*.") for labels in rows.labels]
    blocks = zip(wild, rows.block, strict=True)
    return [_host(block, block.lower()).partition(b".")[0] if found else None for found, block in blocks]


RAW: Final[dict[str, Raw]] = {
    "request": _request,
    "request_uri": lambda rows: rows.target,
    "escaped_request_uri": lambda rows: [escaped(target).encode() for target in rows.target],
    "request_method": lambda rows: rows.method,
    "args": _queries,
    "query_string": _queries,
    "uri": _paths,
    "document_uri": _paths,
    "req_id": lambda rows: rows.request_id,
    "request_id": lambda rows: rows.request_id,
    "location_path": _of_labels("path"),
    "namespace": _of_labels("namespace"),
    "ingress_name": _of_labels("ingress"),
    "service_name": _of_labels("service"),
    "service_port": _of_labels("port"),
    "subdomain": _subdomains,
    "server_name": lambda rows: [labels.host.encode() or b"_" for labels in rows.labels],
    "ssl_server_name": _of_link(partial(_text_of, "server_name")),
    "ssl_cipher": _of_link(_cipher),
    "ssl_protocol": _of_link(_protocol),
    "ssl_session_reused": _of_link(_resumed),
    **{name: _of_link(partial(_encoded, read)) for name, read in OF_LINK.items()},
    "realip_remote_addr": _of_link(partial(_text_of, "peer")),
    "server_addr": _of_link(partial(_text_of, "server")),
    "proxy_add_x_forwarded_for": _forwarded_for,
    "proxy_protocol_addr": _of_link(lambda link: link.peer.encode() if link.balancer_port is not None else None),
    "proxy_protocol_port": _of_link(lambda link: b"%d" % link.peer_port if link.balancer_port is not None else None),
}
"""Variables whose values need escaping, or may be absent."""


def _body_sent(rows: Rows) -> Iterable[bytes]:
    return looked_up(DIGITS, list(map(sub, rows.sent, rows.head_sent)))


def _constant(text: bytes) -> Column:
    return lambda rows: repeat(text, len(rows.labels))


def _schemes(rows: Rows) -> Iterable[bytes]:
    return [b"https" if link.tls else b"http" for link in rows.link]


def _of_routes(rows: Rows, name: str) -> Iterable[bytes]:
    labels = rows.labels
    return repeat(getattr(labels[0], name), len(labels)) if alike(labels) else map(attrgetter(name), labels)


def _upstream_names(rows: Rows) -> Iterable[bytes]:
    return _of_routes(rows, "upstream")


def _alternative_names(rows: Rows) -> Iterable[bytes]:
    return _of_routes(rows, "alternative")


def _ready(escape: Escape) -> dict[str, Column]:
    """Variables whose values stand as they are."""
    return {
        "remote_addr": lambda rows: looked_up(NAMES, rows.client),
        "status": lambda rows: looked_up(DIGITS, rows.status),
        "body_bytes_sent": _body_sent,
        "bytes_sent": lambda rows: looked_up(DIGITS, rows.sent),
        "request_length": lambda rows: looked_up(DIGITS, rows.received),
        "request_time": lambda rows: rows.took,
        "time_local": _ended_as(Times(common_log_time)),
        "time_iso8601": _ended_as(Times(iso_time)),
        "msec": _ended_as(with_milliseconds),
        "server_protocol": _protocols,
        "scheme": _schemes,
        "pass_access_scheme": _schemes,
        "https": lambda rows: [b"on" if link.tls else b"" for link in rows.link],
        "is_args": lambda rows: [b"" if query is None else b"?" for query in _queries(rows)],
        "remote_port": lambda rows: [b"%d" % link.peer_port for link in rows.link],
        "realip_remote_port": lambda rows: [b"%d" % link.peer_port for link in rows.link],
        "server_port": lambda rows: [b"%d" % link.server_port for link in rows.link],
        "pass_server_port": lambda rows: [b"%d" % link.server_port for link in rows.link],
        "pass_port": lambda rows: [b"443" if link.tls else b"%d" % link.server_port for link in rows.link],
        "proxy_upstream_name": _upstream_names,
        "proxy_host": _upstream_names,
        "proxy_alternative_upstream_name": _alternative_names,
        "hostname": _constant(socket.gethostname().encode()),
        "nginx_version": _constant(software().encode()),
        "pid": _constant(b"%d" % os.getpid()),
        **{name: partial(column, escape.absent) for name, column in UPSTREAM.items()},
    }


def _ended_as(times: Callable[[Sequence[float]], Iterable[bytes]]) -> Column:
    return lambda rows: times(rows.ended)


def _host(block: bytes, lower: bytes) -> bytes:
    """``$host``: without port; ``_`` stands for a request that names none."""
    name = (host(block, lower) or b"_").lower()
    return name[: name.find(b"]") + 1] if name.startswith(b"[") else name.partition(b":")[0].rstrip(b".")


_HEADERS: Final[dict[str, Read]] = {
    "host": Read(b"", _host),
    "best_http_host": host,
    "remote_user": user,
    "content_length": header("content-length"),
    "content_type": header("content-type"),
    "opentelemetry_context_traceparent": trace_parent,
    "opentelemetry_span_id": span_id,
    "opentelemetry_trace_id": trace_id,
    "http_cookie": header("cookie", b"; "),
}


def header_of(name: str) -> Read | None:
    """What reads the variable ``name`` from a request's headers; None: it is not found there."""
    read = _HEADERS.get(name)
    if read is None and name.startswith("http_"):
        read = header(name.removeprefix("http_").replace("_", "-"))
    if read is None and name.startswith("cookie_"):
        read = cookie(name.removeprefix("cookie_"))
    return read


def _answer_of(name: str) -> Raw | None:
    for beginning in OF_ANSWERS:
        if name.startswith(beginning):
            rest = name.removeprefix(beginning)
            cookies = beginning == "upstream_cookie_"
            return _of_answer(set_cookie(rest) if cookies else header(rest.replace("_", "-")))
    return None


OF_ANSWERS: Final = ("sent_http_", "upstream_http_", "upstream_cookie_")
"""Variables read from the head of a response, which records hold only if one of these is asked for."""


def column_of(name: str, escape: Escape) -> Column | None:
    """The column of a variable; None: it is read from headers (``header_of``), or it has no value."""
    ready = _ready(escape).get(name)
    if ready is not None:
        return ready
    raw = RAW.get(name)
    if raw is None and name.startswith("arg_"):
        raw = _argument(name.removeprefix("arg_"))
    if raw is None:
        raw = _answer_of(name)
    if raw is None:
        return None
    values = raw
    return lambda rows: escape.all(values(rows))
