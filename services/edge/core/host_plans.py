"""Hosts as plans: what a VirtualHost comes to in its generation, with all its routes.

Owns the rule that nothing is open of which something is not understood. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from proto.resources import CATCH_ALL, PathMatch, Route, VirtualHost
from proto.resources import Respond as RespondAction
from services.contract.matching import matcher_of
from services.contract.paths import as_bytes_text
from services.contract.regex import RegexError
from services.contract.rewrite import RewriteError, Rewriter
from services.edge.core.client_certificates import guard_of
from services.edge.core.phases import Context, policed
from services.edge.core.plan import NO_LABELS, Decision, Forward, HostPlan, Respond, RouteLabels, RoutePlan
from services.edge.core.route_plans import compile_route, labels_of_nobody, rewrite_policy
from services.edge.core.tls_options import tls_options
from services.edge.core.transport import transports_for

if TYPE_CHECKING:
    from services.edge.core.generation import Generation

NOWHERE: Final = Route(PathMatch("prefix", "/"), RespondAction(404), synthetic=True)
"""What stands for the route where there is none."""


def plan_host(
    generation: Generation, host: VirtualHost, tls: bool, routes: Iterable[Route], leads_to: bytes = b""
) -> HostPlan:
    """The plan of ``host``. ``tls``: requests for it can come by TLS that is its own or its wildcard's; ``routes``: all
    of them; ``leads_to``: where it is redirected to, whatever is asked for."""
    plans = [(route.match, _plan_route(generation, host.host, tls, route)) for route in routes]
    settings = generation.settings
    denied = host.denied
    try:
        matcher = matcher_of(plans, host.mode)
    except RegexError:  # the compiler refuses such routes; should one come all the same, the host is closed
        matcher = matcher_of((), "plain")
        denied = True
    guard = None
    try:
        guard = guard_of(host.handshake)
    except RegexError:  # likewise
        denied = True
    return HostPlan(
        host=host.host,
        routes=matcher,
        simple=not (denied or host.app_root or guard or leads_to or generation.blocked or host.host == CATCH_ALL),
        denied=denied,
        app_root=host.app_root.encode(),
        not_found=_not_found(generation, host.host, tls),
        https_code=settings.http_redirect_code,
        exempt=tuple(map(as_bytes_text, settings.no_tls_redirect_locations)),
        tls=host.tls,
        certificate=host.certificate,
        body_limit=generation.proxying.body_limit,
        guard=guard,
        tls_options=None if host.handshake is None else tls_options(settings, host.handshake),
        leads_to=leads_to,
        health=settings.health_path if host.host == CATCH_ALL else "",
    )


def _plan_route(generation: Generation, host: str, tls: bool, route: Route) -> RoutePlan:
    policy = rewrite_policy(route)
    try:
        rewriter = None if policy is None else Rewriter(policy.pattern, policy.target)
    except (RegexError, RewriteError):  # refused by the compiler; closed if it comes all the same
        return _closed(NO_LABELS)
    transports = transports_for(route.policies, generation.credentials)
    plan = compile_route(host, tls, route, rewriter, generation.settings, generation.proxying, transports)
    return _policed(generation, host, tls, route, plan)


def _policed(generation: Generation, host: str, tls: bool, route: Route, plan: RoutePlan) -> RoutePlan:
    """``plan`` with the route's policies; closed if one of them cannot be compiled, which the compiler sees to."""
    try:
        return policed(
            Context(
                host,
                tls,
                route,
                plan,
                generation.settings,
                generation.proxying,
                generation.credentials,
                generation.upstream,
            )
        )
    except (RegexError, ValueError):
        return _closed(plan.labels)


def _not_found(generation: Generation, host: str, tls: bool) -> Decision:
    """What answers where no route does: the global default backend, else 404; what holds for all routes holds."""
    labels = labels_of_nobody(host, generation.settings)
    name = generation.settings.default_upstream
    settled: Forward | Respond = Respond(labels, 404)
    if generation.has_upstream(name):
        settled = Forward(labels, name, name, proxying=generation.proxying)
    plan = RoutePlan(labels, settled, False, None, settled, settled)
    return _policed(generation, host, tls, NOWHERE, plan).ready or settled


def _closed(labels: RouteLabels) -> RoutePlan:
    """A route of which something is not understood: never open."""
    answer = Respond(labels, 503)
    return RoutePlan(labels, answer, False, None, answer, answer, too_large=answer)
