"""``limen up`` with real children: ready, restarted when they die, ended in order, none left behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.runtime.bus import Bus, BusOptions, Message, NoAnswer
from tests.support.nats import NatsServer
from tests.support.ports import can_connect, free_port
from tests.support.processes import REPOSITORY, Process, limen, process
from tests.support.waiting import eventually, eventually_sync

MANIFESTS = REPOSITORY / "examples" / "hosts-and-paths"
CLASS = REPOSITORY / "examples" / "ingressclass.yaml"


class Up:
    """A running ``limen up``."""

    def __init__(self, child: Process, state: Path, http: int, admin: int) -> None:
        self.child = child
        self.state = state
        self.http = http
        self.admin = admin

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/status")[1])
        return found

    def children(self) -> dict[str, dict[str, Any]]:
        return {child["name"]: child for child in self.status()["children"]}

    def wait_ready(self) -> None:
        eventually_sync(lambda: self.get("/readyz")[0] == 200, 20, what=f"ready; log:\n{self.child.output()[-3000:]}")

    def ask(self, host: str, path: str = "/") -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@contextmanager
def up(folder: Path, *words: str, manifests: Path | None = None) -> Iterator[Up]:
    http, admin, state = free_port(), free_port(), folder / "state"
    if manifests is None:
        manifests = folder / "manifests"
        shutil.copytree(MANIFESTS, manifests, dirs_exist_ok=True)
        shutil.copy(CLASS, manifests)
    command = limen(
        "up",
        f"--manifests={manifests}",
        f"--http=127.0.0.1:{http}",
        "--https=127.0.0.1:0",
        f"--admin=127.0.0.1:{admin}",
        f"--state={state}",
        "--worker-shutdown-timeout=2",
        *words,
    )
    with process(*command, log=folder / "up.log") as child:
        yield Up(child, state, http, admin)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _family(pid: int) -> set[int]:
    """``pid`` and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def test_it_serves_says_so_and_ends_cleanly(tmp_path: Path) -> None:
    with up(tmp_path, "--edges=2", "--workers=2") as running:
        running.wait_ready()
        assert running.ask("cafe.localhost", "/wine") == 404
        assert running.ask("cafe.localhost", "/tea") == 502  # its endpoint does not listen here
        assert running.get("/healthz")[0] == 200
        status = running.status()
        assert status["http"] == [f"127.0.0.1:{running.http}"]
        assert not status["https"][0].endswith(":0")
        children = running.children()
        assert set(children) == {"nats", "watcher", "compiler", "edge-1", "edge-2"}
        assert all(child["running"] and child["ready"] for child in children.values()), children
        assert children["edge-1"]["status"]["version"] >= 1
        metrics = running.get("/metrics")[1]
        assert "nginx_ingress_controller_requests{" in metrics
        assert 'limen_up_child_running{name="edge-2"} 1' in metrics
        family = _family(running.child.pid)
        assert len(family) >= 1 + 5
        assert running.child.terminate(15) == 0
        assert [pid for pid in family if _alive(pid)] == []
        assert not (running.state / "running.json").exists()


def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with up(tmp_path, "--workers=2") as running:
        running.wait_ready()
        family = _family(running.child.pid)
        os.kill(running.child.pid, signal.SIGKILL)
        eventually_sync(lambda: not [pid for pid in family if _alive(pid)], 20, what="every child to end")


def test_nothing_is_left_when_it_is_killed_while_starting(tmp_path: Path) -> None:
    with up(tmp_path, "--edges=2") as running:
        eventually_sync(lambda: (running.state / "nats" / "nats.conf").exists())
        family = _family(running.child.pid)
        os.kill(running.child.pid, signal.SIGKILL)
        running.child.wait()
        eventually_sync(lambda: not [pid for pid in family if _alive(pid)], 10)
    eventually_sync(lambda: not _mentioning(str(tmp_path)), 10, what="no process of this test")


def _mentioning(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


def test_children_that_die_are_started_again(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        running.wait_ready()
        before = running.children()
        for child in before.values():
            os.kill(child["pid"], signal.SIGKILL)

        def all_again() -> bool:
            now = running.children()
            return all(now[name]["restarts"] >= 1 and now[name]["ready"] for name in before)

        eventually_sync(all_again, 30, what=f"all again; log:\n{running.child.output()[-3000:]}")
        assert running.children()["edge-1"]["last_exit"] == "SIGKILL"
        running.wait_ready()
        assert running.ask("cafe.localhost", "/wine") == 404
        assert running.child.terminate(15) == 0


def test_it_is_not_ready_while_an_edge_is_not(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with up(tmp_path, f"--nats=nats://127.0.0.1:{free_port()}", manifests=tmp_path / "nothing") as running:
        eventually_sync(lambda: running.get("/healthz")[0] == 200, 20)
        assert running.get("/readyz")[0] == 503
        assert running.child.terminate(15) == 0


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with up(tmp_path, "--shutdown-grace-period=60") as running:
        running.wait_ready()
        family = _family(running.child.pid)
        running.child.send(signal.SIGINT)
        eventually_sync(lambda: running.get("/healthz")[0] == 500)
        running.child.send(signal.SIGINT)
        running.child.wait(5)
        eventually_sync(lambda: not [pid for pid in family if _alive(pid)], 5)


def test_a_state_folder_has_one_owner(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        eventually_sync(lambda: running.get("/healthz")[0] == 200, 20)
        (tmp_path / "second").mkdir()
        words = [f"--state={running.state}"]
        with up(tmp_path / "second", *words) as second:
            assert second.child.wait(10) == 1
            assert "another limen up uses it" in second.child.output()


def test_ports_in_use_are_said_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(tmp_path, f"--https=127.0.0.1:{port}") as running:
            assert running.child.wait(10) == 1
            assert f"--https 127.0.0.1:{port}: Address already in use" in running.child.output()


def test_it_ends_when_a_child_cannot_do_anything_with_its_options(tmp_path: Path) -> None:
    missing = tmp_path / "kubeconfig"
    words = ["up", "--kube", f"--kubeconfig={missing}", "--http=127.0.0.1:0", "--https=127.0.0.1:0"]
    words += [f"--admin=127.0.0.1:{free_port()}", f"--state={tmp_path / 'state'}"]
    with process(*limen(*words), log=tmp_path / "up.log") as child:
        assert child.wait(20) == 1
        assert f"--kube: {missing}: no such file" in child.output()
        assert "Error: watcher cannot run with these options" in child.output()


def test_commands_find_it(tmp_path: Path) -> None:
    with up(tmp_path, "--edges=2") as running:
        running.wait_ready()
        state = f"--state={running.state}"

        def run(*words: str) -> tuple[int, str]:
            log = tmp_path / f"{words[0]}-{time.monotonic_ns()}.log"
            with process(*limen(*words, state), log=log) as child:
                return child.wait(15), child.output()

        def live() -> dict[str, Any]:
            code, output = run("status", "--json")
            assert code == 0, output
            found: dict[str, Any] = json.loads(output)
            assert found["live"] == 2, found["edges"]
            return found

        found = eventually_sync(live, 10)
        assert {role["role"] for role in found["roles"]} == {"watcher", "compiler", "edge"}
        assert all(source["synced"] for source in found["sources"])
        code, output = run("status")
        assert code == 0
        assert "live on 2/2 edges" in output
        assert run("approve") == (0, "nothing is held\n")

        events = tmp_path / "events.log"
        with process(*limen("events", "--json", "route.>", state), log=events) as listening:
            changed = (tmp_path / "manifests" / "manifests.yaml").read_text()

            def seen() -> bool:
                # the subscription may not be there yet: a new path each time until an event has arrived
                text = changed.replace("path: /tea", f"path: /tea-{time.monotonic_ns()}")
                (tmp_path / "manifests" / "manifests.yaml").write_text(text)
                time.sleep(0.2)
                return "io.limen.route." in listening.output()

            eventually_sync(seen, 20)
        event = json.loads(listening.output().splitlines()[0])
        assert event["type"].startswith("io.limen.route.")


async def test_its_bus_lets_strangers_hear_events_and_nothing_else(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        await asyncio.to_thread(running.wait_ready)
        known = json.loads((running.state / "running.json").read_text())
        assert (running.state / "running.json").stat().st_mode & 0o077 == 0
        url = known["nats"]
        public = "nats://" + url.rpartition("@")[2]
        assert running.status()["nats"] == public
        owner = Bus(BusOptions(servers=(url,), name="owner"))
        stranger = Bus(BusOptions(servers=(public,), name="stranger"))
        heard: list[str] = []

        async def hear(message: Message) -> None:
            heard.append(message.subject)

        await stranger.subscribe("limen.events.>", hear)
        await stranger.subscribe("limen.live.>", hear)
        for bus in (owner, stranger):
            await bus.start()
            await asyncio.wait_for(bus.wait_connected(), 5)
        with pytest.raises(NoAnswer, match="NATS refused"):
            await stranger.append("limen.events.test.x.a.b", b"", timeout=0.5)
        await owner.publish("limen.live.delta", b"")
        await owner.publish("limen.events.test.x.a.b", b"")
        await eventually(lambda: "limen.events.test.x.a.b" in heard)
        assert all(subject.startswith("limen.events.") for subject in heard)
        await owner.close()
        await stranger.close()


def test_it_uses_a_given_bus(tmp_path: Path) -> None:
    async def with_server() -> None:
        server = NatsServer(tmp_path / "nats")
        await server.start()
        try:
            with up(tmp_path, f"--nats={server.url}", "--instance=blue") as running:
                await asyncio.to_thread(running.wait_ready)
                assert "nats" not in running.children()
                assert await asyncio.to_thread(running.ask, "cafe.localhost", "/wine") == 404
                assert await asyncio.to_thread(running.child.terminate, 15) == 0
            assert can_connect(server.port)
        finally:
            server.kill()

    asyncio.run(with_server())


def test_python_is_the_same_for_children(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        eventually_sync(lambda: running.get("/healthz")[0] == 200, 20)
        pid = eventually_sync(lambda: running.children()["watcher"].get("pid"), 10)
        assert Path(f"/proc/{pid}/exe").resolve() == Path(sys.executable).resolve()


def test_a_held_removal_is_shown_and_approved(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, folder)
    shutil.copy(CLASS, folder)
    one = (folder / "manifests.yaml").read_text().rpartition("---")[2]
    for number in range(24):
        text = one.replace("name: cafe", f"name: cafe-{number}").replace("cafe.localhost", f"cafe-{number}.localhost")
        (folder / f"cafe-{number}.yaml").write_text(text)
    with up(tmp_path, manifests=folder) as running:
        running.wait_ready()
        eventually_sync(lambda: running.ask("cafe-23.localhost", "/tea") == 502, what="all routes")
        assert running.child.terminate(15) == 0
    for number in range(24):
        (folder / f"cafe-{number}.yaml").unlink()
    with up(tmp_path, manifests=folder) as running:
        running.wait_ready()

        def run(*words: str) -> tuple[int, str]:
            log = tmp_path / f"{words[0]}-{time.monotonic_ns()}.log"
            with process(*limen(*words, f"--state={running.state}"), log=log) as child:
                return child.wait(30), child.output()

        eventually_sync(lambda: "limen approve" in run("status")[1], 15, what="held in the status")
        assert running.ask("cafe-23.localhost", "/tea") == 502
        code, output = run("approve")
        assert (code, output.startswith("passed: ")) == (0, True), output
        eventually_sync(lambda: running.ask("cafe-23.localhost", "/tea") == 404)
        assert run("approve") == (0, "nothing is held\n")


@pytest.mark.skipif(shutil.which("unshare") is None or os.getuid() != 0, reason="drops root by unshare, as root")
def test_it_needs_no_privilege(tmp_path: Path) -> None:
    http, admin = free_port(), free_port()
    words = ["up", f"--manifests={MANIFESTS}", f"--http=127.0.0.1:{http}", "--https=127.0.0.1:0"]
    command = limen(*words, f"--admin=127.0.0.1:{admin}", "--worker-shutdown-timeout=2")
    # a user namespace without a mapping: no capability in ours, and the user nobody
    environment = {"HOME": str(tmp_path), "XDG_STATE_HOME": ""}
    with process("unshare", "-U", *command, log=tmp_path / "log", env=environment) as child:
        running = Up(child, tmp_path, http, admin)
        running.wait_ready()
        assert list((tmp_path / ".local/state/limen").glob("limen-*/running.json"))
        assert child.terminate(15) == 0
        assert "Traceback" not in child.output()
    with process(
        "unshare", "-U", *limen(*words[:2], "--http=127.0.0.1:80"), log=tmp_path / "80", env=environment
    ) as low:
        assert low.wait(10) == 1
        assert "--http 127.0.0.1:80: Permission denied (ports below 1024" in low.output()
