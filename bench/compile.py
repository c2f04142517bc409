"""The compiler's core: a full compile of 10 000 Ingresses and 50 000 endpoints, and of one change of each kind.

Times are those of the pure core (``change`` and ``compile``), each change on another Ingress or Service than the one
before. What the compiler adds around it (signing, appending) is part of ``bench.propagation``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable

from bench.figures import Results, arguments, median, percentile
from bench.world import World
from proto.objects import Ingress, Object, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--ingresses", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=50_000)
    options = parser.parse_args()
    world = World(options.ingresses, options.endpoints)
    results = Results("compile")
    objects = list(world.objects())
    full, feed = [], []
    for _ in range(1 if options.quick else 5):
        compiler = Compiler(CompileOptions())
        gc.collect()
        feed.append(_seconds_of_changes(compiler, objects))
        started = time.perf_counter()
        compiled = compiler.compile()
        full.append(time.perf_counter() - started)
    note = ", ".join(f"{count:,} {name}" for name, count in compiled.counts.items())
    results.add("full compile", median(full), "s", 1.0, note=note)
    results.add("taking in all objects before it", median(feed), "s")
    times = 50 if options.quick else 1000
    ingresses = [world.changed_ingress(number * 7 % world.ingresses, f"/more-{number}") for number in range(times)]
    slices = [
        world.slice(number * 11 % world.ingresses, without=number % world.endpoints_each) for number in range(times)
    ]
    _add(results, "one Ingress change", _each(compiler, ingresses), 2.0)
    _add(results, "one endpoint change", _each(compiler, slices), 0.5)
    _add(results, "one review of the admission webhook", _reviews(compiler, ingresses), 5.0)
    return results.print(as_json=options.json)


def _reviews(compiler: Compiler, coming: Iterable[Ingress]) -> list[float]:
    """Milliseconds of each look at an Ingress before it is stored."""
    took = []
    for value in coming:
        started = time.perf_counter()
        compiler.review(value)
        took.append((time.perf_counter() - started) * 1e3)
    return took


def _seconds_of_changes(compiler: Compiler, objects: Iterable[Object]) -> float:
    started = time.perf_counter()
    for value in objects:
        compiler.change(key_of(value), value)
    return time.perf_counter() - started


def _each(compiler: Compiler, changes: Iterable[Object]) -> list[float]:
    """Milliseconds from each change to its compiled resources."""
    took = []
    for value in changes:
        started = time.perf_counter()
        compiler.change(key_of(value), value)
        compiled = compiler.compile()
        took.append((time.perf_counter() - started) * 1e3)
        if not compiled.upserts:
            raise SystemExit(f"the change of {key_of(value)} changed nothing")
    return took


def _add(results: Results, what: str, took: list[float], goal: float) -> None:
    results.add(f"{what}, median", median(took), "ms", goal)
    results.add(f"{what}, p99", percentile(took, 0.99), "ms")


if __name__ == "__main__":
    sys.exit(main())
