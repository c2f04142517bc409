"""CORS on a route: who may ask, what preflights are answered, and what every response says."""

from __future__ import annotations

import pytest

from proto.policies import CORS, Moved, Policy
from services.contract.annotations.cors import DEFAULT_HEADERS, DEFAULT_METHODS
from services.edge.core.course import Course, Onward
from services.edge.core.outcomes import Answer
from tests.unit.edge.core.test_phases import asked, generation, policed, route

ANY = CORS(("*",), DEFAULT_METHODS, DEFAULT_HEADERS)
SOME = CORS(("https://*.shop.example", "http://a.example:8080", "null"), "GET", "X-A", "X-B", False, 5)


def course(policy: Policy, *lines: str, method: str = "GET", more: tuple[Policy, ...] = ()) -> Course:
    table = generation(route(policy, *more))
    return Course(policed(table), asked(table, "/", *lines, method=method))


def test_any_origin_is_told_all_of_it_in_place_of_what_the_service_says() -> None:
    at_work = course(ANY)
    assert isinstance(at_work.run(), Onward)
    lines = at_work.dressed(401, b"access-control-allow-origin: http://x\r\nX-Other: y\r\n").split(b"\r\n")
    assert lines == [
        b"X-Other: y",
        b"Access-Control-Allow-Origin: *",
        b"Access-Control-Allow-Credentials: true",
        b"Access-Control-Allow-Methods: " + DEFAULT_METHODS.encode(),
        b"Access-Control-Allow-Headers: " + DEFAULT_HEADERS.encode(),
        b"Access-Control-Max-Age: 1728000",
        b"",
    ]


def test_a_preflight_is_answered_before_redirects() -> None:
    said = course(ANY, method="OPTIONS", more=(Moved(301, "http://b.example"),)).run()
    assert said == Answer(204, lines=b"Content-Type: text/plain charset=UTF-8\r\n", content=b"")


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://www.shop.example", True),
        ("HTTPS://WWW.SHOP.EXAMPLE", True),
        ("http://a.example:8080", True),
        ("null", True),
        ("https://shop.example", False),
        ("https://a.b.shop.example", False),
        ("https://wwwxshopxexample", False),
        ("http://a.example", False),
        ("http://a.example:80801", False),
        ("http://evil.example/?http://a.example:8080", False),
        ("http://a.example:8080, null", False),
        ("", False),
    ],
)
def test_a_listed_origin_is_compared_as_a_whole(origin: str, may: bool) -> None:
    lines = (f"Origin: {origin}",) if origin else ()
    told = course(SOME, *lines).dressed(200, b"Access-Control-Allow-Credentials: true\r\n")
    preflight = course(SOME, *lines, method="OPTIONS").run()
    if may:
        assert (
            told
            == (
                b"Access-Control-Allow-Credentials: true\r\n"
                b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Methods: GET\r\n"
                b"Access-Control-Allow-Headers: X-A\r\nAccess-Control-Expose-Headers: X-B\r\n"
                b"Access-Control-Max-Age: 5\r\n"
            )
            % origin.encode()
        )
        assert isinstance(preflight, Answer)
        assert preflight.status == 204
    else:
        assert told == b"Access-Control-Allow-Credentials: true\r\n"
        assert isinstance(preflight, Onward)


def test_without_a_single_origin_nobody_may_ask() -> None:
    nobody = CORS((), "GET", "X-A")
    assert isinstance(course(nobody, "Origin: https://a.example", method="OPTIONS").run(), Onward)
    assert course(nobody, "Origin: https://a.example").dressed(200, b"") == b""
