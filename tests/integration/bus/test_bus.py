"""The bus against a real nats-server: streams, fencing, direct reads, loss of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.runtime.bus import (
    Bus,
    BusOptions,
    Message,
    NotConnected,
    SequenceConflict,
    StreamMissing,
    StreamSpec,
    TooLarge,
)
from tests.support.nats import NatsServer
from tests.support.waiting import eventually

OBJECTS = StreamSpec(name="T_OBJECTS", subjects=("t.objects.>",), max_per_subject=1)
LOG = StreamSpec(name="T_LOG", subjects=("t.log",), republish=("t.log", "t.live"))


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    bus = Bus(BusOptions(servers=(nats.url,), name="test"))
    await bus.start()
    await bus.wait_connected()
    yield bus
    await bus.close()


async def test_append_is_fenced_by_the_subjects_last_sequence(bus: Bus) -> None:
    await bus.ensure_stream(LOG)
    assert await bus.append("t.log", b"1", expected_last_subject_sequence=0) == 1
    assert await bus.append("t.log", b"2", expected_last_subject_sequence=1) == 2
    with pytest.raises(SequenceConflict, match=r"t\.log"):
        await bus.append("t.log", b"late", expected_last_subject_sequence=1)
    last = await bus.last("T_LOG", "t.log")
    assert last is not None
    assert (last.sequence, last.data) == (2, b"2")


async def test_only_what_was_stored_is_republished(bus: Bus) -> None:
    await bus.ensure_stream(LOG)
    seen: list[Message] = []

    async def note(message: Message) -> None:
        seen.append(message)

    await bus.subscribe("t.live", note)
    await bus.append("t.log", b"1", expected_last_subject_sequence=0)
    with pytest.raises(SequenceConflict):
        await bus.append("t.log", b"refused", expected_last_subject_sequence=0)
    await bus.append("t.log", b"2", expected_last_subject_sequence=1)
    await eventually(lambda: len(seen) == 2)
    assert [message.data for message in seen] == [b"1", b"2"]
    assert seen[0].headers["Nats-Sequence"] == "1"


async def test_last_of_each_reads_any_number_of_subjects(bus: Bus) -> None:
    await bus.ensure_stream(OBJECTS)
    items = [(f"t.objects.{number % 2500}", str(number).encode()) for number in range(5000)]
    sequences = await bus.append_many(items)
    assert sequences == list(range(1, 5001))
    found = await bus.last_of_each("T_OBJECTS", "t.objects.>")
    assert {stored.subject: stored.data for stored in found} == dict(items[2500:])
    assert [stored.sequence for stored in found] == sorted(stored.sequence for stored in found)
    assert [s.data for s in await bus.last_of_each("T_OBJECTS", "t.objects.7")] == [b"2507"]
    assert await bus.last_of_each("T_OBJECTS", "t.objects.nobody") == []


async def test_range_reads_from_a_sequence(bus: Bus) -> None:
    await bus.ensure_stream(LOG)
    await bus.append_many([("t.log", str(number).encode()) for number in range(3000)])
    found = await bus.range("T_LOG", 2, limit=2000)
    assert [stored.sequence for stored in found] == list(range(2, 2002))
    assert found[0].data == b"1"
    assert [stored.sequence for stored in await bus.range("T_LOG", 2999, limit=10)] == [2999, 3000]
    assert await bus.range("T_LOG", 3001, limit=10) == []


async def test_large_messages_come_back_whole_in_pages(bus: Bus) -> None:
    await bus.ensure_stream(OBJECTS)
    await bus.append_many([(f"t.objects.{number}", bytes([number]) * 900_000) for number in range(30)], window=8)
    found = await bus.last_of_each("T_OBJECTS", "t.objects.>")
    assert [stored.data for stored in found] == [bytes([number]) * 900_000 for number in range(30)]


async def test_what_is_missing_is_said(bus: Bus) -> None:
    with pytest.raises(StreamMissing):
        await bus.append("nowhere", b"")
    with pytest.raises(StreamMissing):
        await bus.last("NOWHERE", "x")
    with pytest.raises(StreamMissing):
        await bus.last_of_each("NOWHERE", ">")
    assert await bus.state("NOWHERE") is None
    await bus.ensure_stream(OBJECTS)
    assert await bus.last("T_OBJECTS", "t.objects.none") is None
    with pytest.raises(TooLarge, match="the server takes 1048576"):
        await bus.append("t.objects.big", bytes(1024 * 1024 + 1))


async def test_an_empty_message_is_a_message(bus: Bus) -> None:
    await bus.ensure_stream(OBJECTS)
    await bus.append("t.objects.gone", b"")
    last = await bus.last("T_OBJECTS", "t.objects.gone")
    assert last is not None
    assert last.data == b""
    assert [stored.data for stored in await bus.last_of_each("T_OBJECTS", ">")] == [b""]


async def test_ensure_stream_updates_and_is_idempotent(bus: Bus) -> None:
    await bus.ensure_stream(OBJECTS)
    await bus.append("t.objects.a", b"1")
    before = await bus.state("T_OBJECTS")
    await bus.ensure_stream(OBJECTS)
    await bus.ensure_stream(
        StreamSpec(name="T_OBJECTS", subjects=("t.objects.>",), max_per_subject=1, max_age=30, max_messages=5)
    )
    assert await bus.state("T_OBJECTS") == before
    await bus.append_many([(f"t.objects.{number}", b"") for number in range(9)])
    after = await bus.state("T_OBJECTS")
    assert after is not None
    assert after.messages == 5


async def test_purge_and_delete(bus: Bus) -> None:
    await bus.ensure_stream(OBJECTS)
    await bus.append_many([(f"t.objects.{number}", b"") for number in range(10)])
    await bus.delete("T_OBJECTS", 1)
    await bus.delete("T_OBJECTS", 1)
    await bus.purge("T_OBJECTS", subject_filter="t.objects.1")
    await bus.purge("T_OBJECTS", up_to_sequence=5)
    assert [stored.sequence for stored in await bus.last_of_each("T_OBJECTS", ">")] == [6, 7, 8, 9, 10]
    await bus.purge("T_OBJECTS", keep=2)
    state = await bus.state("T_OBJECTS")
    assert state is not None
    assert (state.first, state.last, state.messages) == (9, 10, 2)


async def test_ask_gathers_many_answers(bus: Bus) -> None:
    for name in (b"a", b"b", b"c"):

        async def answer(message: Message, name: bytes = name) -> None:
            await bus.publish(message.reply, name)

        await bus.subscribe("t.status", answer)
    assert sorted(m.data for m in await bus.ask("t.status", timeout=5, at_most=3)) == [b"a", b"b", b"c"]
    assert len(await bus.ask("t.status", timeout=0.3)) == 3
    assert await bus.ask("t.nobody", timeout=5) == []


async def test_a_failing_consumer_goes_on(bus: Bus) -> None:
    seen: list[bytes] = []

    async def fail_at_first(message: Message) -> None:
        seen.append(message.data)
        if message.data == b"bad":
            raise ValueError("bad message")

    await bus.subscribe("t.x", fail_at_first)
    await bus.publish("t.x", b"bad")
    await bus.publish("t.x", b"good")
    await eventually(lambda: seen == [b"bad", b"good"])


async def test_the_server_may_be_absent_at_start(nats: NatsServer) -> None:
    nats.kill()
    bus = Bus(BusOptions(servers=(nats.url,), name="early"))
    seen: list[bytes] = []
    connects: list[int] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    async def connected() -> None:
        connects.append(1)

    bus.on_connected(connected)
    await bus.start()
    await bus.subscribe("t.x", note)
    assert not bus.connected
    with pytest.raises(NotConnected):
        await bus.publish("t.x", b"")
    with pytest.raises(NotConnected):
        await bus.append("t.x", b"")
    await nats.start()
    await asyncio.wait_for(bus.wait_connected(), 10)
    await bus.publish("t.x", b"here")
    await eventually(lambda: seen == [b"here"] and connects == [1])
    await bus.close()


async def test_a_killed_server_is_found_again(bus: Bus, nats: NatsServer) -> None:
    await bus.ensure_stream(LOG)
    seen: list[bytes] = []
    connects: list[int] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    async def connected() -> None:
        connects.append(1)

    bus.on_connected(connected)
    await bus.subscribe("t.live", note)
    await bus.append("t.log", b"before")
    for round_ in range(3):
        nats.kill()
        await eventually(lambda: not bus.connected)
        await nats.restart(empty=round_ == 2)
        await asyncio.wait_for(bus.wait_connected(), 10)
        await bus.ensure_stream(LOG)
        assert await bus.append("t.log", b"after") == (1 if round_ == 2 else round_ + 2)
    await eventually(lambda: seen == [b"before", b"after", b"after", b"after"])
    await eventually(lambda: len(connects) == 4)


async def test_a_pending_request_ends_when_the_connection_does(bus: Bus, nats: NatsServer) -> None:
    async def swallow(message: Message) -> None:
        return

    await bus.subscribe("t.silent", swallow)
    waiting = asyncio.ensure_future(bus.append("t.silent", b"", timeout=60))
    await asyncio.sleep(0)
    nats.kill()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(waiting, 10)


async def test_a_running_callback_survives_a_reconnect(bus: Bus, nats: NatsServer) -> None:
    entered, leave, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(message: Message) -> None:
        entered.set()
        await leave.wait()
        finished.set()

    await bus.subscribe("t.x", slow)
    await bus.publish("t.x", b"")
    await entered.wait()
    await nats.restart()
    await asyncio.wait_for(bus.wait_connected(), 10)
    leave.set()
    await asyncio.wait_for(finished.wait(), 5)


async def test_a_slow_consumer_is_told_of_its_loss(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.bus.subscription.MAX_QUEUED_MESSAGES", 10)
    gate = asyncio.Event()
    seen: list[bytes] = []
    losses: list[int] = []

    async def slow(message: Message) -> None:
        await gate.wait()
        seen.append(message.data)

    async def lost() -> None:
        losses.append(len(seen))

    bus.on_loss(lost)
    await bus.subscribe("t.x", slow)
    for number in range(14):
        await bus.publish("t.x", str(number).encode())
    assert await bus.ask("t.none", timeout=5) == []  # a round trip: all of them have arrived
    gate.set()
    await eventually(lambda: losses)
    await bus.publish("t.x", b"last")
    await eventually(lambda: seen[-1:] == [b"last"])
    assert len(seen) < 15
