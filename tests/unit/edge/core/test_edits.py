"""Edits of heads: what they change, and what no edit may touch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.edits import RequestEdit, edit_request, edit_response, line, request_edit, response_edit

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-A: 1\r\nx-a: 2\r\nB: 3\r\n\r\n"


def test_lines_are_put_replaced_and_removed_in_order() -> None:
    edits = [request_edit({b"X-A": b"9", b"C": b"4"}), request_edit({b"c": b"5"}, removed=[b"B"]), RequestEdit()]
    assert edit_request(HEAD, edits) == (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-A: 9\r\nc: 5\r\n\r\n")


def test_what_an_application_could_take_for_the_edges_word_goes_with_it() -> None:
    head = HEAD.replace(
        b"B: 3", b"Remote_User: root\r\nREMOTE.USER: root\r\nRemoteUser: 1\r\nX_B: 1\r\nRemote-User: me"
    )
    told = edit_request(head, [request_edit({b"Remote-User": b"guest"})])
    assert told == HEAD.replace(b"B: 3", b"RemoteUser: 1\r\nX_B: 1\r\nRemote-User: guest")
    assert edit_request(head, [request_edit(removed=[b"x-a"], host=b"h")]).count(b"root") == 2
    parameters = RequestEdit(lines=b"(REMOTE_USER): me\r\n")
    assert b"(REMOTE_USER): me\r\n" in edit_request(HEAD, [parameters, request_edit(removed=[b"Remote-User"])])


def test_an_empty_value_takes_a_header_out_as_in_nginx() -> None:
    assert b"X-A" not in edit_request(HEAD, [request_edit({b"x-a": b""})])


def test_the_host_has_a_field_of_its_own() -> None:
    head = edit_request(HEAD, [request_edit(host=b"b.svc:80")])
    assert head.startswith(b"GET / HTTP/1.1\r\nHost: b.svc:80\r\nContent-Length: 3\r\n")
    assert head.count(b"Host:") == 1


def test_framing_is_left_alone() -> None:
    edit = request_edit({b"Content-Length": b"0", b"HOST": b"evil"}, removed=[b"transfer-encoding", b"Content-Length"])
    assert edit_request(HEAD, [edit]) == HEAD
    edit2 = response_edit({b"Transfer-Encoding": b"x"}, removed=[b"Content-Length"], added=[(b"Connection", b"close")])
    assert edit_response(200, b"Content-Length: 3\r\n", [edit2]) == b"Content-Length: 3\r\n"


def test_responses_may_be_changed_line_by_line() -> None:
    edit = response_edit(
        {b"A": b"2"}, added=[(b"Set-Cookie", b"y")], change=lambda status, lines: b"%d:" % status + lines
    )
    assert edit_response(404, b"A: 1\r\nSet-Cookie: x\r\n", [edit]) == b"404:Set-Cookie: x\r\nA: 2\r\nSet-Cookie: y\r\n"


@given(st.binary())
def test_no_value_ends_its_line(value: bytes) -> None:
    made = line(b"X-A", value)
    assert made.endswith(b"\r\n")
    assert not set(made[:-2]) & set(b"\r\n\0\x7f")


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xe4"])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="not the name of a header"):
        line(name, b"1")
