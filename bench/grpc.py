"""gRPC end to end beside nginx's ``grpc_pass``: processor time per unary call, HTTP/2 over TLS in, HTTP/2 out.

Every target runs alone on core 0 while h2load and the backend share the last core; rounds are interleaved, medians
printed, and ratios are those of the same run. The backend is an nginx that answers each call with one message and
``grpc-status: 0`` as a trailer.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench import manifests
from bench.figures import Results, arguments, median, say
from bench.peers import HOST, HOW_TO_GET, Ports, make_certificate
from bench.pipeline import Pipeline
from bench.processes import LOAD_CORE, PROXY_CORE, Child, ended, find_tool, free_port, wait_until

_MESSAGE = b"\0\0\0\0\x10" + b"sixteen bytes ok"
_GOALS = {"nginx": 1.0, "nginx as ingress-nginx": 1.0}

_INGRESS_LINES = """
  log_format upstreaminfo '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] '
    '[$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time '
    '$upstream_status $req_id';
  map $http_x_request_id $req_id { default $http_x_request_id; "" $request_id; }"""
_TOLD = """
      grpc_set_header Host $host; grpc_set_header X-Request-ID $request_id; grpc_set_header X-Real-IP $remote_addr;
      grpc_set_header X-Forwarded-For $remote_addr; grpc_set_header X-Forwarded-Host $host;
      grpc_set_header X-Forwarded-Proto $scheme;"""
_TOLD_AS_INGRESS = """
      set $proxy_upstream_name "default-b-80"; set $proxy_alternative_upstream_name "";
      grpc_set_header Host $http_host; grpc_set_header X-Request-ID $req_id; grpc_set_header X-Real-IP $remote_addr;
      grpc_set_header X-Forwarded-For $remote_addr; grpc_set_header X-Forwarded-Host $http_host;
      grpc_set_header X-Forwarded-Port $server_port; grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header X-Forwarded-Scheme $scheme; grpc_set_header X-Scheme $scheme;
      grpc_set_header X-Original-Forwarded-For $http_x_forwarded_for; grpc_set_header Proxy "";
      grpc_connect_timeout 5s; grpc_send_timeout 60s; grpc_read_timeout 60s;
      grpc_next_upstream error timeout; grpc_next_upstream_tries 3;"""


@dataclass
class Target:
    """A proxy under measurement with what each round gave: processor µs per call, calls/s; ``failed``: of all calls."""

    name: str
    child: Child
    ports: Ports
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    failed: int = 0

    def measure(self, h2load: str, message: Path, calls: int, connections: int, streams: int) -> None:
        """One round. Raises RuntimeError if more than one call in a hundred failed (nginx fails a few each time)."""
        command = ["taskset", "-c", str(LOAD_CORE), h2load, "-t1", f"-c{connections}", f"-m{streams}", f"-n{calls}"]
        command += ["-d", str(message), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        command += ["-H", f":authority: {HOST}", "-H", "user-agent: grpc-bench/1", "-H", "grpc-timeout: 10S"]
        command += [f"--connect-to=127.0.0.1:{self.ports.https}"]
        command += [f"https://{HOST}:{self.ports.https}/test.Echo/Unary"]
        before = self.child.cpu()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = self.child.cpu() - before
        good = re.search(r"status codes: (\d+) 2xx, ", output)
        rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", output)
        if good is None or rate is None or int(good[1]) < calls * 0.99:
            raise RuntimeError(f"{self.name}: {output}")
        self.failed += calls - int(good[1])
        self.cpu.append(used / calls * 1e6)
        self.rate.append(float(rate[1]))

    def forget(self) -> None:
        """Drop what was measured while warming up."""
        self.cpu, self.rate, self.failed = [], [], 0


def start_backend(folder: Path, nginx: str, port: int) -> Child:
    """What answers calls."""
    config = f"""worker_processes 1; daemon off; pid {folder}/backend.pid; error_log {folder}/backend.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port} http2 backlog=4096;
http2_max_concurrent_streams 1024;
location / {{ default_type application/grpc; add_trailer grpc-status 0; add_trailer grpc-message "";
  return 200 "sixteen bytes ok and five"; }} }} }}"""
    file = folder / "backend.conf"
    file.write_text(config)
    child = Child([nginx, "-c", file], folder / "backend.log", core=LOAD_CORE)
    wait_until(lambda: _connects(port), 10, "the backend")
    return child


def _connects(port: int) -> bool:
    """Whether somebody listens there (who speaks HTTP/2 alone answers no other request)."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def start_nginx(folder: Path, nginx: str, backend: int, *, as_ingress: bool) -> tuple[Child, Ports]:
    """nginx with ``grpc_pass``, as somebody who wants speed sets it up or as ingress-nginx does."""
    folder.mkdir()
    certificate, key = make_certificate(folder)
    ports = Ports(free_port(), free_port())
    log = f"access_log {folder}/access.log upstreaminfo;" if as_ingress else "access_log off;"
    config = f"""worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{ {_INGRESS_LINES if as_ingress else ""}
  {log} keepalive_requests 1000000000;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 320; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{ports.http} backlog=4096; listen 127.0.0.1:{ports.https} ssl http2 backlog=4096;
    server_name {HOST}; ssl_certificate {certificate}; ssl_certificate_key {key}; http2_max_concurrent_streams 128;
    location / {{ {_TOLD_AS_INGRESS if as_ingress else _TOLD}
      grpc_pass grpc://backend;
    }}
  }}
}}"""
    file = folder / "nginx.conf"
    file.write_text(config)
    child = Child([nginx, "-c", file], folder / "output.log", core=PROXY_CORE)
    wait_until(lambda: _connects(ports.https), 20, "nginx")
    return child, ports


def start_limen(folder: Path, backend: int) -> Pipeline:
    """Limen on the measured core, with one route whose endpoints speak gRPC."""
    objects = folder / "manifests"
    objects.mkdir(parents=True)
    certificate, key = make_certificate(folder)
    measured = manifests.ingress("measured", HOST, "measured", secret="measured")
    measured["metadata"]["annotations"]["nginx.ingress.kubernetes.io/backend-protocol"] = "GRPC"
    manifests.write(
        objects / "measured.json",
        [
            manifests.ingress_class(),
            manifests.configmap(),
            manifests.service("measured"),
            manifests.endpoints("measured", ["127.0.0.1"], backend),
            manifests.tls_secret("measured", certificate, key),
            measured,
        ],
    )
    return Pipeline(folder, ["--manifests", objects], core=PROXY_CORE)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=30_000, help="of each round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--streams", type=int, default=16, help="calls at once on each connection")
    options = parser.parse_args()
    rounds, calls = (2, 5_000) if options.quick else (options.rounds, options.calls)
    tools = {name: find_tool(name) for name in ("h2load", "nginx")}
    h2load, nginx = tools["h2load"], tools["nginx"]
    if h2load is None or nginx is None:
        raise SystemExit(f"needs h2load and nginx: {HOW_TO_GET.format('nghttp2-client nginx')}")
    results = Results("gRPC")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder = Path(name)
        message = folder / "message"
        message.write_bytes(_MESSAGE)
        backend = free_port()
        children.append(start_backend(folder, nginx, backend))
        targets = []
        for peer in _GOALS:
            child, ports = start_nginx(folder / peer.replace(" ", "-"), nginx, backend, as_ingress="ingress" in peer)
            children.append(child)
            targets.append(Target(peer, child, ports))
        pipeline = start_limen(folder / "limen", backend)
        children.append(pipeline.child)
        pipeline.wait_ready(120)
        pipeline.wait_quiet()
        targets.append(Target("limen", pipeline.child, pipeline.ports))
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            for target in targets:
                target.measure(h2load, message, calls if number else 1000, options.connections, options.streams)
                if not number:
                    target.forget()
    for target in targets:
        spread = f"{min(target.cpu):.1f} to {max(target.cpu):.1f}; {median(target.rate):,.0f}/s; {target.failed} failed"
        results.add(target.name, median(target.cpu), "µs/call", note=spread)
    limen = targets[-1]
    for target in targets[:-1]:
        ratios = [theirs / ours for theirs, ours in zip(target.cpu, limen.cpu, strict=True)]
        results.add(f"{target.name} / limen", median(ratios), "×", _GOALS[target.name], better="more")
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
