"""Who holds the Lease, by record and monotonic time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.watcher import lease as lease_module
from services.watcher.lease import Lease
from services.watcher.sources.kubernetes.client import ApiError
from tests.support.waiting import eventually


class Clock:
    """The module's ``time``, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Records:
    """One Lease as an API server keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.down = False
        self.races = 0

    async def get(self, path: str) -> bytes:
        if self.down:
            raise ApiError(0, "connection refused")
        if self.stored is None:
            raise ApiError(404, "not found")
        return json.dumps(self.stored).encode()

    async def send(self, method: str, path: str, body: bytes) -> bytes:
        if self.down:
            raise ApiError(0, "connection refused")
        record = json.loads(body)
        current = self.stored["metadata"]["resourceVersion"] if self.stored else None
        if self.races:
            self.races -= 1
            raise ApiError(409, "conflict")
        if method == "POST" and self.stored is not None:
            raise ApiError(409, "exists")
        if method == "PUT" and record["metadata"].get("resourceVersion") != current:
            raise ApiError(409, "conflict")
        self.version += 1
        record["metadata"]["resourceVersion"] = str(self.version)
        self.stored = record
        return json.dumps(record).encode()

    @property
    def holder(self) -> str:
        return self.stored["spec"].get("holderIdentity", "") if self.stored else ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(lease_module, "time", made)
    return made


@pytest.fixture
def records() -> Records:
    return Records()


def make(records: Records, name: str) -> Lease:
    return Lease(records, "ns", "limen", name)


async def test_the_first_takes_it_and_the_second_waits(records: Records, clock: Clock) -> None:
    first, second = make(records, "a"), make(records, "b")
    assert await first._try()
    assert not await second._try()
    assert (first.held, second.held, records.holder, second.holder) == (True, False, "a", "a")
    assert second.error == "held by a"


async def test_a_holder_that_renews_is_never_replaced(records: Records, clock: Clock) -> None:
    first, second = make(records, "a"), make(records, "b")
    for _ in range(20):
        assert await first._try()
        assert not await second._try()
        clock.now += 9
    assert records.stored is not None
    assert records.stored["spec"]["leaseTransitions"] == 0


async def test_a_lease_is_for_as_long_as_it_was_asked_for(records: Records, clock: Clock) -> None:
    first, second = Lease(records, "ns", "limen", "a", 30.0), make(records, "b")
    assert await first._try()
    assert records.stored is not None
    assert records.stored["spec"]["leaseDurationSeconds"] == 30
    assert not await second._try()
    clock.now += 19
    assert first.held
    clock.now += 2
    assert not first.held
    assert not await second._try()
    clock.now += 10
    assert await second._try()


async def test_a_holder_that_is_silent_is_replaced_after_the_length(records: Records, clock: Clock) -> None:
    first, second = make(records, "a"), make(records, "b")
    await first._try()
    assert not await second._try()
    clock.now += 10
    assert not first.held  # it stops acting before anybody may take over
    assert not await second._try()
    clock.now += 6
    assert await second._try()
    assert records.stored is not None
    assert records.stored["spec"]["leaseTransitions"] == 1
    assert not await first._try()
    assert first.holder == "b"


async def test_clocks_in_the_record_do_not_matter(records: Records, clock: Clock) -> None:
    first, second = make(records, "a"), make(records, "b")
    await first._try()
    assert records.stored is not None
    records.stored["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    assert not await second._try()
    clock.now += 14
    assert not await second._try()


async def test_release_hands_over_at_once(records: Records, clock: Clock) -> None:
    first, second = make(records, "a"), make(records, "b")
    await first._try()
    await first.release()
    assert not first.held
    assert records.holder == ""
    assert await second._try()
    await first.release()  # not its own any more: untouched
    assert records.holder == "b"


async def test_a_release_after_a_renewal_whose_answer_was_lost(records: Records, clock: Clock) -> None:
    first = make(records, "a")
    await first._try()
    assert records.stored is not None
    records.stored = json.loads(json.dumps(records.stored))
    records.stored["metadata"]["resourceVersion"] = "77"
    await first.release()
    assert records.holder == ""


async def test_an_outage_ends_acting_but_not_holding(records: Records, clock: Clock) -> None:
    first = make(records, "a")
    await first._try()
    records.down = True
    clock.now += 11
    assert not await first._try()
    assert not first.held
    assert "connection refused" in first.error
    records.down = False
    assert await first._try()
    assert first.held
    assert first.error == ""


async def test_losing_a_race_is_no_error(records: Records, clock: Clock) -> None:
    first = make(records, "a")
    records.races = 1
    assert not await first._try()
    assert first.error == ""
    assert await first._try()


async def test_keep_ends_when_another_holds_it(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_EVERY", 0.01)
    first = make(records, "a")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    version = records.version
    await eventually(lambda: records.version >= version + 2)
    assert records.stored is not None
    records.stored["spec"]["holderIdentity"] = "b"
    await asyncio.wait_for(keeping, 5)
    assert not first.held


async def test_a_record_of_another_shape_is_an_error(records: Records, clock: Clock) -> None:
    records.stored = {"metadata": {"name": 5}}
    first = make(records, "a")
    assert not await first._try()
    assert "cannot be read" in first.error


async def test_an_answer_that_is_no_lease_is_an_error_and_no_end() -> None:
    class Proxy(Records):
        async def send(self, method: str, path: str, body: bytes) -> bytes:
            await super().send(method, path, body)
            return b"<html>welcome</html>"

    lease = Lease(Proxy(), "default", "limen-watcher", "one")
    assert not await lease._try()
    assert "cannot be read" in lease.error
    assert not lease.held
