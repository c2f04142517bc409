"""What ingress-nginx does where a diagnostic says what Limen does: for people who plan to change over.

Pure. What concerns an annotation comes from its entry in the registry, so that a new one needs nothing here; the rest
is said once for each code.
"""

from __future__ import annotations

import re
from typing import Final

from proto.diagnostics import Diagnostic
from services.contract.annotations.entry import Annotation
from services.contract.annotations.registry import BY_FULL_NAME

_ANNOTATION: Final = re.compile(r"metadata\.annotations\[(.+)\]")
_KEY: Final = re.compile(r"data\[(.+)\]")

_KEPT: Final = "A new Ingress is not taken over, a changed one keeps its old version; only a line in the log says so."
_OF_ANNOTATIONS: Final = {
    "annotation-refused": "Off by default (`allow-snippet-annotations`); where it is allowed, the text is pasted into "
    "nginx.conf.",
    "snippet-left-out": "Off by default as well: with `annotations-risk-level` below Critical the Ingress is not taken "
    "over, with it the snippet is dropped. Where it is allowed, the text is pasted into nginx.conf.",
    "annotation-risk": f"The same gate (`annotations-risk-level`). {_KEPT}",
    "annotation-blocked": "Its admission webhook refuses it; without the webhook it is taken over.",
    "annotation-without-effect": "No effect on what is served.",
    "annotation-unknown": "Passes over it without a word.",
}
_FAILS_OPEN: Final = frozenset({"auth-always-set-cookie", "auth-cache-duration", "auth-request-redirect"})
"""Companions of ``auth-url`` that take it along where they cannot be read."""
_ON_FAILURE: Final = {
    "default": "Passes over the value; the default holds.",
    "deny": "The routes of the Ingress answer 503.",
    "reject": _KEPT,
}
_OF_KEYS: Final = {
    "configmap-invalid": "Passes over the value, or writes it into nginx.conf as it is; then nothing is taken over any "
    "more until it is corrected.",
    "configmap-refused": "Pastes the value into nginx.conf, or switches on the module.",
    "configmap-without-effect": "Tunes the inside of nginx.",
    "configmap-sessions-kept": "Keeps none.",
    "configmap-unknown": "Passes over it without a word.",
}
_FIREWALL: Final = (
    "Looks at requests with ModSecurity. As its image has it, that only writes down what it finds; SecRuleEngine On in "
    "modsecurity-snippet makes it keep requests out."
)
_OF_KEYS_BY_NAME: Final = {
    "default-type": "Says that pages are of this type, where nothing else says it.",
    "enable-auth-access-log": "Writes a line for each question who may pass, too.",
    "debug-connections": "Writes a debug log of these connections.",
    "enable-modsecurity": _FIREWALL,
    "enable-ocsp": "Staples the certificate authority's answers.",
    "enable-owasp-modsecurity-crs": _FIREWALL,
    "error-log-": "Writes its error log so.",
    "geoip2-": "Reads the databases of countries anew so often.",
    "http2-max-": "Nothing any more: nginx has dropped it.",
    "jaeger-": "Nothing any more: it has removed this tracer.",
    "limit-conn-zone-variable": "Counts connections by this variable.",
    "modsecurity-snippet": "Gives the value to ModSecurity as its rules.",
    "nginx-status-": "Lets these see the status page of nginx.",
    "opentelemetry-config": "Reads this file.",
    "ssl-early-data": "Takes the early data of TLS 1.3.",
    "ssl-session-ticket-key": "Encrypts the tickets of sessions with it.",
    "upstream-hash-by": "Nothing: it looks at the annotation of this name alone.",
    "use-geoip": "Switches on the module, which knows clients' countries.",
}
"""By how the names of keys begin that have no effect here, or are refused."""
_BEHAVIOUR: Final = {
    "spec-unsafe": "Deep inspection drops the Ingress; its admission webhook refuses it.",
    "host-invalid": "Writes the name into nginx.conf as it is.",
    "path-invalid": "Writes the path into nginx.conf as it is.",
    "path-type-unknown": "The API server refuses such an Ingress.",
    "backend-missing": "The API server refuses such an Ingress.",
    "endpoint-credentials-unusable": "Without the Secret 503; without the authority the endpoint is not verified.",
    "client-authority-unusable": "All routes of the host answer 403.",
    "path-conflict": "The oldest Ingress wins, without a word; its admission webhook refuses new ones.",
    "path-shadowed": "The first pattern wins, without a word.",
    "path-pattern-invalid": "nginx does not accept the configuration; no change at all is taken over any more.",
    "rewrite-invalid": "nginx does not accept the configuration; no change at all is taken over any more.",
    "path-type-strict": "Its admission webhook refuses the Ingress; without the webhook it is served.",
    "path-becomes-pattern": "The same: one Ingress with patterns makes patterns of all paths of its host.",
    "alias-conflict": "The same, with a line in the log.",
    "auth-headers-unusable": "The same: 503.",
    "canary-without-effect": "The same, without a word.",
    "collector-missing": "The same: spans reach nobody.",
    "configmap-variable-absent": "nginx does not accept an unknown variable; no change at all is taken over any more.",
    "cors-credentials": "The same.",
    "custom-headers-unusable": "The same: 503.",
    "dh-param-unusable": "The same.",
    "endpoint-refused": "Sends requests to any address.",
    "fastcgi-unusable": "Does not take the Ingress over, or speaks without these parameters.",
    "headers-unusable": "Passes over a ConfigMap that is not there; an unknown variable in it stops all changes.",
    "passthrough-shadows": "The same.",
    "passthrough-without-effect": "The same: it needs `--enable-ssl-passthrough`, the host's first Ingress, and a "
    "backend for `/`.",
    "passwords-unusable": "The same: 503.",
    "stream-invalid": "Passes over the entry; only a line in the log says so.",
    "stream-service-unusable": "Does not open the port while there is no endpoint.",
    "stream-word-without-effect": "Passes over the word.",
    "streams-not-found": "The same; only a line in the log says so.",
    "backend-resource": "The same: the path is passed over.",
    "default-backend-shadowed": "The oldest wins, without a word.",
    "catch-all-disabled": "The same.",
    "class-not-found": "Passes over the Ingress, also when the class is created later.",
    "class-missing": "The same.",
    "service-not-found": "The same: 503.",
    "service-port-not-found": "The same: 503.",
    "service-external-name-refused": "Asks whatever the name leads to, this machine too.",
    "secret-not-found": "The same: its own certificate is shown.",
    "secret-invalid": "The same: its own certificate is shown.",
    "certificate-mismatch": "The same: its own certificate is shown.",
    "configmap-not-found": "Does not start.",
    "default-certificate-unusable": "Does not start, or shows its own certificate.",
    "default-backend-unusable": "Does not start.",
    "manifest-invalid": "The API server refuses it.",
    "manifest-duplicate": "The API server has one object of a name.",
}


def in_ingress_nginx(finding: Diagnostic) -> str:
    """What ingress-nginx does with what ``finding`` is about, in a sentence or two; empty where nothing is known."""
    annotation = _ANNOTATION.fullmatch(finding.field)
    if annotation is not None:
        return _of_annotation(finding.code, BY_FULL_NAME.get(annotation[1]))
    key = _KEY.fullmatch(finding.field)
    if key is not None and finding.code in ("configmap-refused", "configmap-without-effect", "configmap-denied"):
        told = next((told for beginning, told in _OF_KEYS_BY_NAME.items() if key[1].startswith(beginning)), "")
        if told:
            return told
    if finding.code == "configmap-denied":
        return _OF_KEYS["configmap-invalid"]
    return _OF_KEYS.get(finding.code) or _BEHAVIOUR.get(finding.code, "")


def _of_annotation(code: str, entry: Annotation | None) -> str:
    if entry is not None and entry.state == "refused" and entry.on_failure == "deny":
        return _FIREWALL
    if code in _OF_ANNOTATIONS:
        return _OF_ANNOTATIONS[code]
    if code in _BEHAVIOUR or entry is None:
        return _BEHAVIOUR.get(code, "")
    if code in ("annotation-invalid", "annotation-denied") and entry.name in _FAILS_OPEN:
        return "Drops auth-url along with it, without a word: the routes stand open."
    if code in ("annotation-invalid", "annotation-rejected") or (
        code == "annotation-denied" and entry.state == "honoured"
    ):
        return _ON_FAILURE[entry.on_failure]
    return f"Honours it. {entry.doc}"


def known_codes() -> frozenset[str]:
    """The codes that have words of their own here."""
    return frozenset((*_OF_ANNOTATIONS, *_OF_KEYS, *_BEHAVIOUR))
