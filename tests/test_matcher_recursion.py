"""Recursive grammars of every kind: left, right, centre, hidden, nullable, ambiguous."""

from __future__ import annotations

import random

import pytest

import constrain
from constrain.grammar.ir import Chars, Choice, Grammar, Literal, Node, Repeat, Rule, Sequence
from tests.lockstep import Lockstep
from tests.vocabularies import with_end

A, B, NOTHING = Literal("a"), Literal("b"), Literal("")
AB = Chars(((97, 98),))
X, Y = Rule("x"), Rule("y")
MAYBE_B = Repeat(B, 0, 1)

RECURSIVE: dict[str, dict[str, Node]] = {
    "right": {"x": Choice((Sequence((A, X)), B))},
    "centre": {"x": Choice((Sequence((A, X, A)), Sequence((B, X, B)), NOTHING))},
    "ambiguous centre": {"x": Choice((Sequence((A, X, A)), Sequence((A, X, B)), A))},
    "right with a nullable tail": {"x": Choice((Sequence((A, X, Y)), A)), "y": MAYBE_B},
    "right with an endless tail": {"x": Choice((Sequence((A, X, Y)), A)), "y": Repeat(B)},
    "three lengths": {
        "x": Choice((Sequence((A, X, A)), Sequence((A, X, B)), Sequence((A, X)), A))
    },
}
LEFT_RECURSIVE: dict[str, dict[str, Node]] = {
    "left": {"x": Choice((Sequence((X, B)), A))},
    "left inside a choice": {"x": Sequence((Choice((A, X)), B))},
    "left before an endless tail": {"x": Sequence((Choice((A, X)), Repeat(B), Repeat(AB)))},
    "left before a nullable tail": {"x": Sequence((Choice((A, X)), MAYBE_B))},
    "both sides": {"x": Choice((Sequence((X, B, X)), A))},
    "doubling": {"x": Choice((Sequence((X, X)), A))},
    "doubling and nullable": {"x": Choice((Sequence((X, X)), A, NOTHING))},
    "hidden": {"x": Choice((Sequence((Y, X, B)), A)), "y": MAYBE_B},
    "indirect": {"x": Choice((Sequence((Y, B)), A)), "y": Choice((Sequence((X, A)), B))},
    "repeated": {"x": Choice((Repeat(X, 1, 3), A))},
    "repeated without end": {"x": Choice((Sequence((Repeat(X), B)), A))},
}


@pytest.mark.parametrize("kind", [*RECURSIVE, *LEFT_RECURSIVE])
def test_masks_of_recursive_rules_are_the_oracles(kind: str) -> None:
    rules = {**RECURSIVE, **LEFT_RECURSIVE}[kind]
    for seed in range(3):
        both = Lockstep(Grammar(X, rules), with_end((b"a", b"b", b"ab", b"bb", b"baa")))
        both.walk(random.Random(seed), 6, 9)


TOO_AMBIGUOUS = pytest.mark.xfail(
    reason="each letter multiplies the stacks: `threads` is reached after eleven letters",
    raises=constrain.LimitError,
    strict=True,
)


@pytest.mark.parametrize(
    "kind",
    [
        *RECURSIVE,
        *(
            pytest.param(kind, marks=TOO_AMBIGUOUS) if kind == "repeated" else kind
            for kind in LEFT_RECURSIVE
        ),
    ],
)
def test_long_texts_of_recursive_rules_are_followed(kind: str) -> None:
    rules = {**RECURSIVE, **LEFT_RECURSIVE}[kind]
    both = Lockstep(Grammar(X, rules), with_end((b"a", b"b")))
    chance = random.Random(1)
    for _ in range(200):
        allowed = [i for i, bit in enumerate(both.matcher.mask()[:-1]) if bit]
        if not allowed:
            break
        both.accept(chance.choice(allowed))
    assert both.matcher.is_accepting or both.matcher.can_continue
