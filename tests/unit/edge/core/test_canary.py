"""Which requests go to a canary: header, cookie, chance, in this order (contract vectors V34 and V35)."""

from __future__ import annotations

import pytest

from proto.codec import record_of
from proto.policies import BackendProtocol, Canary
from proto.resources import Endpoint, Upstream
from services.edge.core.course import Course, Onward
from services.edge.core.generation import Generation
from services.edge.core.outcomes import Ask
from services.edge.core.plan import Forward, Policed, plan
from services.edge.core.policies.balancing import Draw
from tests.unit.edge.core.test_phases import asked, generation, policed, route

CANARY = "ns/next:80"


def served(canary: Canary, *more: BackendProtocol, endpoints: int = 1) -> Generation:
    table = generation(route(canary, *more))
    found = Upstream(tuple(Endpoint("10.0.0.9", 1 + port) for port in range(endpoints)))
    return table.next([record_of(CANARY, found)], [], 1, 2, bytes(32))


def forward(table: Generation, *lines: str, drawn: int = 0) -> Forward:
    course = Course(policed(table), asked(table, "/", *lines))
    said = course.run()
    if isinstance(said, Ask):
        assert isinstance(said.question, Draw)
        said = course.told(said, drawn)
    assert isinstance(said, Onward)
    return said.forward


def goes(canary: Canary, *lines: str) -> bool:
    return forward(served(canary), *lines).upstream == CANARY


ALL = 100


@pytest.mark.parametrize(
    ("canary", "lines", "expected"),
    [
        (Canary(CANARY), [], False),
        (Canary(CANARY, ALL), [], True),
        (Canary(CANARY, ALL, header="x-c"), ["X-C: never"], False),
        (Canary(CANARY, header="x-c"), ["X-C: always"], True),
        (Canary(CANARY, header="x-c"), ["X-C: Always"], False),
        (Canary(CANARY, ALL, header="x-c"), ["X-C: else"], True),
        (Canary(CANARY, header="x-c", cookie="c"), ["X-C: never", "Cookie: c=always"], False),
        (Canary(CANARY, header="x-c", cookie="c"), ["X-C: else", "Cookie: a=b; c=always"], True),
        (Canary(CANARY, ALL, cookie="c"), ["Cookie: c=never"], False),
        (Canary(CANARY, ALL, cookie="c"), ["Cookie: c=else"], True),
        (Canary(CANARY, header="x-c", value="v1"), ["X-C: v1"], True),
        (Canary(CANARY, header="x-c", value="v1"), ["X-C: always"], False),
        (Canary(CANARY, ALL, header="x-c", value="v1"), ["X-C: never"], True),
        (Canary(CANARY, header="x-c", pattern="^v[12]$"), ["X-C: v2"], True),
        (Canary(CANARY, header="x-c", pattern="^v[12]$"), ["X-C: V2"], False),
        (Canary(CANARY, ALL, header="x-c", broken=True), ["X-C: v2"], False),
        (Canary(CANARY, ALL, header="x-c", broken=True), [], True),
        (Canary(CANARY, -5), [], False),
    ],
)
def test_what_decides(canary: Canary, lines: list[str], expected: bool) -> None:
    assert goes(canary, *lines) is expected


def test_chance_is_the_weight_of_the_total() -> None:
    table = served(Canary(CANARY, 250, 1000))
    said = Course(policed(table), asked(table, "/")).run()
    assert isinstance(said, Ask)
    assert said.question == Draw(1000)
    assert [forward(table, drawn=drawn).upstream == CANARY for drawn in (0, 249, 250, 999)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_canary_without_endpoints_takes_nothing() -> None:
    assert forward(served(Canary(CANARY, ALL), endpoints=0)).upstream == "ns/web:80"
    assert forward(generation(route(Canary(CANARY, ALL)))).upstream == "ns/web:80"


def test_lines_name_both_upstreams() -> None:
    labels = forward(served(Canary(CANARY, ALL))).labels
    assert (labels.service, labels.upstream, labels.alternative) == ("web", b"ns-web-80", b"ns-next-80")


def test_a_canary_is_spoken_to_as_its_path() -> None:
    table = served(Canary(CANARY, ALL), BackendProtocol("auto-http"))
    found = asked(table, "/", https=True)
    decision = plan(found.host, b"/", found.question, 0)
    assert isinstance(decision, Policed)
    course = Course(decision, found)
    said = course.run()
    assert isinstance(said, Ask)
    said = course.told(said, 0)
    assert isinstance(said, Onward)
    assert (said.forward.upstream, said.forward.proxying.transport.name) == (CANARY, "https")
    assert forward(table).proxying.transport.name == ""
