"""Which variables there are: those of nginx that ingress-nginx' users write, and those that ingress-nginx sets.

Owns names and from when on each has a value. Must not know how one is worked out. Source: nginx' alphabetical index of
variables, and what ingress-nginx' own template of nginx.conf sets.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Since = Literal["request", "response", "never"]


class Known(Struct, frozen=True, gc=False):
    """A variable, or with ``family`` all whose names begin so.

    ``since``: from when on it has a value: the head of the request, or only the end of the response; ``never``: nginx
    knows it, here it is always empty, for the reason in ``doc``.
    """

    name: str
    doc: str
    since: Since = "request"
    family: bool = False


_REQUEST: Final = {
    "args": "the query, without `?`",
    "best_http_host": "the Host that the endpoint is told",
    "content_length": "the request's Content-Length",
    "content_type": "the request's Content-Type",
    "escaped_request_uri": "the target as the client sent it, escaped to stand in a query",
    "host": "the host, lower case, without port",
    "hostname": "the name of the machine",
    "https": "`on` over TLS",
    "ingress_name": "the Ingress",
    "is_args": "`?` if there is a query",
    "location_path": "the path as the Ingress spells it",
    "namespace": "the Ingress' namespace",
    "nginx_version": "the version of Limen",
    "opentelemetry_context_traceparent": "the traceparent that goes on: of the request's span, else as it came",
    "opentelemetry_span_id": "the id of the request's span, where it is traced",
    "opentelemetry_trace_id": "the trace id in the traceparent",
    "pass_access_scheme": "the scheme that the endpoint is told",
    "pass_port": "the port that the endpoint is told",
    "pass_server_port": "the port of the listener",
    "pid": "the worker's process",
    "proxy_add_x_forwarded_for": "X-Forwarded-For with the client's address behind",
    "proxy_alternative_upstream_name": "the canary's Upstream, if it served",
    "proxy_host": "as `$proxy_upstream_name`",
    "proxy_protocol_addr": "the client's address if the PROXY protocol told it",
    "proxy_protocol_port": "the client's port if the PROXY protocol told it",
    "proxy_upstream_name": "`namespace-service-port`",
    "query_string": "the query, without `?`",
    "realip_remote_addr": "the address that the connection came from",
    "realip_remote_port": "the port that the connection came from",
    "remote_addr": "the client's address",
    "remote_port": "the client's port",
    "remote_user": "the user of Basic authentication",
    "req_id": "X-Request-ID as the client sent it, or made here",
    "request": "the whole request line",
    "request_id": "X-Request-ID as the client sent it, or made here",
    "request_method": "the method",
    "request_uri": "the target as the client sent it",
    "scheme": "`http` or `https`",
    "server_addr": "the address of the listener",
    "server_name": "the host as an Ingress declared it; `_` if none did",
    "server_port": "the port of the listener",
    "server_protocol": "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`",
    "service_name": "the Service",
    "service_port": "its port as the Ingress has it",
    "ssl_cipher": "the cipher",
    "ssl_client_escaped_cert": "the certificate that the client showed, as PEM, percent-encoded",
    "ssl_client_fingerprint": "its SHA-1 fingerprint",
    "ssl_client_i_dn": "its issuer",
    "ssl_client_s_dn": "its subject",
    "ssl_client_serial": "its serial number",
    "ssl_client_verify": "`SUCCESS`, `FAILED:` with the reason, or `NONE`",
    "ssl_protocol": "`TLSv1.2` or `TLSv1.3`",
    "ssl_server_name": "the name that the client asked for (SNI)",
    "ssl_session_reused": "`r` for a resumed session, else `.`",
    "subdomain": "what stands for the `*` of a host like `*.example.com`",
    "uri": "the path, decoded",
    "document_uri": "the path, decoded",
}
_RESPONSE: Final = {
    "body_bytes_sent": "bytes of the response without its head",
    "bytes_sent": "bytes of the response",
    "msec": "the time, in seconds since 1970 with milliseconds",
    "request_length": "bytes of the request, head and body",
    "request_time": "seconds from the request's head to the last byte of the response",
    "status": "the status",
    "time_iso8601": "the time, as 2026-01-02T03:04:05+00:00",
    "time_local": "the time, as 02/Jan/2026:03:04:05 +0000",
    "upstream_addr": "each endpoint that was tried",
    "upstream_bytes_received": "bytes of each endpoint's response",
    "upstream_connect_time": "seconds to connect to each",
    "upstream_header_time": "seconds until each response's head",
    "upstream_response_length": "length of each response's body",
    "upstream_response_time": "seconds until each response's end",
    "upstream_status": "status of each response",
}
_NEVER: Final = {
    "ancient_browser": "no module of that kind",
    "balancer_ewma_score": "inside nginx",
    "binary_remote_addr": "not text",
    "connection": "connections have no numbers across workers",
    "connection_requests": "not kept",
    "connection_time": "not kept",
    "connection_upgrade": "inside nginx",
    "document_root": "no files are served",
    "geoip2_city": "GeoIP is not offered",
    "geoip2_city_country_code": "GeoIP is not offered",
    "geoip2_city_country_name": "GeoIP is not offered",
    "geoip2_country_code": "GeoIP is not offered",
    "geoip2_country_name": "GeoIP is not offered",
    "geoip2_latitude": "GeoIP is not offered",
    "geoip2_longitude": "GeoIP is not offered",
    "geoip2_postal_code": "GeoIP is not offered",
    "geoip2_region_name": "GeoIP is not offered",
    "geoip_city": "GeoIP is not offered",
    "geoip_city_country_code": "GeoIP is not offered",
    "geoip_country_code": "GeoIP is not offered",
    "geoip_country_name": "GeoIP is not offered",
    "gzip_ratio": "responses are not compressed",
    "modern_browser": "no module of that kind",
    "pipe": "not kept",
    "realpath_root": "no files are served",
    "request_body": "bodies are not kept",
    "request_completion": "not kept",
    "request_filename": "no files are served",
    "secure_link": "no module of that kind",
    "tcpinfo_rtt": "not asked for",
    "tcpinfo_rttvar": "not asked for",
    "tcpinfo_snd_cwnd": "not asked for",
    "tcpinfo_rcv_space": "not asked for",
    "upstream_bytes_sent": "not kept",
    "upstream_cache_status": "there is no cache",
    "upstream_queue_time": "there is no queue",
    "ssl_curve": "not kept for log lines",
    "ssl_curves": "not kept for log lines",
    "ssl_ciphers": "not kept for log lines",
    "ssl_early_data": "early data is never taken",
    "ssl_session_id": "not kept for log lines",
}

FAMILIES: Final = (
    Known("http_", "a header of the request", family=True),
    Known("cookie_", "a cookie of the request", family=True),
    Known("arg_", "an argument of the query", family=True),
    Known("sent_http_", "a header of the response, as the client got it", "response", family=True),
    Known("upstream_http_", "a header of the response, as the endpoint sent it", "response", family=True),
    Known("upstream_cookie_", "a cookie that the endpoint set", "response", family=True),
    Known("sent_trailer_", "trailers are not kept", "never", family=True),
    Known("upstream_trailer_", "trailers are not kept", "never", family=True),
    Known("geoip2_", "GeoIP is not offered", "never", family=True),
    Known("jwt_", "no module of that kind", "never", family=True),
)
"""Variables with a part of their own; dashes of the name are underscores."""

VARIABLES: Final[dict[str, Known]] = {
    **{name: Known(name, doc) for name, doc in _REQUEST.items()},
    **{name: Known(name, doc, "response") for name, doc in _RESPONSE.items()},
    **{name: Known(name, doc, "never") for name, doc in _NEVER.items()},
}
"""Every variable that is no family's, by name."""


def known(name: str) -> Known | None:
    """What is known of a variable; None: nobody has heard of it."""
    found = VARIABLES.get(name)
    if found is None:
        found = next((family for family in FAMILIES if name.startswith(family.name) and name != family.name), None)
    return found
