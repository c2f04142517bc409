"""What ``limen lint`` says: one value for the terminal, for programs and for the page.

Pure: what was compiled -> a report. Owns the three verdicts and the sums. Everything about annotations comes from the
registry, by way of the diagnostics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from proto.diagnostics import Diagnostic, Severity
from proto.objects import Ingress, ObjectKey
from services.cli.offline import Compiled
from services.contract.classes import CLASS_ANNOTATION
from services.contract.diagnostic_codes import CODES
from services.contract.nginx_behaviour import in_ingress_nginx

Verdict = Literal["served", "notices", "refused", "passed-over"]
VERDICTS: Final[dict[Verdict, str]] = {
    "served": "served fully",
    "notices": "served, with notices",
    "refused": "refused, whole or in part",
    "passed-over": "passed over: not ours to serve",
}
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "notice")
_ABOUT_SERVICES: Final = frozenset({"service-not-found", "service-port-not-found", "default-backend-unusable"})
_ABOUT_SECRETS: Final = frozenset({"secret-not-found", "default-certificate-unusable", "dh-param-unusable"})

_OTHER_KIND: Final = "manifest-passed-over"


class Finding(Struct, frozen=True):
    """One finding. ``ingress_nginx``: what that does; ``limen``: what is wrong and what happens here; ``remedy``: what
    to do."""

    code: str
    severity: Severity
    object: str
    field: str
    value: str
    ingress_nginx: str
    limen: str
    remedy: str


class IngressReport(Struct, frozen=True):
    """One Ingress (``namespace/name``)."""

    name: str
    verdict: Verdict
    ingress_class: str
    hosts: tuple[str, ...]
    findings: tuple[Finding, ...]


class Report(Struct, frozen=True):
    """``ingresses``: by name; ``others``: about the ConfigMap, the flags and the manifests themselves. ``verdicts``,
    ``codes``: how many; ``notes``: what was assumed."""

    ingresses: tuple[IngressReport, ...]
    others: tuple[Finding, ...]
    verdicts: dict[str, int]
    codes: dict[str, int]
    notes: tuple[str, ...]

    def worst(self) -> Severity | None:
        """The greatest severity of all findings."""
        found = {finding.severity for finding in self.all_findings()}
        return next((severity for severity in SEVERITIES if severity in found), None)

    def all_findings(self) -> Iterable[Finding]:
        """Every finding."""
        for ingress in self.ingresses:
            yield from ingress.findings
        yield from self.others


def report_on(compiled: Compiled) -> Report:
    """The report on what was read and compiled."""
    told = {key: _judged(found, compiled.lacking) for key, found in compiled.compiler.diagnostics.items()}
    named = {ObjectKey("ingress", ingress.namespace, ingress.name): ingress for ingress in compiled.ingresses}
    served = compiled.compiler.served
    ingresses = tuple(_of_ingress(named[key], told.get(key, ()), served) for key in sorted(named))
    others = [finding for key in sorted(told) if key not in named for finding in told[key]]
    notes = list(compiled.notes)
    beside = [found for place in sorted(compiled.found) for found in compiled.found[place]]
    others += [_finding(found) for found in beside if found.code != _OTHER_KIND]
    other_kinds = sum(found.code == _OTHER_KIND for found in beside)
    if other_kinds:
        notes.append(f"Manifests of kinds that mean nothing to an Ingress controller were passed over: {other_kinds}.")
    codes = Counter(finding.code for report in ingresses for finding in report.findings)
    codes.update(finding.code for finding in others)
    verdicts = Counter(report.verdict for report in ingresses)
    return Report(
        ingresses,
        tuple(others),
        {verdict: verdicts[verdict] for verdict in VERDICTS},
        dict(codes.most_common()),
        tuple(notes),
    )


def _of_ingress(ingress: Ingress, findings: Sequence[Finding], served: Iterable[str]) -> IngressReport:
    name = f"{ingress.namespace}/{ingress.name}"
    hosts = tuple(dict.fromkeys(rule.host or "*" for rule in ingress.rules))
    class_ = ingress.class_name or ingress.annotations.get(CLASS_ANNOTATION, "")
    ordered = tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
    return IngressReport(name, _verdict(name, ordered, served), class_, hosts, ordered)


def _verdict(name: str, findings: Sequence[Finding], served: Iterable[str]) -> Verdict:
    if any(CODES[finding.code].rejects or finding.severity == "error" for finding in findings):
        return "refused"
    if name not in served:
        return "passed-over"
    return "notices" if findings else "served"


def _judged(found: Iterable[Diagnostic], lacking: frozenset[str]) -> tuple[Finding, ...]:
    """The findings, without those that only say that something was not among what was given."""
    return tuple(_finding(each) for each in found if not _is_lacking(each, lacking))


def _is_lacking(found: Diagnostic, lacking: frozenset[str]) -> bool:
    missing = "does not exist" in found.message
    return ("service" in lacking and found.code in _ABOUT_SERVICES) or (
        "secret" in lacking and (found.code in _ABOUT_SECRETS or (missing and "Secret" in found.message))
    )


def _finding(found: Diagnostic) -> Finding:
    return Finding(
        found.code,
        found.severity,
        str(found.object),
        found.field,
        found.value,
        in_ingress_nginx(found),
        found.message,
        found.remedy,
    )
