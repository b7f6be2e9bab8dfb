"""Strings of JSON Schema: lengths, patterns, formats, enumerations."""

from __future__ import annotations

from typing import Any

import pytest

from constrain.errors import SchemaError, UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import JsonString, JsonValue
from constrain.schema import json_schema
from tests.oracle.json_text import accepts
from tests.schema_verdicts import check_both_sides


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "é€😀"], ["a", "abcd", 3]),
        ({"minLength": 2}, ["ab", 1, None, [], {}], ["a", ""]),
        ({"maxLength": 2.0}, ["ab", "😀😀"], ["abc"]),
        ({"type": "string", "pattern": "b+"}, ["b", "abba", "\nb"], ["", "a", "B"]),
        ({"type": "string", "pattern": "^a|b$"}, ["ax", "xb"], ["xa", "bx"]),
        (
            {"type": "string", "pattern": "^\\d+$", "maxLength": 3},
            ["1", "123"],
            ["", "1234", "a"],
        ),
        ({"type": "string", "enum": ["a", "b", 1]}, ["a", "b"], ["c", 1]),
        ({"enum": ["abc", "a"], "minLength": 2}, ["abc"], ["a"]),
        ({"enum": ["abc", "bcd"], "pattern": "^a"}, ["abc"], ["bcd"]),
        ({"const": 'q"\\\n\x01é😀'}, ['q"\\\n\x01é😀'], ["q"]),
        ({"type": "string", "const": ""}, [""], ["a", " "]),
    ],
)
def test_string_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_unknown_formats_are_notes() -> None:
    grammar = json_schema({"properties": {"a": {"type": "string", "format": "flag-topic"}}})
    assert grammar.notes == ("unknown format 'flag-topic' at #/properties/a is an annotation",)


def test_unknown_keywords_are_notes_and_standard_annotations_are_not() -> None:
    schema = {"title": "t", "description": "d", "default": 1, "x-kind": 3, "nullable": True}
    assert json_schema(schema).notes == (
        "unknown keyword 'x-kind' at #",
        "unknown keyword 'nullable' at #",
    )


def test_escapes_are_told_to_every_string() -> None:
    for escapes in ("minimal", "any"):
        grammar = json_schema({"type": "string", "minLength": 1}, escapes=escapes)
        body = grammar.rules["#"]
        assert isinstance(body, JsonValue)
        assert isinstance(body.scalar, JsonString)
        assert body.scalar.escapes == escapes


def test_texts_with_lone_surrogates_cannot_be_said() -> None:
    grammar = json_schema({"enum": ["\ud800", "a"]})
    assert accepts(grammar, '"a"')
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"const": "\udfff"})


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minLength": -1}, "minLength"),
        ({"maxLength": "3"}, "maxLength"),
        ({"maxLength": 1.5}, "maxLength"),
        ({"minLength": True}, "minLength"),
        ({"pattern": 3}, "pattern"),
        ({"pattern": "("}, "pattern"),
        ({"format": 1}, "format"),
        ({"type": "strin"}, "type"),
        ({"type": ["string", 3]}, "type"),
        ({"enum": "a"}, "enum"),
        ({"enum": [{1: 2}]}, ""),
        ({"const": object()}, "const"),
    ],
)
def test_malformed_string_keywords_are_named(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema({"items": schema})
    assert caught.value.pointer == "#/items"
    if keyword:
        assert caught.value.keyword == keyword
        assert caught.value.value == schema[keyword]


def test_a_back_reference_is_unsupported() -> None:
    with pytest.raises(UnsupportedSchemaError, match="'pattern' at #"):
        json_schema({"type": "string", "pattern": r"(a)\1"})
