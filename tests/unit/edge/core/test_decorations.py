"""What snippets say of heads of responses, done: taken out, put instead, added beside, by status, with variables."""

from __future__ import annotations

from proto.policies import CORS, CustomHeaders, Policy
from services.contract.decorations import parse_decorations
from services.edge.core.edits import edit_response
from tests.unit.edge.core.test_head_policies import course

PAGE = b"Server: theirs\r\nX-A: theirs\r\nX-Powered-By: PHP\r\nContent-Type: text/html\r\nContent-Length: 3\r\n"


def dressed(text: str, *more: Policy, status: int = 200, lines: bytes = PAGE, **settings: object) -> bytes:
    at_work = course(*more, parse_decorations(text), **settings)
    at_work.run()
    return edit_response(status, lines, at_work.of_endpoint())


def test_headers_are_put_instead_and_taken_out() -> None:
    text = 'more_set_headers "x-a: $host" "Server: none"; more_clear_headers x-powered-by;'
    assert dressed(text) == b"Content-Type: text/html\r\nContent-Length: 3\r\nx-a: a.example\r\nServer: none\r\n"


def test_names_with_a_star_spare_what_frames_the_message_its_type_and_what_is_put() -> None:
    text = 'more_clear_headers "X-*" "Content-*"; more_set_headers "X-New: 1";'
    kept = b"Server: theirs\r\nContent-Type: text/html\r\nContent-Length: 3\r\nX-New: 1\r\n"
    assert dressed(text, lines=PAGE + b"Content-Language: de\r\n") == kept
    assert b"Content-Type" not in dressed("more_clear_headers Content-Type;")


def test_headers_are_added_to_what_succeeds_or_everywhere() -> None:
    text = "add_header X-A ours; add_header X-B $request_method always;"
    assert dressed(text).endswith(b"Content-Length: 3\r\nX-B: GET\r\nX-A: ours\r\n")
    assert dressed(text, status=404).endswith(b"Content-Length: 3\r\nX-B: GET\r\n")
    assert dressed(text, status=500).count(b"X-A: ") == 1


def test_a_variable_without_a_value_is_no_header() -> None:
    assert dressed('more_set_headers "X-A: $http_none"; add_header X-B $http_none always;') == PAGE.replace(
        b"X-A: theirs\r\n", b""
    )


def test_snippets_speak_last_and_hold_for_answers_of_the_edge_too() -> None:
    text = 'more_set_headers "X-C: snippet" "Access-Control-Allow-Origin: none";'
    told = dressed(text, CustomHeaders((("X-C", "map"),)), CORS(("*",), "GET", "X-A"))
    assert told.count(b"X-C: ") == told.count(b"Access-Control-Allow-Origin: ") == 1
    assert b"X-C: snippet\r\n" in told
    assert b"Access-Control-Allow-Origin: none\r\n" in told
    at_work = course(parse_decorations(text))
    at_work.run()
    assert at_work.dressed(404, b"") == b"X-C: snippet\r\nAccess-Control-Allow-Origin: none\r\n"
