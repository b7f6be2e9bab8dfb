"""`uniqueItems` with the vocabulary of a real model: masks token by token, and whole walks."""

from __future__ import annotations

import functools
import json
import random

import jsonschema
import numpy as np
import pytest

import constrain
from tests.lockstep import packed_mask
from tests.real_vocabularies import real_vocabulary


@functools.cache
def smollm2() -> constrain.Vocabulary:
    found = real_vocabulary("smollm2")
    if found is None:
        pytest.skip("the vocabulary of smollm2 is not on this machine")
    return found


ARRAY = {"type": "array", "uniqueItems": True}
REAL = [
    ({**ARRAY, "items": {"type": "string"}}, b'["a","","app","apple","app'),
    ({**ARRAY, "items": {"type": "string"}}, b'["a","b",'),
    (ARRAY, b'[1,12,true,"tr",{"a":1},[1],1'),
    ({**ARRAY, "items": {"type": "object"}}, b'[{"name":"x"},{"name":"'),
    ({**ARRAY, "items": ARRAY}, b'[["a","b"],["a"'),
    ({**ARRAY, "items": {"enum": ["apple", "app", "b", "bus"]}}, b'["b","app",'),
]


@pytest.mark.parametrize(("schema", "begun"), REAL)
def test_masks_over_a_real_vocabulary_are_those_of_single_tokens(
    schema: dict[str, object], begun: bytes
) -> None:
    vocabulary = smollm2()
    matcher = constrain.compile(constrain.json_schema(schema), vocabulary).matcher()
    matcher.accept_bytes(begun)
    mask = packed_mask(matcher, vocabulary.n_vocab)
    special = {*vocabulary.end_ids, *vocabulary.control_ids}
    for token_id, token in enumerate(vocabulary.tokens):
        if token_id not in special:
            fits = bool(token) and matcher.copy()._try_bytes(token)
            assert mask[token_id] == fits, token


WALKS: list[dict[str, object]] = [
    {**ARRAY, "items": {"enum": ["a", "ab", 1, 1.5, True, None]}, "minItems": 5},
    {**ARRAY, "items": {"type": "integer", "minimum": 1, "maximum": 12}, "minItems": 6},
    {**ARRAY, "items": {"type": "string", "maxLength": 2}, "minItems": 3, "maxItems": 6},
    {**ARRAY, "items": {"type": "number", "minimum": 0, "maximum": 3, "multipleOf": 0.5}},
    {**ARRAY, "prefixItems": [{"type": "string"}, {"const": "a"}], "minItems": 3},
    {**ARRAY, "items": {**ARRAY, "items": {"enum": ["x", "y"]}}, "minItems": 5},
]


@pytest.mark.parametrize("schema", WALKS)
def test_every_walk_ends_in_different_items(schema: dict[str, object]) -> None:
    vocabulary = smollm2()
    compiled = constrain.compile(constrain.json_schema(schema), vocabulary)
    for seed in range(5):
        matcher, chance, text = compiled.matcher(), random.Random(seed), b""
        for _ in range(25):
            allowed = np.flatnonzero(matcher.mask()).tolist()
            assert allowed, text
            few = [i for i in chance.choices(allowed, k=6) if i not in vocabulary.end_ids]
            if not few:
                break
            token_id = min(few, key=lambda i: len(vocabulary.tokens[i]))
            matcher.accept(token_id)
            text += vocabulary.tokens[token_id]
        completion = matcher.shortest_completion()
        matcher.accept_bytes(completion)
        assert matcher.is_accepting
        jsonschema.validate(json.loads(text + completion), schema)
