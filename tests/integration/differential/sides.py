"""The two sides: nginx with a configuration written by hand, an edge with the Ingresses, the same endpoints for both.

The edge gets its objects as a folder of manifests would give them: trimmed, compiled, served over real sockets.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proto.objects import key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.edge.core.generation import Generation
from services.edge.listener import Listener, Listeners
from services.edge.serving import Serving
from services.watcher.observed import RawSecret
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import read_json
from tests.integration.differential.groups import NAMESPACE, Asked, Group, group, manifests_of
from tests.integration.differential.nginx_side import configuration
from tests.support.edge import SEALER, Origin, Reply, Seen, bound, connection, read_body, read_reply
from tests.support.manifests import Manifest, endpoints, ingress_class, service
from tests.support.nginx import nginx
from tests.support.pairs import make_pair, pem, pem_key
from tests.support.ports import free_port
from tests.support.waiting import eventually

SERVICES = ("a", "b", "c", "d", "errors", "auth")
EMPTY = "empty"
"""A Service without endpoints."""
CLOSED = "closed"
"""One at whose endpoint nobody listens."""
TIME = 20.0

_USERS = r"""apr1:$apr1$salt1234$O9EgGjyDWIzMfYBRzW4XD/
six:$6$salt1234$pf2XxDujCwrChVmIlGqBeZG1vS.873WzUm7E72ixyJ3Lxm1bPzp4oDX8AZ3yu3lzKDqf7yQb63ykY9x3oOaHX0
sha:{SHA}PLzZCtxLGSqHpiWFC38jHK3fDrM=
bcrypt:$2y$04$abcdefghijklmnopqrstuuB/GrfUOm5dtrEiT8lcouu5XB5ftbWLi
"""
"""An htpasswd file in which everybody's password is ``word``."""


@dataclass(frozen=True)
class Arrived:
    """A request as an endpoint of a Service got it."""

    service: str
    seen: Seen


@dataclass
class Ends:
    """The endpoints of all Services, which answer as each request's headers ask them to."""

    origins: dict[str, Origin] = field(default_factory=dict)
    arrived: list[Arrived] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(
        self, service: str, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(seen, reader)
        self.arrived.append(Arrived(service, seen))
        if seen.values("X-Wait"):
            await self.released.wait()
        if seen.values("X-Hangup"):
            raise ConnectionError
        status = int(seen.value(f"X-Status-{service}") or b"200")
        lines = [value.decode("latin-1") for value in seen.values(f"X-Line-{service}")]
        body = b"x" * int(seen.value("X-Size") or 0) or f"{service} answers\n".encode()
        body = b"" if status in (204, 304) else body
        framing = [] if status in (204, 304) else [f"Content-Length: {len(body)}"]
        if seen.values("X-Chunked"):
            body, framing = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), ["Transfer-Encoding: chunked"]
        head = "\r\n".join([f"HTTP/1.1 {status} Told", "Date: Mon, 01 Jan 2024 00:00:00 GMT", *lines, *framing, "", ""])
        writer.write(head.encode("latin-1") + (b"" if seen.line.startswith(b"HEAD ") else body))
        await writer.drain()


@dataclass
class Pair:
    """Both sides, running."""

    group: Group
    ends: Ends
    nginx: tuple[int, int]
    edge: tuple[int, int]

    async def ask(self, side: tuple[int, int], host: str, asked: Asked) -> tuple[Reply, list[Arrived]]:
        """One answer, and what arrived at endpoints meanwhile."""
        mark = len(self.ends.arrived)
        reply = await send(side, host, asked)
        return reply, self.ends.arrived[mark:]


def data_of(host: str, asked: Asked) -> bytes:
    """A request's bytes."""
    lines = [f"{asked.ask} HTTP/{asked.version}", f"Host: {asked.host or host}", *asked.headers]
    body = asked.body.encode("latin-1") or b"x" * asked.size
    if asked.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def send(side: tuple[int, int], host: str, asked: Asked) -> Reply:
    """Ask one side, on a connection of its own."""
    name = (asked.host or host).partition(":")[0]
    async with (
        asyncio.timeout(TIME),
        connection(side[asked.tls], tls=name if asked.tls else None) as (reader, writer),
    ):
        writer.write(data_of(host, asked))
        return await read_reply(reader, bodiless=asked.ask.startswith("HEAD "))


def objects(shown: Group, ports: dict[str, int]) -> list[Manifest]:
    """Everything that a watcher would see."""
    made = [ingress_class()]
    metadata = {"name": "settings", "namespace": "limen"}
    data = {"strict-validate-path-type": "false", "allow-cross-namespace-resources": "false", **shown.configmap}
    made.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    made.append(service(EMPTY, NAMESPACE))
    for name in ports:
        made.append(service(name, NAMESPACE))
        made.append(endpoints(name, NAMESPACE, "127.0.0.1") | {"ports": [{"port": ports[name], "name": ""}]})
    made += [
        {"metadata": {"namespace": NAMESPACE, **entry.pop("metadata")}, **entry} for entry in map(dict, shown.objects)
    ]
    return [*made, *(manifest for host in shown.hosts for manifest in manifests_of(host))]


def compiled(manifests: Iterable[Manifest]) -> Compiler:
    """The objects through the folder source's reading and the compile. Every one must be served without a complaint."""
    compiler = Compiler(CompileOptions(configmap="limen/settings"))
    for manifest in manifests:
        document = read_json(json.dumps(manifest).encode())
        assert not document.mistakes, (manifest, document.mistakes)
        for found in document.found:
            value = found.value
            taken = seal_secret(value, SEALER, None) if isinstance(value, RawSecret) else value
            compiler.change(key_of(taken), taken)
    compiler.compile()
    return compiler


@asynccontextmanager
async def both(name: str, folder: Path) -> AsyncIterator[Pair]:
    """Run both sides of a group."""
    async with AsyncExitStack() as stack:
        ends = Ends()
        for service_name in SERVICES:
            await _origin(stack, ends, service_name)
        ports = {CLOSED: free_port()} | {name: origin.port for name, origin in ends.origins.items()}
        tls_port = free_port()
        users = base64.b64encode(_USERS.encode()).decode()
        shown = group(name, {"AUTH_PORT": str(ports["auth"]), "USERS": users})
        _write_files(folder)
        http = stack.enter_context(nginx(folder / "nginx", configuration(shown, ports, tls_port, folder)))
        compiler = compiled(objects(shown, ports))
        serving = Serving(asyncio.get_running_loop(), SEALER, folder)
        serving.swap(Generation.first(compiler.records(), 1, 1, compiler.digest))
        found = []
        for told, tls in ((80, False), (443, True)):
            listener = Listener(serving, told, tls)
            listening = bound()
            await listener.open(listening)
            stack.push_async_callback(Listeners([listener]).drain, 0)
            found.append(listening.getsockname()[1])
        yield Pair(shown, ends, (http, tls_port), (found[0], found[1]))


async def _origin(stack: AsyncExitStack, ends: Ends, name: str) -> None:
    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ends.answer(name, seen, reader, writer)

    origin = ends.origins[name] = Origin(answer)
    server = await asyncio.start_server(origin.serve, sock=bound())
    origin.port = server.sockets[0].getsockname()[1]
    stack.push_async_callback(eventually, lambda: not origin.open, every=0.001)
    stack.callback(origin.close_connections)
    stack.callback(server.close)


def _write_files(folder: Path) -> None:
    certificate, key = make_pair("any.example")
    (folder / "pair.pem").write_bytes(pem_key(key) + pem(certificate))
    (folder / "htpasswd").write_text(_USERS)
