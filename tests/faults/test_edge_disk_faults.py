"""Edges and their disk: a file that is damaged is never served, and a disk that fails costs no request."""

from __future__ import annotations

import resource
import shutil

import pytest

from proto.codec import decode, encode
from tests.support.edges import EdgeProcesses, Load
from tests.support.nats import NatsServer
from tests.support.snapshots import Publisher, answering
from tests.support.waiting import eventually


async def two_versions_on_disk(edge: EdgeProcesses, publisher: Publisher) -> None:
    """The file holds version 2 (503), the one before version 1 (403)."""
    await publisher.start(answering("a.example.com", 403))
    await edge.start_ready()
    await eventually(edge.snapshot.exists)
    first = edge.snapshot.read_bytes()
    await publisher.step(answering("a.example.com", 503))
    await eventually(lambda: edge.snapshot.read_bytes() != first)
    edge.kill()


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "flipped": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "overwritten": lambda _: b"something else entirely\n" * 10,
    "newer format": lambda data: data.replace(b"limen-last-good 1", b"limen-last-good 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_leads_to_the_one_before(
    edge: EdgeProcesses, publisher: Publisher, nats: NatsServer, damage: str
) -> None:
    await two_versions_on_disk(edge, publisher)
    nats.kill()
    edge.snapshot.write_bytes(DAMAGES[damage](edge.snapshot.read_bytes()))
    await edge.start_ready(3.0)
    assert (await edge.ask("a.example.com")).status == 403
    assert "last-good file cannot be used" in edge.output
    assert str(edge.snapshot) in edge.output
    # the bus, when it is back, has the newer version
    await nats.restart()
    await edge.serves(1, 2)
    assert (await edge.ask("a.example.com")).status == 503


async def test_both_files_damaged_means_not_ready(edge: EdgeProcesses, publisher: Publisher, nats: NatsServer) -> None:
    await two_versions_on_disk(edge, publisher)
    nats.kill()
    for path in (edge.snapshot, edge.snapshot.with_suffix(".snapshot.previous")):
        path.write_bytes(path.read_bytes()[:-1])
    edge.start()
    await eventually(lambda: edge.output.count("cannot be used") == 2)
    await eventually(lambda: edge.output.count("admin endpoint") == 2)
    assert not await edge.is_ready()
    assert not edge.accepts()
    await nats.restart()
    await edge.ready()
    assert (await edge.ask("a.example.com")).status == 503


async def test_a_file_that_a_stranger_made_is_not_served(
    edge: EdgeProcesses, publisher: Publisher, nats: NatsServer
) -> None:
    await two_versions_on_disk(edge, publisher)
    nats.kill()
    # the signed proof of version 2 with the records of version 1
    newer, older = edge.snapshot.read_bytes(), edge.snapshot.with_suffix(".snapshot.previous").read_bytes()
    length = int.from_bytes(newer[18:22], "big")
    proof = decode(newer[22 : 22 + length], list)[0]
    old_length = int.from_bytes(older[18:22], "big")
    _, size, hash_ = decode(older[22 : 22 + old_length], list)
    header = encode([proof, size, hash_])
    edge.snapshot.write_bytes(newer[:18] + len(header).to_bytes(4, "big") + header + older[22 + old_length :])
    edge.snapshot.with_suffix(".snapshot.previous").unlink()
    edge.start()
    await eventually(lambda: "cannot be used" in edge.output)
    assert "digest" in edge.output
    assert not await eventually_not_ready(edge)


async def eventually_not_ready(edge: EdgeProcesses) -> bool:
    await eventually(lambda: edge.output.count("admin endpoint") == 2)
    return await edge.is_ready()


async def test_what_was_served_once_is_not_replaced_by_something_older(
    edge: EdgeProcesses, publisher: Publisher, nats: NatsServer
) -> None:
    """A stranger who kept an old log puts it back while the edge is away: signed, but older than what was served."""
    await publisher.start(answering("a.example.com", 403))
    old = await publisher.bus.last(publisher.subjects.deltas_stream, publisher.subjects.delta)
    chunk = await publisher.bus.last(publisher.subjects.bases_stream, publisher.subjects.base_chunk(1, 1, 0))
    assert old is not None
    assert chunk is not None
    await publisher.step(answering("a.example.com", 503))
    await edge.start_ready()
    await eventually(edge.snapshot.exists)
    edge.kill()
    await nats.restart(empty=True)
    await publisher.bus.wait_connected()
    await publisher.streams()
    await publisher.bus.append(chunk.subject, chunk.data)
    await publisher.append(old.data)
    # even a file that cannot be read any more says which version it was
    edge.snapshot.write_bytes(edge.snapshot.read_bytes()[:-1])
    edge.start()
    await eventually(lambda: "older version" in edge.output)
    assert not await edge.is_ready()


async def test_a_full_disk_costs_no_request(edge: EdgeProcesses, publisher: Publisher) -> None:
    await publisher.start(answering("a.example.com", 403))
    await edge.start_ready()
    await eventually(edge.snapshot.exists)
    before = edge.snapshot.read_bytes()
    (worker,) = await edge.worker_pids()
    _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, hard))
    async with Load(edge.port, "a.example.com", lambda answer: answer.status in (403, 503)) as load:
        await publisher.step(answering("a.example.com", 503))
        await edge.serves(1, 2)

        async def counted() -> bool:
            return await edge.metric("limen_edge_last_good_errors") > 0

        await eventually(counted)
        await load.more(100)
        assert edge.snapshot.read_bytes() == before
        assert await edge.is_ready()
        await eventually(lambda: _last_error_names_the_file(edge))
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        await eventually(lambda: edge.snapshot.read_bytes() != before)
    assert load.failures == []


async def _last_error_names_the_file(edge: EdgeProcesses) -> bool:
    return str(edge.snapshot) in (await edge.status()).get("last_error", "")


async def test_a_state_folder_that_goes_away_costs_only_the_file(edge: EdgeProcesses, publisher: Publisher) -> None:
    await publisher.start(answering("a.example.com", 403))
    await edge.start_ready()
    await eventually(edge.snapshot.exists)
    shutil.rmtree(edge.state)
    edge.state.write_text("a file where the folder was")
    await publisher.step(answering("a.example.com", 503))
    await eventually(lambda: "cannot be written" in edge.output)
    assert (await edge.ask("a.example.com")).status == 503
    edge.state.unlink()
    await eventually(edge.snapshot.exists)
