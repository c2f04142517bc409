"""The last good generation on disk: so that an edge starts and serves with everything else gone.

Owns ``<state>/edge-<name>.snapshot`` and ``….snapshot.previous``. Keys stay sealed in it, as they came. Must not know
when to write (see ``keeper``) nor how records are served.

The format: the line ``limen-last-good 1``; four bytes with the length of the header, big-endian; the header, a
MessagePack array of proof, size and BLAKE2b-256 of what follows; then all records, packed and deflated like a base. The
proof is the compiler's signature over (epoch, version, digest): a file that somebody else wrote, or that decayed, does
not add up to the signed digest and is never served.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode, encode, inflate_base
from proto.resources import ResourceRecord
from proto.signing import AuthenticationError, Verifier
from proto.snapshots import HeadProof
from proto.subjects import token
from services.edge.follow.unpack import sliced

FORMAT: Final = 1
_MAGIC: Final = b"limen-last-good "
_MAX_HEADER: Final = 64 * 1024
_MAX_FILE: Final = 256 * 1024 * 1024
PACKED_AT_ONCE: Final = 200
"""Records that are packed before the loop may run."""


class LastGoodError(Exception):
    """A file that cannot be used; the message names it and says why. ``proof``: what it holds is signed as this
    version all the same, so nothing older is to be accepted from the bus."""

    def __init__(self, message: str, proof: HeadProof | None = None) -> None:
        super().__init__(message)
        self.proof = proof


class _Header(Struct, frozen=True, array_like=True):
    proof: HeadProof
    size: int
    hash: bytes


class Saved(Struct, frozen=True):
    """A file that passed every check of its own; its records still have to add up to ``proof.digest``."""

    path: Path
    proof: HeadProof
    records: bytes


class LastGoodFile:
    """The two files of one edge. Not for two threads at a time."""

    def __init__(self, state: Path, name: str, verifier: Verifier) -> None:
        self.path = state / f"edge-{token(name)}.snapshot"
        self.previous = self.path.with_suffix(".snapshot.previous")
        self._verifier = verifier
        self._path_is_good = False

    def read(self, path: Path) -> Saved | None:
        """What ``path`` (one of the two) holds, None if it does not exist. Raises LastGoodError."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LastGoodError(f"{path}: {error.strerror}") from None
        return self._check(path, data)

    def _check(self, path: Path, data: bytes) -> Saved:
        line, _, rest = data.partition(b"\n")
        if not line.startswith(_MAGIC) or len(line) > 40:
            raise LastGoodError(f"{path}: not a last-good file")
        if line != _MAGIC + str(FORMAT).encode():
            written = line[len(_MAGIC) :].decode("ascii", "replace")
            raise LastGoodError(f"{path}: written in format {written}, this edge reads format {FORMAT}")
        length = int.from_bytes(rest[:4], "big")
        packed = rest[4 + length :]
        if length > _MAX_HEADER or len(rest) < 4 + length:
            raise LastGoodError(f"{path}: truncated or damaged in its header")
        try:
            header = decode(rest[4 : 4 + length], _Header, "header")
            self._verifier.check(header.proof)
        except (DecodeError, AuthenticationError) as error:
            raise LastGoodError(f"{path}: {error}") from None
        if len(packed) != header.size:
            raise LastGoodError(f"{path}: truncated: {len(packed)} bytes instead of {header.size}", header.proof)
        if blake2b(packed, digest_size=32).digest() != header.hash:
            raise LastGoodError(f"{path}: damaged: its content does not fit its hash", header.proof)
        try:
            return Saved(path, header.proof, inflate_base(packed))
        except DecodeError as error:
            raise LastGoodError(f"{path}: {error}", header.proof) from None

    def found_good(self, saved: Saved) -> None:
        """``saved`` is being served: if it is the newer of the two it may take the place of the older one."""
        self._path_is_good = saved.path == self.path

    def write(self, records: list[ResourceRecord], proof: HeadProof) -> None:
        """Write a generation atomically, keeping the one before it. Raises OSError.

        Made for a thread beside a serving loop: work is done in short pieces that let the loop run.
        """
        packed = b"".join(_pack(records))
        header = encode(_Header(proof, len(packed), blake2b(packed, digest_size=32).digest()))
        head = b"%s%d\n%s%s" % (_MAGIC, FORMAT, len(header).to_bytes(4, "big"), header)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".snapshot.new")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(head)
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            if self._path_is_good:
                with suppress(FileNotFoundError):  # somebody removed it
                    self.path.replace(self.previous)
            temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        self._path_is_good = True
        _fsync_folder(self.path.parent)


def _pack(records: list[ResourceRecord]) -> Iterator[bytes]:
    """As ``proto.codec.pack_base`` but unsorted, fast rather than small, and in pieces: a disk has room, a serving loop
    has no time."""
    deflater = zlib.compressobj(1)
    yield deflater.compress(b"\xdd" + len(records).to_bytes(4, "big"))
    for piece in sliced(records, PACKED_AT_ONCE):
        yield deflater.compress(b"".join(map(encode, piece)))
        time.sleep(0)  # gives the interpreter to the loop's thread if it waits for it
    yield deflater.flush()


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
