"""A whole Limen under measurement: ``limen up``."""

from __future__ import annotations

import http.client
import sys
import time
from pathlib import Path

from bench.peers import Ports
from bench.processes import Child, command_of, free_port, wait_until


class Pipeline:
    """``limen up`` with its own nats-server, watcher, compiler and edges. ``source``: the options for what is read;
    ``checkout``: another checkout of Limen to run in place of this one, with its own .venv if it has one."""

    def __init__(
        self,
        folder: Path,
        source: list[str | Path],
        *,
        edges: int = 1,
        workers: int = 1,
        core: int | None = None,
        checkout: Path | None = None,
    ) -> None:
        self.folder = folder
        self.ports = Ports(free_port(), free_port())
        self.admin = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        limen: list[str | Path] = [_interpreter(checkout), "-m", "services.cli.main", "up"]
        command: list[str | Path] = [*limen, *source, "--configmap", "default/limen", "--state", folder / "state"]
        command += ["--http", f"127.0.0.1:{self.ports.http}", "--https", f"127.0.0.1:{self.ports.https}"]
        command += ["--admin", f"127.0.0.1:{self.admin}", "--edges", str(edges), "--workers", str(workers)]
        path = None if checkout is None else {"PYTHONPATH": str(checkout)}
        self.child = Child(command, folder / "output.log", core=core, cwd=checkout, env=path)

    def wait_ready(self, patience: float = 60.0) -> None:
        """Until every edge serves a complete generation. Raises TimeoutError with the end of the log."""
        try:
            wait_until(self.ready, patience, "limen up")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.child.tail()}") from None

    def ready(self) -> bool:
        """Whether /readyz says 200."""
        if not self.child.running:
            raise RuntimeError(f"limen up ended:\n{self.child.tail()}")
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def processes(self, role: str) -> list[int]:
        """The process ids of one role (``watcher``, ``compiler``, ``edge``, ``nats-server``)."""
        return [pid for pid in self.child.tree() if role in command_of(pid).split() or f"/{role}" in command_of(pid)]

    def wait_quiet(self, patience: float = 60.0) -> None:
        """Until nobody in it computes any more (packing bases, writing files): under 4 % of a core for a second."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            before = self.child.cpu()
            time.sleep(1)
            if self.child.cpu() - before < 0.04:
                return


def _interpreter(checkout: Path | None) -> Path:
    own = None if checkout is None else checkout / ".venv/bin/python"
    return own if own is not None and own.exists() else Path(sys.executable)
