"""Messages of the watcher: whether they are genuine, and what they say.

Pure. Owns the order of the checks: size, envelope, authentication code, instance, place, and only then the object.
Whatever fails is refused with one word for the metric and a sentence for the log, and changes nothing.
"""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import Struct

from proto.codec import DecodeError, decode, encode
from proto.objects import Ingress, Object, ObjectEnvelope, WatcherBeacon, key_of
from proto.signing import AuthenticationError, ObjectAuthenticator
from proto.snapshots import SCHEMA
from proto.subjects import Subjects
from services.compiler.signed import RefusedError

T = TypeVar("T")

MAX_OBJECT: Final = 2 * 1024 * 1024
"""The largest object message that is read (Kubernetes itself refuses objects above 1.5 MiB)."""


class Sealed(Struct, frozen=True, array_like=True):
    """An authenticated message: ``body`` with the code that the holder of the objects key computed over it."""

    schema: int
    body: bytes
    mac: bytes


class Admitted(Struct, frozen=True):
    """A genuine object message. ``value`` is None for a removal; ``unreadable`` says why an object that the watcher did
    write cannot be understood (a newer watcher's), empty otherwise."""

    envelope: ObjectEnvelope
    value: Object | None
    unreadable: str = ""


class AcceptedBody(Struct, frozen=True, array_like=True):
    """What is stored for an accepted Ingress: the instance it belongs to and the Ingress."""

    instance: str
    ingress: Ingress


class Doorkeeper:
    """Opens messages of one instance with the key that watcher and compiler share."""

    def __init__(self, subjects: Subjects, authenticator: ObjectAuthenticator) -> None:
        self._subjects = subjects
        self._authenticator = authenticator

    def object(self, subject: str, data: bytes) -> Admitted:
        """The object message ``data`` that came on ``subject``. Raises RefusedError."""
        envelope = self._open("object", subject, data, ObjectEnvelope)
        if envelope.instance != self._subjects.instance:
            raise RefusedError("instance", f"{subject}: belongs to instance {envelope.instance!r}")
        if self._subjects.object(envelope.key) != subject:
            raise RefusedError("misplaced", f"{subject}: holds {envelope.key}")
        if not envelope.object:
            return Admitted(envelope, None)
        try:
            value: Object = decode(envelope.object, Object, subject)  # type: ignore[arg-type]
        except DecodeError as error:
            return Admitted(envelope, None, f"{error}")
        if key_of(value) != envelope.key:
            return Admitted(envelope, None, f"{subject}: says {envelope.key} and holds {key_of(value)}")
        return Admitted(envelope, value)

    def beacon(self, subject: str, data: bytes) -> WatcherBeacon:
        """The beacon in ``data``. Raises RefusedError."""
        beacon = self._open("beacon", subject, data, WatcherBeacon)
        if beacon.instance != self._subjects.instance:
            raise RefusedError("instance", f"{subject}: belongs to instance {beacon.instance!r}")
        return beacon

    def accepted(self, subject: str, data: bytes) -> Ingress:
        """The accepted Ingress in ``data``. Raises RefusedError."""
        body = self._open("accepted", subject, data, AcceptedBody)
        if body.instance != self._subjects.instance:
            raise RefusedError("instance", f"{subject}: belongs to instance {body.instance!r}")
        if self._subjects.accepted(body.ingress.namespace, body.ingress.name) != subject:
            raise RefusedError("misplaced", f"{subject}: holds {body.ingress.namespace}/{body.ingress.name}")
        return body.ingress

    def seal_accepted(self, ingress: Ingress) -> bytes:
        """The message that ``accepted`` opens; equal Ingresses give equal bytes."""
        body = encode(AcceptedBody(self._subjects.instance, ingress))
        return encode(Sealed(SCHEMA, body, self._authenticator.mac("accepted", body)))

    def _open(self, purpose: str, subject: str, data: bytes, type_: type[T]) -> T:
        if len(data) > MAX_OBJECT:
            raise RefusedError("oversized", f"{subject}: {len(data)} bytes, at most {MAX_OBJECT} are read")
        try:
            sealed = decode(data, Sealed, subject)
        except DecodeError as error:
            raise RefusedError("malformed", str(error)) from None
        if sealed.schema > SCHEMA:
            raise RefusedError(
                "schema", f"{subject}: schema {sealed.schema}, this compiler knows up to {SCHEMA}: upgrade it first"
            )
        try:
            self._authenticator.check(purpose, sealed.body, sealed.mac)
        except AuthenticationError as error:
            raise RefusedError("forged", f"{subject}: {error}") from None
        try:
            return decode(sealed.body, type_, subject)
        except DecodeError as error:
            raise RefusedError("malformed", str(error)) from None
