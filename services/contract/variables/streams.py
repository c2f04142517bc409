"""Which variables the log format of TCP and UDP services may hold: those of nginx' stream modules, and ingress-nginx'.

Owns names. Must not know how one is worked out.
"""

from __future__ import annotations

from typing import Final

STREAM_VARIABLES: Final = {
    "bytes_received": "bytes that the client sent",
    "bytes_sent": "bytes that the client was sent",
    "hostname": "the name of the machine",
    "msec": "the time, in seconds since 1970 with milliseconds",
    "nginx_version": "the version of Limen",
    "pid": "the worker's process",
    "protocol": "`TCP` or `UDP`",
    "proxy_protocol_addr": "the client's address if the PROXY protocol told it",
    "proxy_protocol_port": "the client's port if the PROXY protocol told it",
    "proxy_protocol_server_addr": "the address that the client came to, if the PROXY protocol told it",
    "proxy_protocol_server_port": "the port that the client came to, if the PROXY protocol told it",
    "proxy_upstream_name": "`tcp-namespace-service-port` or `udp-…`",
    "realip_remote_addr": "the address that the connection came from",
    "realip_remote_port": "the port that the connection came from",
    "remote_addr": "the client's address",
    "remote_port": "the client's port",
    "server_addr": "the address that the connection came to",
    "server_port": "the port of the service",
    "session_time": "seconds that the connection lasted",
    "status": "200; 400: no PROXY header came; 502: no endpoint took it; 503: there are too many; 500: something else",
    "time_iso8601": "the time, as 2026-01-02T03:04:05+00:00",
    "time_local": "the time, as 02/Jan/2026:03:04:05 +0000",
    "upstream_addr": "each endpoint that was tried",
    "upstream_bytes_received": "bytes that the endpoint sent",
    "upstream_bytes_sent": "bytes that the endpoint was sent",
    "upstream_connect_time": "seconds to connect to the endpoint",
    "upstream_first_byte_time": "seconds until its first byte",
    "upstream_session_time": "seconds that the connection to it lasted",
}
