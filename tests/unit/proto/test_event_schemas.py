"""Route events: their JSON Schemas and golden examples say what the types say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec import Struct
from referencing import Registry, Resource

from proto import schema_files
from proto.event_examples import EXAMPLES
from proto.events import EVENT_TYPES, CloudEvent
from services.contract.diagnostic_codes import CODES

PROTO = Path(schema_files.__file__).parent
SCHEMAS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text()) for path in sorted((PROTO / "schema").glob("*.json"))
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
NAMES = [type_.type for type_ in EVENT_TYPES]  # type: ignore[attr-defined]


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMAS[f"{name}.json"], registry=REGISTRY)


def test_committed_schemas_are_those_of_the_types() -> None:
    assert schema_files.schemas() == SCHEMAS, "run: make schema"


def test_committed_examples_are_what_the_encoder_writes() -> None:
    golden = {path.name: path.read_bytes().rstrip(b"\n") for path in (PROTO / "golden/events").glob("*.json")}
    assert golden == schema_files.examples(), "run: make schema, if the change of the format is meant"


def test_there_is_one_example_of_each_type() -> None:
    assert tuple(type(example) for example in EXAMPLES) == EVENT_TYPES


@pytest.mark.parametrize("name", NAMES)
def test_example_fits_the_schemas_and_reads_back(name: str) -> None:
    event = (PROTO / "golden/events" / f"{name}.json").read_bytes()
    _validator("cloudevent").validate(json.loads(event))
    decoded = msgspec.json.decode(event, type=CloudEvent)
    _validator(name).validate(json.loads(bytes(decoded.data)))
    type_: type[Struct] = EVENT_TYPES[NAMES.index(name)]
    assert msgspec.json.decode(bytes(decoded.data), type=type_) == EXAMPLES[NAMES.index(name)]


@pytest.mark.parametrize("name", NAMES)
def test_envelope_has_what_cloudevents_requires(name: str) -> None:
    event = json.loads((PROTO / "golden/events" / f"{name}.json").read_bytes())
    assert event["specversion"] == "1.0"
    assert all(event[attribute] for attribute in ("id", "source", "type", "time", "dataschema"))
    assert event["type"] == f"io.limen.{name}"
    assert event["datacontenttype"] == "application/json"


@pytest.mark.parametrize("attribute", ["id", "source", "type", "subject", "time", "data"])
def test_schema_refuses_an_event_without(attribute: str) -> None:
    event = json.loads((PROTO / "golden/events/route.added.json").read_bytes())
    del event[attribute]
    assert not _validator("cloudevent").is_valid(event)


def test_schema_refuses_data_of_another_type() -> None:
    event = json.loads((PROTO / "golden/events/route.added.json").read_bytes())
    event["type"] = "io.limen.edge.joined"
    assert not _validator("cloudevent").is_valid(event)


def test_codes_in_examples_are_real_ones() -> None:
    found = [finding.code for example in EXAMPLES for finding in getattr(example, "diagnostics", ())]
    assert found
    assert set(found) <= set(CODES)
