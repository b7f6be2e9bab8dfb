"""allOf, anyOf, oneOf, not, if: both sides, and laws over random schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from constrain.errors import UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.schema import json_schema
from tests.schema_verdicts import check_both_sides, grammar_of, is_accepted


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [None, 1.5]),
        (
            {"anyOf": [{"type": "string"}, {"minimum": 3}], "maxLength": 1},
            ["a", 3, None],
            ["ab", 2],
        ),
        (
            {
                "properties": {"a": {}, "b": {}},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}, 3],
            [{}, {"c": 1}],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}},
                ]
            },
            [{"a": 3}, {"a": 4, "b": None}, 1],
            [{"a": 2}, {"a": "x"}, {}, {"a": 3, "b": 1}],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {}}, "additionalProperties": {"type": "null"}},
                    {"properties": {"b": {"type": ["null", "string"]}}},
                ]
            },
            [{"a": 1, "b": None, "c": None}],
            [{"b": "x"}, {"c": 1}],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {}}, "additionalProperties": False},
                    {"properties": {"b": {}}},
                ]
            },
            [{}, {"a": 1}],
            [{"b": 1}],
        ),
        (
            {
                "allOf": [
                    {"prefixItems": [{"type": "string"}]},
                    {"items": {"maxLength": 1}},
                    {"maxItems": 2},
                ]
            },
            [[], ["a"], ["a", "b"], ["a", 1]],
            [["ab"], [1], ["a", "bc"], ["a", "b", "c"]],
        ),
        (
            {"allOf": [{"type": "number", "multipleOf": 4}, {"multipleOf": 6}, {"minimum": 1}]},
            [12, 24],
            [4, 6, 0, -12],
        ),
        (
            {"allOf": [{"pattern": "a"}, {"pattern": "b"}], "maxLength": 2},
            ["ab", "ba", 1],
            ["a", "b", "cab"],
        ),
        (
            {"allOf": [{"enum": [1, 2, "a"]}, {"enum": [2, "a", 3]}, {"type": "integer"}]},
            [2],
            [1, 3, "a"],
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "object"}]},
            ["a", 1, {}],
            [None, 1.5, []],
        ),
        (
            {
                "oneOf": [
                    {
                        "properties": {"k": {"const": "a"}, "x": {"type": "null"}},
                        "required": ["k"],
                    },
                    {"properties": {"k": {"const": "b"}}, "required": ["k"]},
                ],
                "type": "object",
            },
            [{"k": "a", "x": None}, {"k": "b", "x": 1}],
            [{}, {"k": "c"}, {"k": "a", "x": 1}],
        ),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
            [{"a": 1}, {"b": 1, "c": 1}],
            [{}, {"a": 1, "b": 1}],
        ),
        ({"oneOf": [{"minimum": 3}, {"maximum": 5}], "type": "integer"}, [2, 6], [3, 4, 5]),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]},
            [1, 2.5, -4],
            [3, 1.5],
        ),
        (
            {"oneOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string"},
            ["a", "cb"],
            ["ab", "c"],
        ),
        (
            {"oneOf": [{"type": "array", "minItems": 1}, {"type": "array", "maxItems": 1}]},
            [[], [1, 2]],
            [[1], 3],
        ),
        ({"oneOf": [{"const": True}, {"type": "boolean"}]}, [False], [True]),
        (
            {
                "oneOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {"properties": {"a": {"minimum": 2}}},
                ],
                "type": "object",
                "required": ["a"],
            },
            [{"a": 1}, {"a": 2.5}],
            [{"a": 2}, {"a": 1.5}],
        ),
        ({"not": {"type": "string"}}, [1, None, {}, []], ["a"]),
        ({"not": {"type": ["integer", "object"]}}, [1.5, "a", []], [1, {}]),
        ({"not": {"enum": ["a", 1, None]}}, ["b", 2, True, [], 1.5], ["a", 1, None]),
        ({"type": "number", "not": {"const": 1}}, [2, 0.5, -1], [1]),
        ({"type": "string", "not": {"pattern": "^a"}}, ["b", ""], ["a", "ab"]),
        (
            {"type": "string", "not": {"minLength": 2, "maxLength": 3}},
            ["a", "abcd"],
            ["ab", "abc"],
        ),
        ({"not": {"required": ["a"]}}, [{}, {"b": 1}], [{"a": 1}, 1]),
        ({"not": {"properties": {"a": {"type": "string"}}}}, [{"a": 1}], [{"a": "x"}, {}, 3]),
        ({"not": {"not": {"type": "object", "required": ["a"]}}}, [{"a": 1}], [{}, 1]),
        (
            {"not": {"anyOf": [{"type": "string"}, {"required": ["a"]}]}},
            [{"b": 1}],
            ["a", 1, {"a": 1}],
        ),
        ({"type": "array", "not": {"minItems": 2}}, [[], [1]], [[1, 2]]),
        (
            {"type": "array", "not": {"prefixItems": [{"type": "null"}]}},
            [[1], [1, None]],
            [[], [None]],
        ),
        ({"not": {"minimum": 2, "maximum": 4}}, [1, 5, 1.5], [2, 4, "a"]),
        ({"type": "integer", "not": {"multipleOf": 3}}, [1, 2, -4], [0, 3, -3]),
        (
            {
                "if": {"properties": {"k": {"const": "a"}}},
                "then": {"required": ["x"]},
                "else": {"required": ["y"]},
                "type": "object",
            },
            [{"k": "a", "x": 1}, {"k": "b", "y": 1}, {"x": 1}],
            [{"k": "a"}, {"k": "b", "x": 1}, {}],
        ),
        ({"if": {"type": "string"}, "then": {"maxLength": 1}}, ["a", 1], ["ab"]),
        (
            {
                "properties": {"a": {}, "b": {}, "c": {}},
                "additionalProperties": False,
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                "type": "object",
            },
            [{"a": 1}, {"b": 1, "c": 1}],
            [{}, {"a": 1, "b": 1}, {"a": 1, "d": 1}],
        ),
        (
            {
                "oneOf": [
                    {"properties": {"a": {}}, "additionalProperties": False},
                    {"properties": {"b": {}, "c": {}}, "additionalProperties": False},
                ],
                "type": "object",
            },
            [{"a": 1}, {"b": 1}, {"b": 1, "c": 1}],
            [{}, {"a": 1, "b": 1}, {"d": 1}],
        ),
        (
            {
                "type": "object",
                "propertyNames": {"enum": ["a", "b"]},
                "properties": {"a": {}, "b": {}},
                "additionalProperties": False,
                "not": {"additionalProperties": {"type": "null"}},
            },
            [{"a": 1}, {"a": None, "b": 1}],
            [{}, {"a": None}, {"c": 1}],
        ),
        (
            {"type": "array", "maxItems": 2, "not": {"items": {"type": "null"}}},
            [[1], [None, 1], [1, None]],
            [[], [None], [None, None], [1, 1, 1]],
        ),
        ({"if": {"type": "string"}}, ["ab", 1], []),
        ({"then": {"maxLength": 1}}, ["ab"], []),
    ],
)
def test_combinators(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_an_empty_conjunction_is_unsatisfiable() -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"allOf": [{"type": "string"}, {"type": "integer"}]})
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"not": {}})
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"oneOf": [True, {}]})


def test_a_negated_recursive_schema_ends() -> None:
    schema = {
        "$defs": {"t": {"required": ["v"], "properties": {"n": {"$ref": "#/$defs/t"}}}},
        "type": "object",
        "not": {"$ref": "#/$defs/t"},
    }
    check_both_sides(
        schema,
        [{}, {"v": 1, "n": {}}, {"v": 1, "n": {"v": 1, "n": {}}}],
        [{"v": 1}, {"v": 1, "n": 3}, {"v": 1, "n": {"v": 2}}],
    )


LEAVES: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "integer"},
    {"type": ["null", "object"]},
    {"minimum": 1},
    {"maximum": 1},
    {"multipleOf": 2},
    {"enum": [0, 1, "a", None, {"a": 1}, [1]]},
    {"const": "ab"},
    {"minLength": 2},
    {"pattern": "a"},
    {"required": ["a"]},
    {"properties": {"a": {"type": "integer"}, "b": {"maxLength": 1}}},
    {"maxProperties": 1},
    {"minItems": 1},
    {"prefixItems": [{"type": "integer"}]},
]
VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    2,
    1.5,
    -2,
    "",
    "a",
    "ab",
    "b",
    [],
    [1],
    ["a"],
    [1, 2],
    {},
    {"a": 1},
    {"a": "x"},
    {"b": "a"},
    {"b": "ab"},
    {"a": 1, "b": "a"},
    {"a": 1, "b": "abc"},
    {"c": 1},
]

schemas = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(
            lambda keyword, branches: {keyword: branches},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        inner.map(lambda schema: {"not": schema}),
        st.builds(lambda a, b: {**a, **b}, inner, inner),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(
            lambda a, b: {"type": "object", "properties": {"a": a}, "additionalProperties": b},
            inner,
            st.one_of(inner, st.booleans()),
        ),
    ),
    max_leaves=6,
)


@given(schemas)
def test_random_combinations_agree_with_jsonschema(schema: dict[str, Any]) -> None:
    try:
        grammar = grammar_of(schema)
    except UnsupportedSchemaError:
        return
    validator = Draft202012Validator(schema)
    for value in VALUES:
        assert is_accepted(grammar, value) == validator.is_valid(value), value
