"""What a watcher is told by flags and environment: one frozen value, passed down from the command line."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from services.runtime.bus import BusOptions
from services.runtime.settings import HostPort


class WatcherOptions(Struct, frozen=True, kw_only=True):
    """The options of ``limen watcher``; names of ingress-nginx's flags mean what they mean there.

    Exactly one source: ``manifests`` (folders or files) or ``kube`` (with ``kubeconfig`` and ``context`` empty: the
    service account of the pod, else the usual kubeconfig). ``update_status``: write ``status.loadBalancer`` and Events
    back (never in folder mode). ``publish_status_address``: comma-separated addresses and names. ``election_id`` names
    the Lease in ``election_namespace`` (empty: the pod's own namespace), for ``election_ttl``
    seconds. ``replicas``: copies of the object stream.
    """

    bus: BusOptions
    instance: str
    name: str
    state: Path
    sealing_key: Path
    objects_key: Path
    admin: HostPort | None = None
    log_json: bool = False
    replicas: int = 1
    manifests: tuple[Path, ...] = ()
    kube: bool = False
    kubeconfig: str = ""
    context: str = ""
    configmap: str = ""
    default_backend_service: str = ""
    default_ssl_certificate: str = ""
    tcp_services_configmap: str = ""
    udp_services_configmap: str = ""
    controller_class: str = "k8s.io/ingress-nginx"
    ingress_class: str = "nginx"
    ingress_class_by_name: bool = False
    watch_ingress_without_class: bool = False
    watch_namespace: str = ""
    watch_namespace_selector: str = ""
    publish_service: str = ""
    publish_status_address: str = ""
    update_status: bool = True
    election_id: str = "limen-watcher"
    election_namespace: str = ""
    election_ttl: float = 15.0
