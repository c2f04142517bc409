"""The table of phases: its order, and what a request's course through it comes to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from proto.codec import record_of
from proto.policies import CustomErrors, Moved, Policy, RedirectForm, Rewrite, SSLRedirect, UpstreamHost
from proto.resources import Endpoint, PathMatch, ResourceRecord, Route, Settings, Upstream, VirtualHost
from proto.resources import Forward as ForwardAction
from services.contract.regex import RegexTimeoutError
from services.edge.core import phases
from services.edge.core.asked import Asked, Machine
from services.edge.core.course import Course, Onward
from services.edge.core.edits import request_edit, response_edit
from services.edge.core.forwarded import client_facts
from services.edge.core.generation import Generation
from services.edge.core.link import NO_LINK
from services.edge.core.outcomes import Answer, Ask, Check, Outcome, Pass
from services.edge.core.phases import PHASES, Phase
from services.edge.core.plan import NO_LABELS, Forward, Policed, Redirect, Respond, plan
from services.edge.core.prepared import prepare
from services.edge.core.request_head import read_block

HOST = "a.example"


def route(*policies: Policy, path: str = "/", fallback: str = "") -> Route:
    return Route(PathMatch("prefix", path), ForwardAction("ns/web:80", fallback), policies, "ns/i", path)


def generation(*routes: Route, endpoints: int = 1, **settings: object) -> Generation:
    records: list[ResourceRecord] = [
        record_of(HOST, VirtualHost(HOST, routes=routes)),
        record_of("ns/web:80", Upstream(tuple(Endpoint("10.0.0.1", 1 + port) for port in range(endpoints)))),
        record_of("global", Settings(**settings)),  # type: ignore[arg-type]
    ]
    return Generation.first(records, 1, 1, bytes(32))


def asked(table: Generation, target: str = "/", *lines: str, https: bool = False, method: str = "GET") -> Asked:
    """A request as policies see it."""
    block = "".join(f"{line}\r\n" for line in (f"Host: {HOST}", *lines))
    headers = read_block(f"\r\n{block}\r\n".encode("latin-1"), 0, 1, False)
    assert headers is not None
    facts = client_facts("192.0.2.7", 443 if https else 8080, https)
    prepared = prepare(facts, headers, table, None)
    route_plan = prepared.standing.host.routes.find("/")
    labels = getattr(route_plan, "labels", NO_LABELS)
    return Asked(
        method.encode(),
        target.encode(),
        prepared,
        labels,
        facts,
        NO_LINK,
        Machine("box", 7, "1.2"),
        minor=1,
        request_id=b"id",
        started=0.0,
    )


def policed(table: Generation, target: str = "/", *, length: int = 0) -> Policed:
    """The decision for a request of a route with policies."""
    found = asked(table, target)
    decision = plan(found.host, target.encode(), found.question, length)
    assert isinstance(decision, Policed)
    return decision


def run(table: Generation, target: str = "/", *lines: str, https: bool = False) -> Answer | Ask | Onward:
    return Course(policed(table, target), asked(table, target, *lines, https=https)).run()


def test_phases_stand_in_the_contracts_order() -> None:
    """Section 1.7: who answers first. A new phase goes to its place here too."""
    settled = [phase.name for phase in PHASES if phase.compile is None]
    server = ["blocked", "client-certificate", "health", "www", "host-denied", "app-root", "body-size"]
    assert settled == [*server, "denied", "mirror"]
    order = [phase.name for phase in PHASES]
    for earlier, later in pairwise(ORDER):
        assert order.index(earlier) < order.index(later)
    assert len(set(order)) == len(order)
    assert all(phase.doc for phase in PHASES)


ORDER = (
    "trace",
    "denied",
    "cors",
    "moved",
    "rewrite",
    "https",
    "endpoints",
    "rates",
    "at-once",
    "claimed",
    "addresses",
    "password",
    "external",
    "any-guard",
    "original-uri",
    "forwarded-prefix",
    "upstream-host",
)


def test_routes_without_policies_keep_their_ready_decision() -> None:
    table = generation(route(SSLRedirect(False, False)), route(Rewrite("/r/(.*)", "/$1"), path="/r"))
    found = asked(table)
    assert isinstance(plan(found.host, b"/x", found.question, 0), Forward)
    assert isinstance(plan(found.host, b"/r/x", found.question, 0), Forward)
    assert found.host.routes.find("/x").ready.__class__ is Forward  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("policies", "answer"),
    [
        ((Moved(302, "http://b.example"), Rewrite("/(.*)", "http://c.example/$1"), SSLRedirect(force=True)), 302),
        ((Rewrite("/(.*)", "http://c.example/$1"), SSLRedirect(force=True), UpstreamHost("x")), 302),
        ((SSLRedirect(force=True), UpstreamHost("x")), 308),
        ((UpstreamHost("x"),), 503),
    ],
)
def test_the_first_phase_that_answers_wins(policies: tuple[Policy, ...], answer: int) -> None:
    said = run(generation(route(*policies), endpoints=0), "/p")
    assert isinstance(said, Answer)
    assert said.status == answer
    wanted = {302: b"http://b.example" if isinstance(policies[0], Moved) else b"http://c.example/p"}
    assert said.location == wanted.get(answer, b"https://a.example/p" if answer == 308 else b"")


def test_what_is_too_large_is_refused_before_anything_of_the_route_and_dressed_as_its_answers_are() -> None:
    table = generation(route(Moved(301, "http://b.example")), proxy_body_size=10)
    too_large = policed(table, length=11)
    assert Course(too_large, asked(table)).run() == Answer(413)


@pytest.mark.parametrize(
    ("policy", "form", "answer"),
    [
        (Moved(301, "/new"), (), Answer(301, b"http://a.example/new")),
        (Moved(301, "/new"), (RedirectForm(relative=True),), Answer(301, b"/new")),
        (Moved(301, "/new"), (RedirectForm(port=True),), Answer(301, b"http://a.example:8080/new")),
        (Moved(308, "https://b.example/?a=b"), (RedirectForm(port=True),), Answer(308, b"https://b.example/?a=b")),
        (Moved(304, "/n"), (), Answer(304, lines=b"Content-Type: text/html\r\n", content=b"/n")),
    ],
)
def test_redirects_of_routes(policy: Moved, form: tuple[Policy, ...], answer: Answer) -> None:
    assert run(generation(route(policy, *form)), "/old?x=1") == answer


@pytest.mark.parametrize(
    ("form", "location"),
    [
        ((), b"https://a.example/p?x=/"),
        ((RedirectForm(keeps_slash=True),), b"https://a.example/p?x=/"),
        ((RedirectForm(port=True, keeps_slash=False),), b"https://a.example:443/p?x="),
    ],
)
def test_the_form_of_redirects_to_https(form: tuple[Policy, ...], location: bytes) -> None:
    table = generation(route(SSLRedirect(force=True), *form), preserve_trailing_slash=True)
    found = asked(table)
    decision = plan(found.host, b"/p?x=/", found.question, 0)
    assert isinstance(decision, Redirect)
    assert decision.location == location


def test_the_slash_that_a_prefix_lacks_is_added_in_the_same_form() -> None:
    for form, location in (((), b"http://a.example/foo/?q"), ((RedirectForm(True, True),), b"/foo/?q")):
        table = generation(route(SSLRedirect(False), *form, path="/foo/"))
        found = asked(table)
        decision = plan(found.host, b"/foo?q", found.question, 0)
        assert isinstance(decision, Redirect)
        assert (decision.status, decision.location) == (301, location)


def test_what_endpoints_are_told() -> None:
    table = generation(
        route(
            Rewrite("/(a|b)/(.*)", "/$2", "/base/$1"),
            UpstreamHost("$service_name.$namespace.svc:$service_port"),
            SSLRedirect(False),
        ),
        proxy_add_original_uri_header=True,
    )
    said = run(table, "/b/c%20d?e=f")
    assert isinstance(said, Onward)
    assert said.forward.target == b"/c%20d?e=f"
    assert [(edit.host, edit.lines) for edit in said.edits] == [
        (b"", b"X-Original-URI: /b/c%20d?e=f\r\n"),
        (b"", b"X-Forwarded-Prefix: /base/b\r\n"),
        (b"web.ns.svc:80", b""),
    ]


def test_which_errors_are_replaced_and_by_whom() -> None:
    own = policed(generation(route(CustomErrors((404,), None, "ns/sorry:")), custom_http_errors=(503,))).errors
    assert own is not None
    assert isinstance(own.backend, Forward)
    assert (own.statuses, own.endpoints, own.backend.upstream) == (frozenset({404}), True, "ns/sorry:")
    shared = policed(generation(route(CustomErrors(endpoints=False)), custom_http_errors=(503,))).errors
    assert shared is not None
    assert isinstance(shared.backend, Respond)
    assert (shared.statuses, shared.endpoints, shared.backend.status) == (frozenset({503}), False, 404)


def with_phase(monkeypatch: pytest.MonkeyPatch, check: Check) -> Generation:
    """A generation whose routes have one more phase, before all others."""
    compiled: Callable[[phases.Context], Check] = lambda _context: check  # noqa: E731
    monkeypatch.setattr(phases, "PHASES", (Phase("test", "of this test", compiled), *PHASES))
    return generation(route(SSLRedirect(False)))


def test_questions_are_asked_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def check(_asked: Asked) -> Outcome:
        return Ask("first", lambda answer: Ask(f"second after {answer}", last))

    def last(answer: str) -> Outcome:
        edit = request_edit({b"X-User": answer.encode()}, removed=[b"Authorization"])
        return Pass(request=edit, response=response_edit({b"X-Late": b"1"}), at_end=lambda: ended.append("over"))

    table = with_phase(monkeypatch, check)
    course = Course(policed(table), asked(table))
    first = course.run()
    assert isinstance(first, Ask)
    second = course.told(first, "a")
    assert isinstance(second, Ask)
    assert (first.question, second.question, course.phase) == ("first", "second after a", "test")
    onward = course.told(second, "b")
    assert isinstance(onward, Onward)
    assert onward.edits[0].removed == {b"x-user", b"authorization"}
    assert course.dressed(200, b"X-Late: 0\r\nB: 1\r\n") == b"B: 1\r\nX-Late: 1\r\n"
    for callback in course.at_end:
        callback()
    assert ended == ["over"]


def test_a_pattern_that_takes_too_long_is_answered_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_asked: Asked) -> Outcome:
        raise RegexTimeoutError

    table = with_phase(monkeypatch, check)
    assert Course(policed(table), asked(table)).run() == Answer(500)


def test_a_policy_that_cannot_be_compiled_closes_its_route_alone() -> None:
    table = generation(route(UpstreamHost("$ 1")), route(UpstreamHost("fine"), path="/fine"))
    found = asked(table)
    closed = plan(found.host, b"/", found.question, 0)
    assert isinstance(closed, Respond)
    assert closed.status == 503
    assert isinstance(plan(found.host, b"/fine", found.question, 0), Policed)
