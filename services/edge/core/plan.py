"""What becomes of a request: forward, redirect or answer. The phase table of contract section 1.7, top to bottom.

Owns the order of decisions. Pure: a host's plan, the request and what is known of its scheme in, a decision out.
Routes are compiled once (``compile_route``); a route that needs no decision per request has its answer ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from services.contract.matching import Matcher, SlashRedirect
from services.contract.paths import normalise
from services.contract.regex import RegexTimeoutError
from services.contract.rewrite import CannotRewrite, Redirected, Rewriter, Values, no_value
from services.edge.core.choices import Choice
from services.edge.core.client_certificates import NO_CERTIFICATE, ClientGuard
from services.edge.core.outcomes import Check, Dressing
from services.edge.core.proxying import UNLIMITED, Proxying
from services.edge.core.tls_options import TLSOptions

if TYPE_CHECKING:
    from services.edge.core.policies.compression import Compression
    from services.edge.core.policies.mirrors import Mirroring
    from services.edge.core.policies.rates import Rate

"""Answered 200 for hosts nobody declared, as ingress-nginx does."""


class RouteLabels(Struct, frozen=True, gc=False):
    """What metrics and log lines call a route. Empty strings where nobody declared it.

    ``upstream``: the Upstream as ingress-nginx names it in lines; ``logged``: whether there are lines at all;
    ``alternative``: the canary's Upstream, of requests that went there.
    """

    host: str = ""
    namespace: str = ""
    ingress: str = ""
    service: str = ""
    port: str = ""
    path: str = ""
    upstream: bytes = b""
    logged: bool = True
    alternative: bytes = b""


NO_LABELS = RouteLabels()
NO_UPSTREAM = b"-"
DEFAULT_UPSTREAM = b"upstream-default-backend"
"""What lines say where the answer was the host's before any route was looked for, and where nobody declared one."""


_USUAL_PROXYING = Proxying()


class Forward(Struct, frozen=True, gc=False):
    """Send to an Upstream by name. ``lane``: that name together with how its endpoints are spoken to; ``target``: the
    rewritten request target; empty: as it came. ``choice``: how this request chooses an endpoint; None: by turns."""

    labels: RouteLabels
    upstream: str
    lane: str
    fallback: str = ""
    target: bytes = b""
    proxying: Proxying = _USUAL_PROXYING
    choice: Choice | None = None


class Redirect(Struct, frozen=True, gc=False):
    """Answer ``status`` with ``location``."""

    labels: RouteLabels
    status: int
    location: bytes


class Respond(Struct, frozen=True, gc=False):
    """Answer nginx's page for ``status``; ``page``: nginx's own number of it, where that differs (495, 496)."""

    labels: RouteLabels
    status: int
    page: int = 0


class CustomErrors(Struct, frozen=True):
    """Answers with one of ``statuses`` are replaced by what ``backend`` says of them; those of endpoints too if
    ``endpoints``."""

    statuses: frozenset[int]
    backend: Forward | Respond
    endpoints: bool = True


class Policed(Struct, frozen=True):
    """More has to be looked at than the path: the phases of ``services.edge.core.phases``, compiled for one route.

    ``checks`` are asked in their order, ``names`` says which phase each is; if all let the request pass, ``action``
    follows (``over_tls`` for requests that came by TLS, where it is another). ``dressings`` edit the head of whatever
    is answered, ``of_endpoints`` those of endpoints before that; ``errors``: which answers are replaced.
    ``compression``: which responses of endpoints are packed. ``mirroring``: what makes copies of its requests;
    ``rate``: how fast responses go.
    """

    labels: RouteLabels
    names: tuple[str, ...]
    checks: tuple[Check, ...]
    action: Forward | Redirect | Respond
    over_tls: Forward | Redirect | Respond | None = None
    dressings: tuple[Dressing, ...] = ()
    errors: CustomErrors | None = None
    of_endpoints: tuple[Dressing, ...] = ()
    compression: Compression | None = None
    mirroring: Mirroring | None = None
    rate: Rate | None = None


class RedirectForm(Struct, frozen=True, gc=False):
    """How redirects are written. ``relative``: to a path without scheme and host; ``port``: with the port;
    ``keeps_slash``: to https with the slash at the end."""

    relative: bool = False
    port: bool = False
    keeps_slash: bool = False


USUAL_FORM = RedirectForm()

Settled = Forward | Redirect | Respond
Decision = Settled | Policed

_BAD_PATH = Respond(NO_LABELS, 400)
_HEALTHY = Respond(RouteLabels(logged=False), 200)
_GAVE_UP = Respond(NO_LABELS, 500)
_SERVER_WIDE = Respond(NO_LABELS, 204)
"""``OPTIONS *`` asks the edge itself (RFC 9110 section 9.3.7)."""


class RoutePlan(Struct, frozen=True):
    """A route ready to decide. ``ready``: the decision where neither scheme nor path matter; None: ask ``_decide``.

    ``ready_https``: the same for requests that came over https. ``body_limit``: bytes that a body may have;
    ``too_large``: the answer to one that has more. ``over_tls``: the action for requests that came by TLS, where it is
    another.
    """

    labels: RouteLabels
    action: Settled
    to_https: bool
    rewrite: Rewriter | None
    ready: Decision | None
    ready_https: Decision | None
    body_limit: int = UNLIMITED
    over_tls: Settled | None = None
    too_large: Decision = Respond(NO_LABELS, 413)
    form: RedirectForm = USUAL_FORM


class HostPlan(Struct, frozen=True):
    """A host ready to serve. ``simple``: nothing of the server level (denied, app-root, health) applies; ``exempt``:
    beginnings of paths that are not sent to https; ``tls``: it has TLS of its own, whatever its wildcard has;
    ``body_limit``: of requests for what no route takes; ``leads_to``: the host that it is redirected to.
    ``health``: the path that is always answered 200 (of the hosts that nobody declares; else empty).
    """

    host: str
    routes: Matcher[RoutePlan]
    simple: bool
    denied: bool
    app_root: bytes
    not_found: Decision
    https_code: int
    exempt: tuple[str, ...]
    tls: bool
    certificate: str
    body_limit: int
    guard: ClientGuard | None
    tls_options: TLSOptions | None
    leads_to: bytes = b""
    health: str = ""


class Question(Struct, frozen=True, gc=False):
    """What a decision needs to know of a request's client and Host. ``refused``: the answer to a client that has no
    certificate for this host; ``port``: in redirects to a host of ours; ``told_port``: as endpoints are told it."""

    authority: bytes
    https: bool
    tls: bool
    refused: Decision | None = None
    port: int = 80
    told_port: int = 80


def plan(host: HostPlan, target: bytes, question: Question, length: int) -> Decision:
    """The decision for one request. ``target`` in origin form, or ``*``; ``length``: of its body, as announced."""
    mark = target.find(b"?")
    path = normalise(target if mark < 0 else target[:mark])
    if path is None:
        return _SERVER_WIDE if target == b"*" else _BAD_PATH
    if not host.simple:
        decision = _server_level(host, path, target, question)
        if decision is not None:
            return decision
        if host.guard is not None and not question.tls:
            return _in_the_clear(host, host.guard, path, target, mark, question)
    try:
        route = host.routes.find(path)
        if route.__class__ is RoutePlan:
            if length > route.body_limit:
                return route.too_large
            ready = route.ready_https if question.https else route.ready
            return ready or _decide(host, route, path, target, mark, question)
    except RegexTimeoutError:
        return _GAVE_UP
    if isinstance(route, SlashRedirect):
        if length > route.target.body_limit:
            return route.target.too_large
        return _with_slash(route, target, mark, question)
    return host.not_found if length <= host.body_limit else Respond(NO_LABELS, 413)


def _to_host(host: HostPlan, target: bytes, question: Question) -> Redirect:
    """``from-to-www-redirect``: always with the port, less one slash at the end (contract section 1.2)."""
    scheme = b"https" if question.https else b"http"
    location = b"%b://%b:%d%b" % (scheme, host.leads_to, question.port, target.removesuffix(b"/"))
    return Redirect(RouteLabels(host.host, upstream=NO_UPSTREAM), host.https_code, location)


def _server_level(host: HostPlan, path: str, target: bytes, question: Question) -> Decision | None:
    if question.refused is not None:
        return question.refused
    if path == host.health:
        return _HEALTHY
    if host.leads_to:
        return _to_host(host, target, question)
    if host.denied:
        return Respond(RouteLabels(host.host, upstream=NO_UPSTREAM), 503)
    if host.app_root and path == "/":
        scheme = b"https" if question.tls else b"http"
        labels = RouteLabels(host.host, upstream=NO_UPSTREAM)
        return Redirect(labels, 302, b"%b://%b%b" % (scheme, question.authority, host.app_root))
    return None


def _in_the_clear(
    host: HostPlan, guard: ClientGuard, path: str, target: bytes, mark: int, question: Question
) -> Decision:
    """What a host with client certificates answers without TLS: the way to https, or nothing that needs one."""
    try:
        route = host.routes.find(path)
        if isinstance(route, RoutePlan):
            decision = route.ready_https if question.https else route.ready
            if decision is None or (isinstance(decision, Policed) and guard.rules.mode == "on"):
                decision = _decide(host, route, path, target, mark, question)
        else:
            decision = host.not_found
    except RegexTimeoutError:
        return _GAVE_UP
    if isinstance(decision, Redirect) and not question.https:
        return decision
    if guard.rules.mode != "on" and guard.subject is None and guard.rules.authority:
        return decision
    labels = RouteLabels(host.host, upstream=NO_UPSTREAM)
    return Respond(labels, 400, NO_CERTIFICATE) if guard.rules.authority else Respond(labels, 403)


def _decide(host: HostPlan, route: RoutePlan, path: str, target: bytes, mark: int, question: Question) -> Settled:
    """Denied, then rewrites that redirect, then https, then the action (with a rewrite that does not redirect)."""
    action = route.action if route.over_tls is None or not question.tls else route.over_tls
    if isinstance(action, Respond) and action.status == 503:
        return action
    rewritten: bytes | Redirect | Respond = b""
    if route.rewrite is not None and not route.rewrite.variables:  # else its phase knows what they stand for
        rewritten = rewrite(route, route.rewrite, path, target, mark)
    if not isinstance(rewritten, bytes):
        return rewritten
    if route.to_https and not question.https and not path.startswith(host.exempt):
        return to_https(host, route, target, question)
    return sent_to(action, rewritten) if rewritten and isinstance(action, Forward) else action


def rewrite(
    route: RoutePlan, rewriter: Rewriter, path: str, target: bytes, mark: int, values: Values = no_value
) -> bytes | Redirect | Respond:
    """The target for the endpoint (empty: as it came), or where a rewrite redirects to. ``mark``: where in ``target``
    the query begins, negative if there is none; ``values``: of the variables. Raises RegexTimeoutError."""
    query = b"" if mark < 0 else target[mark + 1 :]
    raw = target if mark < 0 else target[:mark]
    outcome = rewriter.apply(path, query, escaped=b"%" in raw or b"+" in raw, values=values)
    if isinstance(outcome, Redirected):
        return Redirect(route.labels, outcome.status, outcome.location)
    if isinstance(outcome, CannotRewrite):
        return Respond(route.labels, 500)
    return b"" if outcome is None else outcome.target


def to_https(host: HostPlan, route: RoutePlan, target: bytes, question: Question) -> Redirect:
    """The redirect of plain http to https."""
    return Redirect(route.labels, host.https_code, https_location(route.form, question.authority, target))


def sent_to(forward: Forward, target: bytes) -> Forward:
    """``forward`` with another target."""
    return Forward(forward.labels, forward.upstream, forward.lane, forward.fallback, target, forward.proxying)


def name_in_lines(upstream: str) -> bytes:
    """An Upstream (``namespace/service:port``) as ingress-nginx calls it."""
    namespace, _, rest = upstream.partition("/")
    service, _, port = rest.rpartition(":")
    return f"{namespace}-{service}-{port}".encode()


def without_port(authority: bytes) -> bytes:
    """The host of an authority (an IPv6 literal keeps its brackets)."""
    return authority[: authority.find(b"]") + 1] if authority.startswith(b"[") else authority.partition(b":")[0]


def https_location(form: RedirectForm, authority: bytes, target: bytes) -> bytes:
    """``https://host`` and the target as it came, less one slash at its end (contract section 1.7)."""
    host = without_port(authority) + b":443" if form.port else without_port(authority)
    return b"https://%b%b" % (host, target if form.keeps_slash else target.removesuffix(b"/"))


def located(form: RedirectForm, question: Question, path: bytes) -> bytes:
    """A redirect to ``path`` of the same host, as nginx's ``absolute_redirect`` and ``port_in_redirect`` write it: the
    host in lower case, without a dot at its end."""
    if form.relative:
        return path
    host = without_port(question.authority).lower().rstrip(b".")
    if form.port and question.port not in (80, 443):
        host = b"%b:%d" % (host, question.port)
    return b"%b://%b%b" % (b"https" if question.https else b"http", host, path)


def _with_slash(found: SlashRedirect[RoutePlan], target: bytes, mark: int, question: Question) -> Redirect:
    query = target[mark:] if 0 <= mark < len(target) - 1 else b""
    return Redirect(found.target.labels, 301, located(found.target.form, question, found.location.encode() + query))
