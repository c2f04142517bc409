"""Keys that ingress-nginx knows and Limen does not honour yet."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

PENDING: Final = (
    Key(name="allow-backend-server-header", type="bool", default="false"),
    Key(name="allow-snippet-annotations", type="bool", default="false"),
    Key(name="bind-address", type="list"),
    Key(name="bind-address-ipv4", type="list"),
    Key(name="bind-address-ipv6", type="list"),
    Key(name="brotli-level", type="int", default="4"),
    Key(name="brotli-min-length", type="int", default="20"),
    Key(
        name="brotli-types",
        type="string",
        default=(
            "application/xml+rss application/atom+xml application/javascript application/x-javascript "
            "application/json application/rss+xml application/vnd.ms-fontobject application/x-font-ttf "
            "application/x-web-app-manifest+json application/xhtml+xml application/xml font/opentype "
            "image/svg+xml image/x-icon text/css text/javascript text/plain text/x-component"
        ),
    ),
    Key(name="default-type", type="string", default="text/html"),
    Key(name="disable-ipv6", type="bool", default="false"),
    Key(name="disable-stream-access-log", type="bool", default="false"),
    Key(name="enable-auth-access-log", type="bool", default="false"),
    Key(name="enable-brotli", type="bool", default="false"),
    Key(name="enable-ocsp", type="bool", default="false"),
    Key(name="enable-opentelemetry", type="bool", default="false"),
    Key(name="enable-underscores-in-headers", type="bool", default="false"),
    Key(name="forwarded-for-proxy-protocol-header", type="string", default="X-Forwarded-For-Proxy-Protocol"),
    Key(name="forwarded-host-header", type="string", default="X-Forwarded-Host"),
    Key(name="grpc-buffer-size-kb", type="int", default="0"),
    Key(name="ignore-invalid-headers", type="bool", default="true"),
    Key(name="limit-rate", type="int", default="0"),
    Key(name="limit-rate-after", type="int", default="0"),
    Key(
        name="log-format-stream",
        type="string",
        default="[$remote_addr] [$time_local] $protocol $status $bytes_sent $bytes_received $session_time",
    ),
    Key(name="opentelemetry-config", type="string", default="/etc/ingress-controller/telemetry/opentelemetry.toml"),
    Key(name="opentelemetry-operation-name", type="string"),
    Key(name="opentelemetry-trust-incoming-span", type="bool", default="true"),
    Key(name="otel-max-export-batch-size", type="int", default="512"),
    Key(name="otel-max-queuesize", type="int", default="2048"),
    Key(name="otel-sampler", type="string", default="AlwaysOn"),
    Key(name="otel-sampler-parent-based", type="bool", default="true"),
    Key(name="otel-sampler-ratio", type="float", default="0.01"),
    Key(name="otel-schedule-delay-millis", type="int", default="5000"),
    Key(name="otel-service-name", type="string", default="nginx"),
    Key(name="otlp-collector-host", type="string"),
    Key(name="otlp-collector-port", type="int", default="4317"),
    Key(name="proxy-stream-next-upstream", type="bool", default="true"),
    Key(name="proxy-stream-next-upstream-timeout", type="duration", default="600s"),
    Key(name="proxy-stream-next-upstream-tries", type="int", default="3"),
    Key(name="proxy-stream-responses", type="int", default="1"),
    Key(name="proxy-stream-timeout", type="duration", default="600s"),
    Key(name="ssl-early-data", type="bool", default="false"),
    Key(name="ssl-session-ticket-key", type="string"),
    Key(name="stream-access-log-path", type="string"),
)
