"""What an edge is told by flags and environment: one frozen value, passed down from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from services.runtime.bus import BusOptions
from services.runtime.settings import HostPort


class MetricsOptions(Struct, frozen=True, kw_only=True):
    """What ingress-nginx's flags say of the metrics of requests; the defaults are its own, but metrics are on.

    ``enabled``: requests are counted (``--enable-metrics``). ``per_host``: with the host as a label;
    ``per_undefined_host``: also for hosts that nobody declared (a bounded number). ``status_classes``: 2xx instead of
    200. ``excluded``: names of metrics that are left out. The buckets are upper bounds, rising.
    """

    enabled: bool = True
    per_host: bool = True
    per_undefined_host: bool = False
    status_classes: bool = False
    excluded: tuple[str, ...] = ()
    time_buckets: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    length_buckets: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
    size_buckets: tuple[float, ...] = (10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7)


DEFAULT_METRICS: Final = MetricsOptions()


class LimitOptions(Struct, frozen=True, kw_only=True):
    """Limits that the ConfigMap has no key for, each for one worker; 0: no limit.

    ``per_source``: connections of one client address. ``pending_connects``: connections to endpoints that are being
    opened. ``waiting_bytes``: of responses, for clients that take them slowly.
    """

    per_source: int = 0
    pending_connects: int = 4096
    waiting_bytes: int = 128 * 1024 * 1024


DEFAULT_LIMITS: Final = LimitOptions()


class EdgeOptions(Struct, frozen=True, kw_only=True):
    """The options of ``limen edge``.

    ``state``: folder of the last-good file ``edge-<name>.snapshot``. ``http``/``https``: addresses of the traffic
    ports. ``h2c``: HTTP/2 is served on the http ports too, to clients that begin with it. ``workers``: processes that
    share them. ``shutdown_grace_period``: seconds that a stopping edge goes on accepting while load balancers take
    notice; ``worker_shutdown_timeout``: seconds that requests and WebSockets get to finish after that (both as in
    ingress-nginx). ``allow_loopback_upstreams``: names of ExternalName Services may
    resolve to loopback and link-local addresses: right where the manifests are the operator's own files, wrong in a
    cluster whose tenants write Services (ingress-nginx refuses them too). ``zone``: where the edge is, as hints of
    EndpointSlices call it; empty: it takes no notice of them.
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
    metrics: MetricsOptions = DEFAULT_METRICS
    zone: str = ""
    limits: LimitOptions = DEFAULT_LIMITS
    log_json: bool = False
