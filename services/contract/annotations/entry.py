"""What the registry says about one annotation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from proto.policies import Decorations

PREFIX: Final = "nginx.ingress.kubernetes.io/"
"""What the names of ingress-nginx's annotations begin with."""

ValueType = Literal[
    "bool",
    "int",
    "string",
    "path",
    "target",
    "service",
    "url",
    "size",
    "count",
    "seconds",
    "conditions",
    "regex",
    "word",
    "secret",
    "tls-versions",
    "ciphers",
    "server-name",
    "address",
    "subject",
    "list",
    "cidrs",
    "switch",
    "snippet",
]
Scope = Literal["path", "upstream", "host", "ingress"]
Risk = Literal["low", "medium", "high", "critical"]
OnFailure = Literal["default", "deny", "reject"]
State = Literal["honoured", "refused", "without-effect"]
Target = Literal["secret", "configmap", "service"]
Value = bool | int | str | tuple[str, ...] | tuple[int, ...] | Decorations
"""What a value is once it is read."""


class Annotation(Struct, frozen=True, kw_only=True):
    """One annotation, by its name without the prefix.

    ``aliases``: other names; the canonical one wins when both are set. ``values``: admitted words, if it is a choice.
    ``default``: as text, as if it had been written; empty: nothing. ``risk``: the label that the ConfigMap key
    ``annotations-risk-level`` is compared with. ``on_failure``: what a value that cannot be read does: the ``default``
    holds, the Ingress' routes are denied (``deny``), or the Ingress is not taken over (``reject``).

    ``state``: ``honoured``; ``refused``: never accepted: raw configuration text keeps the Ingress from being taken
    over, a guard that Limen has not (``on_failure`` says ``deny``) closes its routes; ``without-effect``: ingress-nginx
    ignores it too, or there is nothing here that it could concern: ``doc`` says why.

    ``refers_to``: the kind of object that the value names, as ``name`` or ``namespace/name``. ``parse``: what reads the
    text (``values``), where the type alone does not say it; it raises MalformedError. ``passed_over``: what it leaves
    out of a list, each as the end of a sentence about the value.
    """

    name: str
    type: ValueType
    doc: str
    default: str = ""
    values: tuple[str, ...] = ()
    scope: Scope = "path"
    risk: Risk = "low"
    on_failure: OnFailure = "default"
    state: State
    aliases: tuple[str, ...] = ()
    refers_to: Target | None = None
    parse: Callable[[str], Value] | None = None
    passed_over: Callable[[str], tuple[str, ...]] | None = None
