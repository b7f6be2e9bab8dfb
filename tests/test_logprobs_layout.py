"""White space that is a choice counts for no value: outputs made by hand, and the definitions.

Confidences are products of the probabilities that the tokens were given; where alternatives
differ from a token in layout alone, theirs are added to it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.logprobs.layout import Layout, beginning, content, meaning
from constrain.logprobs.replay import Replay
from tests.logprobs_by_hand import alternative, result_of, runners_up, token
from tests.schema_strategies import json_values

if TYPE_CHECKING:
    from constrain.driver.result import Step
    from constrain.grammar.ir import Whitespace

RECORD = {
    "type": "object",
    "properties": {
        "city": {"const": "Paris"},
        "kind": {"enum": ["A", "B"]},
        "n": {"const": 7},
        "list": {"const": [1, {"a": None}]},
    },
    "required": ["city", "kind", "n", "list"],
    "additionalProperties": False,
}
LAYOUTS: list[tuple[Whitespace, str]] = [
    ("bounded", '{\n  "city": "Paris","kind":"B",\n  "n": 7, "list":[1, {"a":null}\n  ]\n}'),
    ("bounded", '{"city":"Paris","kind": "B","n":7,"list": [\n    1,\n    { "a": null } ] }'),
    (
        "flexible",
        '\t{ "city"\n: "Paris" ,"kind" :"B","n"\r\n:7 ,"list":[ 1 ,{"a" :null}] } \n ',
    ),
    ("flexible", '{"city":"Paris","kind":"B","n":7,"list":[1,{"a":null}]}'),
]


def cut(text: str, ends: list[int]) -> list[Step]:
    """Tokens that end at these characters, each sampled with probability 1/2."""
    places = sorted({0, len(text), *ends})
    return [token(text[start:end], 0.5) for start, end in pairwise(places)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LAYOUTS), st.data())
def test_a_constant_is_certain_whatever_its_layout_and_its_tokens(
    layout: tuple[Whitespace, str], data: st.DataObject
) -> None:
    whitespace, text = layout
    ends = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
    # The token that decides "B" may begin or end in a neighbour, and counts there too.
    b = text.index('B"')
    steps = cut(text, [*ends, b, b + 1])
    result = result_of(constrain.json_schema(RECORD, whitespace=whitespace), *steps)
    for path in ("$.city", "$.n", "$.list", "$.list[0]", "$.list[1]", "$.list[1].a"):
        field = result.field(path)
        assert (field.confidence, field.n_tokens, field.decided_at) == (1.0, 0, None)
        assert (field.lowest, field.entropy, field.runners_up) == (1.0, 0.0, ())
    # B was decided by its own token; the one before it could have been longer, unless it is
    # white space alone.
    before = steps[[step.data for step in steps].index(b"B") - 1]
    n_tokens = 1 if not before.data.strip() else 2
    assert result.field("$.kind").n_tokens == result.field("$").n_tokens == n_tokens


def test_layout_tokens_fall_out_and_the_real_runner_up_is_there() -> None:
    # The figures of a record by SmolLM2: one space or none after the colon, then A or B.
    result = result_of(
        constrain.json_schema(RECORD, whitespace="bounded"),
        token('{"city": "Paris","kind'),
        token('":', 0.8085, alternative('": ', 0.1)),
        token('"', 0.1422, alternative(' "', 0.807), alternative('"A', 0.02)),
        token("B", 0.4375, alternative("A", 0.562)),
        token('","n":'),
        token("7", 0.3777, alternative(" ", 0.6)),
        token(',"list":[1,{"a":null}]}'),
    )
    kind = result.field("$.kind")
    assert kind.confidence == pytest.approx((0.1422 + 0.807) * 0.4375)
    assert (kind.n_tokens, kind.decided_at) == (2, 3)
    assert kind.lowest == pytest.approx(0.4375)
    assert runners_up(kind) == (('"A"', True, 0.562),)
    assert result.confidence("$.n") == 1
    assert result.confidence() == pytest.approx(kind.confidence)  # no layout in "$" either


def test_tokens_that_differ_in_layout_alone_count_as_one() -> None:
    others = [
        *(alternative('"A', 0.125), alternative('\n  "B', 0.25), alternative(' "A', 0.0625)),
        alternative(" ", 0.0625),
        alternative("x", None),
    ]
    grammar = constrain.json_schema(
        {"type": "array", "items": {"enum": ["A", "B"]}, "minItems": 1, "maxItems": 1},
        whitespace="bounded",
    )
    result = result_of(grammar, token("["), token(' "B', 0.25, *others), token('"]'))
    item = result.field("$[0]")
    assert item.confidence == item.lowest == pytest.approx(0.25 + 0.25)
    assert runners_up(item) == (('"A"', True, 0.1875),)
    # Nothing noted: the share of the layout stays in.
    unmeasured = result_of(grammar, token("["), token(' "B', 0.25), token('"]'))
    assert unmeasured.confidence("$[0]") == pytest.approx(0.25)


def test_white_space_that_rules_out_content_counts() -> None:
    schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}}
    flexible = result_of(
        constrain.json_schema(schema, whitespace="flexible"), token("["), token("4", 0.5),
        token(" ", 0.25, alternative("\n", 0.25), alternative(",", 0.25)), token("]", 0.5),
    )  # fmt: skip
    # The space ended the number, as a newline would have, but not the array.
    assert flexible.confidence("$[0]") == pytest.approx(0.5 * (0.25 + 0.25))
    assert flexible.confidence("$") == pytest.approx(0.5 * 0.5 * 0.5)
    bounded = result_of(
        constrain.json_schema({"type": "array", "items": {"enum": ["a"]}},
                              whitespace="bounded"),
        token('["a"', 0.75), token("\n  ", 0.25, alternative(" ", 0.125)), token("]", 0.5),
    )  # fmt: skip
    # White space before a comma is not of this form, so it ended the array; `]` was certain.
    assert bounded.confidence("$") == pytest.approx(0.75 * (0.25 + 0.125))
    assert bounded.confidence("$[0]") == pytest.approx(0.75)  # rather than `[]`


def test_a_token_of_layout_alone_counts_for_nothing() -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}}
    whitespace: Whitespace
    for whitespace in ("bounded", "flexible"):
        result = result_of(
            constrain.json_schema(schema, whitespace=whitespace), token("[", 0.5),
            token("\n  ", 0.25, alternative("]", 0.5), alternative("1", 0.25)),
            token("1", 0.125), token("]", 0.75),
        )  # fmt: skip
        assert result.confidence("$[0]") == pytest.approx(0.125)
        assert result.confidence("$") == pytest.approx(0.125 * 0.75)
    # Where the white space is certain, it was chosen over longer tokens, as other forced text.
    spaced = constrain.json_schema({"enum": [{"a": 1}, {"a": 2}]}, whitespace="spaced")
    result = result_of(spaced, token('{"a":'), token(" ", 0.25), token("1", 0.5), token("}"))
    assert result.confidence("$.a") == pytest.approx(0.25 * 0.5)


def test_white_space_that_ends_a_number_is_more_than_layout() -> None:
    grammar = constrain.json_schema({"type": "integer"}, whitespace="flexible")
    others = alternative("4", 0.5), alternative(" 4\t", 0.125)
    result = result_of(grammar, token("4 ", 0.25, *others))
    assert result.confidence() == pytest.approx(0.25 + 0.125)  # 4 alone may become 42


def test_the_end_against_white_space_is_layout() -> None:
    grammar = constrain.json_schema({"enum": [1, 2]}, whitespace="flexible")
    others = alternative(" ", 0.5), alternative("\n", 0.125)
    end = token("</s>", 0.25, *others)
    result = result_of(grammar, token("1", 0.5, alternative("2", 0.5)), end=end)
    assert result.confidence() == pytest.approx(0.5)
    assert runners_up(result.field("$")) == (("2", True, 0.5),)
    # After 1 of any integer the end decided: against 10 to 19, not against white space.
    integer = constrain.json_schema({"type": "integer"}, whitespace="flexible")
    result = result_of(integer, token("1", 0.5), end=end)
    assert result.confidence() == pytest.approx(0.5 * (0.25 + 0.5 + 0.125))


def test_white_space_inside_strings_is_content() -> None:
    grammar = constrain.json_schema({"enum": ["a b", "a  c"]}, whitespace="flexible")
    others = alternative("  ", 0.25), alternative(" b", 0.125)
    result = result_of(grammar, token('"a', 0.5), token(" ", 0.5, *others), token('b"', 0.5))
    # The one space was forced and chosen over two; only then came the b.
    assert result.confidence() == pytest.approx(0.25)


@pytest.mark.parametrize("escapes", ["minimal", "any"])
def test_a_runner_up_is_never_the_same_value_spelled_otherwise(escapes: Any) -> None:
    grammar = constrain.json_schema(
        {"enum": ['"b', '"c']}, escapes=escapes, whitespace="compact"
    )
    same = [alternative('\\u0022b"', 0.125), alternative("\\u0022", 0.125)]
    others = [*same, alternative('\\u0022c"', 0.25)]
    result = result_of(grammar, token('"'), token('\\"b"', 0.5, *others))
    assert runners_up(result.field("$")) == (('"\\u0022c"', True, 0.25),)
    # It is the probability of the text, the spelling of its escapes included.
    assert result.confidence() == pytest.approx(0.5)


def test_equal_numbers_are_the_same_value() -> None:
    schema = {"type": "array", "items": {"type": "number"}}
    # Of these the first two are 40, once the comma shows that they are whole.
    others = [alternative("40.0,", 0.25), alternative("4E1,", 0.125), alternative("41,", 0.125)]
    result = result_of(
        constrain.json_schema(schema, whitespace="compact"), token("["),
        token("40,", 0.5, *others), token("1]"),
    )  # fmt: skip
    assert runners_up(result.field("$[0]")) == (("41", True, 0.125),)


SAME = [
    ('"a\\u0062"', '"ab"'),
    ('"\\ud83d\\ude00\\/"', '"😀/"'),
    ("1.0", "1"),
    ("-0", "0.00e5"),
    ("1200", "12e2"),
    ("0.0012", "1.2E-3"),
    ('{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}'),
    (" [ ]\n", "[]"),
]
DIFFERENT = [
    ("1", "true"),
    ("0", "false"),
    ("1", '"1"'),
    ("0.1", "0.10000000000000000001"),
    ("-1", "1"),
    ("[1,2]", "[2,1]"),
    ('" "', '""'),
    ("\"{'a': 1e0}\"", '{"a": 1}'),
    ("1e99999999999999999999", "1e99999999999999999998"),
    ("12", "120"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_the_same_value_has_the_same_meaning(one: str, other: str) -> None:
    assert meaning(one.encode()) == meaning(other.encode())


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_another_value_has_another_meaning(one: str, other: str) -> None:
    assert meaning(one.encode()) != meaning(other.encode())


def test_depth_is_no_error() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert meaning(deep) == meaning(deep + b" ") != meaning(b"[" + deep + b"]")


def test_a_piece_of_a_string_is_read_as_one() -> None:
    text = rb'{"a \" : b" : [ " \\" , " \" \\ " ] }'
    compact = json.dumps(json.loads(text), separators=(",", ":")).encode()
    layout = Layout(text, 0, len(text) + 1)
    for at in range(len(text) + 1):
        assert content(text[:at]) + content(text[at:], layout.lead(at)) == compact


FORMS = st.sampled_from([
    {"separators": (",", ":")}, {"indent": 1}, {"separators": (" ,\t", " :\r\n")},
    {"ensure_ascii": False, "indent": 3},
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(json_values(), FORMS, FORMS, st.data())
def test_content_and_beginning_against_the_json_module(
    value: Any, form: dict[str, Any], other: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(value, **form).encode()
    ascii_only = form.get("ensure_ascii", True)
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    assert content(text) == compact
    decoded = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    assert beginning(text) == decoded
    assert meaning(text) == meaning(json.dumps(value, **other).encode())
    at = data.draw(st.integers(0, len(text)))
    assert decoded.startswith(beginning(text[:at]))
    # Taken apart anywhere, the rest is read as what it is in the whole.
    layout = Layout(text, 0, len(text) + 1)
    assert content(text[:at]) + content(text[at:], layout.lead(at)) == compact
    kept = np.frombuffer(text, np.uint8)[~layout.white].tobytes()
    assert kept == compact


@settings(max_examples=100, deadline=None)
@given(json_values(), FORMS)
def test_forms_without_a_choice_have_no_layout(value: Any, form: dict[str, Any]) -> None:
    """There every choice is one of content."""
    whitespace: Whitespace
    for whitespace, separators in (("compact", (",", ":")), ("spaced", (", ", ": "))):
        text = json.dumps(value, separators=separators, ensure_ascii=False).encode()
        replay = Replay(constrain.json_schema(True, whitespace=whitespace), text)
        layout = Layout(text, 0, len(text) + 1)
        assert (replay.decided(layout) == replay.decided(Layout(text, 0, 0))).all()
    # And of white space anywhere, what is decided is what would be without it.
    text = json.dumps(value, **form).encode()
    layout = Layout(text, 0, len(text) + 1)
    any_form = constrain.json_schema(True, whitespace="flexible", escapes="any")
    free = Replay(any_form, text)
    found = free.decided(layout)[:-1][~layout.white]
    compact = content(text)
    bare_form = constrain.json_schema(True, whitespace="compact", escapes="any")
    bare = Replay(bare_form, compact).decided(Layout(compact, 0, 0))[:-1]
    # But white space ends a number, so that the mark after it no longer does.
    after_white = np.concatenate([[False], layout.white[:-1]])[~layout.white]
    assert (found[~after_white] == bare[~after_white]).all()
    assert not (found & ~bare).any()
