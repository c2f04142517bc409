"""What is sent, in which order, and what the outbox believes of the bus afterwards."""

from __future__ import annotations

import pytest

from proto.codec import decode, encode
from proto.digest import EMPTY, combine, entry_hash
from proto.objects import ObjectEnvelope, ObjectKey, Service, Source, WatcherBeacon
from proto.signing import ObjectAuthenticator
from proto.snapshots import SCHEMA
from services.watcher.outbox import MAX_OBJECT, TOMBSTONE_AGE, Held, Outbox, Outgoing

KEYS = ObjectAuthenticator([("k", bytes(32))])
S = ObjectKey("service", "n", "s")
T = ObjectKey("service", "n", "t")
SOURCE = ObjectKey("source", "", "folder")


def fresh(instance: str = "limen") -> Outbox:
    box = Outbox(instance, KEYS)
    box.adopt([], 0, 0.0)
    return box


def envelope(outgoing: Outgoing) -> ObjectEnvelope:
    schema, body, mac = decode(outgoing.data, tuple[int, bytes, bytes])
    assert schema == SCHEMA
    KEYS.check("object", body, mac)
    return decode(body, ObjectEnvelope)


def service(name: str, type_: str = "ClusterIP") -> Service:
    return Service("n", name, type_)


def send_all(box: Outbox, first: int = 1) -> list[Outgoing]:
    """Send everything as if a stream stored it under sequences from ``first``."""
    sent = []
    while batch := box.take(100, 0.0):
        for outgoing in batch:
            box.stored(outgoing, first + len(sent))
            sent.append(outgoing)
    return sent


def test_a_message_says_who_what_and_when() -> None:
    box = fresh()
    assert box.want(S, service("s"), 12.5, "77")
    (outgoing,) = box.take(10, 0.0)
    found = envelope(outgoing)
    assert (found.instance, found.key, found.session, found.sequence) == ("limen", S, box.session, 1)
    assert (found.observed_at, found.resource_version, found.relisted) == (12.5, "77", False)
    assert decode(found.object, Service) == service("s")
    assert len(found.trace) == 32


def test_equal_content_is_sent_once() -> None:
    box = fresh()
    for version in ("1", "2", "3"):
        box.want(S, service("s"), 0.0, version)
    assert len(send_all(box)) == 1
    box.want(S, service("s"), 0.0, "4")
    assert send_all(box) == []
    assert box.idle


def test_changes_fold_while_they_wait() -> None:
    box = fresh()
    box.want(S, service("s", "A"), 0.0)
    box.want(S, service("s", "B"), 0.0)
    box.want(T, service("t"), 0.0)
    box.want(T, None, 0.0)
    (outgoing,) = send_all(box)
    assert decode(envelope(outgoing).object, Service).type == "B"


def test_the_source_goes_last() -> None:
    box = fresh()
    box.want(SOURCE, Source("folder"), 0.0)
    box.want(S, service("s"), 0.0)
    (first,) = box.take(10, 0.0)
    assert first.key == S
    assert box.take(10, 0.0) == []  # not before everything else is stored
    box.stored(first, 1)
    (second,) = box.take(10, 0.0)
    assert second.key == SOURCE


def test_the_digest_is_that_of_the_live_objects() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    box.want(T, service("t"), 0.0)
    send_all(box)
    box.want(T, None, 0.0)
    send_all(box, 3)
    assert box.digest == combine(EMPTY, added=entry_hash("service", "n/s", encode(service("s"))))


def test_the_bus_as_it_was_left_is_taken_over_without_a_message() -> None:
    before = fresh()
    before.want(S, service("s"), 0.0)
    before.want(T, service("t"), 0.0)
    held = [Held(number, outgoing.data) for number, outgoing in enumerate(send_all(before), 1)]
    after = Outbox("limen", KEYS)
    after.want(S, service("s"), 0.0)
    assert after.adopt(held, 2, 0.0) == []
    after.want(T, service("t"), 0.0)
    assert after.retire(frozenset({"service"}), 0.0) == []
    assert after.take(10, 0.0) == []
    assert after.digest == before.digest
    assert after.agrees(2, 2)


def test_what_the_bus_has_and_nobody_wants_goes_once_its_kind_is_listed() -> None:
    before = fresh()
    before.want(S, service("s"), 0.0)
    held = [Held(1, outgoing.data) for outgoing in send_all(before)]
    after = Outbox("limen", KEYS)
    after.adopt(held, 1, 0.0)
    assert after.take(10, 0.0) == []
    assert after.retire(frozenset({"ingress"}), 0.0) == []
    assert after.retire(frozenset({"service"}), 0.0) == [S]
    (outgoing,) = after.take(10, 0.0)
    assert envelope(outgoing).object == b""
    assert envelope(outgoing).relisted


@pytest.mark.parametrize("instance", ["limen", "other"])
def test_messages_of_strangers_are_not_taken_for_ours(instance: str) -> None:
    forged = encode((SCHEMA, encode(ObjectEnvelope(instance, S, "x", 1, 0.0, "", "", b"z")), bytes(16)))
    other = Outbox("other", KEYS)
    other.adopt([], 0, 0.0)
    other.want(S, service("s"), 0.0)
    (real,) = send_all(other)
    box = Outbox("limen", KEYS)
    foreign = box.adopt([Held(4, b"garbage"), Held(5, forged), Held(6, real.data)], 6, 0.0)
    assert foreign == [4, 5, 6]
    assert box.digest == EMPTY


def test_a_message_whose_fate_is_unknown_goes_again() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    (outgoing,) = box.take(10, 0.0)
    box.failed(outgoing)
    box.want(S, service("s"), 0.0)  # the source repeating itself does not make it known
    (again,) = box.take(10, 0.0)
    assert again.object == outgoing.object
    assert envelope(again).sequence == 2


def test_a_removal_whose_fate_is_unknown_goes_again() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    box.want(S, None, 0.0)
    (outgoing,) = box.take(10, 0.0)
    box.failed(outgoing)
    (again,) = box.take(10, 0.0)
    assert envelope(again).object == b""


def test_a_failure_after_something_newer_went_is_nothing() -> None:
    box = fresh()
    box.want(S, service("s", "A"), 0.0)
    (first,) = box.take(10, 0.0)
    box.want(S, service("s", "B"), 0.0)
    (second,) = box.take(10, 0.0)
    box.failed(first)
    assert box.take(10, 0.0) == []
    box.stored(second, 1)
    assert box.idle


def test_what_is_too_large_leaves_the_last_version_in_place() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    assert not box.want(S, service("s", "x" * MAX_OBJECT), 0.0)
    assert box.take(10, 0.0) == []


def test_what_the_server_refuses_counts_as_not_there() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    digest = box.digest
    box.want(S, service("s", "Large"), 0.0)
    (outgoing,) = box.take(10, 0.0)
    box.refused(outgoing)
    assert box.digest == digest
    assert box.idle


def test_tombstones_are_cleaned_up_after_a_while() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    box.want(S, None, 0.0)
    send_all(box, 2)
    assert box.overdue(TOMBSTONE_AGE - 1) == []
    assert box.overdue(TOMBSTONE_AGE) == [(S, 2)]
    assert box.agrees(2, 1)
    box.cleaned(S, 2)
    assert box.agrees(2, 0)
    assert box.overdue(TOMBSTONE_AGE) == []


def test_a_tombstone_that_lives_again_is_not_cleaned_up() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    box.want(S, None, 0.0)
    send_all(box, 2)
    box.want(S, service("s"), 0.0)
    send_all(box, 3)
    assert box.overdue(TOMBSTONE_AGE * 2) == []
    box.cleaned(S, 2)
    assert box.agrees(3, 1)


def test_the_beacon_says_how_far_the_session_is() -> None:
    box = fresh()
    box.want(S, service("s"), 0.0)
    send_all(box)
    schema, body, mac = decode(box.beacon(lambda kind: 3), tuple[int, bytes, bytes])
    KEYS.check("beacon", body, mac)
    beacon = decode(body, WatcherBeacon)
    assert (schema, beacon.session, beacon.sequence, beacon.digest) == (SCHEMA, box.session, 1, box.digest)
    assert {(kind.kind, kind.lists, kind.count) for kind in beacon.kinds} >= {("service", 3, 1), ("ingress", 3, 0)}


def test_live_objects_are_counted_by_kind() -> None:
    box = fresh()
    for name in ("s", "t", "u"):
        box.want(ObjectKey("service", "n", name), service(name), 1.0)
    sent = send_all(box)
    assert box.counts() == {"service": 3}
    box.want(S, service("s", "NodePort"), 1.0)
    box.want(T, None, 1.0)
    sent += send_all(box, 4)
    assert box.counts() == {"service": 2}
    box.adopt([Held(number, outgoing.data) for number, outgoing in enumerate(sent[:2], 1)], 2, 0.0)
    assert box.counts() == {"service": 2}
    box.adopt([], 2, 0.0)
    assert box.counts() == {}
