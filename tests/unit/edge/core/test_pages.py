"""The edge's own answers, byte by byte where it matters."""

from __future__ import annotations

import pytest

from services.edge.core import pages


def test_a_204_has_no_body_and_says_nothing_of_one() -> None:
    """RFC 9110 section 8.6: never a Content-Length."""
    answer = pages.page(204, date=b"now", persistent=True, bare=False)
    assert answer == b"HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: keep-alive\r\n\r\n"


@pytest.mark.parametrize("bare", [False, True])
def test_a_page_and_its_head(bare: bool) -> None:
    answer = pages.page(404, date=b"now", persistent=False, bare=bare)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(pages.body(404)) in head
    assert body == (b"" if bare else pages.body(404))


def test_nothing_leaves_the_line_of_a_location() -> None:
    answer = pages.page(
        302, location=b"https://a/\r\nSet-Cookie: a=b \xff\x00", date=b"now", persistent=True, bare=True
    )
    assert b"\r\nLocation: https://a/%0D%0ASet-Cookie:%20a=b%20%FF%00\r\n" in answer
    assert answer.count(b"\r\n") == 7
