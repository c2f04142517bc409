"""How a diagnostic is made, and what is said of some. Their codes are in ``diagnostic_codes``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from services.contract.diagnostic_codes import CODES

_KEPT: Final = "The Ingress is not taken over; its last accepted version, if there is one, is served on."
_USER_INFO: Final = re.compile(r"//[^/\s]*@")
RAW: Final = "(raw configuration, not shown)"
"""Stands for a value that may hold anything, passwords too."""
HIDDEN: Final = "(a secret, not shown)"
MAX_VALUE: Final = 200
"""An offending value is shortened to this many characters."""
MAX_MESSAGE: Final = 1000
"""A message is, too: what it quotes (the names of a certificate, a parser's words) may be of any length."""


def finding(
    object_: ObjectKey,
    code: str,
    field: str,
    value: str,
    message: str,
    remedy: str = "",
) -> Diagnostic:
    """A diagnostic of a registered code; ``value`` and ``message`` are shortened, names and passwords in addresses are
    left out, and a rejection says what happens now.

    Raises KeyError for a code that is not registered.
    """
    registered = CODES[code]
    shown = _shortened(_USER_INFO.sub("//…@", value) if "@" in value else value, MAX_VALUE)
    message = _shortened(message, MAX_MESSAGE)
    if registered.rejects:
        message = f"{message} {_KEPT}"
    return Diagnostic(object_, code, registered.severity, field, shown, message, remedy)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def reason_of(diagnostic: Diagnostic) -> str:
    """What is wrong, without what a rejection then means for an object that is stored."""
    return diagnostic.message.removesuffix(f" {_KEPT}")


def rejects(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether one of ``diagnostics`` keeps its Ingress from being taken over."""
    return any(CODES[diagnostic.code].rejects for diagnostic in diagnostics)


def annotation_field(name: str) -> str:
    """The field path of an annotation by its full name."""
    return f"metadata.annotations[{name}]"
