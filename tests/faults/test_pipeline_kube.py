"""The whole on a real API server that goes away: traffic does not notice, and changes are live afterwards."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edges import ask
from tests.support.kube import KubeApi, require_kube
from tests.support.manifests import ingress, ingress_class, secret, service
from tests.support.pairs import tls_data
from tests.support.pipeline import NAMESPACE, Pipeline, slice_of
from tests.support.traffic import on, pod
from tests.support.waiting import eventually

pytestmark = pytest.mark.kube
HOST, TLS = "a.example.com", "tls.example.com"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[KubeApi]:
    """An API server of this test's own."""
    apiserver, etcd = require_kube()
    made = KubeApi(tmp_path / "kube", apiserver, etcd)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def test_the_api_server_goes_away_and_comes_back(whole: Pipeline, api: KubeApi) -> None:
    address = _own_address()
    async with pod(address=address) as web:
        await _goes_away_and_comes_back(whole, api, address, web.port)


async def _goes_away_and_comes_back(whole: Pipeline, api: KubeApi, address: str, port: int) -> None:
    for manifest in (
        ingress_class(),
        service("web", NAMESPACE),
        slice_of("web", port, address),
        ingress(HOST, NAMESPACE, HOST),
        ingress(TLS, NAMESPACE, TLS, secret=TLS),
        ingress("old", NAMESPACE, "old.example.com"),
        secret(TLS, NAMESPACE, tls_data(TLS)),
    ):
        await api.create(manifest)
    kubeconfig = api.kubeconfig()
    whole.watcher = whole.add_watcher("--kube", "--kubeconfig", kubeconfig, f"--election-namespace={NAMESPACE}")
    whole.other.append(whole.add_edge("edge-2"))
    await whole.start()
    await whole.served(HOST)
    await whole.served("old.example.com")
    before = await whole.edge.position()
    async with on(whole.edges, HOST, TLS) as traffic:
        await traffic.more(50)
        api.kill_apiserver()
        await eventually(lambda: _says_failing(whole), 20)
        await traffic.more(100)
        assert all([await edge.is_ready() for edge in whole.edges])
        # edges, compiler and NATS may even restart meanwhile
        whole.compiler.kill()
        whole.compiler.start()
        await whole.nats.restart(empty=True)
        await traffic.more(100)
        await api.start_apiserver()
        await api.delete(ingress("old", NAMESPACE, ""))
        await api.create(ingress("b.example.com", NAMESPACE, "b.example.com"))
        await whole.served("b.example.com", timeout=60)
        traffic.check()
        await eventually(whole.agrees)
        assert await whole.edge.position() > before
        # and from now on at once
        await api.create(ingress("c.example.com", NAMESPACE, "c.example.com"))
        await whole.served("c.example.com", timeout=2)
        await eventually(lambda: _works_again(whole), 60)
    assert (await ask(whole.edge.http, "old.example.com")).status == 404


def _own_address() -> str:
    """An address of this machine that is not loopback, which the API server refuses as an endpoint's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing: it only asks for the route
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


async def _says_failing(whole: Pipeline) -> bool:
    return await whole.watcher.metric("limen_watcher_source_failing") > 0


async def _works_again(whole: Pipeline) -> bool:
    return await whole.watcher.metric("limen_watcher_source_failing") == 0
