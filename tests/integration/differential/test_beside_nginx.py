"""The same requests to Debian's nginx and to an edge: the same answers, and the same requests at the endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.differential.compare import came
from tests.integration.differential.groups import NAMES, Asked, Host, requests_of
from tests.integration.differential.sides import Pair, both


async def differing(pair: Pair, host: Host, asked: Asked) -> list[str]:
    """What nginx and the edge do differently."""
    name = host.host.replace("*", "one")
    found = []
    for _ in range(asked.times):
        theirs = came(*await pair.ask(pair.nginx, name, asked))
        ours = came(*await pair.ask(pair.edge, name, asked))
        found += theirs.differences(ours)
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_edge_and_nginx_do_the_same(name: str, tmp_path: Path) -> None:
    mistakes = []
    async with both(name, tmp_path) as pair:
        for host in pair.group.hosts:
            for asked in requests_of(host):
                found = await differing(pair, host, asked)
                if found and not asked.differs:
                    mistakes.append(f"{host.host} {asked.ask} {' '.join(asked.headers)}\n    " + "\n    ".join(found))
                elif asked.differs and not found:
                    mistakes.append(f"{host.host} {asked.ask}: the same now, though said to differ: {asked.differs}")
    assert not mistakes, "\n" + "\n".join(mistakes)
