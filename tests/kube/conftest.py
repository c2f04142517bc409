"""One API server for all tests of this folder that do not kill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.kube import KubeApi, require_kube


@pytest.fixture(scope="session")
def _shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    apiserver, etcd = require_kube()
    api = KubeApi(tmp_path_factory.mktemp("kube"), apiserver, etcd)
    for user in ("limited", "namespaced", "nobody"):
        api.add_user(user, token=user)

    async def start() -> None:
        await api.start()
        await api.disconnect()

    try:
        asyncio.run(start())
        yield api
    finally:
        asyncio.run(api.stop())


@pytest.fixture
async def kube(_shared_api: KubeApi) -> AsyncIterator[KubeApi]:
    """The shared API server. Use a namespace of your own and a Lease of your own."""
    yield _shared_api
    await _shared_api.disconnect()


@pytest.fixture
async def own_kube(tmp_path: Path) -> AsyncIterator[KubeApi]:
    """An API server that may be killed."""
    apiserver, etcd = require_kube()
    api = KubeApi(tmp_path / "kube", apiserver, etcd)
    try:
        await api.start()
        yield api
    finally:
        await api.stop()
