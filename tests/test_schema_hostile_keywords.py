"""Hostile uses of the keywords that count, exclude and combine: a result or an error, soon."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import pytest

import constrain

SECONDS = 3.0  # one, with room for a busy machine and the heap of a whole test run


@functools.cache
def byte_tokens() -> constrain.Vocabulary:
    return constrain.Vocabulary([bytes([byte]) for byte in range(256)], end_ids=())


def wrapped(wrap: Callable[[int, Any], Any], leaf: Any, depth: int) -> Any:
    """`leaf` wrapped so many times."""
    for i in range(depth):
        leaf = wrap(i, leaf)
    return leaf


def first_mask(schema: Any) -> constrain.Matcher:
    """All that happens before the first token."""
    grammar = constrain.json_schema(schema, "flexible", "any")
    matcher = constrain.compile(grammar, byte_tokens()).matcher()
    matcher.mask()
    return matcher


NAMES = [f"p{i}" for i in range(10_000)]
LATE_A = "^(a|b)*a(a|b){%d}$"  # as a deterministic automaton, 2^n states
HOSTILE: dict[str, Any] = {
    "huge counts of contains": {
        "contains": {"type": "string"},
        "minContains": 65_536,
        "maxContains": 10**6,
    },
    "counts within counts": {
        "items": {"contains": {"const": 1}, "minContains": 5_000, "maxItems": 6_000},
        "minItems": 3_000,
    },
    "overlapping contains": {
        "allOf": [{"contains": {"minimum": i}, "maxContains": i + 3} for i in range(30)]
    },
    "some overlapping contains": {
        "allOf": [{"contains": {"minimum": i}, "maxContains": i + 3} for i in range(6)]
    },
    "contains of patterns": {
        "allOf": [{"contains": {"pattern": f"a{{{i}}}"}} for i in range(40)]
    },
    "disjoint contains": {"allOf": [{"contains": {"const": i}} for i in range(40)]},
    "contains within not within contains": wrapped(
        lambda _, s: {"not": {"contains": s}}, {"const": 1}, 60
    ),
    "unique items of a big enum": {
        "items": {"enum": [f"v{i}" for i in range(20_000)]},
        "uniqueItems": True,
    },
    "nearly all of a big enum": {
        "type": "array",
        "items": {"enum": list(range(5_000))},
        "uniqueItems": True,
        "minItems": 4_999,
    },
    "more unique items than values": {
        "type": "array",
        "items": {"enum": list(range(300))},
        "uniqueItems": True,
        "minItems": 301,
    },
    "unique items of anything": {"uniqueItems": True},
    "unevaluated through a deep allOf": {
        **wrapped(
            lambda i, s: {"allOf": [s, {"properties": {f"p{i}": {"type": "string"}}}]},
            {"properties": {"z": {}}},
            60,
        ),
        "unevaluatedProperties": False,
    },
    "unevaluated beside many branches": {
        "anyOf": [{"properties": {f"a{i}": {}}, "required": [f"a{i}"]} for i in range(30)],
        "unevaluatedProperties": False,
    },
    "overlapping patterns of keys": {
        "patternProperties": {f"a{{{i}}}": {"minimum": i} for i in range(40)}
    },
    "many patterns of keys": {
        "patternProperties": {f"^x{i}-": {"minimum": i} for i in range(40)},
        "additionalProperties": False,
    },
    "oneOf over open objects": {
        "oneOf": [
            {"properties": {f"p{j}": {"minimum": i} for j in range(10)}} for i in range(10)
        ]
    },
    "oneOf in allOf": {
        "allOf": [
            {"oneOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(14)
        ]
    },
    "anyOf in allOf": {
        "allOf": [
            {"anyOf": [{"properties": {f"a{i}": {"type": "string"}}}, {"required": ["z"]}]}
            for i in range(20)
        ]
    },
    "oneOf of many objects": {
        "oneOf": [{"properties": {"k": {"const": i}}, "required": ["k"]} for i in range(500)]
    },
    "nested not": wrapped(lambda _, s: {"not": {"properties": {"a": s}}}, {"type": "null"}, 90),
    "nested if": wrapped(
        lambda i, s: {
            "if": {"required": [f"a{i}"]},
            "then": {"properties": {"b": s}},
            "else": {"properties": {"c": {"minimum": i}}},
        },
        {"type": "null"},
        60,
    ),
    "implications in a circle": {
        "dependentSchemas": {
            f"p{i}": {
                "required": [f"p{(i + 1) % 12}"],
                "properties": {f"p{5 * i % 12}": {"minimum": i}},
            }
            for i in range(12)
        }
    },
    "patterns with exponential automata": {
        "allOf": [{"pattern": LATE_A % i} for i in range(5, 15)]
    },
    "their complement": {"not": {"anyOf": [{"pattern": LATE_A % i} for i in range(5, 15)]}},
    "many keys of an exponential pattern": {
        "propertyNames": {"pattern": LATE_A % 12},
        "minProperties": 100,
    },
    "a loop of references": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
    },
    "a loop through items": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}},
    },
    "ten thousand required names": {
        "required": NAMES,
        "properties": {key: {"maxLength": 9} for key in NAMES},
    },
    "nearly all of ten thousand names": {
        "type": "object",
        "properties": {key: {"type": "integer"} for key in NAMES},
        "additionalProperties": False,
        "minProperties": 9_000,
    },
    "a hundred thousand values": {"enum": [f"value {i}" for i in range(100_000)]},
    "all but a hundred thousand": {"not": {"enum": [f"value {i}" for i in range(100_000)]}},
    "an enum of objects": {"enum": [{"a": i, "b": [i]} for i in range(2_000)]},
    "many multiples": {
        "allOf": [{"multipleOf": p} for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)]
    },
    "a giant period": {"multipleOf": 0.000001234567},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_schemas_end_soon_in_a_result_or_an_error(name: str) -> None:
    start = time.process_time()
    with contextlib.suppress(constrain.SchemaError, constrain.LimitError):
        first_mask(HOSTILE[name])
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("name", ["more unique items than values", "a loop through items"])
def test_what_cannot_be_met_is_refused_when_compiled(name: str) -> None:
    with pytest.raises((constrain.UnsatisfiableSchemaError, constrain.UnsupportedSchemaError)):
        first_mask(HOSTILE[name])


def test_huge_counts_are_counted() -> None:
    matcher = first_mask(
        {"type": "array", "contains": {"const": 1}, "minContains": 3_000, "maxContains": 3_000}
    )
    matcher.accept_bytes(b"[" + b"1," * 2_999 + b"0,1")
    assert b"]"[0] in matcher.mask().nonzero()[0]
    matcher.accept_bytes(b",0]")
    assert matcher.is_accepting
