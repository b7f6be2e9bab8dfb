"""Wishes: what each token costs by the text before it, counted a second way from the text."""

from __future__ import annotations

import json
import math
import re
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain import Wishes
from constrain.grammar.ir import Whitespace
from constrain.sampling import Sampler, Sampling
from tests.vocabularies import vocabulary_of, with_end

TOKENS = with_end(
    (
        *(bytes([b]) for b in range(32, 127)),
        *(b"\n", b"\t", b"\n  ", b"   ", b'",', b'"]', b'"}', b'", "', b'","', b'":', b'": "'),
        *(
            b"],",
            b"]]",
            b",[",
            b"[]",
            b", ",
            b"},",
            b'{"',
            b"abc",
            b'abc"',
            b'ab",',
            b'\\"',
            b"12",
        ),
        *(
            b"12,",
            b"2]",
            b"345",
            b".5",
            b"e1",
            b"1 ",
            b"true,",
            b"null]",
            b'""',
            b'"",',
            b'"a"',
        ),
        *("é".encode(), "é".encode()[:1], "é".encode()[1:], b'x":[1,2', b'[1,"', b"\\u00"),
    )
)
VOCABULARY = vocabulary_of(TOKENS)
WISHES = Wishes(short_strings=0.5, short_numbers=0.03125, short_arrays=0.25, compact=0.0625)
LEXEME = re.compile(
    rb'(?P<text>"(?:[^"\\]|\\.)*\\?(?P<close>")?)|(?P<number>[-+.0-9eE]+)|(?P<word>[a-z]+)'
    rb"|(?P<space>\s+)|(?P<mark>[\[\]{},:])",
    re.DOTALL,
)


class Count:
    """What a beginning of a JSON text costs, from all of its lexemes."""

    def __init__(self, text: bytes, min_items: int) -> None:
        self.cost = 0.0
        stack: list[list[Any]] = []  # "[" and commas, or "{" and whether a key comes
        self.in_string = False
        self.digits: int | None = None
        for lexeme in LEXEME.finditer(text):
            kind, data = lexeme.lastgroup, lexeme.group()
            if kind == "space":
                self.cost += WISHES.compact * len(data)
            elif kind == "mark":
                self._read_mark(data, stack, min_items)
            elif kind == "text":
                is_key = bool(stack) and stack[-1] == [b"{", True]
                if is_key:
                    stack[-1][1] = False
                is_open = lexeme.end() == len(text) and lexeme.group("close") is None
                self.in_string = is_open and not is_key and len(data) > 1
            elif kind == "number" and lexeme.end() == len(text):
                self.digits = len(re.findall(rb"[0-9]", data))

    def _read_mark(self, mark: bytes, stack: list[list[Any]], min_items: int) -> None:
        if mark in b"[{":
            stack.append([mark, 0 if mark == b"[" else True])
        elif mark in b"]}":
            stack.pop()
        elif mark == b"," and stack[-1][0] == b"{":
            stack[-1][1] = True
        elif mark == b",":
            stack[-1][1] += 1
            if stack[-1][1] >= (min_items if len(stack) == 1 else 0):
                self.cost += WISHES.short_arrays * stack[-1][1]


def cost(text: bytes, token: bytes, min_items: int) -> float:
    """What the token costs after the text."""
    before, after = Count(text, min_items), Count(text + token, min_items)
    total = after.cost - before.cost
    # The token goes on in a string if it leaves it open: the same string, so no quotation mark
    # that is not escaped.
    if before.in_string:
        ended = re.search(rb'(?<!\\)(?:\\\\)*"', _unescaped(text) + token)
        total += 0.0 if ended else WISHES.short_strings
    if before.digits is not None and token[:1] in b"0123456789.eE+-":
        total += WISHES.short_numbers * before.digits
    return total


def _unescaped(text: bytes) -> bytes:
    """The reverse solidus that escapes what comes next, if there is one."""
    found = re.search(rb"\\*$", text)
    assert found is not None
    return b"\\" if len(found.group()) % 2 else b""


def values(matcher: constrain.Matcher) -> dict[int, float]:
    """What the grammar adds to each allowed token but the end."""
    ids, biases = matcher.bias()
    assert list(ids) == sorted(set(ids.tolist()))
    assert all(biases != 0)
    mask = matcher.mask()
    assert mask[ids].all()
    added = np.full(len(TOKENS), matcher.bias_offset)
    added[ids] += biases
    return {int(t): float(added[t]) for t in np.flatnonzero(mask[:-1])}


def matcher_of(schema: object, wishes: Wishes = WISHES, **form: Any) -> constrain.Matcher:
    form = {"whitespace": "flexible", "escapes": "any", "property_order": "any"} | form
    grammar = constrain.json_schema(schema, wishes=wishes, **form)
    return constrain.compile(grammar, VOCABULARY).matcher()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab "\\é,]', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('ab"', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def spread(chance: Random, text: str) -> bytes:
    """The JSON text with white space between its lexemes, at some places."""
    lexemes = [found.group() for found in LEXEME.finditer(text.encode())]
    spaces = (b"", b"", b" ", b"\n  ", b"\t")
    return b"".join(chance.choice(spaces) + lexeme for lexeme in lexemes)


@settings(deadline=None, max_examples=60)
@given(JSON, st.sampled_from([0, 2, 5]), st.integers(0, 2**32).map(Random))
def test_every_token_costs_what_its_text_does(value: Any, least: int, chance: Random) -> None:
    text = spread(chance, json.dumps(value, ensure_ascii=chance.random() < 0.5))
    schema = {"minItems": least}
    if isinstance(value, list) and len(value) < least:
        return
    matcher = matcher_of(schema)
    at = 0
    while True:
        for token, added in values(matcher).items():
            # A token that opens an array and goes on to its second item does not know yet how
            # many are demanded.
            opens = b"[" in TOKENS[token] and b"," in TOKENS[token] and not text[:at].strip()
            if not (opens and least):
                expected = -cost(text[:at], TOKENS[token], least)
                assert math.isclose(added, expected, abs_tol=1e-5), (text[:at], TOKENS[token])
        if at == len(text):
            break
        piece = text[at : at + chance.randint(1, 4)]
        matcher.accept_bytes(piece)
        at += len(piece)


def test_by_hand() -> None:
    matcher = matcher_of({"items": {"type": ["integer", "string"]}}, whitespace="bounded")

    def added(text: bytes) -> float:
        return values(matcher)[TOKENS.index(text)]

    matcher.accept_bytes(b'["')
    assert [added(t) for t in (b"b", b"abc", b'"')] == [0, 0, 0]  # not empty rather than short
    matcher.accept_bytes(b"a")
    # Going on costs the same for a short and a long token; ending is free, but the comma
    # begins a second item: 1 * 0.25; and a blank costs 0.0625.
    assert [added(t) for t in (b"b", b"abc", b'"', b'"]', b'",')] == [-0.5, -0.5, 0, 0, -0.25]
    assert added(b'", "') == -0.3125
    assert matcher.bias_offset == -0.5
    matcher.accept_bytes(b'",31')
    assert matcher.bias_offset == 0
    # Two digits are there: 2 * 0.03125. A third item: 2 * 0.25.
    assert [added(t) for t in (b"4", b"345", b"]", b",")] == [-0.0625, -0.0625, 0, -0.5]
    assert added(b"12,") == -0.5625
    matcher.accept_bytes(b"4")
    assert added(b"4") == -0.09375


def test_keys_are_free_and_so_is_white_space_that_must_be() -> None:
    matcher = matcher_of({"type": "object"}, whitespace="spaced")
    matcher.accept_bytes(b'{"ke')
    assert matcher.bias_offset == 0
    assert set(values(matcher).values()) == {0.0}
    matcher.accept_bytes(b'y": ["a')
    assert matcher.bias_offset == -0.5
    assert values(matcher)[TOKENS.index(b'", "')] == -0.25  # the comma alone


def test_a_wish_that_changes_nothing_is_noted() -> None:
    counts: dict[Whitespace, int] = {"compact": 1, "spaced": 1, "bounded": 0, "flexible": 0}
    for whitespace, n_notes in counts.items():
        grammar = constrain.json_schema(True, whitespace, wishes=Wishes(compact=1.0))
        assert len([note for note in grammar.notes if "compact" in note]) == n_notes
    assert constrain.json_schema(True, "spaced", wishes=Wishes(short_strings=1.0)).notes == ()


def test_items_that_are_demanded_are_free() -> None:
    matcher = matcher_of({"minItems": 3, "items": {"const": 1}})
    costs = []
    matcher.accept_bytes(b"[1")
    for _ in range(4):
        costs.append(values(matcher)[TOKENS.index(b",")])
        matcher.accept_bytes(b",1")
    assert costs == [0, 0, -0.75, -1.0]


def test_a_wish_takes_its_part_of_the_odds_of_going_on() -> None:
    # All logits are 0. After "a the string goes on with `a`, or ends with `"`.
    schema = {"type": "string", "pattern": "^a*$"}
    a, quote = TOKENS.index(b"a"), TOKENS.index(b'"')
    for wish in (0.0, 1.5):
        wishes = Wishes(short_strings=wish)
        matcher = matcher_of(schema, wishes, escapes="minimal", whitespace="compact")
        matcher.accept_bytes(b'"a')
        words = np.zeros((len(TOKENS) + 31) // 32, np.uint32)
        matcher.fill_mask(words)
        assert set(np.flatnonzero(matcher.mask())) == {a, quote}
        logits = np.zeros(len(TOKENS), np.float32)
        part = {a: math.exp(-wish) / (1 + math.exp(-wish)), quote: 1 / (1 + math.exp(-wish))}
        sampler = Sampler(Sampling(seed=1), VOCABULARY)
        drawn = [sampler.sample(logits, words, bias=matcher.bias()) for _ in range(20)]
        assert {sample.token_id for sample in drawn} == {a, quote}
        for sample in drawn:
            chance = math.exp(sample.sampling_logprob)
            assert chance == pytest.approx(part[sample.token_id], abs=1e-6)


def test_masks_are_the_same_with_and_without() -> None:
    plain, wished = (matcher_of(True, w) for w in (Wishes(), WISHES))
    for piece in (b"", b'{"a', b'": [1', b'2, "', b'\\"x', b'", {}', b"]", b" }", b"\n"):
        for matcher in (plain, wished):
            if piece:
                matcher.accept_bytes(piece)
        assert np.array_equal(plain.mask(), wished.mask())
        assert plain.bias_offset == 0
        assert len(plain.bias()[0]) == 0


def test_rollback_and_copy_take_the_costs_with_them() -> None:
    matcher = matcher_of(True)
    states = [(values(matcher), matcher.bias_offset)]
    text = b'[[1, 22, "ab\\"c"], {"k": ["x", "yz"]}, 345, ' + b"1," * 80 + b"1]"
    for byte in text:
        matcher.accept_bytes(bytes([byte]))
        states.append((values(matcher), matcher.bias_offset))
    copy = matcher.copy()
    for n_back in (1, 3, 50, 70):  # in the window of states that are kept, and beyond
        matcher.rollback(n_back)
        assert (values(matcher), matcher.bias_offset) == states[matcher.n_tokens]
    assert (values(copy), copy.bias_offset) == states[-1]
    matcher.accept_bytes(text[matcher.n_tokens :])
    assert values(matcher) == states[-1][0]


def test_within_other_text_only_json_counts() -> None:
    inner = constrain.json_schema({"items": {"type": "string"}}, wishes=WISHES)
    grammar = constrain.regex(r"say \[ [a-z, ]*: ") + inner + " [1, 2] " + inner
    matcher = constrain.compile(grammar, VOCABULARY).matcher()
    matcher.accept_bytes(b"say [ a, b, ")
    assert set(values(matcher).values()) == {0.0}
    matcher.accept_bytes(b': ["a')
    assert matcher.bias_offset == -0.5
    matcher.accept_bytes(b'"')
    assert values(matcher)[TOKENS.index(b",")] == -0.25
    matcher.accept_bytes(b"] [1")
    assert set(values(matcher).values()) == {0.0}
    matcher.accept_bytes(b', 2] ["b')
    assert matcher.bias_offset == -0.5


def test_they_add_to_the_weights_of_values() -> None:
    schema = {"type": "array", "items": {"enum": ["aa", "ab"], "x-weight": {"aa": 2.0}}}
    plain, wished = (matcher_of(schema, w) for w in (Wishes(), WISHES))
    for matcher in (plain, wished):
        matcher.accept_bytes(b'["a')
    without, both = values(plain), values(wished)
    assert {without[TOKENS.index(b"a")], without[TOKENS.index(b"b")]} == {0.0, -2.0}
    for token, value in both.items():
        assert value == pytest.approx(without[token] - cost(b'["a', TOKENS[token], 0), abs=1e-6)


def test_below_zero_it_is_a_wish_for_more() -> None:
    matcher = matcher_of({"type": "string"}, Wishes(short_strings=-2.0))
    matcher.accept_bytes(b'"a')
    assert matcher.bias_offset == 2.0
    assert values(matcher)[TOKENS.index(b'"')] == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e7, "1", True, None])
def test_what_is_no_number_in_the_range_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="compact must be from -1e6 to 1e6"):
        Wishes(compact=value)
    with pytest.raises(TypeError, match=r"wishes must be constrain\.Wishes"):
        constrain.json_schema(True, wishes=value)
