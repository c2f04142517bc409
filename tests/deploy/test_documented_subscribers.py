"""The ways to hear route events that docs/events.md shows, tried."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from nats.aio.client import Client

from proto.event_examples import EXAMPLES, example_event
from proto.events import place_of
from proto.reports import to_json
from proto.subjects import Subjects
from tests.deploy.pods import guarded_bus
from tests.support.nats import NatsServer
from tests.support.processes import REPOSITORY, limen, process
from tests.support.waiting import eventually

DATA = next(example for example in EXAMPLES if example.type == "route.added")
SUBJECT = Subjects().event(DATA.type, *place_of(DATA))
EVENT = to_json(example_event(DATA))


def test_the_readme_shows_the_same_program() -> None:
    programs = [
        re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)
        for page in ("README.md", "docs/events.md")
    ]
    assert programs[0] == programs[1]


async def test_the_python_program_prints_events(nats: NatsServer, tmp_path: Path) -> None:
    text = (REPOSITORY / "docs/events.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in program.splitlines() if line]) <= 15
    file = tmp_path / "subscriber.py"
    file.write_text(program.replace("nats://127.0.0.1:4222", nats.url))
    client = Client()
    await client.connect(nats.url)
    try:
        with process(sys.executable, "-u", file, log=tmp_path / "subscriber.log") as child:

            async def heard() -> bool:
                await client.publish(SUBJECT, EVENT)
                await client.flush()
                return "io.limen.route.added" in child.output()

            await eventually(heard, 15, what="the program prints an event", every=0.1)
            assert "cafe.example.com" in child.output()
    finally:
        await client.close()


async def test_the_command_shows_events_to_an_observer(tmp_path: Path) -> None:
    async with guarded_bus(tmp_path) as pods:
        login = [
            f"--nats={pods.nats.url}",
            f"--nats-nkey={pods.keys / 'nats/observer.nk'}",
            "--nats-inbox=_INBOX_observer",
        ]
        client = Client()
        await client.connect(pods.nats.url, nkeys_seed=str(pods.keys / "nats/compiler.nk"))
        try:
            with process(*limen("events", "--json", "route.>", *login), log=tmp_path / "events.log") as child:

                async def heard() -> list[str]:
                    await client.publish(SUBJECT, EVENT)
                    await client.flush()
                    return [line for line in child.output().splitlines() if line.startswith("{")]

                lines = await eventually(heard, 15, what="the command prints an event", every=0.1)
        finally:
            await client.close()
        assert json.loads(lines[0]) == json.loads(EVENT)
        assert pods.refusals() == []
