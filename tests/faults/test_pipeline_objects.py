"""The whole and bad input: a broken Ingress among good ones, and a list that suddenly lacks almost everything."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

from tests.support.edges import ask
from tests.support.manifests import Manifest
from tests.support.pipeline import Pipeline, annotated
from tests.support.traffic import Counter, Pod, on
from tests.support.waiting import eventually

HOST, TLS = "a.example.com", "tls.example.com"
BAD = "bad.example.com"
LATENCY = 1.0
"""Seconds within which a change beside a broken one is live (it takes milliseconds where nothing else runs)."""


def _path(made: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["rules"][0]["http"]["paths"][0]
    return found


def _null_backend(host: str = BAD) -> Manifest:
    made = annotated(host)
    _path(made)["backend"] = None
    return made


def _empty_backend(host: str = BAD) -> Manifest:
    made = annotated(host)
    _path(made)["backend"] = {}
    return made


def _unknown_path_type(host: str = BAD) -> Manifest:
    return annotated(host, path_type="Fuzzy")


def _poison_regex(host: str = BAD) -> Manifest:
    return annotated(host, "ImplementationSpecific", "/(a+)+(?<bad", use_regex="true")


def _snippet(host: str = BAD) -> Manifest:
    return annotated(host, configuration_snippet="return 200 hacked;")


def _wrong_type(host: str = BAD) -> Manifest:
    made = annotated(host)
    made["spec"]["rules"] = "everything"
    return made


def _no_service_port(host: str = BAD) -> Manifest:
    made = annotated(host)
    _path(made)["backend"]["service"]["port"] = {"name": "missing"}
    return made


KEEPS_LAST_GOOD = [
    _null_backend, _empty_backend, _unknown_path_type, _snippet, _wrong_type
]  # fmt: skip
LOSES_ITS_PATH = [_poison_regex]
"""Whether a path is a pattern depends on its host, which may be others' too."""


async def _found(running: Pipeline, host: str = BAD) -> list[dict[str, Any]]:
    """What is said about Ingresses for ``host``, by whoever knows."""
    statuses = await running.compiler.status(), await running.watcher.status()
    return [each for status in statuses for each in status.get("diagnostics", []) if host in json.dumps(each)]


async def test_a_broken_ingress_harms_nobody_and_keeps_its_last_good_version(running: Pipeline) -> None:
    """Each kind of breakage in turn, as an update of a good Ingress: it is served on as it was, a finding names it,
    others' changes are live as fast as ever; and once it is corrected, so is it."""
    async with Counter(running.manifests, running.edges) as counter, on(running.edges, HOST, TLS) as traffic:
        for number, broken in enumerate([*KEEPS_LAST_GOOD, *LOSES_ITS_PATH]):
            name = broken.__name__
            running.manifests.put("bad", annotated(BAD, app_root=f"/{number}"))
            await _redirects(running, f"/{number}")
            await eventually(lambda: _nothing_found(running), 5, f"no finding before {name}")
            running.manifests.put("bad", broken())
            counter.step()
            await counter.live(LATENCY)
            findings = await eventually(lambda: _found(running), 5, f"a finding for {name}")
            assert any(each["severity"] == "error" for each in findings), (name, findings)
            answer = await ask(running.edge.http, BAD)
            if broken in KEEPS_LAST_GOOD:
                assert (answer.status, answer.headers.get("location")) == (302, f"http://{BAD}/{number}"), name
            else:
                assert answer.status == 404, name
            counter.step()
            await counter.live(LATENCY)
        await traffic.more(50)
    traffic.check()
    counter.check()


async def _nothing_found(running: Pipeline) -> bool:
    return not await _found(running)


async def _redirects(running: Pipeline, path: str) -> None:
    async def everywhere() -> bool:
        answers = [await ask(edge.http, BAD) for edge in running.edges]
        return all(answer.headers.get("location") == f"http://{BAD}{path}" for answer in answers)

    await eventually(everywhere, LATENCY * 5, f"{BAD} redirects to {path}")


async def test_ingresses_that_were_never_good_are_not_served_and_then_are(whole: Pipeline, web: Pod) -> None:
    """They are there when everything starts: the others are served all the same."""
    whole.manifests.serve(web.port, HOST)
    hosts = {}
    for broken in (*KEEPS_LAST_GOOD, *LOSES_ITS_PATH, _no_service_port):
        host = hosts[broken.__name__] = f"{broken.__name__.strip('_').replace('_', '-')}.{BAD}"
        whole.manifests.put(host, broken(host))
    await whole.start()
    await whole.served(HOST)
    for host in hosts.values():
        assert await eventually(lambda host=host: _found(whole, host), 5), host
        assert (await ask(whole.edge.http, host)).status in (404, 503), "never open"
    for host in hosts.values():
        whole.manifests.put(host, annotated(host))
        assert await whole.served(host) < 5 * LATENCY
    await eventually(lambda: _nothing_found(whole), 5)


async def test_an_annotation_that_is_no_good_is_named_and_left_out(running: Pipeline) -> None:
    """As ingress-nginx does it where nobody is let in by that; one that guards answers 503."""
    running.manifests.put("bad", annotated(BAD, app_root="not a path"))
    await running.served(BAD)
    await eventually(lambda: _says(running, "annotation-invalid", "app-root"), 5)
    running.manifests.put("bad", annotated(BAD, auth_type="nonsense"))
    await running.served(BAD, status=503)
    await eventually(lambda: _says(running, "annotation-", "auth-type"), 5)
    running.manifests.put("bad", annotated(BAD))
    await running.served(BAD)
    await eventually(lambda: _nothing_found(running), 5)


async def _says(running: Pipeline, *words: str) -> bool:
    return any(all(word in json.dumps(each) for word in words) for each in await _found(running))


HOSTS = [f"h{number}.example.com" for number in range(20)]


async def test_an_emptied_folder_is_held_until_a_second_look(running: Pipeline, web: Pod) -> None:
    manifests = running.manifests
    manifests.serve(web.port, HOST, *HOSTS, tls=TLS)
    await running.served(HOSTS[-1])
    async with on(running.edges, HOST, TLS) as traffic:
        away = manifests.folder.with_name("away")
        shutil.move(manifests.folder, away)
        manifests.folder.mkdir()
        held = await eventually(lambda: _held(running), 5, "held")
        assert held["routes_now"] == len(HOSTS) + 2
        assert held["routes_after"] == 0
        assert "ingress shop/a.example.com" in held["objects"]
        await traffic.more(100)
        traffic.check()
        # it comes back: nothing is held, and nothing happened
        manifests.folder.rmdir()
        shutil.move(away, manifests.folder)
        await eventually(lambda: _nothing_held(running), 15)
        await traffic.more(50)
    traffic.check()
    # and away for good: the second look lets it pass
    shutil.move(manifests.folder, away)
    manifests.folder.mkdir()
    await eventually(lambda: _held(running), 15, "held again")
    await running.served(HOST, status=404, timeout=30)
    assert await _nothing_held(running)


async def test_a_held_removal_is_approved(running: Pipeline, web: Pod) -> None:
    manifests = running.manifests
    manifests.serve(web.port, HOST, *HOSTS)
    await running.served(HOSTS[-1])
    shutil.move(manifests.folder, manifests.folder.with_name("away"))
    await eventually(lambda: _held(running), 5, "held")
    overview = await running.overview()
    assert overview["held"]["routes_after"] == 0
    assert "limen approve" in (await running.command("status"))[1]
    assert (await ask(running.edge.http, HOST)).status == 200
    code, output = await running.command("approve")
    assert code == 0, output
    await running.served(HOST, status=404, timeout=2)


async def test_single_files_that_are_removed_go_at_once(running: Pipeline, web: Pod) -> None:
    """Told one by one, however many: a person did that."""
    running.manifests.serve(web.port, HOST, *HOSTS, tls=TLS)
    await running.served(HOSTS[-1])
    async with on(running.edges, HOST, TLS) as traffic:
        for host in HOSTS:
            running.manifests.remove(host)
            await asyncio.sleep(0)
        for host in HOSTS:
            await running.served(host, status=404, timeout=3)
        assert await _nothing_held(running)
        await traffic.more(50)
    traffic.check()


async def _held(running: Pipeline) -> Any:
    return (await running.compiler.status()).get("held")


async def _nothing_held(running: Pipeline) -> bool:
    return await _held(running) is None
