"""Keys that ingress-nginx knows and Limen does not honour yet."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

PENDING: Final = (
    Key(name="allow-backend-server-header", type="bool", default="false"),
    Key(name="default-type", type="string", default="text/html"),
    Key(name="enable-auth-access-log", type="bool", default="false"),
    Key(name="enable-underscores-in-headers", type="bool", default="false"),
    Key(name="forwarded-for-proxy-protocol-header", type="string", default="X-Forwarded-For-Proxy-Protocol"),
    Key(name="forwarded-host-header", type="string", default="X-Forwarded-Host"),
    Key(name="grpc-buffer-size-kb", type="int", default="0"),
    Key(name="ignore-invalid-headers", type="bool", default="true"),
)
