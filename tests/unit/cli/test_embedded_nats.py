"""The NATS server of ``limen up``: which port it gets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.cli import embedded_nats
from services.cli.embedded_nats import prepare
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port that is wanted first: one that nobody else on this machine knows of."""
    port = free_port()
    monkeypatch.setattr(embedded_nats, "USUAL_PORT", port)
    return port


def test_installations_that_start_at_the_same_time_get_ports_of_their_own(tmp_path: Path, usual: int) -> None:
    one, other = prepare(tmp_path / "one", "limen"), prepare(tmp_path / "other", "limen")
    with one.claim, other.claim:
        assert one.port == usual != other.port
        assert f"port: {other.port}\n" in (tmp_path / "other" / "nats" / "nats.conf").read_text()


def test_a_port_is_claimed_no_longer_than_its_installation_lives(tmp_path: Path, usual: int) -> None:
    prepare(tmp_path, "limen").claim.close()
    with prepare(tmp_path, "limen").claim as claim:
        assert claim.getsockname() == f"\0limen-nats-{usual}".encode()


def test_a_port_on_which_somebody_listens_is_left_alone(tmp_path: Path, usual: int) -> None:
    with socket.create_server(("127.0.0.1", usual)):
        bus = prepare(tmp_path, "limen")
        with bus.claim:
            assert bus.port != usual
