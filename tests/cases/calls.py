"""gRPC in the cases: a pod that answers calls after a while, and a client with the real ``grpcio``."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tests.cases.pods import Pod
from tests.support.h2_endpoint import Endpoint, Request

if TYPE_CHECKING:
    from tests.cases.world import World

SERVICE = "grpcbin-delay"
_DELAY = "x-seconds"
_EMPTY = bytes(5)
"""One message without content."""


class CallPod(Pod):
    """Answers each call with an empty message after as many seconds as it asks for."""

    async def start(self) -> Pod:
        self._endpoint = Endpoint(self._act, early=False, takes=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._endpoint.serve, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._endpoint.close()
        for task in self._tasks:
            task.cancel()

    def _act(self, seen: Request) -> None:
        self._tasks.add(asyncio.create_task(self._answer_later(seen)))

    async def _answer_later(self, seen: Request) -> None:
        await asyncio.sleep(float(seen.headers[_DELAY]))
        engine = seen.link.engine
        engine.send_headers(seen.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        engine.send_data(seen.stream_id, _EMPTY)
        engine.send_headers(seen.stream_id, [("grpc-status", "0")], end_stream=True)
        seen.link.flush()


async def call(world: World, wanted: dict[str, Any], seconds: float) -> grpc.StatusCode:
    """How a call went whose answer is to take so long, by TLS or in the clear, as the case says."""
    options = [("grpc.default_authority", wanted["host"]), ("grpc.enable_retries", 0)]
    if wanted["scheme"] == "http":
        opening = grpc.aio.insecure_channel(f"127.0.0.1:{world.ports['http']}", options=options)
    else:
        port = world.ports["https"]
        certificate = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        credentials = grpc.ssl_channel_credentials(certificate.encode())
        options.append(("grpc.ssl_target_name_override", "ingress.local"))
        opening = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
    async with opening as channel:
        calling = channel.unary_unary(wanted["path"] + "/Call")(b"", metadata=((_DELAY, str(seconds)),))
        return await calling.code()
