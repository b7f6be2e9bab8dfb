"""What a matcher promises besides masks: accept, rollback, copy, forced and shortest text."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrain
from constrain.grammar import ir
from tests import strategies
from tests.lockstep import Lockstep, can_be_written, packed_mask, within_limits
from tests.oracle.json_text import accepts
from tests.oracle.token_level import forced, shortest_texts
from tests.vocabularies import single_bytes, with_end

SLOW_ORACLE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SEEDS = st.integers(0, 2**32).map(random.Random)
AB = with_end(single_bytes("ab"))


MOST_TEXTS = 20_000  # that the oracle looks at one by one


def lockstep(grammar: ir.Grammar, tokens: Sequence[bytes] = AB) -> Lockstep:
    return Lockstep(grammar, tuple(tokens))


@st.composite
def walked(draw: st.DrawFn) -> Lockstep:
    """A matcher somewhere inside a text of a random grammar."""
    kind = draw(st.sampled_from(["text", "json"]))
    if kind == "text":
        pair = (strategies.grammars("ab"), strategies.token_lists("ab"))
    else:
        pair = (strategies.json_grammars(), strategies.json_token_lists())
    grammar, tokens = draw(pair[0]), draw(pair[1])
    if not can_be_written(grammar, tokens):
        grammar = ir.Grammar(ir.Repeat(ir.OneOf(("a", "ab", "b"))))
    both = Lockstep(grammar, tokens)
    chance = draw(SEEDS)
    within_limits(both.wander)(chance, draw(st.integers(0, 8)))
    return both


@SLOW_ORACLE
@given(walked(), SEEDS)
@within_limits
def test_any_split_of_the_same_bytes_reaches_the_same_state(
    both: Lockstep, chance: random.Random
) -> None:
    split, rest = both.compiled.matcher(), both.prefix
    while rest:
        fitting = [i for i, t in enumerate(both.tokens[:-1]) if t and rest.startswith(t)]
        token_id = chance.choice(fitting)
        split.accept(token_id)
        rest = rest[len(both.tokens[token_id]) :]
    assert split.mask().tolist() == both.matcher.mask().tolist()
    assert split.is_accepting == both.matcher.is_accepting
    assert split.forced_bytes() == both.matcher.forced_bytes()
    assert split.shortest_completion() == both.matcher.shortest_completion()


@SLOW_ORACLE
@given(walked())
@within_limits
def test_accept_bytes_is_accept_of_tokens(both: Lockstep) -> None:
    whole = both.compiled.matcher()
    whole.accept_bytes(both.prefix)
    assert whole.mask().tolist() == both.matcher.mask().tolist()
    one_by_one = both.compiled.matcher()
    for byte in both.prefix:
        one_by_one.accept_bytes(bytes([byte]))
    assert one_by_one.mask().tolist() == both.matcher.mask().tolist()


@SLOW_ORACLE
@given(walked())
@within_limits
def test_a_rejected_token_changes_nothing(both: Lockstep) -> None:
    mask = packed_mask(both.matcher, len(both.tokens))
    n_tokens = both.matcher.n_tokens
    for token_id, allowed in enumerate(mask):
        if not allowed:
            with pytest.raises(constrain.TokenRejectedError) as caught:
                both.matcher.accept(token_id)
            assert caught.value.token_id == token_id
    assert packed_mask(both.matcher, len(both.tokens)) == mask
    assert both.matcher.n_tokens == n_tokens == len(both.history)


@SLOW_ORACLE
@given(walked())
@within_limits
def test_every_allowed_token_is_accepted(both: Lockstep) -> None:
    for token_id, allowed in enumerate(packed_mask(both.matcher, len(both.tokens))):
        if allowed:
            both.matcher.copy().accept(token_id)


@SLOW_ORACLE
@given(walked())
@within_limits
def test_forced_bytes_are_the_only_continuation_and_all_of_it(both: Lockstep) -> None:
    found = both.matcher.forced_bytes()
    # More than 40 bytes are not retraced by the oracle.
    expected = forced(both.grammar, both.alphabet, both.prefix, min(len(found) + 1, 40))
    assert found[: len(expected)] == expected
    assert len(found) >= 40 or found == expected


@SLOW_ORACLE
@given(walked())
@within_limits
def test_the_shortest_completion_is_a_text_and_none_is_shorter(both: Lockstep) -> None:
    found = both.matcher.shortest_completion()
    assert accepts(both.grammar, both.prefix + found)
    if len(both.alphabet) ** len(found) <= MOST_TEXTS:
        assert found in shortest_texts(both.grammar, both.alphabet, both.prefix, len(found))
    assert (found == b"") == both.matcher.is_accepting
    both.matcher.accept_bytes(found)
    assert both.matcher.is_accepting


@SLOW_ORACLE
@given(walked())
@within_limits
def test_can_continue_says_whether_text_may_follow(both: Lockstep) -> None:
    mask = packed_mask(both.matcher, len(both.tokens))
    assert both.matcher.can_continue == any(mask[:-1])


def test_rejected_bytes_name_their_position_and_change_nothing() -> None:
    both = lockstep(ir.Grammar(ir.Literal("abab")))
    both.accept(0)
    with pytest.raises(constrain.TokenRejectedError) as caught:
        both.matcher.accept_bytes(b"bb")
    assert caught.value.position == 1
    assert both.check() == [1]


@pytest.mark.parametrize("token_id", [-1, 3, 2**31, 2**40])
def test_a_token_id_that_does_not_exist_is_rejected(token_id: int) -> None:
    both = lockstep(ir.Grammar(ir.Literal("ab")))
    with pytest.raises((constrain.TokenRejectedError, IndexError, OverflowError, TypeError)):
        both.matcher.accept(token_id)
    assert both.check() == [0]


@pytest.mark.parametrize("n_tokens", [-1, 3])
def test_rollback_further_than_the_start_is_refused(n_tokens: int) -> None:
    both = lockstep(ir.Grammar(ir.Literal("abab")))
    both.accept(0)
    both.accept(1)
    with pytest.raises(ValueError, match=r"."):
        both.matcher.rollback(n_tokens)
    assert both.check() == [0]
    assert both.matcher.n_tokens == 2


def test_rollback_of_nothing_changes_nothing() -> None:
    both = lockstep(ir.Grammar(ir.Literal("ab")))
    both.accept(0)
    both.rollback(0)
    assert both.check() == [1]


def test_copies_are_independent() -> None:
    both = lockstep(ir.Grammar(ir.OneOf(("aa", "bb"))))
    twin = both.matcher.copy()
    twin.accept(0)
    both.accept(1)
    assert packed_mask(twin, 3) == [True, False, False]
    assert both.check() == [1]


def test_matchers_of_one_compiled_grammar_are_independent() -> None:
    both = lockstep(ir.Grammar(ir.OneOf(("aa", "bb"))))
    other = both.compiled.matcher()
    both.accept(0)
    other.accept(1)
    assert both.check() == [0]
    assert packed_mask(other, 3) == [False, True, False]


@pytest.mark.parametrize(
    ("root", "shortest"),
    [
        (ir.Literal(""), b""),
        (ir.Literal("ab"), b"ab"),
        (ir.Choice((ir.Literal("aaa"), ir.Literal("bb"))), b"bb"),
        (ir.Repeat(ir.Literal("ab"), 3), b"ababab"),
        (
            ir.Intersect((ir.Repeat(ir.Literal("aa"), 1), ir.Repeat(ir.Literal("aaa"), 1))),
            b"aaaaaa",
        ),
        (ir.Complement(ir.OneOf(("", "a", "b", "aa", "ab", "ba"))), b"bb"),
    ],
)
def test_the_shortest_text_of_a_grammar(root: ir.Node, shortest: bytes) -> None:
    assert lockstep(ir.Grammar(root)).compiled.shortest_text() == shortest


@pytest.mark.parametrize(
    ("text", "forced_text"),
    [("abab", b"abab"), ("", b"")],
)
def test_a_literal_is_forced_whole(text: str, forced_text: bytes) -> None:
    both = lockstep(ir.Grammar(ir.Literal(text)))
    assert both.matcher.forced_bytes() == forced_text


def test_nothing_is_forced_where_the_text_may_end() -> None:
    both = lockstep(ir.Grammar(ir.Repeat(ir.Literal("a"), 1, 2)))
    assert both.matcher.forced_bytes() == b"a"
    both.accept(0)
    assert both.matcher.forced_bytes() == b""


def test_forced_tokens_hold_back_what_a_longer_token_could_join() -> None:
    tokens = with_end((b"a", b"b", b"ab", b"ba"))
    # After "aa" the text goes on with a or b; "ab" could take the last a of the forced text.
    grammar = ir.Grammar(ir.Sequence((ir.Literal("aa"), ir.Chars(((97, 98),)))))
    matcher = lockstep(grammar, tokens).matcher
    assert matcher.forced_bytes() == b"aa"
    assert matcher.forced_tokens(lambda data: [{97: 0, 98: 1}[byte] for byte in data]) == [0]


def test_forced_tokens_are_all_of_the_text_where_it_ends() -> None:
    tokens = with_end((b"a", b"b", b"ab", b"ba"))
    matcher = lockstep(ir.Grammar(ir.Literal("abab")), tokens).matcher
    assert matcher.forced_tokens(lambda data: [2] * (len(data) // 2)) == [2, 2]


def test_expected_names_what_may_come() -> None:
    both = lockstep(ir.Grammar(ir.OneOf(("ab", "bb"))))
    expected = both.matcher.expected()
    assert isinstance(expected, tuple)
    assert expected
    assert all(isinstance(one, str) for one in expected)
    assert "a" in "".join(expected)
