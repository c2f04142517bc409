"""Text with nginx variables in it, parsed once: ``$name`` or ``${name}``, letters, digits and underscores.

Owns the syntax. Must not know which names exist (``registry``), nor what they stand for: whoever fills a template in
gives a getter for each name, so that the same template serves log lines, headers and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct

Source = TypeVar("Source")

_PART: Final = re.compile(r"\$(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})|\$")


class TemplateError(ValueError):
    """Text that is no template; the message completes the sentence "the value …"."""


class Variable(Struct, frozen=True, gc=False):
    """The place of a variable, by its name without ``$``, in lower case (nginx compares names so)."""

    name: str


class Template(Struct, frozen=True):
    """Text and variables in turn, no two texts side by side."""

    parts: tuple[str | Variable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables, each once, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Variable)))

    def fill(self, getter: Callable[[str], Callable[[Source], str]]) -> Callable[[Source], str]:
        """What makes text of a source of values. ``getter``: for a name, what reads its value out of a source; it is
        asked once per place, now. A value is read only when text is made."""
        pieces = [part if isinstance(part, str) else getter(part.name) for part in self.parts]
        if not any(callable(piece) for piece in pieces):
            constant = "".join(piece for piece in pieces if isinstance(piece, str))
            return lambda _source: constant

        def filled(source: Source) -> str:
            return "".join([piece if isinstance(piece, str) else piece(source) for piece in pieces])

        return filled


def parse_template(text: str) -> Template:
    """``text`` as a template. Raises TemplateError for a ``$`` that no name follows, which nginx refuses too."""
    parts: list[str | Variable] = []
    end = 0
    for match in _PART.finditer(text):
        name = match[1] or match[2]
        if not name:
            raise TemplateError(f"has a $ without the name of a variable: {text[match.start() : match.start() + 20]!r}")
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(Variable(name.lower()))
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    return Template(tuple(parts))
