"""Each limit is reached by a test, and hostile input ends in a result or a `LimitError`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

import constrain
from constrain.grammar import ir
from tests.vocabularies import JSON_LETTERS, single_bytes, vocabulary_of, with_end

AB = ir.Chars(((97, 98),))
A = ir.Literal("a")
JSON_TOKENS = with_end(single_bytes(JSON_LETTERS))
ANY_STRING = ir.JsonString(ir.Repeat(ir.Chars(((0, 0x10FFFF),))))
NESTED = ir.Grammar(
    ir.JsonText(ir.Rule("v"), ir.JsonForm("compact", "any", "any")),
    {
        "v": ir.JsonValue(
            scalar=ir.Choice((ANY_STRING, ir.Literal("1"))),
            objects=(ir.JsonObject(additional=ir.Rule("v")),),
            arrays=(ir.JsonArray(items=ir.Rule("v")),),
        )
    },
)


def run(grammar: ir.Grammar, text: bytes, limits: constrain.Limits) -> constrain.Matcher:
    """Compile and accept a text, byte by byte, with a mask before each."""
    tokens = JSON_TOKENS if grammar is NESTED else with_end(single_bytes("ab"))
    matcher = constrain.compile(grammar, vocabulary_of(tokens), limits=limits).matcher()
    out = np.zeros((len(tokens) + 31) // 32, dtype=np.uint32)
    for byte in text:
        matcher.fill_mask(out)
        matcher.accept(tokens.index(bytes([byte])))
    return matcher


def blow_up(n_letters: int) -> ir.Grammar:
    """The classic: the letter n places before the end is an a; 2**n states."""
    return ir.Grammar(ir.Sequence((ir.Repeat(AB), A, ir.Repeat(AB, n_letters, n_letters))))


def many_threads(n_rules: int) -> ir.Grammar:
    """After one letter there are as many different stacks as rules."""
    names = [f"r{number}" for number in range(n_rules)]
    alternatives = tuple(
        ir.Sequence((A, ir.Rule(name), ir.Literal("b" * number)))
        for number, name in enumerate(names)
    )
    bodies = {
        name: ir.Choice((ir.Sequence((A, ir.Rule(name), ir.Literal("b"))), A)) for name in names
    }
    return ir.Grammar(ir.Choice(alternatives), bodies)


def deep(n_levels: int) -> ir.Node:
    """An expression nested so many times without being the same as a flat one."""
    node: ir.Node = A
    for _ in range(n_levels):
        node = ir.Choice((ir.Sequence((A, ir.Repeat(node, 2, 3))), ir.Literal("b")))
    return node


def common_multiple(*periods: int) -> ir.Grammar:
    """Letters whose number is a multiple of every period, and a last one."""
    parts = tuple(
        ir.Sequence((ir.Repeat(ir.Literal("a" * period), 1), ir.Literal("b")))
        for period in periods
    )
    return ir.Grammar(ir.Intersect(parts))


RANDOM_LETTERS = bytes(random.Random(1).choices(b"ab", k=400))
CASES: dict[str, tuple[ir.Grammar, bytes, float]] = {
    "expressions": (blow_up(12), RANDOM_LETTERS, 200),
    "expression_depth": (ir.Grammar(deep(40)), b"", 20),
    "nodes": (
        ir.Grammar(ir.Sequence(tuple(ir.Choice((A, ir.Literal("b"))) for _ in range(200)))),
        b"",
        100,
    ),
    "threads": (many_threads(100), b"aaa", 10),
    "depth": (NESTED, b"[" * 50, 20),
    "arena_bytes": (NESTED, b"[" * 5_000, 20_000),
    "search_states": (common_multiple(7, 11, 13, 17), b"", 50),
    "seconds": (ir.Grammar(deep(20)), b"", 0.0),
}


@pytest.mark.parametrize("what", CASES)
def test_a_limit_that_is_reached_raises_and_says_which(what: str) -> None:
    grammar, text, limit = CASES[what]
    with pytest.raises(constrain.LimitError) as caught:
        run(grammar, text, constrain.Limits(**{what: limit}))  # type: ignore[arg-type]  # the name of a field with a number of its type
    assert caught.value.what == what
    assert caught.value.limit == limit
    assert caught.value.given > 0


@pytest.mark.parametrize("what", [name for name in CASES if name != "search_states"])
def test_the_same_input_is_within_the_default_limits(what: str) -> None:
    grammar, text, _ = CASES[what]
    if what == "expression_depth":
        grammar = ir.Grammar(deep(10))
    run(grammar, text[:2_000], constrain.Limits())


def test_every_limit_has_a_case() -> None:
    assert set(CASES) == {field.name for field in fields(constrain.Limits)}


def test_a_matcher_that_met_a_limit_is_unchanged() -> None:
    matcher = run(NESTED, b"[" * 10, constrain.Limits(depth=12))
    mask = matcher.mask().tolist()
    with pytest.raises(constrain.LimitError):
        matcher.accept_bytes(b"[" * 10)
    assert matcher.n_tokens == 10
    assert matcher.mask().tolist() == mask
    matcher.accept_bytes(b"]" * 10)
    assert matcher.is_accepting


def _nest(wrap: Callable[[ir.Node], ir.Node], n_levels: int) -> ir.Node:
    node: ir.Node = A
    for _ in range(n_levels):
        node = wrap(node)
    return node


HOSTILE: dict[str, Callable[[], ir.Grammar]] = {
    "a tower of stars": lambda: ir.Grammar(_nest(ir.Repeat, 50_000)),
    "a tower of complements": lambda: ir.Grammar(_nest(ir.Complement, 50_001)),
    "a tower of sequences": lambda: ir.Grammar(
        _nest(lambda node: ir.Sequence((A, node, A)), 50_000)
    ),
    "counts of counts": lambda: ir.Grammar(
        _nest(lambda node: ir.Repeat(node, 1_000, 1_000), 6)
    ),
    "a huge count": lambda: ir.Grammar(ir.Repeat(AB, 10**9, 10**12)),
    "a huge count of words": lambda: ir.Grammar(
        ir.Repeat(ir.Choice((ir.Literal("ab"), A)), 10**6, 10**6)
    ),
    "an intersection of blow-ups": lambda: ir.Grammar(
        ir.Intersect(tuple(blow_up(n).root for n in range(10, 30)))
    ),
    "a complement of a blow-up": lambda: ir.Grammar(ir.Complement(blow_up(40).root)),
    "a common multiple": lambda: common_multiple(97, 101, 103, 107, 109, 113),
    "a giant multiple": lambda: ir.Grammar(ir.MultipleOf(10**18 + 9)),
    "many recursive rules": lambda: many_threads(2_000),
    "a rule that doubles": lambda: ir.Grammar(
        ir.Rule("r0"),
        {
            **{f"r{n}": ir.Sequence((ir.Rule(f"r{n + 1}"),) * 2) for n in range(64)},
            "r64": A,
        },
    ),
    "an ambiguous rule": lambda: ir.Grammar(
        ir.Rule("s"),
        {"s": ir.Choice((ir.Sequence((ir.Rule("s"),) * 3), A, ir.Literal("")))},
    ),
    "rules that only name each other": lambda: ir.Grammar(
        ir.Rule("r0"), {f"r{n}": ir.Rule(f"r{(n + 1) % 10_000}") for n in range(10_000)}
    ),
    "a long chain of rules": lambda: ir.Grammar(
        ir.Rule("r0"), {**{f"r{n}": ir.Rule(f"r{n + 1}") for n in range(50_000)}, "r50000": A}
    ),
    "words without end": lambda: ir.Grammar(
        ir.OneOf(tuple(f"{n:b}".translate({48: 97, 49: 98}) for n in range(50_000)))
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_input_ends_in_a_result_or_a_limit_error(what: str) -> None:
    grammar = HOSTILE[what]()
    limits = constrain.Limits(seconds=1.0, expressions=50_000, search_states=20_000)
    vocabulary = vocabulary_of(with_end((b"a", b"b", b"aa", b"a" * 50)))
    start = time.perf_counter()
    try:
        matcher = constrain.compile(grammar, vocabulary, limits=limits).matcher()
        for _ in range(20):
            mask = matcher.mask()
            if not mask[0]:
                break
            matcher.accept(0)
    except (constrain.LimitError, constrain.GrammarError):
        pass
    assert time.perf_counter() - start < 3, "one second, with room for a busy machine"


def test_a_shortest_text_beyond_all_use_is_a_limit_error() -> None:
    """Not a walk along 20 million bytes, or the memory for it."""
    item = ir.JsonValue(scalar=ir.Literal("1"))
    array = ir.JsonArray(items=item, min_items=10**7)
    grammar = ir.Grammar(ir.JsonText(ir.JsonValue(arrays=(array,)), ir.JsonForm("compact")))
    matcher = constrain.compile(grammar, vocabulary_of(JSON_TOKENS)).matcher()
    matcher.accept_bytes(b"[1")
    for find in (lambda: matcher.min_tokens, matcher.shortest_completion):
        with pytest.raises(constrain.LimitError) as caught:
            find()
        assert caught.value.what == "search_states"
        assert caught.value.given == 2 * 10**7 - 1  # a comma and a digit each; a bracket
    assert not matcher.fits_after(JSON_TOKENS.index(b","), 1_000)


def test_memory_stays_bounded_over_a_hundred_thousand_tokens() -> None:
    limit = 4 * 2**20
    compiled = constrain.compile(
        NESTED, vocabulary_of(JSON_TOKENS), limits=constrain.Limits(arena_bytes=limit)
    )
    matcher = compiled.matcher()
    out = np.zeros((len(JSON_TOKENS) + 31) // 32, dtype=np.uint32)
    item = b'{"a":["' + b"ab" * 20 + b'",1],"b":{"a":{}}},'
    ids = [JSON_TOKENS.index(bytes([byte])) for byte in item]
    matcher.accept(JSON_TOKENS.index(b"["))
    worst = 0
    while matcher.n_tokens < 100_000:
        for token_id in ids:
            matcher.fill_mask(out)
            matcher.accept(token_id)
        worst = max(worst, compiled.memory_bytes)
    assert worst <= 2 * limit
    matcher.accept_bytes(b"1]")
    assert matcher.is_accepting


def test_memory_stays_bounded_where_every_state_is_new() -> None:
    """Each key is new, so no two states are alike; rolled back ones must not stay for good."""
    limit = 4 * 2**20
    compiled = constrain.compile(
        NESTED, vocabulary_of(JSON_TOKENS), limits=constrain.Limits(arena_bytes=limit)
    )
    worst = 0
    for number in range(300):
        matcher = compiled.matcher()
        matcher.accept_bytes(b"{")
        for count in range(20):
            name = f"{number:09b}{count:05b}".encode()
            matcher.accept_bytes(b'"' + name + b'":1,')
            matcher.mask()
        worst = max(worst, compiled.memory_bytes)
    assert worst <= 2 * limit
