"""What is said now and then."""

from __future__ import annotations

import pytest

from proto.policies import ExternalAuth
from services.runtime import seldom
from services.runtime.seldom import APART_AT_MOST, SAID_EVERY, Seldom
from tests.support.edge import NO_HTTPS, ask, bound, edge, host, route, upstream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(seldom, "monotonic", lambda: now[0])
    return now


def test_the_same_thing_is_said_once_in_a_while_with_how_often_it_was_met(clock: list[float]) -> None:
    said = Seldom()
    assert [said.more("a") for _ in range(3)] == [0, None, None]
    assert said.more("b") == 0
    clock[0] = SAID_EVERY
    assert [said.more("a") for _ in range(2)] == [2, None]


def test_things_without_end_are_one(clock: list[float]) -> None:
    said = Seldom()
    lines = sum(said.more(str(number)) is not None for number in range(10_000))
    assert lines == APART_AT_MOST + 1
    assert len(said._said) == APART_AT_MOST + 1
    clock[0] = SAID_EVERY
    assert said.more("new") == 0
    assert said.more("0") == 0
    assert len(said._said) == APART_AT_MOST + 1


async def test_a_server_that_does_not_say_who_may_pass_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with bound() as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    web = upstream(1)
    async with edge(host("t.example", route(policies=(*NO_HTTPS, ExternalAuth(url)))), web) as running:
        assert [(await ask(running.http)).status for _ in range(5)] == [500] * 5
    assert sum("does not say who may pass" in record.getMessage() for record in caplog.records) == 1
