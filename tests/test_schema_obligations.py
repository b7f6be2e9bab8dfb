"""Schemas that need demands or tallies: complements of open objects, `contains`, unevaluated.

The verdict on each value is that of `jsonschema`, for the compiled grammar and for the grammar
as the slow recognizer reads it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

import constrain
from constrain.errors import LimitError, UnsatisfiableSchemaError
from tests.oracle.json_text import accepts

VALUES: list[Any] = [
    None, 1, "x",
    [], [1], ["x"], [None], [1, "x"], ["x", "x"], [1, 1, "x"], ["x", 1], [1, 2, 3], [[1]],
    {}, {"a": 1}, {"a": "x"}, {"b": 1}, {"b": "x"}, {"a": 1, "b": 1}, {"a": 1, "b": "x"},
    {"a": "x", "b": "x"}, {"c": 1}, {"c": "x"}, {"a": 1, "c": "x"}, {"c": 1, "d": 1},
    {"a": 1, "b": "x", "c": 1}, {"c": "x", "d": "y", "e": 1}, {"x1": 1}, {"x1": "x", "a": 1},
    {"a": {"b": 1}}, {"a": [1]}, {"a": 2, "b": 2, "c": 2},
]  # fmt: skip
INTEGERS = {"additionalProperties": {"type": "integer"}}
STRINGS = {"additionalProperties": {"type": "string"}}
A: dict[str, Any] = {"properties": {"a": True}}
B = {"properties": {"b": {"type": "string"}}}
X = {"patternProperties": {"^x": True}}
NUMBER = {"type": "integer"}


def check_values(schema: Any, validator: Any) -> None:
    grammar = constrain.json_schema(schema, whitespace="flexible", property_order="any")
    for value in VALUES:
        text = json.dumps(value)
        expected = validator.is_valid(value)
        assert accepts(grammar, text) == expected, ("the grammar", value)
        try:
            constrain.check(grammar, text)
        except constrain.TokenRejectedError:
            assert not expected, value
        else:
            assert expected, value


@pytest.mark.parametrize(
    "schema",
    [
        {"not": INTEGERS},
        {"not": {"not": INTEGERS}},
        {"not": {"properties": {"a": NUMBER, "b": {"type": "string"}}, "required": ["a"]}},
        {"not": {"patternProperties": {"^a": NUMBER}, **STRINGS}},
        {"not": {"propertyNames": {"pattern": "^a"}}},
        {"not": {"minProperties": 1, "maxProperties": 1}},
        {"type": "object", "maxProperties": 1, "not": INTEGERS},
        {
            "type": "object",
            "minProperties": 2,
            "not": {"properties": {"a": {"const": 1}, "b": {"const": 1}, "c": {"const": 1}}},
        },
        {"not": {"anyOf": [{"required": ["a"]}, STRINGS]}},
        {"oneOf": [INTEGERS, STRINGS, {"required": ["a"]}]},
        {"oneOf": [{"properties": {"a": NUMBER, "b": NUMBER}},
                   {"properties": {"a": NUMBER, "c": NUMBER}, "required": ["a"]}]},
        {"oneOf": [{"properties": {"a": NUMBER}}, {"properties": {"b": NUMBER}},
                   {"required": ["c"]}]},
        {"not": {"oneOf": [{"properties": {"a": NUMBER}}, {"properties": {"b": NUMBER}},
                           {"required": ["c"]}]}},
        {"not": {"if": {"required": ["a"]}, "then": B, "else": {"minProperties": 1}}},
        {"additionalProperties": {"not": INTEGERS}},
    ],
)  # fmt: skip
def test_complements_of_open_objects(schema: Any) -> None:
    check_values(schema, Draft202012Validator(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"contains": NUMBER},
        {"contains": NUMBER, "maxContains": 1},
        {"contains": {"type": "string"}, "minContains": 2},
        {"contains": NUMBER, "minContains": 0, "maxContains": 1, "minItems": 1},
        {"contains": NUMBER, "minContains": 0},
        {"contains": NUMBER, "minContains": 2, "maxContains": 1, "type": ["array", "null"]},
        {"contains": True, "maxContains": 2},
        {"contains": False, "type": ["array", "null"]},
        {"allOf": [{"contains": NUMBER}, {"contains": {"type": "string"}}], "maxItems": 2},
        {"prefixItems": [{"type": "string"}], "contains": NUMBER},
        {"not": {"items": NUMBER}},
        {"not": {"prefixItems": [NUMBER, NUMBER], "minItems": 1}},
        {"not": {"contains": NUMBER}},
        {"not": {"contains": NUMBER, "maxContains": 1}},
        {"not": {"allOf": [{"items": NUMBER}, {"minItems": 1}]}},
        {"oneOf": [{"items": NUMBER}, {"contains": NUMBER}]},
    ],
)
def test_items_that_count(schema: Any) -> None:
    check_values(schema, Draft202012Validator(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {**A, "unevaluatedProperties": False},
        {**A, "unevaluatedProperties": NUMBER},
        {"allOf": [A, B], "unevaluatedProperties": False},
        {"anyOf": [A, B], "unevaluatedProperties": False},
        {"anyOf": [A, B, X], "unevaluatedProperties": False},
        {"anyOf": [True, A], "unevaluatedProperties": False},
        {"oneOf": [{**A, "required": ["a"]}, {**B, "required": ["b"]}],
         "unevaluatedProperties": False},
        {"if": {**A, "required": ["a"]}, "then": B, "else": {"properties": {"c": True}},
         "unevaluatedProperties": False},
        {"if": {**A, "required": ["a"]}, "unevaluatedProperties": False},
        {"dependentSchemas": {"a": B}, **A, "unevaluatedProperties": False},
        {"not": {"not": A}, "unevaluatedProperties": False},
        {"allOf": [{**A, "unevaluatedProperties": True}], "unevaluatedProperties": False},
        {"allOf": [{**A, **STRINGS}], "unevaluatedProperties": False},
        {"$ref": "#/$defs/x", "$defs": {"x": A}, "unevaluatedProperties": NUMBER},
        {"not": {"anyOf": [A, B], "unevaluatedProperties": False}},
        {"required": ["c"], **A, "unevaluatedProperties": {"type": "string"}},
        {"unevaluatedItems": False},
        {"prefixItems": [True], "unevaluatedItems": {"type": "string"}},
        {"items": NUMBER, "unevaluatedItems": False},
        {"contains": {"type": "string"}, "unevaluatedItems": False},
        {"contains": {"type": "string"}, "unevaluatedItems": {"minimum": 2}},
        {"allOf": [{"prefixItems": [True]}], "contains": {"type": "string"},
         "unevaluatedItems": False},
        {"anyOf": [{"prefixItems": [True]}, {"prefixItems": [True, {"type": "string"}]}],
         "unevaluatedItems": False},
        {"anyOf": [{"prefixItems": [{"const": 1}]}, {"contains": {"const": "x"}}],
         "unevaluatedItems": False},
    ],
)  # fmt: skip
def test_what_was_not_evaluated(schema: Any) -> None:
    check_values(schema, Draft202012Validator(schema))


def test_before_2020_contains_evaluates_nothing() -> None:
    # 2019-09, Core 9.3.1.3: unevaluatedItems asks items, additionalItems and itself alone.
    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "contains": {"type": "string"},
        "unevaluatedItems": False,
        "type": ["array", "null"],
    }
    grammar = constrain.json_schema(schema)
    constrain.check(grammar, "null")
    for text in ("[]", '["x"]'):
        with pytest.raises(constrain.TokenRejectedError):
            constrain.check(grammar, text)


def test_draft_7_knows_no_counts_of_contains() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "contains": {"type": "string"},
        "minContains": 2,
        "unevaluatedProperties": False,
    }
    check_values(schema, Draft7Validator(schema))


@pytest.mark.parametrize(
    "schema",
    [
        # Two integers are to be among at most one item.
        {"type": "array", "contains": {"type": "integer"}, "minContains": 2, "maxItems": 1},
        # Every member is an integer, and some member is none.
        {"type": "object", **INTEGERS, "not": INTEGERS},
        # Only "a" may come, and something else than an integer must; but "a" is one.
        {"type": "object", "properties": {"a": NUMBER}, "additionalProperties": False,
         "not": {"properties": {"a": NUMBER}}},
    ],
)  # fmt: skip
def test_what_can_never_be_settled_is_found_at_compile_time(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        constrain.check(constrain.json_schema(schema), "[]")


def test_a_count_costs_nothing() -> None:
    schema = {"contains": {"type": "integer"}, "minContains": 3_000, "type": "array"}
    grammar = constrain.json_schema(schema, whitespace="compact")
    constrain.check(grammar, json.dumps([1] * 3_000, separators=(",", ":")))
    with pytest.raises(constrain.TokenRejectedError):
        constrain.check(grammar, json.dumps([1] * 2_999, separators=(",", ":")))


def test_too_many_kinds_of_items_at_one_place_are_a_limit() -> None:
    kinds = [{"contains": {"type": "string", "pattern": letter}} for letter in "abcdefg"]
    with pytest.raises(LimitError):
        constrain.json_schema({"allOf": kinds})


def test_a_member_that_unsettles_a_demand_is_followed_by_another() -> None:
    # Not two members: after the first the object may end, after a comma two more must come.
    schema = {"type": "object", "not": {"minProperties": 2, "maxProperties": 2}}
    grammar = constrain.json_schema(schema, whitespace="compact")
    vocabulary = constrain.Vocabulary([bytes([i]) for i in range(256)] + [b"<end>"], [256])
    matcher = constrain.compile(grammar, vocabulary).matcher()
    matcher.accept_bytes(b'{"x":0')
    assert matcher.shortest_completion() == b"}"
    matcher.accept_bytes(b",")
    rest = matcher.shortest_completion()
    assert len(json.loads(b'{"x":0,' + rest)) == 3
    assert len(rest) == len('"":0,"a":0}')
