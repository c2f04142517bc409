"""Settings: what the ConfigMap and the flags say for every host, as one resource of a snapshot.

Owns their names and defaults, which are those of ingress-nginx. ``proto.resources`` has it among the other resources,
and is where it is imported from.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_TEXTS: Final = (
    "application/atom+xml",
    "application/javascript",
    "application/x-javascript",
    "application/json",
    "application/rss+xml",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "application/x-web-app-manifest+json",
    "application/xhtml+xml",
    "application/xml",
    "font/opentype",
    "image/svg+xml",
    "image/x-icon",
    "text/css",
    "text/javascript",
    "text/plain",
    "text/x-component",
)
"""Types of content that grow smaller when they are packed."""


class Settings(Struct, frozen=True, omit_defaults=True):
    """What the ConfigMap and the flags say for every host. Times in seconds; defaults are those of ingress-nginx.

    ``default_upstream`` names the Upstream of the global default backend (empty: the built-in 404);
    ``default_certificate`` the Certificate for hosts without their own (empty: the edge's self-signed one).
    ``health_path``: what is answered 200 on hosts that nobody declares.
    ``http2_in_clear``: HTTP/2 is spoken without TLS too, to clients that begin with it (somebody calls by gRPC).
    ``ssl_dh_param`` names a Secret (empty: none), ``sealed_dh_param`` is its ``dhparam.pem``, sealed for its place.
    """

    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    http_redirect_code: int = 308
    no_tls_redirect_locations: tuple[str, ...] = ("/.well-known/acme-challenge",)
    hsts: bool = True
    hsts_max_age: int = 31536000
    hsts_include_subdomains: bool = True
    hsts_preload: bool = False
    proxy_connect_timeout: float = 5.0
    proxy_read_timeout: float = 60.0
    proxy_send_timeout: float = 60.0
    proxy_body_size: int = 1024 * 1024
    proxy_request_buffering: bool = True
    client_body_buffer_size: int = 8 * 1024
    client_body_timeout: float = 60.0
    client_header_timeout: float = 60.0
    large_client_header_buffers: tuple[int, int] = (4, 8 * 1024)
    proxy_buffering: bool = False
    proxy_buffer_size: int = 4 * 1024
    proxy_buffers_number: int = 4
    proxy_max_temp_file_size: int = 1024 * 1024 * 1024
    proxy_next_upstream: tuple[str, ...] = ("error", "timeout")
    proxy_next_upstream_tries: int = 3
    proxy_next_upstream_timeout: float = 0.0
    retry_non_idempotent: bool = False
    max_worker_connections: int = 16384
    worker_shutdown_timeout: float | None = None
    use_proxy_protocol: bool = False
    proxy_protocol_header_timeout: float = 5.0
    enable_real_ip: bool = False
    use_forwarded_headers: bool = False
    compute_full_forwarded_for: bool = False
    forwarded_for_header: str = "X-Forwarded-For"
    forwarded_host_header: str = "X-Forwarded-Host"
    ignore_invalid_headers: bool = True
    enable_underscores_in_headers: bool = False
    allow_backend_server_header: bool = False
    proxy_real_ip_cidr: tuple[str, ...] = ("0.0.0.0/0",)
    bind_address: tuple[str, ...] = ()
    bind_address_ipv4: tuple[str, ...] = ()
    bind_address_ipv6: tuple[str, ...] = ()
    disable_ipv6: bool = False
    disable_ipv6_dns: bool = False
    use_http2: bool = True
    http2_max_concurrent_streams: int = 128
    http2_in_clear: bool = False
    keep_alive: float = 75.0
    keep_alive_requests: int = 1000
    upstream_keepalive_connections: int = 320
    upstream_keepalive_timeout: float = 60.0
    upstream_keepalive_time: float = 3600.0
    upstream_keepalive_requests: int = 10000
    server_tokens: bool = False
    generate_request_id: bool = True
    disable_access_log: bool = False
    disable_http_access_log: bool = False
    enable_access_log_for_default_backend: bool = False
    access_log_path: str = "/var/log/nginx/access.log"
    http_access_log_path: str = ""
    skip_access_log_urls: tuple[str, ...] = ()
    enable_syslog: bool = False
    syslog_host: str = ""
    syslog_port: int = 514
    log_format_escape_json: bool = False
    log_format_escape_none: bool = False
    log_format_upstream: str = (
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_length $request_time [$proxy_upstream_name] '
        "[$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length "
        "$upstream_response_time $upstream_status $req_id"
    )
    enable_opentelemetry: bool = False
    opentelemetry_operation_name: str = ""
    opentelemetry_trust_incoming_span: bool = True
    otlp_collector_host: str = ""
    otlp_collector_port: int = 4317
    otel_service_name: str = "nginx"
    otel_sampler: str = "AlwaysOn"
    otel_sampler_ratio: float = 0.01
    otel_sampler_parent_based: bool = True
    otel_max_queuesize: int = 2048
    otel_schedule_delay_millis: int = 5000
    otel_max_export_batch_size: int = 512
    ssl_protocols: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    ssl_ciphers: str = (
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
        "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
        "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
    )
    ssl_ecdh_curve: str = "auto"
    ssl_dh_param: str = ""
    sealed_dh_param: bytes = b""
    ssl_session_cache: bool = True
    ssl_session_cache_size: int = 10 * 1024 * 1024
    ssl_session_tickets: bool = False
    ssl_session_timeout: float = 600.0
    ssl_reject_handshake: bool = False
    relative_redirects: bool = False
    use_port_in_redirects: bool = False
    preserve_trailing_slash: bool = False
    custom_http_errors: tuple[int, ...] = ()
    disable_proxy_intercept_errors: bool = False
    proxy_add_original_uri_header: bool = False
    load_balance: str = "round_robin"
    add_headers: tuple[tuple[str, str], ...] = ()
    hide_headers: tuple[str, ...] = ()
    proxy_set_headers: tuple[tuple[str, str], ...] = ()
    proxy_redirect_from: str = "off"
    proxy_redirect_to: str = "off"
    proxy_cookie_domain: tuple[str, ...] = ()
    proxy_cookie_path: tuple[str, ...] = ()
    proxy_http_version: str = "1.1"
    limit_rate: int = 0
    limit_rate_after: int = 0
    enable_brotli: bool = False
    brotli_level: int = 4
    brotli_min_length: int = 20
    brotli_types: tuple[str, ...] = ("application/xml+rss", *_TEXTS)
    use_gzip: bool = False
    gzip_level: int = 1
    gzip_min_length: int = 256
    gzip_types: tuple[str, ...] = _TEXTS
    gzip_disable: str = ""
    whitelist_source_range: tuple[str, ...] = ()
    denylist_source_range: tuple[str, ...] = ()
    block_cidrs: tuple[str, ...] = ()
    block_user_agents: tuple[str, ...] = ()
    block_referers: tuple[str, ...] = ()
    limit_req_status_code: int = 503
    limit_conn_status_code: int = 503
    proxy_stream_timeout: float = 600.0
    proxy_stream_next_upstream: bool = True
    proxy_stream_next_upstream_tries: int = 3
    proxy_stream_next_upstream_timeout: float = 600.0
    proxy_stream_responses: int = 1
    disable_stream_access_log: bool = False
    stream_access_log_path: str = ""
    log_format_stream: str = "[$remote_addr] [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"
    health_path: str = "/healthz"
    default_upstream: str = ""
    default_certificate: str = ""
