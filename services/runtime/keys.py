"""Making the key files of an installation, and a new first key in them (rotation).

Owns the files' names, modes and how they are replaced. Which role gets which file is said in ``HOLDERS``. Reading them
is ``settings``' part.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from msgspec import Struct

from proto.signing import Signer, format_key, key_id_of, parse_keys

HOLDERS: Final = {
    "sealing.key": ("watcher", "edge"),
    "signing.key": ("compiler",),
    "verify.key": ("edge",),
    "objects.key": ("watcher", "compiler"),
}
"""File → the roles that get it, and nobody else."""

SEALING_KEY_SIZE = 64
SIGNING_KEY_SIZE = 32
OBJECTS_KEY_SIZE = 32


class KeysError(ValueError):
    """Key files that do not fit together or cannot be written; the message names the file."""


class KeysMade(Struct, frozen=True):
    """The files that were written and those that were there and stay as they are."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def make_keys(directory: Path, *, rotate: bool = False) -> KeysMade:
    """Make what is missing of the four files in ``directory`` (mode 0700, files 0600); nothing is overwritten.

    ``rotate``: put a new key first in every file and keep the older ones behind it, so that what was written with
    them can still be read. Signing and verifying keys are always made together. Raises KeysError.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _make(directory, rotate)
    except OSError as error:
        raise KeysError(f"{error.filename or directory}: {error.strerror or error}") from None


def _make(directory: Path, rotate: bool) -> KeysMade:
    present = {name for name in HOLDERS if (directory / name).exists()}
    new: dict[str, str] = {}
    for name, purpose, size in (
        ("sealing.key", "sealing", SEALING_KEY_SIZE),
        ("objects.key", "objects", OBJECTS_KEY_SIZE),
    ):
        if rotate or name not in present:
            key = secrets.token_bytes(size)
            new[name] = format_key(purpose, key, key_id_of(key))
    new |= _signing_pair(directory, present, rotate)
    for name, line in new.items():
        older = (directory / name).read_text() if name in present else ""
        _write(directory / name, line + older)
    return KeysMade(tuple(sorted(new)), tuple(sorted(present - new.keys())))


def _signing_pair(directory: Path, present: set[str], rotate: bool) -> dict[str, str]:
    if "verify.key" in present and "signing.key" not in present:
        raise KeysError(
            f"{directory / 'signing.key'} is missing but {directory / 'verify.key'} is there: a new signing key would "
            f"not fit it; restore the file or remove verify.key too"
        )
    if "signing.key" in present and "verify.key" not in present:  # a public key follows from the private one
        _, seed = parse_keys("signing", (directory / "signing.key").read_text())[0]
        public = Signer("", seed).public()
        verify_again = {"verify.key": format_key("verify", public, key_id_of(public))}
        if not rotate:
            return verify_again
        raise KeysError(f"{directory / 'verify.key'} is missing: run once without --rotate first")
    if "signing.key" in present and not rotate:
        return {}
    seed = secrets.token_bytes(SIGNING_KEY_SIZE)
    public = Signer("", seed).public()
    key_id = key_id_of(public)
    return {"signing.key": format_key("signing", seed, key_id), "verify.key": format_key("verify", public, key_id)}


def _write(path: Path, text: str) -> None:
    """Replace ``path`` in one step; nobody else can ever read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
