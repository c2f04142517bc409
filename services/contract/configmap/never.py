"""Keys that Limen will not honour: raw configuration text, modules it has not, and the inside of nginx.

Each says in ``doc`` why, and what does the same here, if anything does.
"""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

_SNIPPET: Final = (
    "Raw nginx configuration is never taken over, for it can do anything: say it with ConfigMap keys and annotations."
)
_GEOIP: Final = (
    "There is no GeoIP here: its variables stay empty, and nobody is kept out by country. Put it in front of Limen."
)

REFUSED: Final = (
    *(
        Key(name=name, type="snippet", state="refused", doc=_SNIPPET)
        for name in (
            "global-auth-snippet",
            "http-snippet",
            "location-snippet",
            "main-snippet",
            "server-snippet",
            "stream-snippet",
        )
    ),
    Key(name="use-geoip", type="bool", default="false", state="refused", doc=_GEOIP),
    Key(name="use-geoip2", type="bool", default="false", state="refused", doc=_GEOIP),
)
"""Raw nginx configuration and modules that Limen does not have: reported as errors."""

_HASH: Final = "The tables of hosts and names here grow by themselves."
_JAEGER: Final = "Removed from ingress-nginx; `enable-opentelemetry` took its place."
_ANNOTATION_ONLY: Final = "ingress-nginx looks at the annotation of this name alone."
_DROPPED: Final = "nginx itself has dropped it: a head of HTTP/2 may have 32k."


def _nothing(name: str, doc: str, default: str = "") -> Key:
    return Key(name=name, type="string", default=default, state="without-effect", doc=doc)


WITHOUT_EFFECT: Final = (
    Key(
        name="default-type",
        type="string",
        default="text/html",
        state="without-effect",
        doc="Pages of the edge say what they are, and Services say it of theirs.",
    ),
    Key(
        name="enable-auth-access-log",
        type="bool",
        default="false",
        state="without-effect",
        doc="A request is one line in the access log, whoever was asked about it; that a server does not say who may "
        "pass is in the edge's own log.",
    ),
    Key(
        name="forwarded-for-proxy-protocol-header",
        type="string",
        default="X-Forwarded-For-Proxy-Protocol",
        state="without-effect",
        doc="The name that a header has on its way within nginx.",
    ),
    Key(
        name="grpc-buffer-size-kb",
        type="int",
        default="0",
        state="without-effect",
        doc="Heads of responses of gRPC may have 32k.",
    ),
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
    Key(
        name="debug-connections",
        type="list",
        state="without-effect",
        doc="There is no debug log of single connections; `limen explain` says what becomes of a request.",
    ),
    Key(
        name="enable-aio-write",
        type="bool",
        default="true",
        state="without-effect",
        doc="Nobody waits for a disk here: large bodies go to files beside the requests.",
    ),
    Key(
        name="enable-multi-accept",
        type="bool",
        default="true",
        state="without-effect",
        doc="Workers take all connections that wait, in any case.",
    ),
    Key(
        name="enable-serial-reloads",
        type="bool",
        default="false",
        state="without-effect",
        doc="There are no reloads: a change is a swap that cuts nothing.",
    ),
    _nothing("access-log-params", "Lines are always buffered, at most a second and 128 KB."),
    _nothing("error-log-level", "The edge's own messages have one level, on standard error.", "notice"),
    _nothing("error-log-path", "The edge's own messages go to standard error.", "/var/log/nginx/error.log"),
    _nothing("geoip2-autoreload-in-minutes", "There is no GeoIP here.", "0"),
    Key(name="http2-max-field-size", type="size", state="without-effect", doc=_DROPPED),
    Key(name="http2-max-header-size", type="size", state="without-effect", doc=_DROPPED),
    Key(
        name="http2-max-requests",
        type="int",
        default="0",
        state="without-effect",
        doc="nginx itself has dropped it: `keep-alive-requests` says how many.",
    ),
    _nothing("jaeger-baggage-header", _JAEGER, "jaeger-baggage"),
    _nothing("jaeger-collector-host", _JAEGER),
    _nothing("jaeger-collector-port", _JAEGER, "6831"),
    _nothing("jaeger-debug-header", _JAEGER, "uber-debug-id"),
    _nothing("jaeger-endpoint", _JAEGER),
    _nothing("jaeger-propagation-format", _JAEGER, "jaeger"),
    _nothing("jaeger-sampler-host", _JAEGER, "http://127.0.0.1"),
    _nothing("jaeger-sampler-param", _JAEGER, "1"),
    _nothing("jaeger-sampler-port", _JAEGER, "5778"),
    _nothing("jaeger-sampler-type", _JAEGER, "const"),
    _nothing("jaeger-service-name", _JAEGER, "nginx"),
    _nothing("jaeger-trace-baggage-header-prefix", _JAEGER, "uberctx-"),
    _nothing("jaeger-trace-context-header-name", _JAEGER, "uber-trace-id"),
    _nothing(
        "limit-conn-zone-variable", "`limit-connections` counts by the client's address here.", "$binary_remote_addr"
    ),
    _nothing("lua-shared-dicts", "There is no Lua here, and nothing to share."),
    _nothing("map-hash-bucket-size", _HASH, "64"),
    _nothing("max-worker-open-files", "Each worker takes as many descriptors as the system lets it.", "0"),
    _nothing(
        "nginx-status-ipv4-whitelist",
        "There is no status page of nginx; `/metrics` and `/status` are at `--admin`.",
        "127.0.0.1",
    ),
    _nothing(
        "nginx-status-ipv6-whitelist",
        "There is no status page of nginx; `/metrics` and `/status` are at `--admin`.",
        "::1",
    ),
    _nothing("proxy-headers-hash-bucket-size", _HASH, "64"),
    _nothing("proxy-headers-hash-max-size", _HASH, "512"),
    Key(
        name="reuse-port",
        type="bool",
        default="true",
        state="without-effect",
        doc="Each worker has sockets of its own, in any case.",
    ),
    _nothing("server-name-hash-bucket-size", _HASH),
    _nothing("server-name-hash-max-size", _HASH, "1024"),
    Key(
        name="ssl-buffer-size",
        type="size",
        default="4k",
        state="without-effect",
        doc="What there is goes out at once, in records as large as that makes them.",
    ),
    Key(
        name="enable-ocsp",
        type="bool",
        default="false",
        state="without-effect",
        doc="Answers of OCSP are not stapled: Python's `ssl` cannot. Clients ask the authority, if they want to know; "
        "certificates that demand stapling cannot be used.",
    ),
    Key(
        name="ssl-early-data",
        type="bool",
        default="false",
        state="without-effect",
        doc="Early data is never taken: Python's `ssl` cannot, and it could be replayed. Clients send it again after "
        "the handshake, by themselves.",
    ),
    Key(
        name="ssl-session-ticket-key",
        type="secret",
        state="without-effect",
        doc="Each worker makes keys of its own: Python's `ssl` cannot be given any. A session that comes to another "
        "worker begins with a whole handshake. Remove it, for it is a secret that stands in a ConfigMap.",
    ),
    _nothing("upstream-hash-by", _ANNOTATION_ONLY),
    _nothing("upstream-hash-by-subset", _ANNOTATION_ONLY, "false"),
    _nothing("upstream-hash-by-subset-size", _ANNOTATION_ONLY, "3"),
    _nothing("variables-hash-bucket-size", _HASH, "256"),
    _nothing("variables-hash-max-size", _HASH, "2048"),
    _nothing("worker-cpu-affinity", "The system's scheduler places workers."),
    _nothing("worker-processes", "`--workers` of the edge says how many."),
)
"""Tuning of nginx processes and of tracers that ingress-nginx itself has removed: reported as notices."""
