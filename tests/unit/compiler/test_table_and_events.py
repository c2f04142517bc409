"""The published table, and what a new version is told as."""

from __future__ import annotations

import pytest

from proto.codec import record_of
from proto.digest import EMPTY
from proto.events import RouteAdded, RouteRemoved, RouteUpdated, SnapshotPublished, UpstreamChanged
from proto.objects import ObjectKey
from proto.policies import SSLRedirect
from proto.resources import (
    Certificate,
    Endpoint,
    Forward,
    PathMatch,
    Resource,
    ResourceKey,
    ResourceRecord,
    Route,
    RouteGroup,
    Upstream,
    VirtualHost,
)
from proto.signing import Signer
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, Position
from services.compiler.certificates import DAY, expiring
from services.compiler.events import MAX_EVENTS, Changed, Published, events_of
from services.compiler.signed import Entry
from services.compiler.table import Change, Table, TableError


def route(path: str, upstream: str = "default/web:80", *policies: SSLRedirect) -> Route:
    return Route(PathMatch("prefix", path), Forward(upstream), policies, "default/app", path)


def host(name: str, *routes: Route) -> ResourceRecord:
    return record_of(name, VirtualHost(name, routes=routes))


def upstream(*addresses: str) -> ResourceRecord:
    return record_of("default/web:80", Upstream(tuple(Endpoint(address, 80) for address in addresses)))


A, B = host("a.example.com", route("/")), host("b.example.com", route("/"))


class TestTable:
    def test_the_digest_follows_the_content_alone(self) -> None:
        one, other = Table([A, B]), Table([B])
        other.apply(Change((A,)))
        assert one.digest == other.digest
        other.apply(Change((), (A.key, B.key)))
        assert other.digest == EMPTY

    def test_a_change_that_leads_elsewhere_does_nothing(self) -> None:
        table = Table([A])
        with pytest.raises(TableError):
            table.apply(Change((B,)), bytes(32))
        assert set(table.records) == {A.key}

    def test_the_difference_leads_to_what_is_wanted(self) -> None:
        table = Table([A, upstream("10.0.0.1")])
        wanted = {B.key: B.body, upstream().key: upstream("10.0.0.2").body}
        change = table.change_towards(wanted, {*wanted, *table.records})
        assert change.removals == (A.key,)
        assert {record.key for record in change.upserts} == set(wanted)
        table.apply(change)
        assert table.records == wanted
        assert not table.change_towards(wanted, wanted)

    def test_equal_differences_have_equal_order(self) -> None:
        table = Table()
        wanted = {record.key: record.body for record in (B, A)}
        assert [record.name for record in table.change_towards(wanted, wanted).upserts] == [A.name, B.name]

    def test_records_after_a_change(self) -> None:
        table = Table([A])
        assert set(table.records_after(Change((B,), (A.key,)))) == {B}
        assert set(table.all_records()) == {A}


def published(*changed: tuple[ResourceRecord | None, ResourceRecord | None], before: int = 6) -> Published:
    base = BaseRef(1, 1, 1, 1, bytes(32), bytes(32))
    cause = Cause("change", (ObjectKey("ingress", "default", "app"),), "42", 1.5, "ab" * 16, changes=1)
    delta = Delta(SCHEMA, "limen", 1, 7, bytes(32), base, cause, 2.0)
    proof = Signer("k", bytes(32)).prove("limen", 1, 7, bytes(32), b"")
    changes = tuple(
        Changed((old or new).key, old.body if old else None, new.body if new else None)  # type: ignore[union-attr]
        for old, new in changed
    )
    return Published(Entry(proof, delta), Position(1, before), changes, {"routes": 3})


class TestEvents:
    def test_the_snapshot_comes_first_with_its_cause(self) -> None:
        first = next(iter(events_of(published((None, A)))))
        assert isinstance(first, SnapshotPublished)
        assert (first.from_version, first.to_version, first.cause) == (6, 7, "change")
        assert first.objects == ("ingress default/app",)
        assert first.counts == {"routes": 3, "virtualhosts_changed": 1}
        assert (first.upserts, first.removals) == (1, 0)

    def test_routes_added_changed_and_removed(self) -> None:
        old = host("a.example.com", route("/same"), route("/changed"), route("/gone"))
        new = host(
            "a.example.com", route("/same"), route("/changed", "default/web:80", SSLRedirect(True)), route("/new")
        )
        _, *events = events_of(published((old, new)))
        told = {(type(event), event.path) for event in events}  # type: ignore[union-attr]
        assert told == {(RouteRemoved, "/gone"), (RouteUpdated, "/changed"), (RouteAdded, "/new")}

    def test_a_route_that_moves_between_groups_is_no_news(self) -> None:
        def group(name: str, *routes: Route) -> ResourceRecord:
            return record_of(f"a.example.com#{name}", RouteGroup(routes))

        moved = route("/moved")
        _, *events = events_of(
            published((group("1", moved), group("1", route("/one"))), (group("2"), group("2", moved)))
        )
        assert [event.path for event in events if isinstance(event, RouteAdded)] == ["/one"]
        assert len(events) == 1
        assert isinstance(events[0], RouteAdded)
        assert events[0].host == "a.example.com"

    def test_endpoints_that_came_and_went(self) -> None:
        _, event = events_of(published((upstream("10.0.0.1", "10.0.0.2"), upstream("10.0.0.2", "fd00::1"))))
        assert isinstance(event, UpstreamChanged)
        assert event.added == ("[fd00::1]:80",)
        assert event.removed == ("10.0.0.1:80",)
        assert event.total == 2

    def test_mass_changes_are_bounded_and_counted(self) -> None:
        changes = [(None, host(f"h{number}.example.com", route("/"))) for number in range(MAX_EVENTS + 500)]
        snapshot, *events = events_of(published(*changes))
        assert len(events) == MAX_EVENTS
        assert isinstance(snapshot, SnapshotPublished)
        assert snapshot.counts["virtualhosts_changed"] == MAX_EVENTS + 500
        assert snapshot.counts["resources_not_told"] == 500

    def test_a_new_epoch_begins_at_version_zero(self) -> None:
        told = published((None, A))
        snapshot = next(iter(events_of(Published(told.entry, Position(0, 5), told.changed))))
        assert isinstance(snapshot, SnapshotPublished)
        assert snapshot.from_version == 0

    def test_what_cannot_be_read_is_not_told(self) -> None:
        odd = ResourceRecord("upstream", "default/odd:80", b"\xc1")
        assert len(list(events_of(published((None, odd), (None, A))))) == 2


def test_certificates_that_end_soon() -> None:
    now = 1_000 * DAY

    def certificate(name: str, days: float) -> tuple[ResourceKey, bytes]:
        resource: Resource = Certificate((b"",), (f"{name}.example.com",), 0, int(now + days * DAY), "00", b"")
        record = record_of(f"default/{name}", resource)
        return record.key, record.body

    table = dict([certificate("fine", 30), certificate("soon", 3.5), certificate("over", -2.5), (A.key, A.body)])
    assert {(event.certificate, event.days_left) for event in expiring(table, now)} == {
        ("default/soon", 3),
        ("default/over", -3),
    }
