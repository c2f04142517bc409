"""TLS towards endpoints: a context for each way of speaking, and the sessions that the next handshake may resume.

Owns opening sealed keys and authorities and what of a handshake is checked beyond what OpenSSL checks by itself: the
name (without SNI too), and how many certificates stand between. Must not know connections.
"""

from __future__ import annotations

import logging
import ssl
from collections import OrderedDict
from typing import Any, Final

from proto.policies import EndpointTLS
from proto.sealing import Sealer, secret_place
from proto.signing import AuthenticationError
from services.edge.core.endpoint_names import is_for
from services.edge.core.transport import DEFAULT_NAME, NOTHING_SAID, Transport
from services.edge.server_contexts import in_memory

_log = logging.getLogger(__name__)

KEPT_AT_MOST: Final = 1024
"""Contexts, and sessions of each, in memory at once; the least recently used goes first."""

_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class EndpointTLSError(OSError):
    """TLS to an endpoint cannot be had: its certificate is not what it must be, or ours cannot be loaded."""


class EndpointContext:
    """The context of one Transport. ``name``: what the endpoint's certificate must be for."""

    def __init__(self, context: ssl.SSLContext, policy: EndpointTLS) -> None:
        self._context = context
        self._policy = policy
        self._name = policy.name or DEFAULT_NAME
        self._sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, endpoint: str) -> ssl.SSLObject:
        """A handshake with ``endpoint`` that is about to begin. Raises ValueError for a name that cannot be sent, the
        first time or never."""
        name = self._name if self._policy.server_name else None
        session = self._sessions.get(endpoint)
        try:
            return self._context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)
        except (ValueError, TypeError) as error:
            raise ValueError(f"proxy-ssl-name {name!r} cannot be sent: {error}") from None

    def check(self, tls: ssl.SSLObject) -> None:
        """Raises EndpointTLSError where the endpoint is not who it must be. A session that is resumed was checked when
        it began."""
        if not self._policy.verify or tls.session_reused:
            return
        if not is_for(tls.getpeercert() or {}, self._name):
            raise EndpointTLSError(f"its certificate is not for {self._name}")
        between = len(_verified_chain(tls)) - 2
        if between > self._policy.verify_depth:
            raise EndpointTLSError(f"{between} certificates stand between its own and the authority")

    def keep(self, tls: ssl.SSLObject, endpoint: str) -> None:
        """Let the next connection to ``endpoint`` resume what this one has."""
        session = tls.session
        if session is None:
            return
        self._sessions[endpoint] = session
        self._sessions.move_to_end(endpoint)
        if len(self._sessions) > KEPT_AT_MOST:
            self._sessions.popitem(last=False)


class EndpointContexts:
    """See the module."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._contexts: OrderedDict[str, EndpointContext] = OrderedDict()
        self._said: dict[str, str] = {}

    def context(self, transport: Transport) -> EndpointContext:
        """The context of ``transport``, which has TLS. Raises EndpointTLSError."""
        kept = self._contexts.get(transport.name)
        if kept is not None:
            self._contexts.move_to_end(transport.name)
            return kept
        policy = transport.tls or NOTHING_SAID
        try:
            made = EndpointContext(self._make(transport, policy), policy)
            made.wrap(ssl.MemoryBIO(), ssl.MemoryBIO(), "")  # so that no connection finds out what cannot be sent
        except (AuthenticationError, ssl.SSLError, ValueError, OSError) as error:
            if self._said.get(policy.credentials) != str(error):
                self._said[policy.credentials] = str(error)
                _log.error("TLS to endpoints cannot be had with Secret %s: %s", policy.credentials, error)
            raise EndpointTLSError(str(error)) from error
        self._contexts[transport.name] = made
        if len(self._contexts) > KEPT_AT_MOST:
            self._contexts.popitem(last=False)
        return made

    def _make(self, transport: Transport, policy: EndpointTLS) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _limit_versions(context, policy.protocols)
        context.set_ciphers(policy.ciphers)
        if transport.http2:
            context.set_alpn_protocols(["h2"])
        if policy.credentials:
            self._use_credentials(context, transport, policy)
        return context

    def _use_credentials(self, context: ssl.SSLContext, transport: Transport, policy: EndpointTLS) -> None:
        credentials = transport.credentials
        if credentials is None:
            raise ValueError("its Credentials are not in the snapshot")
        namespace, _, secret = policy.credentials.partition("/")
        if credentials.sealed_key:
            key = self._sealer.open(secret_place(namespace, secret, "tls.key"), credentials.sealed_key)
            chain = "".join(map(ssl.DER_cert_to_PEM_cert, credentials.chain)).encode()
            with in_memory(key.rstrip(b"\n") + b"\n" + chain) as path:
                context.load_cert_chain(path)
        if policy.verify:
            pem = self._sealer.open(secret_place(namespace, secret, "ca.crt"), credentials.sealed_authority)
            context.load_verify_locations(cadata=pem.decode("ascii"))
            context.verify_mode = ssl.CERT_REQUIRED


def _limit_versions(context: ssl.SSLContext, versions: tuple[str, ...]) -> None:
    """``versions`` as nginx spells them, in order, read as the lowest and the highest; none: 1.2 and 1.3."""
    context.minimum_version = _VERSIONS[versions[0]] if versions else ssl.TLSVersion.TLSv1_2
    if versions:
        context.maximum_version = _VERSIONS[versions[-1]]


def _verified_chain(tls: Any) -> list[Any]:
    """The chain that OpenSSL verified, the endpoint's own first (``ssl`` tells it since Python 3.13, ``_ssl`` does
    since 3.10)."""
    told = getattr(tls, "get_verified_chain", None) or tls._sslobj.get_verified_chain
    return list(told() or ())
