"""A real nginx for a test: the judge of what nginx does with a path, a pattern or a rewrite."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import can_connect, free_port
from tests.support.processes import process
from tests.support.waiting import eventually_sync

_HEAD = """
{modules}daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; server_names_hash_bucket_size 256; server_names_hash_max_size 4096; default_type text/plain;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
"""


@dataclass(frozen=True)
class Answer:
    """What came back: status, the Location header (empty if none) and the body."""

    status: int
    location: str
    body: str


class Nginx:
    """A running nginx. Text goes over the wire as Latin-1: each character is a byte."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._reader = self._connection.makefile("rb")

    def get(self, host: str, target: bytes) -> Answer:
        """Ask for ``target``, sent as it is."""
        self._connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
        status = int(self._reader.readline().split()[1])
        length, location, chunked = 0, "", False
        while (line := self._reader.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.partition(b": ")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"location":
                location = value.decode("latin-1")
            elif name.lower() == b"transfer-encoding":
                chunked = True
        assert not chunked, "the judge's configuration answers with known lengths"
        return Answer(status, location, self._reader.read(length).decode("latin-1"))

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
        self._connection.close()


def quoted(text: str) -> str:
    """``text`` as a word of an nginx configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@functools.cache
def _stream_module(binary: str) -> str:
    """What loads the module of TCP and UDP, where that is a file of its own."""
    built = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True).stderr
    folder = re.search(r"--modules-path=(\S+)", built)
    if "--with-stream=dynamic" not in built or folder is None:
        return ""
    module = Path(folder[1]) / "ngx_stream_module.so"
    assert module.exists(), "nginx' stream module is missing: apt-get install libnginx-mod-stream"
    return f"load_module {module};\n"


@contextlib.contextmanager
def nginx(folder: Path, servers: str, streams: str = "") -> Iterator[int]:
    """Run nginx with ``servers`` (server and upstream blocks; ``PORT`` stands for its port), and ``streams`` inside of
    its stream block; gives the port."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert binary, "nginx is missing: apt-get install nginx-light"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    file = folder / "nginx.conf"
    modules = _stream_module(binary) if streams else ""
    text = _HEAD.format(folder=folder, modules=modules) + servers.replace("PORT", str(port)) + "\n}\n"
    file.write_text(text + (f"stream {{\n{streams}\n}}\n" if streams else ""), encoding="utf-8")
    with process(binary, "-e", folder / "error.log", "-p", folder, "-c", file, log=folder / "output.log") as child:
        eventually_sync(lambda: can_connect(port) or not child.running, 10, what=f"nginx on port {port}, see {folder}")
        assert child.running, child.output()
        yield port
