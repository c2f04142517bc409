"""Lists of addresses on a route: who passes, whose list holds, and what comes before."""

from __future__ import annotations

import pytest

from proto.policies import Moved, Policy, SourceRanges, SSLRedirect
from services.edge.core.course import Onward
from services.edge.core.networks import Networks
from services.edge.core.outcomes import Answer
from tests.unit.edge.core.test_phases import generation, route, run

HTTP = SSLRedirect(enabled=False, force=False)
BELIEVED = {"use_forwarded_headers": True}


def status(*policies: Policy, client: str = "192.0.2.7", **settings: object) -> int:
    """What a client at that address is answered; 200: it is passed on."""
    table = generation(route(HTTP, *policies), **BELIEVED, **settings)  # type: ignore[arg-type]
    said = run(table, "/", f"X-Forwarded-For: {client}")
    return said.status if isinstance(said, Answer) else 200


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("18.1.0.1", 403),
        ("18.4.0.1", 200),
        ("55.55.55.55", 200),
        ("10.10.10.10", 403),
        ("2001:db8::1", 200),
        ("2001:db9::1", 403),
        ("::ffff:18.4.0.1", 200),
        ("::ffff:18.1.0.1", 403),
    ],
)
def test_who_is_denied_is_looked_at_first_then_nobody_passes_who_is_not_allowed(client: str, expected: int) -> None:
    ranges = SourceRanges(("18.0.0.0/8", "55.0.0.0/8", "2001:db8::/32"), ("18.1.0.0/16", "56.0.0.0/8"))
    assert status(ranges, client=client) == expected


def test_without_an_allow_list_all_others_pass() -> None:
    assert status(SourceRanges(deny=("10.0.0.1/32",)), client="10.0.0.1") == 403
    assert status(SourceRanges(deny=("10.0.0.1/32",)), client="10.0.0.2") == 200


def test_a_routes_own_list_stands_in_place_of_the_global_one() -> None:
    everywhere = {"whitelist_source_range": ("10.0.0.0/8",), "denylist_source_range": ("10.9.0.0/16",)}
    assert status(client="192.0.2.7", **everywhere) == 403
    assert status(client="10.1.0.1", **everywhere) == 200
    assert status(client="10.9.0.1", **everywhere) == 403
    own = SourceRanges(allow=("192.0.2.0/24",))
    assert status(own, client="192.0.2.7", **everywhere) == 200
    assert status(own, client="10.1.0.1", **everywhere) == 403
    assert status(SourceRanges(deny=("192.0.2.0/24",)), client="10.9.0.1", **everywhere) == 200


def test_what_is_blocked_is_blocked_whatever_a_route_allows() -> None:
    assert status(SourceRanges(allow=("192.0.2.0/24",)), block_cidrs=("192.0.2.7",)) == 403
    assert status(block_cidrs=("192.0.2.8",)) == 200


def test_redirects_and_missing_endpoints_come_before() -> None:
    nobody = SourceRanges(allow=("10.0.0.0/8",))
    moved = run(generation(route(nobody, HTTP, Moved(301, "http://b.example"))))
    assert isinstance(moved, Answer)
    assert moved.status == 301
    assert run(generation(route(nobody, HTTP), endpoints=0)) == Answer(503)
    assert run(generation(route(nobody, HTTP))) == Answer(403)
    assert isinstance(run(generation(route(SourceRanges(("192.0.2.7/32",)), HTTP))), Onward)


def test_sets_of_networks() -> None:
    some = Networks(("10.0.0.0/8", "10.1.2.3", "fe80::/10", "0.0.0.0/0"))
    assert "1.2.3.4" in some
    assert "fe80::1" in some
    assert "::1" not in some
    assert "unix:" not in some
    assert "" not in some
    assert not Networks(())
    with pytest.raises(ValueError, match="nonsense"):
        Networks(("nonsense",))
