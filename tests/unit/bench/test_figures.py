"""Benchmarks: their figures, the made-up cluster, and that the quick ones run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from bench.figures import Figure, Results, percentile
from bench.manifests import of_world
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


@pytest.mark.parametrize("name", ["compile", "bytes", "matching"])
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-m", f"bench.{name}", "--quick", "--json"]
    sizes = [] if name == "matching" else ["--ingresses", "600", "--endpoints", "3000"]
    done = subprocess.run([*command, *sizes], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout)["figures"], done.stderr
