"""Objects with demands and arrays with tallies, beside the slow recognizers, bit by bit."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import constrain
from constrain.errors import LimitError, UnsatisfiableSchemaError
from constrain.grammar import ir
from tests.lockstep import Lockstep, can_be_written
from tests.oracle.json_text import accepts
from tests.vocabularies import single_bytes, with_end

DIGITS = "0123"
LETTERS = '{}[]":,ab0123'
LONGER = (b'{"', b'":', b'"a":', b'"b":1', b'1,"', b"0,", b"1}", b"0]", b'2,"a', b",1", b"3}")


def value_of(digits: frozenset[str]) -> ir.JsonValue:
    """One of the digits."""
    return ir.JsonValue(ir.Choice(tuple(ir.Literal(digit) for digit in sorted(digits))))


@st.composite
def ways(draw: DrawFn, n_demands: int, *, exact: frozenset[int] = frozenset()) -> list[ir.Way]:
    """Ways to read one of some digits, where each demand is settled by some of them.

    For the demands in `exact` the other ways do not read what settles them.
    """
    digits = st.frozensets(st.sampled_from(DIGITS), min_size=1)
    base = draw(digits)
    settling = [draw(st.frozensets(st.sampled_from(DIGITS))) for _ in range(n_demands)]
    result = []
    for chosen in product((False, True), repeat=n_demands):
        kept = base
        for j, is_in in enumerate(chosen):
            if is_in:
                kept &= settling[j]
            elif j in exact:
                kept -= settling[j]
        bits = sum(1 << j for j, is_in in enumerate(chosen) if is_in)
        if kept or bits == 0:
            result.append(ir.Way(value_of(kept), bits))
    return result


@st.composite
def bounds(draw: DrawFn) -> tuple[int, int | None]:
    least = draw(st.sampled_from([0, 0, 0, 1, 2]))
    return least, draw(st.sampled_from([None, None, least, least + 1, 3]))


@st.composite
def demanding_objects(draw: DrawFn) -> ir.JsonObject:
    n = draw(st.integers(1, 3))
    demands = tuple(
        ir.Demand(draw(st.sampled_from([0, 0, 0, 1, 2])),
                  draw(st.sampled_from([None, None, None, 1, 2])))
        for _ in range(n)
    )  # fmt: skip
    properties = []
    for name in draw(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3, unique=True)):
        member = tuple(draw(ways(n)))
        absent = draw(st.integers(0, (1 << n) - 1)) if draw(st.booleans()) else 0
        required = draw(st.integers(0, 3)) == 0
        properties.append(ir.Property(name, member[0].value, required, member, absent))
    least, most = draw(bounds())
    others: tuple[tuple[ir.Node, ir.Node], ...] = ()
    first, key, of_class = None, None, []
    if draw(st.booleans()):
        of_class.append(tuple(draw(ways(n))))
        first = of_class[0][0].value
        if draw(st.booleans()):
            key = ir.Sequence((ir.Literal("b"), ir.Repeat(ir.Chars(((97, 98),)))))
            of_class.append(tuple(draw(ways(n))))
            others = ((ir.Repeat(ir.Literal("a"), 1, None), of_class[1][0].value),)
    return ir.JsonObject(
        tuple(properties), first, key, least, most, "", others, demands, tuple(of_class)
    )


@st.composite
def tallied_arrays(draw: DrawFn) -> ir.JsonArray:
    tallies = []
    for _ in range(draw(st.integers(1, 2))):
        low = draw(st.integers(0, 2))
        if draw(st.booleans()):
            tallies.append(ir.Tally(low, draw(st.integers(low, 2))))
        else:
            under = draw(st.sampled_from([0, 0, 1, 2]))
            tallies.append(ir.Tally(low, None, under, draw(st.sampled_from([None, None, 2]))))
    exact = frozenset(range(len(tallies)))
    n_positions = draw(st.integers(1, 3))
    by_position = [draw(ways(len(tallies), exact=exact)) for _ in range(n_positions)]
    for of_item in by_position if draw(st.booleans()) else ():
        digits = draw(st.frozensets(st.sampled_from(DIGITS), min_size=1))
        of_item.append(ir.Way(value_of(digits), when_full=True))
    least, most = draw(bounds())
    return ir.JsonArray(
        min_items=least,
        max_items=most,
        tallies=tuple(tallies),
        ways=tuple(map(tuple, by_position)),
    )


def grammar_of(case: ir.JsonObject | ir.JsonArray, form: ir.JsonForm) -> ir.Grammar:
    if isinstance(case, ir.JsonObject):
        return ir.Grammar(ir.JsonText(ir.JsonValue(objects=(case,)), form), kind="json")
    return ir.Grammar(ir.JsonText(ir.JsonValue(arrays=(case,)), form), kind="json")


TOKENS = with_end((*single_bytes(LETTERS), *LONGER))
FORMS = st.sampled_from([ir.JsonForm("compact", "schema"), ir.JsonForm("compact", "any")])


@settings(max_examples=60, deadline=None)
@given(st.one_of(demanding_objects(), tallied_arrays()), FORMS, st.integers(0, 2**32))
def test_masks_are_those_of_the_oracle(
    case: ir.JsonObject | ir.JsonArray, form: ir.JsonForm, seed: int
) -> None:
    grammar = grammar_of(case, form)
    if not can_be_written(grammar, TOKENS):
        with pytest.raises((UnsatisfiableSchemaError, constrain.GrammarError)):
            constrain.compile(grammar, constrain.Vocabulary(TOKENS, [len(TOKENS) - 1]))
        return
    both = Lockstep(grammar, TOKENS)
    shortest = both.matcher.shortest_completion()
    assert accepts(grammar, shortest.decode())
    both.walk(random.Random(seed), 12, most_bytes=24)


@settings(max_examples=60, deadline=None)
@given(st.one_of(demanding_objects(), tallied_arrays()), FORMS, st.integers(0, 2**32))
def test_the_shortest_completion_is_a_completion_from_everywhere(
    case: ir.JsonObject | ir.JsonArray, form: ir.JsonForm, seed: int
) -> None:
    grammar = grammar_of(case, form)
    vocabulary = constrain.Vocabulary(TOKENS, [len(TOKENS) - 1])
    try:
        matcher = constrain.compile(grammar, vocabulary).matcher()
    except (UnsatisfiableSchemaError, constrain.GrammarError):
        return
    chance, text = random.Random(seed), b""
    for _ in range(12):
        rest = matcher.shortest_completion()
        assert accepts(grammar, (text + rest).decode()), (text, rest)
        allowed = [i for i, bit in enumerate(matcher.mask()) if bit and i != len(TOKENS) - 1]
        if not allowed:
            break
        token = chance.choice(allowed)
        matcher.accept(token)
        text += TOKENS[token]


def test_more_demands_than_a_word_has_bits_are_a_limit() -> None:
    one = value_of(frozenset("1"))
    member = ir.Property("a", one, ways=(ir.Way(one),))
    case = ir.JsonObject((member,), demands=(ir.Demand(5),) * 33)
    with pytest.raises(LimitError) as caught:
        constrain.check(grammar_of(case, ir.JsonForm("compact")), "{}")
    assert (caught.value.what, caught.value.given, caught.value.limit) == (
        "demands", 33, 32,
    )  # fmt: skip


@pytest.mark.parametrize("order", ["schema", "any"])
def test_a_class_of_keys_that_would_leave_a_demand_open_is_not_begun(
    order: ir.PropertyOrder,
) -> None:
    # One member, and only keys of a's settle the demand.
    one = value_of(frozenset("1"))
    a_keys, b_keys = (ir.Repeat(ir.Literal(letter), 1) for letter in "ab")
    case = ir.JsonObject(
        (), one, b_keys, 0, 1, "", ((a_keys, one),), (ir.Demand(),),
        ((ir.Way(one),), (ir.Way(one, 1),)),
    )  # fmt: skip
    both = Lockstep(grammar_of(case, ir.JsonForm("compact", order)), TOKENS)
    both.check()
    both.accept(TOKENS.index(b'{"'))
    assert {TOKENS[i] for i in both.check()} == {b"a"}


def test_a_limit_reached_in_one_array_leaves_others_as_they_were() -> None:
    # [] is let off; an array with an item needs one of each of n kinds, in any order.
    def array_of(n: int) -> ir.JsonValue:
        kinds = tuple(ir.Way(value_of(frozenset("0")), 1 << i) for i in range(n))
        tallies = (ir.Tally(1, None, under=1),) * n
        return ir.JsonValue(arrays=(ir.JsonArray(tallies=tallies, ways=(kinds,)),))

    members = (ir.Property("a", array_of(12)), ir.Property("b", array_of(2)))
    grammar = grammar_of(ir.JsonObject(members), ir.JsonForm("compact", "any"))
    vocabulary = constrain.Vocabulary(TOKENS, [len(TOKENS) - 1])
    compiled = constrain.compile(
        grammar, vocabulary, limits=constrain.Limits(search_states=100)
    )
    first, second = compiled.matcher(), compiled.matcher()
    with pytest.raises(LimitError):  # 2^11 states after the first item
        first.accept_bytes(b'{"a":[')
    second.accept_bytes(b'{"b":[')
    assert second.shortest_completion() == b"]}"
    second.accept_bytes(b"0")
    assert second.shortest_completion() == b",0]}"
    with pytest.raises(LimitError):
        first.accept_bytes(b'{"a":[')
