"""TCP and UDP services and TLS that passes unopened, beside nginx's stream module: clients hear the same, endpoints are
told the same, and so is the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import Struct

from tests.integration.differential.stream_sides import PASSED, Side, both_streams, hello
from tests.support.streams import datagram_client
from tests.support.waiting import eventually

ENDS = b"\xcb\x00\x71\x09\xc0\x00\x02\x02\xc3\x50\x23\x28"
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.2 50000 9000\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::9 2001:db8::2 50000 9000\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
OF_V2 = V2 + b"\x21\x11\x00\x0c" + ENDS
WITH_MORE = V2 + b"\x21\x11\x00\x10" + ENDS + b"\x04\x00\x01x"
OWN = V2 + b"\x20\x00\x00\x00"
UNKNOWN = b"PROXY UNKNOWN\r\n"


class Talk(Struct, frozen=True):
    """What a client says at a port; ``ends``: it says that it is done; ``told``: the endpoint is told by the edge what
    the balancer said of both ends, by nginx where the balancer came to instead (docs/differences.md)."""

    port: str
    pieces: tuple[bytes, ...] = ()
    ends: bool = True
    told: bool = False


TALKS = (
    Talk("echo", (b"hello",)),
    Talk("echo", (bytes(range(256)) * 2000,)),
    Talk("greets"),
    Talk("greets", (b"EHLO", b" you\r\n")),
    Talk("reads", (V1 + b"hello",)),
    Talk("reads", (V1_IPV6 + b"hello",)),
    Talk("reads", (OF_V2, b"hello")),
    Talk("reads", (WITH_MORE + b"hello",)),
    Talk("reads", (OWN + b"hello",)),
    Talk("reads", (UNKNOWN + b"hello",)),
    Talk("reads", (b"GET / HTTP/1.1\r\n\r\n",)),
    Talk("writes", (b"hello",)),
    Talk("writes"),
    Talk("both", (V1 + b"hello",), told=True),
    Talk("both", (V1_IPV6 + b"hello",), told=True),
    Talk("both", (UNKNOWN + b"hello",)),
    Talk("gone", ends=False),
    Talk("some", (b"hello",)),
    Talk("some", (b"hello",)),
    Talk("some", (b"hello",)),
)


async def test_tcp_services_do_as_nginx_does(tmp_path: Path) -> None:
    mistakes = []

    async def heard(side: Side) -> list[bytes]:
        return [await side.hears(talk.port, *talk.pieces, ends=talk.ends) for talk in TALKS]

    async with both_streams(tmp_path) as (theirs, ours):
        lists = await asyncio.gather(heard(theirs), heard(ours))
    for talk, left, right, nginx, edge in zip(TALKS, *lists, theirs.lines(), ours.lines(), strict=True):
        if (left != right) != talk.told:
            mistakes.append(f"{talk}: clients of nginx hear {left[:99]!r}, of the edge {right[:99]!r}")
        if (nginx != edge) != talk.told and talk.port != "some":
            mistakes.append(f"{talk}: log\n    nginx {nginx}\n    edge  {edge}")
    assert not mistakes, "\n" + "\n".join(mistakes)
    # who had whose turn differs, for the edge remembers where nobody listens
    second_tries = [{line for line in side.lines() if ", " in line} for side in (theirs, ours)]
    assert second_tries[0] == second_tries[1] != set()


async def test_tls_passes_unopened_as_by_ssl_preread(tmp_path: Path) -> None:
    async with both_streams(tmp_path) as sides:
        for name in (PASSED, PASSED.upper()):
            said = hello(name)
            for pieces in ((said,), (said[:3], said[3:50], said[50:])):
                for side in sides:
                    assert await side.hears("tls", *pieces) == said, (name, len(pieces))


@pytest.mark.parametrize(("responses", "times"), [(1, 1), (2, 2), (0, 0)])
async def test_udp_services_do_as_nginx_does(responses: int, times: int, tmp_path: Path) -> None:
    async with both_streams(tmp_path, responses=responses, times=times) as (theirs, ours):
        for side in (theirs, theirs, ours, ours):
            assert await answers(side, times) == [b"hello"] * times
        await eventually(lambda: theirs.ended() == ours.ended() == 2)
    assert theirs.lines() == ours.lines()


@pytest.mark.parametrize("times", [0, 1])
async def test_silence_ends_what_it_ends_with_nginx(times: int, tmp_path: Path) -> None:
    async with both_streams(tmp_path, responses=2, times=times, timeout="500ms") as (theirs, ours):

        async def heard(side: Side) -> list[object]:
            tcp = (side.hears("echo", b"hello", ends=False), side.hears("greets", ends=False))
            found = await asyncio.gather(*tcp, answers(side, times))
            await eventually(lambda: side.ended() == len(found))
            return list(found)

        lists = await asyncio.gather(heard(theirs), heard(ours))
    assert lists[0] == lists[1] == [b"hello", b"220 ready\r\n", [b"hello"] * times]
    assert sorted(theirs.lines()) == sorted(ours.lines())


async def answers(side: Side, times: int) -> list[bytes]:
    """What comes back for one datagram."""
    async with datagram_client(side.ports["answers"]) as client:
        client.say(b"hello")
        await eventually(lambda: len(client.heard) == times)
        return client.heard
