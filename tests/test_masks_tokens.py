"""Vocabularies in which some bytes exist only inside longer tokens: still no dead end."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.grammar import ir
from tests.lockstep import packed_mask
from tests.oracle.json_text import accepts
from tests.oracle.token_level import fewest_tokens, finishing_tokens
from tests.vocabularies import vocabulary_of, with_end

WORDS = st.lists(st.text("ab", max_size=5), min_size=1, max_size=4, unique=True)
TOKENS = st.lists(st.text("ab", min_size=1, max_size=3).map(str.encode), min_size=1, max_size=4)
MOST = 6  # tokens: no text here is longer than five letters


@settings(deadline=None, max_examples=200)
@given(WORDS, TOKENS, st.integers(0, 2**32).map(random.Random))
def test_masks_keep_only_tokens_after_which_tokens_can_finish(
    words: list[str], text_tokens: list[bytes], chance: random.Random
) -> None:
    grammar = ir.Grammar(ir.OneOf(tuple(words)))
    tokens = with_end(text_tokens)
    if fewest_tokens(grammar, text_tokens, b"", MOST) is None:
        with pytest.raises(constrain.ConstrainError):
            constrain.compile(grammar, vocabulary_of(tokens))
        return
    matcher = constrain.compile(grammar, vocabulary_of(tokens)).matcher()
    prefix = b""
    while True:
        mask = packed_mask(matcher, len(tokens))
        expected = finishing_tokens(grammar, text_tokens, prefix, MOST)
        assert mask == [*expected, accepts(grammar, prefix)], prefix
        allowed = [i for i, bit in enumerate(mask[:-1]) if bit]
        if not allowed:
            return
        token_id = chance.choice(allowed)
        matcher.accept(token_id)
        prefix += tokens[token_id]


OBJECT = ir.JsonObject(
    (
        ir.Property("a", ir.JsonValue(ir.OneOf(("1", "10"))), required=True),
        ir.Property("b", ir.JsonValue(ir.JsonString(ir.OneOf(("x", "xy"))))),
    )
)
JSON = ir.Grammar(ir.JsonText(ir.JsonValue(objects=(OBJECT,)), ir.JsonForm("compact")))
TEXTS = tuple(
    f'{{"a":{number}{rest}}}' for number in (1, 10) for rest in ("", ',"b":"x"', ',"b":"xy"')
)


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """Tokens that spell at least one text, cut at random, pieces of others, and a comma."""
    found = {","}
    for text in draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)):
        cuts = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=4)))
        bounds = [0, *cuts, len(text)]
        found |= {text[start:end] for start, end in pairwise(bounds)}
    return [piece.encode() for piece in sorted(found)]


@settings(deadline=None, max_examples=200)
@given(pieces(), st.integers(0, 2**32).map(random.Random))
def test_masks_of_json_keep_only_tokens_after_which_tokens_can_finish(
    text_tokens: list[bytes], chance: random.Random
) -> None:
    tokens = with_end(text_tokens)
    same = ir.Grammar(ir.OneOf(TEXTS))
    matcher = constrain.compile(JSON, vocabulary_of(tokens)).matcher()
    prefix = b""
    while not matcher.is_accepting:
        mask = packed_mask(matcher, len(tokens))
        assert mask[:-1] == finishing_tokens(same, text_tokens, prefix, 16), prefix
        token_id = chance.choice([i for i, bit in enumerate(mask[:-1]) if bit])
        matcher.accept(token_id)
        prefix += tokens[token_id]
    assert prefix.decode() in TEXTS


def test_a_text_that_no_tokens_spell_is_an_error_when_compiling() -> None:
    grammar = ir.Grammar(ir.Literal("ab"))
    with pytest.raises(constrain.ConstrainError):
        constrain.compile(grammar, vocabulary_of(with_end((b"a", b"ba"))))
