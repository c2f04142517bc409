"""A gRPC service and its clients with the real ``grpcio``, without generated code: messages are plain bytes.

``Server`` runs in this process, on the test's own event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

SERVICE = "test.Echo"
OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))


class Echo:
    """What the service does. ``calls``: the metadata of each call; ``ended``: calls that are over."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.remaining: list[float | None] = []
        self.ended = 0
        self.peers: set[str] = set()
        self.received = 0
        self.port = 0
        self.go_on = asyncio.Event()

    def _note(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        self.calls.append(dict(context.invocation_metadata() or ()))
        self.remaining.append(context.time_remaining())
        self.peers.add(context.peer())
        context.add_done_callback(self._done)

    def _done(self, _context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        self.ended += 1

    async def unary(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """The request again, with metadata before and behind."""
        self._note(context)
        await context.send_initial_metadata((("begin", "here"),))
        context.set_trailing_metadata((("end", "there"), ("end-bin", b"\x00\xff")))
        return request

    async def fail(self, _request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """An error at once: trailers and nothing else."""
        self._note(context)
        context.set_trailing_metadata((("why", "because"),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: 100 %")
        raise AssertionError

    async def wait(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answers when it may."""
        self._note(context)
        await self.go_on.wait()
        return request

    async def count(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        """As many messages as asked for, of as many bytes."""
        self._note(context)
        number, size = map(int, request.split())
        for _ in range(number):
            yield bytes(size)

    async def collect(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """How many messages and bytes came."""
        self._note(context)
        number = size = 0
        async for request in requests:
            number += 1
            size += len(request)
            self.received = size
        return b"%d %d" % (number, size)

    async def talk(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """Each message again as soon as it came; an error for ``stop``."""
        self._note(context)
        async for request in requests:
            if request == b"stop":
                await context.abort(grpc.StatusCode.ABORTED, "stopped")
            yield request


@asynccontextmanager
async def grpc_server(
    echo: Echo, credentials: grpc.ServerCredentials | None = None, port: int = 0
) -> AsyncIterator[Echo]:
    """``echo`` served on 127.0.0.1, in the clear or by TLS."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)))
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(echo.unary),
        "Fail": grpc.unary_unary_rpc_method_handler(echo.fail),
        "Wait": grpc.unary_unary_rpc_method_handler(echo.wait),
        "Count": grpc.unary_stream_rpc_method_handler(echo.count),
        "Collect": grpc.stream_unary_rpc_method_handler(echo.collect),
        "Talk": grpc.stream_stream_rpc_method_handler(echo.talk),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    address = f"127.0.0.1:{port}"
    echo.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield echo
    finally:
        await server.stop(0)


@asynccontextmanager
async def grpc_client(port: int, authority: str, root: bytes = b"") -> AsyncIterator[grpc.aio.Channel]:
    """A channel to an edge; ``root``: the authority (PEM) of its certificate, empty: in the clear."""
    if root:
        options = (*OPTIONS, ("grpc.ssl_target_name_override", authority))
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(root), options=options)
    else:
        options = (*OPTIONS, ("grpc.default_authority", authority))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
    try:
        yield channel
    finally:
        await channel.close()
