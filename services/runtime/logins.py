"""Making the nkeys with which roles and people log in to NATS.

Owns the files' names: ``<login>.nk`` holds the seed (secret, for ``--nats-nkey``), ``<login>.pub`` the public key that
the server's configuration names. What a login may do is said there (``deploy/kubernetes/base/nats.conf``), not here.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import nkeys

from services.runtime.keys import KeysError, KeysMade

LOGINS: Final = ("watcher", "compiler", "edge", "operator", "observer")
"""The roles; ``operator`` is a person with ``limen status`` and ``limen approve``, ``observer`` reads route events."""


def make_logins(directory: Path) -> KeysMade:
    """Make what is missing of the nkeys in ``directory`` (mode 0700, files 0600); a seed is never overwritten.

    Raises KeysError for a file that cannot be written or a seed that is none.
    """
    written: list[str] = []
    kept: list[str] = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for login in LOGINS:
            seed_file, public_file = directory / f"{login}.nk", directory / f"{login}.pub"
            if seed_file.exists():
                kept.append(seed_file.name)
            else:
                seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
                _write(seed_file, bytes(seed).decode())
                written.append(seed_file.name)
            if not public_file.exists():
                _write(public_file, _public_key(seed_file))
                written.append(public_file.name)
    except OSError as error:
        raise KeysError(f"{error.filename or directory}: {error.strerror or error}") from None
    return KeysMade(tuple(written), tuple(kept))


def _public_key(seed_file: Path) -> str:
    try:
        pair = nkeys.from_seed(bytearray(seed_file.read_text().strip().encode()))
    except (nkeys.NkeysError, ValueError) as error:
        raise KeysError(f"{seed_file}: not the seed of an nkey: {error}") from None
    return str(pair.public_key.decode())


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
