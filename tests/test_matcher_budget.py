"""Finishing in time: how many tokens suffice, and masks that keep a text inside a budget."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from constrain.grammar import ir
from tests import strategies
from tests.lockstep import Lockstep, can_be_written, unpacked, within_limits
from tests.oracle.json_text import accepts
from tests.oracle.token_level import fewest_tokens
from tests.vocabularies import single_bytes, with_end

SLOW_ORACLE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SEEDS = st.integers(0, 2**32).map(random.Random)
MOST = 5


def within(both: Lockstep, n_tokens: int) -> list[bool]:
    """The mask for a budget of further tokens after the next."""
    words = np.full((len(both.tokens) + 31) // 32, 0xFFFFFFFF, dtype=np.uint32)
    both.matcher.fill_mask_within(words, n_tokens)
    return unpacked(words, len(both.tokens))


@SLOW_ORACLE
@given(strategies.grammars("ab"), strategies.token_lists("ab"), SEEDS)
@within_limits
def test_min_tokens_suffice(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    both.walk(chance, 3, 8)
    enough = both.matcher.min_tokens
    fewest = fewest_tokens(grammar, tokens[:-1], both.prefix, min(enough, MOST))
    assert enough > MOST or fewest is not None
    assert (enough == 0) == accepts(grammar, both.prefix)


@SLOW_ORACLE
@given(strategies.grammars("ab"), strategies.token_lists("ab"), st.integers(0, 4), SEEDS)
@within_limits
def test_a_mask_within_a_budget_keeps_only_what_can_finish(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], n_tokens: int, chance: random.Random
) -> None:
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    both.walk(chance, 2, 8)
    full = both.matcher.mask().tolist()
    for token_id, kept in enumerate(within(both, n_tokens)):
        if token_id == both.end:
            assert kept == both.matcher.is_accepting
            continue
        assert not kept or full[token_id]
        fewest = (
            fewest_tokens(grammar, tokens[:-1], both.prefix + tokens[token_id], n_tokens)
            if full[token_id]
            else None
        )
        assert not kept or fewest is not None, "kept, but cannot finish in time"


@SLOW_ORACLE
@given(strategies.grammars("ab"), st.integers(0, 4), SEEDS)
@within_limits
def test_a_mask_within_a_budget_is_exact_where_tokens_are_bytes(
    grammar: ir.Grammar, n_tokens: int, chance: random.Random
) -> None:
    tokens = with_end(single_bytes("ab"))
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    both.walk(chance, 2, 8)
    expected = [
        fewest_tokens(grammar, tokens[:-1], both.prefix + token, n_tokens) is not None
        for token in tokens[:-1]
    ]
    assert within(both, n_tokens)[:-1] == expected


@SLOW_ORACLE
@given(strategies.json_grammars(), strategies.json_token_lists(), st.integers(0, 6), SEEDS)
@within_limits
def test_a_budget_of_min_tokens_is_always_kept(
    grammar: ir.Grammar, tokens: tuple[bytes, ...], spare: int, chance: random.Random
) -> None:
    """Any walk by masks within the budget ends in a whole text, inside the budget."""
    if not can_be_written(grammar, tokens):
        return
    both = Lockstep(grammar, tokens)
    left = both.matcher.min_tokens + spare
    while left:
        mask = within(both, left - 1)
        allowed = [i for i, bit in enumerate(mask) if bit]
        assert allowed, (both.prefix, left)
        token_id = chance.choice(allowed)
        if token_id == both.end:
            break
        after = both.matcher.min_tokens_after(token_id)
        both.accept(token_id)
        left -= 1
        assert after == both.matcher.min_tokens <= left
    assert both.matcher.is_accepting
    assert accepts(grammar, both.prefix)


def test_a_literal_needs_its_longest_tokens() -> None:
    tokens = with_end((b"a", b"b", b"ab", b"abab"))
    both = Lockstep(ir.Grammar(ir.Literal("ababab")), tokens)
    assert both.compiled.min_tokens == both.matcher.min_tokens == 2
    assert within(both, 0) == [False] * 5
    assert within(both, 1) == [False, False, True, True, False]
    assert within(both, 2)[2:4] == [True, True]
