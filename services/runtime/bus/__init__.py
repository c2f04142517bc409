"""The bus: NATS and JetStream as Limen uses them.

``client`` is what roles call; ``connection`` alone imports the client library; ``subscription`` is one consumer;
``requests``, ``streams``, ``writing`` and ``reading`` know JetStream; ``values`` are the words that all share.
"""

from services.runtime.bus.client import Bus
from services.runtime.bus.values import (
    BusError,
    BusOptions,
    Message,
    NoAnswer,
    NotConnected,
    SequenceConflict,
    Stored,
    StreamMissing,
    StreamSpec,
    StreamState,
    TooLarge,
)

__all__ = [
    "Bus",
    "BusError",
    "BusOptions",
    "Message",
    "NoAnswer",
    "NotConnected",
    "SequenceConflict",
    "Stored",
    "StreamMissing",
    "StreamSpec",
    "StreamState",
    "TooLarge",
]
