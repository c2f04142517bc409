"""The same requests to Debian's nginx and to an edge: the same answers, and the same requests at the endpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.differential.compare import Came, came
from tests.integration.differential.groups import NAMES, Asked, Host, requests_of
from tests.integration.differential.sides import Pair, both
from tests.support.waiting import eventually


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


async def while_one_waits(pair: Pair, side: tuple[int, int], host: str) -> Came:
    """What comes of a request while another of the same client is with an endpoint."""
    before = len(pair.ends.arrived)
    waiting = asyncio.create_task(pair.ask(side, host, Asked("GET /", ("X-Wait: 1",))))
    await eventually(lambda: len(pair.ends.arrived) > before, every=0.001)
    found = came(*await pair.ask(side, host, Asked("GET /")))
    pair.ends.released.set()
    reply, _ = await waiting
    assert reply.status == 200
    pair.ends.released.clear()
    return found


async def test_more_at_once_than_allowed_are_refused_alike(tmp_path: Path) -> None:
    async with both("access", tmp_path) as pair:
        for host, status in (("once.example", 503), ("inside.example", 200)):
            theirs = await while_one_waits(pair, pair.nginx, host)
            ours = await while_one_waits(pair, pair.edge, host)
            assert (theirs.status, theirs.differences(ours)) == (status, []), host


def test_whatever_is_not_the_same_is_said() -> None:
    same = Came(200, [("a", "1"), ("a", "1")], b"", (("a", "GET / HTTP/1.1", [("Host", "h")], b""),))
    assert same.differences(same) == []
    for other in (
        Came(404, same.headers, same.body, same.arrived),
        Came(200, same.headers[:1], same.body, same.arrived),
        Came(200, [*same.headers, ("b", "")], same.body, same.arrived),
        Came(200, same.headers, b"x", same.arrived),
        Came(200, same.headers, b"", ()),
        Came(200, same.headers, b"", (*same.arrived, *same.arrived)),
        Came(200, same.headers, b"", (("b", *same.arrived[0][1:]),)),
        Came(200, same.headers, b"", (("a", "GET /x HTTP/1.1", [("Host", "h")], b""),)),
        Came(200, same.headers, b"", (("a", "GET / HTTP/1.1", [("host", "h")], b""),)),
        Came(200, same.headers, b"", (("a", "GET / HTTP/1.1", [("Host", "h")], b"x"),)),
    ):
        assert len(same.differences(other)) >= 1, other
