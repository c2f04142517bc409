"""Settings that several roles read alike: addresses, ``namespace/name`` pairs, key files.

Owns their syntax and the words of their errors (each names the option and the offending value).
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from msgspec import Struct

from proto.sealing import Sealer
from proto.signing import KeyFileError, ObjectAuthenticator, Signer, Verifier, parse_keys


class SettingsError(ValueError):
    """A setting that cannot be used; the message names the option, the value and what is wrong."""


class HostPort(Struct, frozen=True, order=True):
    """Where to listen. ``host`` empty: every address. Port 0: any free port. ``fd:N``: the listening socket that the
    parent process opened and handed down as file descriptor N."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> HostPort:
        """``127.0.0.1:8080``, ``[::1]:80``, ``localhost:80``, ``:8080`` (every address). Raises SettingsError."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise SettingsError(f"{text!r} is not ADDRESS:PORT, e.g. 127.0.0.1:8080, [::1]:8080 or :8080")
        if host.startswith("[") and host.endswith("]"):
            try:
                host = str(ipaddress.IPv6Address(host[1:-1]))
            except ValueError:
                raise SettingsError(f"{text!r}: {host} is not an IPv6 address") from None
        elif ":" in host:
            raise SettingsError(f"{text!r}: an IPv6 address stands in brackets, e.g. [::1]:8080")
        return HostPort(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def inherited(self) -> bool:
        """Whether this is a socket handed down; ``port`` is then its file descriptor."""
        return self.host == "fd"

    def reachable(self) -> HostPort:
        """An address at which this machine reaches it: loopback when it listens on every address."""
        loopback = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
        return HostPort(loopback.get(self.host, self.host), self.port)


def namespaced_name(option: str, text: str) -> tuple[str, str]:
    """(namespace, name) of ``namespace/name``. Raises SettingsError."""
    namespace, slash, name = text.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise SettingsError(f"{option}: {text!r} is not NAMESPACE/NAME")
    return namespace, name


# --- key files ----------------------------------------------------------------------------------------------------


def read_sealer(path: Path, instance: str) -> Sealer:
    """What seals and opens secrets. Raises SettingsError."""
    try:
        return Sealer(instance, _read(path, "sealing"))
    except KeyFileError as error:
        raise SettingsError(f"--sealing-key: {path}: {error}") from None


def read_signer(path: Path) -> Signer:
    """What signs deltas. Raises SettingsError."""
    key_id, seed = _read(path, "signing")[0]
    if len(seed) != 32:
        raise SettingsError(f"--signing-key: {path}: a signing key has 32 bytes, this one {len(seed)}")
    return Signer(key_id, seed)


def read_verifier(path: Path, instance: str) -> Verifier:
    """What checks deltas. Raises SettingsError."""
    try:
        return Verifier(instance, _read(path, "verify"))
    except KeyFileError as error:
        raise SettingsError(f"--verify-key: {path}: {error}") from None


def read_object_authenticator(path: Path) -> ObjectAuthenticator:
    """What authenticates objects between watcher and compiler. Raises SettingsError."""
    try:
        return ObjectAuthenticator(_read(path, "objects"))
    except KeyFileError as error:
        raise SettingsError(f"--objects-key: {path}: {error}") from None


def _read(path: Path, purpose: str) -> list[tuple[str, bytes]]:
    option = f"--{purpose}-key"
    try:
        return parse_keys(purpose, path.read_text())
    except OSError as error:
        raise SettingsError(f"{option}: {path}: {error.strerror or error}") from None
    except (KeyFileError, UnicodeDecodeError) as error:
        raise SettingsError(f"{option}: {path}: {error}") from None
