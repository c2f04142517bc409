"""Records that generations share behave as a copied dict would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.layered import MERGE_AT, Layered

names = st.sampled_from([f"n{number}" for number in range(12)])
changes = st.dictionaries(names, st.none() | st.binary(max_size=2), max_size=5)


@given(st.dictionaries(names, st.binary(max_size=2)), st.lists(changes, max_size=8))
def test_it_is_a_dict_that_is_never_changed(start: dict[str, bytes], steps: list[dict[str, bytes | None]]) -> None:
    expected, seen = dict(start), Layered(start)
    history = [(dict(expected), seen)]
    for step in steps:
        seen = seen.changed(step)
        merged = {**expected, **step}
        expected = {name: body for name, body in merged.items() if body is not None}
        history.append((dict(expected), seen))
    for wanted, layered in history:
        assert len(layered) == len(wanted)
        assert {f"n{number}": layered.get(f"n{number}") for number in range(12) if f"n{number}" in layered} == wanted


def test_many_changes_are_merged_and_removals_stay_removed() -> None:
    layered = Layered({"gone": b"1", "kept": b"2"}).changed({"gone": None})
    for number in range(MERGE_AT + 10):
        layered = layered.changed({f"x{number}": b"3"})
    assert len(layered) == MERGE_AT + 11
    assert "gone" not in layered
    assert (layered.get("kept"), layered.get("x0")) == (b"2", b"3")
