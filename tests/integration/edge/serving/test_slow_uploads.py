"""Many clients that upload slowly: what the edge keeps of them is bounded, and others are served as ever."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from services.edge import spool
from tests.support.edge import ask, connection, read_reply, request
from tests.support.edge_process import edge_process
from tests.support.waiting import eventually

CLIENTS = 300
DECLARED = 600_000
SENT = 500_000
ROOM = 24 * 1024 * 1024
"""What so many connections take besides: their buffers, and what the allocator does not give back."""


def in_files(process: int) -> int:
    """Bytes in files of a process that have no name."""
    total = 0
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(entry.readlink()).endswith("(deleted)"):
                total += entry.stat().st_size
    return total


async def test_many_slow_uploads_cost_bounded_memory() -> None:
    """150 MB have come, and are neither in memory nor with an endpoint; then some go on, and the others leave."""
    with edge_process() as running:
        assert (await ask(running.http)).status == 200
        before = running.memory
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            made = [await stack.enter_async_context(connection(running.http)) for _ in range(CLIENTS)]
            head = request("POST", "/", f"Content-Length: {DECLARED}")
            for at in range(0, SENT, 50_000):
                for _reader, writer in made:
                    writer.write(head + bytes(50_000) if not at else bytes(50_000))
                for _reader, writer in made:
                    await writer.drain()
            await eventually(lambda: in_files(running._process.pid) >= CLIENTS * SENT, what="all of it is read")
            grown = running.memory - before
            assert grown < spool.BUDGET + ROOM, f"{grown >> 20} MiB for {CLIENTS * SENT >> 20} MiB of bodies"
            assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 200
            for reader, writer in made[:20]:
                writer.write(bytes(DECLARED - SENT))
                assert (await read_reply(reader)).status == 200
            for _reader, writer in made[20:]:
                writer.transport.abort()
        await eventually(lambda: running.memory - before < spool.BUDGET + ROOM)
        assert running.alive
