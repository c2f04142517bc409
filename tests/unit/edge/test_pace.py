"""Responses that go piece by piece: never too fast, all of it, in order, and whoever sends it is told to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import pace
from services.edge.core.policies.rates import Rate
from services.edge.core.response_head import ResponseHead
from services.edge.pace import Pace

HEAD = cast(ResponseHead, object())


class World:
    """A clock, a loop, an exchange and a client, none of them real. ``sent``: (when, what)."""

    def __init__(self, rate: Rate) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.written: list[tuple[float, bytes]] = []
        self.over: list[str] = []
        self.held = False
        self.started = 0.0
        self.sent = 0
        self.defects: list[Exception] = []
        self.loop = self
        pace.monotonic = lambda: self.now  # type: ignore[attr-defined]
        self.pace = Pace(cast(Any, self), cast(Any, self), cast(Any, self), rate)

    # the loop
    def call_later(self, delay: float, callback: Callable[[], None]) -> World:
        assert not self.timers
        self.timers.append((self.now + delay, callback))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def tick(self) -> None:
        self.now, callback = self.timers.pop()
        callback()

    # the exchange
    def hold_upstream(self) -> None:
        self.held = True

    def release_upstream(self) -> None:
        self.held = False

    def defect(self, error: Exception) -> None:
        self.defects.append(error)

    # the client
    def respond(self, _head: ResponseHead, body: bytes, complete: bool) -> int:
        self.over.append("whole" if complete else "head")
        return 10 + self.body(body)

    def body(self, data: bytes) -> int:
        if data:
            self.written.append((self.now, data))
        return len(data)

    def trailers(self, _fields: object) -> None:
        self.over.append("trailers")

    def finish(self, _now: float) -> None:
        self.over.append("end")

    @property
    def got(self) -> bytes:
        return b"".join(data for _, data in self.written)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "monotonic", vars(pace)["monotonic"])


def test_what_is_small_goes_as_it_came() -> None:
    world = World(Rate(1000, 0))
    assert world.pace.respond(HEAD, b"x" * 1000, True) == 1010
    world.pace.finish(0.0)
    assert world.over == ["whole", "end"]
    assert world.timers == []


def test_the_end_waits_for_what_waits() -> None:
    world = World(Rate(1000, 0))
    world.sent = world.pace.respond(HEAD, b"x" * 1500, True)
    world.pace.trailers(cast(Any, ()))
    world.pace.finish(0.0)
    assert world.over == ["head"]
    assert world.held
    while world.timers:
        world.tick()
    assert world.over == ["head", "trailers", "end"]
    assert world.got == b"x" * 1500
    assert world.sent == 1510
    assert 0.5 <= world.now <= 0.52


def test_a_client_that_takes_nothing_gets_nothing() -> None:
    world = World(Rate(1000, 0))
    world.pace.respond(HEAD, b"x" * 2000, False)
    world.pace.congested = True
    world.tick()
    assert len(world.got) == 990
    assert world.held
    world.now = 5.0
    world.pace.go_on()
    assert len(world.got) == 2000
    assert not world.held
    world.pace.finish(5.0)
    assert world.over == ["head", "end"]


def test_nothing_goes_after_the_request_is_over() -> None:
    world = World(Rate(1000, 0))
    world.pace.respond(HEAD, b"x" * 2000, True)
    world.pace.finish(0.0)
    world.pace.close()
    assert world.timers == []
    world.pace.go_on()
    assert world.over == ["head"]


def test_a_defect_that_nobody_else_would_hear_of_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Rate(1000, 0))
    world.pace.respond(HEAD, b"x" * 2000, True)
    world.pace.finish(0.0)
    defect = RuntimeError("a client of ours")

    def broken(_data: bytes) -> int:
        raise defect

    monkeypatch.setattr(world, "body", broken)
    world.tick()
    assert world.defects == [defect]


@given(
    st.integers(1, 5000),
    st.integers(0, 3000),
    st.lists(st.tuples(st.binary(max_size=4000), st.booleans()), max_size=8),
)
def test_never_too_fast_and_all_of_it(per_second: int, after: int, pieces: list[tuple[bytes, bool]]) -> None:
    world = World(Rate(per_second, after))
    world.pace.respond(HEAD, b"", False)
    for piece, congests in pieces:
        world.pace.body(piece)
        if congests:
            world.pace.congested = True
            if world.timers:
                world.tick()
            world.pace.go_on()
    world.pace.finish(world.now)
    while world.timers:
        world.tick()
    assert world.got == b"".join(piece for piece, _ in pieces)
    assert world.over == ["head", "end"]
    gone = 0
    for when, data in world.written:
        gone += len(data)
        assert gone <= per_second * (when + 1) + after + 1
