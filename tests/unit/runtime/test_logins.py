"""``services.runtime.logins``: nkeys for the bus."""

from __future__ import annotations

from pathlib import Path

import nkeys
import pytest

from services.runtime.keys import KeysError
from services.runtime.logins import LOGINS, make_logins


def test_makes_a_seed_and_its_public_key_for_each_login(tmp_path: Path) -> None:
    made = make_logins(tmp_path / "nats")
    assert set(made.written) == {f"{login}.{end}" for login in LOGINS for end in ("nk", "pub")}
    for login in LOGINS:
        seed = tmp_path / "nats" / f"{login}.nk"
        assert seed.stat().st_mode & 0o777 == 0o600
        public = nkeys.from_seed(bytearray(seed.read_bytes())).public_key.decode()
        assert (tmp_path / "nats" / f"{login}.pub").read_text() == public
        assert public.startswith("U")


def test_keeps_seeds_and_makes_only_what_is_missing(tmp_path: Path) -> None:
    make_logins(tmp_path)
    before = (tmp_path / "edge.nk").read_text()
    public = (tmp_path / "edge.pub").read_text()
    (tmp_path / "edge.pub").unlink()
    (tmp_path / "observer.nk").unlink()
    (tmp_path / "observer.pub").unlink()
    made = make_logins(tmp_path)
    assert set(made.written) == {"edge.pub", "observer.nk", "observer.pub"}
    assert (tmp_path / "edge.nk").read_text() == before
    assert (tmp_path / "edge.pub").read_text() == public


def test_names_the_file_that_holds_no_seed(tmp_path: Path) -> None:
    (tmp_path / "compiler.nk").write_text("not a seed")
    with pytest.raises(KeysError, match=r"compiler\.nk: not the seed of an nkey"):
        make_logins(tmp_path)
