"""Left-recursive, nullable and ambiguous grammars: the same language without left recursion."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import NoReturn

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

import constrain
from constrain.grammar import ir
from constrain.grammar.left_recursion import without_left_recursion
from constrain.grammar.nullable import Nullability, components
from tests.oracle.cfg import texts
from tests.strategies import rule_grammars
from tests.vocabularies import single_bytes, vocabulary_of, with_end

A, B, EMPTY = ir.Literal("a"), ir.Literal("b"), ir.Literal("")
X, Y, Z = ir.Rule("x"), ir.Rule("y"), ir.Rule("z")
LETTERS = "ab"
AB = vocabulary_of(with_end((b"a", b"b")))


def choice(*alternatives: ir.Node) -> ir.Node:
    return ir.Choice(alternatives)


def row(*parts: ir.Node) -> ir.Node:
    return ir.Sequence(parts)


def grammar_of(**rules: ir.Node) -> ir.Grammar:
    """A grammar that begins at its first rule."""
    return ir.Grammar(ir.Rule(next(iter(rules))), rules)


def is_left_recursive(grammar: ir.Grammar) -> bool:
    facts = Nullability(grammar.rules, grammar.root)
    graph = {name: set(facts.rules_left_of(body)) for name, body in facts.bodies.items()}
    return any(len(c) > 1 or c[0] in graph[c[0]] for c in components(graph))


def accepted(matcher: constrain.Matcher, most: int, text: str = "") -> Iterator[str]:
    """The texts of up to `most` letters that the masks lead to; each state must have an end."""
    mask = matcher.mask()
    assert mask[2] == matcher.is_accepting
    assert mask.any(), f"dead end after {text!r}"
    end = matcher.copy()
    end.accept_bytes(matcher.shortest_completion())
    assert end.is_accepting, text
    if matcher.is_accepting:
        yield text
    for token_id, letter in enumerate(LETTERS):
        if mask[token_id] and len(text) < most:
            matcher.accept(token_id)
            yield from accepted(matcher, most, text + letter)
            matcher.rollback(1)


def check_language(grammar: ir.Grammar, most: int) -> bool:
    """The kernel's language is the enumerated one; tells whether the grammar has any text."""
    expected = texts(grammar, LETTERS, most)
    try:
        compiled = constrain.compile(grammar, AB)
    except constrain.GrammarError:
        assert not expected
        return False
    found = list(accepted(compiled.matcher(), most))
    assert len(found) == len(set(found))
    assert set(found) == expected
    return True


# ------------------------------------------------------------------ what stays


class _Untouchable(Mapping[str, ir.Node]):
    """Many rules, which nobody may look at."""

    def __len__(self) -> int:
        return 10_000

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the rules of a JSON text were listed")

    def __getitem__(self, name: str) -> ir.Node:
        raise AssertionError(f"rule {name} of a JSON text was looked at")


def test_the_rules_of_a_json_text_are_not_looked_at() -> None:
    grammar = ir.Grammar(ir.JsonText(ir.Rule("v")), _Untouchable(), kind="json")
    assert without_left_recursion(grammar) is grammar


@pytest.mark.parametrize(
    "grammar",
    [
        ir.Grammar(ir.Repeat(A)),
        grammar_of(x=choice(row(A, X), B)),
        grammar_of(x=choice(row(A, X, B), EMPTY)),
        grammar_of(x=row(Y, Y, A), y=ir.Repeat(B)),
        grammar_of(x=ir.Repeat(row(A, X), 3, 100_000)),
        ir.Grammar(row(Y, A), {"x": row(X, A), "y": B}),  # x is never used
        ir.Grammar(row(ir.JsonText(Z), A, X), {"x": choice(row(A, X), B), "z": ir.JsonValue()}),
    ],
)
def test_a_grammar_without_left_recursion_is_the_same_object(grammar: ir.Grammar) -> None:
    assert without_left_recursion(grammar) is grammar


def test_rules_off_the_circle_and_everything_else_stay() -> None:
    sign = choice(A, row(B, Z))
    grammar = ir.Grammar(
        row(X, Z),
        {"x": choice(row(X, sign), Y), "y": row(A, Z), "z": ir.Repeat(row(B, Y), 2, 9_999)},
        notes=("a note",),
        target=int,
    )
    found = without_left_recursion(grammar)
    assert found.root is grammar.root
    assert found.rules["y"] is grammar.rules["y"]
    assert found.rules["z"] is grammar.rules["z"]
    assert (found.notes, found.target, found.kind) == (("a note",), int, "text")
    assert not is_left_recursive(found)


# ------------------------------------------------------------- both sides, by hand

BY_HAND: dict[str, tuple[ir.Grammar, str, str]] = {
    # name: grammar, texts it has, texts it has not (separated by blanks; "-": the empty text)
    "direct": (grammar_of(x=choice(row(X, A), B)), "b ba baaa", "- a ab bb"),
    "with the empty text": (grammar_of(x=choice(row(X, A), EMPTY)), "- a aaa", "b ab"),
    "of itself only": (grammar_of(x=ir.Repeat(X)), "-", "a b"),
    "rounds of itself": (grammar_of(x=choice(ir.Repeat(X), A)), "- a aaaa", "b ab"),
    "counted rounds of itself": (
        grammar_of(x=choice(row(ir.Repeat(X, 2, 3), B), A)),  # 2 or 3 of x and a b after them
        "a aab aaab aabab aabaabb",
        "- b ab aaaab aaa",
    ),
    "counted rounds that may be empty": (
        grammar_of(x=choice(row(ir.Repeat(choice(X, EMPTY), 3, 4), B), A)),
        "a b ab bb aaaab abab",  # the b after up to 4 of x
        "- aa ba aaaaab",
    ),
    "ambiguous": (grammar_of(x=choice(row(X, X), A)), "a aa aaaaa", "- b"),
    "behind a nullable rule": (
        grammar_of(x=choice(row(Y, X, A), B), y=ir.Repeat(B, 0, 1)),
        "b ba bba bbbaa bbaa",
        "- a bb bbba ab",  # one b more than there are a at most
    ),
    "behind a rule that is empty in a roundabout way": (
        grammar_of(x=choice(row(Y, X, A), B), y=row(Z, Z), z=ir.Repeat(Y)),
        "b ba baa",
        "- a bb ab",
    ),
    "mutual": (
        grammar_of(x=choice(row(Y, A), A), y=choice(row(X, B), B)),
        "a ba aba ababa",
        "- b ab baa",
    ),
    "mutual, both with loops": (
        grammar_of(x=choice(row(X, A), row(Y, A)), y=choice(row(Y, B), row(X, B), B)),
        "ba baa bba baba bbaabba",
        "- a b bab ab",
    ),
    "a circle of units": (
        grammar_of(x=Y, y=Z, z=choice(X, A, row(Z, B))),
        "a ab abb",
        "- b aa",
    ),
    "never finished beside a text": (
        grammar_of(x=choice(row(X, A), B, Y), y=row(Y, B)),
        "b ba baa",
        "- a bb",
    ),
    "odd numbers": (grammar_of(x=choice(row(X, X, X), A)), "a aaa aaaaa", "- aa aaaa"),
    "a right end": (
        grammar_of(x=choice(row(X, A, X), row(B, X), B)),
        "b bb bab bbabb",
        "- a ba abb",
    ),
    "an empty right end": (
        grammar_of(x=choice(row(X, A, X), EMPTY, row(X, B, X))),
        "- a b ab bbaa",
        "c",
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_texts_by_hand(name: str) -> None:
    grammar, inside, outside = BY_HAND[name]
    for text in inside.split():
        constrain.check(grammar, text.replace("-", ""))
    for text in outside.split():
        with pytest.raises(constrain.TokenRejectedError):
            constrain.check(grammar, text.replace("-", ""))
    assert is_left_recursive(grammar)
    assert not is_left_recursive(without_left_recursion(grammar))
    assert check_language(grammar, 5)


@pytest.mark.parametrize("body", [X, row(X, A), row(X, X), ir.Repeat(X, 1), row(A, X, B)])
def test_a_rule_that_never_ends_matches_nothing(body: ir.Node) -> None:
    with pytest.raises(constrain.GrammarError, match="no text matches"):
        constrain.compile(grammar_of(x=body), AB)


def test_a_rule_that_is_not_defined_is_named() -> None:
    with pytest.raises(constrain.GrammarError, match="'y' is not defined"):
        without_left_recursion(grammar_of(x=choice(row(X, Y), A)))


def test_json_texts_are_leaves() -> None:
    value = ir.JsonValue(
        scalar=ir.Literal("1"), arrays=(ir.JsonArray(items=ir.Rule("v")),), pointer="#"
    )
    json = ir.JsonText(ir.Rule("v"), ir.JsonForm("compact"))
    grammar = ir.Grammar(X, {"x": choice(row(X, ir.Literal(","), json), json), "v": value})
    for text in ("1", "1,1", "[1,[1]],1,[]"):
        constrain.check(grammar, text)
    for text, position in (("", 0), (",1", 0), ("1,", 2), ("1,,1", 2), ("[1],]", 4)):
        with pytest.raises(constrain.TokenRejectedError) as caught:
            constrain.check(grammar, text)
        assert caught.value.position == position


def test_weights_stay_on_the_words_they_are_for() -> None:
    words = ir.Choice((A, B), (0.0, -2.0))
    matcher = constrain.compile(grammar_of(x=choice(row(X, words), words)), AB).matcher()
    for _ in range(3):
        ids, values = matcher.bias()
        assert dict(zip(ids.tolist(), values.tolist(), strict=True)) == {1: -2.0}
        matcher.accept(1)
    assert matcher.is_accepting


# ------------------------------------------------------------------- small scopes

SYMBOLS = (A, X, Y)
SIDES = [
    *(row(*side) for n in (0, 1, 2) for side in itertools.product(SYMBOLS, repeat=n)),
    B,
    row(X, B),
    row(Y, B),
    row(X, Y, A),
]
PRODUCTIONS = [(name, side) for name in "xy" for side in SIDES]


def small_grammars(n_productions: int) -> Iterator[ir.Grammar]:
    for chosen in itertools.combinations(PRODUCTIONS, n_productions):
        yield grammar_of(
            **{name: choice(*(side for left, side in chosen if left == name)) for name in "xy"}
        )


@pytest.mark.parametrize(("n_productions", "n_expected"), [(1, 34), (2, 561), (3, 5_984)])
def test_all_grammars_of_up_to_three_productions(n_productions: int, n_expected: int) -> None:
    # 1 + 3 + 9 sides of up to two out of a, x, y, and four with b or longer: 17 for each of
    # x and y; 34; 34 * 33 / 2; 34 * 33 * 32 / 6
    grammars = list(small_grammars(n_productions))
    assert len(grammars) == n_expected
    n_rewritten = n_matching = 0
    for grammar in grammars:
        n_matching += check_language(grammar, 4)
        rewritten = without_left_recursion(grammar)
        n_rewritten += rewritten is not grammar
        assert (rewritten is not grammar) == is_left_recursive(grammar)
        assert not is_left_recursive(rewritten)
    assert n_rewritten > n_expected / 8
    assert n_matching > n_expected / 10


# ----------------------------------------------------------------- random grammars


def reject_unless_threads(error: constrain.LimitError) -> NoReturn:
    """So ambiguous that the kernel gives up on purpose, as on `x = Repeat(x | a, 1, 3)`."""
    assert error.what == "threads"
    reject()


@settings(max_examples=150, deadline=None)
@given(rule_grammars(), st.integers(0, 2**32))
@example(grammar_of(x=ir.Repeat(X)), 0)
@example(grammar_of(x=ir.Repeat(choice(X, B))), 0)
@example(grammar_of(x=choice(row(X, X), A)), 0)
@example(grammar_of(x=choice(row(X, X, X), A, EMPTY)), 0)
@example(grammar_of(x=choice(row(X, A), EMPTY)), 0)
@example(grammar_of(x=choice(row(Y, X, A), B), y=ir.Repeat(B)), 0)
@example(grammar_of(x=choice(row(Y, A), B), y=choice(row(Z, B), X), z=choice(X, row(Z, A))), 0)
@example(grammar_of(x=choice(row(X, ir.OneOf(("", "ab")), Y), B), y=choice(X, EMPTY)), 0)
def test_random_grammars_keep_their_language_and_have_no_dead_end(
    grammar: ir.Grammar, seed: int
) -> None:
    rewritten = without_left_recursion(grammar)
    assert not is_left_recursive(rewritten)
    assert texts(rewritten, LETTERS, 4) == texts(grammar, LETTERS, 4)
    try:
        if not check_language(grammar, 4):
            return
    except constrain.LimitError as error:
        reject_unless_threads(error)
    matcher = constrain.compile(grammar, AB).matcher()
    choices = random.Random(seed)
    for _ in range(20):
        mask = matcher.mask()
        assert mask.any()
        allowed = [token_id for token_id in (0, 1) if mask[token_id]]
        if not allowed:
            break
        try:
            matcher.accept(choices.choice(allowed))
        except constrain.LimitError as error:
            reject_unless_threads(error)
    matcher.accept_bytes(matcher.shortest_completion())
    assert matcher.is_accepting


# ------------------------------------------------------------------------ size


def test_ambiguous_operators_are_followed_by_few_threads() -> None:
    number, plus, minus = ir.Literal("1"), ir.Literal("+"), ir.Literal("-")
    grammar = grammar_of(
        expression=choice(
            number,
            ir.Rule("operation"),
            row(minus, ir.Rule("expression")),
            row(ir.Literal("("), ir.Rule("expression"), ir.Literal(")")),
        ),
        operation=row(ir.Rule("expression"), choice(plus, minus), ir.Rule("expression")),
    )
    vocabulary = vocabulary_of(with_end(single_bytes("1+-()")))
    compiled = constrain.compile(grammar, vocabulary, constrain.Limits(threads=64, depth=16))
    matcher = compiled.matcher()
    matcher.accept_bytes(b"1+-1-(1-1)+" * 300 + b"1")
    assert matcher.is_accepting


@pytest.mark.parametrize("body", [choice(row(X, X), A), choice(ir.Repeat(X), A, B)])
def test_rules_that_repeat_themselves_are_followed_by_few_threads(body: ir.Node) -> None:
    compiled = constrain.compile(grammar_of(x=body), AB, constrain.Limits(threads=64, depth=16))
    matcher = compiled.matcher()
    matcher.accept_bytes(b"a" * 3_000)
    assert matcher.is_accepting


def test_large_counts_are_not_written_out() -> None:
    limits = constrain.Limits(nodes=100)
    grammar = grammar_of(
        x=choice(row(ir.Repeat(Y, 1_000, 100_000), B), row(X, B)), y=choice(A, row(X, A))
    )
    assert not is_left_recursive(without_left_recursion(grammar, limits))


def ring(n_rules: int) -> ir.Grammar:
    """Every rule begins with every rule, each in its own way."""
    names = [f"r{number}" for number in range(n_rules)]
    return ir.Grammar(
        ir.Rule(names[0]),
        {
            name: choice(*(row(ir.Rule(other), A, ir.Rule(name)) for other in names), B)
            for name in names
        },
    )


def test_a_grammar_that_would_become_too_large_is_refused() -> None:
    assert not is_left_recursive(without_left_recursion(ring(20)))
    with pytest.raises(constrain.LimitError) as caught:
        without_left_recursion(ring(20), constrain.Limits(nodes=2_000))
    assert caught.value.what == "nodes"
    assert caught.value.limit == 2_000
    with pytest.raises(constrain.LimitError):
        without_left_recursion(ring(100))  # 100 * 100 steps of 4 nodes, for each of 100 rules


def test_towers_of_nodes_do_not_break_the_interpreter() -> None:
    tower: ir.Node = X
    for _ in range(20_000):
        tower = ir.Repeat(tower, 0, 1)
    found = without_left_recursion(grammar_of(x=choice(tower, A)))
    assert not is_left_recursive(found)
    assert texts(ir.Grammar(ir.Rule("x"), found.rules), LETTERS, 1) == {"", "a"}


def test_a_long_ring_of_units_is_one_rule() -> None:
    rules: dict[str, ir.Node] = {f"r{n}": ir.Rule(f"r{n + 1}") for n in range(20_000)}
    rules["r20000"] = choice(ir.Rule("r0"), A, row(ir.Rule("r7"), B))
    grammar = ir.Grammar(ir.Rule("r0"), rules)
    constrain.check(grammar, "abb")
    with pytest.raises(constrain.TokenRejectedError):
        constrain.check(grammar, "ba")
