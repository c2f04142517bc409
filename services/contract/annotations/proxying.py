"""Annotations about how a request reaches its Service: timeouts, buffers, protocols, balancing, canaries, tracing."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.balancing import BALANCING
from services.contract.annotations.copies import COPIES
from services.contract.annotations.entry import Annotation
from services.contract.annotations.places import parse_index, parse_operation
from services.contract.header_values import parse_reference

PROXYING: Final = (
    Annotation(
        name="proxy-connect-timeout",
        type="seconds",
        default="5",
        state="honoured",
        doc="How long connecting to an endpoint may take.",
    ),
    Annotation(
        name="proxy-read-timeout",
        type="seconds",
        default="60",
        state="honoured",
        doc="The longest pause between two reads of a response, or of a WebSocket either way.",
    ),
    Annotation(
        name="proxy-send-timeout",
        type="seconds",
        default="60",
        state="honoured",
        doc="The longest pause between two writes of a request.",
    ),
    Annotation(
        name="proxy-next-upstream",
        type="conditions",
        default="error timeout",
        risk="medium",
        state="honoured",
        doc="After which failures another endpoint is tried: `error`, `timeout`, `invalid_header`, `http_500`, "
        "`http_502`, `http_503`, `http_504`, `http_403`, `http_404`, `http_429`; `non_idempotent`: POST, LOCK and "
        "PATCH too, though they were sent; `off`: none.",
    ),
    Annotation(
        name="proxy-next-upstream-tries",
        type="count",
        default="3",
        state="honoured",
        doc="How many endpoints are tried; 0: each once.",
    ),
    Annotation(
        name="proxy-next-upstream-timeout",
        type="seconds",
        default="0",
        state="honoured",
        doc="Seconds after which no other endpoint is tried; 0: any time.",
    ),
    Annotation(
        name="backend-protocol",
        type="word",
        values=("HTTP", "HTTPS", "GRPC", "GRPCS", "AUTO_HTTP", "FCGI"),
        default="HTTP",
        state="honoured",
        doc="What endpoints speak: `HTTP`, `HTTPS`, `GRPC` and `GRPCS` (HTTP/2, in the clear and by TLS), `AUTO_HTTP` "
        "(`HTTPS` for requests that came by TLS), `FCGI` (FastCGI).",
    ),
    Annotation(
        name="service-upstream",
        type="bool",
        default="false",
        scope="upstream",
        state="honoured",
        doc="Requests go to the Service's own address instead of its endpoints, if that has one. The oldest Ingress "
        "that names the Service by a port says so for all. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="fastcgi-index",
        type="string",
        risk="medium",
        on_failure="reject",
        state="honoured",
        parse=parse_index,
        doc="With `backend-protocol: FCGI`, the file that is appended to a path that ends in `/`.",
    ),
    Annotation(
        name="fastcgi-params-configmap",
        type="string",
        risk="medium",
        on_failure="reject",
        state="honoured",
        refers_to="configmap",
        parse=parse_reference,
        doc="With `backend-protocol: FCGI`, the ConfigMap of further parameters for the script, as `name` or "
        "`namespace/name`; values may hold nginx variables and `$fastcgi_script_name`. Without a usable one, the "
        "routes answer 503.",
    ),
    Annotation(
        name="http2-push-preload",
        type="bool",
        default="false",
        state="without-effect",
        doc="Browsers no longer know server push.",
    ),
)

UPSTREAM_TLS: Final = (
    Annotation(
        name="proxy-ssl-secret",
        type="secret",
        scope="host",
        risk="medium",
        on_failure="deny",
        state="honoured",
        refers_to="secret",
        doc="As `namespace/name`, the Secret with the certificate shown to endpoints (`tls.crt`, `tls.key`) and the "
        "authority that theirs must come from (`ca.crt`). Without it no other `proxy-ssl-*` has an effect. Of a host's "
        "Ingresses, the first that has one speaks for those that have none.",
    ),
    Annotation(
        name="proxy-ssl-verify",
        type="switch",
        values=("on", "off"),
        default="off",
        scope="host",
        state="honoured",
        doc="Check that theirs comes from the authority and is for `proxy-ssl-name`.",
    ),
    Annotation(
        name="proxy-ssl-verify-depth",
        type="count",
        default="1",
        scope="host",
        state="honoured",
        doc="How many certificates may stand between theirs and the authority; 0 is 1.",
    ),
    Annotation(
        name="proxy-ssl-name",
        type="server-name",
        scope="host",
        risk="high",
        state="honoured",
        doc="The name that theirs must have; unset: `upstream_balancer`, as in ingress-nginx.",
    ),
    Annotation(
        name="proxy-ssl-server-name",
        type="switch",
        values=("on", "off"),
        default="off",
        scope="host",
        state="honoured",
        doc="Send that name as SNI.",
    ),
    Annotation(
        name="proxy-ssl-protocols",
        type="tls-versions",
        default="TLSv1.2",
        scope="host",
        state="honoured",
        doc="TLS versions to endpoints whose authority the Secret names.",
    ),
    Annotation(
        name="proxy-ssl-ciphers",
        type="ciphers",
        default="DEFAULT",
        scope="host",
        risk="medium",
        state="honoured",
        doc="Ciphers to them, as OpenSSL spells them (TLS 1.2 and before).",
    ),
    Annotation(
        name="ssl-passthrough",
        type="bool",
        default="false",
        scope="host",
        state="honoured",
        doc="TLS connections for the host are handed on, unopened, to the backend of `/`. The first Ingress of the "
        "host says it, and only with `--enable-ssl-passthrough`.",
    ),
    Annotation(
        name="ssl-ciphers",
        type="ciphers",
        scope="host",
        state="honoured",
        doc="Ciphers for clients that speak TLS 1.2, as OpenSSL spells them. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="ssl-prefer-server-ciphers",
        type="bool",
        default="true",
        scope="host",
        state="honoured",
        doc="The server's order of ciphers holds, not the client's.",
    ),
)

OBSERVING: Final = (
    Annotation(
        name="enable-access-log", type="bool", default="true", state="honoured", doc="Whether requests are logged."
    ),
    Annotation(
        name="enable-rewrite-log",
        type="bool",
        default="false",
        state="without-effect",
        doc="Rewrites are not written to an error log; `limen explain` shows what they do to a request.",
    ),
    Annotation(
        name="enable-opentelemetry",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests are traced. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="opentelemetry-trust-incoming-span",
        type="bool",
        default="true",
        state="honoured",
        doc="The client's span is the parent. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="opentelemetry-operation-name",
        type="string",
        risk="medium",
        state="honoured",
        parse=parse_operation,
        doc="The name of the span, with nginx variables. Unset: as in the ConfigMap.",
    ),
)

WITHOUT_EFFECT: Final = tuple(
    Annotation(name=name, type="string", scope="ingress", state="without-effect", doc=doc)
    for name, doc in (
        ("secure-backends", "Long gone; `backend-protocol: HTTPS` is what it meant."),
        ("session-cookie-hash", "Long gone; the cookie holds no hash that could be chosen."),
        ("enable-websockets", "WebSockets need no annotation."),
        ("websocket-services", "WebSockets need no annotation."),
        ("add-base-url", "Long gone; the application has to be told its path, by `x-forwarded-prefix` perhaps."),
        ("client-max-body-size", "Never was one; `proxy-body-size` is meant."),
        ("use-forwarded-headers", "A ConfigMap key, not an annotation."),
        ("proxy-set-headers", "A ConfigMap key, not an annotation."),
        ("global-rate-limit", "Removed from ingress-nginx; `limit-rps` and `limit-rpm` limit each client."),
        ("global-rate-limit-window", "Removed from ingress-nginx."),
        ("global-rate-limit-key", "Removed from ingress-nginx."),
        ("global-rate-limit-ignored-cidrs", "Removed from ingress-nginx."),
        ("enable-opentracing", "Removed from ingress-nginx; `enable-opentelemetry` took its place."),
        ("opentracing-trust-incoming-span", "Removed from ingress-nginx."),
        ("enable-influxdb", "Removed from ingress-nginx."),
    )
)

PASSING_ON: Final = (*PROXYING, *COPIES, *UPSTREAM_TLS, *BALANCING, *OBSERVING, *WITHOUT_EFFECT)
