"""Ports of UDP services: a session for each client, how many answers end it, other endpoints, its limits."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from proto.resources import ResourceKey, Stream
from services.edge.streams import datagrams
from services.edge.streams.account import Account
from tests.support.edge import settings
from tests.support.streams import (
    LOCAL,
    datagram_client,
    datagram_endpoint,
    endpoints,
    free_udp_port,
    streaming,
    udp,
)
from tests.support.waiting import eventually

NAME = "default/echo:7/udp"


async def test_answers_come_back_and_the_session_ends_with_the_last_one_expected() -> None:
    port = free_udp_port()
    async with datagram_endpoint() as dns, streaming(udp(port), endpoints(dns.port, name=NAME)) as running:
        async with datagram_client(port) as client:
            for number in range(5):
                assert await client.ask(b"question %d" % number) == b"question %d" % number
        await eventually(lambda: running.ports.connections == 0)
        assert running.ended("udp") == {"200": 5}
        assert len({address for _, address in dns.heard}) == 5, "each has a session of its own"


async def test_as_many_answers_as_are_said_to_come() -> None:
    port = free_udp_port()
    three = settings(proxy_stream_responses=3)
    async with (
        datagram_endpoint(times=3) as dns,
        streaming(udp(port), endpoints(dns.port, name=NAME), three) as running,
    ):
        async with datagram_client(port) as client:
            client.say(b"x")
            await eventually(lambda: client.heard == [b"x"] * 3)
        await eventually(lambda: running.ended("udp") == {"200": 1})


async def test_a_session_that_expects_nothing_is_over_when_it_was_said() -> None:
    port = free_udp_port()
    silent = settings(proxy_stream_responses=0)
    async with (
        datagram_endpoint(times=0) as log,
        streaming(udp(port), endpoints(log.port, name=NAME), silent) as running,
    ):
        async with datagram_client(port) as client:
            client.say(b"one")
            client.say(b"two")
            await eventually(lambda: [data for data, _ in log.heard] == [b"one", b"two"])
        assert running.ended("udp") == {"200": 2}


class Full(socket.socket):
    """A socket whose buffer takes nothing."""

    def send(self, *_args: object) -> int:  # type: ignore[override]
        raise BlockingIOError


async def test_what_no_buffer_takes_is_dropped_and_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    port, over = free_udp_port(), list[Account]()
    monkeypatch.setattr(datagrams, "socket", SimpleNamespace(**{**vars(socket), "socket": Full}))
    async with streaming(udp(port), endpoints(9, name=NAME), settings(proxy_stream_responses=0)) as running:
        monkeypatch.setattr(running.edge.serving.ledger, "ended", over.append)
        async with datagram_client(port) as client:
            client.say(b"one")
            await eventually(lambda: bool(over))
        assert running.edge.serving.traffic.counters["stream-datagrams-dropped"] == 1
    assert [(account.received, account.given) for account in over] == [(3, 0)]


async def test_each_client_has_one_endpoint_as_long_as_its_session_lasts() -> None:
    port = free_udp_port()
    many = settings(proxy_stream_responses=1000)
    async with (
        datagram_endpoint(b"a") as one,
        datagram_endpoint(b"b") as two,
        streaming(udp(port), endpoints(one.port, two.port, name=NAME), many) as running,
        datagram_client(port) as first,
        datagram_client(port) as second,
    ):
        heard = {(await client.ask(b"x"))[:1] for client in (first, second)}
        assert heard == {b"a", b"b"}
        assert len({await first.ask(b"x") for _ in range(5)}) == 1
        running.change(endpoints(name=NAME))
        assert await second.ask(b"x"), "what is under way is left alone"
        assert running.ports.connections == 2


async def test_a_session_without_a_word_ends() -> None:
    port = free_udp_port()
    quick = settings(proxy_stream_timeout=0.2)
    async with (
        datagram_endpoint(times=0) as mute,
        streaming(udp(port), endpoints(mute.port, name=NAME), quick) as running,
        datagram_client(port) as client,
    ):
        client.say(b"hello?")
        await eventually(lambda: running.ports.connections == 1)
        await eventually(lambda: running.ended("udp") == {"502": 1})


async def test_where_nobody_listens_another_endpoint_is_asked() -> None:
    port = free_udp_port()
    async with datagram_endpoint() as dns:
        names = endpoints(free_udp_port(), dns.port, name=NAME)
        async with streaming(udp(port), names) as running:
            for number in range(4):
                async with datagram_client(port) as client:
                    assert await client.ask(b"%d" % number) == b"%d" % number
            assert set(running.ended("udp")) == {"200"}
            running.change(endpoints(free_udp_port(), name=NAME))
            async with datagram_client(port) as client:
                client.say(b"x")
                await eventually(lambda: running.ended("udp").get("502") == 1)


async def test_sessions_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "SESSIONS_AT_MOST", 2)
    port = free_udp_port()
    async with (
        datagram_endpoint(times=0) as mute,
        streaming(udp(port), endpoints(mute.port, name=NAME)) as running,
        datagram_client(port) as a,
        datagram_client(port) as b,
        datagram_client(port) as c,
    ):
        for client in (a, b, c):
            client.say(b"x")
        await eventually(lambda: running.edge.serving.traffic.counters["stream-sessions-refused"] == 1)
        assert running.ports.connections == 2


async def test_sessions_leave_room_for_everybody_else() -> None:
    ports = free_udp_port(), free_udp_port()
    async with (
        datagram_endpoint(times=0) as mute,
        streaming(udp(ports[0]), udp(ports[1]), endpoints(mute.port, name=NAME)) as running,
        datagram_client(ports[0]) as a,
        datagram_client(ports[1]) as b,
        datagram_client(ports[1]) as c,
    ):
        limits = running.edge.serving.limits
        limits.follow(8)
        for client in (a, b, c):
            client.say(b"x")
        await eventually(lambda: running.edge.serving.traffic.counters["stream-sessions-refused"] == 1)
        assert (running.ports.connections, limits.sessions) == (2, 2)
        assert not limits.full()
        running.ports.close()
        assert limits.sessions == 0


async def test_a_port_that_goes_as_it_comes_leaves_nothing_open() -> None:
    port = free_udp_port()
    async with datagram_endpoint() as dns, streaming(endpoints(dns.port, name=NAME)) as running:
        running.change(udp(port))
        running.change(removals=[ResourceKey("stream", f"udp:{port}")])
        await asyncio.sleep(0)  # whatever was to be begun for the port is
        await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((LOCAL, port))


async def test_a_port_closes_and_opens_again() -> None:
    port = free_udp_port()
    async with datagram_endpoint() as dns, streaming(udp(port), endpoints(dns.port, name=NAME)) as running:
        async with datagram_client(port) as client:
            assert await client.ask(b"x") == b"x"
        running.change(removals=(ResourceKey("stream", f"udp:{port}"),))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((LOCAL, port))  # free again
        running.change(udp(port))
        async with datagram_client(port) as client:
            assert await client.ask(b"y") == b"y"


async def test_answers_come_from_the_address_that_was_asked() -> None:
    """All of 127.0.0.0/8 is this machine; the system itself would answer from 127.0.0.1."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bound.bind(("0.0.0.0", 0))
    port = bound.getsockname()[1]
    async with datagram_endpoint() as dns, streaming(endpoints(dns.port, name=NAME)) as running:
        opened = datagrams.DatagramPort(running.edge.serving, Stream("udp", NAME, port))
        await opened.listen([bound])
        async with asyncio.timeout(10), datagram_client(port, "127.0.0.77") as client:
            assert await client.ask(b"x") == b"x", "a connected socket hears nobody else"
            running.edge.change(settings(bind_address=("127.0.0.1",)))
            client.say(b"y")
            await eventually(lambda: running.edge.serving.traffic.counters["refused-address"] == 1)
            running.edge.change(settings(bind_address=("127.0.0.77",)))
            assert await client.ask(b"z") == b"z"
        opened.close()


async def test_lines_of_the_log_of_datagrams(tmp_path: Path) -> None:
    port = free_udp_port()
    file = tmp_path / "streams.log"
    logged = settings(access_log_path=str(file))
    async with datagram_endpoint(b"12") as dns, streaming(udp(port), endpoints(dns.port, name=NAME), logged):
        async with datagram_client(port) as client:
            await client.ask(b"x")
        await eventually(lambda: file.exists() and file.read_text())
        line = file.read_text()
        assert line.startswith(f"[{LOCAL}] [")
        assert "] UDP 200 3 1 0." in line
