"""What the flags say to the compile."""

from __future__ import annotations

from msgspec import Struct


class CompileOptions(Struct, frozen=True, kw_only=True):
    """The flags of ingress-nginx that decide what is compiled, by their names there; objects as ``namespace/name``.

    Empty text: the flag is not given. ``watch_namespace``: Ingresses of other namespaces are none of ours.
    """

    configmap: str = ""
    ingress_class: str = "nginx"
    controller_class: str = "k8s.io/ingress-nginx"
    ingress_class_by_name: bool = False
    watch_ingress_without_class: bool = False
    watch_namespace: str = ""
    default_backend_service: str = ""
    default_ssl_certificate: str = ""
    disable_svc_external_name: bool = False
    disable_catch_all: bool = False
    deep_inspect: bool = True
    health_check_path: str = "/healthz"
    ignore_modsecurity: bool = False
    tcp_services_configmap: str = ""
    udp_services_configmap: str = ""
    enable_ssl_passthrough: bool = False
    enable_topology_aware_routing: bool = False
