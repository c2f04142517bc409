"""How a request chooses among the endpoints of its Upstream, where that is not simply the next one's turn.

Owns what a phase says of it; who chooses is ``services.edge.choosing``. Pure.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from hashlib import md5
from typing import Final, Protocol

from msgspec import Struct

_OLD_IOS: Final = re.compile(rb"\(iP.+; CPU .*OS 12[_\d]*.*\) AppleWebKit/")
_OLD_MAC: Final = re.compile(rb"\(Macintosh;.*Mac OS X 10_14[_\d]*.*\) AppleWebKit/(?!.*Chrom(?:e|ium))")
_OLD_CHROME: Final = re.compile(rb"Chrom(?:e|ium)/(?:5[1-9]|6[0-6])\.")
"""Browsers that take SameSite=None for Strict, or throw such cookies away."""


class ByHash(Struct, frozen=True, gc=False):
    """The endpoint that ``key`` falls to; one of ``group`` neighbours, if that is not 0."""

    key: bytes
    group: int = 0


class Timed(Protocol):
    """An endpoint as far as its latency goes: in seconds, as of ``latency_at``; 0.0: nothing is known."""

    name: str
    latency: float
    latency_at: float


class ByLatency:
    """The faster one of two, by chance. ``endpoint`` and ``since`` are what was chosen last, and when."""

    __slots__ = ("endpoint", "since")

    def __init__(self) -> None:
        self.endpoint: Timed | None = None
        self.since = 0.0


class CookieForm(Struct, frozen=True, gc=False):
    """The cookie of a route, but for its value. ``beginning`` ends in ``=``; ``ending`` comes before SameSite."""

    beginning: bytes
    ending: bytes
    same_site: bytes = b""
    conditional: bool = False
    secure: bool = False
    expires: int | None = None
    persistent: bool = False
    changes: bool = False

    def line(self, value: bytes, now: float, *, tls: bool, browser: bytes) -> bytes:
        """The Set-Cookie line. ``now``: seconds since 1970; ``browser``: the User-Agent."""
        parts = [b"Set-Cookie: ", self.beginning, value]
        if self.expires is not None:
            date = formatdate(now + self.expires, usegmt=True)  # Mon, 02 Jan 2006 15:04:05 GMT
            parts.append(_with_dashes(date))
        parts.append(self.ending)
        if tls or self.secure:
            parts.append(b"; Secure")
        parts.append(b"; HttpOnly")
        if self.same_site and not (self.conditional and self.same_site == b"None" and misreads_none(browser)):
            parts.append(b"; SameSite=" + self.same_site)
        parts.append(b"\r\n")
        return b"".join(parts)


class Sticky:
    """The endpoint of the client's cookie, or one that it is told by a cookie from now on.

    ``key``: what the cookie says, empty: nothing yet; ``held``: the client brought it. ``told``: the line that the
    response gets, empty: none.
    """

    __slots__ = ("browser", "form", "held", "key", "tls", "told")

    def __init__(self, form: CookieForm, key: bytes, *, tls: bool, browser: bytes) -> None:
        self.form = form
        self.key = key
        self.held = bool(key)
        self.tls = tls
        self.browser = browser
        self.told = b""

    def dress(self, _status: int, lines: bytes) -> bytes:
        """A response's lines with the cookie."""
        return lines + self.told


Choice = ByHash | ByLatency | Sticky


def upstream_id(name: bytes) -> bytes:
    """What stands behind ``|`` in the cookie: the Upstream (as ingress-nginx names it) that chose (contract 1.2)."""
    inner = md5(name, usedforsecurity=False).hexdigest().encode()
    return md5(inner + name, usedforsecurity=False).hexdigest().encode()


def _with_dashes(date: str) -> bytes:
    """``Mon, 02 Jan 2006 15:04:05 GMT`` as nginx writes it in cookies: ``Mon, 02-Jan-06 15:04:05 GMT``."""
    return f"; Expires={date[:7]}-{date[8:11]}-{date[14:]}".encode()


def misreads_none(browser: bytes) -> bool:
    """Whether a browser, by its User-Agent, is one that misreads SameSite=None."""
    return any(old.search(browser) for old in (_OLD_IOS, _OLD_MAC, _OLD_CHROME))
