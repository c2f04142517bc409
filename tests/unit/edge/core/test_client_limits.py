"""Limits of what one client may ask: nginx's leaky bucket to the request, and requests under way."""

from __future__ import annotations

import pytest

from proto.policies import Policy, RateLimit, SSLRedirect
from services.edge.client_rates import ClientRates
from services.edge.core import leaky_buckets
from services.edge.core.course import Course, Onward
from services.edge.core.leaky_buckets import Bucket, LeakyBuckets, per_minute, per_second
from services.edge.core.outcomes import Answer, Ask
from services.edge.core.policies.limits import MayAsk, MayEnter
from tests.unit.edge.core.test_phases import asked, generation, policed, route

HTTP = SSLRedirect(enabled=False, force=False)


def passed(buckets: LeakyBuckets, limits: tuple[Bucket, ...], times: list[int], address: str = "a") -> list[bool]:
    return [buckets.take(address, limits, now) for now in times]


def test_an_idle_client_may_ask_once_and_burst_times_more_then_by_the_rate() -> None:
    buckets, limit = LeakyBuckets(), (per_second("z", 1, 5),)
    assert passed(buckets, limit, [0] * 8) == [True] * 6 + [False] * 2
    assert passed(buckets, limit, [999, 1000, 1000, 2999, 3000, 3000]) == [False, True, False, True, True, False]
    assert buckets.take("b", limit, 3000), "another client"


def test_a_minutes_limit_is_a_whole_number_of_thousandths_a_second() -> None:
    assert per_minute("z", 1, 0) == Bucket("z", 16, 0)
    buckets, limit = LeakyBuckets(), (per_minute("z", 1, 0),)
    assert passed(buckets, limit, [0, 60_000, 62_500]) == [True, False, True]


def test_who_is_refused_by_one_limit_is_counted_by_none() -> None:
    buckets = LeakyBuckets()
    wide, narrow = per_second("wide", 1, 3), per_second("narrow", 1, 0)
    assert passed(buckets, (wide, narrow), [0, 0, 0, 0, 0]) == [True, False, False, False, False]
    assert passed(buckets, (wide,), [0, 0, 0, 0]) == [True, True, True, False]


def test_zones_are_bounded_and_empty_buckets_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaky_buckets, "ADDRESSES_AT_MOST", 3)
    buckets, limit = LeakyBuckets(), (per_second("z", 1, 0),)
    for number, now in enumerate((0, 0, 0, 0)):
        assert buckets.take(number, limit, now)
    assert buckets.take(0, limit, 0), "forgotten for want of room"
    assert not buckets.take(3, limit, 0)
    assert buckets.take("late", limit, 60_000)
    assert len(buckets._zones["z"]) == 2, "two that were empty for a minute went"


def course(*policies: Policy, client: str = "192.0.2.7", **settings: object) -> Course:
    table = generation(route(HTTP, *policies), use_forwarded_headers=True, **settings)  # type: ignore[arg-type]
    return Course(policed(table), asked(table, "/", f"X-Forwarded-For: {client}"))


def test_a_route_asks_and_is_told() -> None:
    limit = RateLimit(2, 60, 0, 3, ("10.0.0.0/8",))
    at_work = course(limit)
    said = at_work.run()
    assert isinstance(said, Ask)
    assert said.question == MayAsk("192.0.2.7", (per_second("ns/i rps", 2, 6), per_minute("ns/i rpm", 60, 180)))
    assert isinstance(at_work.told(said, True), Onward)
    assert course(limit, limit_req_status_code=429).told(said, False) == Answer(503), "as that generation says"
    refused = course(limit, limit_req_status_code=429)
    again = refused.run()
    assert isinstance(again, Ask)
    assert refused.told(again, False) == Answer(429)
    assert isinstance(course(limit, client="10.1.1.1").run(), Onward)


def test_a_request_under_way_ends_once() -> None:
    limit = RateLimit(at_once=1)
    first = course(limit)
    said = first.run()
    assert isinstance(said, Ask)
    assert said.question == MayEnter("192.0.2.7", "ns/i", 1)
    rates = ClientRates(lambda: 0.0)
    leave = rates.may_enter(said.question)
    assert leave is not None
    assert isinstance(first.told(said, leave), Onward)
    assert first.at_end == [leave]
    second = course(limit, limit_conn_status_code=429)
    ask = second.run()
    assert isinstance(ask, Ask)
    assert second.told(ask, rates.may_enter(said.question)) == Answer(429)
    assert rates.may_enter(MayEnter("192.0.2.8", "ns/i", 1)), "another client"
    assert rates.may_enter(MayEnter("192.0.2.7", "ns/other", 1)), "another Ingress"
    leave()
    assert rates.may_enter(said.question)


def test_no_limit_is_no_phase() -> None:
    table = generation(route(HTTP, RateLimit(0, 0, 0)))
    found = asked(table)
    assert found.host.routes.find("/").ready.__class__.__name__ == "Forward"  # type: ignore[union-attr]


def test_addresses_of_all_limits_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who floods one limit with addresses loses those; the others' stay until all have their share."""
    monkeypatch.setattr(leaky_buckets, "ALL_AT_MOST", 100)
    buckets, others = LeakyBuckets(), [per_second(f"z{number}", 1, 0) for number in range(4)]
    for limit in others:
        assert buckets.take("honest", (limit,), 0)
    flooded = per_second("flooded", 1, 0)
    for number in range(1000):
        assert buckets.take(number, (flooded,), 1)
    assert sum(map(len, buckets._zones.values())) == buckets._count == 100
    for limit in others:
        assert not buckets.take("honest", (limit,), 2), "it is remembered"
    for limit in others:
        for number in range(1000):
            buckets.take(number, (limit,), 3)
    assert sum(map(len, buckets._zones.values())) == buckets._count == 100
    assert max(map(len, buckets._zones.values())) <= 40
