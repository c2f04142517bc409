"""Another server is asked whether a request may pass: what it is asked, and what follows from its answer.

Pure: the question is bytes, who asks it is ``services.edge.verdicts``. Whatever is not a clear yes keeps the request
out: 401 and 403 as they are, anything else 500 (nginx's ``auth_request``, contract section 1.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proto.policies import ExternalAuth
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.edits import ResponseEdit, clean, edit_request, line, request_edit, response_edit, without
from services.edge.core.header_reads import escaped, header
from services.edge.core.outcomes import Answer, Ask, Check, Outcome, Pass
from services.edge.core.plan import Forward, located
from services.edge.core.policies.addressed import Place, place_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_client_certificate: Final = re.compile(rb"(?i)\r\nssl-client-[^\r]*+").sub
_NOT_SENT: Final = frozenset(
    b"host connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings expect "
    b"content-length x-forwarded-proto x-forwarded-for x-request-id x-real-ip x-original-url x-original-method "
    b"x-sent-from x-auth-request-redirect x-original-uri x-scheme".split()
)
"""Of the client's headers: those that belong to its connection or its body, and those that are told anew."""
_WITH_COOKIES: Final = frozenset((200, 201, 204, 206, 301, 302, 303, 304, 307, 308))
"""Statuses that nginx's ``add_header`` holds for."""
_FAILED: Final = Answer(500)
_connection: Final = header("connection")


class Lifetimes(Struct, frozen=True):
    """How long an answer is remembered, in seconds: by its status, or ``other``."""

    by_status: dict[int, int]
    other: int = 0

    def of(self, status: int) -> int:
        """For an answer with this status; 0: it is not."""
        return self.by_status.get(status, self.other)


class Inquiry(Struct, frozen=True):
    """May this request pass? ``head``: the whole question; ``bodiless``: its answer has no body; ``wanted``: names of
    headers of the answer, in lower case; ``key``: what the answer is remembered by, empty: it is not."""

    tls: bool
    host: str
    port: int
    head: bytes
    bodiless: bool
    connect_timeout: float
    read_timeout: float
    wanted: tuple[bytes, ...]
    lifetimes: Lifetimes
    key: bytes = b""


class Verdict(Struct, frozen=True):
    """What the server said. ``status``: 0: nothing that could be understood; ``values``: of the headers that were
    wanted and are there; ``cookies``, ``challenges``: of Set-Cookie and WWW-Authenticate."""

    status: int
    values: dict[bytes, bytes] = {}
    cookies: tuple[bytes, ...] = ()
    challenges: tuple[bytes, ...] = ()


def policy_of(context: Context) -> ExternalAuth | None:
    """Who is asked about requests of the route."""
    return next((policy for policy in context.route.policies if isinstance(policy, ExternalAuth)), None)


def claimed(context: Context) -> Check | None:
    """What only that server may say of a client is not taken from the client, however it is let pass."""
    policy = policy_of(context)
    if policy is None or not policy.handed_on:
        return None
    passed = Pass(request=request_edit(removed=[name.encode() for name in policy.handed_on]))
    return lambda _asked: passed


def external(context: Context) -> Check | None:
    """``auth-url``: 2xx lets the request pass."""
    policy = policy_of(context)
    if policy is None:
        return None
    inquire = _inquiring(context, policy)
    concluded = _concluding(context, policy)

    def check(asked: Asked) -> Outcome:
        inquiry = inquire(asked)
        if inquiry is None:
            return _FAILED
        return Ask(inquiry, lambda verdict: concluded(asked, verdict))

    return check


def _inquiring(context: Context, policy: ExternalAuth) -> Callable[[Asked], Inquiry | None]:
    """What makes the question; None: the address that comes of the template is none."""
    placed, lines = _placing(policy.url), _telling(context, policy)
    method = (policy.method or "GET").encode()
    action = context.plan.action
    proxying = action.proxying if isinstance(action, Forward) else context.proxying
    wanted = tuple(name.lower().encode() for name in policy.handed_on)
    lifetimes = _lifetimes(policy)
    key = _keying(context, policy)

    def inquire(asked: Asked) -> Inquiry | None:
        place = placed(asked)
        if place is None:
            return None
        target = place.target or b"/"
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, target, place.host, lines(asked))
        where, times = (place.tls, place.name, place.port), (proxying.connect_timeout, proxying.read_timeout)
        return Inquiry(*where, head, method == b"HEAD", *times, wanted, lifetimes, key(asked))

    return inquire


def _placing(template: str) -> Callable[[Asked], Place | None]:
    """What says where the question goes; None: nowhere."""
    url = filled(template)
    if "$" in template:
        return lambda asked: place_of(url(asked))
    settled = place_of(template.encode())
    return lambda _asked: settled


def _telling(context: Context, policy: ExternalAuth) -> Callable[[Asked], bytes]:
    """What makes the headers of the question."""
    everybody = context.settings.use_forwarded_headers and context.settings.compute_full_forwarded_for
    told = {
        "X-Request-ID": "$req_id",
        "X-Original-URL": "$scheme://$http_host$request_uri",
        "X-Original-Method": "$request_method",
        "X-Sent-From": "nginx-ingress-controller",
        "X-Real-IP": "$remote_addr",
        "X-Forwarded-For": "" if everybody else "$remote_addr",
        "X-Auth-Request-Redirect": policy.redirect or "$request_uri",
    }
    if policy.method:
        told |= {"X-Original-URI": "$request_uri", "X-Scheme": "$pass_access_scheme"}
    more = {name: value for name, value in policy.headers if name.lower().encode() not in _FRAMING}
    names = frozenset(name.lower() for name in more)
    told = {name: value for name, value in told.items() if name.lower() not in names} | more
    said = [_saying(name.encode(), value) for name, value in told.items()]
    if everybody and "x-forwarded-for" not in names:
        said.append(_chain)
    dropped = _NOT_SENT | {name.encode() for name in names}

    def lines(asked: Asked) -> bytes:
        block = asked.block
        if asked.trace is not None:
            kept = _kept(edit_request(block, (asked.trace.edit,)), dropped)
        else:
            kept = _kept(block, dropped) if len(block) > _SMALL else _remembered(block, dropped)
        return kept + b"".join([say(asked) for say in said])

    return lines


def _chain(asked: Asked) -> bytes:
    """Everybody that the request came by, the peer last, as endpoints are told it."""
    chain, peer = asked.header("x-forwarded-for"), asked.facts.address.encode()
    return line(b"X-Forwarded-For", chain + b", " + peer if chain else peer)


def _saying(name: bytes, value: str) -> Callable[[Asked], bytes]:
    """What makes the line of a header; one without a value is not sent."""
    fill = filled(value)
    if "$" in value:
        return lambda asked: line(name, found) if (found := fill(asked)) else b""
    settled = line(name, value.encode()) if value else b""
    return lambda _asked: settled


def _kept(block: bytes, dropped: frozenset[bytes]) -> bytes:
    """The lines of a client's headers that the server is told."""
    said = _connection(block, block.lower()) or b""
    named = {token.strip(b" \t") for token in said.lower().split(b",")} - {b"", b"authorization", b"cookie"}
    return without(_client_certificate(b"", block), dropped | named)


_remembered = lru_cache(256)(_kept)
_SMALL: Final = 2048
"""Bytes of headers that are remembered, at most: most clients send the same again."""


_FRAMING: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection"))


def _keying(context: Context, policy: ExternalAuth) -> Callable[[Asked], bytes]:
    """What makes the key by which an answer is remembered: for each host and path, and for what is asked there."""
    if not policy.cache_key:
        return lambda _asked: b""
    route = context.route
    place = repr((context.host, route.match, route.ingress, policy)).encode()
    fill = filled(policy.cache_key)
    return lambda asked: blake2b(b"%d:%b%b" % (len(place), place, fill(asked)), digest_size=32).digest()


def _lifetimes(policy: ExternalAuth) -> Lifetimes:
    times = dict(policy.lifetimes)
    return Lifetimes({status: seconds for status, seconds in times.items() if status}, times.get(0, 0))


def _concluding(context: Context, policy: ExternalAuth) -> Callable[[Asked, Verdict], Outcome]:
    """What follows from the answer."""
    names = [name.encode() for name in policy.handed_on]
    signin, form = _signing_in(policy), context.plan.form

    def conclude(asked: Asked, verdict: Verdict) -> Outcome:
        status = verdict.status
        if 200 <= status < 300:
            values = {name: verdict.values.get(name.lower(), b"") for name in names}
            return Pass(request=request_edit(values), response=_cookies(verdict, policy.always_cookie))
        cookies = b"".join([line(b"Set-Cookie", cookie) for cookie in verdict.cookies])
        if status == 401 and signin is not None:
            page = clean(signin(asked))
            return Answer(302, located(form, asked.question, page) if page.startswith(b"/") else page, cookies)
        if not policy.always_cookie:
            cookies = b""
        if status == 401:
            lines = b"".join([line(b"WWW-Authenticate", challenge) for challenge in verdict.challenges])
            return Answer(401, lines=lines + cookies)
        return Answer(403, lines=cookies) if status == 403 else _FAILED

    return conclude


def _signing_in(policy: ExternalAuth) -> Callable[[Asked], bytes] | None:
    """What makes the address of a sign-in page, with the way back unless the query has one."""
    if not policy.signin:
        return None
    page, origin = filled(policy.signin), filled("$pass_access_scheme://$http_host")
    query = policy.signin.partition("?")[2]
    if any(pair.partition("=")[0] == policy.parameter and pair.partition("=")[2] for pair in query.split("&")):
        return page
    parameter = f"{'&' if query else '?'}{policy.parameter}=".encode()
    if policy.signin.endswith("?"):
        parameter = parameter[1:]
    return lambda asked: b"".join((page(asked), parameter, origin(asked), escaped(asked.target).encode()))


def _cookies(verdict: Verdict, always: bool) -> ResponseEdit | None:
    """The cookies of the answer, for the client."""
    if not verdict.cookies:
        return None
    if always:
        return response_edit(added=[(b"Set-Cookie", cookie) for cookie in verdict.cookies])
    told = b"".join([line(b"Set-Cookie", cookie) for cookie in verdict.cookies])
    return response_edit(change=lambda status, lines: lines + told if status in _WITH_COOKIES else lines)
