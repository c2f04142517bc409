"""Which version of an Ingress is in force: the current one, the last accepted one, or none.

Owns the claims of all Ingresses and their last accepted versions (an explicit input: ``set_accepted``). An Ingress that
makes the compiler fail is set aside like a bad one. Must not know hosts' routes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, IngressClass, ObjectKey
from services.compiler.core.claims import Claim, Judged, judge
from services.compiler.core.options import CompileOptions
from services.contract.classes import CLASS_ANNOTATION, is_ours
from services.contract.configmap.read import Controller
from services.contract.diagnostics import finding


class Verdict(Struct, frozen=True):
    """``claim``: what is in force, None if nothing is. ``rejected``: the current version is not taken over."""

    claim: Claim | None
    diagnostics: tuple[Diagnostic, ...] = ()
    rejected: bool = False


NOT_OURS = Verdict(None)


class Admission:
    """Judges Ingresses and remembers which versions were accepted."""

    def __init__(self, options: CompileOptions) -> None:
        self._options = options
        self._accepted: dict[str, Ingress] = {}
        self._good: dict[str, Ingress] = {}
        self._forgotten: set[str] = set()
        self.broken: set[str] = set()
        """Ingresses that make the reading of them fail, in every version that is known."""

    def set_accepted(self, ingress: Ingress) -> None:
        """Tell which version was accepted last, before this process began."""
        self._accepted[f"{ingress.namespace}/{ingress.name}"] = ingress

    def decide(
        self, name: str, ingress: Ingress | None, classes: Mapping[str, IngressClass], controller: Controller
    ) -> Verdict:
        """The verdict on ``ingress`` (None: it is gone). Whether a good one is accepted is settled later."""
        self._good.pop(name, None)
        self.broken.discard(name)
        if ingress is None:
            self._forget(name)
            return NOT_OURS
        other = self._not_ours(ingress, classes)
        if other is not None:
            self._forget(name)
            return other
        accepted = self._accepted.get(name)
        if accepted is not None and accepted.uid != ingress.uid:
            self._forget(name)  # deleted and created again: another object of the same name
        judged = _judge(ingress, controller)
        if judged.claim is None:
            kept = self.last_good(name, ingress, controller)
            if kept is None and any(found.code == "internal-error" for found in judged.diagnostics):
                self.broken.add(name)
            return Verdict(kept, judged.diagnostics, rejected=True)
        if accepted != ingress:
            self._good[name] = ingress
        return Verdict(judged.claim, judged.diagnostics)

    def settle(self, poisoned: Collection[str]) -> tuple[tuple[Ingress, ...], tuple[tuple[str, str], ...]]:
        """Versions accepted, and (namespace, name) of those forgotten, since the last time; both in order.

        ``poisoned``: Ingresses that make the compiler fail, whose last good version stays what it was.
        """
        accepted = [self._good.pop(name) for name in sorted(self._good) if name not in poisoned]
        for ingress in accepted:
            name = f"{ingress.namespace}/{ingress.name}"
            self._accepted[name] = ingress
            self._forgotten.discard(name)
        forgotten, self._forgotten = sorted(self._forgotten), set()
        return tuple(accepted), tuple((namespace, bare) for namespace, _, bare in map(_split, forgotten))

    def last_good(self, name: str, ingress: Ingress, controller: Controller) -> Claim | None:
        """The claim of the last accepted version of ``ingress``, if that is another one and still good."""
        accepted = self._accepted.get(name)
        if accepted is None or accepted == ingress:
            return None
        return _judge(accepted, controller).claim

    def _not_ours(self, ingress: Ingress, classes: Mapping[str, IngressClass]) -> Verdict | None:
        options = self._options
        if options.watch_namespace and ingress.namespace != options.watch_namespace:
            return NOT_OURS
        if not is_ours(ingress, classes, options):
            class_name = ingress.class_name
            if class_name is None and CLASS_ANNOTATION not in ingress.annotations:
                return Verdict(None, (_class_missing(ingress),))
            if class_name is None or class_name in classes:
                return NOT_OURS
            note = finding(
                _key(ingress), "class-not-found", "spec.ingressClassName", class_name,
                f"IngressClass {class_name} does not exist. The Ingress is passed over.",
                "Create the IngressClass, or name another one.",
            )  # fmt: skip
            return Verdict(None, (note,))
        if options.disable_catch_all and ingress.default_backend is not None:
            note = finding(
                _key(ingress), "catch-all-disabled", "spec.defaultBackend", ingress.default_backend.service,
                "--disable-catch-all is set. The Ingress is passed over.", "Remove spec.defaultBackend.",
            )  # fmt: skip
            return Verdict(None, (note,))
        return None

    def _forget(self, name: str) -> None:
        if self._accepted.pop(name, None) is not None:
            self._forgotten.add(name)


def _class_missing(ingress: Ingress) -> Diagnostic:
    return finding(
        _key(ingress), "class-missing", "spec.ingressClassName", "",
        "The Ingress names no class, and --watch-ingress-without-class is not set. The Ingress is passed over.",
        "Set spec.ingressClassName, or mark an IngressClass as the default one before the Ingress is created.",
    )  # fmt: skip


def _split(name: str) -> tuple[str, str, str]:
    return name.partition("/")


def _key(ingress: Ingress) -> ObjectKey:
    return ObjectKey("ingress", ingress.namespace, ingress.name)


def _judge(ingress: Ingress, controller: Controller) -> Judged:
    """``judge``, with its failures turned into a finding: one object must not stop the others."""
    try:
        return judge(ingress, controller)
    except Exception as error:
        return Judged(None, (internal_error(_key(ingress), error),))


def internal_error(key: ObjectKey, error: Exception) -> Diagnostic:
    """The finding about an object that made the compiler fail."""
    reason = f"The compiler failed ({type(error).__name__}: {error})."
    return finding(key, "internal-error", "", "", reason, "Report this as a defect, with the object.")
