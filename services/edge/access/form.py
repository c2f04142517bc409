"""A log format, compiled once per generation that changes it: a batch of records in, lines out.

Owns which requests are logged at all. Must not know where lines go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from operator import attrgetter
from typing import Final

from msgspec import Struct

from proto.resources import Settings
from services.contract import regex
from services.contract.variables.template import Template, TemplateError, Variable, parse_template
from services.edge.access.blocks import Blocks
from services.edge.access.escape import ESCAPES, Escape, Way
from services.edge.access.rows import rows_of
from services.edge.access.values import OF_ANSWERS, Column, column_of, header_of
from services.edge.traffic import LABELS, TARGET, Batch, Columns

DEFAULT_FORMAT: Final = Settings().log_format_upstream


class Form(Struct, frozen=True):
    """What the settings say of lines. ``skipped``: targets whose requests are not logged (nginx: a ``map``)."""

    text: str = DEFAULT_FORMAT
    way: Way = "default"
    skipped: tuple[str, ...] = ()


def form_of(settings: Settings) -> Form:
    """The form that the settings ask for."""
    way: Way = "none" if settings.log_format_escape_none else "json" if settings.log_format_escape_json else "default"
    return Form(settings.log_format_upstream, way, settings.skip_access_log_urls)


class Renderer:
    """See the module. ``wants_answers``: it reads heads of responses."""

    def __init__(self, form: Form) -> None:
        try:
            template = parse_template(form.text)
        except TemplateError:  # the compiler refuses it; should it come all the same, there are lines nevertheless
            template = parse_template(DEFAULT_FORMAT)
        escape = ESCAPES[form.way]
        self._blocks = Blocks(escape)
        self._skips = _skipping(form.skipped)
        self._beginning = b""
        self._columns: list[tuple[Column | int, bytes]] = []
        self._compile(template, escape)
        self.wants_answers = any(name.startswith(OF_ANSWERS) for name in template.names)

    def _compile(self, template: Template, escape: Escape) -> None:
        """What a line begins with, and each column with what stands behind it; a number is a column of ``_blocks``."""
        pieces = [b""]
        columns: list[Column | int] = []
        for part in template.parts:
            if not isinstance(part, Variable):
                pieces[-1] += part.encode()
                continue
            column = column_of(part.name, escape)
            read = header_of(part.name) if column is None else None
            if column is None and read is None:
                pieces[-1] += escape.absent
            else:
                columns.append(self._blocks.add(read) if read is not None else column)  # type: ignore[arg-type]
                pieces.append(b"")
        pieces[-1] += b"\n"
        self._beginning = pieces[0]
        self._columns = list(zip(columns, pieces[1:], strict=True))

    def text(self, batch: Batch, columns: Columns) -> bytes:
        """The lines of those requests of ``batch`` (``columns``: the same) that are logged, each with its end.

        All in one piece: a line by itself would be made only to be joined with the others. What all of them say alike
        becomes part of what stands between the columns.
        """
        logged = self._logged(batch, columns)
        if not logged:
            return b""
        rows = rows_of(columns if logged is batch else tuple(zip(*logged, strict=True)))
        blocks = self._blocks.columns(rows.block)
        line = [self._beginning]
        differing: list[tuple[int, Iterable[bytes]]] = []
        for column, behind in self._columns:
            texts = blocks[column] if isinstance(column, int) else column(rows)
            if isinstance(texts, repeat):
                line[-1] += next(texts) + behind
            else:
                differing.append((len(line), texts))
                line += (b"", behind)
        pieces = line * len(logged)
        for at, texts in differing:
            pieces[at :: len(line)] = texts
        return b"".join(pieces)

    def _logged(self, batch: Batch, columns: Columns) -> Batch:
        """Those of ``batch`` that are logged; the very same where all are."""
        if not all(map(_is_logged, columns[LABELS])):
            batch = [record for record in batch if record[LABELS].logged]  # type: ignore[attr-defined]
        if self._skips is not None:
            skips = self._skips
            batch = [record for record in batch if not skips(record[TARGET])]  # type: ignore[arg-type]
        return batch


_is_logged: Final = attrgetter("logged")


def _skipping(skipped: Iterable[str]) -> Callable[[bytes], bool] | None:
    """Whether a target is not logged: equal in any case, or matched by a pattern (``~`` and ``~*`` begin one)."""
    words: set[bytes] = set()
    patterns = []
    for entry in skipped:
        if entry.startswith("~"):
            insensitive = entry.startswith("~*")
            try:
                patterns.append(regex.compile(entry[2:] if insensitive else entry[1:], ignore_case=insensitive))
            except regex.RegexError:
                continue  # named by the compiler
        else:
            words.add(entry.encode().lower())
    if not words and not patterns:
        return None

    def skips(target: bytes) -> bool:
        if target.lower() in words:
            return True
        try:
            return any(pattern.matches(target) for pattern in patterns)
        except regex.RegexTimeoutError:
            return False

    return skips
