"""Policies about who may pass a route, and how often."""

from __future__ import annotations

from msgspec import Struct


class SourceRanges(Struct, frozen=True, array_like=True, tag="source-ranges", gc=False):
    """Client addresses that may pass, and those that may not; None: the global lists hold.

    ``allow``: nobody else may (``allowlist-source-range``); ``deny``: looked at first (``denylist-source-range``).
    Networks as ``address/length``.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] | None = None


class BasicAuth(Struct, frozen=True, array_like=True, tag="basic-auth", gc=False):
    """A name and a password are asked for (``auth-type: basic``).

    ``credentials``: the name of the Credentials with the hashes; ``by_user``: an entry of it for each user
    (``auth-secret-type: auth-map``), else one htpasswd file, ``auth``. ``realm``: what browsers show.
    """

    credentials: str
    realm: str = ""
    by_user: bool = False


class SatisfyAny(Struct, frozen=True, array_like=True, tag="satisfy-any", gc=False):
    """Who passes one of the guards (addresses, passwords) need not pass the others (``satisfy: any``)."""


class RateLimit(Struct, frozen=True, array_like=True, tag="rate-limit", gc=False):
    """How much one client address may ask of the Ingress; 0: as much as it likes.

    ``per_second`` and ``per_minute``: requests (``limit-rps``, ``limit-rpm``), ``burst`` times as many of them at once
    (``limit-burst-multiplier``); ``at_once``: requests under way (``limit-connections``); ``exempt``: networks that no
    limit holds for (``limit-allowlist``).
    """

    per_second: int = 0
    per_minute: int = 0
    at_once: int = 0
    burst: int = 5
    exempt: tuple[str, ...] = ()
