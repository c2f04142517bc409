"""An edge's data plane with an origin behind it in a process of their own: what it costs can be told from the test's.

python -m tests.support.edge_process      # says its two ports on standard output, ends when standard input does
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import uvloop

from tests.support.edge import HOST, NO_HTTPS, edge, host, origin, route, settings, upstream
from tests.support.processes import REPOSITORY


class EdgeProcess:
    """A running one. ``http``, ``https``: its ports."""

    def __init__(self, process: Popen[bytes], told: dict[str, int]) -> None:
        self._process = process
        self.http = told["http"]
        self.https = told["https"]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Bytes that it has in memory."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@contextmanager
def edge_process(answer: int = 2, **settings_: Any) -> Iterator[EdgeProcess]:
    """A data plane with these settings for one host, for as long as the block runs. ``answer``: bytes of each response
    of its origin."""
    command = [sys.executable, "-m", "tests.support.edge_process", str(answer), json.dumps(settings_)]
    with Popen(command, stdin=PIPE, stdout=PIPE, cwd=REPOSITORY) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield EdgeProcess(process, json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(10)


async def _serve(answer: int, values: dict[str, Any]) -> None:
    records = (host(HOST, route(policies=NO_HTTPS)), settings(**values))
    response = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: %d\r\n\r\n%b" % (answer, b"o" * answer)
    async with origin(response) as web, edge(*records, upstream(web.port), h2c=True) as running:
        print(json.dumps({"http": running.http, "https": running.https}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), json.loads(sys.argv[2])))
