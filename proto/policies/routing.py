"""Policies about where a request goes: redirects and rewrites."""

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
