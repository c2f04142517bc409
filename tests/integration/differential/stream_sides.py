"""Ports of TCP and UDP on two sides: nginx with a configuration written by hand, an edge with the ConfigMaps that users
write, the same endpoints for both.

Owns what stands behind the ports, and what a client is told of it that says something there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proto.objects import key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.edge.core.generation import Generation
from services.edge.listener import Listener, Listeners
from services.edge.serving import Serving
from services.edge.streams.ports import Ports
from services.watcher.sources.folder.documents import read_json
from tests.integration.differential.groups import NAMESPACE, PREFIX
from tests.support.edge import SEALER, bound, connection
from tests.support.manifests import Manifest, endpoints, ingress, ingress_class, service
from tests.support.nginx import nginx
from tests.support.ports import free_port
from tests.support.streams import LOCAL, bind, datagram_endpoint, endpoint, free_udp_port
from tests.support.waiting import eventually

PASSED = "secure.example"
TIME = 20.0

TCP = {
    "echo": "echo",
    "greets": "greets",
    "reads": "echo:PROXY",
    "writes": "echo::PROXY",
    "both": "echo:PROXY:PROXY",
    "gone": "gone",
    "some": "some",
}
"""Ports of TCP: the Service (its port is 80), and the words that follow it in the ConfigMap."""
UDP = {"answers": "answers"}

FORM = (
    "$protocol $status $bytes_received $bytes_sent $upstream_addr $upstream_bytes_sent $upstream_bytes_received "
    "$remote_addr $realip_remote_addr $server_addr $proxy_protocol_addr $proxy_protocol_port "
    "$proxy_protocol_server_addr $proxy_protocol_server_port "
    "$session_time [$upstream_connect_time] [$upstream_first_byte_time] [$upstream_session_time]"
)


@dataclass
class Side:
    """One of the two. ``ports``: by name as above, and ``tls``; ``log``: a line for each stream that ended, all of them
    when the side has ended; ``ended``: how many streams have."""

    ports: dict[str, int]
    log: Path
    ended: Callable[[], int] = lambda: 0

    def lines(self) -> list[str]:
        """The lines so far; seconds are all the same."""
        text = self.log.read_text() if self.log.exists() else ""
        return re.sub(r"\b\d+\.\d{3}(?!\.)\b", "<s>", text).splitlines()

    async def hears(self, name: str, *pieces: bytes, ends: bool = True) -> bytes:
        """All that comes back, until the end, for ``pieces`` of which each is sent when the one before has arrived;
        with ``ends`` the client says that it is done. Ports are told by what they are."""
        own, port, before, heard = 0, self.ports[name], self.ended(), b""
        with contextlib.suppress(OSError):  # it was closed while it still spoke
            async with asyncio.timeout(TIME), connection(port) as (reader, writer):
                own = writer.get_extra_info("sockname")[1]
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                if ends:
                    writer.write_eof()
                while data := await reader.read(65536):
                    heard += data
        if name != "tls":
            await eventually(lambda: self.ended() > before, what=f"the end of a stream of {name}")
        return heard.replace(b" %d %d\r\n" % (own, port), b" <client> <port>\r\n")


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks first, and says how much it was told before the other end was done."""
    writer.write(b"220 ready\r\n")
    told = await reader.read()
    writer.write(b"221 %d bytes\r\n" % len(told))


def hello(name: str) -> bytes:
    """How a client begins that wants TLS with ``name``."""
    context = ssl.create_default_context()
    to, made = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to, made, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return made.read()


def _stream_service(name: str, protocol: str) -> Manifest:
    made = service(name, NAMESPACE)
    made["spec"]["ports"][0] |= {"protocol": protocol}
    return made


def _slice(name: str, port: int, protocol: str, suffix: str = "") -> Manifest:
    made = endpoints(name, NAMESPACE, LOCAL)
    made["metadata"]["name"] += suffix
    return made | {"ports": [{"port": port, "name": "", "protocol": protocol}]}


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    metadata = {"name": name, "namespace": "limen"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _manifests(
    behind: dict[str, tuple[int, ...]], datagrams: dict[str, int], edge: Side, values: dict[str, str]
) -> Iterator[Manifest]:
    yield ingress_class()
    yield _config_map(
        "settings",
        {
            **{f"proxy-stream-{name}": value for name, value in values.items()},
            "log-format-stream": FORM,
            "stream-access-log-path": str(edge.log),
        },
    )
    where = {str(edge.ports[name]): _entry(value) for name, value in TCP.items()}
    yield _config_map("tcp", where)
    yield _config_map("udp", {str(edge.ports[name]): f"{NAMESPACE}/{value}-udp:80" for name, value in UDP.items()})
    for name, ports in behind.items():
        yield _stream_service(name, "TCP")
        yield from (_slice(name, port, "TCP", f"-{number}") for number, port in enumerate(ports))
    for name, port in datagrams.items():
        yield _stream_service(f"{name}-udp", "UDP")
        yield _slice(f"{name}-udp", port, "UDP")
    passed = ingress("passed", NAMESPACE, PASSED, annotations={f"{PREFIX}ssl-passthrough": "true"})
    passed["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "echo"
    yield passed


def _entry(value: str) -> str:
    name, colon, words = value.partition(":")
    return f"{NAMESPACE}/{name}:80{colon}{words}"


def _nginx_streams(
    behind: dict[str, tuple[int, ...]], datagrams: dict[str, int], side: Side, values: dict[str, str]
) -> str:
    """What ingress-nginx's template writes for such services; the balancer's addresses are believed, and directions end
    each by itself, as it is here (docs/differences.md)."""
    text = f"""
log_format told '{FORM}'; access_log {side.log} told;
{" ".join(f"proxy_{name} {value};" for name, value in values.items())}
proxy_next_upstream on; proxy_next_upstream_timeout 600s; proxy_next_upstream_tries 3;
proxy_half_close on; set_real_ip_from 127.0.0.1;
map $ssl_preread_server_name $passed {{ {PASSED} echo; default gone; }}
server {{ listen {LOCAL}:{side.ports["tls"]}; ssl_preread on; proxy_pass $passed; access_log off; }}
"""
    for name, ports in [*behind.items(), *((f"{name}-udp", (port,)) for name, port in datagrams.items())]:
        text += f"upstream {name} {{ {''.join(f'server {LOCAL}:{port} max_fails=0; ' for port in ports)} }}\n"
    for name, value in TCP.items():
        to, _, words = value.partition(":")
        reads, _, writes = words.partition(":")
        text += (
            f"server {{ listen {LOCAL}:{side.ports[name]}{' proxy_protocol' if reads else ''}; proxy_pass {to}; "
            f"proxy_protocol {'on' if writes else 'off'}; }}\n"
        )
    for name, value in UDP.items():
        text += f"server {{ listen {LOCAL}:{side.ports[name]} udp; proxy_pass {value}-udp; }}\n"
    return text


def _side(log: Path) -> Side:
    ports = {name: free_port() for name in (*TCP, "tls")}
    return Side(ports | {name: free_udp_port() for name in UDP}, log)


@asynccontextmanager
async def both_streams(
    folder: Path, *, responses: int = 1, times: int = 1, timeout: str = "60s"
) -> AsyncIterator[tuple[Side, Side]]:
    """nginx and an edge, running. ``responses``: what is said to be expected for each datagram; ``times``: what comes;
    ``timeout``: how long nothing may be said."""
    async with AsyncExitStack() as stack:
        echoing = await stack.enter_async_context(endpoint())
        greeting = await stack.enter_async_context(endpoint(_greet))
        answering = await stack.enter_async_context(datagram_endpoint(times=times))
        behind = {"echo": (echoing,), "greets": (greeting,), "gone": (free_port(),), "some": (free_port(), echoing)}
        datagrams = {"answers": answering.port}
        values = {"timeout": timeout, "responses": str(responses)}
        theirs, ours = _side(folder / "nginx.log"), _side(folder / "edge.log")
        theirs.ended = lambda: len(theirs.lines())
        stack.enter_context(
            nginx(folder / "nginx", "server { listen PORT; }", _nginx_streams(behind, datagrams, theirs, values))
        )
        await _edge(stack, folder, [*_manifests(behind, datagrams, ours, values)], ours)
        yield theirs, ours


async def _edge(stack: AsyncExitStack, folder: Path, manifests: list[Manifest], side: Side) -> None:
    compiler = Compiler(
        CompileOptions(
            configmap="limen/settings",
            tcp_services_configmap="limen/tcp",
            udp_services_configmap="limen/udp",
            enable_ssl_passthrough=True,
        )
    )
    for manifest in manifests:
        document = read_json(json.dumps(manifest).encode())
        assert not document.mistakes, (manifest, document.mistakes)
        for read in document.found:
            compiler.change(key_of(read.value), read.value)
    found = [one for _, diagnostics in compiler.compile().diagnostics for one in diagnostics]
    assert [one for one in found if one.code != "passthrough-shadows"] == []
    serving = Serving(asyncio.get_running_loop(), SEALER, folder)
    serving.swap(Generation.first(compiler.records(), 1, 1, compiler.digest))
    assert serving.newest is not None
    side.ended = lambda: sum(count for (kind, _, _), count in serving.ledger.sessions.items() if kind != "tls")
    listener = Listener(serving, 443, True)
    listening = bound()
    await listener.open(listening)
    stack.push_async_callback(Listeners([listener]).drain, 0)
    side.ports["tls"] = listening.getsockname()[1]
    ports = Ports(serving, bind, {})
    ports.follow(serving.newest.streams)
    stack.push_async_callback(serving.ledger.close)
    stack.callback(ports.abort)
    stack.callback(ports.close)
    assert not ports.failures, ports.failures
