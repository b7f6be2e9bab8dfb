"""Reports before generation, and `on_unsupported="relax"`.

A back-reference is the keyword value that stays unsupported: what it matches is not regular.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrain
from constrain.report import Size
from constrain.schema.treatments import KeywordUse
from tests.schema_strategies import json_values
from tests.vocabularies import single_bytes, with_end

TWICE = {"pattern": "^(a|b)\\1$"}  # "aa" and "bb", by ECMA-262 as by Python's `re`


def exact(pointer: str, *keywords: str) -> list[KeywordUse]:
    return [KeywordUse(pointer, keyword, "exact") for keyword in keywords]


def relaxed(schema: Any) -> constrain.Grammar:
    return constrain.json_schema(
        schema, "flexible", property_order="any", on_unsupported="relax"
    )


def accepts(grammar: constrain.Grammar, value: Any) -> bool:
    try:
        constrain.check(grammar, json.dumps(value, ensure_ascii=False))
    except constrain.TokenRejectedError:
        return False
    return True


def left_out(schema: Any) -> set[tuple[str, str]]:
    uses = relaxed(schema).report().treated("relaxed")
    return {(use.pointer, use.keyword) for use in uses}


def test_every_keyword_of_a_reached_schema_is_listed_with_its_place() -> None:
    schema = {
        "title": "T",
        "properties": {"a/b": {"type": "string"}, "c": {"$ref": "#/$defs/d"}, "e": True},
        "$defs": {"d": {"minimum": 1, "format": "made-up"}, "unused": {"minimum": 2}},
        "x-note": 1,
        "then": {"type": "null"},
        "additionalItems": False,
    }
    report = constrain.json_schema(schema).report()
    assert list(report.keywords) == [
        KeywordUse("#", "title", "annotation"),
        *exact("#", "properties", "$defs"),
        KeywordUse("#", "x-note", "annotation", "unknown keyword"),
        KeywordUse("#", "then", "annotation", "says nothing beside the keywords here"),
        KeywordUse(
            "#", "additionalItems", "annotation", "says nothing beside the keywords here"
        ),
        *exact("#/properties/a~1b", "type"),
        *exact("#/properties/c", "$ref"),
        *exact("#/$defs/d", "minimum"),
        KeywordUse("#/$defs/d", "format", "annotation", "'made-up' is not known"),
    ]


def test_a_weight_is_known_and_constrains_nothing() -> None:
    report = constrain.json_schema({"const": "a", "x-weight": 1}).report()
    assert list(report.keywords) == [
        *exact("#", "const"),
        KeywordUse("#", "x-weight", "annotation", "biases, and forbids nothing"),
    ]


def test_formats_that_leave_texts_out_are_listed_apart() -> None:
    report = constrain.json_schema({"format": "hostname"}).report()
    (use,) = report.treated("narrowed")
    assert (use.pointer, use.keyword) == ("#", "format")
    assert use.reason.startswith("'hostname' without A-labels")
    assert constrain.json_schema({"format": "date"}).report().treated("exact")


def test_siblings_of_a_reference_say_nothing_in_draft_7() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"$ref": "#/definitions/b", "minimum": 3}},
        "definitions": {"b": {"type": "integer"}},
    }
    uses = {
        (u.pointer, u.keyword): u.treatment
        for u in constrain.json_schema(schema).report().keywords
    }
    assert uses["#/properties/a", "minimum"] == "annotation"
    assert uses["#/properties/a", "$ref"] == uses["#/definitions/b", "type"] == "exact"


def test_recursive_schemas_are_listed_once() -> None:
    schema = {"properties": {"next": {"$ref": "#"}}, "anyOf": [{"$ref": "#"}, True][1:]}
    assert list(constrain.json_schema(schema).report().keywords) == [
        *exact("#", "properties", "anyOf"),
        *exact("#/properties/next", "$ref"),
    ]


def test_the_example_is_a_shortest_valid_text() -> None:
    schema = {"type": "object", "required": ["ab"], "properties": {"ab": {"minimum": 12}}}
    # The least any-typed value with two digits or none: a string has 2 bytes, null 4, [] 2.
    report = constrain.json_schema(schema, "compact").report()
    assert len(report.example) == len('{"ab":12}')
    jsonschema.validate(json.loads(report.example), schema)
    spaced = constrain.json_schema({"enum": [[1, 2], {"a": {}}]}, "spaced").report()
    assert spaced.example == "[1, 2]"


def test_tokens_of_the_example_are_counted_with_a_vocabulary() -> None:
    tokens = with_end((*single_bytes("yesno"), b"yes"))
    vocabulary = constrain.Vocabulary(tokens, [len(tokens) - 1])
    grammar = constrain.choice(["yes", "nooo"])
    assert grammar.report().example == "yes"
    assert grammar.report().example_tokens is None
    assert grammar.report(vocabulary).example_tokens == 1


def test_grammars_that_are_no_schemas_have_no_keywords() -> None:
    report = (constrain.regex("[ab]{2}c") + "!").report()
    assert report.keywords == ()
    assert report.example in {"aac!", "abc!", "bac!", "bbc!"}
    assert report.size.values == 0


def test_the_size_counts_what_is_shared_once() -> None:
    # One value with a literal for each of two properties: an object, its two properties and
    # three JSON values; the same literal text twice is two literals or one shared.
    schema = {
        "type": "object",
        "properties": {"a": {"const": True}, "b": {"const": None}},
        "additionalProperties": False,
    }
    size = constrain.json_schema(schema).report().size
    # Values: the root's value, its object case, two properties, two values. Expressions:
    # the text, the reference to its rule, `true` and `null`.
    assert size == Size(rules=1, values=6, expressions=4)


def test_a_report_reads_well() -> None:
    schema = {"title": "T", "type": "string", "pattern": "(a)\\1", "minLength": 1}
    lines = str(relaxed(schema).report()).splitlines()
    assert lines[0] == 'shortest text: "a"' or lines[0].startswith('shortest text: "')
    assert lines[1].split() == ["3", "bytes"]
    assert lines[3:] == [
        "left out (the grammar allows more than the schema):",
        "  #: pattern (a back-reference is not regular at position 3 in '(a)\\\\1')",
        "annotations (they constrain nothing):",
        "  #: title",
        "exact:",
        "  #: type, minLength",
    ]


def test_a_report_is_json_data() -> None:
    report = constrain.json_schema({"type": "null"}).report()
    assert json.loads(json.dumps(report.as_json())) == {
        "keywords": [
            {"pointer": "#", "keyword": "type", "treatment": "exact", "reason": ""},
        ],
        "example": "null",
        "example_tokens": None,
        "size": {"rules": 1, "values": 1, "expressions": 3},
        "notes": [],
    }


def test_what_cannot_be_met_has_no_report() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}
    with pytest.raises(constrain.UnsatisfiableSchemaError):
        constrain.json_schema(schema).report()


def test_a_report_on_ten_thousand_properties_is_linear() -> None:
    properties = {f"p{i}": {"$ref": "#/$defs/x"} for i in range(10_000)}
    schema = {"properties": properties, "$defs": {"x": {"type": "string"}}}
    report = constrain.json_schema(schema).report()
    assert len(report.keywords) == 2 + 10_000 + 1


def test_nothing_is_left_out_unless_asked_for() -> None:
    with pytest.raises(constrain.UnsupportedSchemaError):
        constrain.json_schema(TWICE)
    with pytest.raises(ValueError, match="on_unsupported"):
        constrain.json_schema(TWICE, on_unsupported="ignore")  # type: ignore[arg-type]  # what a caller without types may write


def test_malformed_and_unsatisfiable_schemas_stay_errors() -> None:
    with pytest.raises(constrain.SchemaError):
        relaxed({"minLength": -1, **TWICE})
    with pytest.raises(constrain.UnsatisfiableSchemaError):
        relaxed({**TWICE, "type": "string", "enum": [1]}).report()


def test_relaxations_are_noted() -> None:
    notes = relaxed({"properties": {"a": TWICE}}).notes
    assert len(notes) == 1
    assert notes[0].startswith("'pattern' at #/properties/a is left out: ")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TWICE, {("#", "pattern")}),
        ({"anyOf": [TWICE, {"type": "null"}]}, {("#/anyOf/0", "pattern")}),
        ({"not": TWICE}, {("#", "not")}),
        ({"properties": {"a": {"not": {"not": TWICE}}}}, {("#/properties/a", "not")}),
        ({"not": {"properties": {"a": {"items": TWICE}}}}, {("#", "not")}),
        ({"if": TWICE, "then": {"maxLength": 1}, "maxLength": 9}, {("#", "if")}),
        ({"if": {"type": "string"}, "then": TWICE}, {("#/then", "pattern")}),
        ({"oneOf": [TWICE, {"minLength": 2}]}, {("#", "oneOf"), ("#/oneOf/0", "pattern")}),
        (
            {
                "allOf": [{"$ref": "#/$defs/x"}, {"not": {"$ref": "#/$defs/x"}}],
                "$defs": {"x": TWICE},
            },
            {("#/$defs/x", "pattern"), ("#/allOf/1", "not")},
        ),
        (
            {"patternProperties": {"(a)\\1": {}}, "additionalProperties": False},
            {("#", "patternProperties"), ("#", "additionalProperties")},
        ),
        (
            {"allOf": [{"patternProperties": {"(a)\\1": {}}}], "unevaluatedProperties": False},
            {("#/allOf/0", "patternProperties"), ("#", "unevaluatedProperties")},
        ),
        ({"contains": TWICE}, {("#/contains", "pattern")}),
        ({"contains": TWICE, "maxContains": 2}, {("#", "contains")}),
        ({"propertyNames": TWICE}, {("#/propertyNames", "pattern")}),
        ({"dependentSchemas": {"a": {"not": TWICE}}}, {("#/dependentSchemas/a", "not")}),
    ],
    ids=repr,
)
def test_only_what_widens_is_left_out(schema: Any, expected: set[tuple[str, str]]) -> None:
    assert left_out(schema) == expected


def _with_twice(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def over(keyword: str) -> st.SearchStrategy[Any]:
        return st.lists(parts, min_size=1, max_size=2).map(lambda some: {keyword: some})

    def around(keyword: str) -> st.SearchStrategy[Any]:
        return parts.map(lambda part: {keyword: part})

    return st.one_of(
        *map(over, ("allOf", "anyOf", "oneOf")),
        *map(around, ("not", "items", "contains", "additionalProperties")),
        parts.map(lambda part: {"properties": {"a": part}}),
        parts.map(lambda part: {"contains": part, "maxContains": 1}),
        st.tuples(parts, parts, parts).map(
            lambda three: dict(zip(("if", "then", "else"), three, strict=True))
        ),
        parts.map(lambda part: {"allOf": [part], "unevaluatedProperties": False}),
    )


LEAVES = st.sampled_from([TWICE, {"type": "string"}, {"minLength": 2}, {"type": "array"}, True])
TEXTS = st.sampled_from(["aa", "bb", "ab", "a", ""])
VALUES = (
    TEXTS
    | st.lists(TEXTS, max_size=2)
    | st.dictionaries(st.sampled_from("ab"), TEXTS, max_size=2)
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(LEAVES, _with_twice, max_leaves=4), VALUES | json_values())
def test_relaxing_refuses_no_valid_value(schema: Any, value: Any) -> None:
    if not jsonschema.Draft202012Validator(schema).is_valid(value):
        return
    assert accepts(relaxed(schema), value), left_out(schema)
