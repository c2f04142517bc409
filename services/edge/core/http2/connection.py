"""What both halves do with what they read: frames, header blocks, settings, windows, and where patience ends.

Owns one connection's reading side. Must not know which half it is where the halves differ: how streams begin and what
their heads are is theirs (server.py, client.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from services.edge.core.http2 import frames
from services.edge.core.http2.errors import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ConnectionFaultError,
    StreamFaultError,
)
from services.edge.core.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    GoAwayReceived,
    PingAnswered,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from services.edge.core.http2.flow import Flow
from services.edge.core.http2.head_reader import HeadReader
from services.edge.core.http2.limits import Budget, Limits
from services.edge.core.http2.streams import Stream

_STREAM: Final = frames.MAX_STREAM


class _Block:
    """A header block that is not complete."""

    __slots__ = ("continuations", "ended", "pieces", "size", "stream_id")

    def __init__(self, stream_id: int, ended: bool, piece: bytes) -> None:
        self.stream_id = stream_id
        self.ended = ended
        self.pieces = [piece]
        self.size = len(piece)
        self.continuations = 0


def _misplaced(reason: str) -> ConnectionFaultError:
    return ConnectionFaultError(PROTOCOL_ERROR, reason)


def _bad_size(reason: str) -> ConnectionFaultError:
    return ConnectionFaultError(FRAME_SIZE_ERROR, reason)


def _unpad(payload: bytes) -> bytes:
    """What is in a padded payload (RFC 9113 section 6.1)."""
    if not payload or payload[0] >= len(payload):
        raise _misplaced("padding")
    return payload[1 : len(payload) - payload[0]]


class Connection(ABC):
    """See the package for what consumers use."""

    def __init__(self, limits: Limits) -> None:
        self.closed = False
        self._limits = limits
        self._flow = flow = Flow(limits)
        self._streams = flow.streams
        self._reader = HeadReader(limits)
        self._events: list[Event] = []
        self._now = 0.0
        self._buffer = bytearray()
        self._needed = 0
        self._handlers = _ONLY_SETTINGS
        self._block: _Block | None = None
        self._acknowledged = False
        self._resets_received = Budget(limits.resets_received)
        self._resets_sent = Budget(limits.resets_sent)
        self._pings = Budget(limits.pings)
        self._settings = Budget(limits.settings)
        self._empty_data = Budget(limits.empty_data)
        self._window_updates = Budget(limits.window_updates)
        self._idle_frames = Budget(limits.idle_frames)
        self.data_to_send = flow.data_to_send
        self.send_head = flow.send_head
        self.send_data = flow.send_data
        self.send_trailers = flow.send_trailers
        self.took = flow.took
        self.reset = flow.reset

    # --- for consumers --------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many bytes ``data_to_send`` would give."""
        return self._flow.queued

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
            self._buffer.clear()
            self._flow.control(frames.goaway(self._last_stream_id(), fault.code, fault.reason))
            events.append(ConnectionFailed(fault.code, fault.reason))
        return events

    # --- where the halves differ ----------------------------------------------------------------------------------

    @abstractmethod
    def _head(self, stream_id: int, block: bytes, ended: bool) -> None:
        """A header block on a stream is complete."""

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether the stream has never been used (RFC 9113 section 5.1)."""

    @abstractmethod
    def _last_stream_id(self) -> int:
        """The last stream of the peer that was looked at."""

    @abstractmethod
    def _going_away(self, last_stream_id: int) -> None:
        """The peer takes no new streams."""

    def _check_push(self, value: int) -> None:
        """SETTINGS_ENABLE_PUSH came."""
        if value > 1:
            raise _misplaced("enable-push")

    # --- frames ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._needed:
                return
            data = bytes(buffer)
            buffer.clear()
        at, size = 0, len(data)
        unpack_header = frames.unpack_header
        while size - at >= 9:
            word, flags, stream_id = unpack_header(data, at)
            length = word >> 8
            if length > frames.DEFAULT_FRAME:
                raise _bad_size("frame-too-large")
            end = at + 9 + length
            if end > size:
                self._needed = 9 + length
                break
            kind = word & 0xFF
            stream_id &= _STREAM
            try:
                if kind < 10:
                    self._handlers[kind](self, flags, stream_id, data[at + 9 : end])
                else:
                    self._unknown(kind)
            except StreamFaultError as fault:
                self._reset_for(stream_id, fault)
            at = end
        else:
            self._needed = 9
        if at < size:
            buffer += data[at:]

    def _unknown(self, kind: int) -> None:
        """Frames of other types are ignored, though not amid a header block (RFC 9113 sections 4.1 and 5.5)."""
        if self._handlers is not _ANY:
            raise _misplaced("interleaved" if self._block else "no-settings")
        self._spend(self._idle_frames, "unknown-frames")

    def _spend(self, budget: Budget, reason: str) -> None:
        if budget.exceeded(self._now, self._flow.frames):
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, reason)

    def _reset_for(self, stream_id: int, fault: StreamFaultError) -> None:
        """The peer was wrong on one stream. Resets that peers provoke are as good an attack as those that they send."""
        self._flow.reset(stream_id, fault.code)
        self._events.append(StreamReset(stream_id, fault.code, False, fault.reason))
        if self._acknowledged or fault.code != REFUSED_STREAM:  # who has not read our settings may ask for too much
            self._spend(self._resets_sent, "resets-provoked")

    def _gone(self, stream_id: int, reason: str) -> None:
        """A frame for a stream that is not open: fine if its reset is on the way to the peer, else a fault."""
        if self._is_idle(stream_id):
            raise _misplaced(f"{reason}-on-idle-stream")
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
            payload = _unpad(payload)
        ended = bool(flags & frames.END_STREAM)
        if not payload and not ended:
            self._spend(self._empty_data, "empty-data")
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
                raise _misplaced("data-on-stream-0")
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
            raise _misplaced("headers-on-stream-0")
        itself = False
        if flags & (frames.PADDED | frames.PRIORITISED):
            if flags & frames.PADDED:
                payload = _unpad(payload)
            if flags & frames.PRIORITISED:
                if len(payload) < 5:
                    raise _bad_size("headers-size")
                itself = frames.unpack_number(payload)[0] & _STREAM == stream_id
                payload = payload[5:]
        if itself:
            raise _misplaced("depends-on-itself")
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._head(stream_id, payload, ended)
        else:
            self._block = _Block(stream_id, ended, payload)
            self._handlers = _ONLY_CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise _misplaced("continuation")
        block.continuations += 1
        block.size += len(payload)
        block.pieces.append(payload)
        if block.continuations > self._limits.continuations:
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, "continuations")
        if block.size > self._limits.block_bytes:
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, "header-block-too-large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._handlers = _ANY
            self._head(stream_id, b"".join(block.pieces), block.ended)

    # --- the rest -------------------------------------------------------------------------------------------------

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Priorities are not used any more (RFC 9113 section 5.3.2); what cannot be one is refused all the same."""
        if not stream_id:
            raise _misplaced("priority-on-stream-0")
        self._spend(self._idle_frames, "priorities")
        if len(payload) != 5:
            raise StreamFaultError(FRAME_SIZE_ERROR, "priority-size")
        if frames.unpack_number(payload)[0] & _STREAM == stream_id:
            raise StreamFaultError(PROTOCOL_ERROR, "depends-on-itself")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _bad_size("rst-stream-size")
        if not stream_id or self._is_idle(stream_id):
            raise _misplaced("reset-of-idle-stream")
        self._spend(self._resets_received, "resets")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._flow.forget(stream)
            self._events.append(StreamReset(stream_id, frames.unpack_number(payload)[0], True))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _misplaced("settings-on-stream")
        if flags & frames.ACK:
            if self._handlers is not _ANY:
                raise _misplaced("no-settings")
            if payload:
                raise _bad_size("settings-size")
            if self._acknowledged:
                self._spend(self._settings, "settings")
            self._acknowledged = True
            return
        if len(payload) % 6:
            raise _bad_size("settings-size")
        self._spend(self._settings, "settings")
        self._handlers = _ANY
        self._apply(dict(frames.each_setting(payload)), self._flow)
        self._flow.control(frames.SETTINGS_ACK)

    def _apply(self, values: dict[int, int], flow: Flow) -> None:
        """The peer's settings (RFC 9113 section 6.5.2); the last value of each counts."""
        if frames.ENABLE_PUSH in values:
            self._check_push(values[frames.ENABLE_PUSH])
        max_frame = values.get(frames.MAX_FRAME_SIZE, flow.max_frame)
        if not frames.DEFAULT_FRAME <= max_frame <= frames.MAX_FRAME:
            raise _misplaced("max-frame-size")
        window = values.get(frames.INITIAL_WINDOW_SIZE, flow.initial_window)
        if window > frames.MAX_WINDOW:
            raise ConnectionFaultError(FLOW_CONTROL_ERROR, "initial-window-size")
        if values.get(frames.HEADER_TABLE_SIZE, 4096) < 4096:
            flow.table_unwanted = True
        if window != flow.initial_window:
            self._opened(flow.set_initial_window(window))
        streams = values.get(frames.MAX_CONCURRENT_STREAMS)
        if streams is not None:
            self._peer_streams = streams
        self._events.append(SettingsReceived(self._peer_streams))

    _peer_streams = 100

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise _misplaced("push")  # clients never may, and endpoints were told not to

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _misplaced("ping-on-stream")
        if len(payload) != 8:
            raise _bad_size("ping-size")
        self._spend(self._pings, "pings")
        if flags & frames.ACK:
            self._events.append(PingAnswered(payload))
        else:
            self._flow.control(frames.ping(payload, frames.ACK))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _misplaced("goaway-on-stream")
        if len(payload) < 8:
            raise _bad_size("goaway-size")
        self._spend(self._idle_frames, "goaways")
        last, code = frames.unpack_two(payload)
        self._events.append(GoAwayReceived(last & _STREAM, code))
        self._going_away(last & _STREAM)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _bad_size("window-update-size")
        self._spend(self._window_updates, "window-updates")
        increment = frames.unpack_number(payload)[0] & frames.MAX_WINDOW
        if not stream_id:
            if not increment:
                raise _misplaced("window-update-0")
            self._opened(self._flow.open_connection(increment))
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise _misplaced("window-update-on-idle-stream")
            return
        if not increment:
            raise StreamFaultError(PROTOCOL_ERROR, "window-update-0")
        drained = self._flow.open_stream(stream, increment)
        if drained is None:
            raise StreamFaultError(FLOW_CONTROL_ERROR, "window")
        self._opened(drained)

    def _opened(self, drained: list[int] | None) -> None:
        if drained is None:
            raise ConnectionFaultError(FLOW_CONTROL_ERROR, "window")
        for stream_id in drained:
            self._events.append(WindowOpened(stream_id))

    def _only_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise _misplaced("no-settings")

    def _only_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise _misplaced("interleaved")

    def shutdown(self, code: int = NO_ERROR) -> None:
        """GOAWAY with the last stream that was taken; later ones are refused."""
        self._flow.control(frames.goaway(self._last_stream_id(), code))


_Handlers = tuple[Callable[[Connection, int, int, bytes], None], ...]

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
    Connection._on_settings if kind == frames.SETTINGS else Connection._only_settings for kind in range(10)
)
_ONLY_CONTINUATION: Final[_Handlers] = tuple(
    Connection._on_continuation if kind == frames.CONTINUATION else Connection._only_continuation for kind in range(10)
)
