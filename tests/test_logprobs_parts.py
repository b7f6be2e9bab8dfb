"""Fields of one JSON text that stands in other text: where it begins must be sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import constrain
from constrain.errors import UnknownPathError
from constrain.logprobs.json_part import json_part
from tests.logprobs_by_hand import alternative, result_of, runners_up, token

if TYPE_CHECKING:
    from constrain.grammar.ir import Grammar

RECORD = {
    "type": "object",
    "properties": {"a": {"enum": [1, 2]}, "b": {"enum": ["x", "y z"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
JSON = constrain.json_schema(RECORD, whitespace="bounded")
ANY = constrain.json_schema(True, whitespace="flexible")
THOUGHT = constrain.text(stop="JSON: ", max_chars=30)


def test_reasoning_and_then_json_has_fields() -> None:
    result = result_of(
        THOUGHT + JSON,
        token("é {1} ", 0.5, alternative("No ", 0.25)),
        token("JSON", 0.5),
        token(": {", 0.5, alternative(':{"a', 0.25)),
        token('"a":'),
        token("1", 0.25, alternative(" 1", 0.25), alternative(" 2", 0.375),
              alternative("2", 0.125)),
        token(', "b":"'),
        token("x", 0.75, alternative("y", 0.25)),
        token('"}'),
    )  # fmt: skip
    assert [f.path for f in result.fields()] == ["$", "$.a", "$.b"]
    whole, a, b = result.fields()
    assert (whole.text, whole.value, whole.is_json, whole.is_leaf) == (
        result.text, result.text, False, False,
    )  # fmt: skip
    assert (a.value, a.is_json, a.is_leaf) == (1, True, True)
    assert a.confidence == pytest.approx(0.25 + 0.25)
    assert runners_up(a) == (("2", True, 0.5),)
    assert b.value == "x"
    assert b.confidence == pytest.approx(0.75)
    assert runners_up(b) == (('"y z"', True, 0.25),)
    data = result.text.encode()
    assert data[b.start : b.end] == b'"x"'
    # White space in the text counts, that of the JSON does not.
    assert whole.confidence == pytest.approx(0.5 * 0.5 * 0.5 * 0.5 * 0.75)


def test_text_around_it_is_told_from_it() -> None:
    grammar = "```json\n" + JSON + constrain.choice(["\n```", " ```"])
    result = result_of(
        grammar,
        token('```json\n{"a":'),
        token("2", 0.5),
        token(',"b":"x"'),
        token("}\n", 0.25, alternative("} ", 0.25), alternative("}", 0.25)),
        token("```"),
    )
    assert result.confidence("$.a") == pytest.approx(0.5)
    assert result.confidence("$.b") == 1
    assert result.confidence("$") == pytest.approx(0.5 * 0.25)  # the line end is no layout
    assert result.field("$.b").text == '"x"'


PLACES: list[tuple[Grammar, str, int | None]] = [
    (THOUGHT + ANY, 'a {"JSON: {"b": [1]}', 10),
    (THOUGHT + ANY, 'JSON:  \n ["JSON: "]', 9),  # white space belongs to the JSON text
    (constrain.choice(["a", "a[1]", "b"]) + ANY, "a[1][2]", 4),
    (constrain.choice(["a", "a["]) + ANY, "a[[1]]", 1),
    (constrain.regex(r"\s*") + ANY, "  [1]", 2),  # whoever has the spaces
    (constrain.regex(r"[^{]*") + ANY + "!", "Well: {}!", 6),
    (ANY + "!", "[1]!", 0),
    ((ANY | JSON) + "!", "[1]!", 0),
    # Not sure: the text may end in several places, or there is no place or no one text.
    (constrain.regex(r"(\[1\])*") + ANY + constrain.regex(r"(\[1\])*"), "[1][1]", None),
    (constrain.text(max_chars=9) + constrain.json_schema({}) + constrain.text(), "[[1]]", None),
    (ANY + " " + ANY, "[1] [2]", None),
    (ANY.repeat(1, 3), "[1]", None),
    (("a" + ANY | "b" + ANY) + "!", "a[1]!", None),
    (constrain.text(), "[1]", None),
    (THOUGHT + ANY, "JSON: 12", None),  # no object or array
    (constrain.text() + ANY, "[" * 70 + "]" * 70, None),  # too many places to try
]


@pytest.mark.parametrize(("grammar", "text", "start"), PLACES, ids=lambda x: str(x)[-24:])
def test_where_the_json_text_begins(grammar: Grammar, text: str, start: int | None) -> None:
    constrain.check(grammar, text)
    found = json_part(grammar, text.encode(), partial=False)
    assert (None if found is None else found.start) == start
    paths = [f.path for f in result_of(grammar, token(text, 0.5)).fields()]
    assert (len(paths) == 1) == (start is None or text[start:].startswith("{}"))
    assert paths[0] == "$"


def test_a_cancelled_output_has_the_fields_of_its_json_that_are_complete() -> None:
    steps = [token("Well. JSON: ", 0.5), token('{"a":', 0.5), token('1,"b"', 0.5)]
    result = result_of(THOUGHT + JSON, *steps, cancelled=True)
    assert [f.path for f in result.fields()] == ["$", "$.a"]
    thinking = result_of(THOUGHT + JSON, token("Well. ", 0.5), cancelled=True)
    assert [f.path for f in thinking.fields()] == ["$"]


def test_the_error_says_that_the_output_is_no_json() -> None:
    result = result_of(constrain.choice(["yes", "no"]), token("yes", 0.5))
    with pytest.raises(UnknownPathError, match="a text without one JSON object"):
        result.confidence("$.a")
    with pytest.raises(UnknownPathError, match=r"no value at '\$\.c'; there is \$\.b"):
        result_of(THOUGHT + JSON, token('JSON: {"a":1,"b":"x"}', 0.5)).field("$.c")


def test_no_control_character_is_in_a_path_or_in_its_error() -> None:
    key = "a\u009b2J\u202eb\x7f\u3000"
    schema = {"type": "object", "properties": {key: {"const": 1}, "b\u2067": {"const": 2}}}
    text = '{"' + key + '":1,"b\u2067":2}'
    result = result_of(constrain.json_schema(schema, whitespace="compact"), token(text, 0.5))
    paths = [f.path for f in result.fields()]
    assert paths == ["$", r'$["a\u009b2J\u202eb\u007f\u3000"]', r'$["b\u2067"]']
    for field in result.fields():  # what is shown is a path
        assert result.field(field.path) == field
    assert result.field(f'$["{key}"]').value == 1
    assert result.field("$.b\u2067").value == 2
    for wrong in ('$["a\u009b\u202eb"]', "$.\u202e", "\u202e$", '$["a"]\u009b'):
        with pytest.raises(UnknownPathError) as caught:
            result.field(wrong)
        assert str(caught.value).isprintable()
