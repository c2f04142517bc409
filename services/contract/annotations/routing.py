"""Annotations about matching, rewriting and redirecting."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.entry import Annotation

ROUTING: Final = (
    Annotation(
        name="rewrite-target",
        type="target",
        scope="path",
        risk="medium",
        state="honoured",
        doc="The whole path becomes this; `$1` … `$9` are the groups that the path, read as a pattern, captured. A "
        "target that begins with http:// or https:// is answered with a 302. Every path of the host is then a "
        "case-insensitive pattern.",
    ),
    Annotation(
        name="use-regex",
        type="bool",
        default="false",
        state="honoured",
        doc="Paths are patterns; this holds for every path of the host, those of other Ingresses too.",
    ),
    Annotation(
        name="app-root",
        type="path",
        scope="host",
        risk="medium",
        state="honoured",
        doc="A request for `/` is sent there with a 302. It begins with `/`.",
    ),
    Annotation(
        name="ssl-redirect",
        type="bool",
        default="true",
        state="honoured",
        doc="Requests by http are sent to https where the host has TLS. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="force-ssl-redirect",
        type="bool",
        default="false",
        risk="medium",
        state="honoured",
        doc="Requests by http are sent to https even where the host has no TLS of its own.",
    ),
    Annotation(
        name="preserve-trailing-slash",
        type="bool",
        default="false",
        risk="medium",
        doc="The redirect to https keeps a `/` at the end of the path.",
    ),
    Annotation(
        name="default-backend",
        type="service",
        state="honoured",
        refers_to="service",
        doc="The Service of the same namespace, by its first port, that serves while a path's own has no endpoints.",
    ),
    Annotation(
        name="permanent-redirect",
        type="url",
        risk="medium",
        on_failure="reject",
        doc="Every request is sent there (301).",
    ),
    Annotation(
        name="permanent-redirect-code", type="int", default="301", doc="The status of `permanent-redirect`, 300 to 308."
    ),
    Annotation(
        name="temporal-redirect",
        type="url",
        risk="medium",
        on_failure="reject",
        doc="Every request is sent there (302).",
    ),
    Annotation(
        name="temporal-redirect-code", type="int", default="302", doc="The status of `temporal-redirect`, 300 to 307."
    ),
    Annotation(
        name="from-to-www-redirect",
        type="bool",
        default="false",
        on_failure="reject",
        doc="The host with `www.` in front is redirected to the host without, or the other way round.",
    ),
    Annotation(name="relative-redirects", type="bool", default="false", doc="Redirects name the path alone."),
    Annotation(name="use-port-in-redirects", type="bool", default="false", doc="Redirects to https name the port."),
    Annotation(name="server-alias", type="list", scope="host", risk="high", doc="Further names of the host."),
    Annotation(
        name="custom-http-errors", type="list", doc="Statuses that the default backend answers instead of the Service."
    ),
    Annotation(
        name="disable-proxy-intercept-errors",
        type="bool",
        default="false",
        doc="The Service's own error pages pass through.",
    ),
    Annotation(
        name="x-forwarded-prefix",
        type="string",
        risk="medium",
        doc="The header X-Forwarded-Prefix of rewritten requests.",
    ),
    Annotation(name="upstream-vhost", type="string", doc="The Host header that the Service sees."),
)
