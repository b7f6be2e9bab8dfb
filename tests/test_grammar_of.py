"""What a schema or a type stands for when it is given as it is."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import pytest

import constrain
from constrain.driver.grammars import GrammarCache
from constrain.grammar.ir import JsonForm, JsonText, Whitespace
from tests.vocabularies import vocabulary_of, with_end

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"type": "array"}},
    "additionalProperties": False,
}
TIGHT = '{"ok":true,"n":[1,2]}'
SPACED = '{"ok": true, "n": [1, 2]}'
MIXED = '{"ok": true,"n":[1, 2]}'


@dataclass
class Answer:
    ok: bool
    n: list[int]


def accepts(grammar: constrain.Grammar, text: str) -> bool:
    try:
        constrain.check(grammar, text)
    except constrain.TokenRejectedError:
        return False
    return True


@pytest.mark.parametrize(
    "source",
    [SCHEMA, MappingProxyType(SCHEMA), Answer, True, '{"type": "object"}'],
    ids=["dict", "mapping", "type", "bool", "text"],
)
def test_a_bare_schema_or_type_has_one_layout(source: object) -> None:
    grammar = constrain.as_grammar(source)
    assert [accepts(grammar, text) for text in (TIGHT, SPACED, MIXED)] == [False, True, False]


def test_the_layout_of_a_bare_schema_can_be_named() -> None:
    grammar = constrain.as_grammar(SCHEMA, whitespace="bounded")
    assert grammar == constrain.json_schema(SCHEMA)
    assert [accepts(grammar, text) for text in (TIGHT, SPACED, MIXED)] == [True, True, True]


def test_a_grammar_keeps_its_own_form() -> None:
    for grammar in (constrain.json_schema(SCHEMA, "compact"), constrain.choice(["a"])):
        assert constrain.as_grammar(grammar) is grammar


def test_generate_compiles_a_bare_schema_in_one_layout_and_a_grammar_as_it_is() -> None:
    letters = [bytes([byte]) for byte in range(256)]
    cache = GrammarCache(vocabulary_of(with_end(letters)), constrain.Limits())
    expected: list[tuple[object, Whitespace]] = [
        (SCHEMA, "spaced"),
        (Answer, "spaced"),
        (constrain.json_schema(SCHEMA), "bounded"),
        (constrain.json_schema(Answer, "compact"), "compact"),
    ]
    for source, whitespace in expected:
        root = cache.compiled(source).grammar.root
        assert isinstance(root, JsonText)
        assert root.form == JsonForm(whitespace)


@pytest.mark.parametrize("source", [1, 2.5, b"{}", [1]])
def test_what_is_neither_schema_nor_type_is_refused(source: object) -> None:
    with pytest.raises(constrain.SchemaError, match="a schema is a dict, a bool, JSON text"):
        constrain.as_grammar(source)
