"""What an Ingress' annotations come to once they are read: one typed value for each that is honoured.

Owns the names of these values: that of the annotation with underscores, but for a few. Must not know how text is read.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.policies import Decorations
from services.contract.annotations.cors import DEFAULT_HEADERS, DEFAULT_METHODS


class AnnotationSettings(Struct, frozen=True, gc=False):
    """The annotations that are honoured, typed. None: the Ingress says nothing, the ConfigMap's value holds.

    ``denied``: a guard of this Ingress' paths is not understood, so they answer 503; ``host_denied``: one that guards
    its whole hosts; ``clients_denied``: one about client certificates, so its hosts answer 403. ``canary``: the Ingress
    gets no traffic of its own.
    """

    rewrite_target: str = ""
    use_regex: bool = False
    app_root: str = ""
    ssl_redirect: bool | None = None
    force_ssl_redirect: bool | None = None
    default_backend: str = ""
    permanent_redirect: str = ""
    permanent_redirect_code: int = 301
    temporal_redirect: str = ""
    temporal_redirect_code: int = 302
    from_to_www_redirect: bool = False
    relative_redirects: bool | None = None
    use_port_in_redirects: bool | None = None
    preserve_trailing_slash: bool | None = None
    server_alias: tuple[str, ...] = ()
    custom_http_errors: tuple[int, ...] | None = None
    disable_proxy_intercept_errors: bool | None = None
    x_forwarded_prefix: str = ""
    upstream_vhost: str = ""
    service_upstream: bool | None = None
    backend_protocol: str = "HTTP"
    proxy_ssl_secret: str = ""
    proxy_ssl_verify: str = "off"
    proxy_ssl_verify_depth: int = 1
    proxy_ssl_name: str = ""
    proxy_ssl_server_name: str = "off"
    proxy_ssl_protocols: tuple[str, ...] = ("TLSv1.2",)
    proxy_ssl_ciphers: str = "DEFAULT"
    auth_type: str = ""
    auth_secret: str = ""
    auth_secret_type: str = "auth-file"  # noqa: S105 - how it is laid out
    auth_realm: str = ""
    auth_url: str = ""
    auth_signin: str = ""
    auth_signin_redirect_param: str = "rd"
    auth_response_headers: tuple[str, ...] = ()
    auth_method: str = ""
    auth_request_redirect: str = ""
    auth_proxy_set_headers: str = ""
    auth_always_set_cookie: bool = False
    auth_cache_key: str = ""
    auth_cache_duration: tuple[str, ...] = ("200 300", "202 300", "401 300")
    satisfy: str = "all"
    allowlist_source_range: tuple[str, ...] | None = None
    denylist_source_range: tuple[str, ...] | None = None
    limit_rps: int = 0
    limit_rpm: int = 0
    limit_connections: int = 0
    limit_burst_multiplier: int = 5
    limit_allowlist: tuple[str, ...] = ()
    limit_rate: int | None = None
    limit_rate_after: int | None = None
    auth_tls_secret: str = ""
    auth_tls_verify_client: str = "on"
    auth_tls_verify_depth: int = 1
    auth_tls_error_page: str = ""
    auth_tls_pass_certificate_to_upstream: bool = False
    auth_tls_match_cn: str = ""
    ssl_passthrough: bool = False
    ssl_ciphers: str = ""
    ssl_prefer_server_ciphers: bool | None = None
    proxy_connect_timeout: int | None = None
    proxy_read_timeout: int | None = None
    proxy_send_timeout: int | None = None
    proxy_body_size: int | None = None
    proxy_request_buffering: str = ""
    client_body_buffer_size: int | None = None
    proxy_buffering: str = ""
    proxy_buffer_size: int | None = None
    proxy_buffers_number: int | None = None
    proxy_max_temp_file_size: int | None = None
    proxy_next_upstream: tuple[str, ...] | None = None
    proxy_next_upstream_tries: int | None = None
    proxy_next_upstream_timeout: int | None = None
    fastcgi_index: str = ""
    fastcgi_params_configmap: str = ""
    mirror_target: str = ""
    mirror_host: str = ""
    mirror_request_body: str = "on"
    custom_headers: str = ""
    configuration_snippet: Decorations = Decorations()
    server_snippet: Decorations = Decorations()
    proxy_http_version: str = ""
    proxy_cookie_domain: tuple[str, ...] | None = None
    proxy_cookie_path: tuple[str, ...] | None = None
    proxy_redirect_from: str | None = None
    proxy_redirect_to: str | None = None
    connection_proxy_header: str = ""
    enable_cors: bool = False
    cors_allow_origin: tuple[str, ...] = ("*",)
    cors_allow_methods: str = DEFAULT_METHODS
    cors_allow_headers: str = DEFAULT_HEADERS
    cors_expose_headers: str = ""
    cors_allow_credentials: bool = True
    cors_max_age: int = 1728000
    access_log: bool = True
    enable_opentelemetry: bool | None = None
    opentelemetry_trust_incoming_span: bool | None = None
    opentelemetry_operation_name: str = ""
    global_auth: bool = True
    load_balance: str = ""
    upstream_hash_by: str = ""
    upstream_hash_by_subset: bool = False
    upstream_hash_by_subset_size: int = 3
    affinity: str = ""
    affinity_mode: str = "balanced"
    affinity_canary_behavior: str = "sticky"
    session_cookie_name: str = "INGRESSCOOKIE"
    session_cookie_path: str = ""
    session_cookie_domain: str = ""
    session_cookie_expires: int | None = None
    session_cookie_max_age: int | None = None
    session_cookie_samesite: str = ""
    session_cookie_conditional_samesite_none: bool = False
    session_cookie_secure: bool = False
    session_cookie_change_on_failure: bool = False
    canary: bool = False
    canary_weight: int = 0
    canary_weight_total: int = 100
    canary_by_header: str = ""
    canary_by_header_value: str = ""
    canary_by_header_pattern: str = ""
    canary_by_cookie: str = ""
    denied: bool = False
    host_denied: bool = False
    clients_denied: bool = False


NOTHING_SET: Final = AnnotationSettings()

_OTHERWISE_CALLED: Final = {"enable-access-log": "access_log", "enable-global-auth": "global_auth"}
"""Annotations whose values have a name of their own."""


def field_of(annotation: str) -> str:
    """The name of the value of an annotation (its name without the prefix)."""
    return _OTHERWISE_CALLED.get(annotation) or annotation.replace("-", "_")
