"""PCRE patterns as users write them, translated for the engines that run them.

Owns the dialect: what each construct means to PCRE on bytes (as in nginx: no UTF mode, C locale), spelled so that RE2
and ``regex`` agree about it. Must not know the engines' interfaces, routes or requests.

Every literal, class and escape is written out as an explicit set of ASCII letters and ``\\xHH``; case-insensitivity is
part of those sets, so neither engine folds by its own (Unicode) rules. What is left are the constructs on whose
meaning both agree. Refused with a reason: inline flags other than i, m, s; recursion, conditionals, branch reset,
callouts, verbs, ``\\p``, ``\\X``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.contract.charsets import ALL, ALPHA, VERTICAL, source_of
from services.contract.pcre_classes import PatternError, read_class, read_escape

MAX_SIZE: Final = 20_000
"""Largest pattern, counted in items after repeats are written out: PCRE refuses what needs more than 64 KB."""


_QUANTIFIER: Final = re.compile(r"([*+?]|\{(\d+)(,(\d*))?\})([?+]?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_FLAGS: Final = re.compile(r"\(\?([imsxnUJ]*)(?:-([imsxnUJ]+))?([:)])")
_NAMED_GROUP: Final = re.compile(r"\(\?(?:P?<|')([^>')]*)[>']")
_LOOK: Final = re.compile(r"\(\?(<?[=!]|>)")
_NUMBER_REFERENCE: Final = re.compile(r"\\(?:g\{?(-?\d+)\}?|([1-9]\d*))")
_NAME_REFERENCE: Final = re.compile(r"\\[kg](?:\{([A-Za-z_]\w*)\}|<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')|\(\?P=(\w+)\)")


@dataclass(frozen=True, slots=True)
class Translated:
    """A pattern, ready for an engine.

    ``linear`` is the source for RE2, None where the pattern needs backtracking (look-around, atomic groups,
    possessive quantifiers, backreferences); ``backtracking`` the one for ``regex``. ``names`` maps named groups to
    numbers. ``prefix``: lower-case bytes that every match begins with at the start of the subject, and
    ``prefix_only``: nothing but that is asked. ``line_end``: the meaning of ``$`` or ``\\Z`` at a trailing newline
    matters, in which RE2 differs.
    """

    linear: bytes | None
    backtracking: bytes
    groups: int
    names: dict[str, int]
    prefix: bytes
    prefix_only: bool
    line_end: bool


def translate(pattern: str, *, ignore_case: bool) -> Translated:
    """Translate a PCRE (text of an object, read as UTF-8 bytes). Raises PatternError."""
    text = pattern if pattern.isascii() else pattern.encode("utf-8", "surrogateescape").decode("latin-1")
    if "\0" in text:
        raise PatternError("a pattern cannot hold NUL", text.index("\0"))
    return _Translator(text, ignore_case).run()


@dataclass(slots=True)
class _Frame:
    """An open group: the flags to return to at its end, and the size of what stood in it so far."""

    ignore_case: bool
    size: int = 0


@dataclass(slots=True)
class _Translator:
    text: str
    ignore_case: bool
    at: int = 0
    groups: int = 0
    linear: list[str] = field(default_factory=list)
    backtracking: list[str] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    frames: list[_Frame] = field(default_factory=list)
    item_size: int = 0
    needs_backtracking: bool = False
    line_end: bool = False
    prefix: list[int] = field(default_factory=list)
    prefix_open: bool = False
    prefix_valid: bool = True
    plain: bool = True

    def run(self) -> Translated:
        self.frames.append(_Frame(self.ignore_case))
        everything_folds = self.ignore_case
        if self.text.startswith("^"):
            self.emit("^")
            self.at = 1
            self.prefix_open = True
        else:
            self.prefix_valid = self.plain = False
        while self.at < len(self.text):
            self.step()
        if len(self.frames) != 1:
            raise self.error("a group is not closed")
        prefix = bytes(self.prefix).lower() if self.prefix_valid else b""
        return Translated(
            linear=None if self.needs_backtracking else "".join(self.linear).encode("ascii"),
            backtracking="".join(self.backtracking).encode("ascii"),
            groups=self.groups,
            names=self.names,
            prefix=prefix,
            prefix_only=self.plain and self.prefix_valid and everything_folds,
            line_end=self.line_end,
        )

    def step(self) -> None:
        """Read one item with its quantifier."""
        char = self.text[self.at]
        if char == "(":
            self.open_group()
            return
        if char == ")":
            self.close_group()
        elif char == "|":
            self.at += 1
            self.emit("|")
            self.end_prefix()
            if len(self.frames) == 1:
                self.prefix_valid = False
            return
        elif char == "[":
            found, negated, self.at = read_class(self.text, self.at)
            folded = self.folded(found)
            self.codes(ALL - folded if negated else folded)
        elif char == "\\":
            self.escape()
        elif char in "^$":
            self.anchor(char)
        elif char == ".":
            self.at += 1
            self.not_literal(".")
        elif (quantifier := _QUANTIFIER.match(self.text, self.at)) is not None:
            raise self.error(f"nothing to repeat before {quantifier[0]!r}")
        else:
            self.at += 1
            self.literal(ord(char))
        self.quantifier()

    # --- output

    def emit(self, linear: str, backtracking: str | None = None) -> None:
        self.linear.append(linear)
        self.backtracking.append(linear if backtracking is None else backtracking)

    def literal(self, code: int) -> None:
        if self.prefix_open:
            self.prefix.append(code)
        self.item(source_of(self.folded({code})))

    def codes(self, codes: frozenset[int]) -> None:
        self.not_literal(source_of(codes))

    def not_literal(self, linear: str, backtracking: str | None = None) -> None:
        self.end_prefix()
        self.item(linear, backtracking)

    def item(self, linear: str, backtracking: str | None = None) -> None:
        self.item_size = 1
        self.frames[-1].size += 1
        self.emit(linear, backtracking)
        self.check_size()

    def end_prefix(self) -> None:
        self.prefix_open = False
        self.plain = False

    def folded(self, codes: Iterable[int]) -> frozenset[int]:
        found = frozenset(codes)
        if not self.ignore_case:
            return found
        return found | {code ^ 0x20 for code in found if code in ALPHA}

    def check_size(self) -> None:
        if sum(frame.size for frame in self.frames) > MAX_SIZE:
            raise self.error("the pattern is too large")

    def error(self, reason: str) -> PatternError:
        return PatternError(reason, self.at)

    # --- items

    def anchor(self, char: str) -> None:
        self.at += 1
        self.end_prefix()
        self.line_end = self.line_end or char == "$"
        self.item_size = 0
        self.emit(char)

    def quantifier(self) -> None:
        match = _QUANTIFIER.match(self.text, self.at)
        if match is None:
            return
        whole, least_text, comma, most_text, mode = match.groups()
        least = int(least_text) if least_text else 0
        most = int(most_text) if most_text else least
        if most < least or most > 65535:
            raise self.error(f"the repeat {whole} is out of range")
        self.at = match.end()
        if self.prefix_open and self.prefix:
            self.prefix.pop()
        self.end_prefix()
        if mode == "+":
            self.needs_backtracking = True
        times = max(most, 1) + (1 if comma else 0)
        self.frames[-1].size += self.item_size * (times - 1)
        self.check_size()
        self.emit(match[0])
        if (again := _QUANTIFIER.match(self.text, self.at)) is not None:
            raise self.error(f"a repeat of a repeat: {again[0]!r}")

    def open_group(self) -> None:
        self.end_prefix()
        text, at = self.text, self.at
        if text.startswith("(*", at):
            raise self.error("verbs such as (*UTF8) are not supported")
        if text.startswith("(?#", at):
            end = text.find(")", at)
            if end < 0:
                raise self.error("a comment is not closed")
            self.at = end + 1
        elif (look := _LOOK.match(text, at)) is not None:
            self.needs_backtracking = True
            self.push(look[0], look.end())
        elif (named := _NAMED_GROUP.match(text, at)) is not None:
            self.push(f"(?P<{self.new_name(named[1])}>", named.end())
        elif (flags := _FLAGS.match(text, at)) is not None:
            self.flags(flags)
        elif (reference := _NAME_REFERENCE.match(text, at)) is not None:
            self.backreference(self.number_of(reference), reference.end())
        elif text.startswith("(?", at):
            raise self.error(f"{text[at : at + 3]}… (recursion, condition or branch reset) is not supported")
        else:
            self.groups += 1
            self.push("(", at + 1)

    def push(self, source: str, end: int) -> None:
        self.frames.append(_Frame(self.ignore_case))
        if len(self.frames) > 250:
            raise self.error("groups are nested too deeply")
        self.emit(source)
        self.at = end

    def close_group(self) -> None:
        if len(self.frames) == 1:
            raise self.error("a closing parenthesis without its opening one")
        frame = self.frames.pop()
        self.ignore_case = frame.ignore_case
        self.at += 1
        self.item_size = frame.size + 1
        self.frames[-1].size += frame.size + 1
        self.emit(")")

    def new_name(self, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise self.error(f"{name!r} is no name of a group")
        if name in self.names:
            raise self.error(f"two groups are named {name!r}")
        self.groups += 1
        self.names[name] = self.groups
        return name

    def flags(self, match: re.Match[str]) -> None:
        on, off, end = match[1], match[2] or "", match[3]
        for flag in on + off:
            if flag not in "ims":
                raise self.error(f"the inline flag {flag!r} is not supported")
        kept = "".join(flag for flag in on if flag != "i")
        dropped = "".join(flag for flag in off if flag != "i")
        self.line_end = self.line_end or "m" in on
        source = f"(?{kept}{'-' + dropped if dropped else ''}"
        if end == ":":
            self.push(f"{source}:", match.end())
        else:
            self.at = match.end()
            if kept or dropped:
                self.emit(f"{source})")
        self.ignore_case = "i" in on or (self.ignore_case and "i" not in off)

    def number_of(self, reference: re.Match[str]) -> int:
        name = next(group for group in reference.groups() if group is not None)
        number = self.names.get(name)
        if number is None:
            raise self.error(f"there is no group {name!r} before its reference")
        return number

    def backreference(self, number: int, end: int) -> None:
        if not 0 < number <= self.groups:
            raise self.error(f"there is no group {number} before its reference")
        self.needs_backtracking = True
        self.at = end
        self.not_literal("", f"(?{'i' if self.ignore_case else ''}:\\{number})")

    # --- escapes

    def escape(self) -> None:
        text, at = self.text, self.at
        char = text[at + 1 : at + 2]
        if char == "":
            raise self.error("a backslash at the end")
        if char == "Q":
            self.quoted()
        elif char in "EK":  # \K moves the start of the match, which neither choosing a route nor captures look at
            self.at += 2
        elif char in "bB":
            self.at += 2
            self.not_literal(f"\\{char}")
        elif char in "AG":
            self.at += 2
            self.not_literal("\\A")
        elif char in "zZ":
            self.at += 2
            self.line_end = self.line_end or char == "Z"
            self.not_literal("\\z", "\\Z" if char == "z" else "(?=\\n?\\Z)")
        elif char == "R":
            self.at += 2
            self.needs_backtracking = True
            self.not_literal("", f"(?>\\r\\n|{source_of(VERTICAL)})")
        elif char == "C":
            self.at += 2
            self.codes(ALL)
        elif (reference := _NAME_REFERENCE.match(text, at)) is not None:
            self.backreference(self.number_of(reference), reference.end())
        elif (numbered := _NUMBER_REFERENCE.match(text, at)) is not None and self.is_reference(numbered):
            number = int(numbered[1] or numbered[2])
            self.backreference(number if number > 0 else self.groups + 1 + number, numbered.end())
        else:
            code, self.at = read_escape(text, at)
            if isinstance(code, int):
                self.literal(code)
            else:
                self.codes(code)

    def is_reference(self, match: re.Match[str]) -> bool:
        plain = match[2]
        return plain is None or len(plain) == 1 or int(plain) <= self.groups

    def quoted(self) -> None:
        end = self.text.find("\\E", self.at)
        literal = self.text[self.at + 2 : end if end >= 0 else None]
        self.at = len(self.text) if end < 0 else end + 2
        for char in literal:
            self.literal(ord(char))
