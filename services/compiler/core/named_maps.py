"""ConfigMaps that Ingresses name by an annotation: what they hold, or why their routes answer 503.

Pure. Owns how they are named and who may name them. What an entry may be is told by whoever has a use for it.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap
from services.compiler.core.claims import Claim
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.settings import AnnotationSettings
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding

ConfigMapOf = Callable[[str], ConfigMap | None]
"""The ConfigMap ``namespace/name``, if there is one."""
Entries = tuple[tuple[str, str], ...]
"""Names with their values, sorted."""


class Named(Struct, frozen=True):
    """A ConfigMap that ``annotation`` names; ``text``: by what. ``code``, ``advice``: of what is found where it cannot
    be used."""

    annotation: str
    text: Callable[[AnnotationSettings], str]
    code: str
    advice: str = "Create or correct the ConfigMap."


def configmap_name(text: str, namespace: str) -> str:
    """``namespace/name`` of what ``name`` or ``namespace/name`` names from there."""
    first, slash, second = text.strip().partition("/")
    return f"{first}/{second}" if slash else f"{namespace}/{first}"


def map_named(claim: Claim, named: Named) -> str:
    """``namespace/name`` of the one that ``claim`` names; empty: none."""
    text = named.text(claim.settings)
    return configmap_name(text, claim.key.namespace) if text else ""


def first_problem(entries: Entries, problem: Callable[[str, str], str]) -> str:
    """What ``problem`` says of the first entry of which it says something; empty: all are good."""
    return next(filter(None, (problem(*entry) for entry in entries)), "")


def entries_named(
    claim: Claim,
    named: Named,
    problem: Callable[[str, str], str],
    configmap_of: ConfigMapOf,
    controller: Controller,
    findings: list[Diagnostic],
) -> Entries | None:
    """What the ConfigMap holds that ``claim`` names; None: it cannot be used, which is then among ``findings``.
    ``problem``: why an entry cannot be, as a sentence without its stop; empty: it can."""
    name = map_named(claim, named)
    configmap = configmap_of(name)
    entries = () if configmap is None else tuple(sorted(configmap.data.items()))
    if name.partition("/")[0] != claim.key.namespace and not controller.annotations.cross_namespace:
        why = "It is in another namespace, which allow-cross-namespace-resources forbids"
    elif configmap is None:
        why = f"ConfigMap {name} does not exist"
    else:
        why = first_problem(entries, problem)
    if not why:
        return entries
    where = annotation_field(f"{PREFIX}{named.annotation}")
    message = f"{why}. The routes of this Ingress answer 503."
    findings.append(finding(claim.key, named.code, where, named.text(claim.settings), message, named.advice))
    return None
