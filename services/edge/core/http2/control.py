"""What both halves do with frames that concern a connection, or say of a stream how it goes on.

Owns the settings of the peer, the budgets (where patience ends), pings, resets, windows and the peer leaving. Must not
know heads nor bodies: ``services.edge.core.http2.connection`` adds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from services.edge.core.http2 import frames
from services.edge.core.http2.errors import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    ConnectionFaultError,
    StreamFaultError,
    bad_size,
    misplaced,
)
from services.edge.core.http2.events import (
    Event,
    GoAwayReceived,
    PingAnswered,
    SettingsReceived,
    StreamReset,
    WindowOpened,
)
from services.edge.core.http2.flow import Flow
from services.edge.core.http2.limits import Budget, Budgets, Limits
from services.edge.core.http2.settings import PeerSettings, read_settings


class Control(ABC):
    """See the module. ``_may_push``: the peer may let us push (we do not); ``_settled``: its settings came;
    ``_acknowledged``: it has read ours."""

    _may_push: bool

    def __init__(self, limits: Limits) -> None:
        self._flow = flow = Flow(limits)
        self._streams = flow.streams
        self._events: list[Event] = []
        self._now = 0.0
        self._peer = PeerSettings()
        self._settled = False
        self._acknowledged = False
        self._budgets = Budgets(limits)

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether the stream has never been used (RFC 9113 section 5.1)."""

    @abstractmethod
    def _going_away(self, last_stream_id: int) -> None:
        """The peer takes no new streams."""

    def _spend(self, budget: Budget, reason: str) -> None:
        if budget.exceeded(self._now, self._flow.frames):
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, reason)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Priorities are not used any more (RFC 9113 section 5.3.2); what cannot be one is refused all the same."""
        if not stream_id:
            raise misplaced("priority-on-stream-0")
        self._spend(self._budgets.idle_frames, "priorities")
        if len(payload) != 5:
            raise StreamFaultError(FRAME_SIZE_ERROR, "priority-size")
        if frames.unpack_number(payload)[0] & frames.MAX_STREAM == stream_id:
            raise StreamFaultError(PROTOCOL_ERROR, "depends-on-itself")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise bad_size("rst-stream-size")
        if not stream_id or self._is_idle(stream_id):
            raise misplaced("reset-of-idle-stream")
        self._spend(self._budgets.resets_received, "resets")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._flow.forget(stream)
            self._events.append(StreamReset(stream_id, frames.unpack_number(payload)[0], True))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise misplaced("settings-on-stream")
        if flags & frames.ACK:
            if not self._settled:
                raise misplaced("no-settings")
            if payload:
                raise bad_size("settings-size")
            if self._acknowledged:
                self._spend(self._budgets.settings, "settings")
            self._acknowledged = True
            return
        self._spend(self._budgets.settings, "settings")
        self._settled = True
        before = self._peer
        self._peer = peer = read_settings(payload, before, self._may_push)
        flow = self._flow
        flow.max_frame = peer.max_frame
        flow.table_unwanted = flow.table_unwanted or peer.small_table
        flow.control(
            frames.SETTINGS_ACK
        )  # before what the new window lets out: the peer tells by it which one that was
        if peer.initial_window != before.initial_window:
            self._opened(flow.set_initial_window(peer.initial_window))
        self._events.append(SettingsReceived(peer.streams))

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise misplaced("push")  # clients never may, and endpoints were told not to

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise misplaced("ping-on-stream")
        if len(payload) != 8:
            raise bad_size("ping-size")
        self._spend(self._budgets.pings, "pings")
        if flags & frames.ACK:
            self._events.append(PingAnswered(payload))
        else:
            self._flow.control(frames.ping(payload, frames.ACK))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise misplaced("goaway-on-stream")
        if len(payload) < 8:
            raise bad_size("goaway-size")
        self._spend(self._budgets.idle_frames, "goaways")
        last, code = frames.unpack_two(payload)
        self._events.append(GoAwayReceived(last & frames.MAX_STREAM, code))
        self._going_away(last & frames.MAX_STREAM)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise bad_size("window-update-size")
        self._spend(self._budgets.window_updates, "window-updates")
        increment = frames.unpack_number(payload)[0] & frames.MAX_WINDOW
        if not stream_id:
            if not increment:
                raise misplaced("window-update-0")
            self._opened(self._flow.open_connection(increment))
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise misplaced("window-update-on-idle-stream")
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
