"""The options that ingress-nginx has too, by its names: what is watched and compiled, and what is said of it."""

from __future__ import annotations

from typing import Final

from services.cli.option_entry import Option, of
from services.cli.option_types import ADDRESS, FILE, LEASE, NAMESPACED

NGINX: Final = (
    Option(
        name="configmap",
        roles=of("watcher", "compiler"),
        kind=NAMESPACED,
        help="ConfigMap with the settings for every host.",
    ),
    Option(
        name="ingress-class",
        roles=of("watcher", "compiler"),
        default="nginx",
        metavar="NAME",
        help="Ingresses with this kubernetes.io/ingress.class annotation are served.",
    ),
    Option(
        name="controller-class",
        roles=of("watcher", "compiler"),
        default="k8s.io/ingress-nginx",
        metavar="NAME",
        help="Ingresses of IngressClasses with this spec.controller are served.",
    ),
    Option(
        name="ingress-class-by-name",
        roles=of("watcher", "compiler"),
        kind=bool,
        default=False,
        help="Take an IngressClass named as --ingress-class for ours whatever its controller.",
    ),
    Option(
        name="watch-ingress-without-class",
        roles=of("watcher", "compiler"),
        kind=bool,
        default=False,
        help="Serve Ingresses that name no class.",
    ),
    Option(
        name="watch-namespace",
        roles=of("watcher", "compiler"),
        metavar="NAMESPACE",
        help="Look at this namespace only. [default: all]",
    ),
    Option(
        name="watch-namespace-selector",
        roles=of("watcher"),
        metavar="SELECTOR",
        help="Look at namespaces with these labels only.",
    ),
    Option(
        name="default-backend-service",
        roles=of("watcher", "compiler"),
        kind=NAMESPACED,
        help="Service that answers for unknown hosts and paths.",
    ),
    Option(
        name="default-ssl-certificate",
        roles=of("watcher", "compiler"),
        kind=NAMESPACED,
        help="Secret with the certificate for hosts without one.",
    ),
    Option(
        name="publish-service",
        roles=of("watcher"),
        kind=NAMESPACED,
        help="Service whose address is written to the status of Ingresses.",
    ),
    Option(
        name="publish-status-address",
        roles=of("watcher"),
        metavar="ADDRESS,…",
        help="Addresses that are written to the status of Ingresses.",
    ),
    Option(
        name="update-status",
        roles=of("watcher"),
        kind=bool,
        default=True,
        help="Write status.loadBalancer of served Ingresses; =false beside another controller.",
    ),
    Option(
        name="election-id",
        roles=of("watcher"),
        default="limen-watcher",
        metavar="NAME",
        help="Lease by which one watcher is the active one.",
    ),
    Option(
        name="election-namespace",
        roles=of("watcher"),
        metavar="NAMESPACE",
        help="Where that Lease is. [default: the pod's namespace]",
    ),
    Option(
        name="election-ttl",
        roles=of("watcher"),
        kind=LEASE,
        default=15.0,
        help="How long that Lease is for: so long after a watcher died another one takes over.",
    ),
    Option(
        name="disable-svc-external-name",
        roles=of("compiler"),
        kind=bool,
        default=False,
        help="Do not serve Services of type ExternalName.",
    ),
    Option(
        name="disable-catch-all",
        roles=of("compiler"),
        kind=bool,
        default=False,
        help="Ignore Ingresses with a default backend.",
    ),
    Option(
        name="deep-inspect",
        roles=of("compiler"),
        kind=bool,
        default=True,
        help="Refuse Ingresses whose hosts, paths or Secret names look like configuration.",
    ),
    Option(
        name="health-check-path",
        roles=of("compiler"),
        default="/healthz",
        help="What is answered 200 on hosts that no Ingress declares, for balancers that look whether edges are there.",
    ),
    Option(
        name="tcp-services-configmap",
        roles=of("watcher", "compiler"),
        kind=NAMESPACED,
        help="ConfigMap of ports that are handed on by TCP: port to namespace/service:port[:PROXY][:PROXY].",
    ),
    Option(
        name="udp-services-configmap",
        roles=of("watcher", "compiler"),
        kind=NAMESPACED,
        help="ConfigMap of ports that are handed on by UDP: port to namespace/service:port.",
    ),
    Option(
        name="enable-ssl-passthrough",
        roles=of("compiler"),
        kind=bool,
        default=False,
        help="Honour the annotation ssl-passthrough: TLS connections for its hosts are handed on unopened.",
    ),
    Option(
        name="enable-topology-aware-routing",
        roles=of("compiler"),
        kind=bool,
        default=False,
        help="Prefer endpoints that are hinted for an edge's zone (--zone), for Services that want it.",
    ),
    Option(
        name="validating-webhook",
        roles=of("compiler"),
        kind=ADDRESS,
        default=None,
        help="Where the API server has Ingresses checked before it stores them (HTTPS), e.g. :8443.",
    ),
    Option(
        name="validating-webhook-certificate",
        roles=of("compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Certificate of that (PEM).",
    ),
    Option(
        name="validating-webhook-key",
        roles=of("compiler"),
        kind=FILE,
        default=None,
        metavar="FILE",
        help="Key of that certificate (PEM).",
    ),
)
