"""What a default backend is told when it serves in place of a Service without endpoints (contract section 1.2)."""

from __future__ import annotations

import re

from services.edge.core import grammar
from services.edge.core.plan import RouteLabels

_OWNED = frozenset(
    (b"x-code", b"x-format", b"x-original-uri", b"x-namespace", b"x-ingress-name", b"x-service-name", b"x-service-port")
)
_accept = re.compile(rb"\r\naccept:[\t ]*+([^\r]*+)\r", re.IGNORECASE).search


def for_fallback(request: bytes, target: bytes, labels: RouteLabels) -> bytes:
    """``request`` (a head as it goes to an endpoint, and perhaps some body) with the headers of an error request."""
    line_end = request.find(b"\r\n")
    end = request.find(b"\r\n\r\n") + 2
    kept = [m[0] for m in grammar.field.finditer(request, line_end + 2, end) if m[1].lower() not in _OWNED]
    accept = _accept(request, 0, end)
    told = (
        (b"X-Code", b"503"),
        (b"X-Format", accept[1].strip() if accept else b""),
        (b"X-Original-URI", target),
        (b"X-Namespace", labels.namespace.encode()),
        (b"X-Ingress-Name", labels.ingress.encode()),
        (b"X-Service-Name", labels.service.encode()),
        (b"X-Service-Port", labels.port.encode()),
    )
    lines = b"".join(b"%b: %b\r\n" % pair for pair in told if pair[1])
    return request[: line_end + 2] + lines + b"".join(kept) + request[end:]
