"""The bus in the words of its users: options, messages, streams, errors. Nothing here knows the client library."""

from __future__ import annotations

from msgspec import Struct


class BusOptions(Struct, frozen=True, kw_only=True):
    """How to reach NATS. ``name`` labels the connection on the server.

    ``creds``: a credentials file (JWT and seed); ``nkey``: a seed file; ``ca``, ``cert``, ``key``: PEM files.
    ``inbox``: prefix of the subjects on which answers arrive, so that an ACL can keep one role from reading the
    answers of another.
    """

    servers: tuple[str, ...]
    name: str
    creds: str = ""
    nkey: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    inbox: str = "_INBOX"


class Message(Struct, frozen=True):
    """A message of a core subscription, or an answer. ``reply`` is where an answer is expected, or empty."""

    subject: str
    data: bytes
    reply: str = ""
    headers: dict[str, str] = {}


class Stored(Struct, frozen=True):
    """A message of a stream. ``sequence`` counts from 1 and starts again when a stream is lost: never compare it
    across two lives of a stream."""

    subject: str
    sequence: int
    data: bytes
    headers: dict[str, str] = {}


class StreamSpec(Struct, frozen=True, kw_only=True):
    """A stream as it should be. Limits of -1 (or an age of 0 seconds) mean none.

    ``republish``: (source, destination): what is stored under ``source`` is sent out again on ``destination``.
    ``replicas``: 1 to 5; more than the servers offer is an error. Direct reads are always allowed.
    """

    name: str
    subjects: tuple[str, ...]
    max_per_subject: int = -1
    max_age: float = 0
    max_bytes: int = -1
    max_messages: int = -1
    republish: tuple[str, str] | None = None
    replicas: int = 1


class StreamState(Struct, frozen=True):
    """How a stream stands. ``created`` changes when it was deleted and made again; ``first``, ``last``: sequences."""

    created: str
    first: int
    last: int
    messages: int
    bytes: int


class BusError(Exception):
    """Something that the bus was asked for did not happen; the message says what and why."""


class NotConnected(BusError):  # noqa: N818 - a state, read as one: "except NotConnected"
    """There is no connection now, or it was lost before the answer came (then the outcome is unknown)."""


class NoAnswer(BusError):  # noqa: N818
    """No answer in time: the outcome is unknown."""


class StreamMissing(BusError):  # noqa: N818
    """The stream does not exist (or the server runs without JetStream)."""


class SequenceConflict(BusError):  # noqa: N818
    """An append with an expected sequence came too late: somebody else appended meanwhile."""


class TooLarge(BusError):  # noqa: N818
    """The message is larger than the server takes."""
