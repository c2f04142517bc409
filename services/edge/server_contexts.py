"""Contexts of the standard library for the server's end of TLS.

Owns how options become settings of OpenSSL, and the store of sessions: each connection begins in the ``Door`` of its
options, whose context holds the sessions of all hosts, and is then given the context that has its certificate
(OpenSSL keeps sessions where a connection began). So sessions are bounded in number and age however many certificates
there are, and outlive a certificate.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from proto.resources import Settings
from services.edge.core.tls_options import TLSOptions

_log = logging.getLogger(__name__)

DEFAULT_CIPHERS: Final = Settings().ssl_ciphers
"""Those of ingress-nginx, for TLS 1.2: what holds where OpenSSL knows none of those asked for."""

_TICKETS: Final = 1
"""Sessions offered after a TLS 1.3 handshake: each costs a twentieth of the handshake, and using one brings another."""


class Door:
    """Where connections with the same options begin. Holds their sessions; begun anew when these are old or many."""

    def __init__(self, options: TLSOptions, dh: bytes) -> None:
        self._options = options
        self._dh = dh
        self._context = bare_context(options, dh)
        self._taken = 0
        self._until = monotonic() + options.session_time

    def enter(self, context: ssl.SSLContext, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """A connection about to shake hands with the certificate of ``context``."""
        self._taken += 1
        if self._taken > self._options.sessions or (self._taken & 15 == 0 and monotonic() > self._until):
            self._context = bare_context(self._options, self._dh)
            self._taken = 1
            self._until = monotonic() + self._options.session_time
        entered = self._context.wrap_bio(incoming, outgoing, server_side=True)
        entered.context = context
        return entered


def bare_context(options: TLSOptions, dh: bytes) -> ssl.SSLContext:
    """A context with ``options``, without a certificate. ``dh``: parameters (PEM), empty: none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if "TLSv1.2" in options.versions else ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if "TLSv1.3" in options.versions else ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(options.ciphers)
    except ssl.SSLError:
        _log.error("none of these ciphers is known, ingress-nginx's own are offered: %s", options.ciphers)
        context.set_ciphers(DEFAULT_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not options.tickets:
        context.options |= ssl.OP_NO_TICKET
    if options.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = _TICKETS if options.resumes else 0
    if options.curve != "auto":
        context.set_ecdh_curve(options.curve)
    if dh:
        try:
            with in_memory(dh) as path:
                context.load_dh_params(path)
        except (ssl.SSLError, OSError) as error:
            _log.error("the parameters of ssl-dh-param cannot be used, none are offered: %s", error)
    context.set_alpn_protocols(list(options.protocols))
    return context


def certificate_context(chain: bytes, key: bytes, options: TLSOptions, dh: bytes) -> ssl.SSLContext:
    """A context that shows ``chain`` with ``key`` (both PEM). Raises ssl.SSLError."""
    context = bare_context(options, dh)
    with in_memory(key.rstrip(b"\n") + b"\n" + chain) as path:
        context.load_cert_chain(path)
    return context


@contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """A path under which ``content`` can be read; it never touches the disk."""
    handle = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
