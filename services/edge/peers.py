"""A TLS connection's other end as requests ask about it: the name it asked for, the certificates it showed.

Owns what is remembered of a handshake, and the answers already worked out for it: each is good for as long as rules
and Credentials stay the same.
"""

from __future__ import annotations

from cryptography import x509

from proto.handshakes import ClientCertificates
from services.edge.authorities import Authorities
from services.edge.core.client_certificates import Verified
from services.edge.core.generation import Generation


class TLSPeer:
    """``core.client_certificates.Peer`` of one connection."""

    __slots__ = ("_authorities", "_known", "asked", "server_name", "shown")

    def __init__(
        self, server_name: str, authorities: Authorities, asked: bool = False, shown: tuple[x509.Certificate, ...] = ()
    ) -> None:
        self.server_name = server_name
        self.asked = asked
        self.shown = shown
        self._authorities = authorities
        self._known: tuple[ClientCertificates, bytes | None, Verified] | None = None

    @property
    def verdict(self) -> Verified | None:
        """See ``Peer``."""
        return None if self._known is None else self._known[2]

    def verify(self, rules: ClientCertificates, generation: Generation) -> Verified:
        """See ``Peer``."""
        body = generation.credentials_body(rules.authority)
        known = self._known
        if known is not None and known[0] == rules and known[1] is body:
            return known[2]
        verified = self._authorities.verify(self.shown, rules, generation)
        self._known = (rules, body, verified)
        return verified
