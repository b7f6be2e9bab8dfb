"""`$ref` in all its forms: pointers, recursion, siblings, identifiers, anchors, drafts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from constrain.errors import SchemaError
from constrain.schema import json_schema
from tests.schema_verdicts import check_both_sides

DRAFT4 = "http://json-schema.org/draft-04/schema#"
DRAFT7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}, ["x"], [1]),
        (
            {"definitions": {"a": {"type": "string"}}, "items": {"$ref": "#/definitions/a"}},
            [["x"], [], 1],
            [[1]],
        ),
        (
            {"properties": {"a": {"type": "null"}, "b": {"$ref": "#/properties/a"}}},
            [{"b": None}],
            [{"b": 1}],
        ),
        (
            {"prefixItems": [{"type": "null"}, {"$ref": "#/prefixItems/0"}]},
            [[None, None]],
            [[None, 1]],
        ),
        (
            {
                "$defs": {
                    "a/b": {"type": "null"},
                    "c~d": {"type": "string"},
                    "e%f": {"const": 1},
                    'g"h': {"const": 2},
                },
                "prefixItems": [
                    {"$ref": "#/$defs/a~1b"},
                    {"$ref": "#/$defs/c~0d"},
                    {"$ref": "#/$defs/e%25f"},
                    {"$ref": "#/$defs/g%22h"},
                ],
            },
            [[None, "x", 1, 2]],
            [[1], [None, 1], [None, "", 2], [None, "", 1, 1]],
        ),
        (
            {"properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
            [{}, {"next": {}}, {"next": {"next": {}}}],
            [{"next": {"x": 1}}, {"y": 1}],
        ),
        (
            {
                "$ref": "#/$defs/tree",
                "$defs": {
                    "tree": {
                        "type": "object",
                        "required": ["v"],
                        "properties": {
                            "v": {"type": "integer"},
                            "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                        },
                    }
                },
            },
            [{"v": 1}, {"v": 1, "kids": [{"v": 2, "kids": []}]}],
            [{}, {"v": 1, "kids": [{}]}, {"v": 1, "kids": [{"v": 1, "kids": [3]}]}],
        ),
        (
            {"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s", "maxLength": 1},
            ["a"],
            ["ab", 1],
        ),
        (
            {
                "$schema": DRAFT7,
                "definitions": {"s": {"type": "string"}},
                "items": {"$ref": "#/definitions/s", "maxLength": 1},
            },
            [["ab"]],
            [[1]],
        ),
        (
            {
                "$defs": {
                    "a": {"allOf": [{"$ref": "#/$defs/b"}, {"required": ["x"]}]},
                    "b": {"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}}},
                },
                "$ref": "#/$defs/a",
            },
            [{"x": 1}, {"x": 1, "n": {"x": 1}}],
            [{}, {"x": 1, "n": {}}, {"x": 1, "n": 3}],
        ),
        (
            {
                "$id": "http://example.com/root.json",
                "$defs": {"a": {"type": "null"}},
                "prefixItems": [
                    {"$ref": "#/$defs/a"},
                    {"$ref": "root.json#/$defs/a"},
                    {"$ref": "http://example.com/root.json#/$defs/a"},
                ],
            },
            [[None, None, None]],
            [[1], [None, 1], [None, None, 1]],
        ),
        (
            {
                "$id": "http://example.com/root.json",
                "$defs": {
                    "a": {
                        "$id": "other.json",
                        "$defs": {"b": {"type": "null"}},
                        "items": {"$ref": "#/$defs/b"},
                    },
                    "b": {"type": "string"},
                },
                "prefixItems": [
                    {"$ref": "other.json"},
                    {"$ref": "#/$defs/b"},
                    {"$ref": "other.json#/$defs/b"},
                ],
            },
            [[[None], "x", None], [[]]],
            [[[1]], [[], None], [[], "x", "x"]],
        ),
        (
            {"$defs": {"a": {"$anchor": "here", "type": "null"}}, "items": {"$ref": "#here"}},
            [[None]],
            [[1]],
        ),
        (
            {
                "$schema": DRAFT7,
                "definitions": {"a": {"$id": "#here", "type": "null"}},
                "items": {"$ref": "#here"},
            },
            [[None]],
            [[1]],
        ),
        (
            {
                "$schema": DRAFT4,
                "id": "http://example.com/r.json",
                "definitions": {"a": {"id": "b.json", "type": "null"}},
                "items": {"$ref": "b.json"},
            },
            [[None]],
            [[1]],
        ),
        ({"properties": {"$ref": {"type": "string"}}}, [{"$ref": "a"}], [{"$ref": 1}]),
        ({"enum": [{"$ref": "#/nowhere"}]}, [{"$ref": "#/nowhere"}], [{}]),
    ],
)
def test_references(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("#/nowhere", "cannot be resolved"),
        ("#/$defs/list/7", "cannot be resolved"),
        ("#/$defs/list/x", "cannot be resolved"),
        ("#anchor", "cannot be resolved"),
        ("http://example.com/other.json", "cannot be resolved"),
        ("other.json#/a", "cannot be resolved"),
        (3, "must be a string, not 3"),
        (None, "must be a string, not null"),
    ],
)
def test_what_cannot_be_resolved_is_named(reference: Any, reason: str) -> None:
    schema = {"$defs": {"list": [{}]}, "properties": {"a": {"$ref": reference}}}
    with pytest.raises(SchemaError, match=reason) as caught:
        json_schema(schema)
    assert caught.value.pointer == "#/properties/a"
    assert caught.value.keyword == "$ref"
    assert caught.value.value == reference


def test_a_reference_to_no_schema_is_named() -> None:
    with pytest.raises(SchemaError, match="must be an object or a boolean") as caught:
        json_schema({"$defs": {"list": [{}]}, "items": {"$ref": "#/$defs/list"}})
    assert caught.value.pointer == "#/$defs/list"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        },
        {
            "items": {"$ref": "#/$defs/a"},
            "$defs": {"a": {"allOf": [{}, {"$ref": "#/$defs/a"}]}},
        },
        {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_a_schema_defined_by_itself_alone_is_an_error(schema: Any) -> None:
    with pytest.raises(SchemaError, match="defined by itself alone"):
        json_schema(schema)


def test_one_target_is_one_rule() -> None:
    schema = {
        "$defs": {"a": {"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}}}},
        "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"allOf": [{"$ref": "#/$defs/a"}]}},
    }
    assert set(json_schema(schema).rules) == {"#", "#/$defs/a", "any value"}


def test_conjunction_of_recursive_schemas_ends() -> None:
    schema = {
        "$defs": {
            "a": {"properties": {"n": {"$ref": "#/$defs/a"}, "x": {"type": "integer"}}},
            "b": {"properties": {"n": {"$ref": "#/$defs/b"}, "x": {"minimum": 3}}},
        },
        "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
        "type": "object",
    }
    check_both_sides(
        schema,
        [{}, {"x": 3}, {"n": {"x": 4}}, {"n": {"n": {"x": 4}}, "x": 5}],
        [{"x": 2}, {"x": 3.5}, {"n": {"x": 2}}, {"n": {"n": {"x": 3.5}}}],
    )


def test_local_references_import_no_resolver() -> None:
    code = (
        "import sys; from constrain.schema import json_schema; "
        "json_schema({'$id': 'http://e.x/r', '$ref': '#/$defs/a',"
        " '$defs': {'a': {'type': 'string'}}}); "
        "assert 'referencing' not in sys.modules; assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
