"""Who takes a request: by hash, by cookie, by latency; what is left out, what was tried, what survives."""

from __future__ import annotations

from collections import Counter
from time import monotonic

import pytest

from proto.policies import Affinity
from proto.resources import Endpoint, Upstream
from services.edge.choosing import chosen, ended
from services.edge.core.choices import ByHash, ByLatency, Sticky, upstream_id
from services.edge.core.policies.balancing import cookie_form
from services.edge.pools import Balancer, Pools

NAME = "ns/web:80"


def upstream(count: int) -> Upstream:
    return Upstream(tuple(Endpoint("10.0.0.1", 1000 + number) for number in range(count)))


def balancer(count: int = 5) -> Balancer:
    return Pools().balancer(NAME, upstream(count))


def sticky(key: bytes = b"", **said: bool) -> Sticky:
    return Sticky(cookie_form(Affinity(**said), "/"), key, tls=False, browser=b"")  # type: ignore[arg-type]


class TestByHash:
    def test_the_same_key_the_same_endpoint(self) -> None:
        found = balancer()
        for key in (b"a", b"b", b""):
            assert len({chosen(ByHash(key), found).next().name for _ in range(10)}) == 1
        assert len({chosen(ByHash(str(key).encode()), found).next().name for key in range(100)}) == 5

    def test_who_was_tried_or_rests_is_passed_over_always_for_the_same_other_one(self) -> None:
        found = balancer()
        choosing = chosen(ByHash(b"a"), found)
        first = choosing.next()
        other = choosing.other([first.name])
        assert other is not first
        first.resting = "refusing"
        found.arrange()
        assert choosing.next() is other
        assert choosing.other([pool.name for pool in found.pools]) in found.pools

    def test_a_key_has_a_group_and_chance_chooses_in_it(self) -> None:
        found = balancer(7)
        shares = Counter(chosen(ByHash(b"a", 3), found).next().name for _ in range(300))
        assert len(shares) == 3

    def test_the_ring_is_made_once_for_an_upstream(self) -> None:
        pools, first = Pools(), upstream(3)
        before = pools.balancer(NAME, first)
        chosen(ByHash(b"a"), before).next()
        places = before.places
        assert places is not None
        ring = places.ring()
        chosen(ByHash(b"b"), pools.balancer(NAME, first)).next()
        assert before.places is places
        assert places.ring() is ring
        assert pools.balancer(NAME, upstream(4)).places is None


@pytest.mark.parametrize("persistent", [False, True])
class TestSticky:
    def test_who_brings_no_cookie_gets_one_and_stays(self, persistent: bool) -> None:
        found = balancer()
        for _ in range(20):
            new = sticky(persistent=persistent)
            pool = chosen(new, found).next()
            assert new.told.startswith(
                b"Set-Cookie: INGRESSCOOKIE=" + new.key + b"|" + upstream_id(b"ns-web-80") + b";"
            )
            again = sticky(new.key, persistent=persistent)
            assert chosen(again, found).next() is pool
            assert again.told == b""

    def test_a_failure_is_served_by_others_and_the_cookie_stays(self, persistent: bool) -> None:
        found = balancer()
        new = sticky(persistent=persistent)
        pool = chosen(new, found).next()
        held = sticky(new.key, persistent=persistent)
        choosing = chosen(held, found)
        assert choosing.other([choosing.next().name]) is not pool
        assert held.told == b""
        pool.resting = "refusing"
        found.arrange()
        assert choosing.next() is not pool
        assert held.told == b""

    def test_unless_it_changes_on_failure(self, persistent: bool) -> None:
        found = balancer()
        new = sticky(persistent=persistent)
        pool = chosen(new, found).next()
        held = sticky(new.key, persistent=persistent, changes=True)
        choosing = chosen(held, found)
        choosing.next()
        other = choosing.other([pool.name])
        assert other is not pool
        assert held.told
        assert chosen(sticky(held.key, persistent=persistent), found).next() is other

    def test_one_endpoint_is_enough(self, persistent: bool) -> None:
        found = balancer(1)
        assert chosen(sticky(persistent=persistent), found).other([found.pools[0].name]) is found.pools[0]


def test_a_persistent_client_moves_only_when_its_endpoint_is_gone() -> None:
    pools, many = Pools(), upstream(5)
    found = pools.balancer(NAME, many)
    clients = [sticky(persistent=True) for _ in range(50)]
    chosen_first = [chosen(client, found).next().name for client in clients]
    homes = {client.key: name for client, name in zip(clients, chosen_first, strict=True)}
    fewer = pools.balancer(NAME, Upstream(many.endpoints[1:]))
    gone = "10.0.0.1:1000"
    assert gone in homes.values()
    for key, home in homes.items():
        held = sticky(key, persistent=True)
        now = chosen(held, fewer).next().name
        assert (now == home) is (home != gone)
        assert bool(held.told) is (home == gone)


class TestByLatency:
    def test_the_faster_of_two(self) -> None:
        found = balancer(2)
        now = monotonic()
        for pool, latency in zip(found.pools, (0.5, 0.1), strict=True):
            pool.latency, pool.latency_at = latency, now
        assert {chosen(ByLatency(), found).next() for _ in range(10)} == {found.pools[1]}
        assert chosen(ByLatency(), found).other([found.pools[1].name]) is found.pools[0]

    def test_the_slowest_of_many_is_never_chosen(self) -> None:
        found = balancer(4)
        now = monotonic()
        for pool in found.pools:
            pool.latency, pool.latency_at = 0.1, now
        found.pools[2].latency = 9.0
        shares = Counter(chosen(ByLatency(), found).next().port for _ in range(200))
        assert set(shares) == {1000, 1001, 1003}

    def test_a_new_one_begins_as_the_others_are(self) -> None:
        found = balancer(2)
        found.pools[0].latency, found.pools[0].latency_at = 0.4, monotonic()
        chosen(ByLatency(), found).next()
        assert found.pools[1].latency == pytest.approx(0.4)

    def test_what_is_seen_counts_and_survives_a_change_of_the_upstream(self) -> None:
        pools = Pools()
        found = pools.balancer(NAME, upstream(1))
        choice = ByLatency()
        pool = chosen(choice, found).next()
        pool.latency_at -= 30.0
        choice.since -= 2.0
        ended(choice, pool.name, choice.since + 0.5)
        assert pool.latency == pytest.approx(2.5 * (1 - 2.718281828**-3), rel=0.02)
        assert pools.balancer(NAME, upstream(2)).pools[0].latency == pool.latency

    def test_what_another_endpoint_did_is_not_put_down(self) -> None:
        found = balancer(2)
        choice = ByLatency()
        pool = chosen(choice, found).next()
        ended(choice, "10.9.9.9:1", 0.0)
        ended(ByLatency(), pool.name, 0.0)
        assert pool.latency == 0.0
