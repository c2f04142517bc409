"""Where a request goes, as its route and its Upstream say: cookie before hash before latency, canaries in between."""

from __future__ import annotations

from proto.codec import record_of
from proto.policies import Affinity, Balancing, Canary, Policy
from proto.resources import Endpoint, Upstream
from services.edge.core.choices import ByHash, ByLatency, Choice, Sticky, upstream_id
from services.edge.core.course import Course, Onward
from services.edge.core.generation import Generation
from services.edge.core.outcomes import Ask
from services.edge.core.plan import Forward, plan
from tests.unit.edge.core.test_phases import asked, generation, policed, route

CANARY = "ns/next:80"
MAIN_ID, CANARY_ID = upstream_id(b"ns-web-80").decode(), upstream_id(b"ns-next-80").decode()


def table(
    *policies: Policy, main: Balancing | None = None, canary: Balancing | None = None, **said: object
) -> Generation:
    records = [
        record_of("ns/web:80", Upstream((Endpoint("10.0.0.1", 1),), balancing=main)),
        record_of(CANARY, Upstream((Endpoint("10.0.0.9", 1),), balancing=canary)),
    ]
    return generation(route(*policies), **said).next(records, [], 1, 2, bytes(32))


def forward(built: Generation, *lines: str, target: str = "/") -> Forward:
    course = Course(policed(built, target), asked(built, target, *lines))
    said = course.run()
    if isinstance(said, Ask):
        said = course.told(said, 99)
    assert isinstance(said, Onward)
    return said.forward


def choice(built: Generation, *lines: str, target: str = "/") -> Choice | None:
    return forward(built, *lines, target=target).choice


def is_plain(built: Generation) -> bool:
    found = asked(built)
    return isinstance(plan(found.host, b"/", found.question, 0), Forward)


def test_a_route_of_which_nobody_says_anything_is_plain() -> None:
    assert is_plain(table())
    assert is_plain(table(main=Balancing("round_robin"), load_balance="ewma"))
    assert is_plain(table(canary=Balancing("ewma")))


def test_the_hash_of_what_the_template_comes_to() -> None:
    built = table(main=Balancing(hash_by="$request_uri$http_x_tenant", group=2))
    found = choice(built, "X-Tenant: a", target="/p?q")
    assert found == ByHash(b"/p?qa", 2)
    assert forward(built).lane == ""


def test_latency_as_the_upstream_or_everybody_says() -> None:
    assert isinstance(choice(table(main=Balancing("ewma"))), ByLatency)
    assert isinstance(choice(table(load_balance="ewma")), ByLatency)
    assert isinstance(choice(table(main=Balancing(hash_by="$host"), load_balance="ewma")), ByHash)


def test_the_cookie_goes_before_all() -> None:
    found = choice(table(Affinity(), main=Balancing(hash_by="$host")), "Cookie: a=b; INGRESSCOOKIE=key|id")
    assert isinstance(found, Sticky)
    assert (found.key, found.held) == (b"key", True)
    new = choice(table(Affinity("stay")), "Cookie: INGRESSCOOKIE=key|id")
    assert isinstance(new, Sticky)
    assert (new.key, new.held) == (b"", False)


def test_a_change_of_how_endpoints_are_chosen_holds_with_the_next_generation() -> None:
    built = table()
    assert is_plain(built)
    body = Upstream((Endpoint("10.0.0.1", 1),), balancing=Balancing("ewma"))
    after = built.next([record_of("ns/web:80", body)], [], 1, 3, bytes(32))
    assert isinstance(choice(after), ByLatency)
    again = after.next([record_of("ns/web:80", Upstream((Endpoint("10.0.0.1", 1),)))], [], 1, 4, bytes(32))
    assert is_plain(again)


class TestCanaries:
    def test_who_holds_a_cookie_stays_where_it_was_made(self) -> None:
        built = table(Affinity(), Canary(CANARY, header="x-c"))
        here, there = f"Cookie: INGRESSCOOKIE=k|{MAIN_ID}", f"Cookie: INGRESSCOOKIE=k|{CANARY_ID}"
        assert forward(built, here, "X-C: always").upstream == "ns/web:80"
        assert forward(built, there, "X-C: never").upstream == CANARY
        assert forward(built, "Cookie: INGRESSCOOKIE=k|else", "X-C: always").upstream == CANARY
        assert isinstance(choice(built, there), Sticky)

    def test_the_old_behaviour_lets_nobody_stay_with_the_canary(self) -> None:
        built = table(Affinity(), Canary(CANARY, header="x-c", sticky=False))
        there = f"Cookie: INGRESSCOOKIE=k|{CANARY_ID}"
        assert forward(built, there).upstream == "ns/web:80"
        assert choice(built, there, "X-C: always") is None
        assert isinstance(choice(built, there), Sticky)

    def test_each_upstream_chooses_as_it_says(self) -> None:
        built = table(Canary(CANARY, header="x-c"), canary=Balancing(hash_by="$host"))
        assert choice(built) is None
        assert isinstance(choice(built, "X-C: always"), ByHash)
