"""Which tokens count for a value, and what else it could have been: outputs made by hand."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.driver.result import Step
from constrain.errors import ConstrainError, UnknownPathError
from constrain.logprobs.layout import Layout
from constrain.logprobs.replay import Replay
from tests.logprobs_by_hand import alternative, result_of, runners_up, token
from tests.schema_strategies import json_values

if TYPE_CHECKING:
    from constrain.driver.result import Result
    from constrain.grammar.ir import Grammar
    from constrain.logprobs import Field

ITEM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "size": {"enum": ["small", "medium", "large", "smart"]},
    },
    "required": ["name", "age", "size"],
    "additionalProperties": False,
}


def spaced(schema: object) -> Grammar:
    return constrain.json_schema(schema, whitespace="spaced")


@pytest.fixture
def record() -> Result:
    return result_of(
        spaced(ITEM),
        token('{"name":'),
        token(' "', 0.9),  # forced text, chosen over tokens such as ' "A'
        token("Ad", 0.5),
        token("a", 0.8),
        token('",', 0.25),  # chose the end of the name; the comma was forced
        token(' "age": '),
        token("4", 0.6),
        token(",", 0.7),  # chose that the number is not 42
        token(' "size": "'),
        token("la", 0.125, alternative("sm", 0.5), alternative("m", 0.375)),
        token('rge"}'),
    )


def test_a_value_has_the_joint_probability_of_its_tokens(record: Result) -> None:
    name, age, size = 0.9 * 0.5 * 0.8 * 0.25, 0.6 * 0.7, 0.125
    assert record.confidence("$.name") == pytest.approx(name)
    assert record.confidence("$.age") == pytest.approx(age)
    assert record.confidence("$.size") == pytest.approx(size)
    assert record.confidence() == record.confidence("$") == pytest.approx(name * age * size)
    assert [f.n_tokens for f in record.fields()] == [7, 4, 2, 1]


def test_the_lowest_token_decides(record: Result) -> None:
    fields = {f.path: f for f in record.fields()}
    lowest = {path: f.lowest for path, f in fields.items()}
    assert lowest == pytest.approx({"$": 0.125, "$.name": 0.25, "$.age": 0.6, "$.size": 0.125})
    assert [f.decided_at for f in fields.values()] == [9, 4, 6, 9]
    # `token` made the entropy 10 times the probability
    assert [f.entropy for f in fields.values()] == pytest.approx([1.25, 2.5, 6.0, 1.25])


def test_of_equally_improbable_tokens_the_first_decides() -> None:
    result = result_of(
        spaced({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2}),
        token('["'),
        token("a", 0.25, alternative("b", 0.75)),
        token('", "'),
        token("b", 0.25, alternative("a", 0.75)),
        token('"]'),
    )
    assert result.field("$").decided_at == 1
    assert runners_up(result.field("$")) == (('["b", "', False, 0.75),)
    assert [result.field(path).decided_at for path in ("$[0]", "$[1]")] == [1, 3]


def test_fields_say_where_and_what_they_are(record: Result) -> None:
    for field in record.fields():
        assert record.text.encode()[field.start : field.end].decode() == field.text
        assert json.loads(field.text) == field.value
    assert [f.path for f in record.fields()] == ["$", "$.name", "$.age", "$.size"]
    assert [f.value for f in record.fields()][1:] == ["Ada", 4, "large"]
    assert [f.is_leaf for f in record.fields()] == [False, True, True, True]


def test_runners_up_of_a_choice_are_whole_values_where_they_are_determined(
    record: Result,
) -> None:
    # 'sm' may become small or smart, which have the next letter in common; 'm' only medium
    size = record.field("$.size")
    assert runners_up(size) == (
        ('"sma', False, 0.5),
        ('"medium"', True, 0.375),
    )


def test_tokens_that_lead_to_the_same_value_are_added_up() -> None:
    forbidden = alternative("x", None)
    others = [alternative("y", 0.25), alternative("ye", 0.125), alternative("no", 0.5)]
    same = [alternative("n", 0.015), alternative("nil", 0.01)]
    grammar = spaced({"enum": ["yes", "no", "nil"]})
    result = result_of(
        grammar, token('"'), token("ni", 0.1, *others, *same, forbidden),
        token('l"'),
    )  # fmt: skip
    # 'n' and 'nil' lead to "nil" as well, which is no other value
    assert runners_up(result.field("$")) == (
        ('"no"', True, 0.5),
        ('"yes"', True, 0.375),
    )


def test_a_number_is_whole_where_no_digit_may_follow() -> None:
    grammar = spaced({"type": "array", "items": {"enum": [1, 2, 33, 34]}, "maxItems": 5})
    other = [alternative("2", 0.25), alternative("3", 0.125)]
    result = result_of(
        grammar, token("["), token("1", 0.5, *other), token("]", 0.5, alternative(",", 0.5))
    )
    [one] = [f for f in result.fields() if f.path == "$[0]"]
    assert runners_up(one) == (
        ("2", True, 0.25),
        ("3", False, 0.125),
    )
    # After 1 no digit could come: the bracket decided about the array alone.
    assert result.confidence("$[0]") == pytest.approx(0.5)
    assert result.confidence("$") == pytest.approx(0.25)


def test_the_end_of_a_number_is_a_runner_up() -> None:
    schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}}
    result = result_of(
        spaced(schema), token("["), token("4", 0.9), token("2", 0.2, alternative("]", 0.7)),
        token("]", 0.5),
    )  # fmt: skip
    assert runners_up(result.field("$[0]")) == (("4", True, 0.7),)


def test_a_token_over_a_border_counts_on_both_sides_where_it_decides() -> None:
    # '","b' ends the first string (a choice), and begins the second
    grammar = constrain.json_schema(
        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
        whitespace="compact",
    )
    result = result_of(grammar, token('["'), token('a","b', 0.25), token('"]', 0.5))
    assert result.confidence("$[0]") == pytest.approx(0.25)
    assert result.confidence("$[1]") == pytest.approx(0.125)
    assert result.confidence("$") == pytest.approx(0.125)


def test_an_alternative_that_changes_what_precedes_is_no_other_value() -> None:
    grammar = constrain.json_schema(
        {"type": "object", "properties": {"a": {"enum": [1, 2]}, "b": {"enum": [1, 2]}}},
        whitespace="compact",
    )
    others = [alternative('b":1', 0.3), alternative('a":2', 0.2)]
    result = result_of(grammar, token('{"'), token('a":1', 0.5, *others), token("}", 0.9))
    assert runners_up(result.field("$.a")) == (("2", True, 0.2),)


def test_no_value_at_all_and_white_space_are_no_other_value() -> None:
    schema = {"type": "array", "items": {"type": "boolean"}}
    others = [alternative("]", 0.1), alternative("\n  true", 0.1), alternative("\n  ", 0.1),
              alternative("\n  false", 0.1), alternative("\n ", 0.1)]  # fmt: skip
    result = result_of(
        constrain.json_schema(schema, whitespace="bounded"), token("[", 0.9),
        token("true", 0.1, *others), token("]", 0.9),
    )  # fmt: skip
    assert runners_up(result.field("$[0]")) == (("false", True, 0.1),)


def test_keys_count_for_the_object_and_not_for_their_value() -> None:
    grammar = constrain.json_schema(
        {"type": "object", "additionalProperties": {"enum": [1, 2]}}, whitespace="compact"
    )
    result = result_of(grammar, token('{"', 0.9), token("key", 0.5), token('":', 0.5),
                       token("1", 0.75), token("}", 0.9))  # fmt: skip
    key = 0.9 * 0.5 * 0.5
    assert result.confidence("$.key") == pytest.approx(0.75)
    assert result.confidence("$") == pytest.approx(key * 0.75 * 0.9)


def test_forced_tokens_count_for_nothing() -> None:
    result = result_of(spaced({"const": {"a": [1, "x"]}}), token('{"a": [1, "x"]}'))
    for field in result.fields():
        assert (field.confidence, field.lowest, field.n_tokens) == (1.0, 1.0, 0)
        assert (field.entropy, field.decided_at, field.runners_up) == (0.0, None, ())


def test_sampled_spellings_of_forced_text_count_for_nothing() -> None:
    # as faithful sampling does: nothing is forced, and `na` + `me` was one way of several
    steps = [token('{"', 0.5), token("na", 0.1), token('me": ', 0.5), token("true", 0.5),
             token("}", 0.9)]  # fmt: skip
    grammar = spaced({
        "type": "object", "properties": {"name": {"type": "boolean"}}, "required": ["name"],
        "additionalProperties": False,
    })  # fmt: skip
    # only 'me": ' stands where a longer token would have decided
    assert result_of(grammar, *steps).confidence("$.name") == pytest.approx(0.25)


def test_other_text_is_one_field() -> None:
    grammar = constrain.choice(["yes", "no", "nor"])
    others = [alternative("y", 0.25), alternative("</s>", 0.5, ends=True)]
    result = result_of(grammar, token("no", 0.5), token("r", 0.25, *others[1:]))
    [field] = result.fields()
    assert (field.path, field.value, field.is_json) == ("$", "nor", False)
    assert field.confidence == pytest.approx(0.125)
    assert runners_up(field) == (("no", True, 0.5),)
    first = result_of(grammar, token("no", 0.5, *others[:1]), end=token("</s>", 0.9))
    assert first.confidence() == pytest.approx(0.45)
    assert runners_up(first.field("$")) == (("yes", True, 0.25),)


def test_text_without_a_grammar_counts_every_token_and_the_end() -> None:
    result = result_of(None, token("a", 0.5), token("é", 0.5), end=token("</s>", 0.5))
    assert result.confidence("$") == pytest.approx(0.125)
    assert result.field("$").text == "aé"


def test_a_cancelled_output_has_the_fields_that_are_complete() -> None:
    result = result_of(spaced(ITEM), token('{"name": "'), token("A", 0.5), token('",', 0.5),
                       token(' "age": '), token("4", 0.5), cancelled=True)  # fmt: skip
    assert [f.path for f in result.fields()] == ["$.name"]
    assert result.confidence("$.name") == pytest.approx(0.25)
    with pytest.raises(UnknownPathError, match="cancelled"):
        result.confidence("$.age")


@pytest.mark.parametrize("spelling", ["$.name", '$["name"]', "$['name']"])
def test_both_spellings_of_a_path_are_taken(record: Result, spelling: str) -> None:
    assert record.field(spelling).value == "Ada"


def test_an_unknown_path_names_near_ones(record: Result) -> None:
    with pytest.raises(UnknownPathError) as caught:
        record.confidence("$.nmae")
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, ConstrainError)
    assert caught.value.near[0] == "$.name"
    assert str(caught.value).startswith("the output has no value at '$.nmae'; there is $.name")
    with pytest.raises(UnknownPathError, match="begin with"):
        record.field("name")


def test_numbers_of_any_length_are_read() -> None:
    digits = "1" * 5000
    result = result_of(spaced({"type": "integer"}), token(digits, 0.5))
    assert str(result.field("$").text) == digits
    assert result.field("$").value == result.value


@settings(max_examples=150, deadline=None)
@given(json_values(), st.data())
def test_any_tokens_of_any_json_give_its_values_and_probabilities(
    value: Any, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=False)
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=9))})
    steps = []
    for start, end in pairwise(cuts):
        p = data.draw(st.sampled_from([None, 0.5, 0.25]))
        step = token("", p)
        steps.append(
            Step(
                **{name: getattr(step, name) for name in step.__slots__}
                | {"data": raw[start:end]}
            )
        )
    grammar = spaced(True)
    fields = result_of(grammar, *steps).fields()
    assert fields[0].path == "$"
    assert fields[0].value == value
    for field in fields:
        assert json.loads(raw[field.start : field.end]) == field.value
        assert 0 <= field.confidence <= field.lowest <= 1
        # what is inside is a part of it
        assert fields[0].logprob <= field.logprob + 1e-12
    check_against_definition(fields, steps, Replay(grammar, raw), raw)


def check_against_definition(
    fields: tuple[Field, ...], steps: list[Step], replay: Replay, raw: bytes
) -> None:
    """The module's rule, byte by byte."""
    decided = replay.decided(Layout(raw, 0, 0))  # no choice is one of layout
    for field in fields[1:]:
        own = set(range(field.start, field.end))
        is_number = field.text[-1].isdigit() and field.text[0] not in '"{['
        if is_number and replay.number_goes_on(field.end):
            own.add(field.end)
        total, at = 0.0, 0
        for step in steps:
            mine = {i for i in range(at, at + len(step.data)) if decided[i]}
            at += len(step.data)
            if not mine and decided[at]:
                mine = {at}
            if not step.forced and mine & own:
                total += step.masked_logprob
        assert field.logprob == pytest.approx(total)
