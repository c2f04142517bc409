"""Files -> objects: which file says what, what is kept of a broken one, and who wins when two say the same.

The one owner of that state; pure otherwise. A file that is broken, or broken in part, keeps its last good objects.
When two files hold the same object, the first by path wins, and both are named.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, IngressClass, ObjectKey
from services.contract.classes import CLASS_ANNOTATION
from services.contract.diagnostics import finding
from services.watcher.observed import Value
from services.watcher.sources.folder.documents import Document, Mistake, Path, Piece, pieces_of, read_json, read_yaml
from services.watcher.sources.folder.yaml_text import line_of

MAX_FILE = 64 * 1024 * 1024
MAX_MISTAKES = 50
"""So many mistakes are named per file; more would bury them."""

PLACE = ObjectKey("source", "", "folder")
"""Whom a finding concerns when the object cannot be told."""


class Placed(Struct, frozen=True):
    """An object and where it stands: ``document`` counts from 1."""

    value: Value
    document: int
    piece: Piece
    path: Path

    def line(self) -> int:
        """Its line in the file."""
        return self.piece.first_line + line_of(self.piece.text, self.path) - 1


class _File(Struct):
    documents: dict[str, Document] = {}
    objects: dict[ObjectKey, Placed] = {}
    mistakes: tuple[Diagnostic, ...] = ()


class Folder:
    """All files of the source. Call ``put`` and ``drop`` for files that changed, then ``changes``."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._claims: dict[ObjectKey, dict[str, Placed]] = {}
        self._current: dict[ObjectKey, Value] = {}
        self._default_class: str | None = None
        self._touched: set[ObjectKey] = set()
        self._reported: set[str] = set()
        self._away: frozenset[str] = frozenset()

    @property
    def files(self) -> frozenset[str]:
        """The files that are known."""
        return frozenset(self._files)

    def put(self, file: str, data: bytes) -> None:
        """``file`` holds ``data`` now."""
        old = self._files.get(file) or _File()
        if len(data) > MAX_FILE:
            self.refuse(file, len(data))
            return
        if file.endswith(".json"):
            piece = Piece(data.decode(errors="replace"), 1)
            documents = [(piece, read_json(data) if data.strip() else Document())]
        else:
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                self.fail(file, f"not UTF-8: {error.reason} at byte {error.start}")
                return
            documents = [(piece, old.documents.get(piece.text) or read_yaml(piece.text)) for piece in pieces_of(text)]
        self._replace(file, old, documents)

    def fail(self, file: str, reason: str) -> None:
        """``file`` cannot be read now; it keeps its last good objects."""
        old = self._files.setdefault(file, _File())
        old.mistakes = (_mistake(file, None, Mistake(1, reason)),)
        self._reported.add(file)

    def refuse(self, file: str, size: int) -> None:
        """``file`` has ``size`` bytes, more than ``MAX_FILE``; it keeps its last good objects."""
        self.fail(file, f"{size} bytes; {MAX_FILE} is the most that is read")

    def drop(self, file: str) -> None:
        """``file`` is gone."""
        old = self._files.pop(file, None)
        if old is not None:
            self._reported.add(file)
            for key in old.objects:
                self._claim(key, file, None)

    def changes(
        self, away: Collection[str] = ()
    ) -> tuple[list[tuple[ObjectKey, Value | None]], dict[str, tuple[Diagnostic, ...]]]:
        """What changed since the last call: objects (None: gone) in a steady order, and the findings of each file.
        ``away``: files that are not there just now; what they held stays, but where another file says it too they are
        taken for moved."""
        self._away = frozenset(away)
        changed: list[tuple[ObjectKey, Value | None]] = []
        self._follow_default_class()
        for key in sorted(self._touched):
            claims = self._claims.get(key)
            before = self._current.get(key)
            if not claims:
                if before is not None:
                    del self._current[key]
                    changed.append((key, None))
                continue
            value = self._with_class(claims[self._winner(claims)].value)
            if before != value:
                self._current[key] = value
                changed.append((key, value))
        reported = self._reported | {file for key in self._touched for file in self._claims.get(key, ())}
        self._touched, self._reported = set(), set()
        return changed, {file: self._findings(file) for file in sorted(reported)}

    def _follow_default_class(self) -> None:
        """The class that Ingresses without one get, as an API server gives it to them when they are created; several
        default classes make none (Kubernetes: the newest, but a folder knows no age)."""
        if not any(key.kind == "ingressclass" for key in self._touched):
            return
        classes = (
            claims[self._winner(claims)].value for key, claims in self._claims.items() if key.kind == "ingressclass"
        )
        names = [value.name for value in classes if isinstance(value, IngressClass) and value.is_default]
        default = names[0] if len(names) == 1 else None
        if default != self._default_class:
            self._default_class = default
            self._touched |= {key for key in self._claims if key.kind == "ingress"}

    def _with_class(self, value: Value) -> Value:
        if (
            self._default_class is None
            or not isinstance(value, Ingress)
            or value.class_name is not None
            or CLASS_ANNOTATION in value.annotations
        ):
            return value
        return replace(value, class_name=self._default_class)

    def _replace(self, file: str, old: _File, documents: list[tuple[Piece, Document]]) -> None:
        objects: dict[ObjectKey, Placed] = {}
        mistakes: list[Diagnostic] = []
        keep_all, keep = False, set[ObjectKey]()
        for number, (piece, document) in enumerate(documents, 1):
            for found in document.found:
                placed = Placed(found.value, number, piece, found.path)
                if found.key in objects:
                    mistakes.append(_twice(file, found.key, placed, file, objects[found.key]))
                else:
                    objects[found.key] = placed
            for mistake in document.mistakes:
                mistakes.append(_mistake(file, (number, piece), mistake))
                if mistake.key is not None and mistake.key.kind in _ONE_TO_ONE:
                    keep.add(mistake.key)
                elif not mistake.note:
                    keep_all = True
        for key, placed in old.objects.items():
            if key not in objects and (keep_all or key in keep):
                objects[key] = placed
        cached = {piece.text: document for piece, document in documents if not document.mistakes}
        self._files[file] = _File(cached, objects, tuple(mistakes[:MAX_MISTAKES]))
        self._reported.add(file)
        for key in old.objects.keys() - objects.keys():
            self._claim(key, file, None)
        for key, placed in objects.items():
            if old.objects.get(key) is not placed:
                self._claim(key, file, placed)

    def _claim(self, key: ObjectKey, file: str, placed: Placed | None) -> None:
        self._touched.add(key)
        claims = self._claims.setdefault(key, {})
        if placed is not None:
            claims[file] = placed
            return
        claims.pop(file, None)
        if not claims:
            del self._claims[key]
        # Whoever shared the object with this file is to be reported anew.
        self._reported.update(claims)

    def _winner(self, claims: Collection[str]) -> str:
        """The file whose word on an object counts."""
        return min(claims, key=lambda file: (file in self._away, file))

    def _findings(self, file: str) -> tuple[Diagnostic, ...]:
        known = self._files.get(file)
        if known is None:
            return ()
        shared = []
        for key, placed in known.objects.items():
            claims = self._claims[key]
            if len(claims) > 1 and file not in self._away and (winner := self._winner(claims)) != file:
                shared.append(_twice(file, key, placed, winner, claims[winner]))
        return known.mistakes + tuple(shared[:MAX_MISTAKES])


_ONE_TO_ONE = frozenset({"ingress", "ingressclass", "service", "endpointslice", "secret", "configmap"})
"""Kinds of manifest that become one object of the same name (Endpoints become several)."""


def _mistake(file: str, place: tuple[int, Piece] | None, mistake: Mistake) -> Diagnostic:
    code = "manifest-passed-over" if mistake.note else "manifest-invalid"
    number, first = (place[0], place[1].first_line) if place else (1, 1)
    where = f"{file} document {number} line {first + mistake.line - 1}"
    kept = "" if mistake.note else "; what it held before stays"
    remedy = "" if mistake.note else "correct the manifest"
    return finding(mistake.key or PLACE, code, where, "", f"{mistake.reason}{kept}", remedy)


def _twice(file: str, key: ObjectKey, placed: Placed, winner: str, winning: Placed) -> Diagnostic:
    where = f"{file} document {placed.document} line {placed.line()}"
    first = f"{winner} document {winning.document} line {winning.line()}"
    return finding(
        key,
        "manifest-duplicate",
        where,
        "",
        f"{key} also stands in {first}, which comes first and is taken; this one is passed over",
        "remove one of the two",
    )
