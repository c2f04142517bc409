"""What both halves do with what they read: frames, header blocks, bodies.

Owns one connection's reading side; settings, windows and where patience ends are its base's. Must not know which half
it is where the halves differ: how streams begin and what their heads are is theirs (server.py, client.py).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from services.edge.core.http2 import frames
from services.edge.core.http2.blocks import Block, unpad
from services.edge.core.http2.control import Control
from services.edge.core.http2.errors import (
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ConnectionFaultError,
    StreamFaultError,
    bad_size,
    misplaced,
)
from services.edge.core.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    StreamReset,
    TrailersReceived,
)
from services.edge.core.http2.frame_reader import FrameReader
from services.edge.core.http2.head_reader import HeadReader
from services.edge.core.http2.limits import Limits
from services.edge.core.http2.streams import Stream


class Connection(Control):
    """See the package for what consumers use."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.closed = False
        self._limits = limits
        self._reader = HeadReader(limits)
        self._frames = FrameReader()
        self._handlers = _ONLY_SETTINGS
        self._block: Block | None = None
        flow = self._flow
        self.data_to_send = flow.data_to_send
        self.send_head = flow.send_head
        self.send_data = flow.send_data
        self.send_trailers = flow.send_trailers
        self.took = flow.took
        self.set_aside = flow.set_aside
        self.reset = flow.reset

    # --- for consumers --------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many bytes ``data_to_send`` would give."""
        return self._flow.queued

    def forget(self) -> None:
        """Remember nothing but what the protocol demands: nothing comes for now."""
        self._reader.forget()

    @property
    def waiting(self) -> int:
        """How many bytes wait for the peer's windows."""
        return self._flow.waiting

    @property
    def exhausted(self) -> bool:
        """Whether the peer has no window for any stream."""
        return self._flow.send_window <= 0

    @property
    def open_streams(self) -> int:
        """How many streams have not come to their end."""
        return len(self._streams)

    @property
    def reading_head(self) -> bool:
        """A head has begun and is not complete."""
        return self._block is not None

    def ping(self, payload: bytes) -> None:
        """Ask for a PingAnswered with these eight bytes."""
        self._flow.control(frames.ping(payload))

    def shutdown(self, code: int = NO_ERROR) -> None:
        """GOAWAY with the last stream that was taken; later ones are refused."""
        self._flow.control(frames.goaway(self._last_stream_id(), code))

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See the package."""
        events: list[Event] = []
        self._events = events
        if self.closed:
            return events
        self._now = now
        try:
            self._read(data)
        except ConnectionFaultError as fault:
            self.closed = True
            self._streams.clear()
            self._frames.clear()
            self._flow.control(frames.goaway(self._last_stream_id(), fault.code, fault.reason))
            events.append(ConnectionFailed(fault.code, fault.reason))
        return events

    # --- where the halves differ ----------------------------------------------------------------------------------

    @abstractmethod
    def _head(self, stream_id: int, block: bytes, ended: bool) -> None:
        """A header block on a stream is complete."""

    @abstractmethod
    def _last_stream_id(self) -> int:
        """The last stream of the peer that was looked at."""

    # --- frames ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        for kind, flags, stream_id, payload in self._frames.feed(data):
            try:
                if kind < _TYPES:
                    self._handlers[kind](self, flags, stream_id, payload)
                else:
                    self._unknown()
            except StreamFaultError as fault:
                self._reset_for(stream_id, fault)

    def _unknown(self) -> None:
        """Frames of other types are ignored, though not amid a header block (RFC 9113 sections 4.1 and 5.5)."""
        if self._handlers is not _ANY:
            raise misplaced("interleaved" if self._block is not None else "no-settings")
        self._spend(self._budgets.idle_frames, "unknown-frames")

    def _reset_for(self, stream_id: int, fault: StreamFaultError) -> None:
        """The peer was wrong on one stream. Resets that peers provoke are as good an attack as those that they send."""
        self._flow.refuse(stream_id, fault.code)
        self._events.append(StreamReset(stream_id, fault.code, False, fault.reason))
        if self._acknowledged or fault.code != REFUSED_STREAM:  # who has not read our settings may ask for too much
            self._spend(self._budgets.resets_sent, "resets-provoked")

    def _gone(self, stream_id: int, reason: str) -> None:
        """A frame for a stream that is not open: fine if its reset is on the way to the peer, else a fault."""
        if self._is_idle(stream_id):
            raise misplaced(f"{reason}-on-idle-stream")
        if stream_id not in self._flow.was_reset:
            raise StreamFaultError(STREAM_CLOSED, f"{reason}-on-closed-stream")

    # --- bodies ---------------------------------------------------------------------------------------------------

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        length = len(payload)
        flow = self._flow
        stream = self._streams.get(stream_id)
        if length > flow.receive_window:
            raise ConnectionFaultError(FLOW_CONTROL_ERROR, "connection-window")
        flow.receive_window -= length
        if flags & frames.PADDED:
            payload = unpad(payload)
        ended = bool(flags & frames.END_STREAM)
        if not payload and not ended:
            self._spend(self._budgets.empty_data, "empty-data")
        if stream is None or stream.remote_ended or not stream.headed or length > stream.receive_window:
            flow.credit(length)
            self._unwanted_data(stream, stream_id, ended)
            return
        if stream.expected >= 0:
            stream.expected -= len(payload)
            if stream.expected < 0 or (ended and stream.expected):
                flow.credit(length)
                raise StreamFaultError(PROTOCOL_ERROR, "content-length-differs")
        stream.receive_window -= length
        stream.untaken += length
        self._events.append(DataReceived(stream_id, payload, length, ended))
        if ended:
            self._remote_end(stream)

    def _unwanted_data(self, stream: Stream | None, stream_id: int, ended: bool) -> None:
        """Data of which nothing is handed on; the connection's window has been taken care of."""
        if stream is None:
            if not stream_id:
                raise misplaced("data-on-stream-0")
            self._gone(stream_id, "data")
        elif stream.remote_ended:
            raise StreamFaultError(STREAM_CLOSED, "data-after-end")
        elif stream.headed:
            raise StreamFaultError(FLOW_CONTROL_ERROR, "stream-window")
        elif not stream.discarded:
            raise StreamFaultError(PROTOCOL_ERROR, "data-before-head")
        elif ended:
            self._remote_end(stream)

    def _remote_end(self, stream: Stream) -> None:
        stream.remote_ended = True
        if stream.local_ended and not stream.queued:
            self._flow.forget(stream)

    def _trailers(self, stream: Stream, block: bytes, ended: bool) -> None:
        """A block after a head: the fields that end the message."""
        if stream.remote_ended:
            self._reader.skip(block)
            raise StreamFaultError(STREAM_CLOSED, "headers-after-end")
        fields = self._reader.trailers(block)
        if not ended:
            raise StreamFaultError(PROTOCOL_ERROR, "trailers-without-end")
        if stream.expected > 0:
            raise StreamFaultError(PROTOCOL_ERROR, "content-length-differs")
        if not stream.discarded:
            self._events.append(TrailersReceived(stream.id, fields))
        self._remote_end(stream)

    # --- header blocks --------------------------------------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise misplaced("headers-on-stream-0")
        itself = False
        if flags & (frames.PADDED | frames.PRIORITISED):
            if flags & frames.PADDED:
                payload = unpad(payload)
            if flags & frames.PRIORITISED:
                if len(payload) < 5:
                    raise bad_size("headers-size")
                itself = frames.unpack_number(payload)[0] & frames.MAX_STREAM == stream_id
                payload = payload[5:]
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._whole_block(stream_id, payload, ended, itself)
        else:
            self._block = Block(stream_id, ended, itself, payload, self._limits)
            self._handlers = _ONLY_CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise misplaced("continuation")
        block.add(payload)
        if flags & frames.END_HEADERS:
            self._block = None
            self._handlers = _ANY
            self._whole_block(stream_id, block.whole(), block.ended, block.itself)

    def _whole_block(self, stream_id: int, block: bytes, ended: bool, itself: bool) -> None:
        """``itself``: it claims to depend on its own stream; then it opens that only to have it reset."""
        before = len(self._events)
        self._head(stream_id, block, ended)
        if itself:
            del self._events[before:]
            raise StreamFaultError(PROTOCOL_ERROR, "depends-on-itself")

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        super()._on_settings(flags, stream_id, payload)
        self._handlers = _ANY

    def _only_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise misplaced("no-settings")

    def _only_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise misplaced("interleaved")


_Handlers = tuple[Callable[[Connection, int, int, bytes], None], ...]

_TYPES: Final = 10
_ANY: Final[_Handlers] = (
    Connection._on_data,
    Connection._on_headers,
    Connection._on_priority,
    Connection._on_rst_stream,
    Connection._on_settings,
    Connection._on_push_promise,
    Connection._on_ping,
    Connection._on_goaway,
    Connection._on_window_update,
    Connection._on_continuation,
)
_ONLY_SETTINGS: Final[_Handlers] = tuple(
    Connection._on_settings if kind == frames.SETTINGS else Connection._only_settings for kind in range(_TYPES)
)
_ONLY_CONTINUATION: Final[_Handlers] = tuple(
    Connection._on_continuation if kind == frames.CONTINUATION else Connection._only_continuation
    for kind in range(_TYPES)
)
