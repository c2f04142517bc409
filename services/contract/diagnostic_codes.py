"""The codes of all diagnostics. The documentation of the codes is generated from here."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.diagnostics import Severity


class Code(Struct, frozen=True):
    """A kind of finding. ``rejects``: the Ingress is not taken over as written. ``doc``: when, and what then."""

    name: str
    severity: Severity
    doc: str
    rejects: bool = False


_ALL = (
    # An Ingress is not taken over: its last accepted version is served on, if there is one.
    Code(
        "spec-unsafe",
        "error",
        "A host, path or Secret name looks like configuration that breaks out of its place "
        "(contract P9). The Ingress is not taken over.",
        rejects=True,
    ),
    Code("host-invalid", "error", "A rule's host is no DNS name. The Ingress is not taken over.", rejects=True),
    Code("path-invalid", "error", "A path does not begin with `/`. The Ingress is not taken over.", rejects=True),
    Code(
        "path-type-unknown",
        "error",
        "A pathType is none of Exact, Prefix and ImplementationSpecific. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "backend-missing",
        "error",
        "A path has no backend, or the backend names no Service or no port. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "annotation-refused",
        "error",
        "An annotation carries raw nginx configuration. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "annotation-risk",
        "error",
        "An annotation is riskier than the ConfigMap's `annotations-risk-level` allows. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "annotation-blocked",
        "error",
        "An annotation's value holds a word of `annotation-value-word-blocklist`. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "annotation-rejected",
        "error",
        "An annotation cannot be read, and the Ingress makes no sense without it. The Ingress is not taken over.",
        rejects=True,
    ),
    Code(
        "internal-error",
        "error",
        "The compiler failed on this object, which is a defect of Limen. The object is set "
        "aside, its last accepted version is served on, everything else goes on.",
        rejects=True,
    ),
    # An Ingress is taken over, and some or all of its routes answer 503.
    Code(
        "annotation-denied",
        "error",
        "An annotation that guards access is not honoured yet or cannot be read. The "
        "routes that it would guard answer 503.",
    ),
    Code(
        "fastcgi-unusable",
        "error",
        "The ConfigMap that `fastcgi-params-configmap` names does not exist, or holds what is no parameter. The routes "
        "answer 503.",
    ),
    Code(
        "endpoint-credentials-unusable",
        "error",
        "The Secret of `proxy-ssl-secret` does not exist, holds neither a pair nor an authority, or lacks the "
        "authority that `proxy-ssl-verify` asks for. The routes that it would guard answer 503.",
    ),
    Code(
        "passwords-unusable",
        "error",
        "The Secret of `auth-secret` does not exist, or lacks the file `auth`. The routes that it would guard answer "
        "503.",
    ),
    Code(
        "client-authority-unusable",
        "error",
        "The Secret of `auth-tls-secret` does not exist or holds no usable authority (`ca.crt`, `ca.crl`). The hosts "
        "of the Ingress answer 403.",
    ),
    Code(
        "configmap-denied",
        "error",
        "A key of the ConfigMap that guards access is not honoured yet or cannot be read. The routes that it would "
        "guard answer 503.",
    ),
    # An Ingress is taken over, and something in it has no effect, or another than expected.
    Code(
        "snippet-left-out",
        "warning",
        "A snippet only says which headers responses have, and snippets are switched off. The routes are served "
        "without it.",
    ),
    Code("annotation-invalid", "warning", "An annotation cannot be read. Its default holds."),
    Code(
        "custom-headers-unusable",
        "error",
        "The ConfigMap that `custom-headers` names does not exist, or holds a header that is not allowed. The routes "
        "answer 503.",
    ),
    Code(
        "auth-headers-unusable",
        "error",
        "The ConfigMap that `auth-proxy-set-headers` names does not exist, or holds a line that is no header. The "
        "routes answer 503.",
    ),
    Code(
        "headers-unusable",
        "warning",
        "A ConfigMap of headers for all hosts does not exist, or holds a line that is no header. It is left out.",
    ),
    Code(
        "cors-credentials",
        "notice",
        "CORS lets pages of all origins ask with credentials, as ingress-nginx does by default. Browsers refuse it.",
    ),
    Code("annotation-without-effect", "notice", "An annotation that ingress-nginx ignores too."),
    Code(
        "annotation-unknown",
        "notice",
        "An annotation under ingress-nginx's prefix that ingress-nginx does not know. It has no effect.",
    ),
    Code(
        "canary-without-effect",
        "warning",
        "A path of a canary Ingress gets no traffic: no other Ingress has it with this pathType on this host, leads "
        "elsewhere with it, or an older canary is there already.",
    ),
    Code(
        "alias-conflict",
        "warning",
        "A name in `server-alias`, or the one that `from-to-www-redirect` adds, is a host that an Ingress declares, or "
        "another host's already. The annotation does not give it to this one.",
    ),
    Code(
        "path-conflict",
        "warning",
        "Another Ingress, older or first by name, already has this host and path. This one's path is not served.",
    ),
    Code(
        "path-shadowed",
        "warning",
        "On a host whose paths are patterns, an earlier one equals this. It is never reached.",
    ),
    Code(
        "path-pattern-invalid",
        "error",
        "On a host whose paths are patterns, this path is no pattern. It is not served.",
    ),
    Code(
        "rewrite-invalid",
        "error",
        "A path and its `rewrite-target` do not fit: the target names a capture that the path has not. The path "
        "answers 503.",
    ),
    Code(
        "path-type-strict",
        "notice",
        "A path of type Exact or Prefix with characters that ingress-nginx's admission "
        "refuses (`strict-validate-path-type`). It is served.",
    ),
    Code(
        "path-becomes-pattern",
        "notice",
        "Some Ingress of this host uses patterns, so this one's paths are "
        "case-insensitive patterns too, open at the end (contract section 1.3).",
    ),
    Code("backend-resource", "warning", "The backend is a resource, not a Service. The path is passed over."),
    Code(
        "default-backend-shadowed",
        "warning",
        "Another Ingress already is the catch-all. This one's default backend is not served.",
    ),
    Code(
        "catch-all-disabled",
        "notice",
        "The Ingress has a default backend, and `--disable-catch-all` is set. It is passed over.",
    ),
    Code(
        "class-not-found",
        "notice",
        "The Ingress names an IngressClass that does not exist. It is passed over until there is one.",
    ),
    Code("class-missing", "notice", "The Ingress names no class, and such are not watched. It is passed over."),
    Code(
        "service-not-found", "warning", "A backend's Service does not exist. Its routes answer 503 until there is one."
    ),
    Code("service-port-not-found", "warning", "A backend's Service has no such port. Its routes answer 503."),
    Code(
        "service-internal-error",
        "error",
        "The compiler failed on a Service or its EndpointSlices, which is a defect of Limen. Its routes answer 503.",
    ),
    Code(
        "service-external-name-refused",
        "warning",
        "A backend's Service has an external name that is not a DNS name, "
        "is this machine itself or an address of its link, or is switched off. Its routes answer 503.",
    ),
    Code(
        "secret-not-found",
        "warning",
        "The Secret of a host's certificate does not exist. The default certificate is shown.",
    ),
    Code(
        "secret-invalid",
        "warning",
        "The Secret of a host's certificate holds none that can be used. The last good "
        "one of this Secret is shown, or the default certificate.",
    ),
    Code(
        "certificate-mismatch", "warning", "The certificate does not cover the host. The default certificate is shown."
    ),
    # The ConfigMap and the flags.
    Code("configmap-not-found", "notice", "The ConfigMap that `--configmap` names does not exist. Defaults hold."),
    Code("configmap-invalid", "warning", "A value of the ConfigMap cannot be read. The default holds."),
    Code(
        "configmap-variable-absent",
        "warning",
        "A log format names a variable that never has a value here. Its place in log lines stays empty.",
    ),
    Code(
        "collector-missing",
        "warning",
        "Requests are traced, and `otlp-collector-host` does not say where their spans go.",
    ),
    Code(
        "configmap-sessions-kept",
        "notice",
        "`ssl-session-cache` is off; some sessions of TLS 1.2 are kept all the same, for Python's `ssl` cannot do "
        "without.",
    ),
    Code(
        "configmap-refused",
        "error",
        "A key of the ConfigMap that carries raw nginx configuration or switches on a "
        "module that Limen does not have. It has no effect.",
    ),
    Code(
        "configmap-without-effect",
        "notice",
        "A key of the ConfigMap that concerns the inside of nginx. It has no effect.",
    ),
    Code("configmap-unknown", "notice", "A key of the ConfigMap that ingress-nginx does not know."),
    Code(
        "default-certificate-unusable",
        "warning",
        "The Secret that `--default-ssl-certificate` names does not exist "
        "or holds no certificate. A self-made certificate is shown.",
    ),
    Code(
        "dh-param-unusable",
        "warning",
        "The Secret that `ssl-dh-param` names does not exist or holds no `dhparam.pem`. DHE ciphers are not offered.",
    ),
    Code(
        "default-backend-unusable",
        "warning",
        "The Service that `--default-backend-service` names does not exist or "
        "has no ports. Unknown hosts and paths are answered 404.",
    ),
    Code(
        "passthrough-without-effect",
        "warning",
        "`ssl-passthrough` has no effect: `--enable-ssl-passthrough` is not set, the host's first Ingress does not say "
        "it, or there is no backend for `/`.",
    ),
    Code(
        "passthrough-shadows",
        "notice",
        "TLS connections for a host are handed on unopened. Other paths and annotations have no effect on them.",
    ),
    Code(
        "streams-not-found",
        "notice",
        "The ConfigMap that `--tcp-services-configmap` or `--udp-services-configmap` names does not exist.",
    ),
    Code(
        "stream-invalid",
        "error",
        "An entry of the ConfigMap of TCP or UDP services cannot be read, or its port is reserved. It is not served.",
    ),
    Code(
        "stream-word-without-effect",
        "notice",
        "An entry of the ConfigMap of TCP or UDP services holds a word that is not `PROXY`, or `PROXY` for UDP.",
    ),
    Code(
        "stream-service-unusable",
        "warning",
        "The Service of a TCP or UDP port does not exist, or has no such port. Connections are closed at once.",
    ),
    # What the watcher finds before anything is compiled.
    Code(
        "manifest-invalid",
        "error",
        "A file of the manifest folder, or a document in it, cannot be read as a Kubernetes object. What it held "
        "before stays.",
    ),
    Code("manifest-duplicate", "warning", "Two manifests hold the same object. The first by path is taken."),
    Code("manifest-passed-over", "notice", "A manifest of a kind that means nothing to an Ingress controller."),
    Code(
        "object-unreadable",
        "error",
        "The Kubernetes API holds an object that cannot be read. Its last good version, if there is one, stays.",
    ),
    Code(
        "object-too-large",
        "error",
        "An object is too large for the bus even after trimming. Its last version that was not, if any, stays.",
    ),
    Code(
        "endpoint-refused",
        "warning",
        "An EndpointSlice names an address that no pod has (loopback, link-local, metadata service, unspecified) or "
        "that is no address. It gets no traffic.",
    ),
)

CODES: Final[dict[str, Code]] = {code.name: code for code in _ALL}
"""Every code by its name."""
