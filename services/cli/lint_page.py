"""A report as one HTML file that needs nothing else: for people who plan to change over.

Pure. Owns the page's look; every word of the report is escaped. It opens without a network, prints, and follows the
reader's light or dark setting; without scripts it shows everything, with them it filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final

from services.cli.lint_report import VERDICTS, Finding, IngressReport, Report

_STYLE: Final = """
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #f4f6f9; --faint: #5b6472; --text: #16202c; --ground: #fff;
  --served: #1a7f4b; --notices: #9a6700; --refused: #c0262d; --passed: #6b7480; }
@media (prefers-color-scheme: dark) { :root { --line: #343c48; --soft: #1d232c; --faint: #9aa4b2; --text: #e6eaf0;
  --ground: #12161c; --served: #4cc38a; --notices: #e0ac3c; --refused: #ff7b80; --passed: #97a1ae; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; color: var(--text); background: var(--ground);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2rem 0 .75rem }
.lead, .faint { color: var(--faint) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .75rem; margin: 1.5rem 0 }
.tile { border: 1px solid var(--line); border-top: 4px solid var(--tone); border-radius: 6px; padding: .75rem 1rem;
  background: none; color: inherit; font: inherit; text-align: left; cursor: pointer; display: flex;
  flex-direction: column }
.tile b { display: block; font-size: 1.9rem; line-height: 1.2; color: var(--tone) }
.tile[aria-pressed=true] { background: var(--soft) }
.served { --tone: var(--served) } .notices, .warning { --tone: var(--notices) }
.refused, .error { --tone: var(--refused) } .passed-over, .notice { --tone: var(--passed) }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums }
details { border: 1px solid var(--line); border-left: 4px solid var(--tone); border-radius: 6px; margin: .5rem 0 }
summary { padding: .6rem .9rem; cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem 1rem;
  align-items: baseline }
summary b { overflow-wrap: anywhere } summary .verdict { color: var(--tone); margin-left: auto }
.finding { border-top: 1px solid var(--line); padding: .75rem .9rem }
.finding h3 { font-size: .95rem; margin: 0 0 .4rem } .finding h3 span { color: var(--tone) }
code { font: .86em/1.4 ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .1em .35em;
  overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: var(--faint) } dd { margin: 0 }
#find { width: 100%; padding: .55rem .8rem; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 6px; margin-bottom: .75rem }
[hidden] { display: none !important }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr } dd { margin-bottom: .4rem } }
@media print { #find { display: none } details { break-inside: avoid } }
"""
_SCRIPT: Final = """
const tiles = [...document.querySelectorAll('.tile')], find = document.getElementById('find');
const entries = [...document.querySelectorAll('details[data-verdict]')];
function show() {
  const wanted = tiles.filter(t => t.getAttribute('aria-pressed') === 'true').map(t => t.dataset.verdict);
  const text = find.value.trim().toLowerCase();
  for (const entry of entries) entry.hidden =
    (wanted.length > 0 && !wanted.includes(entry.dataset.verdict)) || !entry.textContent.toLowerCase().includes(text);
}
for (const tile of tiles) tile.onclick = () => {
  tile.setAttribute('aria-pressed', tile.getAttribute('aria-pressed') !== 'true'); show();
};
find.oninput = show;
addEventListener('beforeprint', () => entries.forEach(entry => entry.open = true));
"""


_code: Final = re.compile("`([^`]+)`").sub


def page(report: Report) -> str:
    """The whole file."""
    body = "".join(
        (
            "<h1>From ingress-nginx to Limen</h1>",
            f'<p class="lead">{len(report.ingresses)} Ingresses, looked at one by one: what of them is served as it '
            "stands, and what is to be done about the rest.</p>",
            _tiles(report),
            _codes(report),
            '<h2>Ingresses</h2><input id="find" type="search" aria-label="Find" '
            'placeholder="Find a name, host, annotation …">',
            "".join(map(_ingress, sorted(report.ingresses, key=_worst_first))) or "<p>There are none.</p>",
            _others(report.others),
            _notes(report.notes),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Limen: lint report</title>'
        f"<style>{_STYLE}</style></head>\n<body>{body}<script>{_SCRIPT}</script></body></html>\n"
    )


def _worst_first(ingress: IngressReport) -> tuple[int, str]:
    return ("refused", "notices", "served", "passed-over").index(ingress.verdict), ingress.name


def _tiles(report: Report) -> str:
    made = []
    for verdict, words in VERDICTS.items():
        made.append(
            f'<button class="tile {verdict}" data-verdict="{verdict}" aria-pressed="false">'
            f"<b>{report.verdicts[verdict]}</b>{escape(words)}</button>"
        )
    return f'<div class="tiles">{"".join(made)}</div>'


def _codes(report: Report) -> str:
    if not report.codes:
        return ""
    severity = {finding.code: finding.severity for finding in report.all_findings()}
    rows = "".join(
        f'<tr><td><code>{escape(code)}</code></td><td>{severity[code]}</td><td class="number">{count}</td></tr>'
        for code, count in report.codes.items()
    )
    head = '<tr><th>code</th><th>severity</th><th class="number">times</th></tr>'
    return f"<h2>What was found</h2><table>{head}{rows}</table>"


def _ingress(ingress: IngressReport) -> str:
    hosts = escape(", ".join(ingress.hosts) or "every host")
    findings = "".join(map(_finding, ingress.findings)) or '<div class="finding faint">Nothing to say.</div>'
    opened = " open" if ingress.verdict == "refused" else ""
    return (
        f'<details class="{ingress.verdict}" data-verdict="{ingress.verdict}"{opened}><summary>'
        f'<b>{escape(ingress.name)}</b><span class="faint">{hosts}</span>'
        f'<span class="verdict">{escape(VERDICTS[ingress.verdict])}</span></summary>{findings}</details>'
    )


def _finding(finding: Finding) -> str:
    value = f" = <code>{escape(finding.value)}</code>" if finding.value else ""
    rows = (
        ("where", f"<code>{escape(finding.field)}</code>{value}" if finding.field else ""),
        ("ingress-nginx", _words(finding.ingress_nginx)),
        ("Limen", _words(finding.limen)),
        ("what to do", _words(finding.remedy)),
    )
    told = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows if text)
    head = f"<h3><span>{finding.severity}</span> {escape(finding.code)}</h3>"
    return f'<div class="finding {finding.severity}">{head}<dl>{told}</dl></div>'


def _words(text: str) -> str:
    """A sentence; what stands between backticks is code."""
    return _code(r"<code>\1</code>", escape(text))


def _others(findings: Iterable[Finding]) -> str:
    made = "".join(
        f'<details class="{finding.severity}" open><summary><b>{escape(finding.object)}</b></summary>'
        f"{_finding(finding)}</details>"
        for finding in findings
    )
    return f"<h2>Beside the Ingresses</h2>{made}" if made else ""


def _notes(notes: Iterable[str]) -> str:
    made = "".join(f"<li>{_words(note)}</li>" for note in notes)
    return f"<h2>Assumed</h2><ul>{made}</ul>" if made else ""
