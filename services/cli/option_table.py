"""Every option of the roles, defined once: name, environment variable, the roles that take it, help.

``limen up`` takes those of every role and hands each child its own. Names of ingress-nginx's flags are kept where they
mean the same; those that have no effect here are in ``nginx_flags``.
"""

from __future__ import annotations

from typing import Final

import click

from proto.subjects import DEFAULT_INSTANCE
from services.cli.nginx_options import NGINX
from services.cli.option_entry import Option, of
from services.cli.option_types import ADDRESS, ANY_PATH, BUCKETS, FILE, FOLDER, SECONDS, InstanceType

DEFAULT_NATS: Final = "nats://127.0.0.1:4222"


_ALL = of("watcher", "compiler", "edge")

BUS: Final = (
    Option(
        name="nats",
        roles=_ALL,
        multiple=True,
        default=(DEFAULT_NATS,),
        metavar="URL",
        help="NATS server; repeat it or separate with commas for several.",
    ),
    Option(name="nats-creds", roles=_ALL, metavar="FILE", help="Credentials file (JWT and seed) for NATS."),
    Option(name="nats-nkey", roles=_ALL, metavar="FILE", help="File with the nkey seed for NATS."),
    Option(name="nats-ca", roles=_ALL, metavar="FILE", help="CA that signed the NATS server's certificate (PEM)."),
    Option(name="nats-cert", roles=_ALL, metavar="FILE", help="Client certificate for NATS (PEM)."),
    Option(name="nats-key", roles=_ALL, metavar="FILE", help="Key of the client certificate for NATS (PEM)."),
    Option(
        name="nats-inbox",
        roles=_ALL,
        default="_INBOX",
        metavar="PREFIX",
        help="Prefix of the subjects on which answers arrive (what the ACL of this login allows).",
    ),
    Option(
        name="nats-replicas",
        roles=of("watcher", "compiler"),
        kind=click.IntRange(1, 5),
        default=1,
        help="Copies of each stream in a NATS cluster.",
    ),
)

INSTANCE: Final = Option(
    name="instance",
    roles=_ALL,
    kind=InstanceType(),
    default=DEFAULT_INSTANCE,
    help="Name of this installation: the first token of every subject.",
)
NAME: Final = Option(name="name", roles=_ALL, metavar="NAME", help="Name of this process. [default: the host's name]")
STATE: Final = Option(
    name="state", roles=_ALL, kind=FOLDER, default=None, metavar="DIR", help="Folder for what must outlive a restart."
)
ADMIN: Final = Option(
    name="admin",
    roles=_ALL,
    kind=ADDRESS,
    default=None,
    help="Where /healthz, /readyz, /metrics and /status are served; fd:N for a socket that was handed down.",
)
LOG_FORMAT: Final = Option(
    name="log-format",
    roles=_ALL,
    kind=click.Choice(["text", "json"]),
    default="text",
    help="Log lines for people or for programs.",
)
COMMON: Final = (*BUS, INSTANCE, STATE, LOG_FORMAT)
"""What every role takes, and ``up`` too. NAME and ADMIN belong to one process."""

KEYS: Final = (
    Option(
        name="sealing-key",
        roles=of("watcher", "edge"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Key that seals secrets on the bus.",
    ),
    Option(
        name="objects-key",
        roles=of("watcher", "compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Key that authenticates objects on the bus.",
    ),
    Option(
        name="signing-key",
        roles=of("compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Private key that signs snapshots.",
    ),
    Option(
        name="verify-key",
        roles=of("edge"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Public keys whose snapshots are served.",
    ),
)

SOURCES: Final = (
    Option(
        name="manifests",
        roles=of("watcher"),
        kind=ANY_PATH,
        multiple=True,
        default=(),
        metavar="DIR",
        help="Folder (or file) of Kubernetes manifests to serve; repeatable.",
    ),
    Option(name="kube", roles=of("watcher"), kind=bool, default=False, help="Read from a Kubernetes API server."),
    Option(
        name="kubeconfig",
        roles=of("watcher"),
        metavar="FILE",
        help="How to reach it. [default: the pod's service account, or ~/.kube/config]",
    ),
    Option(name="context", roles=of("watcher"), metavar="NAME", help="Context of the kubeconfig."),
)

COMPILING: Final = (
    Option(
        name="ignore-modsecurity",
        roles=of("compiler"),
        kind=bool,
        default=False,
        help="Serve Ingresses that ask for ModSecurity without it, instead of answering 503.",
    ),
)

EDGE: Final = (
    Option(
        name="http",
        roles=of("edge"),
        kind=ADDRESS,
        multiple=True,
        default=(),
        help="Where HTTP is served; repeatable. [::]:80 for IPv6.",
    ),
    Option(
        name="https",
        roles=of("edge"),
        kind=ADDRESS,
        multiple=True,
        default=(),
        help="Where HTTPS is served; repeatable.",
    ),
    Option(
        name="h2c",
        roles=of("edge"),
        kind=bool,
        default=False,
        help="Serve HTTP/2 without TLS to clients that begin with it (prior knowledge) even while no Ingress has "
        "`backend-protocol: GRPC` or `GRPCS`.",
    ),
    Option(
        name="workers",
        roles=of("edge"),
        kind=click.IntRange(1, 256),
        default=1,
        help="Processes of an edge that share its ports.",
    ),
    Option(
        name="max-connections-per-source",
        roles=of("edge"),
        kind=click.IntRange(0),
        default=0,
        help="Connections of one client address that a worker takes on; 0: any number.",
    ),
    Option(
        name="max-pending-connects",
        roles=of("edge"),
        kind=click.IntRange(0),
        default=4096,
        help="Connections to endpoints that a worker opens at a time; further requests are answered 503.",
    ),
    Option(
        name="max-waiting-bytes",
        roles=of("edge"),
        kind=click.IntRange(0),
        default=128 * 1024 * 1024,
        help="Bytes of responses that a worker holds for slow clients; beyond it those that take nothing are cut off;"
        " 0: any number.",
    ),
    Option(
        name="shutdown-grace-period",
        roles=of("edge"),
        kind=SECONDS,
        default=0.0,
        help="Seconds that a stopping edge still accepts, while load balancers take notice.",
    ),
    Option(
        name="worker-shutdown-timeout",
        roles=of("edge"),
        kind=SECONDS,
        default=240.0,
        help="Seconds that requests get to finish after that.",
    ),
    Option(
        name="zone",
        roles=of("edge"),
        metavar="ZONE",
        help="Where the edge is (label topology.kubernetes.io/zone of its node), for --enable-topology-aware-routing.",
    ),
    Option(
        name="allow-loopback-upstreams",
        roles=of("edge"),
        kind=bool,
        default=False,
        help="Let names of ExternalName Services resolve to loopback and link-local addresses.",
    ),
)

METRICS: Final = (
    Option(
        name="enable-metrics",
        roles=of("edge"),
        kind=bool,
        default=True,
        help="Count requests by Ingress; =false leaves only what an edge counts of itself.",
    ),
    Option(
        name="metrics-per-host",
        roles=of("edge"),
        kind=bool,
        default=True,
        help="Metrics of requests carry the host.",
    ),
    Option(
        name="metrics-per-undefined-host",
        roles=of("edge"),
        kind=bool,
        default=False,
        help="They are kept for hosts that no Ingress declares too (a thousand at most).",
    ),
    Option(
        name="report-status-classes",
        roles=of("edge"),
        kind=bool,
        default=False,
        help="They carry classes of statuses (2xx) instead of statuses.",
    ),
    Option(
        name="exclude-socket-metrics",
        roles=of("edge"),
        metavar="NAME,…",
        help="Metrics of requests that are left out.",
    ),
    Option(
        name="time-buckets",
        roles=of("edge"),
        kind=BUCKETS,
        help="Buckets of their times, in seconds. [default: 0.005 to 10]",
    ),
    Option(
        name="length-buckets",
        roles=of("edge"),
        kind=BUCKETS,
        help="Buckets of their request and response sizes, in bytes. [default: 10 to 100]",
    ),
    Option(
        name="size-buckets",
        roles=of("edge"),
        kind=BUCKETS,
        help="Buckets of the bytes they sent. [default: 10 to 10000000]",
    ),
)

ROLE_OPTIONS: Final = (*KEYS, *SOURCES, *NGINX, *COMPILING, *EDGE, *METRICS)
