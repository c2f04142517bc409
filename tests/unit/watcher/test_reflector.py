"""The reflector's rules, against an API server that can be told to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from services.watcher.sources.kubernetes import backoff, reflector
from services.watcher.sources.kubernetes.backoff import Backoff
from services.watcher.sources.kubernetes.client import ApiError
from services.watcher.sources.kubernetes.reflector import Reflector
from tests.support.waiting import eventually
from tests.support.watching import Ear, FakeApi


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.01, 0.05))
    monkeypatch.setattr(reflector, "SHORT_WATCH", 0.0)
    monkeypatch.setattr(reflector, "SECOND_LOOK", 0.05)


@contextlib.asynccontextmanager
async def following(api: FakeApi, **selectors: str) -> AsyncIterator[tuple[Reflector, Ear]]:
    ear = Ear()
    followed = Reflector(api, "/things", selectors, ear)
    task = asyncio.create_task(followed.run())
    try:
        await eventually(lambda: (ear.lists and api.open) or ear.errors)
        yield followed, ear
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_list_in_pages_and_then_a_watch() -> None:
    api = FakeApi()
    for number in range(1200):
        api.put(f"o{number}")
    async with following(api, labelSelector="a=b") as (_, ear):
        assert len(ear.known) == 1200
        assert [asked.get("limit") for asked in api.lists] == ["500"] * 3
        assert api.watches[0]["resourceVersion"] == str(api.version)
        assert api.watches[0]["allowWatchBookmarks"] == "true"
        assert all(asked["labelSelector"] == "a=b" for asked in api.lists + api.watches)
        api.put("new")
        api.remove("o1")
        await eventually(lambda: "new" in ear.known and "o1" not in ear.known)
        assert not ear.told[-1].relisted


async def test_a_closed_watch_is_resumed_from_events_and_bookmarks_without_a_list() -> None:
    api = FakeApi()
    async with following(api) as (_, ear):
        for number in range(1000):
            if number % 3 == 0:
                api.bookmark()
            else:
                api.put(f"o{number % 7}")
            count = len(api.watches)
            api.close_watches()
            await eventually(lambda count=count: len(api.watches) > count and api.open, every=0)
            assert int(api.watches[-1]["resourceVersion"]) == api.version
        assert len(api.lists) == 1
        versions = [int(seen.resource_version) for seen in ear.told]
        assert versions == sorted(set(versions))
        assert len(ear.told) == sum(1 for number in range(1000) if number % 3)
        assert ear.error == ""


@pytest.mark.parametrize("as_event", [False, True], ids=["status", "event"])
async def test_gone_means_one_list_and_only_real_differences(as_event: bool) -> None:
    api = FakeApi()
    for name in ("stays", "changes", "goes"):
        api.put(name)
    async with following(api) as (_, ear):
        told = len(ear.told)
        if as_event:
            api.raw(b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}')
        api.close_watches()
        api.put("changes")
        api.remove("goes")
        api.put("comes")
        api.compact()
        await eventually(lambda: ear.lists == 2)
        if not as_event:
            assert [(seen.name, seen.data is None, seen.relisted) for seen in ear.told[told:]] == [
                ("changes", False, False),
                ("comes", False, False),
                ("goes", True, True),
            ]
        assert set(ear.known) == {"stays", "changes", "comes"}
        assert len(api.lists) == 2


async def test_an_error_event_that_cannot_be_read_is_an_error_and_no_end() -> None:
    api = FakeApi()
    async with following(api) as (_, ear):
        api.raw(b'{"type":"ERROR","object":{"code":"many"}}')
        api.put("later")
        await eventually(lambda: any(seen.name == "later" for seen in ear.told))


async def test_a_page_that_expires_starts_the_list_over() -> None:
    api = FakeApi()
    for number in range(600):
        api.put(f"o{number}")
    api.fail_lists = [ApiError(410, "continue token expired"), ApiError(410, "continue token expired")]
    async with following(api) as (_, ear):
        assert len(ear.known) == 600
        assert "limit" not in api.lists[2]


async def test_silence_beyond_the_promised_end_is_a_dead_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", (0, 0))
    monkeypatch.setattr(reflector, "MARGIN", 0.05)
    api = FakeApi()
    async with following(api) as (_, ear):
        api.silent = True
        api.put("missed")
        await eventually(lambda: len(api.watches) >= 3)
        api.silent = False
        await eventually(lambda: "missed" in ear.known)
        assert len(api.lists) == 1


def test_a_dead_watch_is_noticed_within_a_minute() -> None:
    assert reflector.WATCH_SECONDS[1] + reflector.MARGIN <= 60


async def test_an_outage_costs_one_list_at_most() -> None:
    api = FakeApi()
    api.put("a")
    async with following(api) as (_, ear):
        down = [ApiError(0, "connection refused")] * 20
        api.fail_watches = [*down, ApiError(429, "slow down", 0.01), ApiError(500, "error")]
        api.close_watches()
        api.put("b")
        await eventually(lambda: "b" in ear.known)
        assert len(api.lists) == 1
        assert "connection refused" in ear.errors[0]
        assert ear.error == ""


async def test_retry_after_is_honoured() -> None:
    api = FakeApi()
    api.fail_lists = [ApiError(429, "slow down", 0.3)]
    began = time.monotonic()
    async with following(api) as (_, ear):
        await eventually(lambda: ear.lists == 1)
        assert time.monotonic() - began >= 0.3


async def test_a_refusal_is_reported_and_tried_again() -> None:
    api = FakeApi()
    api.fail_lists = [ApiError(403, "secrets is forbidden")] * 3
    async with following(api) as (_, ear):
        assert "forbidden" in ear.error
        await eventually(lambda: ear.lists == 1)
        assert ear.error == ""


async def test_a_single_cut_is_nobodys_trouble() -> None:
    api = FakeApi()
    async with following(api) as (_, ear):
        api.fail_watches = [ApiError(0, "connection lost")]
        count = len(api.watches)
        api.close_watches()
        await eventually(lambda: len(api.watches) >= count + 2)
        assert [error for error in ear.errors if error] == []


async def test_a_stale_list_is_not_believed() -> None:
    api = FakeApi()
    old = api.snapshot()
    for number in range(20):
        api.put(f"o{number}")
    async with following(api) as (_, ear):
        api.stale = [old, old]
        api.version += 1
        api.compact()
        api.close_watches()
        await eventually(lambda: ear.lists == 2)
        assert len(api.lists) == 4
        assert len(ear.known) == 20


async def test_an_api_server_that_stays_behind_is_believed_at_the_third_look() -> None:
    api = FakeApi()
    old = api.snapshot()
    api.put("late")
    async with following(api) as (_, ear):
        api.stale = [old] * 10
        api.version += 1
        api.compact()
        api.close_watches()
        await eventually(lambda: ear.known == {})
        assert len(api.lists) == 4
        assert ear.told[-1].relisted


async def test_an_older_event_of_a_known_object_is_passed_over() -> None:
    api = FakeApi()
    api.put("a")
    async with following(api) as (_, ear):
        api.raw(
            b'{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"n","uid":"u-a","resourceVersion":"7"}}}'
        )
        api.put("b")
        await eventually(lambda: "b" in ear.known)
        assert ear.known["a"] == "101"
        # the same name again with another uid is another object, whatever its version
        api.raw(
            b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","uid":"new","resourceVersion":"8"}}}'
        )
        await eventually(lambda: ear.known["a"] == "8")


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"type": 1}', b'{"type":"ADDED","object":{"metadata":{"name":1}}}'])
async def test_what_cannot_be_read_ends_no_more_than_a_watch(line: bytes) -> None:
    api = FakeApi()
    async with following(api) as (_, ear):
        api.raw(line)
        api.put("after")
        await eventually(lambda: "after" in ear.known)
        assert len(api.lists) == 1


async def test_a_second_look_lists_while_the_watch_is_open() -> None:
    api = FakeApi()
    api.put("a")
    async with following(api) as (followed, ear):
        followed.look_again()
        followed.look_again()
        await eventually(lambda: ear.lists == 2 and len(api.watches) == 2)
        assert len(api.lists) == 2
        assert ear.errors == []


def test_delays_double_with_jitter_up_to_a_bound() -> None:
    delays = Backoff(0.5, 15.0)
    seen = [delays.delay() for _ in range(12)]
    bounds = [0.5 * 2**number for number in range(12)]
    assert all(min(bound, 15) / 2 <= delay <= min(bound, 15) for delay, bound in zip(seen, bounds, strict=True))
    delays.reset()
    assert delays.delay() <= 0.5
    assert delays.delay(asked=30) >= 30
    assert delays.delay(asked=1e9) < 200
