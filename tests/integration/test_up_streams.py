"""TCP and UDP services of a folder of manifests, through every process: several edges and workers share the ports."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.test_up import up
from tests.support.ports import can_connect, free_port
from tests.support.streams import LOCAL, free_udp_port
from tests.support.waiting import eventually_sync

OBJECTS = """
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: default}}
spec:
  clusterIP: 10.96.0.1
  ports:
  - {{name: tcp, port: 7, protocol: TCP}}
  - {{name: udp, port: 7, protocol: UDP}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: echo-1, namespace: default, labels: {{kubernetes.io/service-name: echo}}}}
addressType: IPv4
ports:
- {{name: tcp, port: {tcp}, protocol: TCP}}
- {{name: udp, port: {udp}, protocol: UDP}}
endpoints: [{{addresses: [127.0.0.1]}}]
"""
CONFIGMAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: {kind}-services, namespace: default}}
data: {{{entries}}}
"""


class _Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            self.wfile.write(b"tcp " + line)


class _Datagrams(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, answering = self.request
        answering.sendto(b"udp " + data, self.client_address)


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    """The port of a server that runs meanwhile."""
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]  # type: ignore[index, misc]
    finally:
        server.shutdown()
        server.server_close()


def configmap(folder: Path, kind: str, *ports: int) -> None:
    """Write the ConfigMap of one protocol anew."""
    entries = ", ".join(f'"{port}": "default/echo:{kind}"' for port in ports)
    (folder / f"{kind}.yaml").write_text(CONFIGMAP.format(kind=kind, entries=entries))


def tcp_says(port: int) -> bytes:
    with socket.create_connection((LOCAL, port), timeout=5) as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def udp_says(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect((LOCAL, port))
        client.send(b"hello")
        return client.recv(100)


def _counted(metrics: str) -> bool:
    """Whether sessions of UDP are among the metrics."""
    lines = [line for line in metrics.splitlines() if line.startswith("limen_edge_stream_sessions_total{")]
    return any('protocol="udp"' in line for line in lines)


def test_services_of_a_folder_are_served_and_change_live(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    first, second, third = free_port(), free_port(), free_udp_port()
    with (
        served(socketserver.ThreadingTCPServer((LOCAL, 0), _Lines)) as tcp,
        served(socketserver.ThreadingUDPServer((LOCAL, 0), _Datagrams)) as udp,
        socket.socket() as taken,
    ):
        taken.bind((LOCAL, 0))
        taken.listen()
        (manifests / "objects.yaml").write_text(OBJECTS.format(tcp=tcp, udp=udp))
        configmap(manifests, "tcp", first, taken.getsockname()[1])
        configmap(manifests, "udp", third)
        flags = ("--tcp-services-configmap=default/tcp-services", "--udp-services-configmap=default/udp-services")
        with up(tmp_path, "--edges=2", "--workers=2", *flags, manifests=manifests) as running:
            running.wait_ready()
            eventually_sync(lambda: [tcp_says(first) for _ in range(8)] == [b"tcp hello\n"] * 8)
            eventually_sync(lambda: udp_says(third) == b"udp hello")
            errors = [child["status"]["last_error"] for name, child in running.children().items() if "edge" in name]
            assert all("cannot open 127.0.0.1:" in error and "in use" in error for error in errors), errors
            configmap(manifests, "tcp", second, running.http)
            eventually_sync(lambda: tcp_says(second) == b"tcp hello\n")
            eventually_sync(lambda: not can_connect(first))
            eventually_sync(lambda: "is reserved: this edge serves HTTP there" in running.get("/status")[1])
            assert running.ask("any.localhost") == 404, "the port is still http's"
            eventually_sync(lambda: _counted(running.get("/metrics")[1]))
            assert running.child.terminate(20) == 0
        assert "[127.0.0.1] [" in (tmp_path / "up.log").read_text(), "lines of streams are logged as those of requests"
