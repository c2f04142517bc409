"""The leaky bucket against a reckoning of its own: fractions instead of whole numbers, one client at a time."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.leaky_buckets import LeakyBuckets, per_second

EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3000)), max_size=60)


@given(st.integers(1, 50), st.integers(0, 20), EVENTS)
def test_as_reckoned_by_hand(limit: int, burst: int, events: list[tuple[str, int]]) -> None:
    buckets, bucket = LeakyBuckets(), (per_second("z", limit, burst),)
    known: dict[str, tuple[Fraction, int]] = {}
    now = 0
    for client, pause in events:
        now += pause
        excess = Fraction(0)
        if client in known:
            before, then = known[client]
            excess = max(Fraction(0), before - Fraction(limit * (now - then), 1000) + 1)
        expected = excess <= burst
        if expected:
            known[client] = (excess, now)
        assert buckets.take(client, bucket, now) is expected


@given(st.integers(1, 20), st.integers(0, 10), st.integers(1, 20))
def test_no_second_gives_more_than_the_limit_in_the_long_run(limit: int, burst: int, seconds: int) -> None:
    buckets, bucket = LeakyBuckets(), (per_second("z", limit, burst),)
    count = sum(buckets.take("a", bucket, now) for now in range(0, seconds * 1000, 10))
    assert count <= 1 + burst + limit * seconds
