"""Benchmarks: their figures, the made-up cluster, and that the quick ones run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections import Counter

import pytest

from bench.figures import Figure, Results, percentile
from bench.manifests import of_world
from bench.steady import Steady
from bench.world import World
from proto.objects import EndpointSlice, key_of
from tests.support.processes import REPOSITORY


def test_goals_are_met_on_the_right_side() -> None:
    assert Figure("time", 1.0, "ms", 2.0).met is True
    assert Figure("time", 3.0, "ms", 2.0).met is False
    assert Figure("ratio", 0.9, "×", 0.8, "more").met is True
    assert Figure("ratio", 0.7, "×", 0.8, "more").met is False
    assert Figure("size", 3.0, "MiB").met is None


def test_a_missed_goal_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results("some")
    results.add("time", 3.0, "ms", 2.0)
    assert results.print(as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["figures"][0]["met"] is False
    assert {"bench", "date", "cpu", "cores", "python"} <= printed.keys()


def test_percentiles() -> None:
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([5.0], 0.99) == 5.0


def test_the_cluster_is_the_same_each_time_and_of_the_size_asked_for() -> None:
    world = World(100, 500)
    objects = list(world.objects())
    assert objects == list(World(100, 500).objects())
    kinds = Counter(key_of(value).kind for value in objects)
    assert (kinds["ingress"], kinds["service"]) == (100, 100)
    slices = [value for value in objects if isinstance(value, EndpointSlice)]
    addresses = {item.addresses[0] for slice_ in slices for item in slice_.endpoints}
    assert len(addresses) == 500
    assert Counter(document["kind"] for document in of_world(world))["Ingress"] == 100


@pytest.mark.parametrize("name", ["compile", "bytes", "matching", "protocols"])
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-m", f"bench.{name}", "--quick", "--json"]
    sizes = ["--ingresses", "600", "--endpoints", "3000"] if name in ("compile", "bytes") else []
    done = subprocess.run([*command, *sizes], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout)["figures"], done.stderr


def test_a_steady_client_keeps_its_rate_and_counts_waiting_from_when_a_request_was_due() -> None:
    """The server answers each of two connections after 20 ms, so that it takes 100 requests a second, not 200."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nend\n"
    stop = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(4096) and not stop.wait(0.02):
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [threading.Thread(target=serve, args=(listening,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        client = Steady(listening.getsockname()[1], 2, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"end\n")
        calm, crowded = client.ask(20, 0.5), client.ask(200, 0.5)
        client.close()
        for thread in threads:
            thread.join()
    assert (len(calm), len(crowded)) == (10, 100)
    assert min(calm) >= 0.02
    assert max(crowded) > 0.3
