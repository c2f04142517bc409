"""The two sides: nginx with a configuration written by hand, an edge with the Ingresses, the same endpoints for both.

The edge gets its objects as a folder of manifests would give them: trimmed, compiled, served over real sockets.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
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

_USUAL = {
    "$best_http_host": "$http_host",
    "$pass_access_scheme": "$scheme",
    "$pass_port": "$told_port",
    "$the_real_ip": "$remote_addr",
    "$full_chain": "$remote_addr",
    "$original_host": "$http_x_forwarded_host",
}
"""What ingress-nginx's Lua sets for a request, with the settings as they are by default."""

_HTTP = """
server_tokens off; client_max_body_size 1m; underscores_in_headers off;
client_header_buffer_size 1k; large_client_header_buffers 4 8k; keepalive_timeout 75s;
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
map $http_x_request_id $req_id { default $http_x_request_id; "" $request_id; }
map $scheme $told_port { default 80; https 443; }
map $scheme $hsts { default ""; https "max-age=31536000; includeSubDomains"; }
map $request_uri $without_slash { default $request_uri; "~^(?<stem>.*)/$" $stem; }
map $http_host $http_host_name { default ""; "~^(?<bare>[^:]*)" $bare; }
"""

_PROXYING = """
proxy_http_version 1.1; proxy_redirect off; proxy_buffering off; proxy_buffer_size 4k; proxy_request_buffering on;
proxy_next_upstream error timeout; proxy_next_upstream_tries 3; port_in_redirect off;
"""
_TOLD = """
proxy_set_header Host $best_http_host; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_set_header X-Request-ID $req_id;
proxy_set_header X-Real-IP $the_real_ip; proxy_set_header X-Forwarded-For $full_chain;
proxy_set_header X-Forwarded-Host $best_http_host; proxy_set_header X-Forwarded-Port $pass_port;
proxy_set_header X-Forwarded-Proto $pass_access_scheme; proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
proxy_set_header X-Scheme $pass_access_scheme; proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
proxy_set_header X-Original-Forwarded-Host $original_host; proxy_set_header Proxy "";
"""
"""What ingress-nginx writes into every location; it stands in the server block, from which locations inherit the second
part as long as they set no header of their own; ``TOLD`` and ``TOLD WITHOUT Host`` in a location stand for that part.
``PASS a`` stands for going to Service a."""

_TRIES = 3 * "server 127.0.0.1:{0} max_fails=0; "
"""As ingress-nginx's Lua has it: three tries, be there one endpoint alone."""

_QUESTION = """
proxy_http_version 1.1; proxy_set_header Connection "";
proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-Forwarded-Proto "";
proxy_set_header X-Request-ID $req_id; proxy_set_header Host 127.0.0.1;
proxy_set_header X-Original-URL $scheme://$http_host$request_uri; proxy_set_header X-Original-Method $request_method;
proxy_set_header X-Sent-From nginx-ingress-controller; proxy_set_header X-Real-IP $the_real_ip;
proxy_set_header X-Forwarded-For $full_chain; proxy_set_header X-Auth-Request-Redirect $request_uri;
"""
"""What the location has that asks who may pass, but that ingress-nginx asks with HTTP/1.0 unless it is told to keep
connections (``QUESTION``)."""

_ERRORS = """
proxy_set_header X-Format $http_accept; proxy_set_header X-Original-URI $request_uri;
proxy_set_header X-Namespace shop; proxy_set_header X-Ingress-Name $host-0;
proxy_set_header X-Service-Name a; proxy_set_header X-Service-Port 80;
"""
"""What an error backend is told besides the code (``ERRORS``)."""

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


def configuration(shown: Group, ports: dict[str, int], tls_port: int, folder: Path) -> str:
    """The inside of nginx's http block."""
    usual = {name: value for name, value in _USUAL.items() if f" {name} {{" not in shown.http}
    text = _HTTP + "".join(f'map "" {name} {{ default "{value}"; }}\n' for name, value in usual.items())
    text += "".join(f"upstream {name} {{ {_TRIES.format(port)} keepalive 32; }}\n" for name, port in ports.items())
    text += f"ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem;\n{shown.http}\n"
    text += "server { listen PORT default_server; listen TLS_PORT ssl default_server; server_name _; return 404; }\n"
    for host in shown.hosts:
        names = host.names or host.host
        text += (
            f"server {{ listen PORT; listen TLS_PORT ssl; server_name {names};\n{_PROXYING}{_TOLD}\n{host.nginx}\n}}\n"
        )
        text += host.extra + "\n"
    text = text.replace("ERRORS;", _ERRORS)
    text = re.sub(r"PASS (\w+);", r"proxy_pass http://\1;", text)
    text = re.sub(r"(TOLD|QUESTION)(?: WITHOUT ([\w-]+))?;", lambda found: _repeated(found[1], found[2]), text)
    return text.replace("TLS_PORT", str(tls_port)).replace("FOLDER", str(folder))


def _repeated(word: str, without: str | None) -> str:
    directives = {"TOLD": _TOLD, "QUESTION": _QUESTION}[word]
    return re.sub(rf"proxy_set_header {without} [^;]+;", "", directives) if without else directives


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
