"""The same by HTTP/2: what hosts have of policies holds for its clients as it does in nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.differential.compare import Came, came
from tests.integration.differential.groups import NAMES, Asked, requests_of
from tests.integration.differential.sides import TIME, Pair, both
from tests.support.edge import Reply
from tests.support.http2 import Client, http2

_OF_ONE_CONNECTION = ("connection", "expect", "keep-alive", "te", "transfer-encoding", "upgrade")
_BODY_AT_MOST = 60_000
"""Bytes that fit in the window that a connection has from the beginning."""
_NOT_COMPARED = ("strict-transport-security", "vary")
"""The first is said in the groups only for requests that are made by TLS there; the second has several lines, of which
the client here keeps one."""


def can_be_asked(asked: Asked) -> bool:
    """Whether it is a request of HTTP/2, and one that is to have the same answers."""
    names = {line.partition(":")[0].lower() for line in asked.headers}
    path = asked.ask.partition(" ")[2]
    return not (
        asked.differs
        or asked.version == "1.0"
        or asked.size > _BODY_AT_MOST
        or not path.startswith("/")
        or names & {*_OF_ONE_CONNECTION, "content-length"}
    )


async def ask(pair: Pair, client: Client, host: str, asked: Asked) -> Came:
    """What comes of one request."""
    mark = len(pair.ends.arrived)
    method, _, path = asked.ask.partition(" ")
    name = asked.host or host
    body = asked.body.encode("latin-1") or b"x" * asked.size
    fields = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in asked.headers]
    fields += [("content-length", str(len(body)))] if body and not asked.chunked else []
    head = client.head(method, path, fields, name=name, ended=not body)
    client.send(head)
    if body:
        client.data(head.stream_id, body)
    response = await client.response(head.stream_id, TIME)
    assert response.reset in (None, 0), response
    lines = [f"{key}: {value}" for key, value in response.headers.items() if key[0] != ":" and key not in _NOT_COMPARED]
    text = "\r\n".join([f"HTTP/2 {response.status}", *lines, "", ""])
    return came(Reply(response.status, text.encode("latin-1"), response.body), pair.ends.arrived[mark:])


@pytest.mark.parametrize("name", NAMES)
async def test_clients_of_http2_get_the_same(name: str, tmp_path: Path) -> None:
    mistakes = []
    async with both(name, tmp_path) as pair:
        for host in pair.group.hosts:
            of = host.host.replace("*", "one")
            async with http2(pair.nginx[1], name=of) as theirs, http2(pair.edge[1], name=of) as ours:
                for asked in filter(can_be_asked, requests_of(host)):
                    for _ in range(asked.times):
                        found = (await ask(pair, theirs, of, asked)).differences(await ask(pair, ours, of, asked))
                        if found:
                            mistakes.append(f"{host.host} {asked.ask} {asked.headers}\n    " + "\n    ".join(found))
    assert not mistakes, "\n" + "\n".join(mistakes)
