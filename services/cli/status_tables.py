"""The tables of ``limen status``: an overview in, things to print out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from proto.diagnostics import Diagnostic
from proto.reports import HeldRemoval, RoleStatus
from services.cli.diagnostic_lines import STYLE, advice, place
from services.cli.overview import EdgeLine, Overview
from services.runtime.status import MAX_DIAGNOSTICS

_COUNTS: Final = {
    "watcher": ("objects", "published"),
    "compiler": ("ingresses", "routes", "objects", "resources"),
    "edge": ("hosts", "upstreams", "connections"),
}
"""What is worth a word of each role's counts; --json has them all."""
_WITHOUT: Final = {
    "watcher": "changes of objects are not seen",
    "compiler": "changes of objects are not compiled",
}
NAMED: Final = ("error", "warning")
"""Severities of which each diagnostic is named, the worst first."""
NAMED_NOTICES: Final = 3
"""Notices of one code that are named; more are counted."""


def tables(found: Overview) -> Iterator[RenderableType]:
    """What people see, from the most to the least important."""
    yield _head(found)
    yield from _silent(found.roles)
    if found.held is not None:
        yield _held(found.held)
    yield _roles(found.roles)
    if found.edges:
        yield _edges(found)
    if found.sources:
        yield _sources(found)
    if found.diagnostics:
        yield from _diagnostics(found)


def _head(found: Overview) -> Text:
    if not found.version:
        return Text("no snapshot yet", style="yellow")
    all_live = found.live == len(found.edges)
    text = Text.assemble(("version ", "dim"), (f"{found.epoch}.{found.version}", "bold"))
    text.append(f"  live on {found.live}/{len(found.edges)} edges", style="green" if all_live else "yellow")
    return text.append(f"  digest {found.digest[:12]}", style="dim")


def _silent(roles: tuple[RoleStatus, ...]) -> Iterator[Text]:
    """Roles of which nobody answers: all else looks well while they are gone."""
    there = {role.role for role in roles}
    for role, meaning in _WITHOUT.items():
        if role not in there:
            yield Text(f"no {role} answers: {meaning}", style="bold yellow")


def _held(held: HeldRemoval) -> Text:
    return Text(
        f"HELD for {_ago(time.time() - held.since)}: a removal would leave {held.routes_after} of {held.routes_now} "
        f"routes ({', '.join(held.objects[:5])}{' …' if len(held.objects) > 5 else ''}). "
        "It passes when a second list agrees, or with `limen approve`.",
        style="bold yellow",
    )


def _roles(roles: tuple[RoleStatus, ...]) -> Table:
    table = Table(title="processes", title_justify="left", box=None, header_style="dim")
    for column in ("role", "name", "state", "version", "up", "has"):
        table.add_column(column)
    for role in roles:
        has = ", ".join(f"{role.counts[name]} {name}" for name in _COUNTS[role.role] if name in role.counts)
        table.add_row(
            role.role,
            role.name,
            _state(role),
            f"{role.epoch}.{role.version}" if role.version else "",
            _ago(time.time() - role.started_at),
            Text.assemble(has, (f"  {_error(role)}", "red")),
        )
    return table


def _error(role: RoleStatus) -> str:
    """Its last error, unless the table of sources says the same in more words."""
    return "" if any(source.error for source in role.sources) else role.last_error


def _state(role: RoleStatus) -> Text:
    if not role.active:
        return Text("standby", style="dim")
    if not role.ready:
        return Text("not ready", style="yellow")
    return Text("ready" if role.connected else "ready, without bus", style="green" if role.connected else "yellow")


def _edges(found: Overview) -> Table:
    table = Table(title="edges", title_justify="left", box=None, header_style="dim")
    for column in ("edge", "version", "live", "workers", "state", "error"):
        table.add_column(column)
    for edge in found.edges:
        table.add_row(
            edge.name,
            f"{edge.epoch}.{edge.version}",
            Text("yes", style="green") if edge.live else Text("no", style="yellow"),
            str(edge.workers),
            _edge_state(edge),
            Text(edge.error, style="red"),
        )
    return table


def _edge_state(edge: EdgeLine) -> Text:
    words = [
        *(["draining"] if edge.draining else []),
        *(["stale"] if edge.stale else []),
        *([] if edge.ready else ["not ready"]),
        *([] if edge.answers else ["silent"]),
    ]
    return Text(", ".join(words), style="yellow") if words else Text("ready", style="green")


def _sources(found: Overview) -> Table:
    table = Table(title="sources", title_justify="left", box=None, header_style="dim")
    for column in ("kind", "synced", "objects", "last word", "error"):
        table.add_column(column)
    for source in found.sources:
        synced = Text("yes", style="green") if source.synced else Text("no", style="yellow")
        error = Text(source.error, style="red")
        table.add_row(source.kind, synced, str(source.objects), _ago(source.age) + " ago", error)
    return table


def _diagnostics(found: Overview) -> Iterator[RenderableType]:
    """Errors and warnings one by one; notices, which ask nothing of anybody, by number where they are many."""
    counts: Counter[str] = Counter(diagnostic.severity for diagnostic in found.diagnostics)
    numbers = ", ".join(_number(counts[severity], severity) for severity in STYLE if counts[severity])
    yield Text(f"diagnostics: {numbers}", style="italic")
    yield from (_diagnostic(each) for severity in NAMED for each in found.diagnostics if each.severity == severity)
    notices: dict[str, list[Diagnostic]] = {}
    for diagnostic in found.diagnostics:
        if diagnostic.severity == "notice":
            notices.setdefault(diagnostic.code, []).append(diagnostic)
    for code, same in sorted(notices.items()):
        if len(same) <= NAMED_NOTICES:
            yield from map(_diagnostic, same)
        else:
            yield Text(f" {len(same)} × {code} (--json names them)", style="dim")
    if any(len(role.diagnostics) >= MAX_DIAGNOSTICS for role in found.roles):
        yield Text(f" … and more: a process names its first {MAX_DIAGNOSTICS} only", style="yellow")


def _diagnostic(diagnostic: Diagnostic) -> Text:
    style = STYLE[diagnostic.severity]
    what = f"{diagnostic.severity} {diagnostic.code}"
    return Text.assemble(" ", (what, style), f"  {place(diagnostic)}\n   ", (advice(diagnostic), "dim"))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} d"
