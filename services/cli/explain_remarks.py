"""Why a host that somebody declares is nobody's: what is wrong with the Ingresses that name it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, ObjectKey
from services.contract.diagnostic_codes import CODES
from services.contract.diagnostics import reason_of
from services.contract.hosts import host_key

MOST: Final = 10
PASSED_OVER: Final = frozenset({"class-not-found", "class-missing", "catch-all-disabled"})


def remarks_on(
    host: str, ingresses: Iterable[Ingress], diagnostics: Mapping[ObjectKey, tuple[Diagnostic, ...]]
) -> tuple[str, ...]:
    """One sentence for each finding that keeps an Ingress which names ``host`` (as a client would) out of force, or
    closes its routes."""
    name = host_key(host.encode("latin-1", "replace")) or ""
    found = []
    for ingress in ingresses:
        if not any(_covers(rule.host.lower(), name) for rule in ingress.rules):
            continue
        for each in diagnostics.get(ObjectKey("ingress", ingress.namespace, ingress.name), ()):
            if each.severity != "error" and each.code not in PASSED_OVER:
                continue
            why = reason_of(each)
            taken = " It is not taken over." if CODES[each.code].rejects else ""
            found.append(
                f"Ingress {ingress.namespace}/{ingress.name} names this host: {why}{taken} {each.remedy}".strip()
            )
    return tuple(found[:MOST])


def _covers(declared: str, name: str) -> bool:
    return declared == name or (declared.startswith("*.") and name.partition(".")[2] == declared[2:])
