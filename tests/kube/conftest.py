"""One API server for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.kube import KubeApi, shared_kube_api, taken


@pytest.fixture(scope="session")
def _shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with shared_kube_api(tmp_path_factory.mktemp("kube"), users=("limited", "namespaced", "nobody")) as api:
        yield api


@pytest.fixture
async def kube(_shared_api: KubeApi) -> AsyncIterator[KubeApi]:
    """The shared API server. Use a namespace of your own and a Lease of your own."""
    async with taken(_shared_api) as api:
        yield api
