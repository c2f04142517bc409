"""Annotations that say who may pass: authentication, address lists, client certificates, limits, and raw text."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.annotations.external import EXTERNAL
from services.contract.annotations.guards import parse_auth_type, parse_networks, parse_realm, parse_secret_name

AUTHENTICATION: Final = (
    Annotation(
        name="auth-type",
        type="switch",
        values=("basic", "digest"),
        on_failure="deny",
        state="honoured",
        parse=parse_auth_type,
        doc="`basic`: ask for a name and a password; `digest`: for a proof that the client knows it (RFC 7616: MD5, "
        "`qop=auth`). Needs `auth-secret`; without a usable one, the routes answer 503.",
    ),
    Annotation(
        name="auth-secret",
        type="string",
        risk="medium",
        on_failure="deny",
        state="honoured",
        refers_to="secret",
        parse=parse_secret_name,
        doc="The Secret with names and hashes of passwords, as `name` or `namespace/name`. Without `auth-type`, the "
        "routes answer 503.",
    ),
    Annotation(
        name="auth-secret-type",
        type="switch",
        values=("auth-file", "auth-map"),
        default="auth-file",
        on_failure="reject",
        state="honoured",
        doc="How that Secret is laid out: one htpasswd file (`digest`: htdigest) under `auth`, or a key for each user "
        "with a hash (`digest`: `realm:hash`).",
    ),
    Annotation(
        name="auth-realm",
        type="string",
        risk="medium",
        state="honoured",
        parse=parse_realm,
        doc="The realm that browsers show.",
    ),
    Annotation(
        name="satisfy",
        type="switch",
        values=("any", "all"),
        on_failure="deny",
        state="honoured",
        doc="`any`: who passes the lists of addresses, has a password, or is let pass by `auth-url`, need not "
        "pass the others. `all`: all of them.",
    ),
)

CLIENT_CERTIFICATES: Final = (
    Annotation(
        name="auth-tls-secret",
        type="secret",
        scope="host",
        risk="medium",
        on_failure="deny",
        state="honoured",
        refers_to="secret",
        doc="As `namespace/name`, the Secret with the authority that client certificates must come from (`ca.crt`), "
        "and perhaps those revoked (`ca.crl`). Of a host's Ingresses, the first that has one speaks for the host. "
        "Without a usable one, the host answers 403.",
    ),
    Annotation(
        name="auth-tls-verify-client",
        type="switch",
        values=("on", "off", "optional", "optional_no_ca"),
        default="on",
        scope="host",
        risk="medium",
        state="honoured",
        doc="`on`: without a good certificate, 400. `optional`: without a certificate, too, but not with a bad one. "
        "`optional_no_ca`: also with one of an unknown authority. `off`: none is asked for.",
    ),
    Annotation(
        name="auth-tls-verify-depth",
        type="count",
        default="1",
        scope="host",
        state="honoured",
        doc="How many certificates may stand between a client's and the authority; 0 is 1.",
    ),
    Annotation(
        name="auth-tls-error-page",
        type="address",
        scope="host",
        risk="high",
        on_failure="reject",
        state="honoured",
        doc="Where a client without a good certificate is sent (302): an address that begins with `http://` or "
        "`https://`.",
    ),
    Annotation(
        name="auth-tls-pass-certificate-to-upstream",
        type="bool",
        default="false",
        scope="host",
        on_failure="reject",
        state="honoured",
        doc="The Service gets the client certificate in the header `ssl-client-cert`.",
    ),
    Annotation(
        name="auth-tls-match-cn",
        type="subject",
        scope="host",
        risk="high",
        on_failure="deny",
        state="honoured",
        doc="A pattern that begins with `CN=` and is searched in the certificate's subject; without a match, 403.",
    ),
)

ADDRESSES: Final = (
    Annotation(
        name="allowlist-source-range",
        aliases=("whitelist-source-range",),
        type="cidrs",
        risk="medium",
        on_failure="deny",
        state="honoured",
        parse=parse_networks,
        doc="Only these client addresses and networks may pass; others get 403. "
        "One bad entry, and the routes answer 503.",
    ),
    Annotation(
        name="denylist-source-range",
        type="cidrs",
        risk="medium",
        on_failure="deny",
        state="honoured",
        parse=parse_networks,
        doc="These client addresses and networks get 403, whatever the allow list says. "
        "One bad entry, and the routes answer 503.",
    ),
)

LIMITS: Final = (
    Annotation(
        name="limit-rps",
        type="int",
        default="0",
        on_failure="reject",
        state="honoured",
        doc="Requests a second of one client address, for all paths of the Ingress together; more are answered "
        "`limit-req-status-code`. Each worker of an edge counts for itself. 0: any number.",
    ),
    Annotation(
        name="limit-rpm",
        type="int",
        default="0",
        on_failure="reject",
        state="honoured",
        doc="The same for requests a minute. Both may be set.",
    ),
    Annotation(
        name="limit-connections",
        type="int",
        default="0",
        on_failure="reject",
        state="honoured",
        doc="Requests of one client address that are under way at once; more are answered `limit-conn-status-code`. "
        "0: any number.",
    ),
    Annotation(
        name="limit-burst-multiplier",
        type="count",
        default="5",
        state="honoured",
        doc="How many times the limit may come at once, before the first is refused.",
    ),
    Annotation(
        name="limit-allowlist",
        aliases=("limit-whitelist",),
        type="cidrs",
        state="honoured",
        parse=parse_networks,
        doc="Client addresses and networks that no limit holds for. With a bad entry, the limits hold for all.",
    ),
    Annotation(
        name="limit-rate",
        type="int",
        state="honoured",
        doc="Kilobytes a second of each response, where `proxy-buffering` is on; 0: as fast as the client takes them. "
        "Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="limit-rate-after",
        type="int",
        state="honoured",
        doc="Kilobytes of a response that go before `limit-rate` begins. Unset: as in the ConfigMap.",
    ),
)

REFUSED: Final = (
    Annotation(
        name="configuration-snippet",
        type="snippet",
        risk="critical",
        on_failure="reject",
        state="honoured",
        doc="Of nginx configuration for a location, `more_set_headers`, `more_clear_headers` and `add_header` alone: "
        'which headers responses have. They hold where the ConfigMap says `allow-snippet-annotations: "true"` and '
        "`annotations-risk-level: Critical`, else the routes are served without. With any other directive in it, the "
        "Ingress is not taken over.",
    ),
    Annotation(
        name="server-snippet",
        type="snippet",
        scope="host",
        risk="critical",
        on_failure="reject",
        state="honoured",
        doc="The same for all routes of the Ingress' hosts; of a host's Ingresses, the first that has one speaks.",
    ),
    Annotation(
        name="auth-snippet",
        type="snippet",
        risk="critical",
        on_failure="reject",
        state="refused",
        doc="Raw nginx configuration for the authentication request.",
    ),
    Annotation(
        name="stream-snippet",
        type="snippet",
        scope="ingress",
        risk="critical",
        on_failure="reject",
        state="refused",
        doc="Raw nginx configuration for TCP and UDP.",
    ),
    Annotation(
        name="modsecurity-snippet",
        type="snippet",
        scope="ingress",
        risk="critical",
        on_failure="reject",
        state="refused",
        doc="Raw ModSecurity rules.",
    ),
    Annotation(
        name="enable-modsecurity",
        type="bool",
        default="false",
        scope="ingress",
        on_failure="deny",
        state="refused",
        doc="Limen has no ModSecurity, and will have none.",
    ),
    Annotation(
        name="enable-owasp-core-rules",
        type="bool",
        default="false",
        scope="ingress",
        on_failure="deny",
        state="refused",
        doc="Limen has no ModSecurity and no rules for it, and will have none.",
    ),
    Annotation(
        name="modsecurity-transaction-id",
        type="string",
        scope="ingress",
        risk="high",
        state="without-effect",
        doc="What ModSecurity, which Limen has not, logs requests by; `X-Request-ID` is in the access log.",
    ),
)

ACCESS: Final = (*AUTHENTICATION, *EXTERNAL, *CLIENT_CERTIFICATES, *ADDRESSES, *LIMITS, *REFUSED)
