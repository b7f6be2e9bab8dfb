"""`uniqueItems`: masks and texts against the oracle, and by hand."""

from __future__ import annotations

import itertools
import json
import random

import pytest

import constrain
from constrain.grammar import ir
from tests.lockstep import Lockstep, can_be_written, packed_mask
from tests.oracle.equality import value_of
from tests.oracle.json_text import accepts
from tests.oracle.token_level import shortest_texts
from tests.strategies import ANY_TEXT, INTEGER
from tests.vocabularies import single_bytes, with_end

COMPACT = ir.JsonForm("compact", "any", "any")
STRING = ir.JsonString(ANY_TEXT, "any")
LETTERS_ALONE = ir.JsonString(ir.Repeat(ir.Chars(((0x61, 0x62),))))
DIGITS = ir.Repeat(ir.Chars(((0x30, 0x39),)), 1)
DECIMAL = ir.Sequence(
    (
        INTEGER,
        ir.Repeat(ir.Sequence((ir.Literal("."), DIGITS)), 0, 1),
        ir.Repeat(ir.Sequence((ir.Literal("e-"), ir.Chars(((0x30, 0x39),)))), 0, 1),
    )
)


def words(*texts: str) -> ir.JsonValue:
    return ir.JsonValue(scalar=ir.OneOf(texts))


def unique(
    items: ir.Node | None,
    least: int = 0,
    most: int | None = None,
    *prefix: ir.Node,
    form: ir.JsonForm = COMPACT,
) -> ir.Grammar:
    case = ir.JsonArray(prefix, items, least, most, unique=True)
    return ir.Grammar(ir.JsonText(ir.JsonValue(arrays=(case,)), form), kind="json")


def nested(items: ir.Node | None, least: int = 0, most: int | None = None) -> ir.JsonValue:
    return ir.JsonValue(arrays=(ir.JsonArray((), items, least, most, unique=True),))


def record(*members: tuple[str, ir.Node, bool], other: ir.Node | None = None) -> ir.JsonValue:
    properties = tuple(ir.Property(*member) for member in members)
    return ir.JsonValue(objects=(ir.JsonObject(properties, other),))


ONE_OR_TWO = words("1", "2")
SMALL = record(("a", ONE_OR_TWO, True), ("b", words("1"), False))
FLEXIBLE = ir.JsonForm("flexible", "any", "any")
SPACED = ir.JsonForm("spaced", "schema", "minimal")

LETTERS = '[]{},:"\\ab12-.eu06 '
LONGER = (
    b'"a"', b'","', b'"a",', b',"a"', b'["a","b"', b"1,1", b",1", b"12", b"]]", b'{"a":',
    b'{"a":1}', b"},", b"},{", b'"a":1', b"[[", b"],[", b"[1,2]", b"\\u00", b'""', b"1]", b'"]',
    b',"a","', b'["', b"61", b'a"', b'a","', b"1.", b"0e", b'aa"', b", ",
)  # fmt: skip
TOKENS = with_end((*single_bytes(LETTERS), *LONGER))
FEW_LETTERS = '[]{},:"ab12'
FEW_TOKENS = with_end(
    (
        *single_bytes(FEW_LETTERS),
        *(token for token in LONGER if set(token) <= set(FEW_LETTERS.encode())),
    )
)

GRAMMARS = {
    "strings": unique(ir.JsonValue(scalar=STRING)),
    "strings at least two": unique(ir.JsonValue(scalar=STRING), 2, 3),
    "minimal escapes": unique(ir.JsonValue(scalar=ir.JsonString(ANY_TEXT)), form=SPACED),
    "decimals": unique(ir.JsonValue(scalar=DECIMAL)),
    "anything scalar": unique(
        ir.JsonValue(scalar=ir.Choice((STRING, DECIMAL))), 1, 3, form=FLEXIBLE
    ),
    "a few strings": unique(words('"a"', '"b"', '"ab"', '""')),
    "a few, all needed": unique(words('"a"', '"ab"', '"b"'), 3),
    "spelled twice": unique(words("1", "1.0", "10e-1", "2", "2.0"), 2),
    "one zero": unique(ir.JsonValue(scalar=ir.Choice((ir.Literal("0"), ir.Literal("-0"))))),
    "repetitions of one": unique(
        ir.JsonValue(scalar=ir.JsonString(ir.Repeat(ir.Literal("a"), 0, 2))), 2
    ),
    "the second is fixed": unique(None, 2, 2, ir.JsonValue(scalar=STRING), words('"a"')),
    "the first must leave one": unique(
        None, 2, 3, words("1", "2", "12"), words("1", "2"), words("2")
    ),
    "later ones are optional": unique(words("1", "2", "3"), 1, None, words("1", "2")),
    "records": unique(SMALL),
    "all records": unique(SMALL, 4),
    "open records": unique(record(("a", ONE_OR_TWO, False), other=words("1"))),
    "records of strings": unique(
        record(("a", ir.JsonValue(scalar=ir.JsonString(ANY_TEXT)), True)), 2
    ),
    "arrays": unique(nested(ONE_OR_TWO)),
    "all arrays": unique(nested(ONE_OR_TWO), 5),
    "arrays of two": unique(nested(ONE_OR_TWO, 2)),
    "arrays of strings": unique(nested(ir.JsonValue(scalar=LETTERS_ALONE))),
    "plain arrays in it": unique(
        ir.JsonValue(arrays=(ir.JsonArray((), words("1"), 0, 2),)), form=FLEXIBLE
    ),
    "two cases": ir.Grammar(
        ir.JsonText(
            ir.JsonValue(
                arrays=(
                    ir.JsonArray((), words("1", "2"), unique=True),
                    ir.JsonArray((), words("1", "12")),
                )
            ),
            COMPACT,
        )
    ),
}


SLOW = {"arrays of strings", "open records", "records of strings", "strings", "decimals"}


def has_parts(grammar: ir.Grammar) -> bool:
    """Whether items are objects or arrays: then the oracle needs a small vocabulary."""
    assert isinstance(grammar.root, ir.JsonText)
    value = grammar.root.value
    assert isinstance(value, ir.JsonValue)
    items = value.arrays[0].items
    return isinstance(items, ir.JsonValue) and bool(items.objects or items.arrays)


@pytest.mark.parametrize("name", GRAMMARS)
def test_masks_are_the_oracles(name: str) -> None:
    grammar = GRAMMARS[name]
    tokens = FEW_TOKENS if has_parts(grammar) else TOKENS
    assert can_be_written(grammar, tokens)
    most_bytes = 9 if name in SLOW else 18
    for seed in range(1 if name in SLOW else 4):
        Lockstep(grammar, tokens).walk(random.Random(seed), 5, most_bytes)


@pytest.mark.parametrize(
    "name", ["a few, all needed", "the first must leave one", "all records", "all arrays"]
)
def test_completions_are_as_long_as_the_matcher_says(name: str) -> None:
    grammar = GRAMMARS[name]
    vocabulary = constrain.Vocabulary(FEW_TOKENS, [len(FEW_TOKENS) - 1])
    compiled = constrain.compile(grammar, vocabulary)
    for seed in range(10):
        matcher = compiled.matcher()
        chance = random.Random(seed)
        for _ in range(12):
            completion = matcher.shortest_completion()
            finished = matcher.copy()
            finished.accept_bytes(completion)
            assert finished.is_accepting
            mask = packed_mask(matcher, len(FEW_TOKENS))
            allowed = [i for i, bit in enumerate(mask[:-1]) if bit]
            if not allowed:
                break
            matcher.accept(chance.choice(allowed))


@pytest.mark.parametrize(
    ("least", "expected"), [(1, '["a"]'), (2, '["a","b"]'), (3, '["a","b","ab"]')]
)
def test_the_shortest_text_has_different_items(least: int, expected: str) -> None:
    vocabulary = constrain.Vocabulary(TOKENS, [len(TOKENS) - 1])
    grammar = unique(words('"a"', '"b"', '"ab"'), least)
    found = constrain.compile(grammar, vocabulary).shortest_text()
    assert len(found) == len(expected)
    assert found in shortest_texts(grammar, frozenset(LETTERS.encode()), b"", 20)


@pytest.mark.parametrize(
    "grammar",
    [
        unique(words('"a"', '"b"', '"ab"'), 4),
        unique(words("1", "1.0", "10e-1"), 2),
        unique(SMALL, 5),
        unique(nested(ONE_OR_TWO), 6),
        unique(nested(ONE_OR_TWO, 3), 1),
        unique(None, 3, 3, ONE_OR_TWO, ONE_OR_TWO, ONE_OR_TWO),
        unique(None, 2, 2, words("1"), words("1.0")),
        unique(record(("a", words("1"), True)), 2),
    ],
)
def test_too_few_values_are_found_at_compile_time(grammar: ir.Grammar) -> None:
    vocabulary = constrain.Vocabulary(TOKENS, [len(TOKENS) - 1])
    with pytest.raises(constrain.UnsatisfiableSchemaError):
        constrain.compile(grammar, vocabulary)


EQUAL = [
    ("1", "1.0"), ("1", "1e0"), ("100", "1E+2"), ("-0", "0.0e5"), ("1.50", "150e-2"),
    ('"a"', '"\\u0061"'), ('"\\n"', '"\\u000a"'), ('"\\ud83d\\ude00"', '"😀"'),
    ('{"a":1,"b":[]}', '{ "b": [ ], "a": 1.0 }'), ("[1,[2]]", "[1.0, [2e0]]"),
    ("1e99999999999999999999", "10E99999999999999999998"), ("true", "true"), ("null", "null"),
]  # fmt: skip
DIFFERENT = [
    ("1", "true"), ("0", "false"), ("0", "null"), ('"1"', "1"), ("1", "10"), ("[]", "{}"),
    ("[1,2]", "[2,1]"), ('{"a":1}', '{"a":1,"b":1}'), ("1", "1.0000000000000000000001"),
    ('"a"', '"A"'), ('""', "[]"), ("[[]]", "[]"), ('{"a":1}', '{"b":1}'), ("-1", "1"),
    ("1e99999999999999999999", "1e99999999999999999998"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), EQUAL + DIFFERENT)
def test_items_are_compared_by_value(one: str, other: str) -> None:
    grammar = constrain.json_schema(
        {"type": "array", "uniqueItems": True}, whitespace="flexible", escapes="any"
    )
    for first, second in ((one, other), (other, one)):
        if (one, other) in DIFFERENT:
            constrain.check(grammar, f"[{first},7,{second}]")
        else:
            with pytest.raises(constrain.TokenRejectedError):
                constrain.check(grammar, f"[{first},7,{second}]")


def test_all_short_texts_are_those_of_the_standard_library() -> None:
    pieces = ("1", "2", "1.0", "[", "]", ",", '{"a":1}', '"a"')
    item = ir.JsonValue(
        scalar=ir.Choice((DECIMAL, STRING)),
        objects=(ir.JsonObject((ir.Property("a", ir.JsonValue(scalar=DECIMAL)),)),),
        arrays=(ir.JsonArray((), ir.JsonValue(scalar=DECIMAL), unique=True),),
    )
    grammar = unique(item)
    n_valid = 0
    for n in range(1, 7):
        for middle in itertools.product(pieces, repeat=n - 1):
            text = "[" + "".join(middle) + "]"
            expected = _is_unique(text)
            n_valid += expected
            try:
                constrain.check(grammar, text)
            except constrain.TokenRejectedError:
                assert not expected, text
            else:
                assert expected, text
    assert n_valid > 100


def _is_unique(text: str) -> bool:
    """Whether this is an array of different items, two levels deep, numbers standing alone."""
    try:
        items = json.loads(text)
    except ValueError:
        return False
    deeper = [item for item in items if isinstance(item, list)]
    flat = all(isinstance(of, int | float) for item in deeper for of in item)
    lists = [items, *deeper]
    return flat and all(
        len({value_of(json.dumps(item)) for item in one}) == len(one) for one in lists
    )


def test_an_incomplete_vocabulary_runs_out_of_items() -> None:
    tokens = with_end((b"[", b'"a"', b'"b",', b'"b"', b",", b"]"))
    vocabulary = constrain.Vocabulary(tokens, [len(tokens) - 1])
    grammar = unique(ir.JsonValue(scalar=ir.JsonString(ANY_TEXT)))
    matcher = constrain.compile(grammar, vocabulary).matcher()
    for token_id in (0, 1):
        matcher.accept(token_id)
    # A comma, then "b": no other token begins an item. "b", would need a third.
    assert packed_mask(matcher, len(tokens)) == [False, False, False, False, True, True, False]
    matcher.accept(4)
    assert packed_mask(matcher, len(tokens)) == [False, False, False, True, False, False, False]
    matcher.accept(3)
    assert packed_mask(matcher, len(tokens)) == [False] * 5 + [True, False]


def test_a_live_matcher_survives_compaction() -> None:
    vocabulary = constrain.Vocabulary(TOKENS, [len(TOKENS) - 1])
    limits = constrain.Limits(arena_bytes=60_000)
    grammar = unique(ir.JsonValue(scalar=ir.Choice((STRING, DECIMAL))))
    matcher = constrain.compile(grammar, vocabulary, limits=limits).matcher()
    texts = [json.dumps("ab12"[i % 4] * (i // 4 + 1)) for i in range(60)]
    matcher.accept_bytes(b"[")
    for text in texts:
        matcher.accept_bytes(text.encode() + b",")
    for text in texts[:4]:
        copy = matcher.copy()
        with pytest.raises(constrain.TokenRejectedError):
            copy.accept_bytes(text.encode())
    assert accepts(grammar, "[" + ",".join(texts[:3]) + "]")
