"""The requests that ``limen demo`` prints as curl lines and, with ``--once``, makes itself.

Owns what each should answer. The same words are printed and run; where curl is missing Python asks the same.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import ssl
from typing import Final

import aiohttp
from msgspec import Struct

from services.runtime.settings import HostPort

_TIMEOUT: Final = 10.0
_KEY: Final = "b3ZlciBhIHRocmVzaG9sZA=="
"""Any 16 bytes; a WebSocket client sends a new one each time."""


class Call(Struct, frozen=True, kw_only=True):
    """A request. ``title``: what it shows. ``websocket``: an Upgrade, which stays open until it is cut."""

    title: str
    host: str
    path: str = "/"
    tls: bool = False
    websocket: bool = False
    status: int = 200
    contains: str = ""
    """Text that the answer's head or body must hold."""


CALLS: Final = (
    Call(title="a host", host="coffee.localhost", contains="coffee at 127.0.0.1"),
    Call(title="a path of a host", host="cafe.localhost", path="/tea", contains="tea at 127.0.0.21"),
    Call(title="a wildcard host", host="green.tea.localhost", contains="tea at 127.0.0.21"),
    Call(title="TLS, the certificate chosen by name", host="shop.localhost", tls=True, contains="coffee at"),
    Call(title="http where there is TLS", host="bank.localhost", status=308, contains="https://bank.localhost"),
    Call(title="WebSocket", host="echo.localhost", websocket=True, status=101, contains="echo"),
    Call(
        title="capture groups",
        host="capture.localhost",
        path="/something/new?x=1",
        contains="GET /new?x=1 ",
    ),
    Call(title="default backend", host="nobody.localhost", contains="fallback at 127.0.0.41"),
    Call(title="unknown host over TLS: own certificate", host="unknown.localhost", tls=True, contains="fallback at"),
    Call(title="unknown path", host="cafe.localhost", path="/wine", status=404, contains="404 Not Found"),
)


class Answer(Struct, frozen=True):
    """What came back: ``status`` 0 when nothing did, then ``text`` says why."""

    status: int
    text: str


def curl_words(call: Call, http: HostPort, https: HostPort) -> list[str]:
    """The command line that makes ``call``."""
    words = ["curl", "-i"]
    if call.tls:
        target = https.reachable()
        words += ["-k", "--resolve", f"{call.host}:{target.port}:{target.host}"]
        return [*words, f"https://{call.host}:{target.port}{call.path}"]
    words += ["-H", f"Host: {call.host}"]
    if call.websocket:
        words += ["-N", "--max-time", "2", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket"]
        words += ["-H", "Sec-WebSocket-Version: 13", "-H", f"Sec-WebSocket-Key: {_KEY}"]
    return [*words, f"http://{http.reachable()}{call.path}"]


def shown(words: list[str]) -> str:
    """A command line as people paste it."""
    return shlex.join(words)


async def make(call: Call, http: HostPort, https: HostPort) -> Answer:
    """Make ``call``: by curl, if it is installed, with the very words that are printed; else by Python."""
    if shutil.which("curl"):
        return await _by_curl(curl_words(call, http, https))
    return await _by_python(call, http, https)


def complaint(call: Call, answer: Answer) -> str:
    """What is wrong with ``answer``; empty if nothing is."""
    if answer.status != call.status:
        return f"status {answer.status} instead of {call.status}: {answer.text[:200]!r}"
    if call.contains not in answer.text:
        return f"{call.contains!r} is not in {answer.text[:300]!r}"
    return ""


async def _by_curl(words: list[str]) -> Answer:
    process = await asyncio.create_subprocess_exec(
        words[0],
        "-sS",
        *words[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Answer(0, f"no answer within {_TIMEOUT} s")
    text = output.decode(errors="replace")
    first = text.split("\r\n", 1)[0].split(" ")
    if len(first) < 2 or not first[1].isdigit():
        return Answer(0, errors.decode(errors="replace") or text)
    return Answer(int(first[1]), text)


async def _by_python(call: Call, http: HostPort, https: HostPort) -> Answer:
    target = (https if call.tls else http).reachable()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(
                target.host,
                target.port,
                ssl=context if call.tls else None,
                server_hostname=call.host if call.tls else None,
            )
            extra = "Connection: close\r\n"
            if call.websocket:
                extra = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                extra += f"Sec-WebSocket-Key: {_KEY}\r\n"
            host = f"{call.host}:{target.port}" if call.tls else call.host
            writer.write(f"GET {call.path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{extra}\r\n".encode())
            data = await (reader.readuntil(b"\r\n\r\n") if call.websocket else reader.read())
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return Answer(0, str(error) or type(error).__name__)
    text = data.decode(errors="replace")
    return Answer(int(text.split(" ", 2)[1]), text)


async def echo_round_trip(host: str, http: HostPort) -> str:
    """Send a WebSocket message and get it back; what is wrong, or empty."""
    url = f"http://{http.reachable()}/"
    try:
        async with (
            asyncio.timeout(_TIMEOUT),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers={"Host": host}) as socket,
        ):
            await socket.receive_str()  # its greeting
            await socket.send_str("over the threshold")
            answer = await socket.receive_str()
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError) as error:
        return str(error) or type(error).__name__
    return "" if answer == "over the threshold" else f"echoed {answer!r}"
