"""The phases of a request in their order: who looks at it first, and who answers (contract section 1.7).

Owns the one table of them. Each phase is compiled once per generation and route to a check, or to none where the route
has no such policy; a route for which no phase but the plain ones remains keeps its ready decision and never comes here.
Pure: what has to be asked outside is said as a value (``Ask``) and answered by ``services.edge.questions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from proto.resources import Credentials, Route, Settings, Upstream
from services.edge.core.asked import Asked
from services.edge.core.asked_values import value_of
from services.edge.core.outcomes import Answer, Check, Dressing, Outcome, Pass
from services.edge.core.plan import (
    Forward,
    Policed,
    Redirect,
    Respond,
    RoutePlan,
    rewrite,
    to_https,
)
from services.edge.core.policies import (
    access,
    addresses,
    balancing,
    cors,
    decorations,
    digests,
    endpoint_responses,
    external,
    fastcgi,
    limits,
    passwords,
    places,
    request_heads,
    response_headers,
    tracing,
)
from services.edge.core.policies.compression import compression_of
from services.edge.core.policies.mirrors import mirroring
from services.edge.core.policies.rates import rate_of
from services.edge.core.proxying import Proxying


class Context(Struct, frozen=True):
    """What a phase is compiled from: the route as it came, the plan of what plain routes do, and the generation's
    resources. ``tls``: the host has TLS; ``proxying``: that of routes which say nothing of their own."""

    host: str
    tls: bool
    route: Route
    plan: RoutePlan
    settings: Settings
    proxying: Proxying
    credentials: Callable[[str], Credentials | None]
    upstream: Callable[[str], Upstream | None]


Compile = Callable[[Context], Check | None]


class Phase(Struct, frozen=True):
    """``compile``: None where the phase is settled before a route's own checks: by ``plan``, or with the headers.

    ``plain``: routes without policies have it too, so it alone makes no route a policed one. ``always``: requests that
    are refused before the route's own phases come by it too.
    """

    name: str
    doc: str
    compile: Compile | None = None
    plain: bool = False
    always: bool = False


def _rewrite(context: Context) -> Check | None:
    plan, rewriter = context.plan, context.plan.rewrite
    if rewriter is None:
        return None
    readers = {name: value_of(name) for name in rewriter.variables}

    def check(asked: Asked) -> Outcome:
        mark = asked.target.find(b"?")
        target = rewrite(plan, rewriter, asked.path, asked.target, mark, lambda name: readers[name](asked))
        return Pass(target=target) if isinstance(target, bytes) else answer_of(target)

    return check


def _https(context: Context) -> Check | None:
    plan = context.plan
    if not plan.to_https:
        return None

    def check(asked: Asked) -> Outcome:
        if asked.https or asked.path.startswith(asked.host.exempt):
            return None
        return answer_of(to_https(asked.host, plan, asked.target, asked.question))

    return check


def _endpoints(context: Context) -> Check | None:
    """Nobody to serve: 503, before anybody is asked who they are."""
    action = context.plan.action
    if not isinstance(action, Forward):
        return None
    name, other = action.upstream, action.fallback
    none = Answer(503)

    def check(asked: Asked) -> Outcome:
        has_endpoints = asked.generation.has_endpoints
        return None if has_endpoints(name) or (other and has_endpoints(other)) else none

    return check


PHASES: Final[tuple[Phase, ...]] = (
    # the host's, before its routes are looked at
    Phase("blocked", "the User-Agent or the Referer is blocked: 403"),
    Phase("client-certificate", "the client shows none, or none that is good: 400, 403, or a redirect"),
    Phase("health", "`/healthz` of hosts nobody declared: 200"),
    Phase("www", "a name that is redirected to its host: 308"),
    Phase("host-denied", "a setting that guards the whole host is not understood: 503"),
    Phase("app-root", "`/` is sent there: 302"),
    Phase("body-size", "the length that is announced is too large: 413"),
    # the route's
    Phase("trace", "a span is begun, and its context told", tracing.traced, always=True),
    Phase("denied", "a setting that guards the route is not understood: 503"),
    Phase("cors", "a preflight of an origin that may ask: 204", cors.preflight),
    Phase("moved", "every request is sent elsewhere: 301, 302 or as the Ingress says", places.moved),
    Phase("rewrite", "the path becomes another, or a redirect: 302", _rewrite, plain=True),
    Phase("https", "plain http is sent to https: 308", _https, plain=True),
    Phase("endpoints", "nobody serves: 503", _endpoints, plain=True),
    Phase("rates", "the client asks more often than it may: 503, or as the ConfigMap says", limits.rates),
    Phase("at-once", "too many requests of the client are under way: likewise", limits.at_once),
    Phase("claimed", "what another server says of a client is not taken from the client", external.claimed),
    Phase("addresses", "the client's address may not pass: 403", access.each(addresses.addresses)),
    Phase("password", "the client has no password that is right: 401", access.each(passwords.password)),
    Phase("digest", "the client proves no password: 401", access.each(digests.digest)),
    Phase("external", "another server does not let it pass: 401, 403, 302, or 500", access.each(external.external)),
    Phase("any-guard", "of the guards of a route that asks for any one, none agrees: 401 or 403", access.any_of_them),
    # what the endpoint is told; nothing is refused any more
    Phase("hop", "the version and the Connection header that the endpoint gets", request_heads.hop),
    Phase("authorization", "the name and password stay here", passwords.unsaid),
    Phase("original-uri", "X-Original-URI", request_heads.original_uri),
    Phase("forwarded-prefix", "X-Forwarded-Prefix of rewritten requests", request_heads.forwarded_prefix),
    Phase("upstream-host", "the Host that the endpoint gets", request_heads.upstream_host),
    Phase("set-headers", "`proxy-set-headers`", request_heads.set_headers),
    Phase("fastcgi", "what a FastCGI script is told", fastcgi.parameters),
    # where it goes
    Phase("destination", "a canary's Upstream or the route's own, and which endpoint there", balancing.destination),
    Phase("mirror", "a copy goes elsewhere, too"),
)
"""Every phase, the first to decide first."""

DRESSINGS: Final[tuple[Callable[[Context], Dressing | None], ...]] = (
    response_headers.added,
    cors.told,
    response_headers.custom,
    decorations.decorated,
)
"""What edits heads of responses, of endpoints and of the edge itself, in the order in which it is done."""

OF_ENDPOINTS: Final[tuple[Callable[[Context], Dressing | None], ...]] = (
    endpoint_responses.hidden,
    endpoint_responses.redirects,
    endpoint_responses.cookies,
)
"""What edits heads of endpoints alone, before all that."""


def policed(context: Context) -> RoutePlan:
    """The plan of a route with its phases; the same one where it has none of its own. Raises whatever a phase raises
    for a policy that cannot be compiled: such a route is closed by the caller."""
    plan = context.plan
    compiled = [
        (phase, check)
        for phase in PHASES
        if phase.compile is not None and (check := phase.compile(context)) is not None
    ]
    dressings = tuple(dressing for make in DRESSINGS if (dressing := make(context)) is not None)
    of_endpoints = tuple(dressing for make in OF_ENDPOINTS if (dressing := make(context)) is not None)
    errors = places.custom_errors(context)
    more = (compression_of(context.settings), mirroring(context), rate_of(context))
    asks = plan.rewrite is not None and plan.rewrite.variables
    if not (dressings or of_endpoints or errors or asks or any(more)) and all(phase.plain for phase, _ in compiled):
        return plan
    names = tuple(phase.name for phase, _ in compiled)
    checks = tuple(check for _, check in compiled)
    course = Policed(plan.labels, names, checks, plan.action, plan.over_tls, dressings, errors, of_endpoints, *more)
    always = [(phase.name, check) for phase, check in compiled if phase.always]
    too_large = _refusing(course, [*always, ("body-size", _too_large)])
    if isinstance(plan.action, Respond) and plan.action.status == 503:
        course = replace(_refusing(course, always), names=(*(name for name, _ in always), "denied"))
    return replace(plan, ready=course, ready_https=course, too_large=too_large)


def _refusing(course: Policed, phases: Sequence[tuple[str, Check]]) -> Policed:
    return replace(course, names=tuple(name for name, _ in phases), checks=tuple(check for _, check in phases))


def _too_large(_asked: Asked) -> Outcome:
    return Answer(413)


def answer_of(decision: Redirect | Respond) -> Answer:
    """A settled decision as an answer."""
    if isinstance(decision, Redirect):
        return Answer(decision.status, decision.location)
    return Answer(decision.status, page=decision.page)
