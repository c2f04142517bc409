"""The table's digest follows every change, and a change never reaches it half."""

from __future__ import annotations

import random

from proto.digest import EMPTY
from proto.resources import ResourceKey
from services.edge.follow.table import ResourceTable, Staging
from tests.support.snapshots import Log, host, upstream


def test_deltas_lead_to_the_writers_digest() -> None:
    log, table = Log(), ResourceTable()
    for delta in (
        log.delta([host("a.example.com"), upstream("default/a:80", 1)]),
        log.delta([upstream("default/a:80", 1, 2)]),
        log.delta([host("b.example.com")], [ResourceKey("virtualhost", "a.example.com")]),
    ):
        table.apply(table.change_of([delta]))
        assert table.digest == delta.digest
    assert len(table) == 2
    assert table.count("virtualhost") == 1
    assert table.body("virtualhost", "a.example.com") is None


def test_a_run_of_deltas_is_one_change() -> None:
    log, table = Log(), ResourceTable()
    gone = ResourceKey("virtualhost", "a.example.com")
    deltas = [
        log.delta([host("a.example.com"), host("b.example.com")]),
        log.delta([], [gone]),
        log.delta([host("a.example.com", "default/other:80")]),
        log.delta([host("c.example.com")], [gone]),
    ]
    change = table.change_of(deltas)
    assert {record.name for record in change.upserts} == {"b.example.com", "c.example.com"}
    assert change.removals == ()
    assert change.digest == log.digest
    table.apply(change)
    assert table.digest == log.digest


def test_computing_a_change_leaves_the_table_alone() -> None:
    log, table = Log(), ResourceTable()
    table.change_of([log.delta([host("a.example.com")])])
    assert len(table) == 0
    assert table.digest == EMPTY


def test_removing_what_is_not_there_changes_nothing_else() -> None:
    log, table = Log(), ResourceTable()
    change = table.change_of([log.delta([host("a.example.com")], [ResourceKey("upstream", "default/x:80")])])
    assert change.removals == ()
    assert change.digest == log.digest


def test_a_whole_new_table_is_staged_as_the_difference() -> None:
    log, table = Log(), ResourceTable()
    table.apply(table.change_of([log.delta([host("a.example.com"), host("b.example.com"), host("c.example.com")])]))
    other = Log()
    other.delta([host("b.example.com"), host("c.example.com", "default/new:80"), host("d.example.com")])
    records = list(other.table.values())
    random.Random(1).shuffle(records)
    staging = Staging(table)
    staging.add(records[:1])
    staging.add(records[1:])
    change = staging.change()
    assert {record.name for record in change.upserts} == {"c.example.com", "d.example.com"}
    assert change.removals == (ResourceKey("virtualhost", "a.example.com"),)
    assert change.digest == other.digest
    assert staging.current
    table.apply(change)
    assert sorted(record.name for record in table.records()) == ["b.example.com", "c.example.com", "d.example.com"]
    assert not staging.current
