"""A report for the terminal. Pure: text in, text out; colours are for whoever shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import click

from services.cli.lint_report import VERDICTS, Finding, Report, Verdict

_COLOURS: Final[dict[str, str]] = {
    "served": "green",
    "notices": "yellow",
    "refused": "red",
    "passed-over": "bright_black",
    "error": "red",
    "warning": "yellow",
    "notice": "cyan",
}


def lines(report: Report, *, everything: bool) -> Iterator[str]:
    """The report, line by line; ``everything``: Ingresses without a finding too."""
    for ingress in report.ingresses:
        if not ingress.findings and not everything:
            continue
        hosts = ", ".join(ingress.hosts) or "(every host)"
        verdict = _coloured(ingress.verdict, VERDICTS[ingress.verdict])
        yield f"{verdict}  {click.style(ingress.name, bold=True)}  {hosts}"
        yield from _findings(ingress.findings, of_one_object=True)
        yield ""
    if report.others:
        yield click.style("beside the Ingresses", bold=True)
        yield from _findings(report.others, of_one_object=False)
        yield ""
    for note in report.notes:
        yield f"note: {note}"
    yield summary(report)


def summary(report: Report) -> str:
    """The sums in one line."""
    words = {verdict: VERDICTS[verdict].partition(":")[0] for verdict in VERDICTS}
    parts = [_coloured(verdict, f"{report.verdicts[verdict]} {words[verdict]}") for verdict in _counted(report)]
    beside = Counter(finding.severity for finding in report.others)
    told = [_coloured(name, f"{count} {name}{'s' * (count > 1)}") for name, count in sorted(beside.items())]
    more = f"; beside them {', '.join(told)}" if told else ""
    return f"{len(report.ingresses)} Ingresses: {', '.join(parts) or 'none'}{more}"


def _counted(report: Report) -> Iterable[Verdict]:
    return [verdict for verdict in VERDICTS if report.verdicts[verdict]]


def _findings(findings: Iterable[Finding], *, of_one_object: bool) -> Iterator[str]:
    for finding in findings:
        value = f" = {finding.value!r}" if finding.value else ""
        where = finding.field if of_one_object else f"{finding.object} {finding.field}".strip()
        yield f"  {_coloured(finding.severity, finding.severity)} {finding.code}  {where}{value}"
        if finding.ingress_nginx:
            yield f"      ingress-nginx: {finding.ingress_nginx}"
        yield f"      Limen: {finding.limen}"
        if finding.remedy:
            yield f"      do: {finding.remedy}"


def _coloured(name: str, text: str) -> str:
    return click.style(text, fg=_COLOURS[name])
