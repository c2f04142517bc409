"""An Ingress' annotations, read with the registry: typed settings, and what there is to say about each.

Owns the failure rules (contract section 1.1): a value that cannot be read falls to its default, denies the Ingress'
routes, or keeps the Ingress from being taken over, as its entry says. Must not know hosts, paths or routes.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, ObjectKey
from services.contract.annotations.entry import PREFIX, Annotation, Risk
from services.contract.annotations.registry import BY_FULL_NAME
from services.contract.annotations.values import MalformedError, Value, parse_value, same_value
from services.contract.diagnostics import RAW, annotation_field, finding

RISKS: Final[tuple[Risk, ...]] = ("low", "medium", "high", "critical")


class AnnotationPolicy(Struct, frozen=True):
    """What the ConfigMap says about annotations: the highest risk allowed, words that no value may hold, and whether
    they may name Secrets of other namespaces."""

    risk_level: Risk = "high"
    blocked_words: tuple[str, ...] = ()
    cross_namespace: bool = False


class AnnotationSettings(Struct, frozen=True, gc=False):
    """The annotations that are honoured, typed. None: the Ingress says nothing, the ConfigMap's value holds.

    ``denied``: a guard of this Ingress' paths is not understood, so they answer 503; ``host_denied``: one that guards
    its whole hosts; ``clients_denied``: one about client certificates, so its hosts answer 403. ``canary``: the Ingress
    gets no traffic of its own.
    """

    rewrite_target: str = ""
    use_regex: bool = False
    app_root: str = ""
    ssl_redirect: bool | None = None
    force_ssl_redirect: bool | None = None
    default_backend: str = ""
    backend_protocol: str = "HTTP"
    proxy_ssl_secret: str = ""
    proxy_ssl_verify: str = "off"
    proxy_ssl_verify_depth: int = 1
    proxy_ssl_name: str = ""
    proxy_ssl_server_name: str = "off"
    proxy_ssl_protocols: tuple[str, ...] = ("TLSv1.2",)
    proxy_ssl_ciphers: str = "DEFAULT"
    auth_tls_secret: str = ""
    auth_tls_verify_client: str = "on"
    auth_tls_verify_depth: int = 1
    auth_tls_error_page: str = ""
    auth_tls_pass_certificate_to_upstream: bool = False
    auth_tls_match_cn: str = ""
    ssl_ciphers: str = ""
    ssl_prefer_server_ciphers: bool | None = None
    proxy_connect_timeout: int | None = None
    proxy_read_timeout: int | None = None
    proxy_send_timeout: int | None = None
    proxy_body_size: int | None = None
    proxy_request_buffering: str = ""
    client_body_buffer_size: int | None = None
    proxy_buffering: str = ""
    proxy_buffer_size: int | None = None
    proxy_buffers_number: int | None = None
    proxy_max_temp_file_size: int | None = None
    proxy_next_upstream: tuple[str, ...] | None = None
    proxy_next_upstream_tries: int | None = None
    proxy_next_upstream_timeout: int | None = None
    access_log: bool = True
    global_auth: bool = True
    canary: bool = False
    denied: bool = False
    host_denied: bool = False
    clients_denied: bool = False


NOTHING_SET: Final = AnnotationSettings()
_DEFAULT_POLICY: Final = AnnotationPolicy()
_NONE: Final[tuple[Diagnostic, ...]] = ()
_NEEDS: Final = ((PREFIX + "proxy-ssl-", "proxy-ssl-secret"), (PREFIX + "auth-tls-", "auth-tls-secret"))
"""Beginnings of names that say nothing where another annotation is missing."""
_DENIES_CLIENTS: Final = frozenset({"auth-tls-secret", "auth-tls-match-cn"})
_FIELD_OF: Final = {
    "rewrite-target": "rewrite_target",
    "use-regex": "use_regex",
    "app-root": "app_root",
    "ssl-redirect": "ssl_redirect",
    "force-ssl-redirect": "force_ssl_redirect",
    "default-backend": "default_backend",
    "backend-protocol": "backend_protocol",
    "proxy-ssl-secret": "proxy_ssl_secret",
    "proxy-ssl-verify": "proxy_ssl_verify",
    "proxy-ssl-verify-depth": "proxy_ssl_verify_depth",
    "proxy-ssl-name": "proxy_ssl_name",
    "proxy-ssl-server-name": "proxy_ssl_server_name",
    "proxy-ssl-protocols": "proxy_ssl_protocols",
    "proxy-ssl-ciphers": "proxy_ssl_ciphers",
    "auth-tls-secret": "auth_tls_secret",
    "auth-tls-verify-client": "auth_tls_verify_client",
    "auth-tls-verify-depth": "auth_tls_verify_depth",
    "auth-tls-error-page": "auth_tls_error_page",
    "auth-tls-pass-certificate-to-upstream": "auth_tls_pass_certificate_to_upstream",
    "auth-tls-match-cn": "auth_tls_match_cn",
    "ssl-ciphers": "ssl_ciphers",
    "ssl-prefer-server-ciphers": "ssl_prefer_server_ciphers",
    "proxy-connect-timeout": "proxy_connect_timeout",
    "proxy-read-timeout": "proxy_read_timeout",
    "proxy-send-timeout": "proxy_send_timeout",
    "proxy-body-size": "proxy_body_size",
    "proxy-request-buffering": "proxy_request_buffering",
    "client-body-buffer-size": "client_body_buffer_size",
    "proxy-buffering": "proxy_buffering",
    "proxy-buffer-size": "proxy_buffer_size",
    "proxy-buffers-number": "proxy_buffers_number",
    "proxy-max-temp-file-size": "proxy_max_temp_file_size",
    "proxy-next-upstream": "proxy_next_upstream",
    "proxy-next-upstream-tries": "proxy_next_upstream_tries",
    "proxy-next-upstream-timeout": "proxy_next_upstream_timeout",
    "enable-access-log": "access_log",
    "enable-global-auth": "global_auth",
    "canary": "canary",
}
"""Where values go: those of honoured entries, and of two that only take something away."""


def read_annotations(
    ingress: Ingress, policy: AnnotationPolicy = _DEFAULT_POLICY
) -> tuple[AnnotationSettings, tuple[Diagnostic, ...]]:
    """The settings of ``ingress`` and the findings about its annotations, in the order of their names.

    Never raises for a bad value. Whether the findings keep the Ingress from being taken over is for
    ``services.contract.diagnostics.rejects``.
    """
    names = sorted(name for name in ingress.annotations if name.startswith(PREFIX))
    if not names:
        return NOTHING_SET, _NONE
    reader = _Reader(ingress, policy)
    for name in names:
        reader.read(name)
    return AnnotationSettings(**reader.fields), tuple(reader.findings)  # type: ignore[arg-type]


class _Reader:
    """One pass over the annotations of one Ingress."""

    def __init__(self, ingress: Ingress, policy: AnnotationPolicy) -> None:
        self._annotations = ingress.annotations
        self._key = ObjectKey("ingress", ingress.namespace, ingress.name)
        self._policy = policy
        self.fields: dict[str, Value] = {}
        self.findings: list[Diagnostic] = []

    def read(self, name: str) -> None:
        text = self._annotations[name]
        word = next((word for word in self._policy.blocked_words if word in text), None)
        if word is not None:
            self._say(
                name,
                "annotation-blocked",
                f"{name} holds {word!r}, which the administrator does not allow.",
                f"Remove {word!r} from the value.",
            )
            return
        entry = BY_FULL_NAME.get(name)
        if entry is None:
            self._say(
                name,
                "annotation-unknown",
                f"{name} is not known to ingress-nginx. It has no effect.",
                "Check the spelling, or remove it.",
            )
            return
        if RISKS.index(entry.risk) > RISKS.index(self._policy.risk_level) and entry.state != "refused":
            self._say(
                name,
                "annotation-risk",
                f"{name} has risk {entry.risk}, and only {self._policy.risk_level} is allowed.",
                "Remove it, or raise annotations-risk-level in the ConfigMap.",
            )
            return
        if text == "" or self._overruled(name, entry):
            return
        self._judge(name, entry, text)

    def _overruled(self, name: str, entry: Annotation) -> bool:
        """Whether this is an alias and the canonical name is set too (contract P3)."""
        return name != PREFIX + entry.name and bool(self._annotations.get(PREFIX + entry.name))

    def _judge(self, name: str, entry: Annotation, text: str) -> None:
        match entry.state:
            case "refused":
                self._say(
                    name,
                    "annotation-refused",
                    f"{name} annotation cannot be used. Raw nginx configuration is never taken over.",
                    "Remove it; look in the documentation for an annotation that does the same.",
                )
            case "guarded" if not same_value(entry, text):
                self.fields["host_denied" if entry.scope == "host" else "denied"] = True
                what = "All routes of its hosts" if entry.scope == "host" else "Its routes"
                self._say(
                    name,
                    "annotation-denied",
                    f"{name} guards access and is not honoured yet. {what} answer 503.",
                    "Remove it if access need not be guarded.",
                )
            case "without-effect":
                self._say(name, "annotation-without-effect", f"{name} has no effect. {entry.doc}", "Remove it.")
            case "honoured":
                self._take(name, entry, text)
            case "pending":
                self._pend(name, entry, text)

    def _take(self, name: str, entry: Annotation, text: str) -> None:
        try:
            value = parse_value(entry, text)
            if entry.type == "secret":
                self._check_namespace(text)
        except MalformedError as error:
            self._fail(name, entry, error)
            return
        if value == "FCGI":
            self.fields["denied"] = True
            self._say(
                name,
                "protocol-unsupported",
                "FastCGI is not spoken. The routes of this Ingress answer 503.",
                "Put a web server that speaks HTTP before the FastCGI process.",
            )
        for beginning, needed in _NEEDS:
            if name.startswith(beginning) and not self._annotations.get(PREFIX + needed):
                self._say(name, "annotation-without-effect", f"{name} has no effect without {needed}.", "")
        self.fields[_FIELD_OF[entry.name]] = value

    def _check_namespace(self, text: str) -> None:
        """Raises MalformedError for a Secret that this Ingress may not name."""
        if text.partition("/")[0] != self._key.namespace and not self._policy.cross_namespace:
            raise MalformedError("names a Secret of another namespace, which allow-cross-namespace-resources forbids")

    def _fail(self, name: str, entry: Annotation, error: MalformedError) -> None:
        remedy = f"Write a valid value. {entry.doc}"
        match entry.on_failure:
            case "default":
                default = (
                    f"The default ({entry.default}, or the ConfigMap's) holds" if entry.default else "It has no effect"
                )
                self._say(name, "annotation-invalid", f"The value of {name} {error}. {default}.", remedy)
            case "deny" if entry.name in _DENIES_CLIENTS:
                self.fields["clients_denied"] = True
                what = "All routes of its hosts answer 403."
                self._say(name, "annotation-denied", f"The value of {name} {error}. {what}", remedy)
            case "deny":
                self.fields["denied"] = True
                self._say(name, "annotation-denied", f"The value of {name} {error}. Its routes answer 503.", remedy)
            case "reject":
                self._say(name, "annotation-rejected", f"The value of {name} {error}.", remedy)

    def _pend(self, name: str, entry: Annotation, text: str) -> None:
        if entry.name in _FIELD_OF:
            self._take(name, entry, text)
        if same_value(entry, text):
            return
        if entry.name == "canary":
            if self.fields.get("canary"):
                self._say(name, "canary-pending", "Canaries are not honoured yet. This Ingress gets no traffic.", "")
        elif entry.name != "enable-global-auth":
            self._say(name, "annotation-pending", f"{name} is not honoured yet. It has no effect.", "")

    def _say(self, name: str, code: str, message: str, remedy: str) -> None:
        entry = BY_FULL_NAME.get(name)
        value = RAW if entry is not None and entry.type == "snippet" else self._annotations[name]
        self.findings.append(finding(self._key, code, annotation_field(name), value, message, remedy))
