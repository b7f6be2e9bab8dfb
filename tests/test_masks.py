"""Whole masks, bit by bit: the kernel's against the slow recognizers' on small vocabularies."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrain
from constrain.grammar import ir
from tests import strategies
from tests.lockstep import Lockstep, can_be_written, packed_mask, within_limits
from tests.oracle.token_level import allowed_tokens
from tests.vocabularies import CROSSING, JSON_LETTERS, LONG, single_bytes, with_end

SLOW_ORACLE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SEEDS = st.integers(0, 2**32).map(random.Random)


def test_the_crossing_vocabulary_is_closed_under_bytes() -> None:
    tokens = with_end((*single_bytes(JSON_LETTERS + "6"), *CROSSING))
    grammar = ir.Grammar(ir.Literal("a"))
    assert sum(allowed_tokens(grammar, tokens, b"", [len(tokens) - 1])) == 1


@SLOW_ORACLE
@given(strategies.grammars("ab"), strategies.token_lists("ab"), SEEDS)
@within_limits
def test_masks_of_text_grammars_are_the_oracles(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        with pytest.raises(constrain.ConstrainError):
            constrain.compile(grammar, constrain.Vocabulary(tokens, [len(tokens) - 1]))
        return
    Lockstep(grammar, tokens).walk(chance, 6, 10)


@SLOW_ORACLE
@given(strategies.grammars("aé€"), strategies.token_lists("aé€"), SEEDS)
def test_masks_are_the_oracles_where_tokens_hold_parts_of_characters(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if can_be_written(grammar, tokens):
        Lockstep(grammar, tokens).walk(chance, 6, 12)


@SLOW_ORACLE
@given(strategies.json_grammars(), strategies.json_token_lists(), SEEDS)
@within_limits
def test_masks_of_json_grammars_are_the_oracles(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        with pytest.raises(constrain.ConstrainError):
            constrain.compile(grammar, constrain.Vocabulary(tokens, [len(tokens) - 1]))
        return
    Lockstep(grammar, tokens).walk(chance, 10, 40)


@SLOW_ORACLE
@given(strategies.json_grammars(), strategies.json_token_lists(), SEEDS)
def test_rollback_and_copy_restore_the_mask(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    both.wander(chance, 4, 20)
    mask = packed_mask(both.matcher, len(tokens))
    n_tokens, twin = both.matcher.n_tokens, both.matcher.copy()
    both.wander(chance, 4, 20)
    assert packed_mask(twin, len(tokens)) == mask
    both.rollback(both.matcher.n_tokens - n_tokens)
    assert packed_mask(both.matcher, len(tokens)) == mask
    both.rollback(chance.randint(0, both.matcher.n_tokens))
    both.check()
    both.wander(chance, 2, 20)
    assert packed_mask(twin, len(tokens)) == mask


@SLOW_ORACLE
@given(strategies.json_grammars(), strategies.json_token_lists(), SEEDS)
def test_a_remembered_mask_equals_a_fresh_one(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    both.wander(chance, 6, 30)
    for n_tokens in range(len(both.history) + 1):
        fresh = constrain.compile(grammar, constrain.Vocabulary(tokens, [both.end])).matcher()
        again = both.compiled.matcher()
        for token_id in both.history[:n_tokens]:
            fresh.accept(token_id)
            again.accept(token_id)
        assert packed_mask(fresh, len(tokens)) == packed_mask(again, len(tokens))


LONG_ROOTS: dict[str, tuple[ir.Node, list[int]]] = {
    # Which of LONG may come first: 1001 letters, the same in quotes, 1002 letters.
    "any letters": (ir.Repeat(ir.Chars(((97, 98),))), [0, 2]),
    "enough letters": (ir.Repeat(ir.Chars(((97, 98),)), 0, 1_002), [0, 2]),
    "a letter too few": (ir.Repeat(ir.Chars(((97, 98),)), 0, 1_001), [0]),
    "a string": (ir.JsonString(ir.Repeat(ir.Chars(((97, 97),)), 1_001, 1_001)), [1]),
    "a longer string": (ir.JsonString(ir.Repeat(ir.Chars(((97, 97),)), 1_002)), []),
    "recursion": (ir.Rule("x"), [0, 2]),
}


@pytest.mark.parametrize("what", LONG_ROOTS)
def test_tokens_of_more_than_a_thousand_bytes_are_read_to_their_end(what: str) -> None:
    root, expected = LONG_ROOTS[what]
    tokens = with_end((*LONG, *single_bytes('"ab')))
    # a**n b**n: any number of a may come first, and one b after them.
    rules = {
        "x": ir.Choice(
            (ir.Sequence((ir.Literal("a"), ir.Rule("x"), ir.Literal("b"))), ir.Literal("ab"))
        )
    }
    matcher = constrain.compile(
        ir.Grammar(root, rules), constrain.Vocabulary(tokens, [len(tokens) - 1])
    ).matcher()
    mask = packed_mask(matcher, len(tokens))
    assert [i for i in range(len(LONG)) if mask[i]] == expected
    for token_id in expected:
        matcher.copy().accept(token_id)


@pytest.mark.parametrize("n_text", [1, 30, 31, 32, 33, 63, 64])
def test_bits_behind_the_last_token_are_zero(n_text: int) -> None:
    tokens = with_end([b"a"] * n_text)
    both = Lockstep(ir.Grammar(ir.Repeat(ir.Literal("a"))), tokens)
    assert both.check() == list(range(n_text))


def test_mask_and_fill_mask_agree() -> None:
    tokens = with_end(single_bytes("ab"))
    both = Lockstep(ir.Grammar(ir.Repeat(ir.Literal("ab"))), tokens)
    for token_id in (0, 1):
        mask = both.matcher.mask()
        assert mask.dtype == np.bool_
        assert mask.tolist() == both.expected() == packed_mask(both.matcher, 3)
        both.accept(token_id)


@pytest.mark.parametrize(
    "words", [np.zeros(2, np.uint32), np.zeros(1, np.int64), np.zeros((1, 1), np.uint32)]
)
def test_a_mask_of_the_wrong_shape_or_type_is_refused(words: np.ndarray) -> None:
    both = Lockstep(ir.Grammar(ir.Literal("a")), with_end(single_bytes("a")))
    with pytest.raises((TypeError, ValueError)):
        both.matcher.fill_mask(words)


def test_no_token_may_come_after_the_end() -> None:
    both = Lockstep(ir.Grammar(ir.Literal("a")), with_end(single_bytes("a")))
    both.accept(0)
    both.matcher.accept(both.end)
    assert both.matcher.is_finished
    assert not any(packed_mask(both.matcher, 2))
    both.matcher.rollback(1)
    assert not both.matcher.is_finished
    both.check()
