"""What log lines say of a client's connection, put down once when it is made."""

from __future__ import annotations

import asyncio
from typing import Protocol

from msgspec import Struct

from services.edge.core.client_certificates import Peer


class Secured(Protocol):
    """What a TLS object tells of itself."""

    def version(self) -> str | None:
        """The version of TLS."""


class Link(Struct, frozen=True, gc=False):
    """Both ends of a connection (``peer``: as it came, whoever it stands for), and its TLS, if any.

    ``secured``: the TLS object, asked only by lines that name its protocol or cipher; one that cannot tell is silent.
    ``proxied``: a balancer told the peer, by the PROXY protocol. ``client``: what TLS knows of it.
    """

    peer: str = ""
    peer_port: int = 0
    server: str = ""
    server_port: int = 0
    tls: bool = False
    server_name: str = ""
    secured: Secured | None = None
    proxied: bool = False
    client: Peer | None = None


NO_LINK = Link()


def link_of(transport: asyncio.BaseTransport, tls: bool) -> Link:
    """The link of a connection that has just been made (over TLS: whose handshake is done)."""
    peer = transport.get_extra_info("peername") or ("", 0)
    own = transport.get_extra_info("sockname") or ("", 0)
    secured = transport.get_extra_info("ssl_object") if tls else None
    proxied = transport.get_extra_info("by_https") is not None
    client = transport.get_extra_info("tls_peer") if tls else None
    name = "" if client is None else client.server_name
    return Link(str(peer[0]), int(peer[1]), str(own[0]), int(own[1]), tls, name, secured, proxied, client)
