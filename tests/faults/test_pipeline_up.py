"""``limen up`` as a whole: each of its processes killed under load, and its own end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edges import alive
from tests.support.pipeline import Edge, Manifests, family
from tests.support.ports import can_connect, free_port
from tests.support.processes import limen
from tests.support.traffic import Counter, Pod, Traffic
from tests.support.waiting import eventually

HOST, TLS = "a.example.com", "tls.example.com"
SETS = 3
CLIENTS = SETS * 7
"""Clients of three sets of traffic: each has one connection at a time."""


class Up(Edge):
    """A running ``limen up`` with two edges that share its ports."""

    def __init__(self, folder: Path) -> None:
        self.manifests = Manifests(folder / "manifests")
        http, https, admin = free_port(), free_port(), free_port()
        words = limen(
            *("up", "--edges=2", f"--manifests={self.manifests.folder}", f"--state={folder / 'state'}"),
            *(f"--http=127.0.0.1:{http}", f"--https=127.0.0.1:{https}", f"--admin=127.0.0.1:{admin}"),
            "--worker-shutdown-timeout=2",
        )
        super().__init__("up", folder, words, admin, http, https)

    async def children(self) -> dict[str, int]:
        """The process ids of the children that run."""
        return {child["name"]: child["pid"] for child in (await self.status())["children"] if child["running"]}

    async def restarted(self, name: str, before: int) -> None:
        """Wait until a child runs as another process than ``before`` and is ready."""

        async def again() -> bool:
            found = {child["name"]: child for child in (await self.status())["children"]}
            return found[name]["pid"] not in (0, before) and found[name]["ready"]

        await self._eventually(again, 15, f"has {name} again")


@pytest.fixture
async def up(tmp_path: Path, web: Pod) -> AsyncIterator[Up]:
    made = Up(tmp_path)
    made.manifests.serve(web.port, HOST, tls=TLS)
    try:
        made.start()
        await made.ready(20)
        yield made
    finally:
        made.end()
        await eventually(lambda: not can_connect(made.http), 10)


async def test_those_who_write_are_killed_one_by_one(up: Up) -> None:
    """NATS, compiler, watcher: no request is lost, and changes are live again soon."""
    async with Counter(up.manifests, [up]) as counter, Traffic([(up.http, up.https)], HOST, TLS) as traffic:
        for name in ("nats", "compiler", "watcher"):
            pid = (await up.children())[name]
            os.kill(pid, signal.SIGKILL)
            counter.step()
            await up.restarted(name, pid)
            await counter.live(10)
            await traffic.more(50)
    traffic.check()
    counter.check()


async def test_a_killed_edge_costs_what_it_held(up: Up) -> None:
    """All processes of an edge at once: connections that it held are lost, those it had not accepted yet included, and
    nobody but their client can save them. Asked once more, each of those requests is answered by the other edge."""
    async with Traffic([(up.http, up.https)] * SETS, HOST, TLS, retry=True) as traffic:
        for name in ("edge-1", "edge-2"):
            await traffic.more(100)
            cut, pid = traffic.cut, (await up.children())[name]
            for each in family(pid):
                os.kill(each, signal.SIGKILL)
            await up.restarted(name, pid)
            await traffic.more(100)
            assert traffic.cut - cut <= CLIENTS, "what the edge held when it was killed, and no more"
        settled = list(traffic.cuts)
        await traffic.more(200)
        assert traffic.cuts == settled
    traffic.check()


async def test_an_edge_whose_supervisor_is_killed_drains(up: Up) -> None:
    """Its workers finish what they have: not even a connection is lost but those that never end by themselves."""
    async with Traffic([(up.http, up.https)] * SETS, HOST, TLS, retry=True) as traffic:
        await traffic.more(100)
        pid = (await up.children())["edge-1"]
        before = family(pid)
        os.kill(pid, signal.SIGKILL)
        await up.restarted("edge-1", pid)
        await eventually(lambda: not [each for each in before if alive(each)], 10)
        await traffic.more(100)
        assert [cut for cut in traffic.cuts if "websocket" not in cut and "download" not in cut] == []
    traffic.check()


async def test_it_ends_cleanly_under_load(up: Up) -> None:
    """SIGTERM: code 0, nobody is left, and whoever was answered was answered right."""
    pids = family(up.process.pid)
    assert len(pids) >= 1 + 3 + 2 * 3
    async with Traffic([(up.http, up.https)], HOST, TLS, retry=True) as traffic:
        await traffic.more(100)
        assert traffic.cuts == []
        ended = asyncio.create_task(asyncio.to_thread(up.process.terminate, 15))
        await eventually(lambda: not can_connect(up.http), 10)
        traffic.stop()
        assert await ended == 0
    assert not [failure for failure in traffic.failures if "Error" not in failure], traffic.failures[:5]
    assert [pid for pid in pids if alive(pid)] == []
    assert "Traceback" not in up.output


async def test_no_child_outlives_a_kill_of_the_supervisor(up: Up) -> None:
    pids = family(up.process.pid)
    os.kill(up.process.pid, signal.SIGKILL)
    await eventually(lambda: not [pid for pid in pids if alive(pid)], 5, "every child to end")
    assert not can_connect(up.http)
    # and it comes up again on the same state folder and ports
    up.start()
    await up.ready(20)
