"""An Ingress' annotations, read with the registry: typed settings, and what there is to say about each.

Owns the failure rules (contract section 1.1): a value that cannot be read falls to its default, denies the Ingress'
routes, or keeps the Ingress from being taken over, as its entry says. Must not know hosts, paths or routes.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, ObjectKey
from services.contract.annotations.entry import PREFIX, Annotation, Risk, Value
from services.contract.annotations.registry import BY_FULL_NAME, REGISTRY
from services.contract.annotations.settings import NOTHING_SET, AnnotationSettings, field_of
from services.contract.annotations.snippets import SEARCH, WHOLE, judge_snippet
from services.contract.annotations.values import MalformedError, parse_value, same_value, trimmed
from services.contract.diagnostics import RAW, annotation_field, finding

RISKS: Final[tuple[Risk, ...]] = ("low", "medium", "high", "critical")


class AnnotationPolicy(Struct, frozen=True):
    """What the ConfigMap says about annotations: the highest risk allowed, words that no value may hold, and whether
    they may name Secrets of other namespaces, and be snippets. ``without_firewall``: those that ask for ModSecurity are
    passed over (a flag says so)."""

    risk_level: Risk = "high"
    blocked_words: tuple[str, ...] = ()
    cross_namespace: bool = False
    snippets: bool = False
    without_firewall: bool = False


FIREWALL_INSTEAD: Final = (
    "Put a web application firewall in front of Limen, or before the Service, and then remove it; or have such "
    "annotations passed over (--ignore-modsecurity)."
)
_DEFAULT_POLICY: Final = AnnotationPolicy()
_NONE: Final[tuple[Diagnostic, ...]] = ()
_NEEDS: Final = (
    (PREFIX + "auth-realm", "auth-secret"),
    (PREFIX + "auth-secret-", "auth-secret"),
    (PREFIX + "proxy-ssl-", "proxy-ssl-secret"),
    (PREFIX + "auth-tls-", "auth-tls-secret"),
    (PREFIX + "auth-signin", "auth-url"),
    (PREFIX + "auth-response-headers", "auth-url"),
    (PREFIX + "auth-method", "auth-url"),
    (PREFIX + "auth-request-redirect", "auth-url"),
    (PREFIX + "auth-proxy-set-headers", "auth-url"),
    (PREFIX + "auth-always-set-cookie", "auth-url"),
    (PREFIX + "auth-cache-", "auth-url"),
)
"""Beginnings of names that say nothing where another annotation is missing."""
_DENIES_CLIENTS: Final = frozenset({"auth-tls-secret", "auth-tls-match-cn"})


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
    reader.complete()
    return AnnotationSettings(**reader.fields), tuple(reader.findings)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _spelling(name: str) -> str:
    """What is to be done about a name that nobody knows."""
    alike = get_close_matches(name.removeprefix(PREFIX), REGISTRY, 1, cutoff=0.8)
    return f"Did you mean {alike[0]}? Else remove it." if alike else "Check the spelling, or remove it."


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
                _spelling(name),
            )
            return
        if RISKS.index(entry.risk) > RISKS.index(self._policy.risk_level) and entry.type != "snippet":
            self._say(
                name,
                "annotation-risk",
                f"{name} has risk {entry.risk}, and only {self._policy.risk_level} is allowed.",
                "Remove it, or raise annotations-risk-level in the ConfigMap.",
            )
            return
        if text == "" or self._overruled(name, entry):
            return
        text = trimmed(entry, text)
        if text or entry.on_failure == "deny":
            self._judge(name, entry, text)

    def complete(self) -> None:
        """What is to be said of annotations that need one another: half a guard is none, so it denies."""
        kind, secret = self.fields.get("auth_type"), self.fields.get("auth_secret")
        if bool(kind) == bool(secret) or self.fields.get("denied"):
            return
        self.fields["denied"] = True
        there, missing = ("auth-type", "auth-secret") if kind else ("auth-secret", "auth-type")
        self._say(
            PREFIX + there,
            "annotation-denied",
            f"{PREFIX}{there} guards nothing without {missing}. Its routes answer 503.",
            f"Add {missing}, or remove it.",
        )

    def _overruled(self, name: str, entry: Annotation) -> bool:
        """Whether this is an alias and the canonical name is set too (contract P3)."""
        return name != PREFIX + entry.name and bool(self._annotations.get(PREFIX + entry.name))

    def _judge(self, name: str, entry: Annotation, text: str) -> None:
        match entry.state:
            case "refused" if entry.on_failure == "deny":
                self._lack(name, entry, text)
            case "refused":
                self._say(
                    name,
                    "annotation-refused",
                    f"{name} annotation cannot be used. Raw nginx configuration is never taken over.",
                    WHOLE.get(entry.name, SEARCH),
                )
            case "without-effect":
                self._say(name, "annotation-without-effect", f"{name} has no effect. {entry.doc}", "Remove it.")
            case "honoured" if entry.type == "snippet":
                self._decorate(name, entry, text)
            case "honoured":
                self._take(name, entry, text)

    def _lack(self, name: str, entry: Annotation, text: str) -> None:
        """A guard that Limen does not have, and will not have."""
        if same_value(entry, text):
            return
        if self._policy.without_firewall:
            told = f"{name} has no effect. {entry.doc} --ignore-modsecurity lets its routes be served without."
            self._say(name, "annotation-without-effect", told, FIREWALL_INSTEAD)
            return
        self.fields["denied"] = True
        told = f"{name} guards access. {entry.doc} Its routes answer 503 rather than stand open."
        self._say(name, "annotation-denied", told, FIREWALL_INSTEAD)

    def _decorate(self, name: str, entry: Annotation, text: str) -> None:
        policy = self._policy
        allowed = policy.snippets and policy.risk_level == "critical"
        decorations, found = judge_snippet(name, text, allowed=allowed)
        if found is not None:
            self._say(name, found.code, found.message, found.remedy)
        self.fields[field_of(entry.name)] = decorations

    def _take(self, name: str, entry: Annotation, text: str) -> None:
        try:
            value = parse_value(entry, text)
            if entry.refers_to == "secret" and "/" in text:
                self._check_namespace(text)
        except MalformedError as error:
            self._fail(name, entry, error)
            return
        for left_out in () if entry.passed_over is None else entry.passed_over(text):
            remedy = f"Correct it. {entry.doc}"
            self._say(name, "annotation-invalid", f"The value of {name} {left_out}. It is passed over.", remedy)
        for needed in self._lacking(name):
            self._say_without(name, needed)
        self.fields[field_of(entry.name)] = value

    def _lacking(self, name: str) -> list[str]:
        """What the annotation says nothing without, and is not there."""
        return [
            needed
            for beginning, needed in _NEEDS
            if name.startswith(beginning) and not self._annotations.get(PREFIX + needed)
        ]

    def _say_without(self, name: str, needed: str) -> None:
        remedy = f"Add {needed}, or remove it."
        self._say(name, "annotation-without-effect", f"{name} has no effect without {needed}.", remedy)

    def _check_namespace(self, text: str) -> None:
        """Raises MalformedError for a Secret that this Ingress may not name."""
        if text.partition("/")[0] != self._key.namespace and not self._policy.cross_namespace:
            raise MalformedError("names a Secret of another namespace, which allow-cross-namespace-resources forbids")

    def _fail(self, name: str, entry: Annotation, error: MalformedError) -> None:
        remedy = f"Write a valid value. {entry.doc}"
        match entry.on_failure:
            case "default":
                default = _what_holds(entry)
                self._say(name, "annotation-invalid", f"The value of {name} {error}. {default}.", remedy)
            case "deny" if "auth-url" in self._lacking(name):
                self._say_without(name, "auth-url")
            case "deny" if entry.name in _DENIES_CLIENTS:
                self.fields["clients_denied"] = True
                what = "All routes of its hosts answer 403."
                self._say(name, "annotation-denied", f"The value of {name} {error}. {what}", remedy)
            case "deny":
                self.fields["denied"] = True
                self._say(name, "annotation-denied", f"The value of {name} {error}. Its routes answer 503.", remedy)
            case "reject":
                self._say(name, "annotation-rejected", f"The value of {name} {error}.", remedy)

    def _say(self, name: str, code: str, message: str, remedy: str) -> None:
        entry = BY_FULL_NAME.get(name)
        value = RAW if entry is not None and entry.type == "snippet" else self._annotations[name]
        self.findings.append(finding(self._key, code, annotation_field(name), value, message, remedy))


def _what_holds(entry: Annotation) -> str:
    """What an annotation comes to whose value cannot be read, as the beginning of a sentence."""
    if not entry.default:
        return "It has no effect"
    if getattr(NOTHING_SET, field_of(entry.name), entry.default) in (None, ""):
        return f"What the ConfigMap says holds, by default {entry.default}"
    return f"The default ({entry.default}) holds"
