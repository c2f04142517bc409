"""Contexts by server name: made when first asked for, kept in a bounded store, renewed when what they hold changes.

Owns the choice of a connection's context from the name in its ClientHello, and the store. A certificate that cannot be
loaded leads to the fallback, never to a dead host. Must not know what happens on a connection.
"""

from __future__ import annotations

import logging
import ssl
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from proto.resources import CATCH_ALL, Settings
from proto.sealing import Sealer, secret_place
from proto.signing import AuthenticationError
from services.edge.asking import AskedConnection, AskingContext, Incoming, Outgoing
from services.edge.authorities import Authorities
from services.edge.certificates import opened, self_signed
from services.edge.core.generation import Generation
from services.edge.core.tls_options import TLSOptions, tls_options
from services.edge.server_contexts import Door, certificate_context

_log = logging.getLogger(__name__)

KEPT_AT_MOST: Final = 1024
"""Contexts in memory at once (20 KiB each); the least recently used goes first."""

DOORS_AT_MOST: Final = 16
"""Doors at once; hosts with TLS options of their own have one for each combination."""

HOT_AT_MOST: Final = 256
"""Names whose context is known without asking the generation; all are forgotten beyond that."""

_FALLBACK: Final = ""


class RejectedNameError(Exception):
    """Nobody declared the server name, and such handshakes are to be refused (``ssl-reject-handshake``)."""


class Accepted(Struct, frozen=True):
    """A connection about to shake hands, and where its bytes go in and out."""

    tls: ssl.SSLObject | AskedConnection
    incoming: ssl.MemoryBIO | Incoming
    outgoing: ssl.MemoryBIO | Outgoing


class _Kept(Struct, frozen=True):
    """A context with the bytes that it was made of."""

    certificate: bytes
    authority: bytes
    context: ssl.SSLContext | AskingContext


class Contexts:
    """See the module. ``failures``: certificates that could not be loaded, with the reason."""

    def __init__(self, sealer: Sealer, authorities: Authorities) -> None:
        self._sealer = sealer
        self._authorities = authorities
        self._generation: Generation | None = None
        self._kept: OrderedDict[tuple[str, str, TLSOptions], _Kept] = OrderedDict()
        self._doors: OrderedDict[TLSOptions, Door] = OrderedDict()
        self._hot: dict[str, tuple[Door, ssl.SSLContext]] = {}
        self._self_signed: tuple[bytes, bytes] | None = None
        self.failures: dict[str, str] = {}

    def swap(self, generation: Generation) -> None:
        """Serve the certificates of ``generation`` from now on; handshakes and connections under way keep theirs."""
        self._generation = generation
        self._hot.clear()
        for name in [name for name in self.failures if generation.certificate_body(name) is None]:
            del self.failures[name]

    def accept(self, server_name: str) -> Accepted:
        """A connection for a client that asks for ``server_name``; empty: it does not say. Raises RejectedNameError."""
        hot = self._hot.get(server_name)
        if hot is not None:
            door, context = hot
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            return Accepted(door.enter(context, incoming, outgoing), incoming, outgoing)
        generation = self._generation
        if generation is None:
            return self._enter(_FALLBACK, None, _NOTHING_SAID)
        host = generation.host(server_name)
        if host.host == CATCH_ALL and generation.settings.ssl_reject_handshake:
            raise RejectedNameError
        options = host.tls_options or generation.tls_options
        name = generation.certificate_for(server_name) or _FALLBACK
        guard = host.guard
        if guard is not None and guard.asks:
            asking = self._asking(name, generation, guard.rules.authority, options)
            connection = AskedConnection(asking)
            return Accepted(connection, connection.incoming, connection.outgoing)
        accepted = self._enter(name, generation, options)
        if generation.has_host(server_name) and not self.failures:
            self._warm(server_name, self._doors[options], self._kept[name, "", options].context)
        return accepted

    def _warm(self, server_name: str, door: Door, context: ssl.SSLContext | AskingContext) -> None:
        """Have the answer ready when this name is asked for again in the same generation."""
        assert isinstance(context, ssl.SSLContext)
        if len(self._hot) >= HOT_AT_MOST:
            self._hot.clear()
        self._hot[server_name] = (door, context)

    def _enter(self, name: str, generation: Generation | None, options: TLSOptions) -> Accepted:
        body = (generation.certificate_body(name) if generation is not None else None) or b""
        kept = self._kept.get((name, "", options))
        if kept is not None and kept.certificate is body:
            self._kept.move_to_end((name, "", options))
            context = kept.context
        else:
            context = self._make_plain(name, generation, options)
            self._keep((name, "", options), _Kept(body, b"", context))
        assert isinstance(context, ssl.SSLContext)
        door = self._doors.get(options)
        if door is None:
            door = self._doors[options] = Door(options, self._dh(options))
            if len(self._doors) > DOORS_AT_MOST:
                self._doors.popitem(last=False)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        return Accepted(door.enter(context, incoming, outgoing), incoming, outgoing)

    def _asking(self, name: str, generation: Generation, authority: str, options: TLSOptions) -> AskingContext:
        body = generation.certificate_body(name) or b""
        credentials = generation.credentials_body(authority) or b""
        key = (name, authority, options)
        kept = self._kept.get(key)
        if kept is not None and kept.certificate is body and kept.authority is credentials:
            self._kept.move_to_end(key)
            context = kept.context
        else:
            authorities = self._authorities.certificates(authority, generation)
            chain, private = self._pair(name, generation)
            try:
                context = AskingContext(chain, private, authorities, options, self._dh(options))
            except ValueError as error:
                self._failed(name, error)
                context = AskingContext(*self._made(), authorities, options, self._dh(options))
            self._keep(key, _Kept(body, credentials, context))
        assert isinstance(context, AskingContext)
        return context

    def _keep(self, key: tuple[str, str, TLSOptions], kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_AT_MOST:
            self._kept.popitem(last=False)

    def _make_plain(self, name: str, generation: Generation | None, options: TLSOptions) -> ssl.SSLContext:
        chain, key = self._pair(name, generation)
        dh = self._dh(options)
        try:
            return certificate_context(chain, key, options, dh)
        except (ssl.SSLError, OSError, ValueError) as error:
            self._failed(name, error)
            return certificate_context(*self._made(), options, dh)

    def _pair(self, name: str, generation: Generation | None) -> tuple[bytes, bytes]:
        """Chain and key of a Certificate, or those of the fallback (contract section 1.8)."""
        if generation is None or name == _FALLBACK:
            return self._made()
        try:
            certificate = generation.certificate(name)
            if certificate is None:
                raise ValueError("it is not there")
            pair = opened(self._sealer, name, certificate)
        except (AuthenticationError, ValueError) as error:
            self._failed(name, error)
            return self._made()
        self.failures.pop(name, None)
        return pair

    def _made(self) -> tuple[bytes, bytes]:
        if self._self_signed is None:
            self._self_signed = self_signed()
        return self._self_signed

    def _failed(self, name: str, error: Exception) -> None:
        if self.failures.get(name) != str(error):
            self.failures[name] = str(error)
            _log.error("certificate cannot be loaded, the fallback is served: %s: %s", name, error)

    def _dh(self, options: TLSOptions) -> bytes:
        if not options.sealed_dh:
            return b""
        namespace, _, secret = options.dh_place.partition("/")
        try:
            return self._sealer.open(secret_place(namespace, secret, "dhparam.pem"), options.sealed_dh)
        except AuthenticationError as error:
            _log.error("ssl-dh-param: %s", error)
            return b""


_NOTHING_SAID: Final = tls_options(Settings())
