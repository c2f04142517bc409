"""Hosts whose TLS connections are handed on unopened (``ssl-passthrough``): to which Upstream, and what that shadows.

Pure. The first Ingress of a host decides (contract section 1.2); connections go to the backend of ``/``. Requests by
http are routed as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from proto.diagnostics import Diagnostic
from services.compiler.core.claims import Claim
from services.compiler.core.locations import ROOT, Location
from services.contract.annotations.entry import PREFIX
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding

_FIELD = annotation_field(f"{PREFIX}ssl-passthrough")


def passthrough_of(
    host: str,
    claims: Sequence[Claim],
    locations: Sequence[Location],
    controller: Controller,
    findings: list[Diagnostic],
) -> str:
    """The Upstream of TLS connections for ``host``, empty where they are opened here. ``claims``: in order."""
    asking = [claim for claim in claims if claim.settings.ssl_passthrough]
    if not asking:
        return ""
    upstream, problem = _upstream(host, claims, locations, controller)
    for claim in asking if problem else ():
        findings.append(
            finding(claim.key, "passthrough-without-effect", _FIELD, "true",
                    f"TLS connections for host {host or '(any)'} are opened as ever: {problem}.",
                    "Start limen with --enable-ssl-passthrough, and give the host's first Ingress the annotation "
                    "and a backend for /.")
        )  # fmt: skip
    for claim in claims if upstream else ():
        findings.append(
            finding(claim.key, "passthrough-shadows",
                    _FIELD if claim.settings.ssl_passthrough else claim.hosts[host].field, host,
                    f"TLS connections for host {host} are handed on to {upstream} unopened. Other paths and all other "
                    "annotations have no effect on them.",
                    "")
        )  # fmt: skip
    return upstream


def _upstream(
    host: str, claims: Sequence[Claim], locations: Sequence[Location], controller: Controller
) -> tuple[str, str]:
    """The Upstream, or why there is none."""
    if not controller.ssl_passthrough:
        return "", "--enable-ssl-passthrough is not set"
    if not host:
        return "", "only the name that a client asks for can tell whose they are"
    if not claims[0].settings.ssl_passthrough:
        return "", f"Ingress {claims[0].name} is the first of the host and does not say so"
    root = next((location for location in locations if location.path == ROOT and not location.exact), None)
    if root is None or not root.upstream:
        return "", "there is no backend for /"
    return root.upstream, ""
