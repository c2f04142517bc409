"""``limen explain`` about what is served right now: the snapshot on the bus, checked as an edge checks it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from services.runtime.keys import make_keys
from tests.support.compiling import Plant, plant, world
from tests.support.nats import NatsServer
from tests.support.processes import REPOSITORY, limen
from tests.support.waiting import eventually


async def explain(made: Plant, key: Path, host: str = "app-1.example.com") -> subprocess.CompletedProcess[str]:
    words = ("GET", f"http://{host}/x", f"--nats={made.url}", f"--verify-key={key}", "--json")
    return await asyncio.to_thread(
        subprocess.run, limen("explain", *words), capture_output=True, text=True, cwd=REPOSITORY
    )


async def test_the_newest_snapshot_is_asked(nats: NatsServer, tmp_path: Path) -> None:
    async with plant(nats.url, tmp_path) as made:
        compiler = made.compiler()
        await made.publisher().put(*world(3))
        await eventually(lambda: compiler.state.ready)
        done = await explain(made, made.keys / "verify.key")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["host"], told["outcome"]) == ("app-1.example.com", "forward to default/web:80")
        assert told["endpoints"]["addresses"] == ["10.1.0.1:8080"]
        assert told["remarks"] == []
        nobody = json.loads((await explain(made, made.keys / "verify.key", "nobody.example.com")).stdout)
        assert "`limen status` names it" in nobody["remarks"][0]


async def test_what_another_key_signed_is_not_believed(nats: NatsServer, tmp_path: Path) -> None:
    make_keys(tmp_path / "foreign")
    async with plant(nats.url, tmp_path) as made:
        compiler = made.compiler()
        await made.publisher().put(*world(1))
        await eventually(lambda: compiler.state.ready)
        done = await explain(made, tmp_path / "foreign" / "verify.key")
        assert done.returncode == 1
        assert "no snapshot on the bus" in done.stderr
