"""What the tests of the whole pipeline, and of edges alone, share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edges import EdgeProcesses, edge_processes
from tests.support.nats import NatsServer
from tests.support.pipeline import Pipeline, pipeline
from tests.support.processes import limen, process
from tests.support.traffic import Pod, pod


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of keys as ``limen keys`` makes them."""
    folder = tmp_path_factory.mktemp("keys")
    with process(*limen("keys", folder / "keys"), log=folder / "log") as child:
        assert child.wait(20) == 0, child.output()
    return folder / "keys"


@pytest.fixture
async def web() -> AsyncIterator[Pod]:
    """An endpoint."""
    async with pod() as made:
        yield made


@pytest.fixture
async def whole(tmp_path: Path, keys: Path) -> AsyncIterator[Pipeline]:
    """A pipeline of which nothing runs yet."""
    async with pipeline(tmp_path, keys) as made:
        yield made


@pytest.fixture
async def running(whole: Pipeline, web: Pod) -> Pipeline:
    """A running pipeline with two edges, which serves a.example.com, and tls.example.com with TLS."""
    whole.manifests.serve(web.port, "a.example.com", tls="tls.example.com")
    whole.other.append(whole.add_edge("edge-2"))
    await whole.start()
    await whole.served("a.example.com")
    return whole


@pytest.fixture
async def edge(tmp_path: Path, nats: NatsServer) -> AsyncIterator[EdgeProcesses]:
    """An edge of which nothing runs yet."""
    async with edge_processes(tmp_path / "edge", nats.url) as made:
        yield made
