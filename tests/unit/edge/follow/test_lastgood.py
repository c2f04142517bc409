"""The last-good file: what was written comes back, and what was damaged, forged or cut off does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.edge.follow.incoming import Opened, open_delta
from services.edge.follow.lastgood import LastGoodError, LastGoodFile
from services.edge.follow.unpack import slices
from tests.support.snapshots import Log, host, upstream, verifier


def opened(log: Log, *names: str) -> Opened:
    return open_delta(log.step(*(host(name) for name in names)), verifier())


def file_of(folder: Path) -> LastGoodFile:
    return LastGoodFile(folder, "a.b/c", verifier())


def write(file: LastGoodFile, log: Log, *names: str) -> None:
    proof = opened(log, *names).proof
    file.write(list(log.table.values()), proof)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    log, file = Log(epoch=4), file_of(tmp_path / "state")
    log.delta([upstream("default/a:80", *range(1, 900))])
    write(file, log, *(f"h{number}.example.com" for number in range(1000)))
    saved = file.read(file.path)
    assert saved is not None
    assert (saved.proof.epoch, saved.proof.version, saved.proof.digest) == (4, 2, log.digest)
    found = [record for piece in slices(saved.records) for record in piece]
    assert {record.key: record for record in found} == log.table


def test_there_may_be_no_file(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    assert file.read(file.path) is None


def test_its_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    assert file_of(tmp_path).path.parent == tmp_path
    assert LastGoodFile(tmp_path, "../../x", verifier()).path.parent == tmp_path


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    write(file, Log(), "a.example.com")
    assert file.path.stat().st_mode & 0o077 == 0


def test_the_one_before_is_kept_if_it_was_good(tmp_path: Path) -> None:
    log, file = Log(), file_of(tmp_path)
    write(file, log, "a.example.com")
    write(file, log, "b.example.com")
    older = file.read(file.previous)
    assert older is not None
    assert older.proof.version == 1


def test_a_damaged_file_never_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    log, file = Log(), file_of(tmp_path)
    write(file, log, "a.example.com")
    write(file, log, "b.example.com")
    file.path.write_bytes(b"damaged")
    successor = file_of(tmp_path)
    write(successor, log, "c.example.com")
    older = successor.read(successor.previous)
    assert older is not None
    assert older.proof.version == 1


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    write(file, Log(), "a.example.com")
    whole = file.path.read_bytes()
    for length in range(len(whole)):
        file.path.write_bytes(whole[:length])
        with pytest.raises(LastGoodError, match=r"snapshot"):
            file.read(file.path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    log, file = Log(), file_of(tmp_path)
    write(file, log, "a.example.com")
    whole = file.path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        file.path.write_bytes(damaged)
        with pytest.raises(LastGoodError):
            file.read(file.path)


def test_a_file_of_a_newer_format_says_so(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.write_bytes(b"limen-last-good 7\nwhatever")
    with pytest.raises(LastGoodError, match="format 7, this edge reads format 1"):
        file.read(file.path)


def test_a_file_that_another_key_signed_is_refused(tmp_path: Path) -> None:
    stranger = Log(seed=bytes(32))
    stranger.step(host("evil.example.com"))
    file = LastGoodFile(tmp_path, "e", verifier(seed=bytes(32)))
    file.write(list(stranger.table.values()), open_delta(stranger.step(), verifier(seed=bytes(32))).proof)
    with pytest.raises(LastGoodError, match="unknown key"):
        LastGoodFile(tmp_path, "e", verifier()).read(file.path)


def test_a_damaged_body_still_tells_which_version_it_was(tmp_path: Path) -> None:
    log, file = Log(epoch=2), file_of(tmp_path)
    write(file, log, "a.example.com")
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(LastGoodError) as caught:
        file.read(file.path)
    assert caught.value.proof is not None
    assert (caught.value.proof.epoch, caught.value.proof.version) == (2, 1)


def test_a_write_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    log, file = Log(), file_of(tmp_path)
    write(file, log, "a.example.com")
    before = file.path.read_bytes()
    (tmp_path / "edge-a~b%2Fc.snapshot.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(file, log, "b.example.com")
    assert file.path.read_bytes() == before
