"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.bus import Bus, BusOptions
from tests.support.edges import Endpoint, endpoint
from tests.support.nats import NatsServer, nats_server
from tests.support.snapshots import Log, Publisher

_STATE = Path(tempfile.gettempdir()) / f"limen-tests-{os.getpid()}"


def pytest_configure() -> None:
    """What tests start neither finds the ``limen up`` that somebody runs here, nor is found by their commands. A shell
    that starts tests in the background has them ignore SIGINT, and so would what they start; some of it is to end by
    that."""
    os.environ["XDG_STATE_HOME"] = str(_STATE)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(_STATE, ignore_errors=True)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A real nats-server with an empty store."""
    async with nats_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def publisher(nats: NatsServer) -> AsyncIterator[Publisher]:
    """Who publishes versions in a compiler's place."""
    bus = Bus(BusOptions(servers=(nats.url,), name="compiler"))
    await bus.start()
    await bus.wait_connected()
    yield Publisher(bus, Log())
    await bus.close()


@pytest.fixture
async def pod() -> AsyncIterator[Endpoint]:
    """An endpoint that answers ``pod``."""
    async with endpoint("pod") as made:
        yield made
