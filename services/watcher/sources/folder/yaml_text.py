"""YAML as Kubernetes' tools read it, with the lines on which things stand.

Pure. The scalars of kubectl's parser differ from PyYAML's: times stay text, there are no numbers to base 60 and no
special ``=``. Lines are looked up only when a mistake has to be shown: composing marks for every node costs as much
as parsing.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

MAX_ALIASES: Final = 200
"""A document with more aliases is refused: a few nested ones grow to billions of nodes when written out."""
LINES_FOUND_UP_TO: Final = 128 * 1024
"""Characters of a document in which lines are looked up: composing a tree for that costs a second per megabyte, and the
watcher hears nothing meanwhile. In a larger one the first line stands for all."""


class YamlError(ValueError):
    """Text that is not YAML; ``line`` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


class _Loader(yaml.CSafeLoader):
    """The safe loader with the scalars of manifests, and with keys that are text: ``9000: ns/service:80`` means what it
    means to kubectl, which makes JSON of everything."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, its numbers and truth values among the keys as JSON has them."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if all(type(key) is str for key in mapping):
            return mapping
        return {_key(key): value for key, value in mapping.items()}


def _key(key: Any) -> Any:
    """``key`` as sigs.k8s.io/yaml writes it; what that knows no text for stays, and is named where it is read."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key).removesuffix(".0") if isinstance(key, int | float) else key


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"^$")))

_TEMPLATE: Final = re.compile(r"\{\{-?\s*(?:[.$]|/\*|(?:if|else|end|range|with|define|include|template|toYaml|tpl)\b)")
_ALIAS: Final = re.compile(r"(?:^|[\s\[{,:-])\*[^\s\[\]{},]+")


def load(text: str) -> Any:
    """The tree of one YAML document. Raises YamlError."""
    if "*" in text and text.count("&") and len(_ALIAS.findall(text)) > MAX_ALIASES:
        raise YamlError(1, f"more than {MAX_ALIASES} aliases")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(mark.line + 1 if mark else 1, f"not YAML: {reason}{_of_a_template(text)}") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise YamlError(_line_of_character(text, error), f"not YAML: {reason}") from None


def _of_a_template(text: str) -> str:
    """What else is to be said of text that is not YAML."""
    return "; it is a template, which `helm template` makes a manifest of" if _TEMPLATE.search(text) else ""


def _line_of_character(text: str, error: Exception) -> int:
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


def line_of(text: str, path: tuple[str | int, ...]) -> int:
    """The line, from 1, of what ``path`` leads to in a document that parses; of the last step found, if it ends."""
    if not path or len(text) > LINES_FOUND_UP_TO or "\n" not in text.strip():
        return _first_line(text)
    try:
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError:
        return 1
    line = node.start_mark.line + 1 if node is not None else 1
    for step in path:
        following = _child(node, step)
        if following is None:
            break
        line, node = following
    return line


def _first_line(text: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", "---", "%")):
            return number
    return 1


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    return None
