"""The same requests by way of nginx and of an edge, and the same lines in both logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.resources import Settings
from tests.integration.edge.observing.test_access_log import logged
from tests.support.edge import HOST, Seen, ask, read_body, request
from tests.support.nginx import nginx, quoted
from tests.support.waiting import eventually

VARIABLES = re.findall(
    r"\w+",
    """
    remote_addr remote_user request request_method request_uri args is_args query_string uri document_uri
    scheme host server_protocol status body_bytes_sent request_length http_referer http_user_agent
    http_x_none http_x_two http_cookie cookie_a cookie_none arg_x arg_none content_length content_type
    upstream_response_length upstream_status https proxy_add_x_forwarded_for sent_http_x_answer
    upstream_http_x_answer upstream_cookie_k
""",
)
"""Those whose values both must agree on."""

REQUESTS = (
    request("GET", "/"),
    request("GET", "/a/../b//c%20d?x=1&X=2&y", 'Referer: http://r/?a="b"', "User-Agent: t\\1 \xe9\tz"),
    request("GET", "/?", "Cookie: a=1; b=2", "X-Forwarded-For: 1.2.3.4"),
    request("GET", "/%e2%82%ac/%22%5c", "Cookie: A=9", "X-Two:  spaced  "),
    request("POST", "/p?x=", "Content-Type: text/plain", "Authorization: Basic dXNlcjpwYXNz", body=b"hello"),
    request("HEAD", "/h", "Authorization: Basic bm90aGluZw==", "User-Agent:"),
    request("GET", "/missing", "Authorization: Bearer x"),
    request("GET", "/", version="1.0"),
)
ANSWER = b'Date: now\r\nX-Answer: of "it"\r\nSet-Cookie: k=v; Path=/\r\nContent-Type: text/html\r\n'


async def _answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_body(seen, reader)
    status = b"404 Not Found" if b"/missing" in seen.line else b"200 OK"
    body = b"" if seen.line.startswith(b"HEAD") else b"answer"
    writer.write(b"HTTP/1.1 %b\r\n%bContent-Length: 6\r\n\r\n%b" % (status, ANSWER, body))


def _forms() -> Iterator[tuple[str, str]]:
    for way in ("default", "json", "none"):
        yield way, "\t".join(f"{name}=${name}" for name in VARIABLES)
    yield "default", re.sub(r"\$(\w*(?:time|proxy|req_id)\w*|upstream_addr)", "x", Settings().log_format_upstream)


@pytest.mark.parametrize(("way", "form"), tuple(_forms()), ids=["default", "json", "none", "upstreaminfo"])
async def test_the_lines_are_the_same(tmp_path: Path, way: str, form: str) -> None:
    escapes = {"log_format_escape_json": way == "json", "log_format_escape_none": way == "none"}
    async with logged(tmp_path / "ours", answer=_answer, log_format_upstream=form, **escapes) as there:
        servers = f"""log_format it escape={way} {quoted(form)};
        upstream them {{ server 127.0.0.1:{there.site.port}; keepalive 4; }}
        server {{ listen 127.0.0.1:PORT; server_name {HOST}; access_log {tmp_path}/theirs it;
          location / {{ proxy_pass http://them; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; }} }}"""
        with nginx(tmp_path / "nginx", servers) as port:
            for sent in REQUESTS:
                for proxy in (port, there.edge.http):
                    await ask(proxy, sent, bodiless=sent.startswith(b"HEAD"))
            ours = await there.lines(len(REQUESTS))
            theirs = tmp_path / "theirs"
            await eventually(lambda: theirs.read_bytes().count(b"\n") >= len(REQUESTS))
            for mine, other in zip(ours, theirs.read_text("latin-1").splitlines(), strict=True):
                assert mine.split("\t") == other.split("\t")
