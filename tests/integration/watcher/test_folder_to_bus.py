"""From a folder of manifests onto a real bus."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

from proto.objects import ObjectKey
from services.watcher.sources.folder import events as folder_events
from services.watcher.sources.folder import source as folder_source
from tests.support.nats import NatsServer
from tests.support.pairs import tls_data
from tests.support.waiting import eventually
from tests.support.watchers import BusView, bus_view, watcher_options, watching


def service(name: str, port: int = 80) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"


CLASS = (
    "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\n"
    "spec: {controller: k8s.io/ingress-nginx}\n"
)


def ingress(name: str, secret: str = "") -> str:
    tls = f"  tls: [{{hosts: [a.example], secretName: {secret}}}]\n" if secret else ""
    return (
        f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\n"
        f"spec:\n  ingressClassName: nginx\n{tls}  rules: [{{host: {name}.example}}]\n"
    )


def secret(name: str, data: dict[str, bytes]) -> str:
    values = "".join(f"  {key}: {base64.b64encode(value).decode()}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}}}\ndata:\n{values}"


def replace(file: Path, text: str) -> None:
    """As ``kubectl`` and careful editors write."""
    other = file.with_name(f".{file.name}.new")
    other.write_text(text)
    os.replace(other, file)


async def port_of(view: BusView, name: str) -> int:
    found = await view.get("service", f"default/{name}")
    return found.ports[0].port if found else 0


async def test_files_that_come_change_and_go(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.yml").write_text(service("a"))
    (folder / "b.json").write_text('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}}')
    (folder / "notes.txt").write_text("not a manifest")
    (folder / ".hidden.yaml").write_text(service("hidden"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        assert {str(key) for key in await view.objects()} == {
            "service default/a",
            "service default/b",
            "source folder",
        }
        assert (await view.get("source", "folder")).synced
        replace(folder / "deep" / "er" / "a.yml", service("a", 81))
        await eventually(lambda: port_is(view, "a", 81))
        (folder / "new" / "folder").mkdir(parents=True)
        (folder / "new" / "folder" / "c.yaml").write_text(service("c"))
        await view.has("service", "default/c")
        (folder / "deep" / "er" / "a.yml").rename(folder / "moved.yaml")
        (folder / "b.json").unlink()
        await view.lacks("service", "default/b")
        assert await port_of(view, "a") == 81
        (folder / "link.yaml").symlink_to(folder / "notes.txt")
        (folder / "notes.txt").write_text(service("linked"))
        (folder / "link.yaml").unlink()
        (folder / "link.yaml").symlink_to(folder / "notes.txt")
        await view.has("service", "default/linked")
        assert not any(envelope.relisted for envelope in view.heard)


async def port_is(view: BusView, name: str, port: int) -> bool:
    return await port_of(view, name) == port


async def test_a_single_file_may_be_named(nats: NatsServer, tmp_path: Path) -> None:
    file = tmp_path / "only.conf"
    file.write_text(service("a"))
    (tmp_path / "other.yaml").write_text(service("other"))
    options = watcher_options(tmp_path, nats.url, manifests=(file,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        await view.has("service", "default/a")
        assert await view.get("service", "default/other") is None
        replace(file, service("a", 81))
        await eventually(lambda: port_is(view, "a", 81))


async def test_a_mounted_configmap_is_swapped_as_a_whole(nats: NatsServer, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for number, port in ((1, 80), (2, 81)):
        (mount / f"..2026_{number}").mkdir(parents=True)
        (mount / f"..2026_{number}" / "a.yaml").write_text(service("a", port))
    (mount / "..data").symlink_to("..2026_1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    options = watcher_options(tmp_path, nats.url, manifests=(mount,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        assert await port_of(view, "a") == 80
        (mount / "..data_tmp").symlink_to("..2026_2")
        os.replace(mount / "..data_tmp", mount / "..data")
        await eventually(lambda: port_is(view, "a", 81))


async def test_a_broken_file_harms_nobody_and_is_named(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(f"{service('a')}---\n{service('b')}")
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        replace(folder / "a.yaml", f"{service('a', 81)}---\nkind: [\n")
        await eventually(lambda: port_is(view, "a", 81))
        (found,) = watcher.status().diagnostics
        assert found.code == "manifest-invalid"
        assert found.field == f"{folder}/a.yaml document 2 line 7"
        assert await port_of(view, "b") == 80
        replace(folder / "a.yaml", service("a", 82))
        await view.lacks("service", "default/b")
        assert watcher.status().diagnostics == ()


async def test_only_secrets_that_are_referred_to_leave_and_a_bad_one_keeps_its_pair(
    nats: NatsServer, tmp_path: Path
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    pair = tls_data("a.example")
    (folder / "class.yaml").write_text(CLASS)
    (folder / "used.yaml").write_text(secret("used", pair))
    (folder / "unused.yaml").write_text(secret("unused", pair))
    (folder / "web.yaml").write_text(ingress("web", "used"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view:
        async with watching(options) as watcher:
            good = await view.has("secret", "default/used")
            assert good.tls.names == ("a.example",)
            assert await view.get("secret", "default/unused") is None
            replace(folder / "used.yaml", secret("used", {**pair, "tls.key": b"nothing"}))
            await eventually(lambda: problem_of(view, "used"))
            assert (await view.get("secret", "default/used")).tls == good.tls
            assert [found.code for found in watcher.status().diagnostics] == ["secret-invalid"]
        last = await view.last()
        async with watching(options):  # the good pair is remembered by the bus alone
            assert (await view.get("secret", "default/used")).tls == good.tls
        assert await view.last() == last
        replaced = tls_data("a.example")
        (folder / "used.yaml").write_text(secret("used", replaced))
        async with watching(options):
            renewed = await view.get("secret", "default/used")
            assert renewed.problem == ""
            assert renewed.tls.fingerprint != good.tls.fingerprint
    everything = b"".join(path.read_bytes() for path in nats.store.rglob("*") if path.is_file())
    for data in (pair, replaced):
        assert data["tls.key"][40:80] not in everything


async def problem_of(view: BusView, name: str) -> str:
    return str((await view.get("secret", f"default/{name}")).problem)


async def test_a_restart_publishes_only_what_changed_meanwhile(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    for number in range(50):
        (folder / f"{number}.yaml").write_text(service(f"s{number}"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view:
        async with watching(options):
            pass
        last = await view.last()
        async with watching(options) as watcher:
            assert watcher.work is not None
            assert watcher.work.publisher.published == 0
        assert await view.last() == last
        (folder / "0.yaml").unlink()
        (folder / "1.yaml").write_text(service("s1", 81))
        heard = len(view.heard)
        async with watching(options):
            pass
        await eventually(lambda: len(view.heard) >= heard + 2)
        assert sorted((e.key.name, bool(e.object), e.relisted) for e in view.heard[heard:]) == [
            ("s0", False, True),
            ("s1", True, False),
        ]


async def test_a_folder_that_vanishes_is_looked_at_twice(nats: NatsServer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folder_source, "SECOND_LOOK", 0.2)
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "web.yaml").write_text(ingress("web"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        assert watcher.work is not None
        lists = watcher.work.hub.lists()["ingress"]
        os.rename(folder, tmp_path / "away")
        await view.lacks("ingress", "default/web")
        removal = next(e for e in view.heard if e.key == ObjectKey("ingress", "default", "web") and not e.object)
        assert removal.relisted
        assert watcher.work is not None
        await eventually(
            lambda: any(
                kind.kind == "ingress" and kind.lists > lists
                for beacon in view.beacons
                if beacon.sequence >= removal.sequence
                for kind in beacon.kinds
            ),
            what="a beacon with a second list after the removal",
        )
        await eventually(lambda: "is gone" in watcher.status().last_error)
        os.rename(tmp_path / "away", folder)
        await view.has("ingress", "default/web")
        await eventually(lambda: watcher.status().last_error == "")


async def test_an_emptied_folder_is_marked_as_inferred(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    (folder / "sub").mkdir(parents=True)
    for number in range(20):
        (folder / "sub" / f"{number}.yaml").write_text(ingress(f"i{number}"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        shutil.rmtree(folder / "sub")
        await view.lacks("ingress", "default/i19")

        async def empty() -> bool:
            return {key.kind for key in await view.objects()} == {"source"}

        await eventually(empty)
        assert all(envelope.relisted for envelope in view.heard if not envelope.object)


async def test_a_folder_that_is_not_there_yet_is_waited_for(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options, ready=False) as watcher:
        await eventually(lambda: "does not exist" in watcher.status().last_error)
        assert not watcher.ready
        folder.mkdir()
        (folder / "a.yaml").write_text(service("a"))
        await view.has("service", "default/a")
        await eventually(lambda: watcher.ready)
        assert watcher.status().last_error == ""


async def test_without_events_scans_find_changes(nats: NatsServer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folder_events, "_AVAILABLE", False)
    monkeypatch.setattr(folder_source, "QUICK_RESCAN", 0.05)
    monkeypatch.setattr(folder_source, "YOUNG", 0.2)
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("a"))
    options = watcher_options(tmp_path, nats.url, manifests=(folder,))
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        replace(folder / "a.yaml", service("a", 81))
        (folder / "b.yaml").write_text(service("b"))
        await eventually(lambda: port_is(view, "a", 81))
        await view.has("service", "default/b")
        (folder / "b.yaml").unlink()
        await view.lacks("service", "default/b")


async def test_another_kind_of_source_takes_its_place(nats: NatsServer, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name in ((first, "a"), (second, "b")):
        folder.mkdir()
        (folder / "x.yaml").write_text(service(name))
    async with bus_view(nats.url, tmp_path) as view:
        async with watching(watcher_options(tmp_path, nats.url, manifests=(first,))):
            await view.has("service", "default/a")
        async with watching(watcher_options(tmp_path, nats.url, manifests=(second,))):
            await view.has("service", "default/b")
            await view.lacks("service", "default/a")
