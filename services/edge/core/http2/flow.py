"""Everything that leaves: frames for the peer in the order of the commands, as far as the windows let them.

Owns the bytes to send, the peer's windows and what waits for them, and the window that the peer has of ours. Must not
know how streams begin, nor read frames.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from services.edge.core.http2.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    pack_header,
    rst_stream,
    window_update,
)
from services.edge.core.http2.hpack_encoder import NO_TABLE
from services.edge.core.http2.limits import Limits
from services.edge.core.http2.streams import Stream

_REMEMBERED_RESETS: Final = 256


class MisuseError(Exception):
    """The consumer gave an order that the protocol does not allow: a mistake in the program."""


class Flow:
    """See the module. ``streams``: those that are open, which Flow takes out when they end; ``frames``: HEADERS and
    DATA frames sent so far; ``waiting``: bytes for which the peer has no window; ``was_reset``: the last streams that
    were reset from here, whose peers may not know it yet."""

    __slots__ = (
        "_credit",
        "_half_connection",
        "_half_stream",
        "_parts",
        "_waiting",
        "frames",
        "initial_window",
        "max_frame",
        "receive_window",
        "send_window",
        "streams",
        "table_unwanted",
        "waiting",
        "was_reset",
    )

    def __init__(self, limits: Limits) -> None:
        self.streams: dict[int, Stream] = {}
        self._parts: list[bytes | memoryview] = []
        self._waiting: dict[int, Stream] = {}
        self.was_reset: dict[int, None] = {}
        self.frames = 0
        self.waiting = 0
        self.initial_window = DEFAULT_WINDOW
        self.send_window = DEFAULT_WINDOW
        self.max_frame = DEFAULT_FRAME
        self.table_unwanted = False
        self.receive_window = limits.connection_window
        self._credit = 0
        self._half_connection = limits.connection_window // 2
        self._half_stream = limits.stream_window // 2

    # --- what there is to send ------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """All that is to be written now."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    @property
    def queued(self) -> int:
        """How many bytes ``data_to_send`` would give."""
        return sum(map(len, self._parts))

    def control(self, frame: bytes) -> None:
        """A frame that no window holds back."""
        self._parts.append(frame)

    # --- commands for one stream ----------------------------------------------------------------------------------

    def send_head(self, stream_id: int, block: bytes, body: bytes = b"", ended: bool = False) -> int:
        """See the package. A head and a body that fits go out as one piece."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return 0
        if stream.local_ended or stream.queued:
            raise MisuseError(f"a head on stream {stream_id} after its end or amid its body")
        if self.table_unwanted:
            block = NO_TABLE + block
            self.table_unwanted = False
        size = len(block)
        if size > self.max_frame:
            return self._send_long_head(stream, block, body, ended)
        length = len(body)
        self.frames += 1
        if not length:
            self._parts += (
                pack_header(size << 8 | HEADERS, END_HEADERS | END_STREAM if ended else END_HEADERS, stream_id),
                block,
            )
        elif length <= self.send_window and length <= stream.send_window and length <= self.max_frame:
            self.send_window -= length
            stream.send_window -= length
            self.frames += 1
            self._parts += (
                pack_header(size << 8 | HEADERS, END_HEADERS, stream_id),
                block,
                pack_header(length << 8, END_STREAM if ended else 0, stream_id),
                body,
            )
        else:
            self._parts += (pack_header(size << 8 | HEADERS, END_HEADERS, stream_id), block)
            return self._queue(stream, body, ended)
        if ended:
            self._end(stream)
        return 0

    def send_data(self, stream_id: int, data: bytes, ended: bool = False) -> int:
        """See the package."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return 0
        length = len(data)
        if not length and not ended:
            return stream.queued
        if stream.local_ended:
            raise MisuseError(f"data on stream {stream_id} after its end")
        if not length:
            return self._end_data(stream)
        if stream.queued or length > self.send_window or length > stream.send_window or length > self.max_frame:
            return self._queue(stream, data, ended)
        self.send_window -= length
        stream.send_window -= length
        self.frames += 1
        self._parts += (pack_header(length << 8, END_STREAM if ended else 0, stream_id), data)
        if ended:
            self._end(stream)
        return 0

    def send_trailers(self, stream_id: int, block: bytes) -> int:
        """See the package."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return 0
        if stream.local_ended:
            raise MisuseError(f"trailers on stream {stream_id} after its end")
        if not block:
            return self._end_data(stream)
        if stream.queued:
            stream.local_ended = True
            stream.trailers = block
            return stream.queued
        return self.send_head(stream_id, block, ended=True)

    def took(self, stream_id: int, length: int) -> None:
        """See the package."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if length > stream.untaken:
            raise MisuseError(f"stream {stream_id} never got the {length} bytes that were taken")
        stream.untaken -= length
        if stream.aside:
            ahead = min(stream.aside, length)
            stream.aside -= ahead
            self.credit(length - ahead)
        else:
            self.credit(length)
        if not stream.remote_ended:
            stream.credit += length
            if stream.credit >= self._half_stream:
                self._parts.append(window_update(stream_id, stream.credit))
                stream.receive_window += stream.credit
                stream.credit = 0

    def set_aside(self, stream_id: int, length: int) -> None:
        """See the package."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.aside += length
            self.credit(length)

    def reset(self, stream_id: int, code: int) -> None:
        """See the package. What the peer still sends there is thrown away."""
        if stream_id in self.streams:
            self.refuse(stream_id, code)

    # --- for the connection ---------------------------------------------------------------------------------------

    def refuse(self, stream_id: int, code: int) -> None:
        """Reset a stream, also one that is not open."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.forget(stream)
        if len(self.was_reset) >= _REMEMBERED_RESETS:
            del self.was_reset[next(iter(self.was_reset))]
        self.was_reset[stream_id] = None
        self._parts.append(rst_stream(stream_id, code))

    def credit(self, length: int) -> None:
        """The peer may send ``length`` bytes more on the connection."""
        self._credit += length
        if self._credit >= self._half_connection:
            self._parts.append(window_update(0, self._credit))
            self.receive_window += self._credit
            self._credit = 0

    def forget(self, stream: Stream) -> None:
        """The stream is gone, with what waits on it and what nobody took of it."""
        del self.streams[stream.id]
        self._waiting.pop(stream.id, None)
        self.waiting -= stream.queued
        if stream.untaken:
            self.credit(stream.untaken - stream.aside)

    def open_connection(self, increment: int) -> list[int] | None:
        """The peer's window grows; the streams on which nothing waits any longer. None: it is too large."""
        if self.send_window + increment > MAX_WINDOW:
            return None
        self.send_window += increment
        return self._drain(list(self._waiting.values())) if self._waiting else []

    def open_stream(self, stream: Stream, increment: int) -> list[int] | None:
        """The same for one stream."""
        if stream.send_window + increment > MAX_WINDOW:
            return None
        stream.send_window += increment
        return self._drain([stream]) if stream.queued else []

    def set_initial_window(self, size: int) -> list[int] | None:
        """The peer's setting holds for streams that are open, too (RFC 9113 section 6.9.2)."""
        change = size - self.initial_window
        self.initial_window = size
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                return None
        return self._drain(list(self._waiting.values()))

    # --- what waits -----------------------------------------------------------------------------------------------

    def _end(self, stream: Stream) -> None:
        stream.local_ended = True
        if stream.remote_ended:
            self.forget(stream)

    def _end_data(self, stream: Stream) -> int:
        """An end without data, which needs no window."""
        if stream.queued:
            stream.local_ended = stream.ends_after_queue = True
            return stream.queued
        self.frames += 1
        self._parts.append(pack_header(DATA, END_STREAM, stream.id))
        self._end(stream)
        return 0

    def _send_long_head(self, stream: Stream, block: bytes, body: bytes, ended: bool) -> int:
        """A block that needs CONTINUATION frames."""
        kind, flags = HEADERS, END_STREAM if ended and not body else 0
        for at in range(0, len(block), self.max_frame):
            piece = block[at : at + self.max_frame]
            if at + self.max_frame >= len(block):
                flags |= END_HEADERS
            self._parts += (pack_header(len(piece) << 8 | kind, flags, stream.id), piece)
            kind, flags = CONTINUATION, 0
        self.frames += 1
        if body:
            return self.send_data(stream.id, body, ended)
        if ended:
            self._end(stream)
        return 0

    def _queue(self, stream: Stream, data: bytes, ended: bool) -> int:
        """Let ``data`` wait, and send what may go; returns what is left."""
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(data)
        stream.queued += len(data)
        self.waiting += len(data)
        stream.local_ended = stream.ends_after_queue = ended
        self._waiting[stream.id] = stream
        self._drain([stream])
        return stream.queued

    def _drain(self, streams: list[Stream]) -> list[int]:
        """Send what waits on ``streams``, a frame of each in turn; returns those on which nothing is left."""
        drained = []
        while streams and self.send_window > 0:
            still = []
            for stream in streams:
                if stream.send_window <= 0 or self.send_window <= 0:
                    continue
                self._send_piece(stream)
                if stream.queued:
                    still.append(stream)
                else:
                    drained.append(stream.id)
                    self._finish_queue(stream)
            streams = still
        return drained

    def _send_piece(self, stream: Stream) -> None:
        """One DATA frame of what waits on a stream."""
        queue = stream.queue
        assert queue is not None
        size = min(stream.send_window, self.send_window, self.max_frame)
        data = queue.popleft()
        if len(data) > size:
            view = memoryview(data)  # or a large piece would be copied again for each of its frames
            queue.appendleft(view[size:])
            data = view[:size]
        length = len(data)
        stream.queued -= length
        self.waiting -= length
        stream.send_window -= length
        self.send_window -= length
        self.frames += 1
        ends = stream.ends_after_queue and not stream.queued
        self._parts += (pack_header(length << 8 | DATA, END_STREAM if ends else 0, stream.id), data)

    def _finish_queue(self, stream: Stream) -> None:
        """Nothing waits on the stream any longer: now its trailers may go."""
        self._waiting.pop(stream.id, None)
        if stream.trailers:
            stream.local_ended = False
            self.send_head(stream.id, stream.trailers, ended=True)
        elif stream.local_ended:
            self._end(stream)
