"""An explanation for the terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import click

from services.cli.explanation import Explanation

SHOWN_ENDPOINTS = 10


def lines(told: Explanation) -> Iterator[str]:
    """The explanation, line by line."""
    yield click.style(told.request, bold=True)
    if told.refused:
        yield f"  refused: {told.refused}"
        return
    if told.passes:
        yield click.style(f"outcome: {told.outcome}", bold=True)
        yield from _endpoints(told)
        return
    yield f"  host     {told.host}: {told.by}"
    yield f"  path     {told.path or '(none that can be matched)'}"
    yield f"  client   {told.client}"
    yield f"routes ({told.candidates.mode})"
    for candidate in told.candidates.routes:
        mark = click.style("wins", fg="green") if candidate.won else "    "
        owner = f"  of {candidate.ingress}" if candidate.ingress else ""
        yield f"  {mark} {candidate.match}{owner}: {candidate.action}"
        yield f"         {candidate.why}"
    if told.candidates.others:
        yield f"       and {told.candidates.others} more that do not match"
    if not told.candidates.routes:
        yield "       none"
    yield "phases"
    width = max((len(step.phase) for step in told.steps), default=0)
    for step in told.steps:
        yield f"  {step.phase:<{width}}  {step.said}"
    if not told.steps:
        yield "  none has anything to say"
    yield click.style(f"outcome: {told.outcome}", bold=True)
    if told.leaves:
        yield "the request as it leaves"
        yield from (f"  {line}" for line in told.leaves.rstrip("\r\n").split("\r\n"))
    yield from _endpoints(told)


def _endpoints(told: Explanation) -> Iterator[str]:
    if told.gets:
        yield "the response gets"
        yield from (f"  {line}" for line in told.gets.rstrip("\r\n").split("\r\n"))
    if told.errors:
        yield "answers that are replaced"
        yield f"  {told.errors}"
    if told.endpoints is not None:
        yield f"endpoints of {told.endpoints.upstream}: {len(told.endpoints.addresses)}"
        yield from (f"  {address}" for address in told.endpoints.addresses[:SHOWN_ENDPOINTS])
        if len(told.endpoints.addresses) > SHOWN_ENDPOINTS:
            yield f"  and {len(told.endpoints.addresses) - SHOWN_ENDPOINTS} more"
        yield f"  {told.endpoints.rule}"
    yield from (f"note: {remark}" for remark in told.remarks)
