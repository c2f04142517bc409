"""Routes as plans: what a route of a resource comes to once the generation's settings are known.

Owns the labels, the redirect to https and the ready decision of each route. Pure; what is decided with a plan is for
``services.edge.core.plan``.
"""

from __future__ import annotations

from msgspec.structs import replace

from proto import policies, resources
from proto.policies import AccessLog, Rewrite, SSLRedirect
from proto.resources import Route, Settings
from services.contract.rewrite import Rewriter
from services.edge.core.plan import (
    DEFAULT_UPSTREAM,
    NO_UPSTREAM,
    USUAL_FORM,
    Forward,
    Redirect,
    RedirectForm,
    Respond,
    RouteLabels,
    RoutePlan,
    Settled,
    name_in_lines,
)
from services.edge.core.proxying import Proxying, proxying_for
from services.edge.core.transport import USUAL, Transport, Transports, lane_of


def labels_of(host: str, route: Route, settings: Settings) -> RouteLabels:
    """The labels of a route: its Ingress, and the Service of its Upstream (``namespace/service:port``)."""
    namespace, _, ingress = route.ingress.partition("/")
    service = port = ""
    upstream = NO_UPSTREAM
    if isinstance(route.action, resources.Forward):
        _, _, rest = route.action.upstream.partition("/")
        service, _, port = rest.rpartition(":")
        upstream = name_in_lines(route.action.upstream)
    elif route.action == resources.Respond(404):
        upstream = DEFAULT_UPSTREAM
    logged = not any(isinstance(policy, AccessLog) and not policy.enabled for policy in route.policies)
    if host == resources.CATCH_ALL and not ingress:
        logged = settings.enable_access_log_for_default_backend
    return RouteLabels(host, namespace, ingress, service, port, route.path, upstream, logged)


def labels_of_nobody(host: str, settings: Settings) -> RouteLabels:
    """The labels of what no route of a host takes."""
    logged = host != resources.CATCH_ALL or settings.enable_access_log_for_default_backend
    return RouteLabels(host, upstream=DEFAULT_UPSTREAM, logged=logged)


def compile_route(
    host: str,
    tls: bool,
    route: Route,
    rewriter: Rewriter | None,
    settings: Settings,
    proxying: Proxying,
    transports: Transports = USUAL,
) -> RoutePlan:
    """A route as a plan. ``tls``: the host has TLS; ``rewriter``: the route's rewrite policy, compiled; ``proxying``:
    what holds for routes that say nothing of their own; ``transports``: how its endpoints are spoken to."""
    labels = labels_of(host, route, settings)
    own = proxying_for(route.policies, proxying, settings)
    action = _action(labels, route, settings, own)
    over_tls = None
    if transports is not USUAL and isinstance(action, Forward) and isinstance(route.action, resources.Forward):
        over_tls = _spoken(action, transports.secure) if transports.secure is not transports.plain else None
        action = _spoken(action, transports.plain)
    to_https = _redirects_to_https(route, tls, settings)
    decided = rewriter is None and over_tls is None
    ready = action if decided or (isinstance(action, Respond) and action.status == 503) else None
    plain = ready if not to_https or (isinstance(action, Respond) and action.status == 503) else None
    large, form = Respond(labels, 413), _form(route, settings)
    return RoutePlan(labels, action, to_https, rewriter, plain, ready, own.body_limit, over_tls, large, form)


def _spoken(action: Forward, transport: Transport) -> Forward:
    """``action`` to endpoints that are spoken to in this way."""
    collected = action.proxying.request_buffering or transport.fastcgi  # whose bodies have a length
    proxying = replace(action.proxying, transport=transport, request_buffering=collected)
    return replace(action, lane=lane_of(action.upstream, transport), proxying=proxying)


def _action(labels: RouteLabels, route: Route, settings: Settings, proxying: Proxying) -> Settled:
    match route.action:
        case resources.Respond(404) if settings.default_upstream:  # nobody declared it: the global default backend's
            name = settings.default_upstream
            return Forward(labels, name, name, proxying=proxying)
        case resources.Forward(upstream, fallback):
            return Forward(labels, upstream, upstream, fallback, proxying=proxying)
        case resources.Redirect(status, location):
            return Redirect(labels, status, location.encode())
        case resources.Respond(status):
            return Respond(labels, status)


def _form(route: Route, settings: Settings) -> RedirectForm:
    form = (settings.relative_redirects, settings.use_port_in_redirects, settings.preserve_trailing_slash)
    for policy in route.policies:
        if isinstance(policy, policies.RedirectForm):
            own = (policy.relative, policy.port, policy.keeps_slash)
            form = tuple(given if said is None else said for said, given in zip(own, form, strict=True))  # type: ignore[assignment]
    return RedirectForm(*form) if any(form) else USUAL_FORM


def rewrite_policy(route: Route) -> Rewrite | None:
    """The route's rewrite policy."""
    return next((policy for policy in route.policies if isinstance(policy, Rewrite)), None)


def _redirects_to_https(route: Route, tls: bool, settings: Settings) -> bool:
    """Whether plain http is sent to https: the Ingress' word, else the global one; some locations are exempt, whatever
    path of a request they match."""
    if any(route.path.startswith(exempt) for exempt in settings.no_tls_redirect_locations):
        return False
    enabled, force = settings.ssl_redirect, settings.force_ssl_redirect
    for policy in route.policies:
        if isinstance(policy, SSLRedirect):
            enabled = enabled if policy.enabled is None else policy.enabled
            force = force if policy.force is None else policy.force
    return force or (enabled and tls)
