"""A network of its own for a test: addresses on its loopback device, names for them in its own /etc/hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.waiting import eventually_sync

_SETUP = """
set -e
ip link set lo up
for address in "$@"; do ip address add "$address/32" dev lo; done
mount --make-rprivate /
mount --bind "$HOSTS" /etc/hosts
echo ready
exec sleep infinity
"""


class Namespace:
    """``inside`` turns a command into one that runs there. Ends with the process that holds it."""

    def __init__(self, holder: Process) -> None:
        self._holder = holder

    def inside(self, *command: str | Path) -> list[str]:
        """``command`` as it has to be called from outside."""
        entering = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", f"--wd={Path.cwd()}"]
        return [*entering, *map(str, command)]

    def run(self, *command: str | Path, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run ``command`` there to its end."""
        return subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=timeout)


@contextlib.contextmanager
def namespace(folder: Path, names: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace in which every name of ``names`` stands for its address, which is one of this namespace."""
    needed = [program for program in ("unshare", "nsenter", "ip") if shutil.which(program) is None]
    if os.geteuid() != 0 or needed:
        reason = f"needs root and {', '.join(needed) or 'unshare'} to make a network namespace"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    hosts = folder / "hosts"
    lines = [f"{address} {name}" for name, address in names.items()]
    hosts.write_text("\n".join(["127.0.0.1 localhost", "::1 localhost", *lines]) + "\n")
    holder = Process(
        ["unshare", "--net", "--mount", "sh", "-c", _SETUP, "sh", *names.values()],
        folder / "namespace.log",
        env={"HOSTS": str(hosts)},
    )
    try:
        eventually_sync(lambda: "ready" in holder.output(), 10, what=f"network namespace: {holder.output()}")
        yield Namespace(holder)
    finally:
        holder.kill()
