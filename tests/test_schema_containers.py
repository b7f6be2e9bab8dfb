"""Objects and arrays of JSON Schema, with `jsonschema` as the oracle."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constrain.errors import SchemaError, UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import JsonObject, JsonValue, Node, Rule
from constrain.schema import json_schema, keys
from tests.oracle import characters
from tests.oracle.json_text import accepts
from tests.schema_verdicts import check_both_sides
from tests.strategies import LETTERS, regular_nodes

DRAFT7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {}},
                "required": ["a"],
            },
            [{"a": ""}, {"a": "x", "b": None}, {"z": 1, "a": "x"}, {"b": [], "a": ""}],
            [{}, {"a": 1}, {"b": 1}, [], "a"],
        ),
        (
            {"properties": {"a": {"type": "string"}}},
            [{}, {"a": ""}, 3, None, {"b": {"a": 1}}],
            [{"a": 1}],
        ),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            [{}, {"a": 1}],
            [{"b": 1}, {"a": 1, "b": 1}],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}},
                "additionalProperties": {"type": "integer"},
            },
            [{"a": "x", "b": 1, "c": 2}, {}],
            [{"b": "x"}, {"a": 1, "b": 1, "c": None}],
        ),
        (
            {"type": "object", "required": ["x"], "additionalProperties": {"type": "null"}},
            [{"x": None}, {"x": None, "y": None}],
            [{}, {"x": 1}, {"y": None}],
        ),
        ({"properties": {"a": False}}, [{}, {"b": 1}, 1], [{"a": 1}, {"a": None, "b": 1}]),
        (
            {"type": "object", "minProperties": 1, "maxProperties": 2},
            [{"a": 1}, {"a": 1, "b": 2}],
            [{}, {"a": 1, "b": 2, "c": 3}],
        ),
        (
            {"type": "object", "properties": {'é"/~%': {"type": "null"}}},
            [{'é"/~%': None}],
            [{'é"/~%': 1}],
        ),
        (
            {"enum": [{"a": 1, "b": [True, {}]}, []]},
            [{"a": 1, "b": [True, {}]}, {"b": [True, {}], "a": 1}, []],
            [
                {"a": 1},
                {"a": 1, "b": [True, {}], "c": 0},
                {"a": 1, "b": [1, {}]},
                {},
                [1],
                {"a": 2, "b": [True, {}]},
                {"a": 1, "b": [True, {"z": 1}]},
            ],
        ),
        ({"const": [0, False]}, [[0, False]], [[False, 0], [0, 0], [0], [0, False, 0]]),
        ({"const": False}, [False], [0, None, ""]),
        ({"enum": [1, None]}, [1, None], [True, 0, "1"]),
        (
            {"enum": [{"a": 1}, {"a": "x"}], "properties": {"a": {"type": "string"}}},
            [{"a": "x"}],
            [{"a": 1}],
        ),
        (
            {"dependentRequired": {"a": ["b", "c"]}},
            [{}, {"b": 1}, {"a": 1, "b": 2, "c": 3}, "a"],
            [{"a": 1}, {"a": 1, "b": 2}],
        ),
        (
            {"dependentSchemas": {"a": {"properties": {"b": {"type": "null"}}}}},
            [{"b": 1}, {"a": 1, "b": None}, {"a": 1}, 5],
            [{"a": 1, "b": 1}],
        ),
        (
            {"$schema": DRAFT7, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
            [{"a": 1, "b": 1}, {"c": 1, "d": 1}, {"b": 1}],
            [{"a": 1}, {"c": 1, "a": 1, "b": 1}],
        ),
    ],
)
def test_object_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (
            {"patternProperties": {"^x": NULL}, "additionalProperties": False},
            [{}, {"x": None, "xy": None}, 3],
            [{"x": 1}, {"y": None}, {"ax": None}],
        ),
        (
            {
                "properties": {"x1": {"type": ["null", "integer"]}, "y": {}},
                "patternProperties": {"^x": NULL},
                "additionalProperties": False,
            },
            [{"y": 1, "x1": None, "x2": None}],
            [{"x1": 1}, {"z": None}, {"x2": 1}],
        ),
        ({"patternProperties": {"^x": False}}, [{}, {"y": 1}], [{"x": 1}, {"xx": 1, "y": 1}]),
        ({"patternProperties": {".*": NULL}}, [{}, {"a": None}], [{"a": 1}]),
        (
            {"properties": {"a": {}}, "patternProperties": {".*": NULL}, "required": ["b"]},
            [{"b": None}, {"a": None, "b": None}],
            [{"b": 1}, {"a": 1, "b": None}, {"a": None}],
        ),
        (
            {
                "patternProperties": {"a": NULL, "b": NULL, "^ab$": False},
                "additionalProperties": False,
            },
            [{"a": None, "b": None, "aab": None}],
            [{"ab": None}, {"c": None}, {"a": 1}],
        ),
        (
            {"patternProperties": {"^[a-c]{2,3}$": {}}, "additionalProperties": False},
            [{"ab": 1, "abc": 2}],
            [{"a": 1}, {"abca": 1}, {"ad": 1}],
        ),
        (
            {
                "required": ["x-a", "b"],
                "patternProperties": {"^x-": NULL},
                "additionalProperties": NULL,
            },
            [{"x-a": None, "b": None}, {"x-a": None, "b": None, "c": None}],
            [{"x-a": 1, "b": None}, {"x-a": None}, {"x-a": None, "b": None, "c": 1}],
        ),
        (
            {
                "allOf": [
                    {"patternProperties": {"^x": NULL}, "additionalProperties": False},
                    {"properties": {"xa": {}, "y": {}}, "required": ["xa"]},
                ]
            },
            [{"xa": None}, {"xa": None, "xb": None}],
            [{}, {"xa": 1}, {"xa": None, "y": None}],
        ),
        (
            {"propertyNames": {"maxLength": 2}, "properties": {"a": NULL, "abc": {}}},
            [{}, {"a": None, "ab": 1}],
            [{"abc": 1}, {"xyz": 1}, {"a": 1}],
        ),
        ({"propertyNames": {"enum": ["a", 1]}}, [{}, {"a": 1}], [{"b": 1}, {"1": 1}]),
        ({"propertyNames": {"pattern": "^a"}, "minProperties": 1}, [{"ab": 1}], [{}, {"b": 1}]),
        ({"propertyNames": False}, [{}, 1], [{"": 1}]),
        (
            {
                "propertyNames": {"pattern": "^[a-z]+$"},
                "patternProperties": {"^[A-Z]": False, "^b": False},
            },
            [{"a": 1, "cb": 2}],
            [{"b": 1}, {"A": 1}, {"1": 1}],
        ),
        (
            {
                "allOf": [
                    {"patternProperties": {"^x": {}}, "additionalProperties": False},
                    {"patternProperties": {"y$": {}}, "additionalProperties": False},
                ]
            },
            [{}, {"xy": 1, "x.y": 1}],
            [{"x": 1}, {"y": 1}],
        ),
    ],
)
def test_pattern_properties(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides({"type": ["object", "integer"], **schema}, valid, invalid)


@given(regular_nodes(), st.text(LETTERS, max_size=5))
def test_names_are_matched_as_the_oracle_matches(node: Node, name: str) -> None:
    assert keys.matches(node, name) == characters.matches(node, name)


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2]], [[1, "a"], {}]),
        ({"items": {"type": "integer"}}, [[], "a", {"0": "a"}], [["a"]]),
        ({"items": False}, [[], 1], [[1]]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
        (
            {"prefixItems": [{"type": "string"}, {"type": "null"}]},
            [[], ["a"], ["a", None], ["a", None, 3]],
            [[1], ["a", 1]],
        ),
        (
            {"prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            [[], ["a"], ["a", 1, 2]],
            [["a", "b"], [1]],
        ),
        ({"prefixItems": [{}, {}], "items": False}, [[], [1], [1, 2]], [[1, 2, 3]]),
        ({"prefixItems": [{}, False], "minItems": 1}, [[1]], [[], [1, 2]]),
        (
            {"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1},
            [[], [1]],
            [[2], [1, 2]],
        ),
        (
            {
                "$schema": DRAFT7,
                "items": [{"type": "string"}],
                "additionalItems": {"type": "null"},
            },
            [[], ["a"], ["a", None]],
            [[1], ["a", 1]],
        ),
        ({"$schema": DRAFT7, "items": [{}], "additionalItems": False}, [[], [1]], [[1, 2]]),
        (
            {"$schema": DRAFT7, "items": {"type": "null"}, "additionalItems": False},
            [[], [None, None]],
            [[1]],
        ),
        ({"$schema": DRAFT7, "prefixItems": [False]}, [[1]], []),
        ({"uniqueItems": False, "type": "array"}, [[1, 1]], [1]),
        (
            {"uniqueItems": True, "type": "array"},
            [[], [1, True, "1", None], [[1], [2]], [{"a": 1}, {"a": 2}], [0, False]],
            [[1, 1.0], [[1], [1.0]], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [1, 2, 1]],
        ),
        (
            {"allOf": [{"uniqueItems": True}, {"items": {"enum": [1, 2]}, "type": "array"}]},
            [[], [1, 2], [2, 1]],
            [[1, 1], [1, 2, 1], [3]],
        ),
        (
            {"enum": [[1, 1], [1, 2], "a"], "uniqueItems": True},
            [[1, 2], "a"],
            [[1, 1], [2, 1]],
        ),
    ],
)
def test_array_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (True, [1, None, "a", [], {"a": [{}]}], []),
        ({}, [1, None, "a", [[]], {}], []),
        ({"type": ["string", "null"]}, ["a", None], [1, [], False]),
        ({"type": "boolean"}, [True, False], [0, "true", None]),
        ({"type": ["integer", "number"]}, [1, 1.5, 1e9], ["1"]),
        ({"type": ["array", "object"]}, [[], {}, [1], {"a": 1}], ["", 1, None]),
        ({"type": ["integer", "boolean"], "enum": [1, 2.5, True, "x"]}, [1, True], [2.5, "x"]),
    ],
)
def test_types(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_items_as_an_array_are_understood_without_a_dialect() -> None:
    grammar = json_schema({"items": [{"type": "string"}], "additionalItems": False})
    assert accepts(grammar, '["a"]')
    assert not accepts(grammar, '["a",1]')
    assert not accepts(grammar, "[1]")


def test_draft_4_knows_no_const() -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}
    grammar = json_schema(schema)
    assert accepts(grammar, "2")
    assert grammar.notes == ("unknown keyword 'const' at #",)


def test_declared_properties_keep_the_order_of_the_schema() -> None:
    schema = {"properties": {"b": {}, "a": {}}, "required": ["z", "a"]}
    body = json_schema(schema).rules["#"]
    assert isinstance(body, JsonValue)
    (case,) = body.objects
    assert [(p.name, p.required) for p in case.properties] == [
        ("b", False),
        ("a", True),
        ("z", True),
    ]
    assert isinstance(case, JsonObject)
    assert case.pointer == "#"


def test_equal_children_share_nodes() -> None:
    body = json_schema(
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    ).rules["#"]
    assert isinstance(body, JsonValue)
    first, second = body.objects[0].properties
    assert first.value is second.value
    assert isinstance(body.objects[0].additional, Rule)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": []},
        {"type": "string", "enum": [1, 2]},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "minItems": 2, "prefixItems": [{}, False]},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["a", "b"], "maxProperties": 1},
        {
            "type": "object",
            "minProperties": 2,
            "properties": {"a": {}},
            "additionalProperties": False,
        },
        {"type": "object", "required": ["a"], "properties": {"a": {"enum": []}}},
        {"type": "object", "required": ["\ud800"]},
    ],
)
def test_what_is_plainly_empty_is_unsatisfiable(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchemaError) as caught:
        json_schema(schema)
    assert caught.value.pointer == "#"


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"properties": []}, "properties"),
        ({"required": "a"}, "required"),
        ({"required": [1]}, "required"),
        ({"required": True}, "required"),
        ({"prefixItems": {}}, "prefixItems"),
        ({"minItems": -1}, "minItems"),
        ({"maxProperties": None}, "maxProperties"),
        ({"dependentRequired": []}, "dependentRequired"),
        ({"dependentRequired": {"a": {}}}, "dependentRequired"),
        ({"dependencies": {"a": 3}}, "dependencies"),
        ({"anyOf": []}, "anyOf"),
        ({"oneOf": {}}, "oneOf"),
    ],
)
def test_malformed_container_keywords_are_named(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema({"additionalProperties": schema})
    assert (caught.value.pointer, caught.value.keyword) == ("#/additionalProperties", keyword)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"items": 3}, "#/items"),
        ({"properties": {"a/b": None}}, "#/properties/a~1b"),
        ({"properties": {"a": {"anyOf": [{}, [1]]}}}, "#/properties/a/anyOf/1"),
        ({"additionalProperties": "no"}, "#/additionalProperties"),
    ],
)
def test_what_is_no_schema_is_named(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(SchemaError, match="must be an object or a boolean") as caught:
        json_schema(schema)
    assert caught.value.pointer == pointer


KEYS = ["a", "b", "ab", "aab", "ba", "z", "c", "x-", "x-c", "é", "n", "aa"]


def test_unique_items_must_be_said_with_a_boolean() -> None:
    with pytest.raises(SchemaError, match="must be true or false") as caught:
        json_schema({"items": {"uniqueItems": 1}})
    assert (caught.value.pointer, caught.value.keyword) == ("#/items", "uniqueItems")


def test_two_equal_items_are_no_case() -> None:
    with pytest.raises(UnsupportedSchemaError) as caught:
        json_schema({"type": "array", "not": {"uniqueItems": True}})
    assert caught.value.keyword == "uniqueItems"


VALUES: list[Any] = [None, True, 1, 3, 7, 2.5, "s", [], [1], {}]


@pytest.mark.parametrize(
    "schema",
    [
        {
            "patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "string"}},
            "additionalProperties": {"type": "null"},
        },
        {
            "patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 2}},
            "properties": {"ab": {"maximum": 5}, "z": {"type": "null"}},
            "required": ["z"],
        },
        {
            "patternProperties": {"^[a-m]": {"type": "boolean"}},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 2,
        },
        {
            "patternProperties": {"^x-": True, "c": False},
            "additionalProperties": {"type": "array", "items": {"type": "integer"}},
        },
        {
            "allOf": [
                {"patternProperties": {"a": {"type": "number"}}},
                {
                    "patternProperties": {"b": {"type": "integer"}},
                    "additionalProperties": {"maximum": 3},
                },
            ]
        },
        {
            "propertyNames": {"pattern": "^[ab]+$"},
            "patternProperties": {"^a": {"const": 1}, "aa": {"type": "integer"}},
        },
        {
            "anyOf": [
                {"patternProperties": {"^a": {"type": "null"}}, "additionalProperties": False},
                {"patternProperties": {"^b": {"type": "integer"}}, "required": ["b"]},
            ]
        },
    ],
)
def test_each_class_of_keys_has_its_own_values(schema: dict[str, Any]) -> None:
    grammar = json_schema(schema, whitespace="flexible", property_order="any", escapes="any")
    validator = jsonschema.Draft202012Validator(schema)
    rng = random.Random(3)
    n_valid = 0
    for _ in range(200):
        value = {
            key: rng.choice(VALUES) for key in rng.sample(KEYS, rng.choice([0, 1, 1, 2, 3]))
        }
        if "required" in schema and rng.random() < 0.5:
            value["z"] = None
        is_valid = validator.is_valid(value)
        assert accepts(grammar, json.dumps(value)) == is_valid, value
        n_valid += is_valid
    assert 3 < n_valid < 197


def test_more_than_six_patterns_are_refused() -> None:
    patterns = {f"^{letter}": {"const": letter} for letter in "abcdefg"}
    schema = {"items": {"patternProperties": patterns}}
    with pytest.raises(UnsupportedSchemaError) as caught:
        json_schema(schema)
    assert (caught.value.pointer, caught.value.keyword) == ("#/items", "patternProperties")


def test_an_unsupported_keyword_of_another_type_is_void() -> None:
    assert accepts(json_schema({"type": "string", "uniqueItems": True}), '"a"')
    assert accepts(json_schema({"type": "array", "unevaluatedProperties": False}), "[]")
