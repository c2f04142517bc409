"""How TLS with a client is settled: what the settings and the host say, put together.

Pure. Owns which word wins. Must not know contexts or OpenSSL's numbers.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.handshakes import Handshake
from proto.resources import Settings

SESSION_SIZE: Final = 1100
"""Bytes that one session takes in OpenSSL's store, measured; ``ssl-session-cache-size`` is divided by it."""

FEW_SESSIONS: Final = 256
"""Sessions that are kept where none should be: OpenSSL's store for TLS 1.2 cannot be switched off from Python."""


class TLSOptions(Struct, frozen=True):
    """``versions``: as nginx spells them, of TLSv1.2 and TLSv1.3. ``ciphers``: for TLS 1.2. ``curve``: ``auto`` or the
    one that is offered. ``resumes``: TLS 1.3 may resume sessions; ``sessions`` are kept at most, for at most
    ``session_time`` seconds. ``tickets``: sessions travel in encrypted tickets, and none is kept. ``dh_place`` and
    ``sealed_dh``: the Secret of finite-field parameters, and they themselves; empty: no such key exchange.
    ``protocols``: what ALPN offers, the best first."""

    versions: tuple[str, ...]
    ciphers: str
    prefer_server_ciphers: bool
    curve: str
    resumes: bool
    sessions: int
    session_time: float
    tickets: bool
    dh_place: str = ""
    sealed_dh: bytes = b""
    protocols: tuple[str, ...] = ("http/1.1",)


def tls_options(settings: Settings, handshake: Handshake | None = None) -> TLSOptions:
    """The options of a host that says ``handshake``; None: it says nothing of its own."""
    own = handshake or Handshake()
    return TLSOptions(
        versions=settings.ssl_protocols,
        ciphers=own.ciphers or settings.ssl_ciphers,
        prefer_server_ciphers=own.prefer_server_ciphers is not False,
        curve=settings.ssl_ecdh_curve,
        resumes=settings.ssl_session_cache or settings.ssl_session_tickets,
        sessions=max(1, settings.ssl_session_cache_size // SESSION_SIZE)
        if settings.ssl_session_cache
        else FEW_SESSIONS,
        session_time=settings.ssl_session_timeout,
        tickets=settings.ssl_session_tickets,
        dh_place=settings.ssl_dh_param,
        sealed_dh=settings.sealed_dh_param,
        protocols=("h2", "http/1.1") if settings.use_http2 else ("http/1.1",),
    )
