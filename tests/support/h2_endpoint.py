"""An endpoint that speaks HTTP/2 through the ``h2`` library and does as it is told, also what no endpoint should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import h2.config
import h2.connection
import h2.events

from tests.support.edge import bound

Headers = list[tuple[str, str]]


class Link:
    """One connection. ``engine`` may be used to say anything; ``write`` also what h2 would not."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.engine = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self._writer = writer

    def flush(self) -> None:
        """Send what the engine has to say."""
        self.write(self.engine.data_to_send())

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    def close(self) -> None:
        """End the connection."""
        self._writer.close()

    def answer(self, stream_id: int, body: bytes = b"ok", *headers: tuple[str, str], status: str = "200") -> None:
        """A whole response."""
        self.engine.send_headers(stream_id, [(":status", status), *headers])
        self.engine.send_data(stream_id, body, end_stream=True)
        self.flush()


class Request:
    """A request as it came. ``body`` grows; ``number``: of the connection it came on."""

    def __init__(self, link: Link, stream_id: int, headers: dict[str, str], number: int) -> None:
        self.link = link
        self.stream_id = stream_id
        self.headers = headers
        self.body = b""
        self.reset = False
        self.number = number

    def answer(self, body: bytes = b"ok", *headers: tuple[str, str], status: str = "200") -> None:
        """A whole response to it."""
        self.link.answer(self.stream_id, body, *headers, status=status)


Act = Callable[[Request], Awaitable[None] | None]


class Endpoint:
    """``act`` is called for each request when it is complete, or (``early``) when its head came."""

    def __init__(self, act: Act, *, early: bool, takes: bool) -> None:
        self._act = act
        self._early = early
        self._takes = takes
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        link = Link(writer)
        link.engine.initiate_connection()
        link.flush()
        streams: dict[int, Request] = {}
        try:
            while data := await reader.read(65536):
                for event in link.engine.receive_data(data):
                    await self._on(event, link, streams)
                link.flush()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _on(self, event: h2.events.Event, link: Link, streams: dict[int, Request]) -> None:
        ready: Request | None = None
        if isinstance(event, h2.events.RequestReceived):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            made = streams[event.stream_id] = Request(link, event.stream_id, headers, self.connections)
            self.requests.append(made)
            ready = made if self._early else None
        elif isinstance(event, h2.events.DataReceived):
            streams[event.stream_id].body += event.data
            if self._takes:
                link.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            streams[event.stream_id].reset = True
        elif isinstance(event, h2.events.StreamEnded) and not self._early:
            ready = streams[event.stream_id]
        if ready is not None:
            done = self._act(ready)
            if done is not None:
                await done

    def close(self) -> None:
        """End every connection."""
        for writer in list(self._writers):
            with suppress(ConnectionError):
                writer.close()


@asynccontextmanager
async def endpoint(act: Act = Request.answer, *, early: bool = False, takes: bool = True) -> AsyncIterator[Endpoint]:
    """A running one on 127.0.0.1; ``takes``: it gives credit for bodies."""
    made = Endpoint(act, early=early, takes=takes)
    server = await asyncio.start_server(made.serve, sock=bound())
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.close()
