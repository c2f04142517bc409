"""Keys that are derived from the sealing key."""

from __future__ import annotations

from proto.sealing import Sealer

KEY, OTHER = bytes(range(64)), bytes(range(1, 65))


def test_all_who_have_the_key_derive_the_same_and_nobody_else_does() -> None:
    one = Sealer("limen", [("00" * 8, KEY)]).derived("a")
    assert len(one) == 32
    assert one == Sealer("limen", [("00" * 8, KEY), ("11" * 8, OTHER)]).derived("a")
    others = [Sealer("limen", [("00" * 8, KEY)]).derived("b"), Sealer("x", [("00" * 8, KEY)]).derived("a")]
    assert one not in (*others, Sealer("limen", [("00" * 8, OTHER)]).derived("a"))
