"""A client that speaks HTTP/2 frame by frame, so that it can do what no good client does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support.edge import HOST, no_verification

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Fields = Iterable[tuple[str | bytes, str | bytes]]


@dataclass
class Response:
    """What came on one stream. ``reset``: the code of a RST_STREAM; ``interim``: 1xx heads before the final one."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    interim: list[int] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status, 0 while there is none."""
        return int(self.headers.get(":status", "0"))

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.ended or self.reset is not None


class Client:
    """One connection. ``frames``: all that came; ``goaway``: codes of GOAWAY, in order; ``opens``: windows are opened
    as bodies come; ``answers``: PINGs are answered; ``closed``: the edge has ended the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.frames: list[Frame] = []
        self.responses: dict[int, Response] = {}
        self.goaway: list[GoAwayFrame] = []
        self.settings: dict[int, int] = {}
        self.acknowledged = 0
        self.opens = True
        self.answers = True
        self.closed = False
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._decoder.max_allowed_table_size = 4096
        self._block = b""
        self._sent: dict[int, int] = {}
        self._next = 1
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    # --- out ----------------------------------------------------------------------------------------------------

    def send(self, *frames: Frame | bytes) -> None:
        """Write frames, or bytes as they are."""
        self.writer.write(b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames))

    def begin(self, **settings: int) -> None:
        """The preface and SETTINGS (named as in ``SettingsFrame``)."""
        values = {getattr(SettingsFrame, name.upper()): value for name, value in settings.items()}
        self.send(PREFACE, SettingsFrame(0, settings=values))

    def head(
        self,
        method: str = "GET",
        path: str = "/",
        fields: Fields = (),
        *,
        name: str | None = HOST,
        scheme: str = "https",
        ended: bool = True,
        stream: int = 0,
    ) -> HeadersFrame:
        """The frame that opens a stream."""
        pairs: list[tuple[str | bytes, str | bytes]] = [(":method", method), (":scheme", scheme), (":path", path)]
        pairs += [(":authority", name)] if name is not None else []
        return self.headers([*pairs, *fields], ended=ended, stream=stream)

    def headers(self, fields: Fields, *, ended: bool = True, stream: int = 0) -> HeadersFrame:
        """A HEADERS frame with exactly these fields."""
        stream = stream or self.free()
        flags = ["END_HEADERS", "END_STREAM"] if ended else ["END_HEADERS"]
        return HeadersFrame(stream, self.encoder.encode(list(fields)), flags=flags)

    def pieces(self, head: HeadersFrame) -> list[Frame]:
        """A head that is too long for one frame, as HEADERS and CONTINUATIONs."""
        block = head.data
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        frames: list[Frame] = [HeadersFrame(head.stream_id, parts[0], flags=sorted(set(head.flags) - {"END_HEADERS"}))]
        frames += [ContinuationFrame(head.stream_id, part) for part in parts[1:]]
        frames[-1].flags.add("END_HEADERS")
        return frames

    def free(self) -> int:
        """The next stream that is not used."""
        self._next += 2
        return self._next - 2

    def request(self, method: str = "GET", path: str = "/", fields: Fields = (), *, body: bytes = b"") -> int:
        """Send a request and return its stream."""
        head = self.head(method, path, fields, ended=not body)
        self.send(head)
        if body:
            self.data(head.stream_id, body)
        return head.stream_id

    def data(self, stream: int, data: bytes, *, ended: bool = True) -> None:
        """Send a body without looking at windows."""
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)] or [b""]
        for at in (0, stream):
            self._sent[at] = self._sent.get(at, 0) + len(data)
        for number, piece in enumerate(pieces, 1):
            self.send(DataFrame(stream, piece, flags=["END_STREAM"] if ended and number == len(pieces) else []))

    def open(self, stream: int, size: int) -> None:
        """Open a window."""
        self.send(WindowUpdateFrame(stream, size))

    def window(self, stream: int) -> int:
        """How many bytes may be sent on a stream."""
        return min(self._window(0, 65535), self._window(stream, self.settings.get(4, 65535)))

    def _window(self, stream: int, initial: int) -> int:
        opened = (f for f in self.frames if isinstance(f, WindowUpdateFrame) and f.stream_id == stream)
        return initial + sum(f.window_increment for f in opened) - self._sent.get(stream, 0)

    # --- in -----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """Wait until ``condition`` holds."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def response(self, stream: int, timeout: float = 10) -> Response:
        """The whole response on a stream."""
        await self.until(lambda: self.closed or self.at(stream).over, timeout)
        return self.at(stream)

    async def ask(self, method: str = "GET", path: str = "/", fields: Fields = (), *, body: bytes = b"") -> Response:
        """Send a request and read its response."""
        return await self.response(self.request(method, path, fields, body=body))

    async def ended(self, timeout: float = 10) -> None:
        """Wait until the edge has ended the connection."""
        await self.until(lambda: self.closed, timeout)

    async def answers_ping(self) -> None:
        """Wait until all that was sent before has been looked at."""
        payload = len(self.frames).to_bytes(8)
        self.send(PingFrame(0, payload))
        await self.until(
            lambda: self.closed or any(isinstance(f, PingFrame) and f.opaque_data == payload for f in self.frames)
        )

    def at(self, stream: int) -> Response:
        """What came on a stream so far."""
        return self.responses.setdefault(stream, Response())

    @property
    def error(self) -> int | None:
        """The code of the last GOAWAY."""
        return self.goaway[-1].error_code if self.goaway else None

    async def _read(self) -> None:
        try:
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self.frames.append(frame)
                self._take(frame)
                self._changed.set()
        except (asyncio.IncompleteReadError, OSError, ssl.SSLError):
            pass
        finally:
            self.closed = True
            self._changed.set()

    def _take(self, frame: Frame) -> None:
        match frame:
            case SettingsFrame():
                self._settings(frame)
            case PingFrame() if self.answers and "ACK" not in frame.flags:
                self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
            case GoAwayFrame():
                self.goaway.append(frame)
            case RstStreamFrame():
                self.at(frame.stream_id).reset = frame.error_code
            case HeadersFrame() | ContinuationFrame():
                self._block += frame.data
                if "END_HEADERS" in frame.flags:
                    self._head(self.at(frame.stream_id))
                self._end(frame)
            case DataFrame():
                self.at(frame.stream_id).body += frame.data
                self._end(frame)
                if self.opens and frame.data:
                    self.send(
                        WindowUpdateFrame(0, len(frame.data)), WindowUpdateFrame(frame.stream_id, len(frame.data))
                    )

    def _settings(self, frame: SettingsFrame) -> None:
        if "ACK" in frame.flags:
            self.acknowledged += 1
        else:
            self.settings |= frame.settings
            self.send(SettingsFrame(0, flags=["ACK"]))

    def _head(self, response: Response) -> None:
        fields = dict(self._decoder.decode(self._block))
        self._block = b""
        if response.headers:
            response.trailers = fields
        elif fields[":status"].startswith("1"):
            response.interim.append(int(fields[":status"]))
        else:
            response.headers = fields

    def _end(self, frame: Frame) -> None:
        if "END_STREAM" in frame.flags:
            self.at(frame.stream_id).ended = True

    async def breathe(self) -> None:
        """Let the edge take what was sent, and say what it has to say."""
        with suppress(ConnectionError):
            await self.writer.drain()
        await asyncio.sleep(0)

    def pause(self) -> None:
        """Read nothing more."""
        self._task.cancel()

    def resume(self) -> None:
        """Read on."""
        self.closed = False
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        """End the connection."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


@asynccontextmanager
async def http2(
    port: int, *, tls: bool = True, name: str = HOST, greet: bool = True, **settings: int
) -> AsyncIterator[Client]:
    """A connection that has sent its preface (unless not ``greet``) with these ``settings``."""
    context = None
    if tls:
        context = no_verification()
        context.set_alpn_protocols(["h2"])
    server_name = name if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    if tls:
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    client = Client(reader, writer)
    if greet:
        client.begin(**settings)
    try:
        yield client
    finally:
        await client.close()
