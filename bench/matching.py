"""What it costs to find out where a request goes: host, path, route, rewrite.

Everything here runs once per request, so nanoseconds count: nginx spends about 15 000 on a whole request.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from bench.figures import Results, arguments
from bench.timing import per_call
from proto.resources import PathMatch, Respond, Route
from services.contract import regex
from services.contract.hosts import host_key, wildcard_of
from services.contract.matching import compile_matcher
from services.contract.paths import normalise
from services.contract.rewrite import Rewriter

_TARGET = "/api/v17/users/4711/orders"


def cases() -> dict[str, Callable[[], object]]:
    """Named calls to time."""
    raw, host = _TARGET.encode(), b"app-17.apps.example.com"
    found: dict[str, Callable[[], object]] = {
        "normalise a clean path": lambda: normalise(raw),
        "normalise an escaped path": lambda: normalise(b"/api//v17/%75sers/4711/./orders"),
        "canonical host": lambda: host_key(host),
        "canonical host with port": lambda: host_key(host + b":8080"),
        "the wildcard of a host": lambda: wildcard_of("none.apps.example.com"),
    }
    for count in (1, 20, 1000):
        plain = compile_matcher([_route("prefix", f"/api/v{number}") for number in range(17, 17 + count)], "plain")
        ordered = compile_matcher(
            [_route("regex", f"^/api/v{number}(/|$)(.*)") for number in range(16 + count, 16, -1)], "regex"
        )
        found[f"match among {count} prefix paths"] = lambda find=plain.find: find(_TARGET)  # type: ignore[misc]
        found[f"match among {count} regular expressions"] = lambda find=ordered.find: find(_TARGET)  # type: ignore[misc]
    rewriter = Rewriter("/api/v17(/|$)(.*)", "/$2")
    found["rewrite with two captures"] = lambda: rewriter.apply(_TARGET, b"", escaped=False)
    python, re2 = re.compile(rb"(?i)^/api/v17(/|$)(.*)"), regex.compile("^/api/v17(/|$)(.*)")
    backtracking = regex.compile("^/api/v17(?=/|$)(.*)")
    found["one search, RE2"] = lambda: re2.search(raw)
    found["one search, backtracking with a time limit"] = lambda: backtracking.search(raw)
    found["one search, Python's re (unbounded)"] = lambda: python.search(raw)
    return found


def _route(kind: str, value: str) -> Route:
    return Route(PathMatch(kind, value), Respond(404))  # type: ignore[arg-type]


def main() -> int:
    """Measure and print."""
    options = arguments(__doc__).parse_args()
    results = Results("matching")
    for what, call in cases().items():
        results.add(what, per_call(call, seconds=0.05 if options.quick else 0.5) * 1e9, "ns")
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
