"""Masks while a key is being read: declared names beside classes of other keys."""

from __future__ import annotations

import random

import pytest

from constrain.grammar import ir
from tests.lockstep import Lockstep, packed_mask
from tests.vocabularies import single_bytes, with_end

ONE = ir.JsonValue(ir.Literal("1"))
NULL = ir.JsonValue(ir.Literal("null"))
DECLARED = (ir.Property("ab", ONE), ir.Property("ba", ONE, required=True))
X_KEYS = ir.Sequence((ir.Literal("x"), ir.Repeat(ir.Chars(((97, 98),)))))
B_KEYS = ir.Repeat(ir.Literal("b"), 1)
TOKENS = with_end(
    (
        *single_bytes('{}":,abx1nul'),
        b'{"',
        b'":',
        b'"ab',
        b"ab",
        b"ba",
        b"bb",
        b"xa",
        b'a":',
        b'",',
    )
)


@pytest.mark.parametrize("order", ["schema", "any"])
@pytest.mark.parametrize(
    "case",
    [
        ir.JsonObject(DECLARED, additional=NULL, key=X_KEYS),
        ir.JsonObject(DECLARED, additional=NULL, key=X_KEYS, others=((B_KEYS, ONE),)),
        ir.JsonObject(DECLARED, additional=NULL, key=ir.OneOf(("x", "a", "abb"))),
    ],
    ids=["a class apart", "two classes", "a few names"],
)
def test_declared_names_outside_the_class_of_other_keys_stay_allowed(
    case: ir.JsonObject, order: ir.PropertyOrder
) -> None:
    grammar = ir.Grammar(
        ir.JsonText(ir.JsonValue(objects=(case,)), ir.JsonForm("compact", order)), kind="json"
    )
    chance = random.Random(7)
    for _ in range(6):
        both = Lockstep(grammar, TOKENS)
        for _ in range(14):
            mask = packed_mask(both.matcher, len(TOKENS))
            assert mask == both.expected(), both.prefix
            allowed = [t for t, bit in enumerate(mask[:-1]) if bit]
            if not allowed:
                break
            both.accept(chance.choice(allowed))
