"""Ports of TCP services: bytes both ways, ends one direction at a time, PROXY headers, live changes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from proto.resources import ResourceKey
from services.edge.process.streams import drained
from tests.support.edge import connection, settings
from tests.support.ports import can_connect, free_port
from tests.support.streams import LOCAL, StreamingEdge, endpoint, endpoints, streaming, tcp
from tests.support.waiting import eventually

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.2 50000 9000\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes((203, 0, 113, 9, 192, 0, 2, 2)) + b"\xc3\x50\x23\x28"


async def said(port: int, data: bytes, *, count: int = 0) -> bytes:
    """What comes back for ``data`` on a fresh connection: ``count`` bytes, or all until the end."""
    async with asyncio.timeout(10), connection(port) as (reader, writer):
        writer.write(data)
        if count:
            return await reader.readexactly(count)
        writer.write_eof()
        return await reader.read()


async def test_bytes_go_both_ways_and_each_direction_ends_by_itself() -> None:
    port = free_port()
    async with endpoint() as echoing, streaming(tcp(port), endpoints(echoing)) as running:
        await running.accepting(port)
        big = bytes(range(256)) * 8192  # more than any buffer takes at once
        async with asyncio.timeout(20), connection(port) as (reader, writer):
            writer.write(big)
            writer.write_eof()  # the answer comes all the same
            assert await reader.read(-1) == big
        await eventually(lambda: running.ports.connections == 0)
        assert set(running.ended()) == {"200"}
        assert running.edge.serving.ledger.bytes["tcp", str(port), "in"] == len(big)
        assert running.edge.serving.ledger.bytes["tcp", str(port), "out"] == len(big)
        assert running.edge.serving.pools.open() == 0


async def test_endpoints_may_speak_first() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()

    port = free_port()
    async with endpoint(greet) as mail, streaming(tcp(port), endpoints(mail)) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, _):
            assert await reader.readline() == b"220 ready\r\n"


async def test_no_more_is_read_than_the_other_end_takes() -> None:
    go = asyncio.Event()
    got = 0

    async def slow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await go.wait()
        while data := await reader.read(65536):
            got += len(data)

    port = free_port()
    async with endpoint(slow) as taking, streaming(tcp(port), endpoints(taking)) as running:
        await running.accepting(port)
        async with asyncio.timeout(20), connection(port) as (_, writer):
            size = 64 * 1024 * 1024
            sending = asyncio.ensure_future(_send(writer, size))
            ledger = next(iter(running.ports.each()))
            await eventually(lambda: ledger.open == 1)
            before = -1
            account = next(iter(ledger.connections)).account  # type: ignore[union-attr]
            for _ in range(200):  # until nothing moves any more
                if account.received == before and before > 0:
                    break
                before = account.received
                await asyncio.sleep(0.02)
            assert account.received < size // 2
            assert not sending.done()
            go.set()
            await sending
            await eventually(lambda: got == size)


async def _send(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // 65536):
        writer.write(bytes(65536))
        await writer.drain()
    writer.write_eof()


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_proxy_header_is_read_and_one_is_sent(header: bytes) -> None:
    port = free_port()
    record = tcp(port, reads_proxy=True, writes_proxy=True)
    async with endpoint() as echoing, streaming(record, endpoints(echoing)) as running:
        await running.accepting(port)
        for at in (0, 1, 12, len(header), len(header) + 2):
            whole = header + b"hello"
            async with asyncio.timeout(10), connection(port) as (reader, writer):
                writer.write(whole[:at])
                await writer.drain()
                writer.write(whole[at:])
                writer.write_eof()
                assert await reader.read() == V1 + b"hello", "the endpoint hears of the client what the balancer said"


async def test_a_proxy_header_is_sent_that_names_whoever_connects() -> None:
    port = free_port()
    async with endpoint() as echoing, streaming(tcp(port, writes_proxy=True), endpoints(echoing)) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            own = writer.get_extra_info("sockname")[1]
            writer.write(b"x")
            assert await reader.readline() == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (own, port)
            assert await reader.readexactly(1) == b"x"


async def test_whoever_brings_no_good_header_is_closed() -> None:
    port = free_port()
    quick = settings(proxy_protocol_header_timeout=0.2)
    async with endpoint() as echoing, streaming(tcp(port, reads_proxy=True), endpoints(echoing), quick) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(V1[:20])
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        assert running.edge.serving.traffic.counters["proxy-protocol-timeout"] == 1
        assert running.ended() == {"400": 2}


async def test_another_endpoint_is_tried_and_they_take_turns() -> None:
    def named(name: bytes):  # type: ignore[no-untyped-def]
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(name)

        return talk

    port = free_port()
    async with (
        endpoint(named(b"a")) as one,
        endpoint(named(b"b")) as two,
        streaming(tcp(port), endpoints(one, two)) as running,
    ):
        await running.accepting(port)
        heard = [await said(port, b"") for _ in range(6)]
        assert sorted(heard) == [b"a", b"a", b"a", b"b", b"b", b"b"]
        running.change(endpoints(one, free_port()))
        assert {await said(port, b"") for _ in range(4)} == {b"a"}
        running.change(endpoints(free_port()))
        assert await said(port, b"") == b""
        assert running.ended()["502"] == 1
        running.change(endpoints())
        assert await said(port, b"") == b""
        running.change(settings(proxy_stream_next_upstream=False), endpoints(one, free_port()))
        running.edge.serving.pools.balancer("default/echo:7/tcp", _upstream(running))._at = 1
        assert {await said(port, b"") for _ in range(2)} <= {b"a", b""}


def _upstream(running: StreamingEdge):  # type: ignore[no-untyped-def]
    assert running.edge.serving.newest is not None
    return running.edge.serving.newest.upstream("default/echo:7/tcp")


async def test_ports_come_and_go_and_open_connections_stay() -> None:
    first, second = free_port(), free_port()
    async with endpoint() as echoing, streaming(tcp(first), endpoints(echoing)) as running:
        await running.accepting(first)
        async with asyncio.timeout(10), connection(first) as (reader, writer):
            writer.write(b"1")
            assert await reader.readexactly(1) == b"1"
            running.change(tcp(second), removals=(ResourceKey("stream", f"tcp:{first}"),))
            await running.accepting(second)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(LOCAL, first)
            running.change(endpoints(free_port()))
            writer.write(b"2")
            assert await reader.readexactly(1) == b"2", "what is open is left alone"
            assert running.edge.serving.limits.used >= 1
        await eventually(lambda: running.ports.connections == 0)


async def test_a_port_that_cannot_be_opened_harms_no_other_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.streams.ports.TRY_AGAIN", 0.05)
    good, reserved = free_port(), free_port()
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        taken.listen()
        bad = taken.getsockname()[1]
        records = (tcp(good), tcp(bad), tcp(reserved))
        async with (
            endpoint() as echoing,
            streaming(*records, endpoints(echoing), reserved={reserved: "HTTP"}) as running,
        ):
            await running.accepting(good)
            assert set(running.ports.failures) == {f"tcp:{bad}", f"tcp:{reserved}"}
            assert "in use" in running.ports.failures[f"tcp:{bad}"]
            assert "serves HTTP there" in running.ports.failures[f"tcp:{reserved}"]
            assert await said(good, b"hello") == b"hello"
            taken.close()
            await running.accepting(bad)
            assert set(running.ports.failures) == {f"tcp:{reserved}"}
            running.change(removals=(ResourceKey("stream", f"tcp:{reserved}"),))
            assert running.ports.failures == {}


async def test_silence_ends_a_connection() -> None:
    port = free_port()
    async with (
        endpoint() as echoing,
        streaming(tcp(port), endpoints(echoing), settings(proxy_stream_timeout=0.2)) as run,
    ):
        await run.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)


async def test_what_a_client_does_not_take_is_not_kept_for_ever_when_both_ends_are_done() -> None:
    port = free_port()
    untaken = asyncio.Event()

    async def fill(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        splice = next(iter(next(iter(run.ports.each())).connections))  # type: ignore[union-attr]
        while not splice.untaken():
            writer.write(bytes(65536))
            await writer.drain()
            for _ in range(3):  # turns of the loop that we share with the edge
                await asyncio.sleep(0)
        writer.close()
        untaken.set()

    async with (
        endpoint(fill) as filling,
        streaming(tcp(port), endpoints(filling), settings(proxy_stream_timeout=0.3)) as run,
    ):
        await run.accepting(port)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((LOCAL, port))
            client.send(b"x")
            client.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(10):
                await untaken.wait()
                assert run.ports.connections == 1, "it holds bytes, so it counts"
                await eventually(lambda: run.edge.serving.traffic.counters["stream-timeout"] == 1)
            assert run.ports.connections == 0
            assert run.edge.serving.outflow.held == 0
        assert run.ended() == {"200": 1}


async def test_a_client_that_breaks_off_takes_the_endpoint_with_it() -> None:
    broken = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            broken.set()

    port = free_port()
    async with endpoint(wait) as waiting, streaming(tcp(port), endpoints(waiting)) as running:
        await running.accepting(port)
        broken.clear()
        async with asyncio.timeout(10), connection(port) as (_, writer):
            writer.write(b"x")
            await writer.drain()
            await eventually(lambda: running.edge.serving.pools.open() > 0)
            writer.transport.abort()
            await broken.wait()
        await eventually(lambda: running.ports.connections == 0)


async def test_lines_of_the_log(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "streams.log"
    form = "$protocol $status $bytes_sent $bytes_received $proxy_upstream_name $upstream_addr $server_port $nonsense"
    logged = settings(stream_access_log_path=str(file), log_format_stream=form)
    async with endpoint() as echoing, streaming(tcp(port), endpoints(echoing), logged) as running:
        await eventually(lambda: said(port, b"hello"))
        await eventually(lambda: file.exists() and file.read_text())
        line = f"TCP 200 5 5 tcp-default-echo-7 {LOCAL}:{echoing} {port} -\n"
        assert line in file.read_text()
        running.change(settings(disable_stream_access_log=True, stream_access_log_path=str(file)))
        before = file.read_text()
        assert await said(port, b"again") == b"again"
        await running.edge.serving.ledger.close()
        assert file.read_text() == before


async def test_a_worker_that_ends_lets_connections_run_on_for_a_while() -> None:
    port = free_port()
    async with endpoint() as echoing, streaming(tcp(port), endpoints(echoing)) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(b"1")
            assert await reader.readexactly(1) == b"1"
            ending = asyncio.ensure_future(drained(running.ports, 10))
            await eventually(lambda: not can_connect(port))
            writer.write(b"2")
            writer.write_eof()
            assert await reader.read() == b"2"
            assert await ending is True
    async with endpoint() as echoing, streaming(tcp(port), endpoints(echoing)) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(b"1")
            assert await reader.readexactly(1) == b"1"
            assert await drained(running.ports, 0.05) is False
            assert await reader.read() == b""
            await eventually(lambda: running.edge.serving.limits.clients() == 0)


async def test_where_clients_are_let_in_holds_for_ports_too() -> None:
    port = free_port()
    elsewhere = settings(bind_address=("192.0.2.1",))
    async with endpoint() as echoing, streaming(tcp(port), endpoints(echoing), elsewhere) as running:
        await running.accepting(port)
        async with asyncio.timeout(10), connection(port) as (reader, writer):
            writer.write(b"hello")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        running.change(settings(bind_address=(LOCAL,)))
        assert await said(port, b"hello") == b"hello"
