"""The conformance suite of HTTP/2, as a client of a real edge: over TLS, and in the clear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.edge import NO_HTTPS, edge, host, origin, route, upstream
from tests.support.go_tools import require_tool

MODULE, VERSION = "github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible"
CASES = 145
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + 20 * b"x"
ELSEWHERE = {"Sends invalid connection preface"}
"""In the clear the port speaks HTTP/1.1 too: what is no preface is a bad request of that, and is answered as one."""


async def failures(port: int, folder: Path, *flags: str) -> tuple[int, set[str]]:
    """(number of cases, those that failed)."""
    program = require_tool(MODULE, VERSION)
    report = folder / "report.xml"
    command = [str(program), "-p", str(port), "-o", "5", "-j", str(report), *flags]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(120):
        await process.wait()
    cases = ElementTree.parse(report).getroot().findall(".//testcase")
    bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return len(cases), {case.get("classname", "") for case in bad}


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "h2c"])
async def test_every_case_passes(tls: bool, tmp_path: Path) -> None:
    everywhere = host("", route(policies=NO_HTTPS))
    async with origin(ANSWER) as web, edge(everywhere, upstream(web.port), h2c=True) as running:
        flags = ("-t", "-k") if tls else ()
        count, bad = await failures(running.https if tls else running.http, tmp_path, *flags)
    assert count == CASES
    assert bad == (set() if tls else ELSEWHERE)
