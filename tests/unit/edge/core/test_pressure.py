"""From looks to a level."""

from __future__ import annotations

from services.edge.core.pressure import BUSY, LATE, LATE_TICKS, Measured, Pressure

WELL = Measured(0.01, 1.0, 0.5, 0.5)


def test_a_worker_with_much_to_do_is_not_pressed() -> None:
    assert Pressure().look(WELL) == "normal"


def test_few_connections_left_means_shedding_and_none_when_they_are_back() -> None:
    pressure = Pressure()
    assert pressure.look(Measured(0.0, 1.0, 0.95, 0.0)) == "shedding"
    assert pressure.look(Measured(0.0, 1.0, 0.90, 0.0)) == "normal"


def test_memory_first_sheds_and_then_refuses() -> None:
    pressure = Pressure()
    assert [pressure.look(Measured(0.0, 0.1, 0.1, share)) for share in (0.89, 0.9, 0.95, 0.93, 0.5)] == [
        "normal",
        "shedding",
        "refusing",
        "shedding",
        "normal",
    ]


def test_being_late_again_and_again_refuses_until_it_is_over() -> None:
    pressure = Pressure()
    late = Measured(LATE, BUSY, 0.1, 0.0)
    assert [pressure.look(late) for _ in range(LATE_TICKS)][-2:] == ["normal", "refusing"]
    assert pressure.look(WELL) == "normal"
    assert pressure.look(late) == "normal"


def test_a_machine_that_is_late_is_not_the_workers_pressure() -> None:
    pressure = Pressure()
    starved = Measured(60.0, BUSY - 0.1, 0.1, 0.0)
    assert {pressure.look(starved) for _ in range(2 * LATE_TICKS)} == {"normal"}
