"""Paths: nginx's normal form, and the way back."""

from __future__ import annotations

import pytest

from services.contract.paths import as_bytes_text, escape_path, normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/", "/"),
        (b"/admin/x", "/admin/x"),
        (b"/%61dmin/x", "/admin/x"),
        (b"//admin/x", "/admin/x"),
        (b"///", "/"),
        (b"/./admin/x", "/admin/x"),
        (b"/public/%2e%2e/admin/x", "/admin/x"),
        (b"/public/..%2fadmin", "/admin"),
        (b"/a/b/..", "/a/"),
        (b"/a/b/.", "/a/b/"),
        (b"/a/..", "/"),
        (b"/a/...", "/a/..."),
        (b"/.hidden", "/.hidden"),
        (b"/a/.b/..c/d.", "/a/.b/..c/d."),
        (b"/a//../b", "/b"),
        (b"/admin;x=y/z", "/admin;x=y/z"),
        (b"/a%2525", "/a%25"),
        (b"/a%3fb%23c", "/a?b#c"),
        (b"/a\\..\\b", "/a\\..\\b"),
        (b"/a%5c..%5cb", "/a\\..\\b"),
        (b"/a%0d%0aX-Injected:%201", "/a\r\nX-Injected: 1"),
        (b"/caf%C3%A9", "/caf\xc3\xa9"),
        (b"/%c0%ae%c0%ae/admin", "/\xc0\xae\xc0\xae/admin"),
        (b"/\xff\xfe", "/\xff\xfe"),
        (b"/a+b", "/a+b"),
    ],
)
def test_normal_form(raw: bytes, expected: str) -> None:
    assert normalise(raw) == expected


@pytest.mark.parametrize(
    "raw", [b"", b"*", b"a/b", b"/a%", b"/a%4", b"/a%zz", b"/%00", b"/admin%00.html", b"/..", b"/a/../..", b"/%2e%2e/x"]
)
def test_refused_where_nginx_answers_400(raw: bytes) -> None:
    assert normalise(raw) is None


def test_rewritten_paths_are_escaped_as_nginx_does() -> None:
    assert escape_path("/a b?c#d%e\"<>\\^`{|}~\xc3\xa9\r\n&+;'") == (
        b"/a%20b%3Fc%23d%25e%22%3C%3E%5C%5E%60%7B%7C%7D~%C3%A9%0D%0A&+;'"
    )


def test_text_of_objects_takes_the_form_of_paths() -> None:
    assert as_bytes_text("/café") == normalise(b"/caf%C3%A9")
    assert as_bytes_text("/plain") == "/plain"
