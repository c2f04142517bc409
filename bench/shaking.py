"""A client of the handshake benchmark: one full handshake and one request after another; prints how many there were.

``python -m bench.shaking PORT SERVER_NAME SECONDS VERSION``. Sessions are never offered, so that none is resumed, and
keys are exchanged anew each time.
"""

from __future__ import annotations

import socket
import ssl
import sys
from time import monotonic


def main(port: int, name: str, seconds: float, version: str) -> int:
    """Shake hands for ``seconds``."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    request = f"GET /a/b HTTP/1.1\r\nHost: {name}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()
    end = monotonic() + seconds
    count = 0
    while monotonic() < end:
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = context.wrap_socket(plain, server_hostname=name)
        tls.sendall(request)
        if not tls.recv(65536).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("the answer was not 200")
        if tls.session_reused:
            raise RuntimeError("a session was resumed")
        tls.close()
        count += 1
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]))
