"""The permissions of deploy/kubernetes/base/nats.conf, asked of a real server: each role does its part, no more."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.js.api import RePublish, StreamConfig
from nats.js.errors import NotFoundError, ServiceUnavailableError

from proto.subjects import Subjects
from tests.support.nats import NatsServer
from tests.support.processes import REPOSITORY
from tests.support.waiting import eventually

CONFIG = REPOSITORY / "deploy/kubernetes/base/nats.conf"
ROLES = ("watcher", "compiler", "edge", "operator", "observer")
SUBJECTS = Subjects()


class Guarded:
    """A server with the deployed configuration, and a login for each role."""

    def __init__(self, server: NatsServer, seeds: dict[str, bytes]) -> None:
        self._server = server
        self._seeds = seeds

    @asynccontextmanager
    async def role(self, name: str) -> AsyncIterator[tuple[Client, list[str]]]:
        """A connection of ``name`` and the list of what the server refused it."""
        refused: list[str] = []

        async def on_error(error: Exception) -> None:
            refused.append(str(error).lower())

        client = await nats.connect(
            self._server.url,
            nkeys_seed_str=self._seeds[name].decode(),
            inbox_prefix=f"_INBOX_{name}".encode(),
            error_cb=on_error,
        )
        try:
            yield client, refused
        finally:
            await client.close()


@pytest.fixture
async def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guarded]:
    seeds = {role: bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)) for role in ROLES}
    for role, seed in seeds.items():
        monkeypatch.setenv(f"{role.upper()}_NKEY", nkeys.from_seed(bytearray(seed)).public_key.decode())
    text = CONFIG.read_text().replace('listen: "0.0.0.0:4222"', "").replace('http: "0.0.0.0:8222"', "")
    server = NatsServer(tmp_path / "nats", text.replace('store_dir: "/data"', ""))
    await server.start()
    try:
        guarded = Guarded(server, seeds)
        async with guarded.role("compiler") as (client, _):
            stream = client.jetstream()
            await stream.add_stream(
                StreamConfig(
                    name=SUBJECTS.deltas_stream,
                    subjects=[SUBJECTS.delta],
                    allow_direct=True,
                    republish=RePublish(src=SUBJECTS.delta, dest=SUBJECTS.live_delta),
                )
            )
            for name, subject in (
                (SUBJECTS.bases_stream, SUBJECTS.bases),
                (SUBJECTS.accepted_stream, SUBJECTS.all_accepted),
                (SUBJECTS.events_stream, SUBJECTS.events),
                (f"KV_{SUBJECTS.edges_bucket}", SUBJECTS.edge_reports),
            ):
                await stream.add_stream(StreamConfig(name=name, subjects=[subject], allow_direct=True))
        async with guarded.role("watcher") as (client, _):
            await client.jetstream().add_stream(
                StreamConfig(name=SUBJECTS.objects_stream, subjects=[SUBJECTS.objects], allow_direct=True)
            )
        yield guarded
    finally:
        server.kill()


async def _messages(guarded: Guarded, stream: str) -> int:
    async with guarded.role("compiler") as (client, _):
        return (await client.jetstream().stream_info(stream)).state.messages


NOT_TO_BE_SAID = {
    "edge": [
        SUBJECTS.delta,
        SUBJECTS.live_delta,
        SUBJECTS.base_chunk(1, 1, 0),
        "limen.objects.secret.default.tls",
        SUBJECTS.accepted("default", "cafe"),
        SUBJECTS.findings,
        SUBJECTS.approve_request,
        SUBJECTS.event("ingress.accepted", "default", "cafe"),
        f"$JS.API.STREAM.DELETE.{SUBJECTS.deltas_stream}",
        f"$JS.API.CONSUMER.CREATE.{SUBJECTS.deltas_stream}",
        f"$JS.API.DIRECT.GET.{SUBJECTS.objects_stream}",
    ],
    "watcher": [
        SUBJECTS.delta,
        SUBJECTS.live_delta,
        SUBJECTS.approve_request,
        f"$JS.API.STREAM.DELETE.{SUBJECTS.deltas_stream}",
    ],
    "compiler": [
        "limen.objects.ingress.default.cafe",
        SUBJECTS.live_delta,
        f"$JS.API.STREAM.PURGE.{SUBJECTS.objects_stream}",
    ],
    "observer": [
        SUBJECTS.delta,
        SUBJECTS.status_request,
        SUBJECTS.approve_request,
        "limen.objects.ingress.default.cafe",
        SUBJECTS.event("ingress.accepted", "default", "cafe"),
        f"$JS.API.DIRECT.GET.{SUBJECTS.objects_stream}",
        f"$JS.API.DIRECT.GET.{SUBJECTS.deltas_stream}",
        f"$JS.API.CONSUMER.CREATE.{SUBJECTS.events_stream}",
    ],
    "operator": [
        SUBJECTS.delta,
        f"$JS.API.DIRECT.GET.{SUBJECTS.objects_stream}",
    ],
}


async def test_a_role_cannot_publish_what_is_not_its_part(guarded: Guarded) -> None:
    for role, subjects in NOT_TO_BE_SAID.items():
        async with guarded.role(role) as (client, refused):
            for subject in subjects:
                await client.publish(subject, b"forged")
            await client.flush()
            for subject in subjects:
                text = f'permissions violation for publish to "{subject.lower()}"'
                await eventually(lambda text=text, heard=refused: any(text in error for error in heard), 5, what=text)
    for stream in (SUBJECTS.deltas_stream, SUBJECTS.bases_stream, SUBJECTS.objects_stream, SUBJECTS.events_stream):
        assert await _messages(guarded, stream) == 0


NOT_TO_BE_HEARD = {
    "edge": [
        SUBJECTS.objects,
        SUBJECTS.delta,
        SUBJECTS.all_accepted,
        ">",
        "_INBOX_watcher.>",
        "_INBOX_compiler.>",
    ],
    "watcher": [
        SUBJECTS.live_delta,
        "_INBOX_edge.>",
    ],
    "observer": [
        ">",
        SUBJECTS.objects,
        SUBJECTS.live_delta,
        SUBJECTS.edge_reports,
        "_INBOX_compiler.>",
    ],
    "operator": [
        SUBJECTS.objects,
    ],
}


async def test_a_role_cannot_hear_what_is_not_for_it(guarded: Guarded) -> None:
    for role, subjects in NOT_TO_BE_HEARD.items():
        async with guarded.role(role) as (client, refused):
            for subject in subjects:
                await client.subscribe(subject)
            await client.flush()
            for subject in subjects:
                text = f'permissions violation for subscription to "{subject.lower()}"'
                await eventually(lambda text=text, heard=refused: any(text in error for error in heard), 5, what=text)


async def test_a_forged_delta_of_an_edge_reaches_neither_log_nor_edges(guarded: Guarded) -> None:
    async with guarded.role("edge") as (listener, _), guarded.role("edge") as (forger, _):
        heard: list[bytes] = []

        async def hear(message: object) -> None:
            heard.append(message.data)  # type: ignore[attr-defined]

        await listener.subscribe(SUBJECTS.live_delta, cb=hear)
        await listener.flush()
        for subject in (SUBJECTS.delta, SUBJECTS.live_delta):
            await forger.publish(subject, b"forged")
        await forger.flush()
        async with guarded.role("compiler") as (compiler, refused):
            await compiler.jetstream().publish(SUBJECTS.delta, b"true")
            assert refused == []
        await eventually(lambda: heard, 5)
    assert heard == [b"true"]
    assert await _messages(guarded, SUBJECTS.deltas_stream) == 1


async def test_the_watcher_writes_objects_and_the_compiler_hears_them(guarded: Guarded) -> None:
    async with guarded.role("compiler") as (compiler, no), guarded.role("watcher") as (watcher, refused):
        heard = await compiler.subscribe(SUBJECTS.objects)
        await compiler.flush()
        assert (await _heard(heard, watcher, "limen.objects.ingress.default.cafe", b"object")).data == b"object"
        assert await _last(compiler, SUBJECTS.objects_stream, "limen.objects.ingress.default.cafe") == b"object"
        assert refused == no == []


async def test_an_edge_reads_the_log_and_reports(guarded: Guarded) -> None:
    async with guarded.role("compiler") as (compiler, no), guarded.role("edge") as (edge, refused):
        await compiler.jetstream().publish(SUBJECTS.delta, b"delta")
        assert await _last(edge, SUBJECTS.deltas_stream, SUBJECTS.delta) == b"delta"
        reports = await compiler.subscribe(SUBJECTS.edge_reports)
        await compiler.flush()
        assert (await _heard(reports, edge, SUBJECTS.edge_report("edge-1"), b"{}")).data == b"{}"
        await edge.jetstream().publish(SUBJECTS.event("edge.joined", "", "edge-1"), b"{}")
        assert refused == no == []


async def test_an_observer_hears_events_live_and_reads_old_ones(guarded: Guarded) -> None:
    subject = SUBJECTS.event("ingress.accepted", "default", "cafe")
    async with guarded.role("observer") as (observer, refused), guarded.role("compiler") as (compiler, _):
        events = await observer.subscribe(SUBJECTS.events)
        await observer.flush()
        assert (await _heard(events, compiler, subject, b"{}")).subject == subject
        assert await _last(observer, SUBJECTS.events_stream, subject) == b"{}"
        assert refused == []


async def test_every_role_answers_an_operators_question(guarded: Guarded) -> None:
    async def answer(message: object) -> None:
        await message.respond(b"{}")  # type: ignore[attr-defined]

    async with guarded.role("operator") as (operator, refused):
        for role in ("watcher", "compiler", "edge"):
            async with guarded.role(role) as (client, not_allowed):
                await client.subscribe(SUBJECTS.status_request, cb=answer)
                await client.flush()
                # what one connection asked for may reach the others a moment after it was confirmed
                await eventually(lambda: _answered(operator), what=f"an answer of {role}")
                assert not_allowed == []
        assert refused == []


async def _heard(ear: Subscription, client: Client, subject: str, data: bytes) -> Msg:
    """What is heard of what ``client`` appends, again until then: what another connection asked for may reach it a
    moment after it was confirmed."""

    async def appended() -> Msg | None:
        await client.jetstream().publish(subject, data)
        try:
            return await ear.next_msg(timeout=1)
        except TimeoutError:
            return None

    found = await eventually(appended, what=f"a message of {subject}")
    assert found is not None
    return found


async def _last(client: Client, stream: str, subject: str) -> bytes:
    """The last message of ``subject`` by direct get; a new stream may begin to answer a moment after it stores."""

    async def read() -> bytes:
        try:
            return (await client.jetstream().get_last_msg(stream, subject, direct=True)).data or b""
        except (NoRespondersError, ServiceUnavailableError, NotFoundError):
            return b""

    return await eventually(read, what=f"the last message of {subject}")


async def _answered(operator: Client) -> bool:
    try:
        return (await operator.request(SUBJECTS.status_request, b"", timeout=5)).data == b"{}"
    except NoRespondersError:
        return False


async def test_nobody_enters_without_a_key_that_the_server_knows(guarded: Guarded) -> None:
    stranger = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    for options in ({}, {"nkeys_seed_str": stranger.decode()}):
        with pytest.raises((nats.errors.Error, OSError)):
            await nats.connect(guarded._server.url, allow_reconnect=False, connect_timeout=3, **options)
