"""Annotations about matching, rewriting and redirecting."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.annotations.places import (
    no_temporal_redirect,
    parse_aliases,
    parse_prefix,
    parse_redirect,
    parse_statuses,
    parse_temporal_redirect,
    parse_upstream_host,
)

ROUTING: Final = (
    Annotation(
        name="rewrite-target",
        type="target",
        scope="path",
        risk="medium",
        state="honoured",
        doc="The whole path becomes this; `$1` … `$9` are the groups that the path, read as a pattern, captured; "
        "it may hold nginx variables. A target that begins with http:// or https:// is answered with a 302. Every path "
        "of the host is then a case-insensitive pattern.",
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
        state="honoured",
        doc="The redirect to https keeps a `/` at the end of the path. Unset: as in the ConfigMap.",
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
        parse=parse_redirect,
        risk="medium",
        on_failure="reject",
        state="honoured",
        doc="Every request is sent there (301). A path leads to the same host.",
    ),
    Annotation(
        name="permanent-redirect-code",
        type="int",
        default="301",
        on_failure="reject",
        state="honoured",
        doc="The status of `permanent-redirect`, 300 to 308; any other counts as 301.",
    ),
    Annotation(
        name="temporal-redirect",
        type="url",
        parse=parse_temporal_redirect,
        passed_over=no_temporal_redirect,
        risk="medium",
        on_failure="reject",
        state="honoured",
        doc="Every request is sent there (302), whatever `permanent-redirect` says.",
    ),
    Annotation(
        name="temporal-redirect-code",
        type="int",
        default="302",
        on_failure="reject",
        state="honoured",
        doc="The status of `temporal-redirect`, 300 to 307; any other counts as 302.",
    ),
    Annotation(
        name="from-to-www-redirect",
        type="bool",
        default="false",
        on_failure="reject",
        state="honoured",
        doc="The host with `www.` in front is redirected to the host without, or the other way round; not if an "
        "Ingress declares it.",
    ),
    Annotation(
        name="relative-redirects",
        type="bool",
        default="false",
        on_failure="reject",
        state="honoured",
        doc="Redirects to a path name no scheme and no host. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="use-port-in-redirects",
        type="bool",
        default="false",
        state="honoured",
        doc="Redirects name the port. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="server-alias",
        type="list",
        parse=parse_aliases,
        scope="host",
        risk="high",
        state="honoured",
        doc="Further names of the host, with commas between: `*.example.com`, `example.*` and `~` with a pattern too. "
        "The oldest Ingress of the host that has any says which; a name that an Ingress declares is none.",
    ),
    Annotation(
        name="custom-http-errors",
        type="list",
        parse=parse_statuses,
        state="honoured",
        doc="Statuses, 400 to 599, for which the default backend is asked for an answer, whether they are the "
        "Service's or of the edge itself. In place of the ConfigMap's.",
    ),
    Annotation(
        name="disable-proxy-intercept-errors",
        type="bool",
        default="false",
        state="honoured",
        doc="The Service's own errors pass, whatever `custom-http-errors` says. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="x-forwarded-prefix",
        type="string",
        parse=parse_prefix,
        risk="medium",
        state="honoured",
        doc="The header X-Forwarded-Prefix of rewritten requests; `$1` … `$9` are the groups that the path captured.",
    ),
    Annotation(
        name="upstream-vhost",
        type="string",
        parse=parse_upstream_host,
        state="honoured",
        doc="The Host header that the Service sees; may hold nginx variables.",
    ),
)
