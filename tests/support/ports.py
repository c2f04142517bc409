"""Free ports on loopback, for processes that must be told their port."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_FIRST = 10_000


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listened on a moment ago. Prefer port 0 wherever the process can report its own.

    Below the range from which the system takes clients' ports: a client that tries on while nobody listens could
    otherwise get that very port, connect to itself, and keep the server from coming back.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, random.randrange(_FIRST, _first_of_clients())))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free port found")


def _first_of_clients() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:  # not Linux
        return 32_768
    return first if first > _FIRST + 1000 else 65_536


def can_connect(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
