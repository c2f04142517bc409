"""Passwords and the other guards of a route: what is asked, what is answered, and whose word counts."""

from __future__ import annotations

from base64 import b64encode

import pytest

from proto.codec import record_of
from proto.policies import BasicAuth, Moved, Policy, SatisfyAny, SourceRanges, SSLRedirect
from proto.resources import Credentials, Endpoint, Upstream, VirtualHost
from services.edge.core.course import Course, Onward
from services.edge.core.generation import Generation
from services.edge.core.outcomes import Answer, Ask, Check, Pass
from services.edge.core.policies.access import one_of
from services.edge.core.policies.passwords import Login, challenge, spoken
from tests.unit.edge.core.test_phases import HOST, asked, policed, route

HTTP = SSLRedirect(enabled=False, force=False)
BASIC = BasicAuth("ns/users", 'the "realm"')
HELD = Credentials(sealed_entries={"auth": b"sealed"})
ANN = "Authorization: Basic " + b64encode(b"ann:se:cret").decode()
REFUSED = Answer(401, lines=b'WWW-Authenticate: Basic realm="the \\"realm\\""\r\n')
HERE = SourceRanges(allow=("192.0.2.7/32",))
ELSEWHERE = SourceRanges(allow=("10.0.0.0/8",))


def course(*policies: Policy, lines: tuple[str, ...] = (), held: Credentials | None = HELD, port: int = 80) -> Course:
    records = [
        record_of(HOST, VirtualHost(HOST, routes=(route(HTTP, *policies),))),
        record_of("ns/web:80", Upstream((Endpoint("10.0.0.1", port),) if port else ())),
        *([record_of("ns/users", held)] if held is not None else ()),
    ]
    table = Generation.first(records, 1, 1, bytes(32))
    return Course(policed(table), asked(table, "/", *lines))


def told(at_work: Course, answer: bool | None) -> Answer | Ask | Onward:
    said = at_work.run()
    assert isinstance(said, Ask)
    assert said.question == Login("ns/users", HELD, False, b"ann", b"se:cret")
    return at_work.told(said, answer)


def test_without_a_password_it_is_asked_for() -> None:
    assert course(BASIC).run() == REFUSED


def test_a_password_is_judged_elsewhere_and_stays_here() -> None:
    passed = told(course(BASIC, lines=(ANN,)), True)
    assert isinstance(passed, Onward)
    assert [edit.removed for edit in passed.edits] == [frozenset({b"authorization"})]
    assert told(course(BASIC, lines=(ANN,)), False) == REFUSED
    assert told(course(BASIC, lines=(ANN,)), None) == Answer(503)


def test_the_request_knows_its_user() -> None:
    at_work = course(BASIC, lines=(ANN,))
    told(at_work, True)
    assert at_work.asked.user == b"ann"


def test_credentials_that_are_not_there_close_the_route() -> None:
    assert course(BASIC, lines=(ANN,), held=None).run() == Answer(503)


def test_redirects_and_missing_endpoints_come_before() -> None:
    moved = course(BASIC, Moved(302, "http://b.example")).run()
    assert isinstance(moved, Answer)
    assert moved.status == 302
    assert course(BASIC, port=0).run() == Answer(503)


def test_all_guards_have_to_agree() -> None:
    assert course(BASIC, ELSEWHERE, lines=(ANN,)).run() == Answer(403)
    assert course(BASIC, HERE).run() == REFUSED
    assert isinstance(told(course(BASIC, HERE, lines=(ANN,)), True), Onward)


def test_any_guard_is_enough_where_it_says_so() -> None:
    one = SatisfyAny()
    by_address = course(one, BASIC, HERE).run()
    assert isinstance(by_address, Onward)
    assert [edit.removed for edit in by_address.edits] == [frozenset({b"authorization"})]
    assert isinstance(told(course(one, BASIC, ELSEWHERE, lines=(ANN,)), True), Onward)
    assert told(course(one, BASIC, ELSEWHERE, lines=(ANN,)), False) == REFUSED, "401 goes before 403"
    assert told(course(one, BASIC, ELSEWHERE, lines=(ANN,)), None) == Answer(503)
    assert course(one, ELSEWHERE).run() == Answer(403)
    assert isinstance(course(one, HERE).run(), Onward)


def test_not_being_denied_is_not_being_let_pass() -> None:
    one, others = SatisfyAny(), SourceRanges(deny=("10.0.0.0/8",))
    assert course(one, BASIC, others).run() == REFUSED
    assert isinstance(course(one, others).run(), Onward)
    assert isinstance(told(course(one, BASIC, SourceRanges(deny=("192.0.2.7/32",)), lines=(ANN,)), True), Onward)


def test_guards_that_ask_again_and_again_are_followed() -> None:
    def twice(outcome: Answer | Pass | None) -> Check:
        return lambda _asked: Ask("first", lambda _answer: Ask("second", lambda _answer: outcome))

    at_work = course(BASIC)
    said = one_of([twice(Answer(403)), twice(None), twice(Answer(401)), twice(Answer(403))])(at_work.asked)
    for _ in range(8):
        assert isinstance(said, Ask)
        said = said.after(None)
    assert said == Answer(401)
    said = one_of([twice(Answer(403)), twice(Pass(target=b"/x")), twice(Answer(403))])(at_work.asked)
    for _ in range(4):
        assert isinstance(said, Ask)
        said = said.after(None)
    assert said == Pass(target=b"/x")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Basic " + b64encode(b"a:b"), (b"a", b"b")),
        (b"bAsIc   " + b64encode(b"a:") + b"  ", (b"a", b"")),
        (b"Basic " + b64encode(b"a:b").rstrip(b"="), (b"a", b"b")),
        (b"Basic " + b64encode(b"a:b:c"), (b"a", b"b:c")),
        (b"Basic " + b64encode(b":b"), None),
        (b"Basic " + b64encode(b"ab"), None),
        (b"Basic !!!", None),
        (b"Basic " + b64encode(b"a:b") + b", Basic " + b64encode(b"c:d"), None),
        (b"Bearer x", None),
        (b"Basic", None),
        (b"", None),
        (None, None),
    ],
)
def test_what_a_header_says(header: bytes | None, expected: tuple[bytes, bytes] | None) -> None:
    assert spoken(header) == expected


def test_the_realm_is_quoted() -> None:
    assert challenge("") == b'WWW-Authenticate: Basic realm=""\r\n'
    assert challenge('a\\b"c') == b'WWW-Authenticate: Basic realm="a\\\\b\\"c"\r\n'
