"""What a host says about TLS with its clients: ciphers, and which certificates they must show.

Owns the types as they stand in a VirtualHost. Must not know how an edge settles a handshake.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

VerifyMode = Literal["on", "off", "optional", "optional_no_ca"]


class ClientCertificates(Struct, frozen=True, array_like=True, gc=False):
    """Who may speak to a host (``auth-tls-*``, contract section 1.2).

    ``mode``: a good certificate must be there (``on``), may be missing (``optional``), may come from an unknown
    authority too (``optional_no_ca``), or is not asked for (``off``). ``authority`` names the Credentials that hold the
    authorities; empty: they cannot be had, nobody passes. ``depth``: intermediate certificates at most.
    ``error_page``: where a client without a good certificate is sent, empty: it is answered 400.
    ``pass_certificate``: endpoints get the certificate itself. ``subject``: a PCRE that is searched in the subject's
    name (RFC 2253), empty: any subject.
    """

    mode: VerifyMode = "on"
    authority: str = ""
    depth: int = 1
    error_page: str = ""
    pass_certificate: bool = False
    subject: str = ""


class Handshake(Struct, frozen=True, array_like=True, gc=False):
    """What a host has of its own; empty or None: as in the settings. ``ciphers``: for TLS 1.2, as OpenSSL reads them;
    ``prefer_server_ciphers``: their order is ours, not the client's."""

    ciphers: str = ""
    prefer_server_ciphers: bool | None = None
    client: ClientCertificates | None = None
