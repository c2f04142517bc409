"""Clients that people use: curl, nghttp and h2load, each where it is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.support.edge import HOST, NO_HTTPS, Edge, edge, host, origin, route, settings, upstream

PLAIN = host(HOST, route(policies=NO_HTTPS))
CURL = ("-sk", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-H", f"Host: {HOST}")


async def run(*command: str) -> str:
    """What a program says. Skips the test where it is missing."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        return (await process.communicate())[0].decode()


def secure(running: Edge) -> str:
    return f"https://127.0.0.1:{running.https}/"


async def test_curl(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(200_000))
    async with origin() as web, edge(PLAIN, upstream(web.port), h2c=True) as running:
        plain = f"http://127.0.0.1:{running.http}/"
        assert await run("curl", *CURL, secure(running)) == "2 200"
        assert await run("curl", *CURL, "--http1.1", secure(running)) == "1.1 200"
        assert await run("curl", *CURL, "--http2-prior-knowledge", plain) == "2 200"
        assert await run("curl", *CURL, plain) == "1.1 200"
        assert await run("curl", *CURL, "--data-binary", f"@{body}", secure(running)) == "2 200"
    assert len(web.seen[-1].body) == 200_000


async def test_curl_gets_an_answer_that_does_not_wait_for_its_body(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(3_000_000))
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        for _ in range(3):
            assert await run("curl", *CURL, "--data-binary", f"@{body}", secure(running)) == "2 413"


async def test_an_upgrade_to_http2_is_not_taken_up() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port), h2c=True) as running:
        assert await run("curl", *CURL, "--http2", f"http://127.0.0.1:{running.http}/") == "1.1 200"
    assert web.seen[0].values("Upgrade") == web.seen[0].values("HTTP2-Settings") == []


async def test_nghttp() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        said = await run("nghttp", "-v", "-H", f":authority: {HOST}", "-m", "20", secure(running))
    assert len(re.findall(r":status: 200", said)) == 20
    assert len(web.seen) == 20


async def test_h2load() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port), settings(keep_alive_requests=100)) as running:
        said = await run("h2load", "-n500", "-c4", "-m16", "-H", f":authority: {HOST}", secure(running))
    assert "500 succeeded, 0 failed" in said
    assert "500 2xx" in said
