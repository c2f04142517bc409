"""The hold: which relisted removals wait, and what lets them pass."""

from __future__ import annotations

from collections.abc import Collection

from proto.objects import Ingress, Kind, KindCount, ObjectKey, WatcherBeacon
from services.compiler.feed import ObjectChange
from services.compiler.hold import Hold, is_mass_removal


def key(number: int) -> ObjectKey:
    return ObjectKey("ingress", "default", f"app-{number}")


def gone(number: int, sequence: int = 1, session: str = "one", *, relisted: bool = True) -> ObjectChange:
    return ObjectChange(key(number), None, session, sequence, relisted=relisted)


def back(number: int) -> ObjectChange:
    return ObjectChange(key(number), Ingress(namespace="default", name=f"app-{number}"), "one", 99)


def beacon(sequence: int, lists: int, session: str = "one", kind: Kind = "ingress") -> WatcherBeacon:
    return WatcherBeacon("limen", session, sequence, bytes(32), (KindCount(kind, lists, 0),))


class Routes:
    """One route for each of ``total`` Ingresses."""

    def __init__(self, total: int) -> None:
        self.total = total

    def preview(self, keys: Collection[ObjectKey]) -> tuple[int, int]:
        return self.total, self.total - len(keys)


def hold_of(count: int) -> Hold:
    """A hold that was told of two lists, and of ``count`` removals by the third, which is not counted yet."""
    hold = Hold()
    hold.beacon(beacon(0, 2))
    for number in range(count):
        assert hold.keeps(gone(number, number + 1))
    return hold


def test_what_is_a_mass_removal() -> None:
    assert is_mass_removal(30, 10)
    assert is_mass_removal(11, 0)
    assert not is_mass_removal(10, 0)  # not more than ten
    assert not is_mass_removal(40, 20)  # not more than half
    assert is_mass_removal(40, 19)


def test_told_removals_are_not_kept() -> None:
    assert not Hold().keeps(gone(1, relisted=False))


def test_few_pass_with_the_next_beacon() -> None:
    """Before it, they may be the beginning of many."""
    hold = hold_of(10)
    assert hold.release(Routes(100).preview, 0.0) == []
    hold.beacon(beacon(10, 2))
    assert len(hold.release(Routes(100).preview, 0.0)) == 10
    assert len(hold) == 0


def test_more_wait_until_the_list_is_over() -> None:
    hold, routes = hold_of(20), Routes(100)
    assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(19, 3))  # sent before the last of them
    assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(20, 2))  # between two pages of the list
    assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(20, 3))
    assert len(hold.release(routes.preview, 0.0)) == 20
    assert hold.status is None


def test_a_list_in_pages_is_one_list() -> None:
    hold, routes = hold_of(30), Routes(100)
    hold.release(routes.preview, 0.0)
    hold.beacon(beacon(30, 2))
    assert hold.release(routes.preview, 0.0) == []
    for number in range(30, 80):
        hold.keeps(gone(number, number + 1))
    hold.beacon(beacon(80, 2))
    hold.beacon(beacon(80, 3))
    assert hold.release(routes.preview, 0.0) == []
    assert hold.status is not None
    assert hold.status.routes_after == 20


def test_few_by_few_are_counted_together() -> None:
    hold, passed = hold_of(0), 0
    for number in range(30):
        hold.keeps(gone(number, number + 1))
        hold.beacon(beacon(number + 1, 2))
        passed += len(hold.release(Routes(30 - passed).preview, 0.0))
    assert passed == 10
    hold.beacon(beacon(30, 3))
    assert hold.release(Routes(20).preview, 0.0) == []
    assert hold.status is not None


def test_more_than_half_is_held_until_a_second_list() -> None:
    hold, routes = hold_of(60), Routes(100)
    hold.release(routes.preview, 7.0)
    for lists in (2, 3, 3):  # the list that lacked them may be counted after it was told
        hold.beacon(beacon(60, lists))
        assert hold.release(routes.preview, 8.0) == []
    assert hold.status is not None
    assert (hold.status.routes_now, hold.status.routes_after) == (100, 40)
    assert hold.status.since == 8.0
    hold.beacon(beacon(61, 4))
    assert len(hold.release(routes.preview, 9.0)) == 60
    assert hold.status is None


def test_a_list_that_never_ends_is_shown_all_the_same() -> None:
    hold, routes = hold_of(60), Routes(100)
    assert hold.release(routes.preview, 7.0) == []
    assert hold.release(routes.preview, 7.5) == []
    assert hold.status is None
    assert hold.release(routes.preview, 8.5) == []
    assert hold.status is not None


def test_another_run_that_has_listed_is_a_second_look() -> None:
    hold, routes = hold_of(60), Routes(100)
    hold.beacon(beacon(60, 3))
    hold.release(routes.preview, 0.0)
    hold.beacon(beacon(1, 0, "two"))
    assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(1, 1, "two"))
    assert len(hold.release(routes.preview, 0.0)) == 60


def test_a_new_runs_first_list_is_the_first_look() -> None:
    hold, routes = Hold(), Routes(100)
    hold.beacon(beacon(9, 7, "one"))
    for number in range(60):
        hold.keeps(gone(number, number + 1, "two"))
    hold.beacon(beacon(60, 1, "two"))
    assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(60, 2, "two"))
    assert len(hold.release(routes.preview, 0.0)) == 60


def test_who_has_just_begun_to_listen_is_careful() -> None:
    hold, routes = Hold(), Routes(100)
    for number in range(60):
        hold.keeps(gone(number, number + 1))
    for lists in (2, 3):
        hold.beacon(beacon(60, lists))
        assert hold.release(routes.preview, 0.0) == []
    hold.beacon(beacon(60, 4))
    assert len(hold.release(routes.preview, 0.0)) == 60


def test_another_kinds_list_is_no_second_look() -> None:
    hold, routes = hold_of(60), Routes(100)
    hold.beacon(beacon(60, 3))
    hold.beacon(beacon(60, 9, kind="secret"))
    assert hold.release(routes.preview, 0.0) == []


def test_what_comes_back_is_not_removed() -> None:
    hold, routes = hold_of(60), Routes(100)
    hold.beacon(beacon(60, 3))
    hold.release(routes.preview, 0.0)
    assert hold.status is not None
    for number in range(20):
        assert not hold.keeps(back(number))
    assert len(hold.release(routes.preview, 0.0)) == 40  # no longer more than half
    hold = hold_of(60)
    for number in range(60):
        hold.keeps(back(number))
    assert len(hold) == 0
    assert hold.status is None


def test_approval() -> None:
    hold = hold_of(60)
    hold.beacon(beacon(60, 3))
    hold.release(Routes(60).preview, 0.0)
    assert len(hold.approve()) == 60
    assert hold.status is None
    assert hold.approve() == []
