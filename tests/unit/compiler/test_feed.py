"""The feed: order, gaps, replays, absence, agreement with the beacon."""

from __future__ import annotations

from proto.codec import encode
from proto.objects import Ingress, Object, ObjectEnvelope, ObjectKey, WatcherBeacon, key_of
from services.compiler.admission import Admitted
from services.compiler.feed import Feed


def said(sequence: int, value: Object | ObjectKey, session: str = "one", *, relisted: bool = False) -> Admitted:
    removed = isinstance(value, ObjectKey)
    key = value if isinstance(value, ObjectKey) else key_of(value)
    body = b"" if removed else encode(value)
    envelope = ObjectEnvelope("limen", key, session, sequence, 1.0, str(sequence), "", body, relisted)
    return Admitted(envelope, None if isinstance(value, ObjectKey) else value)


def ingress(name: str, uid: str = "") -> Ingress:
    return Ingress(namespace="default", name=name, uid=uid)


def beacon(feed: Feed, sequence: int, session: str = "one") -> WatcherBeacon:
    """A beacon of a watcher that has on the bus exactly what ``feed`` knows."""
    return WatcherBeacon("limen", session, sequence, feed.digest)


A, B = ingress("a"), ingress("b")


def test_objects_in_order_leave_no_gap() -> None:
    feed = Feed()
    assert feed.listen(said(1, A)) is not None
    assert feed.listen(said(2, B)) is not None
    assert feed.listen(said(3, key_of(A))) is not None
    assert not feed.gap
    assert len(feed) == 1
    assert feed.counts["ingress"] == 1


def test_a_missing_number_is_a_gap() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.listen(said(3, B))
    assert feed.gap


def test_equal_content_is_no_change() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    assert feed.listen(said(2, A)) is None


def test_a_duplicate_and_an_older_version_change_nothing() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.listen(said(2, ingress("a", "new")))
    digest = feed.digest
    assert feed.listen(said(2, ingress("a", "new"))) is None
    assert feed.listen(said(1, A)) is None
    assert feed.read(said(1, A)) is None
    assert feed.digest == digest
    assert not feed.gap


def test_a_removed_object_does_not_come_back_by_a_replay() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.listen(said(2, key_of(A)))
    assert feed.listen(said(1, A)) is None
    assert len(feed) == 0


def test_a_new_run_that_begins_at_one_needs_no_reading() -> None:
    feed = Feed()
    feed.listen(said(5, A))
    assert feed.listen(said(1, ingress("a", "new"), "two")) is not None
    assert not feed.gap
    assert feed.listen(said(3, B, "three")) is not None
    assert feed.gap


def test_a_message_of_an_earlier_run_is_a_replay() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.listen(said(1, ingress("a", "new"), "two"))
    assert feed.listen(said(1, A)) is None
    assert feed.session == "two"
    assert feed.read(said(1, A)) is None


def test_what_is_missing_from_the_stream_stays_until_the_watcher_agrees() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    with_a = feed.digest
    feed.listen(said(2, B))
    feed.finish_read({key_of(A)})
    assert feed.absent == {key_of(B)}
    assert feed.settle(beacon(feed, 2)) == []
    assert len(feed) == 2
    gone = feed.settle(WatcherBeacon("limen", "one", 3, with_a))
    assert [change.key for change in gone] == [key_of(B)]
    assert all(change.relisted for change in gone)
    assert feed.digest == with_a


def test_an_absent_object_that_is_published_again_is_not_absent() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.finish_read(set())
    feed.listen(said(2, A))
    assert feed.absent == set()


def test_agreement_with_a_beacon() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    assert feed.agreement(beacon(feed, 1)) == "agrees"
    other = bytes(32)
    assert feed.agreement(WatcherBeacon("limen", "one", 1, other)) == "differs"
    assert feed.agreement(WatcherBeacon("limen", "one", 2, other)) == "behind"
    assert feed.agreement(WatcherBeacon("limen", "one", 0, other)) == "ahead"
    assert feed.agreement(WatcherBeacon("limen", "two", 1, other)) == "behind"


def test_the_digest_does_not_depend_on_the_order() -> None:
    one, other = Feed(), Feed()
    for number, value in enumerate((A, B, ingress("c")), 1):
        one.listen(said(number, value))
    for number, value in enumerate((ingress("c"), ingress("b", "old"), A, B), 1):
        other.listen(said(number, value))
    assert one.digest == other.digest


def test_an_object_that_cannot_be_read_counts_and_changes_nothing() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    newer = said(2, ingress("a", "new"))
    digest = feed.digest
    assert feed.listen(Admitted(newer.envelope, None, "cannot be read")) is None
    assert feed.digest != digest
    assert key_of(A) in feed


def test_how_an_object_went_is_remembered() -> None:
    feed = Feed()
    feed.listen(said(1, A))
    feed.listen(said(2, B))
    feed.listen(said(3, key_of(A)))
    feed.listen(said(4, key_of(B), relisted=True))
    assert feed.told_gone(key_of(A))
    assert not feed.told_gone(key_of(B))
    assert feed.lost_by_list("ingress")
    assert not feed.lost_by_list("secret")


def test_the_first_message_after_a_read_goes_on_from_it() -> None:
    feed = Feed()
    feed.read(said(7, A))
    feed.finish_read({key_of(A)})
    feed.listen(said(8, B))
    assert not feed.gap
    feed.listen(said(10, ingress("c")))
    assert feed.gap
