"""What the access log costs: a line by itself, and a request with the log and without.

Lines are rendered in batches as a worker does it, from heads that clients repeat and heads of which no two are alike.
``--whole`` measures processor time per request of three Limens side by side: one logs to a file, one to a pipe, one
not at all.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from time import monotonic, perf_counter

from bench.figures import Results, arguments, median, say
from bench.peers import HOW_TO_GET, start_backend
from bench.processes import LOAD_CORE, Child, ended, find_tool, free_port, wait_until
from bench.requests import Target, answers_200, start_limen
from services.edge.access.form import Form, Renderer
from services.edge.core.link import Link
from services.edge.core.plan import RouteLabels
from services.edge.traffic import BATCH, Batch, Columns, Record

_LABELS = RouteLabels("example.com", "default", "shop", "shop", "80", "/", b"default-shop-80")
_JSON = (
    '{"time": "$time_iso8601", "remote_addr": "$remote_addr", "x_forwarded_for": "$proxy_add_x_forwarded_for", '
    '"request_id": "$req_id", "remote_user": "$remote_user", "bytes_sent": $bytes_sent, "request_time": $request_time, '
    '"status": $status, "vhost": "$host", "request_proto": "$server_protocol", "path": "$uri", "request_query": '
    '"$args", "request_length": $request_length, "duration": $request_time, "method": "$request_method", '
    '"http_referrer": "$http_referer", "http_user_agent": "$http_user_agent"}'
)
_BATCHES = 400
_OFF = "not at all"


def _record(number: int, varied: bool) -> tuple[object, ...]:
    now = monotonic()
    own = b"Cookie: session=%032d\r\n" % number if varied else b"Cookie: a=b; c=d\r\n"
    block = b"\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n%b\r\n" % own
    record = Record(
        _LABELS, b"GET", 200, now - 0.0031, now, now - 0.003, now - 0.001, 200, 240, "10.1.2.3", b"/a?c=%d" % number,
        1, block, b"%032d" % number, "10.0.0.1:8080", 200, 52, (), now - 0.003, 180, Link(), b"",
    )  # fmt: skip
    return tuple(record)


def _batch(at: int, varied: bool) -> tuple[Batch, Columns]:
    batch = [_record(BATCH * at + number, varied) for number in range(BATCH)]
    return batch, tuple(zip(*batch, strict=True))


def _lines(results: Results, rounds: int) -> None:
    for name, form in (("upstreaminfo", Form()), ("17 variables in JSON", Form(_JSON, "json"))):
        for varied in (False, True):
            batches = [_batch(at, varied) for at in range(_BATCHES)]
            renderer = Renderer(form)
            seconds = []
            for _ in range(rounds):
                before = perf_counter()
                for batch, columns in batches:
                    renderer.text(batch, columns)
                seconds.append((perf_counter() - before) / (_BATCHES * BATCH))
            goal = 1.5 if name == "upstreaminfo" and not varied else None
            what = f"{name}, {'heads all different' if varied else 'heads that repeat'}"
            results.add(what, min(seconds) * 1e6, "µs/line", goal)


def _whole(results: Results, rounds: int, seconds: int) -> None:
    wrk = find_tool("wrk")
    if wrk is None:
        raise SystemExit(f"wrk makes the load: {HOW_TO_GET.format('wrk')}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder, backend = Path(name), free_port()
        children.append(start_backend(folder, backend))
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        children.append(Child(["cat", pipe], folder / "piped.log", core=LOAD_CORE))
        settings = {"to a file": ("false", folder / "access.log"), "to a pipe": ("false", pipe), _OFF: ("true", pipe)}
        targets = []
        for what, (off, path) in settings.items():
            pipeline = start_limen(
                folder / what.replace(" ", "-"), backend, 0, {"disable-access-log": off, "access-log-path": str(path)}
            )
            children.append(pipeline.child)
            pipeline.wait_ready(120)
            pipeline.wait_quiet()
            targets.append(Target(what, pipeline.child, pipeline.ports))
        for target in targets:
            wait_until(lambda t=target: answers_200(t.ports, False), 30, target.name)  # type: ignore[misc]
            target.measure(wrk, False, 1, 64)
            target.forget()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets:
                target.measure(wrk, False, seconds, 64)
    silent = targets[-1]
    for target in targets:
        results.add(f"a request, {target.name}", median(target.cpu), "µs/request")
    for target in targets[:-1]:
        more = median([a - b for a, b in zip(target.cpu, silent.cpu, strict=True)])
        results.add(f"the log, {target.name}", more, "µs/request")


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--whole", action="store_true", help="also ask whole Limens, with the log and without")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each round of --whole")
    options = parser.parse_args()
    rounds, seconds = (2, 1) if options.quick else (options.rounds, options.seconds)
    results = Results("access log")
    _lines(results, rounds)
    if options.whole:
        _whole(results, rounds, seconds)
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
