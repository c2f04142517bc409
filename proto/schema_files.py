"""Writes ``proto/schema/``: a JSON Schema of each route event's data and of the envelope, made from ``proto.events``.

``python -m proto.schema_files`` writes them, with an example of each event in ``proto/golden/events/``; a test fails
when what is committed differs from what the types say.
"""

from __future__ import annotations

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from proto.event_examples import EXAMPLES, example_event
from proto.events import EVENT_TYPES, TYPE_PREFIX, CloudEvent
from proto.reports import to_json

HERE = Path(__file__).parent
BASE = "https://limen.io/schema/"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema: ``<type>.json`` for the data of each type, ``cloudevent.json`` for the envelope."""
    found = {f"{type_.type}.json": _schema(type_, f"{type_.type}.json") for type_ in EVENT_TYPES}  # type: ignore[attr-defined]
    return {"cloudevent.json": _envelope(list(found)), **found}


def _schema(type_: type[msgspec.Struct], file: str) -> dict[str, Any]:
    schema = _tidy(json.loads(json.dumps(msgspec.json.schema(type_))))  # defaults of tuples become lists
    definitions = schema["$defs"]
    own = definitions.pop(schema["$ref"].rpartition("/")[2])
    rest = {"$defs": dict(sorted(definitions.items()))} if definitions else {}
    return {"$schema": DRAFT, "$id": BASE + file, **own, **rest}


def _tidy(value: Any) -> Any:
    """``value`` with the indentation of docstrings taken out of its descriptions."""
    if isinstance(value, dict):
        return {key: cleandoc(item) if key == "description" else _tidy(item) for key, item in value.items()}
    return [_tidy(item) for item in value] if isinstance(value, list) else value


def _envelope(files: list[str]) -> dict[str, Any]:
    envelope = _schema(CloudEvent, "cloudevent.json")
    properties = envelope["properties"]
    properties["specversion"] = {"const": "1.0"}
    properties["type"] = {"enum": [TYPE_PREFIX + file.removesuffix(".json") for file in files]}
    properties["time"]["format"] = "date-time"
    envelope["allOf"] = [
        {
            "if": {"properties": {"type": {"const": TYPE_PREFIX + file.removesuffix(".json")}}, "required": ["type"]},
            "then": {"properties": {"data": {"$ref": BASE + file}}},
        }
        for file in files
    ]
    return envelope


def examples() -> dict[str, bytes]:
    """File name → the bytes of an event as they stand on the bus."""
    return {f"{data.type}.json": to_json(example_event(data)) for data in EXAMPLES}


def main() -> None:
    """Write everything anew."""
    for folder in ("schema", "golden/events"):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
        for old in (HERE / folder).glob("*.json"):
            old.unlink()
    for name, schema in schemas().items():
        (HERE / "schema" / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    for name, event in examples().items():
        (HERE / "golden/events" / name).write_bytes(event + b"\n")


if __name__ == "__main__":
    main()
