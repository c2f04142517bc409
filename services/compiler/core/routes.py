"""Locations -> routes: match, action and policies of each, for plain hosts and for hosts whose paths are patterns.

Pure. Owns the host-wide regex mode with ingress-nginx's expansion of prefixes (contract section 1.3, steps 5 to 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from proto.diagnostics import Diagnostic
from proto.policies import BasicAuth, DigestAuth, ExternalAuth, Policy, Rewrite, SSLRedirect
from proto.resources import Action, Forward, PathMatch, Respond, Route
from services.compiler.core.claims import Claim
from services.compiler.core.external_auth import global_auth_of
from services.compiler.core.host_objects import HostObjects
from services.compiler.core.locations import ROOT, Location
from services.contract import regex
from services.contract.annotations.entry import PREFIX
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding
from services.contract.rewrite import Captured, RewriteError, Rewriter

DENIED = Respond(503)
NOBODY = Respond(404)
"""What a path that nobody declared answers; the edge asks the global default backend first, if there is one."""
_TOO_LONG = f"the pattern is longer than {regex.MAX_PATTERN_LENGTH} characters"
"""Said without asking, for answers are remembered with their patterns, and these may have a megabyte each."""
_NO_REDIRECT: tuple[Policy, ...] = (SSLRedirect(False, False),)


def uses_patterns(locations: Sequence[Location]) -> bool:
    """Whether the host's paths are patterns: one location uses patterns, or rewrites to something but its own path."""
    for location in locations:
        claim = location.claim
        if claim is None or location.bare:
            continue
        settings = claim.settings
        if settings.use_regex:
            return True
        target = settings.rewrite_target
        if target and (target != location.path or target != _expanded(location)):
            return True
    return False


def plain_routes(locations: Sequence[Location], controller: Controller, objects: HostObjects) -> list[Route]:
    """The routes of a host without patterns. No location of it rewrites."""
    routes = []
    for location in locations:
        action = _action(location, controller, objects)
        routes.append(
            Route(
                PathMatch("exact" if location.exact else "prefix", location.path),
                action,
                _policies(location, action, controller, objects),
                "" if location.claim is None else location.claim.name,
                location.path,
                location.synthetic,
            )
        )
    return routes


def pattern_routes(
    locations: Sequence[Location], controller: Controller, objects: HostObjects, findings: list[Diagnostic]
) -> list[Route]:
    """The routes of a host whose paths are patterns; one that is none, or is never reached, is named and left out."""
    exact = {location.path for location in locations if location.exact}
    routes: list[Route] = []
    seen: set[str] = set()
    for location in locations:
        for pattern, rewritten in _patterns(location, has_exact=location.path in exact):
            match = f"^{pattern}"
            if match in seen:
                _shadowed(location, findings)
                continue
            problem = _pattern_problem(match) if len(match) <= regex.MAX_PATTERN_LENGTH else _TOO_LONG
            if problem:
                _no_pattern(location, problem, findings)
                continue
            seen.add(match)
            routes.append(_pattern_route(location, match, rewritten, controller, objects, findings))
    return routes


def _expanded(location: Location) -> str:
    """The path after nginx's expansion: a prefix ends in ``/``."""
    if location.exact or location.path.endswith("/"):
        return location.path
    return location.path + "/"


def _patterns(location: Location, *, has_exact: bool) -> list[tuple[str, str]]:
    """(pattern, pattern to rewrite by) of a location; the latter is empty where nothing is rewritten.

    A prefix ``/foo`` that neither rewrites nor uses patterns is ``^/foo/`` and ``^/foo`` to nginx. As the second takes
    all that the first does, and they stand side by side, it alone is kept; unless an Exact ``/foo`` is there, then
    only the first exists.
    """
    path, target = location.path, location.rewrite_target
    rewrites = target not in ("", path)
    if rewrites or location.use_regex or location.exact or path == ROOT:
        return [(path, path if rewrites else "")]
    expanded = _expanded(location)
    if target and target != expanded:  # the target is the path without its slash: nginx rewrites below it
        below = (expanded, expanded)
        return [below] if has_exact else [below, (path, "")]
    return [(expanded if has_exact else path, "")]


def _pattern_route(
    location: Location,
    match: str,
    rewritten: str,
    controller: Controller,
    objects: HostObjects,
    findings: list[Diagnostic],
) -> Route:
    action = _action(location, controller, objects)
    policies = _policies(location, action, controller, objects)
    if rewritten and action is not DENIED:
        problem = _rewrite_problem(rewritten, location.rewrite_target)
        if not problem:
            policies = (*policies, Rewrite(rewritten, location.rewrite_target, _prefix(location, rewritten, findings)))
        elif not location.synthetic:
            action, policies = DENIED, ()
            _cannot_rewrite(location, problem, findings)
    name = "" if location.claim is None else location.claim.name
    return Route(PathMatch("regex", match), action, policies, name, location.path, location.synthetic)


def _prefix(location: Location, pattern: str, findings: list[Diagnostic]) -> str:
    """The X-Forwarded-Prefix of rewritten requests; one that names groups which the path has not is left out."""
    claim = location.claim
    prefix = "" if claim is None else claim.settings.x_forwarded_prefix
    if not prefix:
        return ""
    try:
        Captured(pattern, prefix)
    except RewriteError as error:
        if claim is not None and not location.synthetic:
            findings.append(
                finding(
                    claim.key,
                    "annotation-invalid",
                    annotation_field(PREFIX + "x-forwarded-prefix"),
                    prefix,
                    f"The value of {PREFIX}x-forwarded-prefix does not fit the path {location.path}: {error}. It has "
                    "no effect there.",
                    "Correct the value or the path.",
                )
            )
        return ""
    return prefix


def _action(location: Location, controller: Controller, objects: HostObjects) -> Action:
    claim = location.claim
    if controller.guarded or (claim is not None and (claim.settings.denied or claim.name in objects.denied)):
        return DENIED
    if controller.guarded_by_auth and not _free_of_auth(location, claim, controller):
        return DENIED
    if not location.upstream:
        return NOBODY
    return Forward(location.upstream, "" if claim is None else claim.fallback)


def _free_of_auth(location: Location, claim: Claim | None, controller: Controller) -> bool:
    """Whether the ConfigMap's ``global-auth-url`` would not be asked here."""
    if claim is not None and not claim.settings.global_auth:
        return True
    return _is_exempt(location, controller)


def _is_exempt(location: Location, controller: Controller) -> bool:
    """Whether nobody is asked here who they are (``no-auth-locations``)."""
    return any(location.path.startswith(prefix) for prefix in controller.no_auth_locations)


def _policies(location: Location, action: Action, controller: Controller, objects: HostObjects) -> tuple[Policy, ...]:
    """A denied path answers before anything else is asked (contract section 1.7)."""
    if action is DENIED:
        return ()
    claim = location.claim
    if claim is None:
        return _NO_REDIRECT if location.bare else ()
    policies = (*(_NO_REDIRECT if location.bare else claim.redirects), *claim.policies, *objects.policies(claim))
    if (objects.passwords or objects.external) and _is_exempt(location, controller):
        policies = tuple(policy for policy in policies if not isinstance(policy, (BasicAuth, DigestAuth, ExternalAuth)))
    elif not claim.settings.auth_url and not _free_of_auth(location, claim, controller):
        asked = global_auth_of(controller)
        policies = policies if asked is None else (*policies, asked)
    return policies if location.canary is None else (*policies, location.canary)


@lru_cache(maxsize=8192)
def _pattern_problem(pattern: str) -> str:
    try:
        regex.compile(pattern)
    except regex.RegexError as error:
        return str(error)
    return ""


@lru_cache(maxsize=8192)
def _rewrite_problem(pattern: str, target: str) -> str:
    try:
        Rewriter(pattern, target)
    except (regex.RegexError, RewriteError) as error:
        return str(error)
    return ""


def _shadowed(location: Location, findings: list[Diagnostic]) -> None:
    if location.claim is not None and not location.synthetic:
        findings.append(
            finding(
                location.claim.key,
                "path-shadowed",
                f"{location.field}.path",
                location.path,
                "An earlier path of this host is the same pattern. This one is never reached.",
                "Remove it, or use another path.",
            )
        )


def _no_pattern(location: Location, problem: str, findings: list[Diagnostic]) -> None:
    if location.claim is not None:
        findings.append(
            finding(
                location.claim.key,
                "path-pattern-invalid",
                f"{location.field}.path",
                location.path,
                f"The paths of this host are patterns, and this is none: {problem}. It is not served.",
                "Correct the pattern, or escape its special characters.",
            )
        )


def _cannot_rewrite(location: Location, problem: str, findings: list[Diagnostic]) -> None:
    if location.claim is not None:
        findings.append(
            finding(
                location.claim.key,
                "rewrite-invalid",
                f"{location.field}.path",
                location.path,
                f"Requests for this path cannot be rewritten to {location.rewrite_target}: {problem}. It answers 503.",
                "Correct rewrite-target or the path.",
            )
        )
