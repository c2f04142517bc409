"""Messages between processes that may die in the middle of one."""

from __future__ import annotations

import asyncio
import os

from services.edge.process import channel
from services.edge.process.channel import Channel, Parcel, Question, WorkerCounters, pair
from services.edge.process.metrics import Counters, Series
from tests.support.waiting import eventually


def counters(series: int) -> WorkerCounters:
    labels = ("x" * 100,)
    return WorkerCounters(os.getpid(), Counters({"f": [Series(labels, [float(n)]) for n in range(series)]}), 7)


async def test_messages_arrive_whole_and_in_order() -> None:
    received: list[Parcel] = []
    worker, admin = pair()
    Channel(admin, received.append)
    sender = Channel(worker, lambda _: None)
    sent = [Question(1), counters(20_000), Question(2), counters(0)]
    for message in sent:
        assert sender.send(message)
    await eventually(lambda: len(received) == 4)
    assert received == sent


async def test_both_directions() -> None:
    at_worker: list[Parcel] = []
    at_admin: list[Parcel] = []
    worker, admin = pair()
    one, other = Channel(worker, at_worker.append), Channel(admin, at_admin.append)
    other.send(Question(5))
    one.send(counters(3))
    await eventually(lambda: at_worker and at_admin)
    assert at_worker == [Question(5)]


async def test_half_a_message_of_a_dead_process_is_forgotten() -> None:
    received: list[Parcel] = []
    worker, admin = pair()
    Channel(admin, received.append)
    packet = channel._HEAD.pack(12345, 1, 0, 2) + b"the first half"
    worker.send(packet)
    Channel(worker, lambda _: None).send(Question(3))
    worker_late = channel._HEAD.pack(12345, 1, 1, 2) + b"never sent by a process that died, but if it were"
    worker.send(worker_late)
    await eventually(lambda: received)
    await asyncio.sleep(0)
    assert received == [Question(3)]


async def test_nonsense_is_passed_over() -> None:
    received: list[Parcel] = []
    worker, admin = pair()
    Channel(admin, received.append)
    worker.send(b"x")
    worker.send(channel._HEAD.pack(1, 1, 0, 1) + b"\xc1")
    Channel(worker, lambda _: None).send(Question(1))
    await eventually(lambda: received)
    assert received == [Question(1)]


async def test_an_end_that_does_not_read_blocks_nobody() -> None:
    worker, admin = pair()
    sender = Channel(worker, lambda _: None)
    assert not all(sender.send(counters(2000)) for _ in range(400)), "what is too much is dropped"
    received: list[Parcel] = []
    Channel(admin, received.append)
    await eventually(lambda: len(received) > 20)
    await eventually(lambda: sender.send(Question(9)))
    await eventually(lambda: received[-1] == Question(9))
