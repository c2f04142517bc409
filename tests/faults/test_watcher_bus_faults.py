"""The watcher and a bus that is absent, killed, emptied, rolled back or written to by strangers."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from proto.codec import encode
from proto.objects import ObjectEnvelope, ObjectKey
from proto.signing import ObjectAuthenticator
from proto.snapshots import SCHEMA
from services.watcher import outbox, publisher
from tests.support.nats import NatsServer
from tests.support.waiting import eventually
from tests.support.watchers import SUBJECTS, bus_view, watcher_options, watching


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "CHECK_INTERVAL", 0.3)
    monkeypatch.setattr(publisher, "BEACON_INTERVAL", 0.2)


def service(name: str, port: int = 80) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    for number in range(20):
        (made / f"{number:02}.yaml").write_text(service(f"s{number}"))
    return made


async def test_nats_may_be_absent_at_start(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    nats.kill()
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with watching(options, ready=False) as watcher:
        await eventually(lambda: watcher.work is not None and watcher.work.hub.listed_all)
        assert not watcher.ready
        assert not watcher.status().connected
        await nats.start()
        await eventually(lambda: watcher.ready)
        async with bus_view(nats.url, tmp_path) as view:
            assert len(await view.objects()) == 21


async def test_changes_made_while_nats_is_away_arrive(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with watching(options) as watcher:
        nats.kill()
        (folder / "00.yaml").write_text(service("s0", 81))
        (folder / "new.yaml").write_text(service("new"))
        (folder / "01.yaml").unlink()
        await eventually(lambda: watcher.work is not None and watcher.work.outbox.pending >= 3)
        await nats.start()
        async with bus_view(nats.url, tmp_path) as view:
            await view.has("service", "default/new")
            await view.lacks("service", "default/s1")
            assert (await view.get("service", "default/s0")).ports[0].port == 81


async def test_a_bus_that_comes_back_unchanged_is_left_alone(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with watching(options) as watcher:
        assert watcher.work is not None
        published = watcher.work.publisher.published
        await nats.restart()
        await eventually(lambda: watcher.status().connected and watcher.work and watcher.work.publisher.settled)
        async with bus_view(nats.url, tmp_path) as view:
            await eventually(lambda: view.beacons)
            assert await view.last() == published
        assert watcher.work.publisher.refills == 0


async def test_an_emptied_bus_is_refilled(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with watching(options) as watcher:
        assert watcher.work is not None
        await nats.restart(empty=True)
        async with bus_view(nats.url, tmp_path) as view:

            async def full() -> bool:
                return len(await view.objects()) == 21

            await eventually(full, 15)
            assert watcher.work.publisher.refills == 1
            await eventually(lambda: view.beacons and view.beacons[-1].digest == watcher.work.outbox.digest)


@pytest.mark.parametrize("how", ["purge", "delete one", "delete the stream"])
async def test_a_stream_that_an_operator_empties_is_refilled(
    nats: NatsServer, tmp_path: Path, folder: Path, how: str
) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        if how == "purge":
            await view.bus.purge(SUBJECTS.objects_stream)
        elif how == "delete one":
            await view.bus.delete(SUBJECTS.objects_stream, 5)
        else:
            answers = await view.bus.ask(f"$JS.API.STREAM.DELETE.{SUBJECTS.objects_stream}", at_most=1, timeout=5)
            assert b'"success":true' in answers[0].data

        async def full() -> bool:
            return len(await view.objects()) == 21

        await eventually(full, 15)


async def test_a_bus_restored_from_an_old_copy_is_put_right(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with watching(options):
        pass
    nats.kill()
    shutil.copytree(nats.store, tmp_path / "copy")
    await nats.start()
    async with watching(options) as watcher:
        (folder / "00.yaml").write_text(service("s0", 81))
        (folder / "01.yaml").unlink()
        (folder / "new.yaml").write_text(service("new"))
        async with bus_view(nats.url, tmp_path) as view:
            await view.has("service", "default/new")
            await view.lacks("service", "default/s1")
        nats.kill()
        shutil.rmtree(nats.store)
        shutil.copytree(tmp_path / "copy", nats.store)
        await nats.start()
        await eventually(lambda: watcher.status().connected)
        async with bus_view(nats.url, tmp_path) as view:
            await view.has("service", "default/new")
            await view.lacks("service", "default/s1")
            assert (await view.get("service", "default/s0")).ports[0].port == 81


async def test_what_strangers_write_is_overwritten_or_removed(nats: NatsServer, tmp_path: Path, folder: Path) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    stranger = ObjectAuthenticator([("x", bytes(32))])
    known, unknown = ObjectKey("service", "default", "s0"), ObjectKey("service", "default", "evil")
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        assert watcher.work is not None
        genuine = await view.get("service", "default/s0")
        for key in (known, unknown):
            body = encode(ObjectEnvelope("limen", key, "s", 1, 0.0, "", "", encode(genuine)))
            await view.bus.append(SUBJECTS.object(key), encode((SCHEMA, body, stranger.mac("object", body))))
        await view.bus.append(f"{SUBJECTS.instance}.objects.service.default.junk", b"junk")

        async def right() -> bool:
            stored = await view.bus.last_of_each(SUBJECTS.objects_stream, SUBJECTS.objects)
            with contextlib.suppress(ValueError):  # what is a stranger's is there still
                return len(stored) == 21 and all(view.open(message.data) for message in stored)
            return False

        await eventually(right, 15)
        assert await view.get("service", "default/s0") == genuine


async def test_an_old_genuine_message_that_is_replayed_is_put_right(
    nats: NatsServer, tmp_path: Path, folder: Path
) -> None:
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    subject = SUBJECTS.object(ObjectKey("service", "default", "s0"))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        old = await view.bus.last(SUBJECTS.objects_stream, subject)
        assert old is not None
        (folder / "00.yaml").write_text(service("s0", 81))

        async def port(wanted: int) -> bool:
            return (await view.get("service", "default/s0")).ports[0].port == wanted

        await eventually(lambda: port(81))
        await view.bus.append(subject, old.data)
        await eventually(lambda: port(81), 15)
        last = await view.last()
        assert last > old.sequence


async def test_tombstones_are_cleaned_up(
    nats: NatsServer, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "TOMBSTONE_AGE", 0.5)
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        assert watcher.work is not None
        (folder / "00.yaml").unlink()
        await view.lacks("service", "default/s0")

        async def cleaned() -> bool:
            return len(await view.bus.last_of_each(SUBJECTS.objects_stream, SUBJECTS.objects)) == 20

        await eventually(cleaned)
        (folder / "00.yaml").write_text(service("s0"))
        await view.has("service", "default/s0")
        assert watcher.work.publisher.refills == 0


async def test_a_server_with_a_lower_limit_of_a_message_costs_only_the_large_object(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats", "max_payload: 65536\n")
    await server.start()
    try:
        folder = tmp_path / "manifests"
        folder.mkdir()
        paths = "".join(
            f"          - {{path: /{number}/{'x' * 200}, pathType: Prefix, backend: {{service: {{name: s}}}}}}\n"
            for number in range(400)
        )
        (folder / "large.yaml").write_text(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: large}\n"
            f"spec:\n  rules:\n    - host: x.example\n      http:\n        paths:\n{paths}"
        )
        for number in range(30):
            (folder / f"{number}.yaml").write_text(service(f"s{number}"))
        options = watcher_options(tmp_path, server.url, manifests=(folder,))
        async with bus_view(server.url, tmp_path) as view, watching(options) as watcher:
            assert len(await view.objects()) == 31
            assert [found.code for found in watcher.status().diagnostics] == ["object-too-large"]
    finally:
        server.kill()
