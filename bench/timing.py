"""Timing pieces of code: nanoseconds per call, with the collector quiet, the best of some repeats."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from bench.figures import median


def per_call(call: Callable[[], object], *, seconds: float = 0.2, repeats: int = 5) -> float:
    """Seconds that one ``call`` takes: the median over ``repeats`` of as many calls as fit into ``seconds``."""
    call()
    number = 1
    while (took := _run(call, number)) < seconds / 10:
        number *= 2
    number = max(1, int(number * seconds / repeats / max(took, 1e-9)))
    return median([_run(call, number) / number for _ in range(repeats)])


def _run(call: Callable[[], object], number: int) -> float:
    enabled = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(number):
            call()
        return time.perf_counter() - started
    finally:
        if enabled:
            gc.enable()
