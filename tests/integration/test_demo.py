"""``limen demo``: every printed request answers as it should, and an edit is told while it runs."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from aiohttp import ClientSession

from services.cli.demo_calls import CALLS, complaint, echo_round_trip
from services.cli.demo_calls import _by_python as by_python
from services.cli.sample_backend import serving
from services.runtime.settings import HostPort
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY, limen, process
from tests.support.waiting import eventually_sync

PORTS = ("--http=127.0.0.1:0", "--https=127.0.0.1:0", "--admin=127.0.0.1:0")


def test_once_makes_every_printed_request(tmp_path: Path) -> None:
    with process(*limen("demo", "--once", *PORTS), log=tmp_path / "log") as child:
        assert child.wait(60) == 0, child.output()
        text = child.output()
    assert f"{len(CALLS)} of {len(CALLS)} answered as they should" in text
    assert "→ live on 2/2 edges" in text
    assert "✗" not in text


def test_once_fails_when_an_answer_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(REPOSITORY / "examples", folder)
    shutil.rmtree(folder / "rewrite-target")
    shutil.rmtree(folder / "capture-groups")
    with process(*limen("demo", "--once", f"--manifests={folder}", *PORTS), log=tmp_path / "log") as child:
        assert child.wait(60) == 1
        assert "✗   capture groups: " in child.output()


def test_an_edit_is_told_and_served(tmp_path: Path) -> None:
    folder, http = tmp_path / "examples", free_port()
    shutil.copytree(REPOSITORY / "examples", folder)
    words = limen("demo", f"--manifests={folder}", f"--http=127.0.0.1:{http}", *PORTS[1:])
    with process(*words, log=tmp_path / "log", env={"COLUMNS": "200"}) as child:
        eventually_sync(lambda: "Ctrl-C ends" in child.output(), 40, what=f"invitation in {child.output()[-3000:]}")
        assert f"curl -i -H 'Host: coffee.localhost' http://127.0.0.1:{http}/" in child.output()
        before = len(child.output())
        file = folder / "hosts-and-paths" / "manifests.yaml"
        file.write_text(file.read_text().replace("path: /tea", "path: /green-tea"))
        eventually_sync(
            lambda: (
                "ingress example-hosts-and-paths/cafe → snapshot" in child.output()[before:]
                and "live on 2/2 edges" in child.output()[before:]
            ),
            10,
            what="the edit in the timeline",
        )
        child.send(signal.SIGINT)
        assert child.wait(15) == 0, child.output()


def test_a_broken_manifest_is_told_and_status_finds_the_demo(tmp_path: Path) -> None:
    folder, own = tmp_path / "examples", {"TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    shutil.copytree(REPOSITORY / "examples" / "hosts-and-paths", folder)
    with process(*limen("demo", f"--manifests={folder}", *PORTS), log=tmp_path / "log", env=own) as child:
        eventually_sync(lambda: "Ctrl-C ends" in child.output(), 40, what=f"invitation in {child.output()[-3000:]}")
        broken = folder / "broken.yaml"
        broken.write_text("kind: [")
        head = f"error: manifest-invalid  source folder  {broken}"
        eventually_sync(lambda: f"✗ {head}" in child.output(), 10, what="the broken manifest in the timeline")
        with process(*limen("status"), log=tmp_path / "status", env=own) as status:
            assert status.wait(20) == 0, status.output()
            assert "live on 2/2 edges" in status.output()
            assert f"manifest-invalid  source folder  {broken} document 1 line" in status.output()
        broken.unlink()
        eventually_sync(lambda: f"✓ no longer: {head}" in child.output(), 10, what="that it is gone")


async def test_python_asks_the_same_where_curl_is_missing() -> None:
    port = free_port()
    address = HostPort("127.0.0.1", port)
    async with serving("coffee", [address]):
        answer = await by_python(CALLS[0], address, address)
        assert complaint(CALLS[0], answer) == ""
        assert "Host: coffee.localhost" in answer.text
        websocket = next(call for call in CALLS if call.websocket)
        assert (await by_python(websocket, address, address)).status == 101
        assert await echo_round_trip("echo.localhost", address) == ""
    assert (await by_python(CALLS[0], address, address)).status == 0


async def test_a_sample_server_says_what_reached_it() -> None:
    port = free_port()
    async with serving("tea", [HostPort("127.0.0.1", port)]), ClientSession() as client:
        url = f"http://127.0.0.1:{port}/a%2Fb?x=1"
        async with client.post(url, data=b"body", headers={"X-Real-IP": "10.0.0.1"}) as answer:
            text = await answer.text()
    assert text.startswith(f"tea at 127.0.0.1:{port}\nPOST /a%2Fb?x=1 HTTP/1.1\n")
    assert "X-Real-IP: 10.0.0.1" in text
    assert text.endswith("\nbody\n")
