"""Pools: work for one change or one request does not grow with the number of endpoints."""

from __future__ import annotations

from proto.resources import Endpoint, Upstream
from services.edge.pools import Pools


class Looked(dict[str, object]):
    """Balancers, counting how often all of them are gone through."""

    times = 0

    def values(self):  # type: ignore[no-untyped-def]
        """All of them."""
        self.times += 1
        return super().values()


def upstream(*addresses: str) -> Upstream:
    """An Upstream with these endpoints."""
    return Upstream(tuple(Endpoint(address, 80) for address in addresses))


def test_a_change_of_one_upstream_looks_at_no_other() -> None:
    pools = Pools()
    for number in range(50):
        pools.balancer(f"u{number}", upstream(f"10.0.0.{number}", "10.1.1.1"))
    pools.balancers = looked = Looked(pools.balancers)  # type: ignore[assignment]
    shared = pools.balancers["u1"].pools[1]
    pools.balancer("u0", upstream("10.0.0.99"))
    assert looked.times == 0
    assert not shared.retired


def test_a_pool_is_retired_when_the_last_balancer_lets_it_go_and_made_anew_when_named_again() -> None:
    pools = Pools()
    first = pools.balancer("a", upstream("10.0.0.1")).pools[0]
    assert pools.balancer("b", upstream("10.0.0.1")).pools[0] is first
    pools.balancer("a", upstream())
    assert not first.retired
    pools.follow({"a": upstream()}.get)
    assert first.retired
    again = pools.balancer("a", upstream("10.0.0.1")).pools[0]
    assert again is not first
    assert not again.retired


def test_names_that_resolve_anew_let_their_old_addresses_go() -> None:
    pools = Pools()
    named = Upstream((Endpoint("web.example", 80),), dns=True)
    assert pools.balancer("n", named).pools == []
    pools.resolved("web.example", ("10.0.0.1", "10.0.0.2"))
    before = pools.balancer("n", named).pools
    assert [pool.address for pool in before] == ["10.0.0.1", "10.0.0.2"]
    pools.resolved("web.example", ("10.0.0.2",))
    after = pools.balancer("n", named).pools
    assert [pool.address for pool in after] == ["10.0.0.2"]
    assert before[0].retired
    assert after[0] is before[1], "an address that stays keeps its connections"


def test_endpoints_of_other_zones_are_left_out_where_there_are_some_of_ours() -> None:
    ends = tuple(Endpoint(f"10.0.0.{number}", 80) for number in (1, 2, 3))
    hinted = Upstream(ends, zones=(("a",), ("b", "a"), ("c",)))
    for zone, expected in (("a", (0, 1)), ("c", (2,)), ("d", (0, 1, 2)), ("", (0, 1, 2))):
        pools = Pools()
        pools.zone = zone
        found = [pool.address for pool in pools.balancer("x", hinted).pools]
        assert found == [ends[number].address for number in expected], zone
    pools = Pools()
    pools.zone = "a"
    assert len(pools.balancer("x", Upstream(ends)).pools) == 3
