"""Every option of the roles, defined once: name, environment variable, the roles that take it, help.

``limen up`` takes those of every role and hands each child its own. Names of ingress-nginx's flags are kept where they
mean the same; those that have no effect here are in ``nginx_flags``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from msgspec import Struct

from proto.subjects import DEFAULT_INSTANCE
from services.cli.option_types import ADDRESS, ANY_PATH, BUCKETS, FILE, FOLDER, NAMESPACED, SECONDS, InstanceType

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_NATS: Final = "nats://127.0.0.1:4222"


class Option(Struct, frozen=True, kw_only=True):
    """One option. ``kind``: a click type, or bool for a switch that also takes ``=true`` and ``=false``."""

    name: str
    roles: frozenset[str]
    help: str
    kind: Any = str
    default: Any = ""
    multiple: bool = False
    metavar: str = ""

    @property
    def key(self) -> str:
        """Its name as a Python argument."""
        return self.name.replace("-", "_")

    def decorate(self, function: F, **changes: Any) -> F:
        """Give ``function`` (a command) this option; ``changes`` override what click is told."""
        settings: dict[str, Any] = {
            "envvar": f"LIMEN_{self.key.upper()}",
            "show_envvar": True,
            "help": self.help,
            "default": self.default,
            "show_default": self.default not in ("", None, (), False),
        }
        if self.kind is bool:
            # "--flag" and "--flag=false"; a flag proper would refuse the second form, which Go programs know
            settings |= {"type": click.BOOL, "is_flag": False, "flag_value": True, "metavar": "[=true|false]"}
        else:
            settings |= {"type": self.kind, "multiple": self.multiple}
            if self.metavar:
                settings["metavar"] = self.metavar
        settings |= changes
        return click.option(f"--{self.name}", self.key, **settings)(function)


def _of(*roles: str) -> frozenset[str]:
    return frozenset(roles)


_ALL = _of("watcher", "compiler", "edge")

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
        roles=_of("watcher", "compiler"),
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
        roles=_of("watcher", "edge"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Key that seals secrets on the bus.",
    ),
    Option(
        name="objects-key",
        roles=_of("watcher", "compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Key that authenticates objects on the bus.",
    ),
    Option(
        name="signing-key",
        roles=_of("compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Private key that signs snapshots.",
    ),
    Option(
        name="verify-key",
        roles=_of("edge"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Public keys whose snapshots are served.",
    ),
)

SOURCES: Final = (
    Option(
        name="manifests",
        roles=_of("watcher"),
        kind=ANY_PATH,
        multiple=True,
        default=(),
        metavar="DIR",
        help="Folder (or file) of Kubernetes manifests to serve; repeatable.",
    ),
    Option(name="kube", roles=_of("watcher"), kind=bool, default=False, help="Read from a Kubernetes API server."),
    Option(
        name="kubeconfig",
        roles=_of("watcher"),
        metavar="FILE",
        help="How to reach it. [default: the pod's service account, or ~/.kube/config]",
    ),
    Option(name="context", roles=_of("watcher"), metavar="NAME", help="Context of the kubeconfig."),
)

NGINX: Final = (
    Option(
        name="configmap",
        roles=_of("watcher", "compiler"),
        kind=NAMESPACED,
        help="ConfigMap with the settings for every host.",
    ),
    Option(
        name="ingress-class",
        roles=_of("watcher", "compiler"),
        default="nginx",
        metavar="NAME",
        help="Ingresses with this kubernetes.io/ingress.class annotation are served.",
    ),
    Option(
        name="controller-class",
        roles=_of("watcher", "compiler"),
        default="k8s.io/ingress-nginx",
        metavar="NAME",
        help="Ingresses of IngressClasses with this spec.controller are served.",
    ),
    Option(
        name="ingress-class-by-name",
        roles=_of("watcher", "compiler"),
        kind=bool,
        default=False,
        help="Take an IngressClass named as --ingress-class for ours whatever its controller.",
    ),
    Option(
        name="watch-ingress-without-class",
        roles=_of("watcher", "compiler"),
        kind=bool,
        default=False,
        help="Serve Ingresses that name no class.",
    ),
    Option(
        name="watch-namespace",
        roles=_of("watcher", "compiler"),
        metavar="NAMESPACE",
        help="Look at this namespace only. [default: all]",
    ),
    Option(
        name="watch-namespace-selector",
        roles=_of("watcher"),
        metavar="SELECTOR",
        help="Look at namespaces with these labels only.",
    ),
    Option(
        name="default-backend-service",
        roles=_of("watcher", "compiler"),
        kind=NAMESPACED,
        help="Service that answers for unknown hosts and paths.",
    ),
    Option(
        name="default-ssl-certificate",
        roles=_of("watcher", "compiler"),
        kind=NAMESPACED,
        help="Secret with the certificate for hosts without one.",
    ),
    Option(
        name="publish-service",
        roles=_of("watcher"),
        kind=NAMESPACED,
        help="Service whose address is written to the status of Ingresses.",
    ),
    Option(
        name="publish-status-address",
        roles=_of("watcher"),
        metavar="ADDRESS,…",
        help="Addresses that are written to the status of Ingresses.",
    ),
    Option(
        name="update-status",
        roles=_of("watcher"),
        kind=bool,
        default=True,
        help="Write status.loadBalancer of served Ingresses; =false beside another controller.",
    ),
    Option(
        name="election-id",
        roles=_of("watcher"),
        default="limen-watcher",
        metavar="NAME",
        help="Lease by which one watcher is the active one.",
    ),
    Option(
        name="election-namespace",
        roles=_of("watcher"),
        metavar="NAMESPACE",
        help="Where that Lease is. [default: the pod's namespace]",
    ),
    Option(
        name="disable-svc-external-name",
        roles=_of("compiler"),
        kind=bool,
        default=False,
        help="Do not serve Services of type ExternalName.",
    ),
    Option(
        name="disable-catch-all",
        roles=_of("compiler"),
        kind=bool,
        default=False,
        help="Ignore Ingresses with a default backend.",
    ),
)

EDGE: Final = (
    Option(
        name="http",
        roles=_of("edge"),
        kind=ADDRESS,
        multiple=True,
        default=(),
        help="Where HTTP is served; repeatable. [::]:80 for IPv6.",
    ),
    Option(
        name="https",
        roles=_of("edge"),
        kind=ADDRESS,
        multiple=True,
        default=(),
        help="Where HTTPS is served; repeatable.",
    ),
    Option(
        name="h2c",
        roles=_of("edge"),
        kind=bool,
        default=False,
        help="Serve HTTP/2 without TLS too, to clients that begin with it (prior knowledge).",
    ),
    Option(
        name="workers",
        roles=_of("edge"),
        kind=click.IntRange(1, 256),
        default=1,
        help="Processes of an edge that share its ports.",
    ),
    Option(
        name="max-connections-per-source",
        roles=_of("edge"),
        kind=click.IntRange(0),
        default=0,
        help="Connections of one client address that a worker takes on; 0: any number.",
    ),
    Option(
        name="max-pending-connects",
        roles=_of("edge"),
        kind=click.IntRange(0),
        default=4096,
        help="Connections to endpoints that a worker opens at a time; further requests are answered 503.",
    ),
    Option(
        name="shutdown-grace-period",
        roles=_of("edge"),
        kind=SECONDS,
        default=0.0,
        help="Seconds that a stopping edge still accepts, while load balancers take notice.",
    ),
    Option(
        name="worker-shutdown-timeout",
        roles=_of("edge"),
        kind=SECONDS,
        default=240.0,
        help="Seconds that requests get to finish after that.",
    ),
    Option(
        name="allow-loopback-upstreams",
        roles=_of("edge"),
        kind=bool,
        default=False,
        help="Let ExternalName Services name loopback and link-local addresses.",
    ),
)

METRICS: Final = (
    Option(
        name="enable-metrics",
        roles=_of("edge"),
        kind=bool,
        default=True,
        help="Count requests by Ingress; =false leaves only what an edge counts of itself.",
    ),
    Option(
        name="metrics-per-host",
        roles=_of("edge"),
        kind=bool,
        default=True,
        help="Metrics of requests carry the host.",
    ),
    Option(
        name="metrics-per-undefined-host",
        roles=_of("edge"),
        kind=bool,
        default=False,
        help="They are kept for hosts that no Ingress declares too (a thousand at most).",
    ),
    Option(
        name="report-status-classes",
        roles=_of("edge"),
        kind=bool,
        default=False,
        help="They carry classes of statuses (2xx) instead of statuses.",
    ),
    Option(
        name="exclude-socket-metrics",
        roles=_of("edge"),
        metavar="NAME,…",
        help="Metrics of requests that are left out.",
    ),
    Option(
        name="time-buckets",
        roles=_of("edge"),
        kind=BUCKETS,
        help="Buckets of their times, in seconds. [default: 0.005 to 10]",
    ),
    Option(
        name="length-buckets",
        roles=_of("edge"),
        kind=BUCKETS,
        help="Buckets of their request and response sizes, in bytes. [default: 10 to 100]",
    ),
    Option(
        name="size-buckets",
        roles=_of("edge"),
        kind=BUCKETS,
        help="Buckets of the bytes they sent. [default: 10 to 10000000]",
    ),
)

ROLE_OPTIONS: Final = (*KEYS, *SOURCES, *NGINX, *EDGE, *METRICS)
