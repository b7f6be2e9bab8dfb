"""Composition of grammars: what the leaves match, how rules merge, what is refused."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constrain.errors import GrammarError
from constrain.grammar import compose, ir
from tests.oracle import json_text
from tests.oracle.characters import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_VALUE = ir.JsonValue(scalar=ir.OneOf(("1", "2")))


def accepts(grammar: ir.Grammar, text: str) -> bool:
    return json_text.accepts(grammar, text)


def words(alphabet: str, longest: int) -> list[str]:
    return [
        "".join(letters)
        for length in range(longest + 1)
        for letters in itertools.product(alphabet, repeat=length)
    ]


# choice


def test_choice_accepts_each_text_and_nothing_else() -> None:
    grammar = compose.choice(["yes", "no", "yes and no", ""])
    for text in ("yes", "no", "yes and no", ""):
        assert matches(grammar.root, text)
    for text in ("ye", "yesno", "yes ", "YES"):
        assert not matches(grammar.root, text)


def test_weights_stay_with_their_texts_in_order() -> None:
    grammar = compose.choice({"yes": 0.5, "no": -1})
    assert grammar.root == ir.Choice((ir.Literal("yes"), ir.Literal("no")), (0.5, -1.0))


@pytest.mark.parametrize(
    "options",
    [
        [],
        {},
        "yes",
        ["a", "a"],
        ["a", 1],
        ["\ud800"],
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 1.1e6},
        {"a": 10**400},
        {"a": "1"},
        {"a": True},
    ],
)
def test_choice_refuses_what_is_no_set_of_texts(options: Any) -> None:
    with pytest.raises(GrammarError):
        compose.choice(options)


def test_choice_of_one_text_says_how_to_write_it() -> None:
    with pytest.raises(GrammarError, match=r"choice\(\['yes'\]\)"):
        compose.choice("yes")


# regex


@pytest.mark.parametrize("dialect", ["python", "ecma"])
def test_regex_matches_the_whole_text(dialect: compose.Dialect) -> None:
    grammar = compose.regex("a+b?", dialect)
    assert [word for word in words("ab", 3) if matches(grammar.root, word)] == [
        "a",
        "aa",
        "ab",
        "aaa",
        "aab",
    ]


def test_regex_refuses_an_unknown_dialect_and_what_is_no_text() -> None:
    dialect: Any = "perl"
    with pytest.raises(GrammarError, match="unknown dialect 'perl'"):
        compose.regex("a", dialect)
    pattern: Any = b"a"
    with pytest.raises(GrammarError, match="as str"):
        compose.regex(pattern)


def test_regex_refuses_a_malformed_pattern() -> None:
    with pytest.raises(GrammarError):
        compose.regex("(")


# text


def first_end(text: str, stops: Sequence[str]) -> int | None:
    """Length of the shortest prefix that ends in a stop string, by trying them all."""
    for length in range(len(text) + 1):
        if any(text[:length].endswith(stop) for stop in stops):
            return length
    return None


@pytest.mark.parametrize(
    "stops", [("b",), ("ab",), ("aa",), ("aba",), ("ab", "bab"), ("a", "b")]
)
def test_text_ends_exactly_with_the_first_stop_string(stops: tuple[str, ...]) -> None:
    grammar = compose.text(stop=stops)
    verdicts = {word: matches(grammar.root, word) for word in words("abc", 5)}
    assert verdicts == {word: first_end(word, stops) == len(word) for word in verdicts}
    assert any(verdicts.values())


@pytest.mark.parametrize("max_chars", [0, 1, 3])
def test_max_chars_counts_what_precedes_the_stop_string(max_chars: int) -> None:
    grammar = compose.text(stop="ab", max_chars=max_chars)
    for word in words("ab", 6):
        allowed = first_end(word, ["ab"]) == len(word) and len(word) - 2 <= max_chars
        assert matches(grammar.root, word) == allowed, word


def test_text_without_stop_is_any_text_up_to_its_length() -> None:
    assert matches(compose.text().root, "any\n\0text \U0001f600")
    assert matches(compose.text(max_chars=2).root, "\U0001f600\n")
    assert not matches(compose.text(max_chars=2).root, "abc")


@given(st.text(alphabet="<>/a", max_size=8))
def test_text_up_to_a_tag_then_more_splits_at_the_first_tag(word: str) -> None:
    grammar = compose.text(stop="</a>") + "!"
    assert accepts(grammar, word + "!") == (first_end(word, ["</a>"]) == len(word))


@pytest.mark.parametrize(
    "options",
    [
        {"stop": ""},
        {"stop": []},
        {"stop": ["a", ""]},
        {"stop": ["a", "a"]},
        {"stop": [1]},
        {"max_chars": -1},
        {"max_chars": 1.5},
        {"max_chars": True},
    ],
)
def test_text_refuses_impossible_arguments(options: Any) -> None:
    with pytest.raises(GrammarError):
        compose.text(**options)


# sequence, alternatives, repeat


def test_plus_is_one_after_the_other_and_takes_plain_text() -> None:
    grammar = "say " + compose.choice(["a", "ab"]) + "b" + compose.choice(["", "!"])
    accepted = [
        w for w in ("ab", "abb", "ab!", "abb!", "a", "abbb") if accepts(grammar, "say " + w)
    ]
    assert accepted == ["ab", "abb", "ab!", "abb!"]


def test_bar_is_one_or_the_other_and_takes_plain_text() -> None:
    grammar = "no" | (compose.choice(["yes"]) | "maybe")
    assert [w for w in ("no", "yes", "maybe", "noyes", "") if accepts(grammar, w)] == [
        "no",
        "yes",
        "maybe",
    ]


def test_other_operands_are_a_type_error() -> None:
    grammar = compose.choice(["a"])
    other: Any = 3
    with pytest.raises(TypeError):
        grammar + other
    with pytest.raises(TypeError):
        other + grammar
    with pytest.raises(TypeError):
        grammar | other
    with pytest.raises(TypeError):
        other | grammar


@pytest.mark.parametrize(("low", "high"), [(0, None), (1, None), (2, 3), (0, 0), (2, 2)])
def test_repeat_counts(low: int, high: int | None) -> None:
    grammar = compose.choice(["ab"]).repeat(low, high)
    for count in range(5):
        allowed = low <= count and (high is None or count <= high)
        assert accepts(grammar, "ab" * count) == allowed


@pytest.mark.parametrize("bounds", [(-1, None), (2, 1), (0, -1), (1.5, None), (True, None)])
def test_repeat_refuses_impossible_bounds(bounds: tuple[Any, Any]) -> None:
    with pytest.raises(GrammarError, match="repeat"):
        compose.choice(["a"]).repeat(*bounds)


def test_weights_are_kept_apart_from_other_alternatives() -> None:
    weighted = compose.choice({"a": 1.0, "b": 0.0})
    grammar = weighted | compose.choice(["c"])
    assert grammar.root == ir.Choice((weighted.root, ir.OneOf(("c",))))


# what a composition carries


def json_grammar(name: str, body: ir.Node) -> ir.Grammar:
    return ir.Grammar(
        ir.JsonText(ir.Rule(name)), {name: body}, notes=("n",), target=int, kind="json"
    )


def test_kind_target_and_notes_of_compositions() -> None:
    left = json_grammar("a", ANY_VALUE)
    right = ir.Grammar(ir.JsonText(ANY_VALUE), notes=("n", "m"), target=str, kind="json")
    both, either = left + right, left | right
    assert (both.kind, either.kind, (left | compose.choice(["a"])).kind) == (
        "text",
        "json",
        "text",
    )
    assert (both.target, either.target) == (None, None)
    assert both.notes == either.notes == ("n", "m")
    assert left.repeat(1, 2).rules == left.rules


def test_rules_of_both_sides_are_kept_and_equal_ones_shared() -> None:
    left, right = json_grammar("a", ANY_VALUE), json_grammar("a", ANY_VALUE)
    assert (left + right).rules == {"a": ANY_VALUE}
    assert set((left + json_grammar("b", ANY_VALUE)).rules) == {"a", "b"}


def test_another_rule_of_the_same_name_is_renamed_everywhere() -> None:
    scalar = ir.JsonValue(scalar=ir.Literal("1"))
    nested = ir.JsonValue(
        scalar=ir.Literal("2"),
        arrays=(ir.JsonArray(prefix=(ir.Rule("a"),), items=ir.Rule("a")),),
    )
    both = json_grammar("a", scalar) + json_grammar("a", nested)
    assert set(both.rules) == {"a", "a~2"}
    assert both.rules["a"] == scalar
    for text, verdict in (("1[2,[2]]", True), ("12", True), ("2[2]", False), ("1[1]", False)):
        assert accepts(both, text) == verdict, text


def test_a_rule_that_uses_a_renamed_rule_is_renamed_too() -> None:
    def grammar(digit: str) -> ir.Grammar:
        item = ir.JsonValue(scalar=ir.Literal(digit))
        member = ir.JsonObject((ir.Property("k", ir.Rule("item"), required=True),))
        rules = {"item": item, "root": ir.JsonValue(objects=(member,))}
        return ir.Grammar(ir.JsonText(ir.Rule("root")), rules, kind="json")

    both = grammar("1") + grammar("2")
    assert len(both.rules) == 4
    assert accepts(both, '{"k":1}{"k":2}')
    assert not accepts(both, '{"k":1}{"k":1}')
    assert not accepts(both, '{"k":2}{"k":2}')


def test_fresh_names_avoid_names_in_use() -> None:
    one, two, three = (ir.JsonValue(scalar=ir.Literal(d)) for d in "123")
    left = ir.Grammar(ir.Sequence((ir.Rule("a"), ir.Rule("a~2"))), {"a": one, "a~2": two})
    both = left + ir.Grammar(ir.Rule("a"), {"a": three})
    assert both.rules == {"a": one, "a~2": two, "a~3": three}
    assert both.root == ir.Sequence((ir.Rule("a"), ir.Rule("a~2"), ir.Rule("a~3")))


def test_deep_bodies_are_compared_and_renamed_without_recursion() -> None:
    def deep(leaf: ir.Node) -> ir.Node:
        for _ in range(20_000):
            leaf = ir.Repeat(leaf, 0, 1)
        return leaf

    left = ir.Grammar(ir.Rule("a"), {"a": deep(ir.Literal("x"))})
    right = ir.Grammar(ir.Rule("a"), {"a": deep(ir.Rule("a"))})
    assert len((left + right).rules) == 2
