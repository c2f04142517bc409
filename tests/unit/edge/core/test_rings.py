"""Consistent hashing: keys spread, and few move when endpoints come and go."""

from __future__ import annotations

from collections import Counter

from services.edge.core.rings import Ring, groups_of

KEYS = [f"key {number}".encode() for number in range(2000)]
NAMES = [f"10.0.0.{number}:80" for number in range(10)]


def owners(names: list[str]) -> dict[bytes, str]:
    ring = Ring(names)
    return {key: names[ring.find(key)] for key in KEYS}


def test_keys_spread_over_all() -> None:
    shares = Counter(owners(NAMES).values())
    assert set(shares) == set(NAMES)
    assert max(shares.values()) < 3 * len(KEYS) / len(NAMES)


def test_the_order_of_names_means_nothing() -> None:
    assert owners(NAMES) == owners(NAMES[::-1])


def test_who_goes_leaves_only_its_own_keys() -> None:
    before, after = owners(NAMES), owners(NAMES[1:])
    assert all(after[key] == owner for key, owner in before.items() if owner != NAMES[0])


def test_others_begin_with_the_owner_and_name_everybody_once() -> None:
    ring = Ring(NAMES)
    without = Ring(NAMES[1:])
    for key in KEYS[:50]:
        order = list(ring.others(key))
        assert order[0] == ring.find(key)
        assert sorted(order) == list(range(len(NAMES)))
        assert next(number for number in order if number) == without.find(key) + 1


def test_very_many_names_have_fewer_points() -> None:
    ring = Ring([f"10.0.{number >> 8}.{number & 255}:80" for number in range(3000)])
    assert len({ring.find(key) for key in KEYS}) > 1000


def test_groups_are_filled_up_from_the_beginning() -> None:
    assert groups_of(5, 2) == [(0, 1), (2, 3), (4, 0)]
    assert groups_of(2, 3) == [(0, 1)]
    assert groups_of(1, 3) == [(0,)]
