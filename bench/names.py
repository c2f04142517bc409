"""Ten thousand TLS names in one worker: what the first handshake of each costs, a later one, and memory.

Handshakes run in memory, both ends in this process; only the server's part is timed. Certificates are of P-256, with
``--rsa`` of RSA 2048 (then all share one key, for to make keys takes longer than everything else).
"""

from __future__ import annotations

import datetime
import os
import ssl
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import process_time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bench.figures import Results, arguments, median
from proto.codec import record_of
from proto.resources import Certificate, ResourceRecord, VirtualHost
from proto.sealing import Sealer, secret_place
from services.edge.authorities import Authorities
from services.edge.contexts import KEPT_AT_MOST, Contexts
from services.edge.core.generation import Generation

_SEALER = Sealer("limen", [("00" * 8, bytes(range(64)))])
_HOT = 200


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--rsa", action="store_true")
    options = parser.parse_args()
    count = 1500 if options.quick else options.names
    results = Results(f"{count:,} TLS names")
    contexts = Contexts(_SEALER, Authorities(_SEALER))
    contexts.swap(Generation.first(_records(count, options.rsa), 1, 1, bytes(32)))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    before = _resident()
    first = [_handshake(contexts, client, f"h{number}.example") for number in range(count)]
    grown = _resident() - before
    hot = [f"h{number % _HOT}.example" for number in range(5 * _HOT)]
    later = [_handshake(contexts, client, name) for name in hot][_HOT:]
    results.add("first handshake of a name", median(first) * 1e6, "µs")
    results.add("later handshake", median(later) * 1e6, "µs")
    results.add("memory for contexts", grown / 1024, "MiB", 40.0, note=f"{min(count, KEPT_AT_MOST)} are kept")
    return results.print(as_json=options.json)


def _records(count: int, of_rsa: bool) -> Iterable[ResourceRecord]:
    shared = rsa.generate_private_key(65537, 2048) if of_rsa else None
    now = datetime.datetime.now(datetime.UTC)
    for number in range(count):
        host, secret = f"h{number}.example", f"c{number}"
        key = shared or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(number + 1).not_valid_before(now).not_valid_after(now.replace(year=2099))
        der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        sealed = _SEALER.seal(secret_place("default", secret, "tls.key"), pem)
        yield record_of(f"default/{secret}", Certificate((der,), (host,), 0, 2**31, "", sealed))
        yield record_of(host, VirtualHost(host, tls=True, certificate=f"default/{secret}"))


def _handshake(contexts: Contexts, client: ssl.SSLContext, name: str) -> float:
    """Seconds of processor time that the server's part took."""
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, from_client, server_hostname=name)
    _step(theirs)
    started = process_time()
    accepted = contexts.accept(name)
    accepted.incoming.write(from_client.read())
    _step(accepted.tls)
    used = process_time() - started
    to_client.write(accepted.outgoing.read())
    _step(theirs)
    started = process_time()
    accepted.incoming.write(from_client.read())
    _step(accepted.tls)
    return used + process_time() - started


def _step(end: object) -> None:
    with suppress(ssl.SSLWantReadError):
        end.do_handshake()  # type: ignore[attr-defined]


def _resident() -> int:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    sys.exit(main())
