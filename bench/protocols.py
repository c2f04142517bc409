"""What Python does for one request and its response: both protocols fed from memory, without sockets and kernel.

Owns heads as clients and endpoints send them: the same each time, for other paths, or no two alike; with what
forwarders add; with a body. Every figure is µs per request, parsing, planning, balancing, writing and recording
included. ``--connections`` feeds many in turn, so that each finds its memory colder; ``--log`` writes the access log
too (to nowhere). ``--profile`` prints where the time of one of them goes.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from types import SimpleNamespace
from typing import Any, cast

from msgspec.structs import replace

from bench.figures import Results, arguments, median
from proto.codec import record_of
from proto.resources import Endpoint, Forward, PathMatch, Route, Settings, Upstream, VirtualHost
from proto.sealing import Sealer
from services.edge.access.log import AccessLog
from services.edge.client import ClientConnection
from services.edge.core.generation import Generation
from services.edge.serving import Serving
from services.edge.upstream import UpstreamConnection

_COUNT = 4096
"""Different heads, more than the caches hold."""


@dataclass(frozen=True)
class Load:
    """Requests and the response to each."""

    requests: Sequence[bytes]
    responses: Sequence[bytes]


def _request(
    number: int,
    *,
    varied: bool,
    paths: bool = False,
    lines: bytes = b"",
    method: bytes = b"GET",
    body: bytes = b"",
) -> bytes:
    key = b"%016x" % ((number if varied else 1) * 2654435761)
    return b"".join(
        (
            method
            + b" /varied/"
            + (b"%d" % number if varied or paths else b"1")
            + b" HTTP/1.1\r\nHost: example.com\r\n",
            b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/json\r\n",
            b"Accept-Language: en\r\n" + lines.replace(b"%", key),
            b"Cookie: session=" + key + key + b"; theme=dark\r\n",
            b"Traceparent: 00-" + key + key + b"-" + key + b"-01\r\n\r\n" + body,
        )
    )


def _response(number: int, *, varied: bool) -> bytes:
    key = b"%016x" % ((number if varied else 1) * 40503)
    body = b"hello from the backend, %b\n" % key
    return (
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
        b'Content-Length: %d\r\nConnection: keep-alive\r\nETag: "%b%b"\r\nX-Id: %b\r\n\r\n%b'
    ) % (len(body), key, key, key, body)


def _load(*, requests: bool, responses: bool, paths: bool = False, **more: bytes) -> Load:
    return Load(
        [_request(number, varied=requests, paths=paths, **more) for number in range(_COUNT)],
        [_response(number, varied=responses) for number in range(_COUNT)],
    )


LOADS: dict[str, Callable[[], Load]] = {
    "heads repeated": lambda: _load(requests=False, responses=False),
    "paths differ": lambda: _load(requests=False, responses=False, paths=True),
    "requests differ": lambda: _load(requests=True, responses=False),
    "responses differ": lambda: _load(requests=False, responses=True),
    "both differ": lambda: _load(requests=True, responses=True),
    "both differ, behind a forwarder": lambda: _load(
        requests=True,
        responses=True,
        lines=b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\n"
        b"X-Forwarded-Port: 443\r\nX-Request-ID: %%\r\n",
    ),
    "both differ, with a request id": lambda: _load(requests=True, responses=True, lines=b"X-Request-ID: %%\r\n"),
    "both differ, with a body": lambda: _load(
        requests=True, responses=True, lines=b"Content-Length: 16\r\n", method=b"POST", body=b'{"some": "json"}'
    ),
}


class _Transport:
    """Takes what is written. It has a real socket for whoever asks the kernel about it."""

    def __init__(self) -> None:
        self.written = b""
        self._pair = socket.socketpair()

    def write(self, data: bytes) -> None:
        self.written = data

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self._pair[0], "peername": ("192.0.2.1", 12345)}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        raise AssertionError("the connection was to stay")

    def forget(self) -> None:
        """Close the socket."""
        for end in self._pair:
            end.close()


def _serving(folder: Path) -> Serving:
    route = Route(PathMatch("prefix", "/"), Forward("default/web:80", ""), (), "default/web", "/")
    endless = Settings(keep_alive_requests=1 << 40, upstream_keepalive_requests=1 << 40)
    records = [
        record_of("example.com", VirtualHost("example.com", routes=(route,))),
        record_of("default/web:80", Upstream((Endpoint("127.0.0.1", 1),))),
        record_of("global", endless),
    ]
    serving = Serving(asyncio.get_running_loop(), Sealer("limen", [("00" * 8, bytes(range(64)))]), folder)
    serving.swap(Generation.first(records, 1, 1, bytes(32)))
    return serving


class Fed:
    """A client's and an endpoint's connection, and what they are fed."""

    def __init__(self, serving: Serving) -> None:
        listener = SimpleNamespace(serving=serving, port=80, tls=False, draining=False, connections=set())
        self.client = ClientConnection(cast(Any, listener))
        self.to_client = _Transport()
        self.client.connection_made(cast(Any, self.to_client))
        generation = serving.generation
        assert generation is not None
        upstream = generation.upstream("default/web:80")
        assert upstream is not None
        self._pools = serving.pools
        pool = self._pools.balancer("default/web:80", upstream).pools[0]
        self.endpoint = UpstreamConnection(pool, serving.pools, serving.deadlines)
        self.to_endpoint = _Transport()
        self.endpoint.connection_made(cast(Any, self.to_endpoint))
        self.endpoint.made_at = 1e12
        serving.pools.keep(self.endpoint, 0.0)

    def close(self) -> None:
        """Let go of both."""
        self._pools.left(self.endpoint)
        self.to_client.forget()
        self.to_endpoint.forget()


def run(fed: Sequence[Fed], load: Load, times: int) -> float:
    """Seconds for ``times`` times all of ``load``: each connection in turn gets a request, then each its response."""
    clients = [each.client for each in fed]
    exchanges = [client._exchange for client in clients]
    started = thread_time()
    for _ in range(times):
        for at in range(0, len(load.requests), len(fed)):
            for client, request in zip(clients, load.requests[at : at + len(fed)], strict=True):
                client.data_received(request)
            for exchange, response in zip(exchanges, load.responses[at : at + len(fed)], strict=True):
                exchange.connection.data_received(response)  # type: ignore[union-attr]
    took = thread_time() - started
    assert any(each.to_client.written.endswith(load.responses[-1][-20:]) for each in fed)
    return took


async def _logging(serving: Serving) -> AccessLog:
    """An access log to nowhere, once its thread has found that out."""
    generation = serving.generation
    assert generation is not None
    log = AccessLog(asyncio.get_running_loop(), serving.traffic)
    log.follow(replace(generation.settings, access_log_path="/dev/null"))
    await asyncio.sleep(0.2)
    return log


async def _measure(
    names: Sequence[str], rounds: int, connections: int, logs: bool, profile: bool, results: Results
) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        serving = _serving(Path(folder))
        log = await _logging(serving) if logs else None
        loads = {name: LOADS[name]() for name in names}
        taken: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds + 1):
            for name, load in loads.items():
                fed = [Fed(serving) for _ in range(connections)]
                took = run(fed, load, 2)
                for each in fed:
                    each.close()
                if number:
                    taken[name].append(took / 2 / _COUNT * 1e6)
        for name, times in taken.items():
            results.add(name, min(times), "µs/request", note=f"median {median(times):.2f}")
        if profile:
            profiler = cProfile.Profile()
            fed, load = [Fed(serving) for _ in range(connections)], loads[names[-1]]
            profiler.runcall(run, fed, load, 5)
            pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)
        if log is not None:
            await log.close()


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=list(LOADS), help="this load alone")
    parser.add_argument("--profile", action="store_true", help="print where the time of the last load goes")
    parser.add_argument("--connections", type=int, default=1, help="fed in turn")
    parser.add_argument("--log", action="store_true", help="with the access log")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    results = Results("protocols")
    names = [options.only] if options.only else list(LOADS)
    rounds = 3 if options.quick else options.rounds
    asyncio.run(_measure(names, rounds, options.connections, options.log, options.profile, results))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
