"""What a default backend is told when it serves in place of a Service without endpoints (contract section 1.2)."""

from __future__ import annotations

import re

from services.edge.core import grammar
from services.edge.core.plan import RouteLabels

_OWNED = frozenset(
    (b"x-code", b"x-format", b"x-original-uri", b"x-namespace", b"x-ingress-name", b"x-service-name", b"x-service-port")
)
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_OF_BODY = _OWNED | _FRAMING | {b"host", b"connection", b"upgrade", b"expect"}
_accept = re.compile(rb"\r\naccept:[\t ]*+([^\r]*+)\r", re.IGNORECASE).search


def for_fallback(request: bytes, target: bytes, labels: RouteLabels) -> bytes:
    """``request`` (a head as it goes to an endpoint, and perhaps some body) with the headers of an error request."""
    line_end = request.find(b"\r\n")
    end = request.find(b"\r\n\r\n") + 2
    kept = [m[0] for m in grammar.field.finditer(request, line_end + 2, end) if m[1].lower() not in _OWNED]
    return request[: line_end + 2] + _told(503, request, end, target, labels) + b"".join(kept) + request[end:]


def for_error(head: bytes, status: int, target: bytes, labels: RouteLabels, authority: bytes) -> bytes:
    """``head`` (a whole one) as it asks an error backend for its words on ``status``: the path is ``/``, method and
    query stay, the body does not. ``target``, ``authority``: of the request as the client sent it."""
    end = head.find(b"\r\n\r\n") + 2
    line_end = head.find(b"\r\n")
    method = head[: head.find(b" ")]
    lines = [(m[1].lower(), m[0]) for m in grammar.field.finditer(head, line_end + 2, end)]
    kept = [line for name, line in lines if name not in _OF_BODY]
    told = _told(status, head, end, target, labels)
    length = b"Content-Length: 0\r\n" if any(name in _FRAMING for name, _ in lines) else b""
    _, mark, query = target.partition(b"?")
    start = b"%b /%b%b HTTP/1.1\r\nHost: %b\r\n" % (method, mark, query, authority)
    return b"".join((start, told, *kept, length, b"\r\n"))


def _told(status: int, request: bytes, end: int, target: bytes, labels: RouteLabels) -> bytes:
    accept = _accept(request, 0, end)
    told = (
        (b"X-Code", b"%d" % status),
        (b"X-Format", accept[1].strip() if accept else b""),
        (b"X-Original-URI", target),
        (b"X-Namespace", labels.namespace.encode()),
        (b"X-Ingress-Name", labels.ingress.encode()),
        (b"X-Service-Name", labels.service.encode()),
        (b"X-Service-Port", labels.port.encode()),
    )
    return b"".join(b"%b: %b\r\n" % pair for pair in told if pair[1])
