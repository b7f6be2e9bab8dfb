"""Whether a path leads to a place that the JSON texts of a grammar can have."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import constrain
from constrain.driver.options import check_places
from constrain.errors import ArgumentError
from constrain.grammar.json_places import reached
from constrain.logprobs.paths import Keys, parse_pattern
from constrain.sampling import Sampling
from tests.schema_chance import Oracle, SchemaMaker

STRING = {"type": "string"}
CLOSED = {"type": "object", "properties": {"a": STRING}, "additionalProperties": False}
TREE = {
    "type": "object",
    "properties": {"value": STRING, "below": {"type": "array", "items": {"$ref": "#"}}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "there", "not_there"),
    [
        (True, ["$", "$.a", "$[3].b", "$.*[*]"], []),
        (STRING, ["$"], ["$.a", "$[0]", "$.*"]),
        (CLOSED, ["$", "$.a", "$.*", '$["a"]'], ["$.b", "$.a.b", "$[0]", "$.*.*", "$.A"]),
        (
            {**CLOSED, "additionalProperties": {"type": "array"}},
            ["$.b[9]"],
            ["$.b.c", "$.a[0]"],
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^x": {"type": "array"}, "^y": STRING},
                "additionalProperties": False,
            },
            ["$.x1[0]", "$.y1"],
            ["$.x1.a"],
        ),
        ({"properties": {"a": False}}, ["$.b", "$[0]"], ["$.a"]),
        (
            {"type": "array", "prefixItems": [CLOSED, STRING], "items": False},
            ["$[0].a", "$[1]", "$[*].a"],
            ["$[2]", "$[1].a", "$.a"],
        ),
        ({"type": "array", "items": CLOSED, "maxItems": 2}, ["$[1].a"], ["$[2].a", "$[2]"]),
        ({"type": "array", "contains": CLOSED, "items": CLOSED}, ["$[7].a"], ["$[7].b"]),
        ({"anyOf": [CLOSED, {"type": "array", "items": STRING}]}, ["$.a", "$[0]"], ["$.b"]),
        (
            {"type": "object", "not": {"required": ["a"]}, "properties": {"a": STRING}},
            ["$.b"],
            ["$.a"],
        ),
        (TREE, ["$.below[0].below[*].value"], ["$.below.below", "$.below[0].below[1].values"]),
    ],
)
def test_places_of_a_schema(schema: Any, there: list[str], not_there: list[str]) -> None:
    grammar = constrain.json_schema(schema)
    for path, expected in [*((p, True) for p in there), *((p, False) for p in not_there)]:
        pattern = parse_pattern(path)
        assert (reached(grammar, pattern)[0] == len(pattern)) == expected, path


def places_of(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """The paths of all values in a value."""
    yield keys
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield from places_of(child, (*keys, key))


def test_no_place_of_a_valid_value_is_missed() -> None:
    n_places = 0
    for seed in range(400):
        maker = SchemaMaker(random.Random(seed))
        schema = maker.document()
        try:
            grammar = constrain.json_schema(schema)
        except constrain.ConstrainError:
            continue
        oracle = Oracle(schema)
        for value in (maker.near(schema) for _ in range(8)):
            if not oracle.is_valid(json.dumps(value)):
                continue
            for keys in places_of(value):
                assert reached(grammar, keys)[0] == len(keys), (seed, keys)
                n_places += 1
    assert n_places > 2000


def test_grammars_made_of_several_have_the_places_of_each() -> None:
    grammar = constrain.json_schema(CLOSED) | constrain.json_schema({"type": "array"})
    assert reached(grammar, ("a",))[0] == reached(grammar, (0,))[0] == 1
    assert reached(grammar, ("b",)) == (0, ("a",))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("$.valeu", r"no text of the grammar has a value at '\$\.valeu'; there is \.value$"),
        ("$.below[0].up", r"at '\$\.below\[0\]\.up'; there is \.value, \.below$"),
        ("$.value[0]", r"at '\$\.value\[0\]'$"),
    ],
)
def test_a_bias_at_no_place_is_an_error(path: str, message: str) -> None:
    tokens = [bytes([b]) for b in range(256)]
    vocabulary = constrain.Vocabulary([*tokens, b""], end_ids=[256])
    compiled = constrain.compile(constrain.json_schema(TREE), vocabulary)
    check_places(Sampling(logit_bias_at={"$.below[*].value": {"a": 1.0}}), compiled)
    with pytest.raises(ArgumentError, match=message):
        check_places(Sampling(logit_bias_at={path: {"a": 1.0}}), compiled)
