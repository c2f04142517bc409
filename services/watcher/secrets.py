"""Secrets: from what the source holds to what may cross the bus: pairs validated, everything secret sealed.

Pure: the same Secret, key and previous pair give the same bytes. Which Secrets leave at all is the inventory's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from proto.objects import Secret, TLSMaterial
from proto.sealing import Sealer, secret_place
from services.contract.revocation import revocation_lists
from services.watcher.observed import RawSecret
from services.watcher.tls import PairError, check_pair, holds_certificates

TLS_TYPE: Final = "kubernetes.io/tls"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITY: Final = "ca.crt"
REVOKED: Final = "ca.crl"

MAX_ENTRY: Final = 256 * 1024
"""The largest other entry of a Secret that is carried; a message has 1 MiB, and no policy needs so much."""


def seal_secret(raw: RawSecret, sealer: Sealer, previous: TLSMaterial | None) -> Secret:
    """``raw`` as it crosses the bus. A pair that cannot be served leaves ``previous`` in place, with the reason."""
    material, problem = _material(raw, sealer)
    sealed: dict[str, bytes] = {}
    known = _knows_what_is_revoked(raw.data)
    for name, value in sorted(raw.data.items()):
        if name == KEY or (name == CERTIFICATE and material is not None):
            continue
        if name in (AUTHORITY, REVOKED) and not known:
            continue
        if name == AUTHORITY and not holds_certificates(value):
            continue  # of no use to anybody, and no reason to do without the pair beside it: some tools leave it empty
        if len(value) > MAX_ENTRY:
            problem = problem or f"data[{name}] has {len(value)} bytes; {MAX_ENTRY} is the most that is carried"
            continue
        sealed[name] = sealer.seal(secret_place(raw.namespace, raw.name, name), value)
    return Secret(raw.namespace, raw.name, raw.type, material or (previous if problem else None), sealed, problem)


def _knows_what_is_revoked(data: Mapping[str, bytes]) -> bool:
    """Whether ``ca.crl`` can be read, if there is one. If not, nobody is to believe the authority beside it."""
    pem = data.get(REVOKED, b"")
    if not pem.strip():
        return True
    try:
        return len(pem) <= MAX_ENTRY and bool(revocation_lists(pem))
    except ValueError:
        return False


def _material(raw: RawSecret, sealer: Sealer) -> tuple[TLSMaterial | None, str]:
    if raw.type != TLS_TYPE and CERTIFICATE not in raw.data and KEY not in raw.data:
        return None, ""
    for name in (CERTIFICATE, KEY):
        if name not in raw.data:
            return None, f"{name} is missing"
    try:
        pair = check_pair(raw.data[CERTIFICATE], raw.data[KEY])
    except PairError as error:
        return None, str(error)
    material = TLSMaterial(
        pair.chain,
        pair.names,
        pair.not_before,
        pair.not_after,
        pair.fingerprint,
        sealer.seal(secret_place(raw.namespace, raw.name, KEY), pair.key),
        pair.key_algorithm,
    )
    return material, ""


def with_last_good(secret: Secret, stored: Secret | None) -> Secret:
    """``secret``, with the pair that the bus still holds where its own is bad and no good one is known."""
    if secret.problem and secret.tls is None and stored is not None and stored.tls is not None:
        return msgspec.structs.replace(secret, tls=stored.tls)
    return secret
