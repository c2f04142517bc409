"""TLS records through memory: what goes out together."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import pytest

from proto.resources import Settings
from services.edge.certificates import self_signed
from services.edge.core.tls_options import tls_options
from services.edge.records import PIECE, Records
from services.edge.server_contexts import certificate_context


class Wire(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written.append(b"".join(pieces))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Server(Records):
    """The server's end over a Wire."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(asyncio.Protocol(), asyncio.get_running_loop(), Counter(), "tls")
        self._transport = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = certificate_context(*self_signed(), tls_options(Settings()), b"")
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def _settled(self) -> bool:
        return True

    def _refused(self, error: ssl.SSLError) -> None:
        raise error

    def hear(self, data: bytes) -> None:
        """Bytes of the client."""
        self.get_buffer(0)[: len(data)] = data
        self.buffer_updated(len(data))


class Client:
    """The other end."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def shake(self, server: Server, wire: Wire) -> None:
        """Shake hands."""
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            if self.outgoing.pending:
                server.hear(self.outgoing.read())
            self.incoming.write(b"".join(wire.written))
            wire.written.clear()


@pytest.mark.parametrize("size", [1, 1000, PIECE, PIECE + 1])
async def test_what_is_written_last_brings_the_goodbye(size: int) -> None:
    """In one write where it is not large; nothing follows it."""
    wire = Wire()
    server, client = Server(wire), Client()
    client.shake(server, wire)
    server.write_last(b"x" * size)
    server.close()
    server.write(b"too late")
    assert wire.closed
    assert len(wire.written) == (1 if size <= PIECE else 2)
    client.incoming.write(b"".join(wire.written))
    read = b""
    while data := client.tls.read(PIECE):  # an end without a goodbye would be an SSLError
        read += data
    assert read == b"x" * size
