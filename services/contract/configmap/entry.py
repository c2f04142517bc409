"""What the registry says about one key of the ConfigMap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

KeyType = Literal["bool", "int", "float", "string", "list", "duration", "size", "snippet", "secret"]
KeyState = Literal["honoured", "refused", "without-effect"]


class Key(Struct, frozen=True, kw_only=True):
    """One key. ``default``: as text, as if it had been written; empty: nothing.

    ``state``: ``honoured``; ``refused``: raw configuration text, or a module that Limen has not, never accepted;
    ``without-effect``: there is nothing here that it could concern. ``doc`` says why then.

    ``choices``: admitted values, if they are few. ``refers_to``: the kind of object that the value names.
    ``guards``: a value that cannot be read closes every route, for the default would open them. ``passed_over``: what
    is left out of a list, each as the end of a sentence about the value.
    """

    name: str
    type: KeyType
    default: str = ""
    state: KeyState
    choices: tuple[str, ...] = ()
    refers_to: Literal["secret", "configmap"] | None = None
    guards: bool = False
    passed_over: Callable[[str], tuple[str, ...]] | None = None
    doc: str = ""
