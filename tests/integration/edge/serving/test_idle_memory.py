"""What connections that wait for nothing but the next request cost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.support.edge import HOST, connection, read_reply, request
from tests.support.edge_process import edge_process

CLIENTS = 100
ANSWER = 240_000
EACH = 96 * 1024
"""Bytes that a connection may keep after a response of ANSWER: OpenSSL's, ours, and the allocator's."""


async def test_a_large_response_over_tls_leaves_no_buffer_of_its_size() -> None:
    with edge_process(ANSWER) as running:
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            for _ in range(3):  # what the first ones need is not each connection's
                reader, writer = await stack.enter_async_context(connection(running.https, tls=HOST))
                writer.write(request())
                assert len((await read_reply(reader)).body) == ANSWER
            before = running.memory
            for _ in range(CLIENTS):
                reader, writer = await stack.enter_async_context(connection(running.https, tls=HOST))
                writer.write(request())
                assert len((await read_reply(reader)).body) == ANSWER
            each = (running.memory - before) // CLIENTS
            assert each < EACH, f"{each >> 10} KiB"
