"""An installation of all the real applications of the golden cases: one edge, and pods where their slices say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from proto.objects import EndpointSlice, key_of
from services.compiler.core.compiler import Compiler
from services.edge.core.generation import Generation
from services.edge.listener import Listeners, listen
from services.edge.serving import Serving
from services.watcher.observed import RawSecret
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import pieces_of, read_yaml
from tests.cases.calls import CallPod
from tests.cases.pods import Arrival, Pod
from tests.golden.case import REAL_OPTIONS, real_cases
from tests.support.edge import SEALER, Reply, Seen, ask, bound, read_body, request
from tests.support.endpoints import identity, server_context

ASKED = ("oauth2-proxy.oauth2-proxy.svc.cluster.local:4180", "authelia.authelia.svc.cluster.local")
"""Where the manifests ask who may pass."""
GRPC = "temporal/temporal-frontend"
POD_NAME = "pod.example"
"""What the certificates of pods that speak TLS are for."""
KNOWN_COOKIE = b"_oauth2_proxy=alice"


class ChattyPod(Pod):
    """A pod that says back what comes over a WebSocket, and sends a large head where it is asked for one."""

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.value("Upgrade").lower() == b"websocket":
            self.log.append(Arrival(self, seen))
            key = seen.value("Sec-WebSocket-Key") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        elif b"/large-head" in seen.line:
            self.log.append(Arrival(self, seen))
            cookies = b"".join(b"Set-Cookie: part%d=%b\r\n" % (number, b"x" * 3000) for number in range(8))
            writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % cookies)
        else:
            await super()._answer(seen, reader, writer)


class SecurePod(ChattyPod):
    """A pod that speaks TLS itself, with a certificate of its own."""

    context: ssl.SSLContext

    async def start(self) -> Pod:
        self._origin.answer = self._answer
        self._server = await asyncio.start_server(self._origin.serve, self.address, self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


class AuthPod(Pod):
    """oauth2-proxy or Authelia: knows alice by her cookie, and answers 401 to everybody else."""

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.log.append(Arrival(self, seen))
        await read_body(seen, reader)
        known = KNOWN_COOKIE in seen.value("Cookie")
        yes = b"202 Accepted\r\nX-Auth-Request-User: alice\r\nRemote-User: alice"
        status = yes if known else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)


@dataclass
class Installation:
    """``pods``: by ``namespace/service``; ``arrived``: what they all got."""

    compiler: Compiler = field(default_factory=lambda: Compiler(REAL_OPTIONS))
    pods: dict[str, list[Pod]] = field(default_factory=lambda: defaultdict(list))
    arrived: list[Arrival] = field(default_factory=list)
    http: int = 0
    https: int = 0
    auth: Pod | None = None
    secure: ssl.SSLContext | None = None

    async def apply(self, text: str) -> None:
        """Take over the documents of a manifest; slices lead to pods of this process."""
        for piece in pieces_of(text):
            for found in read_yaml(piece.text).found:
                value = found.value
                if isinstance(value, EndpointSlice):
                    await self._place(value)
                    continue
                taken = seal_secret(value, SEALER, None) if isinstance(value, RawSecret) else value
                self.compiler.change(key_of(taken), taken)

    async def _place(self, slice_: EndpointSlice) -> None:
        """A pod for each endpoint, in a slice of its own, as each has a port of its own here."""
        service = f"{slice_.namespace}/{slice_.service}"
        for number, endpoint in enumerate(slice_.endpoints):
            if self.secure is not None and any(port.name == "https" for port in slice_.ports):
                made = SecurePod(service, self.arrived)
                made.context = self.secure
                pod = await made.start()
            else:
                kind = CallPod if service == GRPC else ChattyPod
                pod = await kind(service, self.arrived).start()
            self.pods[service].append(pod)
            placed = replace(
                slice_,
                name=f"{slice_.name}-{number}",
                ports=tuple(replace(port, port=pod.port) for port in slice_.ports),
                endpoints=(replace(endpoint, addresses=("127.0.0.1",)),),
            )
            self.compiler.change(key_of(placed), placed)

    async def ask(
        self, host: str, target: str = "/", *lines: str, method: str = "GET", body: bytes = b"", http: bool = False
    ) -> tuple[Reply, list[Arrival]]:
        """(the answer, what pods got meanwhile) of one request, by https unless it says otherwise."""
        mark = len(self.arrived)
        data = request(method, target, *lines, name=host, body=body)
        reply = await ask(self.http if http else self.https, data, tls=None if http else host)
        return reply, self.arrived[mark:]


@asynccontextmanager
async def installed() -> AsyncIterator[Installation]:
    """All of it, served."""
    made = Installation()
    made.auth = await AuthPod("auth", []).start()
    with tempfile.TemporaryDirectory() as folder:
        made.secure = server_context(identity(Path(folder), POD_NAME))
        serving = Serving(asyncio.get_running_loop(), SEALER, Path(folder))
        listeners: list[Listeners] = []
        try:
            for file in dict.fromkeys(file for case in real_cases() for file in case.files):
                text = file.read_text()
                for name in ASKED:
                    text = text.replace(name, f"127.0.0.1:{made.auth.port}")
                await made.apply(text)
            made.compiler.compile()
            serving.swap(Generation.first(made.compiler.records(), 1, 1, made.compiler.digest))
            http, https = bound(), bound()
            made.http, made.https = http.getsockname()[1], https.getsockname()[1]
            listeners += [await listen(serving, [http], False), await listen(serving, [https], True)]
            yield made
        finally:
            for each in listeners:
                await each.drain(0)
            for pod in [made.auth, *(pod for pods in made.pods.values() for pod in pods)]:
                pod.stop()
