"""Weights of a choice: along any path biases add up to the weight, less the best one."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.grammar import ir
from tests.lockstep import packed_mask
from tests.vocabularies import vocabulary_of, with_end

TOKENS = with_end((b"a", b"b", b"ab", b"ba", b"aa", b"bb"))
WEIGHTED = st.dictionaries(
    st.text("ab", min_size=1, max_size=4), st.integers(-8, 8).map(float), min_size=1, max_size=5
)


def weighted(choices: dict[str, float]) -> ir.Grammar:
    """A choice of texts with their weights."""
    return ir.Grammar(
        ir.Choice(tuple(map(ir.Literal, choices)), tuple(choices.values())),
    )


def biases(matcher: constrain.Matcher) -> dict[int, float]:
    """The bias of each token that has one."""
    ids, values = matcher.bias()
    assert ids.dtype == np.int32
    assert values.dtype == np.float32
    assert len(ids) == len(values) == len(set(ids.tolist()))
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


@settings(deadline=None)
@given(WEIGHTED, st.integers(0, 2**32).map(random.Random))
def test_biases_along_a_path_add_up_to_the_weight_less_the_best(
    choices: dict[str, float], chance: random.Random
) -> None:
    matcher = constrain.compile(weighted(choices), vocabulary_of(TOKENS)).matcher()
    text, total = "", 0.0
    while True:
        mask = packed_mask(matcher, len(TOKENS))
        allowed = [i for i, bit in enumerate(mask) if bit]
        found = biases(matcher)
        token_id = chance.choice(allowed)
        total += found.get(token_id, 0.0)
        matcher.accept(token_id)
        if matcher.is_finished:
            break
        text += TOKENS[token_id].decode()
    assert math.isclose(total, choices[text] - max(choices.values()), abs_tol=1e-5)


def test_the_bias_of_a_token_is_that_of_the_best_text_it_leads_to() -> None:
    # The best of all is 2. First a: still 2; first b: 0.5; "ab": -1. After a: b leads to -1.
    grammar = weighted({"ab": -1.0, "aa": 2.0, "b": 0.5})
    matcher = constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()
    found = biases(matcher)
    assert [found.get(i, 0.0) for i in (0, 1, 2, 4)] == [0.0, -1.5, -3.0, 0.0]
    matcher.accept(0)
    found = biases(matcher)
    assert [found.get(i, 0.0) for i in (0, 1)] == [0.0, -3.0]


@pytest.mark.parametrize("choices", [{"a": 0.0, "b": 0.0}, {"ab": 0.0}])
def test_weights_of_nothing_bias_nothing(choices: dict[str, float]) -> None:
    matcher = constrain.compile(weighted(choices), vocabulary_of(TOKENS)).matcher()
    assert not any(biases(matcher).values())


def test_a_choice_without_weights_has_no_bias() -> None:
    grammar = ir.Grammar(ir.OneOf(("a", "bb")))
    assert biases(constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()) == {}


def test_texts_left_empty_cost_their_weights() -> None:
    tokens = with_end((b"a", b"b", b"c", b"ab", b"ac", b"bc", b"abc"))
    parts = weighted({"": -1.0, "a": 0.0}) + weighted({"": -2.0, "b": 0.0})
    matcher = constrain.compile(parts + "c", vocabulary_of(tokens)).matcher()
    # Without a: -1; without b: -2.
    assert biases(matcher) == {1: -1.0, 2: -3.0, 4: -2.0, 5: -1.0}
    matcher.accept(0)
    assert biases(matcher) == {2: -2.0}
    matcher = constrain.compile(parts, vocabulary_of(tokens)).matcher()
    assert biases(matcher) == {1: -1.0, 7: -3.0}  # the last is the end
    matcher.accept(0)
    assert biases(matcher) == {7: -2.0}


def test_a_token_that_may_stay_in_free_text_costs_nothing() -> None:
    grammar = constrain.regex("[ab]{0,3}") + weighted({"a": 0.0, "b": -3.0})
    matcher = constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()
    assert biases(matcher) == {}
    matcher.accept(2)  # one more character is free: then b, or bb, ends in the choice
    assert biases(matcher) == {2: -3.0, 5: -3.0}
    matcher.accept(0)
    assert biases(matcher) == {1: -3.0}


LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAIRS = [first + second for first in LETTERS + LETTERS.upper() for second in LETTERS]
MANY = [*(pair.encode() for pair in PAIRS), b'{"', b"k", b'"', b"k\xc3", b""]


def test_each_of_many_tokens_has_its_own_bias() -> None:
    assert len(PAIRS) > 1_024
    weights = {pair: -float(i % 5) for i, pair in enumerate(PAIRS)}
    compiled = constrain.compile(weighted({**weights, "": -2.5}), vocabulary_of(MANY))
    end = len(MANY) - 1
    expected = {i: weights[pair] for i, pair in enumerate(PAIRS) if i % 5} | {end: -2.5}
    assert biases(compiled.matcher()) == expected


def test_of_many_tokens_each_is_worth_the_better_of_two_choices() -> None:
    fives = {pair: -float(i % 5) for i, pair in enumerate(PAIRS)}
    threes = {pair: -float(i % 3) for i, pair in enumerate(PAIRS)}
    compiled = constrain.compile(weighted(fives) | weighted(threes), vocabulary_of(MANY))
    expected = {i: -float(min(i % 5, i % 3)) for i in range(len(PAIRS)) if i % 5 and i % 3}
    assert biases(compiled.matcher()) == expected


@pytest.mark.parametrize("order", ["schema", "any"])
def test_a_key_beside_a_wished_one_costs_its_weight_where_it_cannot_follow(order: Any) -> None:
    schema = {"type": "object", "properties": {"k": {"x-weight": 3}}}
    grammar = constrain.json_schema(schema, property_order=order)
    vocabulary = vocabulary_of((*MANY[:-1], *(bytes([b]) for b in b"{}:,0123456789"), b""))
    matcher = constrain.compile(grammar, vocabulary).matcher()
    matcher.accept_bytes(b'{"')
    found = biases(matcher)
    allowed = np.flatnonzero(matcher.mask()).tolist()
    assert len(allowed) > len(PAIRS)
    for token in allowed:
        is_k = vocabulary.tokens[token] == b"k"
        wanted = -3.0 if order == "schema" and not is_k else 0.0
        assert found.get(token, 0.0) == wanted, vocabulary.tokens[token]
