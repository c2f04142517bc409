"""Counters of several workers make one text that Prometheus' own parser reads back."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from services.edge.options import DEFAULT_METRICS
from services.edge.process.families import families_of
from services.edge.process.metrics import Counters, Family, Series, Totals

REQUESTS = Family("hits_total", "counter", "Requests.", ("host", "status"))
DURATION = Family("duration_seconds", "histogram", "Durations.", ("host",), (0.1, 1.0))


def read(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_workers_are_added_up() -> None:
    totals = Totals([REQUESTS, DURATION])
    for count in (2.0, 3.0):
        totals.add(
            Counters(
                {
                    "hits_total": [Series(("a", "200"), [count]), Series(("b", "404"), [1.0])],
                    "duration_seconds": [Series(("a",), [count, 1.0, 0.0, 0.75])],
                }
            )
        )
    found = read(totals.render())
    assert found[("hits_total", (("host", "a"), ("status", "200")))] == 5
    assert found[("hits_total", (("host", "b"), ("status", "404")))] == 2
    assert found[("duration_seconds_bucket", (("host", "a"), ("le", "0.1")))] == 5
    assert found[("duration_seconds_bucket", (("host", "a"), ("le", "1")))] == 7
    assert found[("duration_seconds_bucket", (("host", "a"), ("le", "+Inf")))] == 7
    assert found[("duration_seconds_count", (("host", "a"),))] == 7
    assert found[("duration_seconds_sum", (("host", "a"),))] == 1.5


def test_adding_leaves_a_workers_own_numbers_alone() -> None:
    counters = Counters({"hits_total": [Series(("a", "200"), [2.0])]})
    totals = Totals([REQUESTS])
    totals.add(counters)
    totals.add(counters)
    assert counters.families["hits_total"][0].values == [2.0]


def test_label_values_are_escaped() -> None:
    totals = Totals([REQUESTS])
    totals.add(Counters({"hits_total": [Series(('a"\\\n', "200"), [1.0])]}))
    assert read(totals.render()) == {("hits_total", (("host", 'a"\\\n'), ("status", "200"))): 1.0}


def test_constant_labels_stand_on_every_series() -> None:
    totals = Totals([REQUESTS], constant={"controller_pod": "p"})
    totals.add(Counters({"hits_total": [Series(("a", "200"), [1.0])]}))
    assert read(totals.render()) == {("hits_total", (("controller_pod", "p"), ("host", "a"), ("status", "200"))): 1.0}


def test_what_does_not_fit_is_passed_over() -> None:
    totals = Totals([DURATION])
    totals.add(
        Counters({"duration_seconds": [Series(("a",), [1.0]), Series((), [1.0] * 4)], "unknown": [Series((), [1.0])]})
    )
    assert totals.render() == b""


def test_every_family_has_one_name() -> None:
    names = [family.name for family in families_of(DEFAULT_METRICS)]
    assert len(names) == len(set(names))
