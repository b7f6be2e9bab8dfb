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
    "records of strings": unique(record(("a", ir.JsonValue(scalar=STRING), True)), 2),
    "arrays": unique(nested(ONE_OR_TWO)),
    "all arrays": unique(nested(ONE_OR_TWO), 5),
    "arrays of two": unique(nested(ONE_OR_TWO, 2)),
    "arrays of strings": unique(nested(ir.JsonValue(scalar=STRING))),
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
    for seed in range(4):
        Lockstep(grammar, tokens).walk(random.Random(seed), 6, 18)


if __name__ == "__main__":
    import sys, time
    for name in sys.argv[1:] or GRAMMARS:
        for seed in range(40):
            t=time.time()
            l = Lockstep(GRAMMARS[name], FEW_TOKENS if has_parts(GRAMMARS[name]) else TOKENS)
            try: l.walk(random.Random(seed), 6, 18)
            except (AssertionError, constrain.ConstrainError) as x: print("FAIL", name, seed, l.prefix, type(x), str(x)[:300]); break
            if time.time()-t>20: print("slow", name, seed, time.time()-t, l.prefix); break
            if seed==4 and len(sys.argv)==1: break
        print(name, seed, time.time()-t, l.prefix, flush=True)
