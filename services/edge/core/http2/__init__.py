"""HTTP/2 (RFC 9113) and HPACK (RFC 7541) without I/O: bytes in, events out; commands in, bytes out.

    connection = ServerConnection(CLIENT_LIMITS)             # or ClientConnection(ENDPOINT_LIMITS)
    for event in connection.receive(data, now): ...          # see events.py; never raises for what a peer sent
    block = encode_response(200, [(b"content-type", b"text/plain")])
    waiting = connection.send_head(event.stream_id, block, b"body", ended=True)
    transport.write(connection.data_to_send())               # once per turn of the loop, for all streams

Both halves:

- ``receive(data: bytes, now: float) -> list[Event]``: everything that became known. ``now``: any clock of seconds that
  never runs back; it serves the limits.
- ``data_to_send() -> bytes``: all that is to be written; call it first after making the connection (the preface and
  SETTINGS are in it) and after each turn. ``queued: int``: how many bytes that would be: who cannot write must stop
  reading when it grows.
- ``send_head(stream_id, block, body=b"", ended=False) -> int``: a head that was encoded by ``encode_*``, with what
  there is of the body; ``ended``: that is all. ``send_data(stream_id, data, ended=False) -> int``;
  ``send_trailers(stream_id, block) -> int`` (ends the stream). Each returns how many bytes of this stream wait for the
  peer's window: pause the source above a mark, go on at WindowOpened.
- ``took(stream_id, length)``: the consumer passed these bytes on, the peer may send as many more. What a stream that is
  gone had not taken, the engine credits by itself. ``set_aside(stream_id, length)``: it keeps these bytes until then;
  only their stream waits for that, the others go on.
- ``waiting: int``: bytes of all streams that wait for the peer's windows; ``exhausted: bool``: it has none for any
  stream. ``forget()``: nothing is expected for a while, what is only remembered goes.
- ``reset(stream_id, code)``; ``ping(payload)``; ``announce_shutdown()``: GOAWAY that still takes what is under way;
  ``shutdown(code)``: GOAWAY that names the last stream, later ones are refused; ``open_streams: int``.
- ``closed: bool``: nothing more will happen: after ConnectionFailed.

Server: ``send_head`` may be used for 1xx heads before the final one (``ended=False`` and no body).
``reading_head: bool``: a head has begun and is not complete: for the caller's timeout. Client: ``request(block,
body=b"", ended=False, bodiless=False) -> int``: opens a stream and returns its id (``bodiless``: a HEAD request);
``capacity: int``: how many requests may be sent now; 0 for ever after GoAwayReceived.

Commands for a stream that is gone do nothing and return 0: the event that says so may not have been read yet.

Heads are encoded without a dynamic table, so an encoded block means the same on each connection and may be kept.
``encode_request(method, scheme, authority, path, fields)``, ``encode_response(status, fields)``,
``encode_fields(fields)`` (trailers): names in lower case. They refuse nothing: what goes in was checked by who received
it.
"""

from __future__ import annotations

from services.edge.core.http2.client import ClientConnection
from services.edge.core.http2.flow import MisuseError
from services.edge.core.http2.hpack_encoder import encode_field, encode_fields, encode_request, encode_response
from services.edge.core.http2.limits import CLIENT_LIMITS, ENDPOINT_LIMITS, Limits, Rate
from services.edge.core.http2.server import ServerConnection

__all__ = [
    "CLIENT_LIMITS",
    "ENDPOINT_LIMITS",
    "ClientConnection",
    "Limits",
    "MisuseError",
    "Rate",
    "ServerConnection",
    "encode_field",
    "encode_fields",
    "encode_request",
    "encode_response",
]
