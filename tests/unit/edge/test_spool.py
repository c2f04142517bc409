"""What waits in memory or in a file comes out as it went in, and is counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import spool
from services.edge.spool import ALWAYS, PIECE, ROOMY, Backlog, Collected, Spools

SIZES = st.one_of(
    st.integers(0, 300), st.sampled_from([ALWAYS - 1, ALWAYS, ALWAYS + 1, ROOMY, ROOMY + 1, PIECE, PIECE + 1])
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


def bytes_from(start: int, size: int) -> bytes:
    """``size`` bytes of an endless sequence that tells where one is."""
    first = start // 4
    return b"".join(n.to_bytes(4) for n in range(first, first + size // 4 + 2))[start % 4 : start % 4 + size]


def whole(collected: Collected) -> bytes:
    read = b""
    while len(read) < collected.size:
        read += collected.read(len(read))
    return read


@given(st.lists(SIZES, max_size=8), st.sampled_from([0, ALWAYS, 3 * ROOMY]), st.sampled_from([0, ROOMY, 1 << 30]))
def test_what_is_collected_is_read_as_often_as_wanted(folder: Path, sizes: list[int], memory: int, budget: int) -> None:
    spools = Spools(folder, budget)
    collected = Collected(spools, memory)
    for size in sizes:
        collected.put(bytes_from(collected.size, size))
        assert spools.held <= budget
        assert spools.files == collected.on_disk
        if collected.on_disk:
            assert spools.held == 0
    total = sum(sizes)
    assert (collected.size, collected.on_disk) == (total, total > max(memory, ROOMY) or max(total - ALWAYS, 0) > budget)
    if collected.on_disk:
        assert whole(collected) == whole(collected) == bytes_from(0, total)
    else:
        assert collected.give() == bytes_from(0, total)
    collected.close()
    collected.close()
    assert (spools.held, spools.files) == (0, 0)


@given(
    st.lists(st.one_of(SIZES, st.just(-1)), max_size=20),
    st.sampled_from([1, 3 * ROOMY]),
    st.sampled_from([0, PIECE, 1 << 30]),
    st.sampled_from([0, ROOMY, 1 << 30]),
)
def test_a_queue_keeps_the_order_whatever_waits_where(
    folder: Path, steps: list[int], memory: int, file: int, budget: int
) -> None:
    spools = Spools(folder, budget)
    backlog = Backlog(spools, memory, file)
    put = taken = 0
    for step in steps:
        if step > 0:
            backlog.put(bytes_from(put, step))
            put += step
        elif backlog.size:
            data = backlog.take()
            assert data == bytes_from(taken, len(data))
            taken += len(data)
        assert backlog.size == put - taken
        assert spools.files <= (1 if file else 0)
    while backlog.size:
        data = backlog.take()
        assert data == bytes_from(taken, len(data))
        taken += len(data)
    assert spools.held == 0
    assert not backlog.full or file == 0
    backlog.close()
    assert (spools.held, spools.files) == (0, 0)


def test_a_queue_says_when_it_is_full(folder: Path) -> None:
    spools = Spools(folder)
    in_memory, in_file = Backlog(spools, 1, 0), Backlog(spools, 1, 1000)
    in_memory.put(bytes(ROOMY - 1))
    assert not in_memory.full
    in_memory.put(b"x")
    assert in_memory.full
    in_file.put(bytes(ROOMY))
    in_file.put(bytes(999))
    assert not in_file.full
    in_file.put(b"x")
    assert in_file.full
    in_memory.close()
    in_file.close()


def test_one_budget_for_all(folder: Path) -> None:
    spools = Spools(folder, budget=3 * (ROOMY - ALWAYS))
    made = [Collected(spools, ALWAYS) for _ in range(10)]
    for collected in made:
        collected.put(bytes(ROOMY))
    assert [collected.on_disk for collected in made] == [False] * 3 + [True] * 7
    small = Collected(spools, ALWAYS)
    small.put(bytes(ALWAYS))
    assert not small.on_disk
    made[0].close()
    made[3].close()
    another = Collected(spools, ALWAYS)
    another.put(bytes(ROOMY))
    assert not another.on_disk
    for collected in (*made, small, another):
        collected.close()
    assert (spools.held, spools.files) == (0, 0)


def test_files_have_no_names(folder: Path) -> None:
    collected = Collected(Spools(folder), 0)
    collected.put(bytes(ROOMY + 1))
    assert collected.on_disk
    assert os.listdir(folder) == []
    collected.close()


def test_a_disk_that_is_nearly_full_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spools = Spools(folder)
    monkeypatch.setattr(spool, "SPARED", 1 << 62)
    for _ in range(2):
        collected = Collected(spools, 0)
        with pytest.raises(OSError, match="are left in"):
            collected.put(bytes(ROOMY + 1))
        collected.close()
    monkeypatch.setattr(spool, "SPARED", 0)
    collected = Collected(spools, 0)
    collected.put(bytes(ROOMY + 1))
    assert collected.on_disk
    collected.close()


def test_a_folder_that_is_gone_is_an_error_of_the_one_who_asks(tmp_path: Path) -> None:
    spools = Spools(tmp_path / "gone")
    collected = Collected(spools, 0)
    collected.put(bytes(ROOMY))
    with pytest.raises(OSError, match="No such file"):
        collected.put(b"x")
    collected.close()
    assert (spools.held, spools.files) == (0, 0)
