"""Small scopes, exhausted: all schemas up to a size, all values up to a size, `jsonschema`."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

import constrain
from tests.schema_chance import Oracle

LEAVES: list[Any] = [
    True,
    False,
    {"type": "null"},
    {"const": 1},
    {"type": "array", "maxItems": 1},
    {"required": ["a"]},
    {"maxProperties": 1},
    {"type": ["object", "null"], "minProperties": 1},
]


def unary(x: Any) -> Iterator[Any]:
    """All schemas over one schema."""
    yield {"not": x}
    yield {"items": x}
    yield {"contains": x}
    yield {"contains": x, "minContains": 0, "maxContains": 1}
    yield {"properties": {"a": x}}
    yield {"additionalProperties": x}
    yield {"patternProperties": {"^b?$": x}, "additionalProperties": False}
    yield {"dependentSchemas": {"b": x}}


def binary(x: Any, y: Any) -> Iterator[Any]:
    """All schemas over two schemas."""
    yield {"anyOf": [x, y]}
    yield {"oneOf": [x, y]}
    yield {"allOf": [x, y]}
    yield {"if": x, "then": y}
    yield {"properties": {"a": x}, "additionalProperties": y}
    yield {"prefixItems": [x], "items": y}
    yield {"items": x, "contains": y}
    yield {"anyOf": [{"properties": {"a": x}}, True], "unevaluatedProperties": y}
    yield {"contains": x, "unevaluatedItems": y}


def outer(x: Any) -> Iterator[Any]:
    """Some schemas over one schema, around larger ones."""
    yield {"not": x}
    yield {"oneOf": [x, {"type": "array"}]}
    yield {"additionalProperties": x, "minProperties": 1}


SMALL = [schema for x in LEAVES for schema in unary(x)] + [
    schema for x, y in itertools.product(LEAVES, repeat=2) for schema in binary(x, y)
]
LARGE = [schema for x in SMALL for schema in outer(x)]

ITEMS: list[Any] = [None, 1, [], {"a": 1}]
TEXTS = [
    json.dumps(value)
    for value in [
        *(None, 1, [], {}),
        *([x] for x in ITEMS),
        *([x, y] for x, y in itertools.product(ITEMS[:3], repeat=2)),
        *({name: x} for name in ("a", "b", "c") for x in ITEMS),
        *({"a": x, "b": y} for x, y in itertools.product(ITEMS[:2], repeat=2)),
    ]
]


@functools.cache
def byte_tokens() -> constrain.Vocabulary:
    return constrain.Vocabulary([bytes([byte]) for byte in range(256)], end_ids=())


def accepted(schema: Any) -> set[str]:
    """Those of `TEXTS` that the schema's grammar has."""
    try:
        grammar = constrain.json_schema(schema, "flexible", "any")
        start = constrain.compile(grammar, byte_tokens()).matcher()
    except constrain.UnsatisfiableSchemaError:
        return set()
    found = set()
    for text in TEXTS:
        matcher = start.copy()
        try:
            matcher.accept_bytes(text.encode())
        except constrain.TokenRejectedError:
            continue
        if matcher.is_accepting:
            found.add(text)
    return found


def compare(schemas: list[Any]) -> int:
    """Compare all verdicts; how many values were valid, over all schemas."""
    n_valid = 0
    for schema in schemas:
        oracle = Oracle(schema)
        expected = {text for text in TEXTS if oracle.is_valid(text)}
        assert accepted(schema) == expected, schema
        n_valid += len(expected)
    return n_valid


def test_all_small_schemas_say_of_all_small_values_what_jsonschema_says() -> None:
    # 8 leaves in 8 and 9 forms; 4 values, 4 and 9 arrays, 12 and 4 objects.
    assert len(SMALL) == 8 * 8 + 8 * 8 * 9
    assert len(TEXTS) == 4 + 4 + 9 + 12 + 4
    n_valid = compare(SMALL)
    assert 0.2 < n_valid / (len(SMALL) * len(TEXTS)) < 0.8


def test_negations_and_exclusions_of_small_schemas_agree_too() -> None:
    assert len(LARGE) == 3 * len(SMALL)
    n_valid = compare(LARGE)
    assert 0.2 < n_valid / (len(LARGE) * len(TEXTS)) < 0.8


def test_unique_items_of_small_schemas_agree_too() -> None:
    unique = [{"items": x, "uniqueItems": True} for x in LEAVES] + [
        {"prefixItems": [x], "items": y, "uniqueItems": True}
        for x, y in itertools.product(LEAVES, repeat=2)
    ]
    unique += [{"additionalProperties": schema} for schema in unique]
    n_valid = compare(unique)
    assert 0.2 < n_valid / (len(unique) * len(TEXTS)) < 0.9


def test_what_is_not_unique_is_refused_as_a_demand() -> None:
    # "Two items are equal" is no regular property; where no item can be it is never so.
    for x in LEAVES:
        if x is False:
            continue
        with pytest.raises(constrain.UnsupportedSchemaError, match="uniqueItems"):
            constrain.json_schema({"not": {"items": x, "uniqueItems": True}})
