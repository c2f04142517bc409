"""What a compiler is told by flags and environment: one frozen value, passed down from the command line."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from services.compiler.core.options import CompileOptions
from services.runtime.bus import BusOptions
from services.runtime.settings import HostPort


class HistoryOptions(Struct, frozen=True, kw_only=True):
    """How much of the log is kept: by age in seconds, bytes and number of deltas; whichever is reached first prunes.

    The newest delta, the base that it names and what leads from there to it always stay. ``base_every``: at most so
    many deltas after a base the next one is written.
    """

    max_age: float = 30 * 24 * 3600.0
    max_bytes: int = 512 * 1024 * 1024
    max_deltas: int = 100_000
    base_every: int = 512


class WebhookOptions(Struct, frozen=True, kw_only=True):
    """Where Ingresses are checked before they are stored, and the pair (PEM files) that the API server is shown."""

    address: HostPort
    certificate: Path
    key: Path


class CompilerOptions(Struct, frozen=True, kw_only=True):
    """The options of ``limen compiler``.

    ``state``: folder of ``compiler.json``, a hint of where the log was. ``signing_key``: the first key signs, all are
    trusted when the log is read (rotation). ``objects_key``: shared with the watcher. ``compile``: the flags that
    change what is compiled, by ingress-nginx's names. ``replicas``: copies of each stream in a NATS cluster.
    """

    bus: BusOptions
    instance: str
    name: str
    state: Path
    signing_key: Path
    objects_key: Path
    compile: CompileOptions = CompileOptions()
    history: HistoryOptions = HistoryOptions()
    replicas: int = 1
    admin: HostPort | None = None
    webhook: WebhookOptions | None = None
    log_json: bool = False
