"""Which Ingresses are ours: class rules as ingress-nginx applies them (contract section 1.11).

``spec.ingressClassName`` first (the class must exist and name our controller), else the older annotation, else only if
Ingresses without a class are watched. That an IngressClass may come after its Ingress is the caller's to honour: ask
again when one changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from proto.objects import Ingress, IngressClass

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
"""The older way to name a class."""


class ClassRules(Protocol):
    """The flags that decide, by ingress-nginx's names."""

    @property
    def ingress_class(self) -> str:
        """The value of the annotation that is ours, and the name for ``ingress_class_by_name``."""

    @property
    def controller_class(self) -> str:
        """The ``spec.controller`` of classes that are ours."""

    @property
    def ingress_class_by_name(self) -> bool:
        """A class named ``ingress_class`` is ours whatever its controller."""

    @property
    def watch_ingress_without_class(self) -> bool:
        """Ingresses that name no class are ours."""


def class_is_ours(class_: IngressClass, rules: ClassRules) -> bool:
    """Whether Ingresses of this class are ours."""
    if class_.controller == rules.controller_class:
        return True
    return rules.ingress_class_by_name and class_.name == rules.ingress_class


def is_ours(ingress: Ingress, classes: Mapping[str, IngressClass], rules: ClassRules) -> bool:
    """Whether ``ingress`` is ours, with the IngressClasses (by name) that exist now."""
    if ingress.class_name is not None:
        class_ = classes.get(ingress.class_name)
        return class_ is not None and class_is_ours(class_, rules)
    annotation = ingress.annotations.get(CLASS_ANNOTATION)
    if annotation is not None:
        return annotation == rules.ingress_class
    return rules.watch_ingress_without_class
