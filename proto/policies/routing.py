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
    instead (contract section 1.4). ``prefix``: X-Forwarded-Prefix of requests on this route, with groups filled in
    too; empty: none.
    """

    pattern: str
    target: str
    prefix: str = ""


class Moved(Struct, frozen=True, array_like=True, tag="moved", gc=False):
    """Every request is sent to ``location`` (``temporal-redirect``, ``permanent-redirect``)."""

    status: int
    location: str


class RedirectForm(Struct, frozen=True, array_like=True, tag="redirect-form", gc=False):
    """How redirects are written; None: the global setting holds.

    ``relative``: without scheme and host where nginx itself would add them (``relative-redirects``); ``port``: with the
    port (``use-port-in-redirects``); ``keeps_slash``: the one to https keeps a slash at the end
    (``preserve-trailing-slash``).
    """

    relative: bool | None = None
    port: bool | None = None
    keeps_slash: bool | None = None


class UpstreamHost(Struct, frozen=True, array_like=True, tag="upstream-host", gc=False):
    """The Host that endpoints get (``upstream-vhost``); may hold nginx variables."""

    template: str


class CustomErrors(Struct, frozen=True, array_like=True, tag="custom-errors", gc=False):
    """Which answers an error backend is asked for instead; None: the global setting holds.

    ``statuses``: those of the Service and of the edge itself (``custom-http-errors``); ``endpoints``: the Service's too
    (not ``disable-proxy-intercept-errors``). ``backend``: the Upstream that is asked, empty: the default backend.
    """

    statuses: tuple[int, ...] | None = None
    endpoints: bool | None = None
    backend: str = ""
