"""Subjects are unambiguous; the digest does not depend on order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.digest import EMPTY, combine, entry_hash
from proto.objects import ObjectKey
from proto.subjects import Subjects, token, untoken

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(names)
def test_a_token_is_one_token_and_can_be_read_back(text: str) -> None:
    encoded = token(text)
    assert encoded
    assert not set(encoded) & set(". *>\t\r\n")
    assert untoken(encoded) == text


def test_tokens_stay_readable() -> None:
    assert token("www.example.com") == "www~example~com"
    assert token("*.example.com") == "%2A~example~com"
    assert token("") == "-"


def test_subjects_carry_the_instance() -> None:
    subjects = Subjects("blue")
    assert subjects.object(ObjectKey("ingress", "shop", "web.v2")) == "blue.objects.ingress.shop.web~v2"
    assert subjects.object(ObjectKey("ingressclass", "", "nginx")) == "blue.objects.ingressclass.-.nginx"
    assert subjects.deltas_stream == "BLUE_DELTAS"
    assert subjects.edge_report("edge-1.0") == "$KV.BLUE_EDGES.edge-1~0"
    assert subjects.event("route.added", "shop", "*.a") == "blue.events.route.added.shop.%2A~a"


@pytest.mark.parametrize("name", ["", "Limen", "a b", "a.b", "1a", "a" * 33, "x>"])
def test_an_instance_that_could_not_be_a_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="instance"):
        Subjects(name)


@given(st.dictionaries(names, st.binary(max_size=20)), st.randoms(use_true_random=False))
def test_the_digest_is_that_of_the_set_whatever_came_and_went(table: dict[str, bytes], random) -> None:  # type: ignore[no-untyped-def]
    entries = list(table.items())
    random.shuffle(entries)
    once = combine(EMPTY, added=sum(entry_hash("k", name, body) for name, body in entries))
    digest = EMPTY
    for name, body in table.items():
        digest = combine(digest, added=entry_hash("k", name, b"old" + body))
        digest = combine(digest, added=entry_hash("k", name, body), removed=entry_hash("k", name, b"old" + body))
    assert digest == once
    for name, body in entries:
        digest = combine(digest, removed=entry_hash("k", name, body))
    assert digest == EMPTY


def test_kind_and_name_cannot_be_shifted_into_each_other() -> None:
    assert entry_hash("ab", "c", b"") != entry_hash("a", "bc", b"")
    assert entry_hash("a", "b", b"c") != entry_hash("a", "bc", b"")
