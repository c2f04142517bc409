"""The hold of a compiler that starts: judged by the published table."""

from __future__ import annotations

from proto.codec import encode, record_of
from proto.objects import Ingress, KindCount, ObjectEnvelope, ObjectKey, WatcherBeacon
from proto.resources import Forward, PathMatch, ResourceKey, ResourceRecord, Route, Upstream, VirtualHost
from services.compiler.admission import Admitted
from services.compiler.feed import Feed
from services.compiler.starthold import StartHold
from services.compiler.table import Change, Table

UPSTREAM = record_of("default/web:80", Upstream())


def host(number: int, path: str = "/") -> ResourceRecord:
    name = f"app-{number}.example.com"
    route = Route(PathMatch("prefix", path), Forward("default/web:80"), (), f"default/app-{number}", path)
    return record_of(name, VirtualHost(name, routes=(route,)))


def feed_of(present: range, told: range = range(0), inferred: range = range(0)) -> Feed:
    feed, sequence = Feed(), 0
    for numbers, gone, relisted in ((present, False, False), (told, True, False), (inferred, True, True)):
        for number in numbers:
            key = ObjectKey("ingress", "default", f"app-{number}")
            ingress = Ingress(namespace="default", name=key.name)
            for body in (encode(ingress), b"")[: 2 if gone else 1]:
                sequence += 1
                envelope = ObjectEnvelope("limen", key, "s", sequence, 0.0, "", "", body, relisted and not body)
                feed.read(Admitted(envelope, ingress if body else None))
    return feed


def filtered(hold: StartHold, published: Table, wanted: list[ResourceRecord], feed: Feed) -> Change:
    records = {record.key: record.body for record in wanted}
    change = published.change_towards(records, {*records, *published.records})
    return hold.filter(change, published.records, records, feed, 1.0)


PUBLISHED = Table([UPSTREAM, *(host(number) for number in range(40))])


def test_routes_that_a_list_lost_are_held_and_the_rest_goes_on() -> None:
    hold, feed = StartHold(), feed_of(range(10), inferred=range(10, 40))
    change = filtered(hold, PUBLISHED, [host(0, "/changed"), *(host(number) for number in range(1, 10))], feed)
    assert [record.name for record in change.upserts] == ["app-0.example.com"]
    assert change.removals == ()  # not even the Upstream: what is held may refer to it
    assert hold.status is not None
    assert (hold.status.routes_now, hold.status.routes_after) == (40, 10)


def test_told_removals_pass_although_others_are_held() -> None:
    hold, feed = StartHold(), feed_of(range(0), told=range(5), inferred=range(5, 40))
    change = filtered(hold, PUBLISHED, [], feed)
    assert {key.name for key in change.removals} == {f"app-{number}.example.com" for number in range(5)}


def test_all_told_is_never_held() -> None:
    hold, feed = StartHold(), feed_of(range(0), told=range(40))
    assert len(filtered(hold, PUBLISHED, [], feed).removals) == 41
    assert hold.status is None


def test_less_than_half_passes() -> None:
    hold, feed = StartHold(), feed_of(range(20), inferred=range(20, 40))
    wanted = [UPSTREAM, *(host(number) for number in range(20))]
    assert len(filtered(hold, PUBLISHED, wanted, feed).removals) == 20


def test_objects_that_nobody_knows_of_count_as_lost() -> None:
    hold = StartHold()
    assert filtered(hold, PUBLISHED, [], Feed()).removals == ()
    assert hold.status is not None


def test_a_second_list_and_approval_let_go() -> None:
    def beacon(lists: int) -> WatcherBeacon:
        kinds = (KindCount("ingress", lists, 0), KindCount("ingressclass", lists, 0))
        return WatcherBeacon("limen", "s", 100, bytes(32), kinds)

    for approved in (True, False):
        hold, feed = StartHold(), feed_of(range(0), inferred=range(40))
        filtered(hold, PUBLISHED, [], feed)
        assert hold.status is not None
        if approved:
            hold.approve()
        else:
            hold.beacon(beacon(1))
            assert filtered(hold, PUBLISHED, [], feed).removals == ()
            hold.beacon(beacon(2))
        assert len(filtered(hold, PUBLISHED, [], feed).removals) == 41
        assert hold.status is None


def test_it_decides_once() -> None:
    """What goes later is judged by the other hold, which knows the objects."""
    hold, feed = StartHold(), feed_of(range(40))
    everything = [UPSTREAM, *(host(number) for number in range(40))]
    assert not filtered(hold, PUBLISHED, everything, feed)
    assert len(filtered(hold, PUBLISHED, [], Feed()).removals) == 41


def test_a_host_stays_with_its_groups() -> None:
    keys = [ResourceKey("routegroup", "app-1.example.com#1"), ResourceKey("routegroup", "other.example.com#1")]
    hold, feed = StartHold(), feed_of(range(0), inferred=range(40))
    filtered(hold, PUBLISHED, [], feed)
    change = hold.filter(Change((), tuple(keys)), PUBLISHED.records, {}, feed, 1.0)
    assert change.removals == (keys[1],)
