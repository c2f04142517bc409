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


class DigestAuth(Struct, frozen=True, array_like=True, tag="digest-auth", gc=False):
    """A proof is asked for that the client knows a password, which is not sent (``auth-type: digest``).

    As in BasicAuth; the file is htdigest's: ``name:realm:hash``, and an entry of a user's holds ``realm:hash``.
    """

    credentials: str
    realm: str = ""
    by_user: bool = False


class ExternalAuth(Struct, frozen=True, array_like=True, tag="external-auth", gc=False):
    """Another server is asked about every request (``auth-url``).

    ``url``, ``signin``, ``redirect``, ``cache_key`` and values of ``headers`` may hold nginx variables. ``signin``:
    where a 401 sends the browser, empty: nowhere; ``parameter``: of its query, with the way back. ``method``: of the
    question, empty: GET. ``handed_on``: headers of the answer for the endpoint. ``redirect``: X-Auth-Request-Redirect,
    empty: the client's target. ``headers``: sent with the question. ``always_cookie``: cookies of the answer go to the
    client whatever the status. ``cache_key``: empty: answers are not remembered; ``lifetimes``: (status, seconds), a
    status of 0: any other.
    """

    url: str
    signin: str = ""
    parameter: str = "rd"
    method: str = ""
    handed_on: tuple[str, ...] = ()
    redirect: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    always_cookie: bool = False
    cache_key: str = ""
    lifetimes: tuple[tuple[int, int], ...] = ()


class SatisfyAny(Struct, frozen=True, array_like=True, tag="satisfy-any", gc=False):
    """Who passes one of the guards (addresses, passwords, another server) need not pass the others
    (``satisfy: any``)."""


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
