"""One Ingress before it is stored: what ingress-nginx's admission says of it, word for word where it has words.

Pure: (the Ingress, the claims in force) -> a verdict. Owns the order of the checks and their texts (contract section
1.11, ``CheckIngress`` and ``CheckWarning``); what an Ingress says is judged by the same code that compiles it
(``claims``). Must not know how a review arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, IngressClass
from services.compiler.core.claims import STRICT_PATH, Claim, judge
from services.compiler.core.index import ClaimIndex
from services.compiler.core.options import CompileOptions
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.registry import BY_FULL_NAME
from services.contract.annotations.values import MalformedError, parse_bool
from services.contract.classes import is_ours
from services.contract.configmap.read import Controller
from services.contract.diagnostic_codes import CODES
from services.contract.diagnostics import reason_of

CANARY: Final = f"{PREFIX}canary"
DEPRECATED: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "enable-influxdb",
        "influxdb-host",
        "influxdb-measurement",
        "influxdb-port",
        "influxdb-server-name",
        "secure-verify-ca-secret",
    )
)
"""Annotations that ingress-nginx warns of."""
PREVIEWED: Final = frozenset({"path-conflict", "path-shadowed", "path-pattern-invalid", "rewrite-invalid"})
"""What compiling the hosts shows and the one that applies an Ingress can mend. Secrets are not among it: those that
nothing refers to yet are not on the bus."""
MAX_WARNINGS: Final = 20
MAX_WARNING: Final = 250
"""The API server cuts longer ones."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CATCH_ALL: Final = (
    "This deployment is trying to create a catch-all ingress while DisableCatchAll flag is set to true. "
    "Remove '.spec.defaultBackend' or set DisableCatchAll flag to false."
)


class Reviewed(Struct, frozen=True):
    """``refusal``: why the Ingress is not to be stored, empty if it may be. ``warnings``: for whoever applies it."""

    refusal: str = ""
    warnings: tuple[str, ...] = ()


class Standing(Struct, frozen=True):
    """What an Ingress is reviewed against, as of the last compile; only read.

    ``preview``: what compiling the hosts of a claim would say of it; raises where it cannot be compiled.
    """

    options: CompileOptions
    controller: Controller
    classes: Mapping[str, IngressClass]
    ingresses: Mapping[str, Ingress]
    index: ClaimIndex
    preview: Callable[[Claim], Iterable[Diagnostic]]


PASSED: Final = Reviewed()


def review(ingress: Ingress, standing: Standing) -> Reviewed:
    """The verdict on ``ingress``. One that is not ours passes without a word."""
    options = standing.options
    if options.watch_namespace and ingress.namespace != options.watch_namespace:
        return PASSED
    if not is_ours(ingress, standing.classes, options):
        return PASSED
    paths = tuple(_strict_paths(ingress))
    try:
        judged = judge(ingress, standing.controller)
        preview = () if judged.claim is None else tuple(standing.preview(judged.claim))
    except Exception as error:  # a defect of ours; stored, it would be set aside by the compile too
        why = f"{type(error).__name__}: {error}"
        return Reviewed(f"The compiler failed on this Ingress ({why}). Report it as a defect, with the Ingress.")
    refusal = _refusal(ingress, judged.diagnostics, paths, standing)
    if not refusal and judged.claim is not None:
        refusal = _overlap(ingress, judged.claim, standing)
    return Reviewed(refusal, tuple(_warnings(ingress, paths, (*judged.diagnostics, *preview))))


def _refusal(ingress: Ingress, diagnostics: tuple[Diagnostic, ...], paths: tuple[str, ...], standing: Standing) -> str:
    unsafe = next((found for found in diagnostics if found.code == "spec-unsafe"), None)
    if unsafe is not None:
        return f"invalid object: {unsafe.field} has the invalid value {unsafe.value}"
    if ingress.uid and _UUID.fullmatch(ingress.uid) is None:
        return f"invalid object: metadata.uid {ingress.uid} is no UUID"
    if standing.options.disable_catch_all and ingress.default_backend is not None:
        return _CATCH_ALL
    if paths and standing.controller.strict_path_types:
        return "ingress contains invalid paths: " + "\n".join(paths)
    words = standing.controller.annotations.blocked_words
    for name, value in sorted(ingress.annotations.items()):
        word = next((word for word in words if word in value), None) if name.startswith(PREFIX) else None
        if word is not None:
            return f"{name} annotation contains invalid word {word}"
        entry = BY_FULL_NAME.get(name)
        if entry is None or entry.type != "snippet" or not value:
            continue
        if not standing.controller.annotations.snippets:
            return f"{name} annotation cannot be used. Snippet directives are disabled by the Ingress administrator"
        if standing.controller.annotations.risk_level != "critical":
            return f"{name} has risk critical, and only {standing.controller.annotations.risk_level} is allowed"
    rejecting = next((found for found in diagnostics if CODES[found.code].rejects), None)
    return "" if rejecting is None else f"{reason_of(rejecting)} {rejecting.remedy}".strip()


def _strict_paths(ingress: Ingress) -> Iterable[str]:
    """ingress-nginx's words on paths that their type may not have (contract P10)."""
    for rule in ingress.rules:
        for path in rule.paths:
            if path.path and path.path_type != "ImplementationSpecific" and not STRICT_PATH.fullmatch(path.path):
                yield f"path {path.path} cannot be used with pathType {path.path_type}"


def _overlap(ingress: Ingress, claim: Claim, standing: Standing) -> str:
    """Whether a host and path that this Ingress newly names is another's (contract section 1.6).

    Canaries may overlap with what they are the canary of; two of them may not. As in ingress-nginx the annotation
    itself counts, whatever its value, between two that are no canaries; and paths alone are compared, not their types.
    """
    before = standing.index.claims.get(claim.name)
    for host, said in claim.hosts.items():
        paths = {path.path for path in said.paths}
        if before is not None and host in before.hosts:
            paths -= {path.path for path in before.hosts[host].paths}
        for other in standing.index.naming(host) if paths else ():
            shared = [path.path for path in other.hosts[host].paths if path.path in paths]
            if shared and other.name != claim.name and _collide(ingress, standing.ingresses.get(other.name)):
                return f'host "{host or "_"}" and path "{shared[0]}" is already defined in ingress {other.name}'
    return ""


def _collide(one: Ingress, other: Ingress | None) -> bool:
    if other is None:
        return False
    if CANARY not in one.annotations and CANARY not in other.annotations:
        return True
    return _is_canary(one) and _is_canary(other)


def _is_canary(ingress: Ingress) -> bool:
    try:
        return parse_bool(ingress.annotations.get(CANARY) or "false")
    except MalformedError:
        return False


def _warnings(ingress: Ingress, paths: tuple[str, ...], diagnostics: Iterable[Diagnostic]) -> Iterable[str]:
    """What ingress-nginx warns of, then what will be without effect or not served here; no more than is read."""
    found = [f"annotation {name} is deprecated" for name in sorted(ingress.annotations) if name in DEPRECATED]
    found += paths
    for diagnostic in diagnostics:
        previewed = diagnostic.code in PREVIEWED
        if CODES[diagnostic.code].rejects or (diagnostic.severity == "notice" and not previewed):
            continue
        found.append(diagnostic.message)
    return [text[:MAX_WARNING] for text in dict.fromkeys(found)][:MAX_WARNINGS]
