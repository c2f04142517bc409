"""Lines taken out of heads: the quick way gives what looking at each line gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.edits import edit_request, edit_response, request_edit, response_edit, without

NAMES = ["Cookie", "cookie", "X-A", "x-a", "X-A-B", "A", "a", "X"]
VALUES = ["", " 1", " x-a: 2", "\tA:", " cookie:"]
fields = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=8)
names = st.frozensets(st.sampled_from([name.lower().encode() for name in NAMES]))


@given(fields, names)
def test_lines_go_by_their_names_alone(lines: list[tuple[str, str]], gone: frozenset[bytes]) -> None:
    text = [f"{name}:{value}\r\n".encode() for name, value in lines]
    kept = b"".join(one for one, (name, _) in zip(text, lines, strict=True) if name.lower().encode() not in gone)
    assert without(b"\r\n" + b"".join(text) + b"\r\n", gone) == kept
    assert edit_response(200, b"".join(text), [response_edit(removed=gone)]) == kept
    line = b"GET /a: HTTP/1.1\r\n"
    head = b"%bHost: h\r\n%b\r\n" % (line, b"".join(text))
    assert edit_request(head, [request_edit(removed=gone)]) == b"%bHost: h\r\n%b\r\n" % (line, kept)
    assert edit_request(head, [request_edit(host=b"i")]) == b"%bHost: i\r\n%b\r\n" % (line, b"".join(text))
