"""Snippets of nothing but header decoration, read as data; everything else is refused by its name."""

from __future__ import annotations

import pytest

from proto.policies import Decorations
from services.contract.annotations.registry import REGISTRY
from services.contract.annotations.snippets import INSTEAD, judge_snippet
from services.contract.annotations.values import MalformedError
from services.contract.configmap.registry import KEYS
from services.contract.decorations import MAX_SNIPPET, OtherDirectiveError, names_in, parse_decorations, together


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Decorations()),
        ("# nothing but words;\n", Decorations()),
        ('more_set_headers "Foo1: Bar1";', Decorations(put=(("Foo1", "Bar1"),))),
        ('more_set_headers "Custom-Header: $proxy_host"', Decorations(put=(("Custom-Header", "$proxy_host"),))),
        ("more_set_headers 'A: 1' B:2;", Decorations(put=(("A", "1"), ("B", "2")))),
        ('more_set_headers "A: 1";more_set_headers "a: 2";', Decorations(put=(("a", "2"),))),
        ('more_set_headers "Request-Id: $req_id";', Decorations(put=(("Request-Id", "$req_id"),))),
        (r'more_set_headers "A: \"b\" \d";', Decorations(put=(("A", r'"b" \d'),))),
        ('more_set_headers "Server:"; more_set_headers X-Gone;', Decorations(removed=("server", "x-gone"))),
        ('more_set_headers "X-A: 1"; more_clear_headers "X-*";', Decorations(removed=("x-*",))),
        (
            'more_clear_headers Server X-Powered-By; more_set_headers "Server: none";',
            Decorations(put=(("Server", "none"),), removed=("server", "x-powered-by")),
        ),
        (
            "add_header X-A ${host}; # said\nadd_header X-B 'b; {c}' always; add_header X-C '';",
            Decorations(added=(("X-A", "${host}"),), always=(("X-B", "b; {c}"),)),
        ),
    ],
)
def test_what_is_understood(text: str, meant: Decorations) -> None:
    assert parse_decorations(text) == meant


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("deny all;", "deny"),
        ('more_set_headers "A: 1"; deny all;', "deny"),
        ("location ~ ^/(x|\\d{2})$ { deny all; } # return;\nsatisfy any;", "location deny satisfy"),
        ("if ($host = a) { return 403; }", "if return"),
        ("proxy_set_header Authorization secret;", "proxy_set_header"),
        ("set $a 'deny all; {'; deny 'x", "set deny"),
        ("}", ""),
        (";", ""),
        ("more_set_headers_by_lua x;", "more_set_headers_by_lua"),
        ("More_Set_Headers 'A: 1';", "More_Set_Headers"),
        ('"more set" x;', ""),
        ("".join(f"a{number} x;" for number in range(20)), "a0 a1 a2 a3 a4 a5 a6 a7"),
    ],
)
def test_every_other_directive_is_named(text: str, directives: str) -> None:
    with pytest.raises(OtherDirectiveError) as error:
        parse_decorations(text)
    assert error.value.directives == tuple(directives.split())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('more_set_headers "A: 1"; deny all', "deny"),
        ("more_set_headers;", "without a header"),
        ('more_set_headers -s 404 "A: 1";', "with an option"),
        ('more_set_headers "A: 1\r\nB: 2";', "cannot be a header"),
        (r'more_set_headers "A: 1\nB: 2";', "cannot be a header"),
        ('more_set_headers "A B: 1";', "cannot be a header"),
        ('more_set_headers ": 1";', "cannot be a header"),
        ("more_set_headers 'A: é';", "cannot be a header"),
        ('more_set_headers "Content-Length: 0";', "how a message is framed"),
        ("more_clear_headers Transfer-Encoding;", "how a message is framed"),
        ("more_clear_headers '*';", "no name of a header"),
        ("more_clear_headers 'A*B';", "no name of a header"),
        ('more_set_headers "A: $nothing_known";', "no variable of nginx"),
        ('more_set_headers "A: $";', "without the name of a variable"),
        ("add_header A;", "other words"),
        ("add_header A 1 sometimes;", "other words"),
        ('more_set_headers "A: 1"; more_set_headers "A: {;', "quotes, braces or backslashes"),
        ('more_set_headers "A: 1"x;', "quotes, braces or backslashes"),
        ("more_set_headers A:{1};", "quotes, braces or backslashes"),
        ("#" * (MAX_SNIPPET + 1), "longer than"),
    ],
)
def test_what_is_not_wholly_understood_is_refused(text: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        parse_decorations(text)


def test_a_server_speaks_before_a_location_and_add_header_is_not_inherited_beside_another() -> None:
    outer = parse_decorations('more_set_headers "A: 1" "B: 1"; add_header O 1; add_header P 1 always;')
    inner = parse_decorations('more_set_headers "b: 2"; more_clear_headers A;')
    assert together(outer, inner) == Decorations((("b", "2"),), ("a",), (("O", "1"),), (("P", "1"),))
    assert together(outer, parse_decorations("add_header I 1;")).added == (("I", "1"),)
    assert together(outer, parse_decorations("add_header I 1;")).always == ()
    cleared = parse_decorations("more_clear_headers A;")
    assert together(cleared, parse_decorations('more_set_headers "A: 1";')) == Decorations((("A", "1"),), ("a",))


def test_what_is_left_out_is_named_and_so_is_what_does_the_same() -> None:
    text = 'more_set_headers "X-B: secret"; more_clear_headers server;'
    decorations, found = judge_snippet("configuration-snippet", text, allowed=False)
    assert decorations == Decorations()
    assert found is not None
    assert found.code == "snippet-left-out"
    assert "(X-B, server)" in found.message
    assert "custom-headers" in found.remedy
    assert "hide-headers" in found.remedy
    assert "secret" not in str(found)
    assert judge_snippet("x", text, allowed=True) == (parse_decorations(text), None)
    assert judge_snippet("x", "# nothing", allowed=False) == (Decorations(), None)
    assert names_in(parse_decorations("add_header A 1; more_clear_headers a;")) == ("A",)


def test_what_is_refused_is_told_where_else_it_stands() -> None:
    _, found = judge_snippet("configuration-snippet", "proxy_read_timeout 600;", allowed=True)
    assert found is not None
    assert found.code == "annotation-refused"
    assert found.remedy == "Remove it. Instead of proxy_read_timeout, the annotation proxy-read-timeout."
    _, found = judge_snippet("configuration-snippet", "set $x 1;", allowed=True)
    assert found is not None
    assert found.remedy.startswith("Remove it; look")


def test_what_is_named_instead_of_a_directive_is_there() -> None:
    words = {word.rstrip(",;") for text in INSTEAD.values() for word in text.split() if "-" in word}
    known = REGISTRY.keys() | KEYS.keys() | {"X-Forwarded-*"}
    assert words <= known
