"""`x-weight`: biases add up to the weights of what is chosen, less those of the best."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.schema.weights import spellings

# Every byte alone, and tokens that end one lexeme and begin another.
TOKENS = (
    *(bytes([byte]) for byte in range(0x20, 0x7F)),
    *(
        b"\n",
        b'"a',
        b'"ab"',
        b'"b"',
        b'":',
        b'": "',
        b'":"a',
        b'k":"b',
        b'{"k',
        b'{"k":1',
        b"12",
    ),
    *(b", ", b', "', b',"b', b", 1", b'["a', b"[[1", b'"]', b'", "a', b"null", b"1]", b"2,1"),
    *(b'a","b', b"},{", b'"}', b"\\u00", b"]]", b""),
)
END = len(TOKENS) - 1
VALUES: list[Any] = ["", "a", "b", "ab", "aba", "1", 'q"', 1, 12, 2.5, 0, None, True, False]


def biases(matcher: constrain.Matcher) -> dict[int, float]:
    """The bias of each token that has one."""
    ids, values = matcher.bias()
    assert len(set(ids.tolist())) == len(ids)
    assert matcher.mask()[ids].all()
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


def compiled(schema: Any, **form: Any) -> constrain.CompiledGrammar:
    """The schema's grammar over the tokens above."""
    return constrain.compile(
        constrain.json_schema(schema, **form), constrain.Vocabulary(TOKENS, [END])
    )


def walk(matcher: constrain.Matcher, chance: random.Random) -> tuple[str, float]:
    """A random text, and the sum of the biases on its path."""
    text, total = b"", 0.0
    for _ in range(60):
        allowed = np.flatnonzero(matcher.mask())
        closing = [i for i in allowed if i == END or TOKENS[i][:1] in b"]}"]
        token_id = int(chance.choice(closing if len(text) > 25 and closing else list(allowed)))
        found = biases(matcher)
        best = max(found.get(int(i), 0.0) for i in allowed)
        assert math.isclose(best, 0.0, abs_tol=1e-5), text  # the best is still in reach
        total += found.get(token_id, 0.0)
        matcher.accept(token_id)
        if matcher.is_finished:
            return text.decode(), total
        text += TOKENS[token_id]
    rest = matcher.shortest_completion()
    for byte in rest:
        token_id = TOKENS.index(bytes([byte]))
        total += biases(matcher).get(token_id, 0.0)
        matcher.accept(token_id)
    total += biases(matcher).get(END, 0.0)
    return (text + rest).decode(), total


def scalars(value: Any) -> list[Any]:
    """The scalars in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return [value]
    return [scalar for item in value for scalar in scalars(item)]


def weight_of(value: Any, values: list[Any], weights: list[float]) -> float:
    """The weight of a value; true is not 1."""
    return next(
        w for v, w in zip(values, weights, strict=True) if v == value and type(v) is type(value)
    )


def around(kind: str, schema: Any) -> Any:
    """A schema that holds values of another."""
    return {
        "alone": schema,
        "array": {"type": "array", "items": schema},
        "arrays": {"type": "array", "items": {"type": "array", "items": schema}},
        "object": {"properties": {"k": schema}, "additionalProperties": False},
        "open": {"type": "object", "additionalProperties": schema},
        "both": {
            "type": "array",
            "items": {
                "properties": {"k": schema},
                "required": ["k"],
                "additionalProperties": False,
                "type": "object",
            },
        },
    }[kind]


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.sampled_from(range(len(VALUES))), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(-4, 4), min_size=6, max_size=6),
    st.sampled_from(["alone", "array", "arrays", "object", "open", "both"]),
    st.sampled_from(["compact", "spaced", "bounded", "flexible"]),
    st.randoms(use_true_random=False),
)
def test_biases_along_a_path_add_up_to_the_weights_less_the_best(
    chosen: list[int], weights: list[int], kind: str, whitespace: str, chance: random.Random
) -> None:
    values = [VALUES[i] for i in chosen]
    own = [float(weight) for weight in weights[: len(values)]]
    schema = around(kind, {"enum": values, "x-weight": own})
    if kind == "object":
        schema["type"] = "object"
    text, total = walk(compiled(schema, whitespace=whitespace).matcher(), chance)
    expected = sum(weight_of(v, values, own) - max(own) for v in scalars(json.loads(text)))
    assert math.isclose(total, expected, abs_tol=1e-4), text


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("ab", max_size=4), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-4, 4), min_size=5, max_size=5),
    st.integers(0, 2**32).map(random.Random),
)
def test_the_bias_of_a_byte_is_that_of_the_best_value_it_leads_to(
    values: list[str], weights: list[int], chance: random.Random
) -> None:
    own = [float(weight) for weight in weights[: len(values)]]
    texts = {json.dumps(v): w for v, w in zip(values, own, strict=True)}
    bytes_only = constrain.Vocabulary([*(bytes([b]) for b in range(128)), b""], [128])
    grammar = constrain.json_schema({"enum": values, "x-weight": own}, whitespace="compact")
    matcher = constrain.compile(grammar, bytes_only).matcher()
    prefix = ""
    while prefix not in texts:
        best = max(w for text, w in texts.items() if text.startswith(prefix))
        found = biases(matcher)
        for byte in range(128):
            reached = [w for t, w in texts.items() if t.startswith(prefix + chr(byte))]
            assert matcher.mask()[byte] == bool(reached)
            expected = max(reached) - best if reached else 0.0
            assert math.isclose(found.get(byte, 0.0), expected, abs_tol=1e-5)
        following = {t[len(prefix)] for t in texts if t.startswith(prefix)}
        prefix += chance.choice(sorted(following))
        matcher.accept(ord(prefix[-1]))


def first_biases(schema: Any, *names: str, **form: Any) -> list[float]:
    """Biases of tokens at the beginning."""
    found = biases(compiled(schema, **form).matcher())
    return [round(found.get(TOKENS.index(name.encode()), 0.0), 5) for name in names]


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["a", "b"], "x-weight": {"b": -2}},
        {"enum": ["a", "b"], "x-weight": [1, -1]},
        {"anyOf": [{"const": "a", "x-weight": 2}, {"const": "b"}]},
        {"oneOf": [{"const": "a", "x-weight": 0.5}, {"const": "b", "x-weight": -1.5}]},
        # 1 + 1 against 0, by a reference and by allOf.
        {
            "$defs": {"e": {"enum": ["a", "b"], "x-weight": {"a": 1}}},
            "allOf": [{"$ref": "#/$defs/e"}, {"enum": ["a", "b", "c"], "x-weight": [1, 0, 9]}],
        },
        # The best of both branches that list it: 2 and not -5.
        {"anyOf": [{"enum": ["a", "b"], "x-weight": [-5, 0]}, {"const": "a", "x-weight": 2}]},
        # A string that no branch lists weighs 0; "a" has 2 as a listed value.
        {"anyOf": [{"const": "a", "x-weight": 2}, {"type": "string", "maxLength": 1}]},
        {"anyOf": [{"const": "a", "x-weight": 2}, {"type": "string"}]},
        {"anyOf": [{"const": "a", "x-weight": 2}, {}]},
        {"if": {"type": "string"}, "then": {"enum": ["a", "b"], "x-weight": [0, -2]}},
        {"if": {"type": "number"}, "else": {"enum": ["a", "b"], "x-weight": [1, -1]}},
    ],
)
def test_a_is_two_nats_better_than_b(schema: Any) -> None:
    grammar = compiled(schema, whitespace="compact")
    matcher = grammar.matcher()
    total = 0.0
    for token in (b'"', b"b", b'"'):
        total += biases(matcher).get(TOKENS.index(token), 0.0)
        matcher.accept(TOKENS.index(token))
    assert math.isclose(total, -2.0)


def test_names_are_strings_first_and_json_text_otherwise() -> None:
    # The string "1" is meant, not the number; 2 and null have no such string beside them.
    schema = {"enum": ["1", 1, 2, None], "x-weight": {"1": -1, "2": -2, "null": -3}}
    assert first_biases(schema, '"', "1", "2", "n") == [-1, 0, -2, -3]


@pytest.mark.parametrize("other", [{"type": "number"}, {}])
def test_a_listed_number_has_its_weight_beside_all_numbers(other: Any) -> None:
    # 12 has 3; 1 may still become 12 but weighs 0, and so does 2.
    schema = {"anyOf": [{"const": 12, "x-weight": 3}, other]}
    assert first_biases(schema, "1", "12", "2") == [0, 0, -3]
    # At least what the branch gives it that does not list it.
    schema = {"anyOf": [{"const": 12, "x-weight": -3}, other]}
    assert first_biases(schema, "1", "12", "2") == [0, 0, 0]


def test_other_types_weigh_nothing() -> None:
    schema = {"anyOf": [{"const": "a", "x-weight": -3}, {"type": ["object", "array", "null"]}]}
    assert first_biases(schema, '"', "{", "[", "n") == [-3, 0, 0, 0]


@pytest.mark.parametrize("weight", [3, -3])
def test_weights_of_items_do_not_touch_the_end_of_the_array(weight: int) -> None:
    schema = {"items": {"enum": ["a", 1], "x-weight": {"a": weight}}, "type": "array"}
    matcher = compiled(schema, whitespace="compact").matcher()
    matcher.accept(TOKENS.index(b"["))
    found = biases(matcher)
    assert TOKENS.index(b"]") not in found
    both = [found.get(TOKENS.index(name), 0.0) for name in (b'"', b"1")]
    assert both == [min(weight, 0), min(-weight, 0)]


@pytest.mark.parametrize(("escapes", "count"), [("minimal", 2), ("any", 4)])
def test_every_spelling_has_the_weight(escapes: Any, count: int) -> None:
    # A quotation mark: \" or \u0022 (no letter there); "/" as it is, \/, \u002f or \u002F.
    text = '"' if escapes == "minimal" else "/"
    found = list(spellings(text, escapes, "#"))
    assert len(set(found)) == count
    assert [json.loads(spelling) for spelling in found] == [text] * count
    schema = {"enum": [text, "b"], "x-weight": {text: -1}}
    plain = constrain.json_schema({"enum": [text, "b"]}, escapes=escapes)
    for spelling in found:
        constrain.check(plain, spelling)
        constrain.check(constrain.json_schema(schema, escapes=escapes), spelling)


def test_values_are_those_of_the_schema_without_weights() -> None:
    schema = {"enum": ["a", 'b"\n', 1.0, 12, True, None, [1]], "x-weight": {"a": 1}}
    weighted = constrain.json_schema(schema)
    plain = constrain.json_schema({"enum": schema["enum"]})
    texts = [
        '"a"',
        '"b\\"\\n"',
        '"b\\u0022\\u000A"',
        "1",
        "1.0",
        "12",
        "12.0",
        "true",
        "[1]",
        "2",
    ]
    for text in texts:
        assert accepts(weighted, text) == accepts(plain, text), text
    assert weighted.notes == ()


def accepts(grammar: constrain.Grammar, text: str) -> bool:
    """Whether the text is of the grammar."""
    try:
        constrain.check(grammar, text)
    except constrain.TokenRejectedError:
        return False
    return True


NAMES = ["a", "ab", "b", "k", "note"]


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-4, 4), min_size=5, max_size=5),
    st.sampled_from([None, "a", "note"]),
    st.sampled_from([False, True, {"type": "null"}]),
    st.tuples(
        st.sampled_from(["compact", "spaced", "bounded"]), st.sampled_from(["schema", "any"])
    ),
    st.randoms(use_true_random=False),
)
def test_biases_of_properties_add_up_to_their_weights_less_those_above_zero(
    names: list[str],
    weights: list[int],
    required: str | None,
    additional: Any,
    form: tuple[str, str],
    chance: random.Random,
) -> None:
    own = dict(zip(names, map(float, weights), strict=False))
    inner = {"properties": {"k": {"x-weight": -1}}, "additionalProperties": False}
    kinds: list[Any] = [{"enum": [1, 12]}, {"type": "object", **inner}, {"type": "null"}]
    properties = {
        name: {**kinds[i % 3], "x-weight": weight}
        for i, (name, weight) in enumerate(own.items())
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": [required] if required in own else [],
        "additionalProperties": additional,
    }
    matcher = compiled(schema, whitespace=form[0], property_order=form[1]).matcher()
    text, total = walk(matcher, chance)
    value = json.loads(text)
    optional = {name: weight for name, weight in own.items() if name != required}
    expected = sum(weight for name, weight in optional.items() if name in value)
    expected -= sum(max(weight, 0.0) for weight in optional.values())
    # Each "k" within weighs -1.
    expected -= sum(len(value[n]) for n in own if isinstance(value.get(n), dict))
    assert math.isclose(total, expected, abs_tol=1e-4), text


def test_a_property_is_taken_or_left_by_its_weight() -> None:
    # Before "}" and "a" there is only the choice to include "k", which weighs -2.
    schema = {
        "type": "object",
        "properties": {"k": {"const": 1, "x-weight": -2}, "a": {"const": 1}},
        "additionalProperties": False,
    }
    matcher = compiled(schema, whitespace="compact").matcher()
    matcher.accept(TOKENS.index(b"{"))
    found = biases(matcher)
    assert found.get(TOKENS.index(b"}"), 0.0) == 0.0
    assert found.get(TOKENS.index(b'"'), 0.0) == 0.0  # "a" may still follow
    matcher.accept(TOKENS.index(b'"'))
    found = biases(matcher)
    assert found[TOKENS.index(b"k")] == -2.0
    assert TOKENS.index(b"a") not in found


def test_leaving_out_a_wished_property_costs_its_weight() -> None:
    schema = {
        "type": "object",
        "properties": {"k": {"const": 1, "x-weight": 3}},
        "additionalProperties": False,
    }
    matcher = compiled(schema, whitespace="compact").matcher()
    matcher.accept(TOKENS.index(b"{"))
    assert biases(matcher) == {TOKENS.index(b"}"): -3.0}


@pytest.mark.parametrize("order", ["schema", "any"])
def test_an_escape_in_a_key_leaves_a_wished_name_once(order: str) -> None:
    # Once b\\ is there the key is not "b", which weighs 1 and may come later in any order only.
    schema = {"type": "object", "properties": {"b": {"x-weight": 1}}}
    matcher = compiled(schema, whitespace="compact", property_order=order).matcher()
    costs = []
    for token in (b"{", b'"', b"b", b"\\", b'"', b'"'):
        costs.append(biases(matcher).get(TOKENS.index(token), 0.0))
        matcher.accept(TOKENS.index(token))
    assert costs == [0, 0, 0, -1.0 if order == "schema" else 0, 0, 0]


def bias_of(schema: Any, before: bytes, token: bytes) -> float:
    """The bias of one more token after a beginning of a compact text."""
    tokens = (*TOKENS[:-1], token, b"")
    grammar = constrain.json_schema(schema, whitespace="compact")
    vocabulary = constrain.Vocabulary(tokens, [len(tokens) - 1])
    matcher = constrain.compile(grammar, vocabulary).matcher()
    matcher.accept_bytes(before)
    assert matcher.mask()[len(tokens) - 2], token
    return biases(matcher).get(len(tokens) - 2, 0.0)


@pytest.mark.parametrize("token", [b'":12', b'":12,"', b'":12,"a', b'":12,"a"', b'":12,"a":'])
def test_a_token_that_reads_a_key_a_value_and_a_key_costs_its_value(token: bytes) -> None:
    # 12 weighs -4; that "note" may come, which weighs 2, is as it was before.
    schema = {
        "type": "object",
        "properties": {"note": {"x-weight": 2}},
        "additionalProperties": {"enum": [100, 12], "x-weight": [0, -4]},
    }
    assert bias_of(schema, b'{"x', token) == -4.0


@pytest.mark.parametrize("token", [b"[", b"[1", b"[12", b"[12,1"])
def test_a_token_is_worth_the_best_case_it_begins(token: bytes) -> None:
    # Arrays of the second case read the same texts and weigh nothing.
    numbers = {"enum": [1, 12, "a"]}
    weighted = {"enum": [1, 12, "a"], "x-weight": [-3, -4, 0]}
    cases: list[Any] = [{"type": "array", "items": items} for items in (weighted, numbers)]
    assert bias_of({"anyOf": cases}, b"", token) == 0.0
    assert bias_of({"anyOf": cases[:1]}, b"", b"[12,1") == -7.0


def test_a_key_is_worth_the_best_case_it_begins() -> None:
    # In the first case "k" weighs -3, in the second it must be there.
    cases: list[Any] = [
        {"type": "object", "properties": {"k": {"const": 1, "x-weight": -3}}},
        {"type": "object", "properties": {"k": {"const": 2}}, "required": ["k"]},
    ]
    cases = [{**case, "additionalProperties": False} for case in cases]
    assert bias_of({"anyOf": cases}, b"", b'{"k') == 0.0
    assert bias_of({"anyOf": cases}, b"", b'{"k":1') == -3.0
    assert bias_of({"anyOf": cases}, b"", b'{"k":2') == 0.0


def test_a_grammar_without_weights_has_no_bias() -> None:
    # On a vocabulary that has seen weights, too.
    vocabulary = constrain.Vocabulary(TOKENS, [END])
    weighted = constrain.json_schema({"enum": ["a", "b"], "x-weight": [1, 0]})
    other = constrain.compile(weighted, vocabulary).matcher()
    other.accept(TOKENS.index(b'"'))
    assert biases(other) == {TOKENS.index(b"b"): -1.0}
    plain = constrain.json_schema({"enum": ["a", "b"]})
    matcher = constrain.compile(plain, vocabulary).matcher()
    matcher.accept(TOKENS.index(b'"'))
    assert biases(matcher) == {}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "x-weight": 1}, "must be beside 'enum' or 'const'"),
        ({"enum": ["a"], "x-weight": "1"}, "must be a number from -1e6 to 1e6"),
        ({"enum": ["a"], "x-weight": True}, "must be a number from -1e6 to 1e6"),
        ({"enum": ["a"], "x-weight": [1, 2]}, "one number for each value"),
        ({"const": "a", "x-weight": [1]}, "one number for each value"),
        ({"enum": ["a"], "x-weight": {"b": 1}}, "'b' is none"),
        ({"enum": ["a"], "x-weight": {"a": float("inf")}}, "must be a number from -1e6 to 1e6"),
        ({"enum": ["a"], "x-weight": 1.1e6}, "must be a number from -1e6 to 1e6"),
        ({"enum": ["a"], "x-weight": 10**400}, "must be a number from -1e6 to 1e6"),
        ({"enum": ["a", [1]], "x-weight": [0, 1]}, "not of"),
        ({"propertyNames": {"enum": ["a"], "x-weight": 1}}, "of values that are written"),
        ({"not": {"enum": ["a"], "x-weight": 1}}, "of values that are written"),
        ({"additionalProperties": {"x-weight": 1}}, "must be beside 'enum' or 'const'"),
    ],
)
def test_a_malformed_weight_is_an_error(schema: Any, message: str) -> None:
    with pytest.raises(constrain.SchemaError, match=message):
        constrain.json_schema(schema)


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        ({"enum": ["a" * 20, "b"], "x-weight": {"b": 1}}, {"escapes": "any"}),
        ({"enum": ["a", "b"], "pattern": "a", "x-weight": {"a": 1}}, {}),
    ],
)
def test_what_cannot_be_weighed_exactly_is_refused(schema: Any, form: Any) -> None:
    with pytest.raises(constrain.UnsupportedSchemaError, match="x-weight"):
        constrain.json_schema(schema, **form)
