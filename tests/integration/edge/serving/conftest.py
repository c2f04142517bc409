"""These tests run on the event loop that edges run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from services.edge import connection


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def soon_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends no more, and to which nothing is sent, is taken to have left after a moment: what becomes of
    its request then is looked at, not the time."""
    monkeypatch.setattr(connection, "HALF_CLOSED_TIME", 0.05)
