"""A client's connection as requests, log lines and templates tell of it, put down once when it is made.

Pure: asks whatever carries the connection, and holds on to nothing of it but its TLS object.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from services.edge.core.client_certificates import Peer


class TLSObject(Protocol):
    """What a TLS object tells of itself; some tell also ``session_reused``."""

    def version(self) -> str | None:
        """The version of TLS."""

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher's name, and more."""


class Secured:
    """What is known of a connection's TLS. Records of requests hold on to it, and are read when their connection may be
    long gone: it lets go of the TLS object, which is large, when that ends (``end``)."""

    __slots__ = ("_ended", "_tls")

    def __init__(self, tls: TLSObject) -> None:
        self._tls: TLSObject | None = tls
        self._ended: tuple[str | None, tuple[str, str, int] | None, bool | None] = (None, None, None)

    def version(self) -> str | None:
        """The version of TLS."""
        return self._ended[0] if self._tls is None else self._tls.version()

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher's name, and more."""
        return self._ended[1] if self._tls is None else self._tls.cipher()

    @property
    def session_reused(self) -> bool | None:
        """Whether a session was resumed; None: it cannot be told."""
        return self._ended[2] if self._tls is None else getattr(self._tls, "session_reused", None)

    def end(self) -> None:
        """The connection is over: keep what it told, and nothing else."""
        if self._tls is not None:
            self._ended = self.version(), self.cipher(), self.session_reused
            self._tls = None


class Link(Struct, frozen=True, gc=False):
    """Both ends of a connection (``peer``: as it came, whoever it stands for), and its TLS, if any.

    ``secured``: asked only by lines that name its protocol or cipher. ``balancer_port``: the one that the peer came to,
    where a balancer tells of it by the PROXY protocol. ``client``: what TLS knows of it.
    """

    peer: str = ""
    peer_port: int = 0
    server: str = ""
    server_port: int = 0
    tls: bool = False
    server_name: str = ""
    secured: Secured | None = None
    balancer_port: int | None = None
    client: Peer | None = None


NO_LINK = Link()


class Carrier(Protocol):
    """What carries a connection: a transport of asyncio, or one of ours."""

    def get_extra_info(self, name: str) -> Any:
        """What is known of the connection under ``name``; None: nothing."""


def link_of(transport: Carrier, tls: bool) -> Link:
    """The link of a connection that has just been made (over TLS: whose handshake is done)."""
    peer = transport.get_extra_info("peername") or ("", 0)
    own = transport.get_extra_info("sockname") or ("", 0)
    secured = transport.get_extra_info("secured") if tls else None
    balancer_port = transport.get_extra_info("balancer_port")
    client = transport.get_extra_info("tls_peer") if tls else None
    name = "" if client is None else client.server_name
    return Link(str(peer[0]), int(peer[1]), str(own[0]), int(own[1]), tls, name, secured, balancer_port, client)
