"""Canaries of one host: which Upstream takes some requests of which path.

Pure. Owns where a canary finds its path (contract section 1.10): the same host, path and pathType of another Ingress
that leads elsewhere (ImplementationSpecific is Prefix, section 1.3); one canary for each. Must not know routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from proto.diagnostics import Diagnostic
from proto.policies import Canary
from services.compiler.core.claims import Claim, ClaimedPath
from services.compiler.core.locations import Location
from services.contract import regex
from services.contract.annotations.settings import AnnotationSettings
from services.contract.diagnostics import finding

_TOTAL = 100
"""The least that a weight is a part of."""


def attach_canaries(
    host: str, canaries: Sequence[Claim], locations: Sequence[Location], findings: list[Diagnostic]
) -> None:
    """Give ``locations`` of ``host`` their canaries, which are in order; those without effect are named."""
    if not canaries:
        return
    places = {(location.path, location.exact): location for location in locations}
    for claim in canaries:
        for path in claim.hosts[host].paths:
            location = places.get((path.path, path.exact))
            if location is None or not location.upstream:
                findings.append(_nobody(host, claim, path))
            elif location.upstream == path.upstream:
                findings.append(_without(claim, path, f"{path.upstream} takes all requests of the path anyway."))
            elif location.canary is not None:
                findings.append(_without(claim, path, f"The path has a canary already, {location.canary.upstream}."))
            else:
                location.canary = canary_of(claim.settings, path.upstream)


def alone(host: str, canaries: Sequence[Claim]) -> dict[str, tuple[Diagnostic, ...]]:
    """What there is to say of canaries of a host that no other Ingress has."""
    return {
        claim.name: tuple(_nobody(host, claim, path) for path in claim.hosts[host].paths)
        for claim in canaries
        if claim.hosts[host].paths
    }


def canary_of(settings: AnnotationSettings, upstream: str) -> Canary:
    """The policy of a canary that leads to ``upstream``."""
    pattern = "" if settings.canary_by_header_value else settings.canary_by_header_pattern
    broken = not _is_pattern(pattern)
    return Canary(
        upstream,
        settings.canary_weight,
        max(_TOTAL, settings.canary_weight_total),
        settings.canary_by_header.lower(),
        settings.canary_by_header_value,
        "" if broken else pattern,
        settings.canary_by_cookie,
        broken,
        settings.affinity_canary_behavior != "legacy",
    )


def _is_pattern(text: str) -> bool:
    try:
        regex.compile(text, ignore_case=False)
    except regex.RegexError:
        return False
    return True


def _nobody(host: str, claim: Claim, path: ClaimedPath) -> Diagnostic:
    return _without(
        claim,
        path,
        f"No other Ingress leads from host {host or '(any)'} and path {path.path} ({path.kind}) to a Service.",
    )


def _without(claim: Claim, path: ClaimedPath, reason: str) -> Diagnostic:
    return finding(
        claim.key, "canary-without-effect", f"{path.field}.path", path.path,
        f"{reason} This canary gets no traffic there.",
        "Give the canary the host, path and pathType of a path that leads to another Service.",
    )  # fmt: skip
