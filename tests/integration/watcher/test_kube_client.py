"""The client against a server that refuses, delays, breaks off; and where its credentials come from."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.watcher.sources.kubernetes import client as client_module
from services.watcher.sources.kubernetes.client import ApiError, Client, ConfigError
from tests.support.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A server on loopback that answers everything with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, url: str, user: dict[str, Any] | None = None) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user or {"token": "t0"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = folder / "config"
    file.write_text(json.dumps(config))
    return str(file)


@contextlib.asynccontextmanager
async def connected(config: str) -> AsyncIterator[Client]:
    found = Client(config)
    await found.connect()
    try:
        yield found
    finally:
        await found.close()


async def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    client = Client("/nonexistent/config", "")
    with pytest.raises(ConfigError, match=r"^/nonexistent/config: no such file$"):
        await client.connect()


async def test_that_there_is_no_kubeconfig_at_all_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    client = Client("", "")
    with pytest.raises(ConfigError, match=r"there is no ~/.kube/config; name a file with --kubeconfig$"):
        await client.connect()


async def test_a_failure_carries_the_servers_words_and_its_wish(tmp_path: Path) -> None:
    async def refuse(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t0"
        return web.json_response({"message": "slow down"}, status=429, headers={"Retry-After": "7"})

    async with server(refuse) as url, connected(kubeconfig(tmp_path, url)) as client:
        with pytest.raises(ApiError, match="429 slow down") as caught:
            await client.get("/api/v1/services")
        assert (caught.value.status, caught.value.retry_after) == (429, 7.0)


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[]", b""])
async def test_a_failure_that_cannot_be_read_is_a_failure_all_the_same(tmp_path: Path, body: bytes) -> None:
    async def fail(request: web.Request) -> web.Response:
        return web.Response(status=502, body=body, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})

    async with server(fail) as url, connected(kubeconfig(tmp_path, url)) as client:
        with pytest.raises(ApiError, match="502") as caught:
            await client.get("/")
        assert caught.value.retry_after == 0.0


async def test_nobody_there(tmp_path: Path) -> None:
    async with connected(kubeconfig(tmp_path, f"http://127.0.0.1:{free_port()}")) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/")
        assert caught.value.status == 0


async def test_lines_arrive_whole_whatever_the_pieces(tmp_path: Path) -> None:
    long = b"x" * 300_000

    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "1"
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"on", b"e\ntwo\nth", b"ree\n\n" + long, b"\nrest without an end"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    async with server(stream) as url, connected(kubeconfig(tmp_path, url)) as client:
        found = [line async for lines in client.lines("/", {"watch": "1"}) for line in lines]
        assert found == [b"one", b"two", b"three", long]


async def test_a_line_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_LINE", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65536)
        return response

    async with server(endless) as url, connected(kubeconfig(tmp_path, url)) as client:
        stream = client.lines("/", {})
        assert await anext(stream) == []
        with pytest.raises(ApiError, match="a line of more than"):
            await anext(stream)


async def test_a_stream_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with server(broken) as url, connected(kubeconfig(tmp_path, url)) as client:
        stream = client.lines("/", {})
        assert [await anext(stream), await anext(stream)] == [[], [b"one"]]
        with pytest.raises(ApiError, match="connection lost"):
            await anext(stream)


async def test_a_rotated_token_is_read_when_the_old_one_is_refused(tmp_path: Path) -> None:
    async def check(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer t1"
        return web.json_response({"message": "ok" if good else "who?"}, status=200 if good else 401)

    async with server(check) as url, connected(kubeconfig(tmp_path, url)) as client:
        with pytest.raises(ApiError, match="401 who"):
            await client.get("/")
        kubeconfig(tmp_path, url, {"token": "t1"})
        client._loaded_at = float("-inf")
        assert b"ok" in await client.get("/")


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        '"status": {"token": "made"}}\'\n'
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IEXEC)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["Authorization"])

    async with server(show) as url, connected(kubeconfig(tmp_path, url, user)) as client:
        assert await client.get("/") == b"Bearer made"


async def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert not client_module._in_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(client_module, "SERVICE_ACCOUNT", tmp_path)
    assert not client_module._in_cluster()
    (tmp_path / "token").write_text("t")
    assert client_module._in_cluster()


@pytest.mark.parametrize("content", [None, "", "{", "kind: Config\nclusters: []\n"])
async def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    client = Client(str(file))
    with pytest.raises(ConfigError, match=str(file)):
        await client.connect()
    with pytest.raises(ApiError, match="not connected"):
        await client.get("/")
    await client.close()


async def test_credentials_that_are_read_again_meanwhile_are_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="fine")

    async with server(answer) as url, connected(kubeconfig(tmp_path, url)) as client:

        async def reloading(configuration: Any) -> dict[str, str]:
            await client.connect()
            return {}

        with monkeypatch.context() as patched:
            patched.setattr(client_module, "_authorization", reloading)
            with pytest.raises(ApiError):
                await client.get("/api/v1/services")
        assert await client.get("/api/v1/services") == b"fine"
