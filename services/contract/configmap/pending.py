"""Keys that ingress-nginx knows and Limen does not honour yet."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

PENDING: Final = (
    Key(name="allow-backend-server-header", type="bool", default="false"),
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
    Key(name="enable-auth-access-log", type="bool", default="false"),
    Key(name="enable-brotli", type="bool", default="false"),
    Key(name="enable-underscores-in-headers", type="bool", default="false"),
    Key(name="forwarded-for-proxy-protocol-header", type="string", default="X-Forwarded-For-Proxy-Protocol"),
    Key(name="forwarded-host-header", type="string", default="X-Forwarded-Host"),
    Key(name="grpc-buffer-size-kb", type="int", default="0"),
    Key(name="ignore-invalid-headers", type="bool", default="true"),
    Key(name="limit-rate", type="int", default="0"),
    Key(name="limit-rate-after", type="int", default="0"),
)
