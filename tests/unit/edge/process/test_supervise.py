"""The supervisor with real processes: they start, are started again, end in their order, and end with it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.support.processes import Process, process
from tests.support.waiting import eventually_sync

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from services.edge.process.supervise import Program, Supervisor
from services.runtime import logs

folder = Path(sys.argv[1])
logs.setup("test", False)

def body(name, linger):
    def run():
        stopped = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        (folder / name).write_text(str(os.getpid()))
        with (folder / "order").open("a") as order:
            print("start", name, file=order, flush=True)
            while not stopped:
                time.sleep(0.01)
            time.sleep(linger)
            print("end", name, file=order, flush=True)
        return 0
    return run

programs = [Program("a", body("a", 0.3)), Program("b", body("b", 0.1)), Program("z", body("z", 0), last=True)]
print("code", Supervisor(programs).run(), flush=True)
"""


def supervised(folder: Path):  # type: ignore[no-untyped-def]
    return process(sys.executable, "-c", SCRIPT, folder, log=folder / "log")


def pid_of(folder: Path, name: str, other_than: int = 0) -> int:
    def read() -> int:
        text = (folder / name).read_text() if (folder / name).exists() else ""
        return int(text) if text and int(text) != other_than else 0

    return eventually_sync(read, what=f"process {name}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]


def started(folder: Path) -> dict[str, int]:
    return {name: pid_of(folder, name) for name in "abz"}


def test_all_end_in_order_and_the_code_is_zero(tmp_path: Path) -> None:
    with supervised(tmp_path) as child:
        started(tmp_path)
        assert child.terminate() == 0
    lines = (tmp_path / "order").read_text().splitlines()
    assert [line for line in lines if line.startswith("end")] == ["end b", "end a", "end z"]
    assert "code 0" in child.output()


def test_a_dead_process_is_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path) as child:
        pids = started(tmp_path)
        os.kill(pids["a"], signal.SIGKILL)
        assert pid_of(tmp_path, "a", other_than=pids["a"]) != pids["a"]
        assert alive(pids["b"])
        assert child.terminate() == 0
    assert "process ended by itself" in child.output()


def test_no_process_outlives_the_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path) as child:
        pids = started(tmp_path)
        os.kill(child.pid, signal.SIGKILL)
        eventually_sync(lambda: not any(alive(pid) for pid in pids.values()), 5, "all processes gone")


def test_an_interrupt_for_the_whole_group_ends_all(tmp_path: Path) -> None:
    with supervised(tmp_path) as child:
        pids = started(tmp_path)
        child.send(signal.SIGINT)
        assert child.wait() == 0
        assert not any(alive(pid) for pid in pids.values())
    assert isinstance(child, Process)
