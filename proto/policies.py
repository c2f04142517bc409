"""Policies: typed, parsed settings of a route that an edge applies to a request.

Owns one frozen type per policy; on the wire each carries its tag. A reader that meets a tag it does not know answers
that route with 503 (``proto.codec.decode_virtual_host``): never open.
"""

from __future__ import annotations

from msgspec import Struct


class SSLRedirect(Struct, frozen=True, array_like=True, tag="ssl-redirect", gc=False):
    """What the Ingress says of redirects to https; None: it says nothing, the global setting holds.

    ``enabled``: redirect where the host has TLS (``ssl-redirect``). ``force``: redirect always
    (``force-ssl-redirect``).
    """

    enabled: bool | None = None
    force: bool | None = None


class Rewrite(Struct, frozen=True, array_like=True, tag="rewrite", gc=False):
    """``rewrite-target``: search ``pattern`` (PCRE, case-insensitive) in the decoded path, the whole path becomes
    ``target`` with ``$1`` … ``$9`` filled in. A target that starts with http:// or https:// is answered as a 302
    instead (contract section 1.4)."""

    pattern: str
    target: str


class ProxyTimeouts(Struct, frozen=True, array_like=True, tag="proxy-timeouts", gc=False):
    """How long an endpoint may take, in seconds; None: the global setting holds.

    ``connect``: to take a connection (``proxy-connect-timeout``); ``read`` and ``send``: between two reads and two
    writes (``proxy-read-timeout``, ``proxy-send-timeout``).
    """

    connect: float | None = None
    read: float | None = None
    send: float | None = None


class NextUpstream(Struct, frozen=True, array_like=True, tag="next-upstream", gc=False):
    """When a request is offered to another endpoint; None: the global setting holds.

    ``conditions``: as nginx's ``proxy_next_upstream`` names them; ``tries``: how many endpoints, 0: each once;
    ``timeout``: seconds after which no other one is tried, 0: any time.
    """

    conditions: tuple[str, ...] | None = None
    tries: int | None = None
    timeout: float | None = None


Policy = SSLRedirect | Rewrite | ProxyTimeouts | NextUpstream
