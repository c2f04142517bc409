"""What the kernel says of processes: memory, processor time, bytes read and written, when they began."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def resident_bytes(process: int) -> int:
    """Memory that the process has in use; 0: it is no more."""
    return _pages(process, 1)


def totals(processes: Iterable[int]) -> Iterator[tuple[str, float]]:
    """Names of ``nginx_process_*`` metrics and their values for all ``processes`` together."""
    known = [(process, _stat(process)) for process in processes]
    ticks = os.sysconf("SC_CLK_TCK")
    yield "num_procs", len(known)
    yield "resident_memory_bytes", sum(resident_bytes(process) for process, _ in known)
    yield "virtual_memory_bytes", sum(_pages(process, 0) for process, _ in known)
    yield "cpu_seconds_total", sum((int(stat[11]) + int(stat[12])) / ticks for _, stat in known if stat)
    yield "read_bytes_total", sum(_io(process, "rchar") for process, _ in known)
    yield "write_bytes_total", sum(_io(process, "wchar") for process, _ in known)
    began = [int(stat[19]) / ticks for _, stat in known if stat]
    if began:
        yield "oldest_start_time_seconds", time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + min(began)


def _pages(process: int, field: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[field]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0  # it has just ended


def _stat(process: int) -> list[str]:
    """The fields after the name (proc(5), the third and on)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > 19 else []


def _io(process: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{process}/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(value) for key, _, value in (line.partition(": ") for line in lines) if key == name), 0)
