"""What a compiler makes of bad, missing, late and replayed object messages: nothing wrong is ever served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proto.codec import encode
from proto.objects import ObjectEnvelope, key_of
from proto.signing import ObjectAuthenticator
from proto.snapshots import SCHEMA
from services.compiler import metrics
from services.compiler.core import claims
from services.compiler.inbox import Connected, MessagesLost, Tick
from tests.support.compiling import (
    SUBJECTS,
    FollowingEdge,
    Plant,
    RunningCompiler,
    endpoints,
    ingress,
    plant,
    service,
    world,
)
from tests.support.nats import NatsServer
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


def refused(reason: str) -> float:
    return metrics.REJECTED.labels(reason)._value.get()  # type: ignore[no-any-return]


async def reread(compiler: RunningCompiler) -> None:
    """The compiler reads every object again, as after a reconnect."""
    before = metrics.REREADS.labels("connected")._value.get()
    compiler.state.inbox.put(Connected())
    await eventually(lambda: metrics.REREADS.labels("connected")._value.get() > before)


async def test_forged_truncated_oversized_and_misplaced_messages(made: Plant, caplog: pytest.LogCaptureFixture) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    digest = edge.generations.table.digest
    evil = ingress("app-0", service="evil")
    subject = SUBJECTS.object(key_of(evil))
    stranger = made.publisher()
    stranger.outbox._authenticator = ObjectAuthenticator([("0" * 16, bytes(32))])
    stranger.outbox.want(key_of(evil), evil, 0.0)
    forged = stranger.outbox.take(1, 0.0)[0].data
    genuine = await made.bus.last(SUBJECTS.objects_stream, SUBJECTS.object(key_of(ingress("app-1"))))
    assert genuine is not None
    newer = encode((SCHEMA + 1, b"", b""))
    bad = {
        "forged": forged,
        "malformed": genuine.data[: len(genuine.data) // 2],
        "misplaced": genuine.data,
        "schema": newer,
    }
    for reason, data in bad.items():
        before = refused(reason)
        await made.bus.publish(subject, data)
        await eventually(lambda reason=reason, before=before: refused(reason) == before + 1)  # type: ignore[misc]
    assert all(
        subject in record.getMessage() + str(record.__dict__)
        for record in caplog.records
        if "refused" in record.message
    )
    await reread(compiler)  # they stand in the stream now, too
    await watcher.put(service("other"))
    await eventually(lambda: len(compiler.state.intake.feed) == 8)
    assert edge.generations.table.digest == digest
    assert "app-0.example.com" in edge.hosts


async def test_another_instances_message_is_refused(made: Plant) -> None:
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(*world())
    await eventually(lambda: compiler.state.ready)
    value = ingress("app-0", service="other")
    body = encode(ObjectEnvelope("elsewhere", key_of(value), "s", 1, 0.0, "", "", encode(value)))
    before = refused("instance")
    mac = watcher.outbox._authenticator.mac("object", body)
    await made.bus.publish(SUBJECTS.object(key_of(value)), encode((SCHEMA, body, mac)))
    await eventually(lambda: refused("instance") == before + 1)


async def test_duplicates_and_replays_change_nothing(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world())
    await eventually(lambda: edge.holds(compiler))
    subject = SUBJECTS.object(key_of(ingress("app-0")))
    older = await made.bus.last(SUBJECTS.objects_stream, subject)
    await watcher.put(ingress("app-0", path="/newer"))
    await eventually(lambda: edge.holds(compiler) and edge.positions[-1] == (1, 2))
    newer = await made.bus.last(SUBJECTS.objects_stream, subject)
    assert older is not None
    assert newer is not None
    for data in (newer.data, older.data, newer.data, older.data):
        await made.bus.append(subject, data)
    await reread(compiler)
    await watcher.put(endpoints("10.1.0.1", "10.1.0.2"))
    await eventually(lambda: edge.holds(compiler) and edge.positions[-1] == (1, 3))
    assert key_of(ingress("app-0")) in compiler.state.intake.feed
    await watcher.refill()
    await watcher.put(endpoints("10.1.0.1"))
    await eventually(lambda: edge.holds(compiler) and edge.positions[-1] == (1, 4))


@contextmanager
def deaf(compiler: RunningCompiler, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Object messages reach the process and are lost there; yields the subjects of those lost."""
    lost: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(compiler.state, "admit", lambda subject, data: lost.append(subject))
        yield lost


async def test_lost_messages_are_noticed_by_the_next_one(made: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap in the watcher's count: the stream is read again, and both changes are there."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world())
    await eventually(lambda: edge.holds(compiler))
    with deaf(compiler, monkeypatch) as lost:
        await watcher.put(ingress("unheard"), beacon=False)
        await eventually(lambda: lost)
    await watcher.put(ingress("heard"), beacon=False)
    await eventually(lambda: {"heard.example.com", "unheard.example.com"} <= edge.hosts)


async def test_lost_messages_are_noticed_by_the_beacon(made: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world())
    await eventually(lambda: edge.holds(compiler))
    with deaf(compiler, monkeypatch) as lost:
        await watcher.put(ingress("unheard"), beacon=False)
        await eventually(lambda: lost)
    await watcher.beacon()
    await eventually(lambda: edge.holds(compiler) and "unheard.example.com" in edge.hosts, 15)


async def test_an_emptied_stream_of_objects_removes_nothing(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(30))
    await eventually(lambda: edge.holds(compiler))
    digest = edge.generations.table.digest
    await made.bus.purge(SUBJECTS.objects_stream)
    await reread(compiler)
    await reread(compiler)
    compiler.state.inbox.put(MessagesLost())
    await watcher.put(service("other"))
    await eventually(lambda: key_of(service("other")) in compiler.state.intake.feed)
    assert edge.generations.table.digest == digest
    await watcher.refill()
    compiler.state.inbox.put(Tick())
    await watcher.put(ingress("more"))
    await eventually(lambda: edge.holds(compiler) and "more.example.com" in edge.hosts)
    assert len(edge.hosts) == 31 + ("" in edge.hosts)


async def test_what_the_watcher_removed_while_nobody_heard_it_goes(
    made: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal whose tombstone is gone from the stream: the beacon's digest says that the object is gone."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    gone = key_of(ingress("app-1"))
    with deaf(compiler, monkeypatch) as lost:
        await watcher.remove(gone, beacon=False)
        await eventually(lambda: lost)
    await made.bus.purge(SUBJECTS.objects_stream, subject_filter=SUBJECTS.object(gone))
    await reread(compiler)
    assert "app-1.example.com" in edge.hosts
    await watcher.beacon()
    await eventually(lambda: edge.holds(compiler) and "app-1.example.com" not in edge.hosts)
    assert "app-2.example.com" in edge.hosts


async def test_a_new_run_of_the_watcher_takes_over(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    position = compiler.position
    other = made.publisher()
    await other.refill()
    await other.put(*world(3))  # nothing differs: nothing is sent but a beacon
    await other.put(ingress("by-the-other"))
    await eventually(lambda: edge.holds(compiler) and "by-the-other.example.com" in edge.hosts)
    assert compiler.position == (position[0], position[1] + 1)
    assert compiler.state.intake.feed.session == other.outbox.session


async def test_a_broken_ingress_among_good_ones(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    await watcher.put(ingress("app-1", path="no-slash"))  # its last good version stays
    await watcher.put(ingress("new-bad", path="no-slash"), ingress("new-good"))
    await eventually(lambda: edge.holds(compiler) and "new-good.example.com" in edge.hosts)
    assert "app-1.example.com" in edge.hosts
    assert "new-bad.example.com" not in edge.hosts
    await compiler.stop()  # the accepted version is on the bus: another compiler compiles the same
    position = compiler.position
    again = made.compiler("compiler-2")
    await eventually(lambda: again.state.ready)
    assert again.position == position
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(again) and {"app-1.example.com", "after.example.com"} <= edge.hosts)


@pytest.mark.parametrize("who", ["the same run", "another run"])
async def test_what_a_watcher_says_meanwhile_does_not_vouch_for_what_was_written_over(made: Plant, who: str) -> None:
    """A compiler that starts finds rubbish in the place of an object. Messages that come after the watcher's last
    beacon say nothing of that object: until a beacon counts exactly what is known, nothing is published."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    position, hosts = compiler.position, edge.hosts
    await compiler.kill()
    await made.bus.publish(SUBJECTS.object(key_of(ingress("app-0"))), b"rubbish")
    other = made.compiler("compiler-2")
    await eventually(lambda: len(other.state.intake.feed) == 6)
    await watcher.beacon()
    await eventually(lambda: other.state.intake.beacon is not None)
    if who == "another run":
        watcher = made.publisher("another")
    await watcher.put(service("more"), beacon=False)
    await eventually(lambda: len(other.state.intake.feed) == 7)
    await made.bus.state(SUBJECTS.deltas_stream)  # whatever was appended on account of it was appended before
    await edge_hears_all(edge, other)
    assert edge.positions[-1] == position
    await watcher.put(*world(3), service("more"))
    await watcher.refill()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(other) and edge.hosts == hosts | {"after.example.com"})


async def edge_hears_all(edge: FollowingEdge, compiler: RunningCompiler) -> None:
    """Two of the compiler's turns are over, and all that it appended meanwhile has come to the edge."""
    for _ in range(2):
        compiler.state.inbox.put(Tick())
        await eventually(lambda: not compiler.state.inbox)
    await edge.bus.state(SUBJECTS.deltas_stream)


async def test_a_defect_that_hits_every_ingress_takes_no_route_away(
    made: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a new version of the compiler might bring one: what is published stays, but what is told to go."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(5))
    await eventually(lambda: edge.holds(compiler))
    hosts = edge.hosts
    await compiler.kill()
    with monkeypatch.context() as patch:
        patch.setattr(claims._Reader, "inspect", _fails)
        newer = made.compiler("compiler-2")
        await eventually(lambda: len(newer.state.compiler.broken) == 5)
        await watcher.put(ingress("app-0", path="/other"))
        await watcher.remove(key_of(ingress("app-4")))
        await eventually(lambda: "app-4.example.com" not in edge.hosts)
        assert edge.hosts == hosts - {"app-4.example.com"}
        assert edge.generations.table.body("upstream", "default/web:80") is not None
        await newer.kill()
    made.compiler("compiler-3")
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.hosts == hosts - {"app-4.example.com"} | {"after.example.com"})


def _fails(*_: object) -> None:
    raise RuntimeError("a defect")
