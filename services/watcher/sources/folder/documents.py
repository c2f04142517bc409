"""Manifest text -> objects: YAML of many documents, JSON, Lists; each mistake named with its document, line and reason.

Pure. A document that cannot be read spoils no other. Must not know where the text comes from nor what was read before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct

from proto.codec import encode
from proto.objects import ObjectKey, key_of
from services.contract.ingress_manifest import OLD_VERSIONS, IngressManifest, trim_ingress
from services.watcher import manifest, trim
from services.watcher.observed import RawSecret, Value
from services.watcher.sources.folder.yaml_text import YamlError, line_of, load

_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NOTHING: Final = re.compile(r"(?:\s*(?:#[^\n]*|%[^\n]*|\.\.\.)?(?:\n|\Z))*")

DEFAULT_NAMESPACE: Final = "default"

Path = tuple[str | int, ...]


class Found(Struct, frozen=True):
    """One object of a document, and where it stands there."""

    key: ObjectKey
    value: Value
    path: Path = ()


class Mistake(Struct, frozen=True):
    """Why something was not taken over. ``key``: the object, where it could be told. ``note``: it means nothing here,
    which is no error."""

    line: int
    reason: str
    key: ObjectKey | None = None
    note: bool = False


class Document(Struct, frozen=True):
    """What one document gave. Lines count from 1 within ``text``."""

    found: tuple[Found, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


class Piece(Struct, frozen=True):
    """The text of one document and the number of its first line in the file."""

    text: str
    first_line: int


def pieces_of(text: str) -> list[Piece]:
    """The documents of a YAML file. A line that starts with ``---`` ends a document wherever it stands (YAML 1.2,
    section 9.1.2), so the text can be split before it is parsed. Pieces without content are left out."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text)), len(text)]
    pieces, line = [], 1
    for start, end in pairwise(starts):
        piece = text[start:end]
        content = piece[3:] if piece.startswith("---") else piece
        if not _NOTHING.fullmatch(content):
            pieces.append(Piece(piece, line))
        line += piece.count("\n")
    return pieces


def read_yaml(text: str) -> Document:
    """The objects of one YAML document."""
    try:
        tree = load(text)
    except YamlError as error:
        return Document((), (Mistake(error.line, error.reason),))
    return _document(tree, text)


def read_json(data: bytes) -> Document:
    """The objects of a JSON file."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = re.search(r"\(byte (\d+)\)", str(error))
        line = data.count(b"\n", 0, int(place[1])) + 1 if place else 1
        return Document((), (Mistake(line, f"not JSON: {error}"),))
    return _document(tree, data.decode())


def _document(tree: Any, text: str) -> Document:
    found: list[Found] = []
    mistakes: list[Mistake] = []
    for path, item in _items(tree, ()):
        try:
            found += [Found(key_of_value(value), value, path) for value in _read(item)]
        except _RejectedError as error:
            line = line_of(text, path + error.path)
            mistakes.append(Mistake(line, error.reason, error.key, error.note))
    return Document(tuple(found), tuple(mistakes))


def key_of_value(value: Value) -> ObjectKey:
    """The identity of what a source holds."""
    if isinstance(value, RawSecret):
        return ObjectKey("secret", value.namespace, value.name)
    return key_of(value)


class _RejectedError(Exception):
    def __init__(self, reason: str, path: Path = (), key: ObjectKey | None = None, note: bool = False) -> None:
        self.reason, self.path, self.key, self.note = reason, path, key, note


def _items(tree: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """``tree``, or each item of it when it is a List (of Lists …)."""
    if isinstance(tree, dict) and isinstance(tree.get("items"), list) and str(tree.get("kind", "")).endswith("List"):
        kind = str(tree["kind"]).removesuffix("List")
        for number, item in enumerate(tree["items"]):
            if kind and isinstance(item, dict):
                # Items of a typed list need not repeat what the list says.
                item = {"kind": kind, "apiVersion": tree.get("apiVersion"), **item}
            yield from _items(item, (*path, "items", number))
    else:
        yield path, tree


_TYPES: Final[dict[str, tuple[frozenset[str], type[manifest.Manifest]]]] = {
    "Ingress": (frozenset({"networking.k8s.io/v1", *OLD_VERSIONS}), IngressManifest),
    "IngressClass": (
        frozenset({"networking.k8s.io/v1", "networking.k8s.io/v1beta1"}),
        manifest.IngressClassManifest,
    ),
    "Service": (frozenset({"v1"}), manifest.ServiceManifest),
    "Endpoints": (frozenset({"v1"}), manifest.EndpointsManifest),
    "EndpointSlice": (
        frozenset({"discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"}),
        manifest.EndpointSliceManifest,
    ),
    "Secret": (frozenset({"v1"}), manifest.SecretManifest),
    "ConfigMap": (frozenset({"v1"}), manifest.ConfigMapManifest),
}
_CLUSTER_WIDE: Final = frozenset({"IngressClass"})


def _read(item: Any) -> list[Value]:
    """The values of one manifest. Raises _RejectedError."""
    if not isinstance(item, dict):
        raise _RejectedError(f"not a Kubernetes object but {_shape(item)}")
    kind, version = item.get("kind"), item.get("apiVersion")
    if not isinstance(kind, str) or not kind:
        raise _RejectedError("no kind: every object says what it is")
    if kind not in _TYPES:
        raise _RejectedError(f"{kind} means nothing here: passed over", ("kind",), note=True)
    versions, type_ = _TYPES[kind]
    if not isinstance(version, str) or version not in versions:
        known = ", ".join(sorted(versions))
        raise _RejectedError(f"{kind} of apiVersion {version!r} is not known (known: {known})", ("apiVersion",))
    key = _identity(kind, item)
    _check_names(kind, version, item, key)
    try:
        parsed = msgspec.convert(_with_namespace(kind, item), type_)
    except msgspec.ValidationError as error:
        path, reason = _explain(str(error), item)
        raise _RejectedError(reason, path, key) from None
    try:
        values = _trim(parsed)
        encode(values)  # no API server has checked it: what cannot cross the bus is found here, with its place
    except OverflowError:
        raise _RejectedError("a number in it is too large", (), key) from None
    except ValueError as error:
        raise _RejectedError(str(error), (), key) from None
    return values


def _identity(kind: str, item: dict[str, Any]) -> ObjectKey:
    meta = item.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or name is None or name == "":
        raise _RejectedError(f"{kind} without metadata.name", ("metadata",))
    if not isinstance(name, str):
        raise _RejectedError(f"metadata.name is {_shape(name)}, not text: put it in quotes", ("metadata", "name"))
    namespace = meta.get("namespace") or DEFAULT_NAMESPACE
    if not isinstance(namespace, str):
        raise _RejectedError(f"metadata.namespace is {_shape(namespace)}, not text", ("metadata", "namespace"))
    return ObjectKey(kind.lower(), "" if kind in _CLUSTER_WIDE else namespace, name)  # type: ignore[arg-type]


def _check_names(kind: str, version: str, item: dict[str, Any], key: ObjectKey) -> None:
    """Names of fields that belong to the other version of Ingress: the most frequent mistake when moving to v1."""
    if kind != "Ingress" or version != "networking.k8s.io/v1":
        return
    spec = item.get("spec")
    rules = spec.get("rules") if isinstance(spec, dict) else None
    if isinstance(spec, dict) and "backend" in spec:
        raise _RejectedError("spec.backend is called spec.defaultBackend in v1", ("spec", "backend"), key)
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        http = rule.get("http") if isinstance(rule, dict) else None
        paths = http.get("paths") if isinstance(http, dict) else None
        for place, path in enumerate(paths if isinstance(paths, list) else ()):
            backend = path.get("backend") if isinstance(path, dict) else None
            if isinstance(backend, dict) and "serviceName" in backend:
                where: Path = ("spec", "rules", number, "http", "paths", place, "backend", "serviceName")
                raise _RejectedError("serviceName is called service.name in networking.k8s.io/v1", where, key)


def _with_namespace(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    if kind in _CLUSTER_WIDE or item["metadata"].get("namespace"):
        return item
    return {**item, "metadata": {**item["metadata"], "namespace": DEFAULT_NAMESPACE}}


def _trim(parsed: manifest.Manifest) -> list[Value]:
    match parsed:
        case IngressManifest():
            return [trim_ingress(parsed)]
        case manifest.IngressClassManifest():
            return [trim.trim_ingress_class(parsed)]
        case manifest.ServiceManifest():
            return [trim.trim_service(parsed)]
        case manifest.EndpointsManifest():
            return list(trim.trim_endpoints(parsed))
        case manifest.EndpointSliceManifest():
            slice_ = trim.trim_endpoint_slice(parsed)
            if slice_ is None:
                raise _RejectedError(f"EndpointSlice without the label {trim.SERVICE_LABEL}: it serves no Service")
            return [slice_]
        case manifest.SecretManifest():
            return [trim.raw_secret(parsed)]
        case manifest.ConfigMapManifest():
            return [trim.trim_config_map(parsed)]
        case _:
            return []


_PLACE: Final = re.compile(r"(?P<what>.*) - at (?P<key>`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")


def _explain(message: str, item: dict[str, Any]) -> tuple[Path, str]:
    """The path that a decoding error of ``item`` names, and the error in the words of manifests."""
    match = _PLACE.fullmatch(message)
    if match is None:
        return (), message
    steps: Path = tuple(
        step[1] or (int(step[2]) if step[2].isdigit() else step[2]) for step in _STEP.finditer(match["path"])
    )
    shown = match["path"].lstrip(".")
    others: list[str] = []
    if "..." in steps:
        steps, others = _keyed(steps, item)
        shown = shown.replace("[...]", f"[{steps[-1]}]")
    reason = match["what"].replace("Expected `", "expected `").replace("str", "text")
    if match["key"]:
        return steps, f"{shown}: a key that is no text"
    if "expected `text" in reason:
        reason += ": put the value in quotes"
    if "expected `int" in reason and "got `text`" in reason:
        reason += ": write the number without quotes"
    also = f", and those of {', '.join(others)}" if others else ""
    return steps, f"{shown}: {reason}{also}"


def _keyed(steps: Path, item: Any) -> tuple[Path, list[str]]:
    """``steps`` up to the key under which the first value is that is not text, in place of the dots that the decoder
    has for it; and the keys of the others."""
    before = steps[: steps.index("...")]
    for step in before:
        item = item[step]
    wrong = [str(key) for key, value in item.items() if not isinstance(value, str | None)]
    return ((*before, wrong[0]), wrong[1:]) if wrong else (before, [])


def _shape(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "something else")
