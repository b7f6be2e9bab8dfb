"""Random schemas over all keywords: verdicts equal to `jsonschema`'s, and no dead end.

`--walks 10000` makes the run of record; the default takes some seconds.
"""

from __future__ import annotations

import functools
import json
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import constrain
from tests.schema_chance import Oracle, SchemaMaker
from tests.test_walks import FORMS, vocabulary, walk

MOST_REFUSED = 0.05
"""Share of random schemas that may be unsupported or beyond a limit."""
VALUES = 20
"""Values judged for each schema."""


@functools.cache
def byte_tokens() -> constrain.Vocabulary:
    return constrain.Vocabulary([bytes([byte]) for byte in range(256)], end_ids=())


def start_of(schema: Any) -> constrain.Matcher | None:
    """A matcher before the first byte, in the widest text form; None if nothing is valid."""
    try:
        grammar = constrain.json_schema(schema, "flexible", "any", "any")
        return constrain.compile(grammar, byte_tokens()).matcher()
    except constrain.UnsatisfiableSchemaError:
        return None


def accepts(start: constrain.Matcher | None, text: str) -> bool:
    """Whether the text is of the grammar."""
    if start is None:
        return False
    matcher = start.copy()
    try:
        matcher.accept_bytes(text.encode())
    except constrain.TokenRejectedError:
        return False
    return matcher.is_accepting


def judge(chance: Random, n_values: int) -> tuple[int, int]:
    """Draw a schema, judge values; counts of valid and of invalid ones."""
    maker = SchemaMaker(chance)
    schema = maker.document()
    start = start_of(schema)
    oracle = Oracle(schema)
    counts = [0, 0]
    for number in range(n_values):
        text = json.dumps(maker.near(schema) if number % 5 else maker.value(3))
        valid = oracle.is_valid(text)
        counts[not valid] += 1
        assert accepts(start, text) == valid, (schema, text, valid)
    return counts[0], counts[1]


def test_verdicts_on_many_schemas_are_those_of_jsonschema(n_walks: int) -> None:
    n_schemas = 5 * n_walks
    refused: list[int] = []
    n_valid = n_invalid = 0
    for seed in range(n_schemas):
        try:
            valid, invalid = judge(Random(seed), VALUES)
        except (constrain.UnsupportedSchemaError, constrain.LimitError):
            refused.append(seed)
            continue
        n_valid += valid
        n_invalid += invalid
    assert len(refused) <= MOST_REFUSED * n_schemas, refused
    # The values are near the schemas: neither verdict is rare.
    assert min(n_valid, n_invalid) > 0.2 * VALUES * n_schemas


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_no_verdict_differs_from_that_of_jsonschema(chance: Random) -> None:
    try:
        judge(chance, 6)
    except (constrain.UnsupportedSchemaError, constrain.LimitError):
        assume(False)


@pytest.mark.timeout(3_000)
def test_walks_on_random_schemas_end_in_valid_texts(n_walks: int) -> None:
    n_schemas = n_walks // 2
    n_walked = 0
    for seed in range(n_schemas):
        schema = SchemaMaker(Random(seed)).document()
        try:
            grammar = constrain.json_schema(schema, **FORMS[seed % len(FORMS)])
            compiled = constrain.compile(grammar, vocabulary("smollm2"))
        except (constrain.SchemaError, constrain.LimitError):
            continue  # the share of these is bounded above
        oracle = Oracle(schema)
        for number in range(3):
            text = walk("smollm2", compiled, Random(3 * seed + number))
            assert oracle.is_valid(text), (schema, text)
        n_walked += 1
    assert n_walked > n_schemas / 2
