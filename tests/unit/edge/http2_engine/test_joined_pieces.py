"""Pieces of a body that came in one read are handed on as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.http2.events import DataReceived, Event, PingAnswered, StreamReset, TrailersReceived, joined
from tests.unit.edge.http2_engine.peer import POST, client_of, data, headers

STREAMS = st.sampled_from((1, 3, 5))
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(DataReceived, STREAMS, st.binary(max_size=3), st.integers(0, 9), st.booleans()),
    st.builds(TrailersReceived, STREAMS, st.just(())),
    st.builds(StreamReset, STREAMS, st.just(8), st.booleans()),
    st.builds(PingAnswered, st.just(bytes(8))),
)


def of(stream: int, events: list[Event]) -> list[object]:
    """What happens on a stream, its body byte by byte."""
    said: list[object] = []
    for event in events:
        if isinstance(event, DataReceived) and event.stream_id == stream:
            said += event.data
            said += ["credit"] * event.length
        elif getattr(event, "stream_id", 0) == stream:
            said.append(event)
    return [each for each in said if each != "credit"] + [each for each in said if each == "credit"]


@given(st.lists(EVENTS, max_size=12))
def test_nothing_is_lost_and_each_stream_keeps_its_order(events: list[Event]) -> None:
    made = joined(events)
    for stream in (0, 1, 3, 5):
        assert of(stream, made) == of(stream, events)
    for stream in (1, 3, 5):
        assert [e.ended for e in made if isinstance(e, DataReceived) and e.stream_id == stream][-1:] == [
            e.ended for e in events if isinstance(e, DataReceived) and e.stream_id == stream
        ][-1:]


def test_a_body_of_single_bytes_on_two_streams_is_two_events() -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4), headers(3, POST, 4))
    events = peer.send(*(data(stream, b"a") for _ in range(100) for stream in (1, 3)), data(1, b"", 1))
    assert joined(events) == [DataReceived(1, b"a" * 100, 100, True), DataReceived(3, b"a" * 100, 100, False)]
