"""The edges, as their reports on the bus show them: who serves what, and who fell silent.

Pure; the time is given. Reports are input from the most exposed processes: they are counted and shown, and change
nothing but the epoch's lower bound, for which a signed proof is asked (``log``).
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from proto.reports import EdgeReport
from proto.snapshots import HeadProof

MAX_REPORT: Final = 16 * 1024
MAX_WORKERS: Final = 10_000
"""So many workers are remembered; what more reports is not an edge of ours."""
SILENT_AFTER: Final = 35.0
"""Seconds without a report after which a worker is gone: the reports' life on the bus and some."""

_DECODER = msgspec.json.Decoder(EdgeReport)


class ReportError(ValueError):
    """A report that cannot be read."""


class _Seen(Struct):
    report: EdgeReport
    at: float


def read_report(subject: str, data: bytes) -> EdgeReport | None:
    """The report in ``data``; None for the empty message that says a worker has left. Raises ReportError."""
    if not data:
        return None
    if len(data) > MAX_REPORT:
        raise ReportError(f"{subject}: report of {len(data)} bytes, at most {MAX_REPORT} are read")
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ReportError(f"{subject}: {error}") from None


class Edges:
    """Every worker's last report, by the subject it stands on."""

    def __init__(self) -> None:
        self._workers: dict[str, _Seen] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def note(self, subject: str, report: EdgeReport | None, now: float) -> HeadProof | None:
        """Take a report in (None: the worker said goodbye); the proof that it carries, if it is a new one."""
        seen = self._workers.get(subject)
        if report is None:
            self._workers.pop(subject, None)
            return None
        if seen is None:
            if len(self._workers) >= MAX_WORKERS:
                return None
            self._workers[subject] = _Seen(report, now)
            return report.proof
        known = seen.report.proof
        seen.report, seen.at = report, now
        return report.proof if report.proof != known else None

    def silent(self, now: float) -> list[EdgeReport]:
        """Workers that fell silent; they are forgotten."""
        gone = [subject for subject, seen in self._workers.items() if now - seen.at > SILENT_AFTER]
        return [self._workers.pop(subject).report for subject in gone]

    def reports(self) -> tuple[EdgeReport, ...]:
        """Every worker's report, by edge and worker."""
        reports = (seen.report for seen in self._workers.values())
        return tuple(sorted(reports, key=lambda report: (report.edge, report.worker)))

    def live(self, epoch: int, version: int, digest: bytes) -> int:
        """How many workers serve exactly this version."""
        wanted = (epoch, version, digest.hex())
        return sum(
            (seen.report.epoch, seen.report.version, seen.report.digest) == wanted and seen.report.ready
            for seen in self._workers.values()
        )

    def refusing(self) -> int:
        """How many workers refuse a newer version."""
        return sum(bool(seen.report.error) for seen in self._workers.values())
