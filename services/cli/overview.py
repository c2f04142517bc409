"""What the answers to a status request amount to: pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.reports import EdgeReport, HeldRemoval, RoleStatus, SourceStatus


class EdgeLine(Struct, frozen=True):
    """One edge: the version that all its workers serve at least. ``answers``: it answered itself; otherwise only its
    last report is known."""

    name: str
    epoch: int
    version: int
    live: bool
    ready: bool
    answers: bool
    workers: int
    stale: bool
    draining: bool
    error: str = ""


class Overview(Struct, frozen=True, kw_only=True):
    """``epoch``, ``version``, ``digest``: the newest snapshot, by the active compiler (or else by the edges)."""

    epoch: int = 0
    version: int = 0
    digest: str = ""
    live: int = 0
    edges: tuple[EdgeLine, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    held: HeldRemoval | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    roles: tuple[RoleStatus, ...] = ()


def overview(roles: Sequence[RoleStatus]) -> Overview:
    """The state of an installation from what its processes say."""
    compilers = [role for role in roles if role.role == "compiler"]
    leading = max(compilers, key=lambda role: (role.active, role.epoch, role.version), default=None)
    reports = _reports(roles, leading)
    newest = leading or max(roles, key=lambda role: (role.epoch, role.version), default=None)
    epoch, version = (newest.epoch, newest.version) if newest else (0, 0)
    own = {role.name: role for role in roles if role.role == "edge"}
    names = sorted(own.keys() | reports.keys())
    edges = tuple(_edge(name, own.get(name), reports.get(name, []), (epoch, version)) for name in names)
    watchers = [role for role in roles if role.role == "watcher"]
    watcher = max(watchers, key=lambda role: role.active, default=None)
    return Overview(
        epoch=epoch,
        version=version,
        digest=newest.digest if newest else "",
        live=sum(edge.live for edge in edges),
        edges=edges,
        sources=watcher.sources if watcher else (leading.sources if leading else ()),
        held=leading.held if leading else None,
        diagnostics=_diagnostics(roles, leading),
        roles=tuple(roles),
    )


def _reports(roles: Sequence[RoleStatus], leading: RoleStatus | None) -> dict[str, list[EdgeReport]]:
    """Reports of workers by edge: from the edges themselves, and for silent ones from the compiler."""
    found: dict[str, list[EdgeReport]] = {}
    answering = {role.name for role in roles if role.role == "edge"}
    for role in roles:
        if role.role == "edge":
            found[role.name] = list(role.edges)
    for report in leading.edges if leading else ():
        if report.edge not in answering:
            found.setdefault(report.edge, []).append(report)
    return found


def _edge(name: str, own: RoleStatus | None, reports: Sequence[EdgeReport], newest: tuple[int, int]) -> EdgeLine:
    behind = min(((report.epoch, report.version) for report in reports), default=(0, 0))
    if own is not None and not reports:
        behind = (own.epoch, own.version)
    return EdgeLine(
        name=name,
        epoch=behind[0],
        version=behind[1],
        live=behind >= newest and behind > (0, 0),
        ready=own.ready if own else all(report.ready for report in reports),
        answers=own is not None,
        workers=len(reports),
        stale=any(report.stale for report in reports),
        draining=any(report.draining for report in reports),
        error=next((report.error for report in reports if report.error), own.last_error if own else ""),
    )


def _diagnostics(roles: Sequence[RoleStatus], leading: RoleStatus | None) -> tuple[Diagnostic, ...]:
    """Those of the leading compiler and of the watchers; a standby says the same as the leading one."""
    speaking = [role for role in roles if role.role == "watcher" or role is leading]
    return tuple(sorted({diagnostic for role in speaking for diagnostic in role.diagnostics}))
