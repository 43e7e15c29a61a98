"""The API describes itself truly."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from dcdaemon.api.bodies import ChangeBody, JobBody

ROOT = Path(__file__).parents[3]


def every(document: Any, key: str):
    if isinstance(document, dict):
        if key in document:
            yield document[key]
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from every(item, key)


def test_every_schema_is_one_and_every_reference_leads_somewhere(door):
    described = door.ada.get("/openapi.json")
    assert (described["openapi"][:2], described["info"]["version"]) == ("3.", "0.1.0")
    schemas = described["components"]["schemas"]
    kinds = {"object", "array", "string", "integer", "number", "boolean", "null"}
    assert {kind for kind in every(schemas, "type") if isinstance(kind, str)} <= kinds
    assert all(schema.keys() & {"type", "anyOf", "$ref"} for schema in schemas.values())
    references = set(every(described, "$ref"))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


def test_every_operation_has_a_description_an_id_of_its_own_and_its_path_parameters(door):
    described = door.ada.get("/openapi.json")
    operations = [(path, one) for path, methods in described["paths"].items() for one in methods.values()]
    assert len({one["operationId"] for _, one in operations}) == len(operations) == 31
    for path, one in operations:
        assert path.startswith("/v1/")
        assert one["description"]
        assert one["responses"]
        named = {parameter["name"] for parameter in one.get("parameters", ()) if parameter["in"] == "path"}
        assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}


def test_what_the_description_allows_is_what_the_daemon_reads(door):
    schemas = door.ada.get("/openapi.json")["components"]["schemas"]
    for body in (JobBody, ChangeBody):
        described = schemas[body.__name__]
        assert described["properties"].keys() == body.model_fields.keys()
        assert described["additionalProperties"] is False


def test_the_page_is_what_the_generator_prints():
    command = [sys.executable, "-m", "contributing.list_routes"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert (ROOT / "docs" / "api.md").read_text() == printed
