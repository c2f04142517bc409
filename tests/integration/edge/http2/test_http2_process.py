"""``limen edge --h2c`` as it is run, and how it leaves while HTTP/2 is spoken."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.edges import edge_processes, endpoint
from tests.support.http2 import Client, http2
from tests.support.nats import NatsServer
from tests.support.snapshots import Publisher, host, upstream
from tests.support.waiting import eventually

HOST = "a.example.com"


async def ask(client: Client, path: str) -> int:
    """Send a request for the host; gives its stream."""
    frame = client.head("GET", path, name=HOST)
    client.send(frame)
    return frame.stream_id


async def test_a_stopping_edge_finishes_what_runs(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    async with endpoint("pod") as pod, edge_processes(tmp_path, nats.url, "e1", 1, "--h2c") as edge:
        await publisher.start(host(HOST), upstream("default/echo:80", pod.port))
        await edge.start_ready()
        assert (await edge.ask(HOST)).body == b"pod"
        async with http2(edge.port, tls=False) as busy, http2(edge.port, tls=False) as idle:
            assert (await idle.response(await ask(idle, "/"))).body == b"pod"
            slow = await ask(busy, "/slow")
            await eventually(lambda: pod.requests == 3)
            stopping = asyncio.create_task(edge.stop())
            await busy.until(lambda: len(busy.goaway) == 1)
            assert (busy.goaway[0].last_stream_id, busy.error) == ((1 << 31) - 1, 0)
            await busy.until(lambda: len(busy.goaway) == 2)
            assert busy.goaway[1].last_stream_id == slow
            pod.release.set()
            assert (await busy.response(slow)).body == b"pod"
            await busy.ended()
            await idle.ended()
            assert idle.error == 0
        assert await stopping == 0


async def test_without_the_flag_http2_is_not_spoken_in_the_clear(
    tmp_path: Path, nats: NatsServer, publisher: Publisher
) -> None:
    async with endpoint("pod") as pod, edge_processes(tmp_path, nats.url) as edge:
        await publisher.start(host(HOST), upstream("default/echo:80", pod.port))
        await edge.start_ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()  # the edge listens on until then
