"""The ConfigMap and the flags -> the one Settings resource.

Pure. Must not know hosts or Ingresses.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.resources import Settings
from services.compiler.core.claims import first_port_upstream
from services.compiler.core.external_auth import with_auth_headers
from services.compiler.core.named_headers import headers_for_all
from services.compiler.core.named_maps import configmap_name
from services.compiler.core.options import CompileOptions
from services.compiler.core.store import ObjectStore
from services.compiler.core.upstreams import compile_upstream
from services.contract.configmap.read import Reading, read_configmap
from services.contract.diagnostics import finding

DH_PARAM = "dhparam.pem"


class CompiledSettings(Struct, frozen=True):
    """``upstreams``: what the settings refer to, as ``UpstreamSet.lean`` takes it."""

    settings: Settings
    upstreams: dict[str, int]
    diagnostics: tuple[Diagnostic, ...]


def read_controller(options: CompileOptions, store: ObjectStore) -> Reading:
    """What the ConfigMap that ``--configmap`` names says; defaults where there is none. Flags for hosts come along."""
    reading = with_auth_headers(_read(options, store), store.configmaps, options.configmap)
    if options.deep_inspect and not options.enable_ssl_passthrough:
        return reading
    controller = msgspec.structs.replace(
        reading.controller, ssl_passthrough=options.enable_ssl_passthrough, deep_inspection=options.deep_inspect
    )
    return msgspec.structs.replace(reading, controller=controller)


def _read(options: CompileOptions, store: ObjectStore) -> Reading:
    key = _key("configmap", options.configmap)
    configmap = store.configmaps.get(options.configmap)
    data = {} if configmap is None else configmap.data
    reading = read_configmap(key, data, without_firewall=options.ignore_modsecurity)
    if configmap is not None or not options.configmap:
        return reading
    note = finding(
        key, "configmap-not-found", "", options.configmap, f"ConfigMap {options.configmap} does not exist. Defaults "
        "hold.", "Create it, or correct --configmap.",
    )  # fmt: skip
    return msgspec.structs.replace(reading, diagnostics=(note,))


def compile_settings(options: CompileOptions, reading: Reading, store: ObjectStore, called: bool) -> CompiledSettings:
    """The Settings resource. The default backend and certificate are named only while they can serve.

    ``called``: endpoints are called by gRPC: then HTTP/2 is spoken without TLS too, as ingress-nginx always does it.
    """
    findings = list(reading.diagnostics)
    certificate = _default_certificate(options.default_ssl_certificate, store, findings)
    upstream, serves = _default_upstream(options, store, findings)
    controller, maps = reading.controller, store.configmaps
    settings = msgspec.structs.replace(
        reading.settings,
        add_headers=headers_for_all("add-headers", controller.add_headers, options.configmap, maps, findings),
        proxy_set_headers=headers_for_all(
            "proxy-set-headers", controller.proxy_set_headers, options.configmap, maps, findings
        ),
        health_path=options.health_check_path,
        http2_in_clear=called and reading.settings.use_http2,
        default_certificate=certificate,
        default_upstream=upstream if serves else "",
        sealed_dh_param=_dh_param(reading.settings.ssl_dh_param, store, findings),
    )
    return CompiledSettings(settings, {upstream: 0} if serves else {}, tuple(findings))


def configmaps_of(options: CompileOptions, reading: Reading) -> set[str]:
    """The ConfigMaps that the Settings depend on: the controller's, and those that it names."""
    namespace = options.configmap.partition("/")[0]
    controller = reading.controller
    asked = "" if controller.global_auth is None else controller.global_auth.proxy_set_headers
    named = (controller.add_headers, controller.proxy_set_headers, asked)
    return {options.configmap, *(configmap_name(text, namespace) for text in named if text)}


def _default_certificate(name: str, store: ObjectStore, findings: list[Diagnostic]) -> str:
    if not name:
        return ""
    secret = store.secrets.get(name)
    if secret is not None and secret.tls is not None:
        return name
    why = "does not exist" if secret is None else f"cannot be used: {secret.problem or 'it holds no certificate'}"
    findings.append(
        finding(
            _key("secret", name), "default-certificate-unusable", "", name, f"Secret {name} {why}. A self-made "
            "certificate is shown.", "Create it with type kubernetes.io/tls, or correct --default-ssl-certificate.",
        )
    )  # fmt: skip
    return ""


def _dh_param(name: str, store: ObjectStore, findings: list[Diagnostic]) -> bytes:
    """The sealed parameters in the Secret of that name; empty where there are none, and then none are offered."""
    secret = store.secrets.get(name)
    sealed = b"" if secret is None else secret.sealed.get(DH_PARAM, b"")
    if name and not sealed:
        why = "does not exist" if secret is None else f"holds no {DH_PARAM}"
        findings.append(
            finding(
                _key("secret", name), "dh-param-unusable", "", name,
                f"Secret {name} {why}. DHE ciphers are not offered.",
                f"Put the parameters into {DH_PARAM}, or correct ssl-dh-param.",
            )
        )  # fmt: skip
    return sealed


def _default_upstream(options: CompileOptions, store: ObjectStore, findings: list[Diagnostic]) -> tuple[str, bool]:
    """The name of the default backend's Upstream, and whether it has endpoints: without any, the built-in 404 answers
    (contract section 1.7)."""
    service_name = options.default_backend_service
    if not service_name:
        return "", False
    namespace, _, bare = service_name.partition("/")
    compiled = compile_upstream(
        "",
        store.services.get(service_name),
        store.slices_of(service_name),
        external_names=not options.disable_svc_external_name,
    )
    if compiled.problem:
        findings.append(
            finding(
                _key("service", service_name), "default-backend-unusable", "", service_name, f"Service {service_name} "
                "does not exist or has no usable port. Unknown hosts and paths are answered 404.",
                "Create it, or correct --default-backend-service.",
            )
        )  # fmt: skip
    return first_port_upstream(namespace, bare), bool(compiled.upstream.endpoints)


def _key(kind: str, name: str) -> ObjectKey:
    namespace, _, bare = name.partition("/")
    return ObjectKey(kind, namespace, bare)  # type: ignore[arg-type]
