"""How connections to the endpoints of a route speak: HTTP/1.1 or HTTP/2, in the clear or by TLS, and how TLS is done.

Owns ``Transport`` and how it follows from a route's policies. Pure. Routes whose policies say the same share one
Transport by value and by name: so do their connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from proto.codec import encode
from proto.policies import BackendProtocol, EndpointTLS, FastCGI, Policy
from proto.resources import Credentials

DEFAULT_NAME: Final = "upstream_balancer"
"""What endpoints' certificates are compared with where ``proxy-ssl-name`` is not set: ingress-nginx's own name for
whatever it proxies to."""

NOTHING_SAID: Final = EndpointTLS("")
"""TLS where no ``proxy-ssl-secret`` is: nothing sent, nothing verified, nothing shown."""


class Transport(Struct, frozen=True, gc=False):
    """See the module. ``name`` tells it from all others, and is empty for HTTP/1.1 in the clear; ``tls``: None: in the
    clear. ``credentials``: of ``tls.credentials`` as they stand in the generation; None: they are not there.
    ``fastcgi``: instead of HTTP."""

    name: str = ""
    http2: bool = False
    tls: EndpointTLS | None = None
    credentials: Credentials | None = None
    fastcgi: bool = False


PLAIN: Final = Transport()


class Transports(Struct, frozen=True, gc=False):
    """The Transport for requests that came in the clear, and for those that came by TLS (``AUTO_HTTP``)."""

    plain: Transport = PLAIN
    secure: Transport = PLAIN


USUAL: Final = Transports()


def lane_of(upstream: str, transport: Transport) -> str:
    """What the endpoints of an Upstream are called when they are spoken to in this way: ``upstream`` itself where that
    is plain."""
    return f"{upstream} {transport.name}" if transport.name else upstream


def transports_for(policies: Iterable[Policy], credentials_of: Callable[[str], Credentials | None]) -> Transports:
    """What ``policies`` of a route say; ``USUAL`` itself where they say nothing."""
    protocol: str | None = None
    tls = NOTHING_SAID
    for policy in policies:
        if isinstance(policy, BackendProtocol):
            protocol = policy.protocol
        elif isinstance(policy, EndpointTLS):
            tls = policy
        elif isinstance(policy, FastCGI):
            protocol = "fastcgi"
    match protocol:
        case None:
            return USUAL
        case "grpc":
            grpc = Transport("grpc", http2=True)
            return Transports(grpc, grpc)
        case "fastcgi":
            fastcgi = Transport("fastcgi", fastcgi=True)
            return Transports(fastcgi, fastcgi)
        case "auto-http":
            return Transports(PLAIN, _secure(False, tls, credentials_of))
        case _:
            secure = _secure(protocol == "grpcs", tls, credentials_of)
            return Transports(secure, secure)


def _secure(http2: bool, tls: EndpointTLS, credentials_of: Callable[[str], Credentials | None]) -> Transport:
    credentials = credentials_of(tls.credentials) if tls.credentials else None
    what = "grpcs" if http2 else "https"
    if tls is NOTHING_SAID:
        return Transport(what, http2, tls)
    digest = blake2b(encode((tls, credentials)), digest_size=12).hexdigest()
    return Transport(f"{what} {digest}", http2, tls, credentials)
