"""Huge, deep and malicious schemas end in a result or a clear error, soon."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from constrain.errors import ConstrainError, LimitError, SchemaError, UnsupportedSchemaError
from constrain.grammar.ir import JsonValue
from constrain.schema import json_schema
from tests.oracle.json_text import accepts

DEEP = 10_000


def nested(wrap: Callable[[Any], Any], leaf: Any) -> Any:
    """`leaf` wrapped 10 000 times."""
    for _ in range(DEEP):
        leaf = wrap(leaf)
    return leaf


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"type": "object", "properties": {"a": s}},
        lambda s: {"items": s},
        lambda s: {"prefixItems": [s]},
        lambda s: {"additionalProperties": s},
        lambda s: {"allOf": [s]},
    ],
)
def test_deep_schemas_compile(wrap: Callable[[Any], Any]) -> None:
    assert json_schema(nested(wrap, {"type": "string"})).rules


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"anyOf": [s]},
        lambda s: {"anyOf": [s, {"type": "null"}]},
        lambda s: {"allOf": [s, {"minLength": 1}]},
        lambda s: {"oneOf": [s]},
        lambda s: {"not": s},
        lambda s: {"if": s, "then": s},
    ],
)
def test_deep_combinators_are_limited(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(LimitError) as caught:
        json_schema(nested(wrap, {"type": "string"}))
    assert (caught.value.what, caught.value.limit) == ("depth", 100)


def test_deep_json_text_is_limited() -> None:
    with pytest.raises(LimitError) as caught:
        json_schema('{"items":' * DEEP + "{}" + "}" * DEEP)
    assert (caught.value.what, caught.value.given) == ("depth", DEEP + 1)


def test_deep_constants_compile() -> None:
    assert json_schema({"const": nested(lambda v: [v], 1)}).rules
    assert json_schema({"const": nested(lambda v: {"a": v}, 1)}).rules


def test_errors_about_deep_values_are_short() -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema({"minLength": nested(lambda v: [v], 1)})
    assert len(str(caught.value)) < 200


def test_a_hundred_thousand_enum_values_stay_linear() -> None:
    start = time.process_time()
    texts = [f"value {i}" for i in range(100_000)]
    body = json_schema({"type": "string", "enum": texts, "minLength": 7}).rules["#"]
    numbers = json_schema({"type": "integer", "enum": list(range(100_000))})
    assert isinstance(body, JsonValue)
    assert numbers.rules
    assert time.process_time() - start < 4


def test_ten_thousand_properties_stay_linear() -> None:
    start = time.process_time()
    properties = {f"p{i}": {"type": "string", "maxLength": i} for i in range(10_000)}
    assert json_schema({"properties": properties, "required": list(properties)}).rules
    assert time.process_time() - start < 4


def test_long_chains_of_references_end() -> None:
    defs: dict[str, Any] = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(DEEP)}
    defs[f"d{DEEP}"] = {"type": "string"}
    assert accepts(json_schema({"$ref": "#/$defs/d0", "$defs": defs}), '"a"')


@pytest.mark.parametrize(
    "schema",
    [
        {
            "allOf": [
                {"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(20)
            ]
        },
        {
            "oneOf": [
                {"properties": {f"p{j}": {"minimum": i} for j in range(10)}} for i in range(5)
            ]
        },
        {
            "not": {
                "allOf": [
                    {"oneOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]}
                    for i in range(12)
                ]
            }
        },
        {"dependentRequired": {f"p{i}": [f"q{i}"] for i in range(30)}},
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"k": {"const": f"k{i}"}, "n": {"$ref": "#"}},
                    "required": ["k"],
                }
                for i in range(200)
            ]
        },
        {
            "$ref": "#/$defs/a0",
            "$defs": {
                f"a{i}": {
                    "properties": {
                        "l": {"$ref": f"#/$defs/a{(i + 1) % 12}"},
                        "r": {
                            "allOf": [
                                {"$ref": f"#/$defs/a{(i * 5 + 2) % 12}"},
                                {"$ref": f"#/$defs/a{(i * 7 + 3) % 12}"},
                            ]
                        },
                    }
                }
                for i in range(12)
            },
        },
    ],
)
def test_products_end_soon(schema: Any) -> None:
    start = time.process_time()
    with contextlib.suppress(LimitError, UnsupportedSchemaError):
        assert json_schema(schema).rules
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "nul", '{"a": NaN}', '{"minimum": Infinity}', "3", '"a"', "{}x", "null"],
)
def test_what_is_no_schema_text_is_an_error(text: str) -> None:
    with pytest.raises(SchemaError):
        json_schema(text)


@pytest.mark.parametrize("schema", [None, 3, [], "\ud800", b"{}"])
def test_what_is_no_schema_is_an_error(schema: Any) -> None:
    with pytest.raises(SchemaError):
        json_schema(schema)


def test_unknown_options_are_errors() -> None:
    with pytest.raises(ValueError, match="whitespace"):
        json_schema({}, whitespace="loose")  # type: ignore[arg-type]  # what a caller without types may write
    with pytest.raises(ValueError, match="property_order"):
        json_schema({}, property_order="random")  # type: ignore[arg-type]  # the same
    with pytest.raises(ValueError, match="escapes"):
        json_schema({}, escapes="all")  # type: ignore[arg-type]  # the same


def test_numbers_beyond_the_digit_limit_are_refused() -> None:
    for text in (
        '{"minimum": 1e100000}',
        '{"enum": [1e-2000]}',
        '{"maximum": 1' + "0" * 2000 + "}",
    ):
        with pytest.raises(UnsupportedSchemaError, match="digits"):
            json_schema(text)
    with pytest.raises(ConstrainError):
        json_schema('{"maximum": 1' + "0" * 9000 + "}")
