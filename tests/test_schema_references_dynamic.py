"""`$dynamicRef` and `$recursiveRef`: the dynamic scope, against `jsonschema` and an oracle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from constrain.errors import LimitError, SchemaError, UnsatisfiableSchemaError
from constrain.grammar.ir import Grammar
from constrain.schema import json_schema
from constrain.schema.document import MAX_SCOPES
from tests.oracle.json_text import accepts
from tests.oracle.schema_scopes import ScopeOracle
from tests.schema_verdicts import check_both_sides, grammar_of, is_accepted

DRAFT2019 = "https://json-schema.org/draft/2019-09/schema"

LIST = {
    "$id": "list",
    "items": {"$dynamicRef": "#item"},
    "$defs": {"item": {"$dynamicAnchor": "item"}},
}
STRINGS = {"$dynamicAnchor": "item", "type": "string"}
NULLS = {"$dynamicAnchor": "item", "type": "null"}
TREE: dict[str, Any] = {
    "$id": "http://example.com/tree",
    "$dynamicAnchor": "node",
    "properties": {"kids": {"type": "array", "items": {"$dynamicRef": "#node"}}},
}
RECURSIVE_TREE = {
    "$schema": DRAFT2019,
    "$id": "http://example.com/tree",
    "$recursiveAnchor": True,
    "properties": {"kids": {"items": {"$recursiveRef": "#"}}},
}


def check_with_oracle(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    """Assert verdicts where `jsonschema` departs from the specification, by the oracle."""
    oracle = ScopeOracle(schema)
    grammar = grammar_of(schema)
    for values, expected in ((valid, True), (invalid, False)):
        for value in values:
            assert oracle.is_valid(value) == expected, ("oracle", value)
            assert is_accepted(grammar, value) == expected, value


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (  # in one resource it is a `$ref`
            {"items": {"$dynamicRef": "#item"}, "$defs": {"a": STRINGS}},
            [["a"], []],
            [[1]],
        ),
        (
            {"$id": "http://example.com/", "$ref": "list", "$defs": {"a": STRINGS, "l": LIST}},
            [["a"], []],
            [[1], ["a", None]],
        ),
        (  # the outermost counts, not the nearest
            {
                "$id": "http://example.com/",
                "$ref": "inner",
                "$defs": {
                    "a": STRINGS,
                    "l": LIST,
                    "i": {"$id": "inner", "$ref": "list", "$defs": {"a": NULLS}},
                },
            },
            [["a"], []],
            [[None]],
        ),
        (  # a plain `$anchor` of the name is no dynamic one
            {
                "$id": "http://example.com/",
                "$ref": "list",
                "$defs": {"a": {"$anchor": "item", "type": "string"}, "l": LIST},
            },
            [["a"], [1]],
            [],
        ),
        (  # nor does a reference look further that first finds a plain `$anchor`
            {
                "$id": "http://example.com/",
                "$ref": "list",
                "$defs": {
                    "a": STRINGS,
                    "l": {
                        "$id": "list",
                        "items": {"$dynamicRef": "#item"},
                        "$defs": {"item": {"$anchor": "item"}},
                    },
                },
            },
            [["a"], [1]],
            [],
        ),
        (  # a JSON pointer to a dynamic anchor stays where it points
            {
                "$id": "http://example.com/",
                "$ref": "list",
                "$defs": {
                    "a": STRINGS,
                    "l": {
                        "$id": "list",
                        "items": {"$dynamicRef": "#/$defs/item"},
                        "$defs": {"item": {"$dynamicAnchor": "item", "maxItems": 0}},
                    },
                },
            },
            [[1], [[]]],
            [[[1]]],
        ),
        (  # one schema, two scopes side by side
            {
                "$id": "http://example.com/",
                "properties": {"s": {"$ref": "strings"}, "n": {"$ref": "nulls"}},
                "$defs": {
                    "s": {"$id": "strings", "$ref": "list", "$defs": {"a": STRINGS}},
                    "n": {"$id": "nulls", "$ref": "list", "$defs": {"a": NULLS}},
                    "l": LIST,
                },
            },
            [{"s": ["a"], "n": [None]}, {"s": [], "n": []}],
            [{"s": [None]}, {"n": ["a"]}, {"n": [None, "a"]}],
        ),
        (  # a scope that was left does not count: `if` is no parent of `then`
            {
                "$id": "http://example.com/",
                "if": {"$id": "one", "type": "array", "$defs": {"a": STRINGS}},
                "then": {"$id": "two", "$ref": "list", "$defs": {"a": NULLS}},
                "$defs": {"l": LIST},
            },
            [[None], [], "a"],
            [["a"]],
        ),
        (  # a boolean and siblings beside the reference
            {
                "$defs": {"no": False, "a": {"$dynamicAnchor": "a", "type": "string"}},
                "properties": {
                    "x": {"$dynamicRef": "#/$defs/no"},
                    "y": {"$dynamicRef": "#a", "maxLength": 1},
                },
            },
            [{}, {"y": "a"}],
            [{"x": 1}, {"y": "ab"}, {"y": 1}],
        ),
    ],
)
def test_dynamic_references(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_an_extended_tree_is_extended_at_every_depth() -> None:
    schema = {
        "$id": "http://example.com/strict",
        "$dynamicAnchor": "node",
        "$ref": "tree",
        "required": ["name"],
        "properties": {"name": {"type": "string"}},
        "$defs": {"tree": TREE},
    }
    check_both_sides(
        schema,
        [{"name": "a"}, {"name": "a", "kids": [{"name": "b", "kids": []}]}, 1],
        [{}, {"name": "a", "kids": [{}]}, {"name": "a", "kids": [{"name": "b", "kids": [{}]}]}],
    )
    alone = {**TREE, "properties": {**TREE["properties"], "x": {"$ref": "#"}}}
    check_both_sides(alone, [{"kids": [{}]}, {"x": {}}], [{"kids": 1}, {"x": {"kids": 1}}])


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (  # without an anchor it is `$ref: "#"`
            {
                "$schema": DRAFT2019,
                "properties": {"a": {"$recursiveRef": "#"}},
                "additionalProperties": False,
            },
            [{}, {"a": {"a": {}}}, {"a": 1}],
            [{"b": 1}, {"a": {"b": 1}}],
        ),
        (
            {
                "$schema": DRAFT2019,
                "$id": "http://example.com/strict",
                "$recursiveAnchor": True,
                "allOf": [{"$ref": "tree"}, {"required": ["name"]}],
                "$defs": {"tree": RECURSIVE_TREE},
            },
            [{"name": 1}, {"name": 1, "kids": [{"name": 1}]}],
            [{}, {"name": 1, "kids": [{}]}],
        ),
        (  # the outer one has no anchor: the inner keeps to itself
            {
                "$schema": DRAFT2019,
                "$id": "http://example.com/strict",
                "allOf": [{"$ref": "tree"}, {"required": ["name"]}],
                "$defs": {"tree": RECURSIVE_TREE},
            },
            [{"name": 1}, {"name": 1, "kids": [{}]}],
            [{}],
        ),
        (  # the inner one has none: the outer is not looked for
            {
                "$schema": DRAFT2019,
                "$id": "http://example.com/strict",
                "$recursiveAnchor": True,
                "allOf": [{"$ref": "tree"}, {"required": ["name"]}],
                "$defs": {"tree": {**RECURSIVE_TREE, "$recursiveAnchor": False}},
            },
            [{"name": 1}, {"name": 1, "kids": [{}]}],
            [{}],
        ),
    ],
)
def test_recursive_references(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_the_outermost_recursive_anchor_counts_even_past_a_resource_without() -> None:
    schema = {
        "$schema": DRAFT2019,
        "$id": "http://example.com/outer",
        "$recursiveAnchor": True,
        "$ref": "between",
        "type": "object",
        "$defs": {
            "between": {"$id": "http://example.com/between", "$ref": "tree"},
            "tree": RECURSIVE_TREE,
        },
    }
    check_with_oracle(schema, [{}, {"kids": [{}]}], [1, {"kids": [1]}])


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (  # `$ref` to a dynamic anchor does not look for an outer one
            {
                "$id": "http://example.com/",
                "$ref": "list#item",
                "$defs": {
                    "a": STRINGS,
                    "l": {"$id": "list", "$defs": {"item": NULLS}},
                },
            },
            [None],
            ["a"],
        ),
        (  # resources that evaluation enters without a reference count too
            {
                "$id": "http://example.com/",
                "properties": {
                    "p": {"$id": "nested", "$ref": "list", "$defs": {"a": NULLS}},
                },
                "$defs": {"a": STRINGS, "l": LIST},
            },
            [{"p": ["a"]}],
            [{"p": [None]}],
        ),
    ],
)
def test_by_the_letter_of_the_specification(
    schema: Any, valid: list[Any], invalid: list[Any]
) -> None:
    check_with_oracle(schema, valid, invalid)


def test_negation_keeps_the_scopes_of_its_parts() -> None:
    schema = {
        "$id": "http://example.com/",
        "properties": {
            "k": {"enum": [1, 2]},
            "v": {"type": ["string", "null", "integer"]},
        },
        "required": ["k", "v"],
        "additionalProperties": False,
        "if": {"properties": {"v": {"allOf": [{"$ref": "pick"}, {"$ref": "short"}]}}},
        "then": {"properties": {"k": {"const": 1}}},
        "else": {"properties": {"k": {"const": 2}}},
        "$defs": {
            "string": {"$dynamicAnchor": "kind", "type": "string"},
            "pick": {
                "$id": "pick",
                "$dynamicRef": "#kind",
                "$defs": {"any": {"$dynamicAnchor": "kind"}},
            },
            "short": {
                "$id": "short",
                "$ref": "#/$defs/one",
                "$defs": {"one": {"maxLength": 1}},
            },
        },
    }
    check_both_sides(
        schema,
        [{"k": 1, "v": "a"}, {"k": 2, "v": "ab"}, {"k": 2, "v": None}, {"k": 2, "v": 7}],
        [{"k": 2, "v": "a"}, {"k": 1, "v": "ab"}, {"k": 1, "v": None}, {"k": 1, "v": 7}],
    )


def test_a_complement_across_resources() -> None:
    schema = {
        "$id": "http://example.com/",
        "$ref": "a",
        "not": {"allOf": [{"$ref": "a"}, {"$ref": "b"}]},
        "type": "object",
        "$defs": {
            "a": {
                "$id": "a",
                "properties": {"x": {"$ref": "#/$defs/n"}},
                "additionalProperties": False,
                "$defs": {"n": {"type": "integer"}},
            },
            "b": {
                "$id": "b",
                "properties": {"x": {"$ref": "#/$defs/n"}},
                "$defs": {"n": {"minimum": 2}},
            },
        },
    }
    check_both_sides(schema, [{"x": 1}, {"x": -4}], [{}, {"x": 2}, {"x": 3}, {"x": "a"}])


def test_what_both_of_two_schemas_say_is_kept_by_scope() -> None:
    schema = {
        "$id": "http://example.com/",
        "properties": {"s": {"$ref": "strings"}, "n": {"$ref": "nulls"}},
        "$defs": {
            "s": {"$id": "strings", "$ref": "list", "$defs": {"a": STRINGS}},
            "n": {"$id": "nulls", "$ref": "list", "$defs": {"a": NULLS}},
            "l": {
                "$id": "list",
                "allOf": [
                    {"items": {"properties": {"x": {"$dynamicRef": "#item"}}}},
                    {"items": {"required": ["x"]}},
                ],
                "$defs": {"item": {"$dynamicAnchor": "item"}},
            },
        },
    }
    check_both_sides(
        schema,
        [{"s": [{"x": "a"}], "n": [{"x": None}]}, {"s": [], "n": [1]}],
        [{"s": [{"x": None}]}, {"n": [{"x": "a"}]}, {"n": [{}]}],
    )


def test_scopes_that_say_the_same_are_one() -> None:
    items = {"$dynamicRef": "#item"}
    schema = {
        "$id": "http://example.com/",
        "$defs": {
            "a": STRINGS,
            "one": {"$id": "one", "properties": {"next": {"$ref": "two"}}, "items": items,
                    "$defs": {"a": STRINGS}},
            "two": {"$id": "two", "properties": {"next": {"$ref": "one"}}, "items": items,
                    "$defs": {"a": NULLS}},
        },
        "properties": {"x": {"$ref": "one"}, "y": {"$ref": "two"}},
    }  # fmt: skip
    names = {"#", "#/$defs/one", "#/$defs/two", "#/$defs/a", "any value"}
    assert set(json_schema(schema).rules) == names


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$dynamicRef": "#nowhere"}, "'#nowhere' cannot be resolved"),
        ({"$dynamicRef": 3}, "must be a string, not 3"),
        ({"$schema": DRAFT2019, "$recursiveRef": "#/a"}, "must be '#'"),
        ({"$dynamicAnchor": "a", "$dynamicRef": "#a"}, "defined by itself alone"),
        ({"$schema": DRAFT2019, "$recursiveRef": "#"}, "defined by itself alone"),
    ],
)
def test_what_has_no_meaning_is_named(schema: Any, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        json_schema(schema)


def test_more_scopes_than_the_limit_end_soon() -> None:
    stages = 11  # each is entered by two resources that define its anchor: 2**11 scopes
    assert 2**stages > MAX_SCOPES
    definitions: dict[str, Any] = {}
    for i in range(stages):
        of_both = {"properties": {"next": {"$ref": f"stage{i + 1}"}}}
        for side in "ab":
            anchors = {"d": {"$dynamicAnchor": f"x{i}", "title": side}}
            definitions[f"{side}{i}"] = {"$id": f"{side}{i}", "$defs": anchors, **of_both}
        sides = {side: {"$ref": f"{side}{i}"} for side in "ab"}
        definitions[f"stage{i}"] = {"$id": f"stage{i}", "properties": sides}
    definitions["last"] = {"$id": f"stage{stages}"}
    with pytest.raises(LimitError, match="search_states"):
        json_schema({"$id": "http://example.com/", "$ref": "stage0", "$defs": definitions})


def test_resources_are_not_limited_as_scopes_are() -> None:
    properties = {
        f"p{i}": {"$id": f"r{i}", "$ref": "#/$defs/a", "$defs": {"a": {"const": i}}}
        for i in range(MAX_SCOPES + 10)
    }
    grammar = json_schema({"$id": "http://example.com/", "properties": properties})
    assert accepts(grammar, '{"p5": 5}')
    assert not accepts(grammar, '{"p5": 6}')


IDS = ("http://example.com/r0", "http://example.com/r1", "http://example.com/r2")
NAMES = ("x", "y")
LEAVES: st.SearchStrategy[Any] = st.sampled_from([
    {"type": "string"}, {"type": "integer"}, {"type": "null"}, {"maxLength": 1}, {"minimum": 3},
])  # fmt: skip
REFERENCES = st.one_of(
    st.builds(lambda name: {"$dynamicRef": f"#{name}"}, st.sampled_from(NAMES)),
    st.builds(
        lambda keyword, uri, name: {keyword: f"{uri}#{name}"},
        st.sampled_from(["$ref", "$dynamicRef"]), st.sampled_from(IDS), st.sampled_from(NAMES),
    ),
    st.builds(lambda uri: {"$ref": uri}, st.sampled_from(IDS)),
)  # fmt: skip


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda a, b: {"properties": {"a": a, "b": b}}, inner, inner),
        st.builds(lambda a: {"items": a}, inner),
        st.builds(lambda word, a, b: {word: [a, b]}, st.sampled_from(["allOf", "anyOf"]),
                  inner, inner),
        st.builds(lambda a, ref: {"type": "object", "properties": {"a": a}, **ref}, inner,
                  REFERENCES),
    )  # fmt: skip


SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(LEAVES, REFERENCES), _larger, max_leaves=5
)
ANCHORS = st.sampled_from(["$dynamicAnchor", "$dynamicAnchor", "$anchor"])


@st.composite
def resources(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Three schemas with ids and anchors that refer to each other."""
    made = []
    for uri in IDS:
        anchors = {name: {**draw(SCHEMAS), draw(ANCHORS): name} for name in NAMES}
        made.append({**draw(SCHEMAS), "$id": uri, "$defs": anchors})
    return made


VALUES: tuple[Any, ...] = (
    "s", "ss", 1, 5, None, {}, {"a": "s"}, {"a": 1}, {"b": None}, {"a": {"a": "ss"}},
    {"a": {"b": 5}, "b": 1}, ["s"], [1], [{"a": 1}], [None, "ss"], {"a": [1]},
    {"a": ["s"], "b": "ss"}, {"b": {"a": None}},
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(resources())
@example([
    {"$id": IDS[0], "$ref": IDS[1], "$defs": {"x": {"$dynamicAnchor": "x", "type": "null"}}},
    {"$id": IDS[1], "items": {"$dynamicRef": "#x"}, "$defs": {"x": {"$dynamicAnchor": "x"}}},
])  # fmt: skip
def test_random_resources_agree_with_the_oracle(schemas: list[dict[str, Any]]) -> None:
    root, *others = schemas
    registry = {schema["$id"]: schema for schema in others}
    grammar: Grammar | None
    try:
        grammar = json_schema(root, whitespace="flexible", property_order="any",
                              registry=registry)  # fmt: skip
    except UnsatisfiableSchemaError:
        grammar = None
    except SchemaError as error:
        if "defined by itself alone" not in str(error):
            raise
        return
    oracle = ScopeOracle(root, *others)
    for value in VALUES:
        try:
            expected = oracle.is_valid(value)
        except RecursionError:  # endless where no value comes: no type is allowed there
            expected = False
        accepted = grammar is not None and accepts(grammar, json.dumps(value))
        assert accepted == expected, value
