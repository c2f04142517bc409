"""Keys that Limen honours, and those that guard access and so deny while it does not."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key

HONOURED: Final = (
    Key(
        name="annotation-value-word-blocklist",
        type="list",
        state="honoured",
        doc="Words that no value of an annotation may hold, with commas between.",
    ),
    Key(
        name="annotations-risk-level",
        type="string",
        default="High",
        state="honoured",
        doc="The highest risk of an annotation that is allowed: Low, Medium, High or Critical.",
    ),
    Key(
        name="compute-full-forwarded-for",
        type="bool",
        default="false",
        state="honoured",
        doc="The client address is appended to X-Forwarded-For instead of replacing it.",
    ),
    Key(
        name="force-ssl-redirect",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests by http are sent to https even where the host has no TLS of its own.",
    ),
    Key(
        name="forwarded-for-header",
        type="string",
        default="X-Forwarded-For",
        state="honoured",
        doc="The header that the client address is read from.",
    ),
    Key(
        name="hsts",
        type="bool",
        default="true",
        state="honoured",
        doc="Responses by https carry Strict-Transport-Security.",
    ),
    Key(name="hsts-include-subdomains", type="bool", default="true", state="honoured", doc="It has includeSubDomains."),
    Key(name="hsts-max-age", type="int", default="31536000", state="honoured", doc="Its max-age, in seconds."),
    Key(name="hsts-preload", type="bool", default="false", state="honoured", doc="It has preload."),
    Key(
        name="http-redirect-code",
        type="int",
        default="308",
        choices=("301", "302", "307", "308"),
        state="honoured",
        doc="The status of redirects to https.",
    ),
    Key(
        name="http2-max-concurrent-streams",
        type="int",
        default="128",
        state="honoured",
        doc="Requests that a client may have under way at once on one connection of HTTP/2.",
    ),
    Key(
        name="keep-alive",
        type="int",
        default="75",
        state="honoured",
        doc="Seconds that a client connection may be idle; 0 closes it after each response.",
    ),
    Key(
        name="keep-alive-requests",
        type="int",
        default="1000",
        state="honoured",
        doc="Requests on one client connection.",
    ),
    Key(
        name="no-auth-locations",
        type="list",
        default="/.well-known/acme-challenge",
        state="honoured",
        doc="Paths that begin so are not guarded by `global-auth-url`.",
    ),
    Key(
        name="no-tls-redirect-locations",
        type="list",
        default="/.well-known/acme-challenge",
        state="honoured",
        doc="Paths that begin so are not redirected to https.",
    ),
    Key(
        name="proxy-connect-timeout",
        type="int",
        default="5",
        state="honoured",
        doc="Seconds that connecting to an endpoint may take.",
    ),
    Key(
        name="proxy-read-timeout",
        type="int",
        default="60",
        state="honoured",
        doc="Seconds between two reads of a response.",
    ),
    Key(
        name="proxy-real-ip-cidr",
        type="list",
        default="0.0.0.0/0",
        state="honoured",
        doc="Proxies whose word on the client address is believed.",
    ),
    Key(
        name="proxy-send-timeout",
        type="int",
        default="60",
        state="honoured",
        doc="Seconds between two writes of a request.",
    ),
    Key(name="server-tokens", type="bool", default="false", state="honoured", doc="Responses name the server."),
    Key(
        name="ssl-redirect",
        type="bool",
        default="true",
        state="honoured",
        doc="Requests by http are sent to https where the host has TLS.",
    ),
    Key(
        name="strict-validate-path-type",
        type="bool",
        default="true",
        state="honoured",
        doc="Report paths of type Exact or Prefix with unusual characters.",
    ),
    Key(
        name="upstream-keepalive-connections",
        type="int",
        default="320",
        state="honoured",
        doc="Idle connections kept to the endpoints; 0: none.",
    ),
    Key(
        name="upstream-keepalive-requests",
        type="int",
        default="10000",
        state="honoured",
        doc="Requests on one of them.",
    ),
    Key(
        name="upstream-keepalive-time",
        type="duration",
        default="1h",
        state="honoured",
        doc="How long one may be used at all.",
    ),
    Key(
        name="upstream-keepalive-timeout",
        type="int",
        default="60",
        state="honoured",
        doc="Seconds that one may be idle.",
    ),
    Key(
        name="use-forwarded-headers",
        type="bool",
        default="false",
        state="honoured",
        doc="X-Forwarded-* of clients are believed.",
    ),
    Key(
        name="use-http2",
        type="bool",
        default="true",
        state="honoured",
        doc="HTTP/2 is offered to clients that come over TLS.",
    ),
)

GUARDED: Final = (
    Key(name="block-cidrs", type="list", state="guarded", doc="These client addresses are answered 403."),
    Key(name="block-referers", type="list", state="guarded", doc="These Referers are answered 403."),
    Key(name="block-user-agents", type="list", state="guarded", doc="These User-Agents are answered 403."),
    Key(
        name="denylist-source-range",
        type="list",
        state="guarded",
        doc="These client addresses may not pass, on any route.",
    ),
    Key(
        name="global-auth-url",
        type="string",
        state="guarded",
        doc="Ask this address about every request of every Ingress.",
    ),
    Key(
        name="whitelist-source-range",
        type="list",
        state="guarded",
        doc="Only these client addresses may pass, on every route.",
    ),
)
"""Ignoring one of these would open a door: the routes it would guard answer 503."""
