"""Heads between endpoints and clients: what is added, hidden, replaced, and in which version endpoints are asked."""

from __future__ import annotations

import pytest

from proto.policies import CORS, CustomHeaders, EndpointResponse, Policy, RequestHop
from services.edge.core.course import Course, Onward
from services.edge.core.edits import edit_request, edit_response
from services.edge.core.own_lines import own_lines
from services.edge.core.plan import Forward, plan
from tests.unit.edge.core.test_phases import asked, generation, policed, route


def course(*policies: Policy, lines: tuple[str, ...] = (), https: bool = False, **settings: object) -> Course:
    table = generation(route(*policies), **settings)
    return Course(policed(table), asked(table, "/", *lines, https=https))


def passed_on(lines: bytes, *policies: Policy, **settings: object) -> bytes:
    at_work = course(*policies, **settings)
    assert isinstance(at_work.run(), Onward)
    return edit_response(200, lines, at_work.of_endpoint())


def sent(*policies: Policy, lines: tuple[str, ...] = (), **settings: object) -> bytes:
    """The head for an endpoint, as far as edits make it."""
    said = course(*policies, lines=lines, **settings).run()
    assert isinstance(said, Onward)
    return edit_request(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Real-IP: 192.0.2.7\r\n\r\n", said.edits)


def test_without_any_of_it_a_route_is_a_plain_one() -> None:
    table = generation(route(), proxy_redirect_from="/a", proxy_redirect_to="off", proxy_http_version="1.1")
    found = asked(table)
    assert isinstance(plan(found.host, b"/", found.question, 0), Forward)


def test_headers_for_all_stand_in_place_of_endpoints_own_and_an_ingress_has_the_last_word() -> None:
    headers = (("X-A", "for all"), ("X-B", "$host and $request_method"))
    custom = CustomHeaders((("X-A", "$host"),))
    assert passed_on(b"x-b: theirs\r\nX-C: theirs\r\n", custom, add_headers=headers) == (
        b"X-C: theirs\r\nX-B: a.example and GET\r\nX-A: $host\r\n"
    )


def test_answers_before_any_route_have_the_headers_for_all_that_need_no_request() -> None:
    table = generation(route(), add_headers=(("X-A", "for all"), ("X-B", "$host")), hsts=False)
    assert own_lines(table, tls=False) == own_lines(table, tls=True) == b"X-A: for all\r\n"


def test_cors_stands_behind_what_is_for_all() -> None:
    headers = (("Access-Control-Allow-Origin", "https://a.example"),)
    told = passed_on(b"", CORS(("*",), "GET", "X-A"), add_headers=headers)
    assert told.count(b"Access-Control-Allow-Origin") == 1
    assert b"Access-Control-Allow-Origin: *\r\n" in told


def test_hidden_headers_are_endpoints_own() -> None:
    at_work = course(hide_headers=("X-Powered-By", "location"))
    assert edit_response(200, b"x-powered-by: y\r\nLocation: /\r\nX-A: b\r\n", at_work.of_endpoint()) == b"X-A: b\r\n"
    assert at_work.dressed(308, b"Location: /\r\n") == b"Location: /\r\n"


REDIRECT = EndpointResponse("http://in.example/", "https://out.example/")


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        (REDIRECT, b"Location: http://in.example/x", b"Location: https://out.example/x"),
        (REDIRECT, b"location: http://in.example/", b"location: https://out.example/"),
        (REDIRECT, b"Location: http://in.example.evil/x", b"Location: http://in.example.evil/x"),
        (REDIRECT, b"Location: /http://in.example/", b"Location: /http://in.example/"),
        (REDIRECT, b"Refresh: 3; URL=http://in.example/y", b"Refresh: 3; URL=https://out.example/y"),
        (REDIRECT, b"Refresh: 3", b"Refresh: 3"),
        (REDIRECT, b"X-Location: http://in.example/x", b"X-Location: http://in.example/x"),
        (EndpointResponse("/in/", "/out/"), b"Location: /in/x", b"Location: http://a.example/out/x"),
        (EndpointResponse("/in/", "off"), b"Location: /in/x", b"Location: /in/x"),
        (EndpointResponse(redirect_to="/own/"), b"Location: /all/x", b"Location: http://a.example/own/x"),
    ],
)
def test_redirects_of_endpoints(policy: EndpointResponse, before: bytes, after: bytes) -> None:
    settings = {"proxy_redirect_from": "/all/", "proxy_redirect_to": "/there/", "hide_headers": ("X-None",)}
    assert passed_on(before + b"\r\n", policy, **settings) == after + b"\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a=b; Domain=in.example; Path=/in/x", b"a=b; Domain=out.example; Path=/out/x"),
        (b"a=b;domain=.IN.example", b"a=b;domain=.out.example"),
        (b"a=b; Domain=sub.in.example", b"a=b; Domain=sub.in.example"),
        (b"a=b; Domain=in.example.org", b"a=b; Domain=in.example.org"),
        (b"a=b; Path=/other/in/", b"a=b; Path=/other/in/"),
        (b"Path=/in/; Secure", b"Path=/in/; Secure"),
        (b"a=b; path = /in/ ; Domain = in.example ; Secure", b"a=b; path = /out/ ; Domain = out.example ; Secure"),
    ],
)
def test_cookies_of_endpoints(before: bytes, after: bytes) -> None:
    policy = EndpointResponse(cookie_domain=("in.example", ".out.example"), cookie_path=("/in/", "/out/"))
    lines = b"Set-Cookie: one=1\r\nSet-Cookie: %b\r\n"
    assert passed_on(lines % before, policy) == lines % after


def test_an_ingress_switches_off_what_is_for_all() -> None:
    settings = {"proxy_cookie_path": ("/in/", "/out/"), "hide_headers": ("X-None",)}
    line = b"Set-Cookie: a=b; Path=/in/x\r\n"
    assert passed_on(line, **settings) == b"Set-Cookie: a=b; Path=/out/x\r\n"
    assert passed_on(line, EndpointResponse(cookie_path=()), **settings) == line


def test_headers_that_endpoints_get() -> None:
    headers = (("Host", "in.$host"), ("X-Real-IP", ""), ("X-Way", "$request_method"))
    head = sent(proxy_set_headers=headers)
    assert head == b"GET / HTTP/1.1\r\nHost: in.a.example\r\nX-Way: GET\r\n\r\n"


def test_the_version_and_the_connection_header_of_endpoints() -> None:
    assert sent(RequestHop("1.0", "close")).startswith(b"GET / HTTP/1.0\r\n")
    assert b"\r\nConnection: close\r\n" in sent(RequestHop("1.0", "close"))
    assert sent(RequestHop(connection="keep-alive"), proxy_http_version="1.0").startswith(b"GET / HTTP/1.0\r\n")
    table = generation(route(RequestHop("1.1")), proxy_http_version="1.0")
    found = asked(table)
    assert isinstance(plan(found.host, b"/", found.question, 0), Forward)


def test_bodies_for_endpoints_that_know_no_chunks_are_collected() -> None:
    table = generation(route(RequestHop("1.0")), proxy_request_buffering=False)
    action = policed(table).action
    assert isinstance(action, Forward)
    assert action.proxying.request_buffering
