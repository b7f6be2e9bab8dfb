"""The bound on the length of a grammar's texts holds, and is the least where that is plain."""

from __future__ import annotations

from typing import Any

import pytest

import constrain
from constrain.grammar import ir
from constrain.grammar.longest import most_bytes

CLOSED = {"additionalProperties": False}
RECORD = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "yy"]}, "b": {"type": "boolean"}},
    "required": ["a"],
    **CLOSED,
}


@pytest.mark.parametrize(
    ("grammar", "longest"),
    [
        (constrain.choice([" yes", " no"]), " yes"),
        (constrain.choice({"a": 1.0, "bcd": 0.0}), "bcd"),
        (constrain.regex("[a-z]{2}(é|zz)?[0-9]{0,3}"), "aaé999"),
        (constrain.regex("[\U0001f600-\U0001f610x]{3}"), "\U0001f600" * 3),
        (constrain.regex("a{2}") + "bc" + constrain.choice(["d", ""]), "aabcd"),
        (constrain.regex("(ab){1,4}").repeat(0, 2), "ab" * 8),
    ],
    ids=str,
)
def test_texts_without_repetition_have_their_length(
    grammar: constrain.Grammar, longest: str
) -> None:
    constrain.check(grammar, longest)
    assert most_bytes(grammar) == len(longest.encode())


@pytest.mark.parametrize(
    ("schema", "longest"),
    [
        ({"type": "boolean"}, "false"),
        ({"enum": ["x", None, "yyy"]}, '"yyy"'),
        ({"type": "string", "maxLength": 2}, '"\\u0000\\u0001"'),
        ({"type": "string", "maxLength": 2}, '"\U0001f600\U0001f600"'),
        ({"type": "integer", "minimum": -10, "maximum": 99}, "-10"),
        (RECORD, '{"a": "yy", "b": false}'),
        ({"type": "array", "items": {"enum": ["xx"]}, "maxItems": 3}, '["xx", "xx", "xx"]'),
        ({"type": "array", "prefixItems": [RECORD], "items": False}, '[{"a": "yy"}]'),
        ({"anyOf": [RECORD, {"type": "null"}]}, '{"a": "x", "b": true}'),
    ],
    ids=str,
)
@pytest.mark.parametrize("escapes", ["minimal", "any"])
@pytest.mark.parametrize("whitespace", ["compact", "spaced"])
def test_json_that_ends_is_bounded(
    schema: Any, longest: str, escapes: Any, whitespace: Any
) -> None:
    grammar = constrain.json_schema(schema, whitespace, escapes=escapes)
    text = longest.replace(" ", "") if whitespace == "compact" else longest
    constrain.check(grammar, text)
    bound = most_bytes(grammar)
    assert bound is not None
    assert len(text.encode()) <= bound <= 6 * len(text.encode()) + 16


def test_every_escape_counts() -> None:
    grammar = constrain.json_schema({"enum": ["a\U0001f600"]}, "compact", escapes="any")
    text = '"\\u0061\\ud83d\\ude00"'
    constrain.check(grammar, text)
    bound = most_bytes(grammar)
    assert bound is not None
    assert bound >= len(text)


@pytest.mark.parametrize(
    "grammar",
    [
        constrain.regex("a*"),
        constrain.text(stop="."),
        constrain.json_schema(True, "compact"),
        constrain.json_schema({"type": "object"}, "compact"),
        constrain.json_schema({"type": "array", "items": {"const": 1}}, "spaced"),
        constrain.json_schema({"type": "number"}, "spaced"),
        constrain.json_schema({"type": "boolean"}, "flexible"),
        constrain.json_schema(
            {"properties": {"a": {"$ref": "#"}}, "type": ["object", "null"], **CLOSED}, "spaced"
        ),
        ir.Grammar(ir.Rule("r"), {"r": ir.Choice((ir.Literal("a"), ir.Rule("r")))}),
        ir.Grammar(ir.Complement(ir.Literal("a"))),
    ],
    ids=str,
)
def test_what_need_not_end_has_no_bound(grammar: constrain.Grammar) -> None:
    assert most_bytes(grammar) is None


def test_deep_nodes_are_no_trouble() -> None:
    node: ir.Node = ir.Literal("a")
    for _ in range(5000):
        node = ir.Sequence((node,))
    assert most_bytes(ir.Grammar(node)) is None
    wide: ir.Node = ir.Literal("a")
    for _ in range(50):  # 2^50 paths through the same nodes
        wide = ir.Sequence((wide, wide))
    assert most_bytes(ir.Grammar(wide)) == 2**50
