"""What an edge is told by flags and environment: one frozen value, passed down from the command line."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from services.runtime.bus import BusOptions
from services.runtime.settings import HostPort


class EdgeOptions(Struct, frozen=True, kw_only=True):
    """The options of ``limen edge``.

    ``state``: folder of the last-good file ``edge-<name>.snapshot``. ``http``/``https``: addresses of the traffic
    ports. ``h2c``: HTTP/2 is served on the http ports too, to clients that begin with it. ``workers``: processes that
    share them. ``shutdown_grace_period``: seconds that a stopping edge goes on accepting while load balancers take
    notice; ``worker_shutdown_timeout``: seconds that requests and WebSockets get to finish after that (both as in
    ingress-nginx). ``allow_loopback_upstreams``: names of ExternalName Services may
    resolve to loopback and link-local addresses: right where the manifests are the operator's own files, wrong in a
    cluster whose tenants write Services (ingress-nginx refuses them too).
    """

    bus: BusOptions
    instance: str
    name: str
    state: Path
    sealing_key: Path
    verify_key: Path
    http: tuple[HostPort, ...] = ()
    https: tuple[HostPort, ...] = ()
    admin: HostPort | None = None
    h2c: bool = False
    workers: int = 1
    shutdown_grace_period: float = 0.0
    worker_shutdown_timeout: float = 240.0
    allow_loopback_upstreams: bool = False
    log_json: bool = False
