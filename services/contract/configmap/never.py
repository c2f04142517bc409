"""Keys that Limen will not honour: raw configuration text, modules it has not, and the inside of nginx."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

REFUSED: Final = (
    Key(name="enable-modsecurity", type="bool", default="false", state="refused"),
    Key(name="enable-owasp-modsecurity-crs", type="bool", default="false", state="refused"),
    Key(name="global-auth-snippet", type="snippet", state="refused"),
    Key(name="http-snippet", type="snippet", state="refused"),
    Key(name="location-snippet", type="snippet", state="refused"),
    Key(name="main-snippet", type="snippet", state="refused"),
    Key(name="modsecurity-snippet", type="snippet", state="refused"),
    Key(name="server-snippet", type="snippet", state="refused"),
    Key(name="stream-snippet", type="snippet", state="refused"),
    Key(name="use-geoip", type="bool", default="false", state="refused"),
    Key(name="use-geoip2", type="bool", default="false", state="refused"),
)
"""Raw nginx configuration and modules that Limen does not have: reported as errors."""

WITHOUT_EFFECT: Final = (
    Key(
        name="client-header-buffer-size",
        type="size",
        default="1k",
        state="without-effect",
        doc="Heads may be as large as `large-client-header-buffers` says, whatever they begin in.",
    ),
    Key(
        name="proxy-busy-buffers-size",
        type="size",
        state="without-effect",
        doc="What waits for a client is sent as soon as it takes it.",
    ),
    Key(name="debug-connections", type="list", state="without-effect"),
    Key(name="disable-ipv6-dns", type="bool", default="false", state="without-effect"),
    Key(name="enable-aio-write", type="bool", default="true", state="without-effect"),
    Key(name="enable-multi-accept", type="bool", default="true", state="without-effect"),
    Key(name="enable-serial-reloads", type="bool", default="false", state="without-effect"),
    Key(
        name="access-log-params",
        type="string",
        state="without-effect",
        doc="Lines are always buffered, at most a second and 32 KB.",
    ),
    Key(name="error-log-level", type="string", default="notice", state="without-effect"),
    Key(name="error-log-path", type="string", default="/var/log/nginx/error.log", state="without-effect"),
    Key(name="geoip2-autoreload-in-minutes", type="int", default="0", state="without-effect"),
    Key(
        name="http2-max-field-size",
        type="size",
        state="without-effect",
        doc="nginx itself has dropped it: a head of HTTP/2 may have 32k.",
    ),
    Key(
        name="http2-max-header-size",
        type="size",
        state="without-effect",
        doc="nginx itself has dropped it: a head of HTTP/2 may have 32k.",
    ),
    Key(
        name="http2-max-requests",
        type="int",
        default="0",
        state="without-effect",
        doc="nginx itself has dropped it: `keep-alive-requests` says how many.",
    ),
    Key(name="jaeger-baggage-header", type="string", default="jaeger-baggage", state="without-effect"),
    Key(name="jaeger-collector-host", type="string", state="without-effect"),
    Key(name="jaeger-collector-port", type="int", default="6831", state="without-effect"),
    Key(name="jaeger-debug-header", type="string", default="uber-debug-id", state="without-effect"),
    Key(name="jaeger-endpoint", type="string", state="without-effect"),
    Key(name="jaeger-propagation-format", type="string", default="jaeger", state="without-effect"),
    Key(name="jaeger-sampler-host", type="string", default="http://127.0.0.1", state="without-effect"),
    Key(name="jaeger-sampler-param", type="string", default="1", state="without-effect"),
    Key(name="jaeger-sampler-port", type="int", default="5778", state="without-effect"),
    Key(name="jaeger-sampler-type", type="string", default="const", state="without-effect"),
    Key(name="jaeger-service-name", type="string", default="nginx", state="without-effect"),
    Key(name="jaeger-trace-baggage-header-prefix", type="string", default="uberctx-", state="without-effect"),
    Key(name="jaeger-trace-context-header-name", type="string", default="uber-trace-id", state="without-effect"),
    Key(name="limit-conn-zone-variable", type="string", default="$binary_remote_addr", state="without-effect"),
    Key(name="lua-shared-dicts", type="string", state="without-effect"),
    Key(name="map-hash-bucket-size", type="int", default="64", state="without-effect"),
    Key(name="max-worker-open-files", type="int", default="0", state="without-effect"),
    Key(name="nginx-status-ipv4-whitelist", type="list", default="127.0.0.1", state="without-effect"),
    Key(name="nginx-status-ipv6-whitelist", type="list", default="::1", state="without-effect"),
    Key(name="proxy-headers-hash-bucket-size", type="int", default="64", state="without-effect"),
    Key(name="proxy-headers-hash-max-size", type="int", default="512", state="without-effect"),
    Key(name="reuse-port", type="bool", default="true", state="without-effect"),
    Key(name="server-name-hash-bucket-size", type="int", state="without-effect"),
    Key(name="server-name-hash-max-size", type="int", default="1024", state="without-effect"),
    Key(name="ssl-buffer-size", type="size", default="4k", state="without-effect"),
    Key(
        name="upstream-hash-by",
        type="string",
        state="without-effect",
        doc="ingress-nginx looks at the annotation of this name alone.",
    ),
    Key(
        name="upstream-hash-by-subset",
        type="bool",
        default="false",
        state="without-effect",
        doc="ingress-nginx looks at the annotation of this name alone.",
    ),
    Key(
        name="upstream-hash-by-subset-size",
        type="int",
        default="3",
        state="without-effect",
        doc="ingress-nginx looks at the annotation of this name alone.",
    ),
    Key(name="variables-hash-bucket-size", type="int", default="256", state="without-effect"),
    Key(name="variables-hash-max-size", type="int", default="2048", state="without-effect"),
    Key(name="worker-cpu-affinity", type="string", state="without-effect"),
    Key(name="worker-processes", type="string", state="without-effect"),
)
"""Tuning of nginx processes and of tracers that ingress-nginx itself has removed: reported as notices."""
