"""A collector that takes no further calls on a connection, and leaves the closing of it to us."""

from __future__ import annotations

import asyncio
from typing import cast

from services.edge.core.http2 import CLIENT_LIMITS, ServerConnection, encode_fields, encode_response
from services.edge.core.http2.events import DataReceived
from services.edge.tracing.collector import Address, Collector
from tests.support.waiting import eventually


class Leaving(asyncio.Protocol):
    """Answers one call with ``ok`` and says that it goes."""

    open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Leaving.open += 1
        self.transport = cast(asyncio.Transport, transport)
        self.engine = ServerConnection(CLIENT_LIMITS)

    def data_received(self, data: bytes) -> None:
        for event in self.engine.receive(data, 0.0):
            if isinstance(event, DataReceived) and event.ended:
                self.engine.send_head(event.stream_id, encode_response(200, ()))
                self.engine.send_data(event.stream_id, b"\0\0\0\0\2ok")
                self.engine.send_trailers(event.stream_id, encode_fields(((b"grpc-status", b"0"),)))
                self.engine.shutdown()
        self.transport.write(self.engine.data_to_send())

    def connection_lost(self, _error: Exception | None) -> None:
        Leaving.open -= 1


async def test_a_connection_that_takes_no_further_call_is_closed() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Leaving, "127.0.0.1", 0)
    collector = Collector(loop, Address("127.0.0.1", server.sockets[0].getsockname()[1]))
    try:
        for _ in range(3):
            assert await collector.call(b"spans", 5.0) == b"ok"
        await eventually(lambda: Leaving.open == 1)
    finally:
        collector.close()
        server.close()
    await eventually(lambda: Leaving.open == 0)
