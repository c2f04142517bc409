"""What runs beside the compiler's loop, without a bus: how it ends."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

from services.compiler.background import Background
from services.compiler.main import CompilerService, read_keys
from services.compiler.options import CompilerOptions
from services.compiler.statefile import StateFile
from services.runtime.bus import BusOptions
from services.runtime.keys import make_keys


def background(folder: Path) -> Background:
    keys = folder / "keys"
    make_keys(keys)
    options = CompilerOptions(
        bus=BusOptions(servers=("nats://127.0.0.1:1",), name="compiler-1"),
        instance="limen",
        name="compiler-1",
        state=folder / "state",
        signing_key=keys / "signing.key",
        objects_key=keys / "objects.key",
    )
    state = CompilerService(options, read_keys(options)).state
    return Background(state, StateFile(options.state, options.instance))


async def test_what_is_ended_before_it_began_leaves_nothing_unawaited(tmp_path: Path) -> None:
    beside = background(tmp_path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        beside.send("limen.findings", b"{}")
        await beside.close()
        await asyncio.sleep(0)  # the loop lets go of what it ended
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


async def test_a_message_that_cannot_be_sent_is_given_up(tmp_path: Path) -> None:
    beside = background(tmp_path)
    beside.send("limen.findings", b"{}")
    running = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task.get_name() for task in running] == ["sending on limen.findings"]
    await asyncio.gather(*running)
