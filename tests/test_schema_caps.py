"""Caps on items and digits: short texts, and no schema that becomes unsatisfiable."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest

import constrain
from tests.schema_chance import Oracle, SchemaMaker
from tests.test_walks import vocabulary, walk


def accepts(grammar: constrain.Grammar, text: str) -> bool:
    """Whether the text is of the grammar."""
    try:
        constrain.check(grammar, text)
    except constrain.TokenRejectedError:
        return False
    return True


def check_both_sides(grammar: constrain.Grammar, valid: list[str], invalid: list[str]) -> None:
    """Assert which texts are of the grammar."""
    for texts, expected in ((valid, True), (invalid, False)):
        for text in texts:
            assert accepts(grammar, text) == expected, text


def items(count: int) -> str:
    """An array of so many zeros."""
    return json.dumps([0] * count)


@pytest.mark.parametrize(
    ("schema", "cap", "shortest", "longest"),
    [
        ({"type": "array"}, 3, 0, 3),
        (True, 0, 0, 0),
        ({"items": {"type": "integer"}, "maxItems": 2}, 3, 0, 2),
        ({"items": {"type": "integer"}, "maxItems": 9}, 3, 0, 3),
        ({"minItems": 5}, 3, 5, 5),  # gives way
        ({"minItems": 2}, 3, 2, 3),
        ({"prefixItems": [{}, {}], "items": False}, 1, 0, 1),
        ({"prefixItems": [{}, {}, {}], "items": {"type": "null"}}, 2, 0, 2),
        # Four zeros are needed, and the first item is no zero.
        ({"prefixItems": [{"const": 1}], "contains": {"const": 0}, "minContains": 4}, 2, 0, 5),
        ({"enum": [[0, 0, 0, 0]]}, 2, 4, 4),
    ],
)
def test_arrays_have_as_many_items_as_the_cap_or_the_schema_says(
    schema: Any, cap: int, shortest: int, longest: int
) -> None:
    grammar = constrain.json_schema(schema, max_items=cap)
    texts = [items(count) for count in range(8)]
    if isinstance(schema, dict) and "contains" in schema:
        assert accepts(grammar, "[1, 0, 0, 0, 0]")
        assert not accepts(grammar, "[1, 0, 0, 0, 0, 0]")
        return
    check_both_sides(
        grammar,
        texts[shortest : longest + 1],
        texts[:shortest] + texts[longest + 1 :],
    )


def test_a_cap_leaves_enough_items_to_be_let_off() -> None:
    # Zeros alone are barred up to two of them: three are needed.
    zeros = {"items": {"const": 0}}
    schema = {"type": "array", **zeros, "not": {"maxItems": 2, **zeros}}
    grammar = constrain.json_schema(schema, max_items=1)
    check_both_sides(grammar, [items(3)], [items(2), items(4)])


def test_the_cap_holds_at_every_depth_and_through_references() -> None:
    schema = {"items": {"$ref": "#"}, "type": "array"}
    grammar = constrain.json_schema(schema, max_items=1)
    check_both_sides(grammar, ["[]", "[[]]", "[[[]]]"], ["[[], []]", "[[[], []]]"])
    anything = constrain.json_schema({"type": "object"}, max_items=1)
    check_both_sides(anything, ['{"a": [0]}'], ['{"a": [0, 0]}', '{"a": [{"b": [0, 0]}]}'])


@pytest.mark.parametrize(
    ("schema", "cap", "valid", "invalid"),
    [
        (
            {"type": "integer"},
            2,
            ["0", "-1", "99", "-99"],
            ["100", "-100", "01", "1.0", "1e1"],
        ),
        (
            {"type": "number"},
            2,
            ["99.99", "-0.05", "1e10", "1E-99", "0"],
            ["100", "0.123", "1e100", "1.", "00"],
        ),
        ({"type": "number", "minimum": 0}, 2, ["99.99", "0.5"], ["100", "0.001", "-1"]),
        ({"type": "integer", "minimum": 5}, 1, ["5", "9"], ["4", "10"]),
        ({"type": "integer", "minimum": 1000}, 2, ["1000", "9999"], ["999", "10000"]),
        ({"type": "integer", "exclusiveMinimum": 9}, 1, ["10", "99"], ["9", "100"]),
        ({"type": "integer", "maximum": 10**9}, 3, ["999", "-999"], ["1000", "-1000"]),
        # Between 4.9999 and 5 the shortest has five digits after the point: 4.99991 and so on.
        (
            {"type": "number", "exclusiveMinimum": 4.9999, "exclusiveMaximum": 5},
            1,
            ["4.99991", "4.99999"],
            ["4.9999", "4.999911", "5", "4.9"],
        ),
        ({"type": "integer", "multipleOf": 7000, "minimum": 1}, 2, ["7000"], ["0", "14000"]),
        ({"type": "integer", "multipleOf": 7000}, 2, ["0"], ["7000", "70"]),
        (
            {"type": "number", "multipleOf": 0.05},
            2,
            ["0.05", "99.95", "-7.5", "7", "0.10"],
            ["100", "0.01", "0.100"],
        ),
        # 0.001 needs three places, though 0 and 0.01 of them none: they are multiples too.
        ({"type": "number", "multipleOf": 0.001}, 2, ["0.01", "0", "1.5"], ["0.001", "0.010"]),
        (
            {"type": "number", "multipleOf": 0.001, "exclusiveMinimum": 0, "maximum": 0.003},
            2,
            ["0.001", "0.003"],
            ["0", "0.0010", "0.01"],
        ),
        ({"enum": [123456, 0.12345]}, 1, ["123456", "0.12345"], ["1"]),
    ],
)
def test_numbers_have_as_many_digits_as_the_cap_or_the_schema_says(
    schema: Any, cap: int, valid: list[str], invalid: list[str]
) -> None:
    check_both_sides(constrain.json_schema(schema, max_digits=cap), valid, invalid)


def test_numbers_that_exclude_others_keep_one_and_end() -> None:
    schema = {"type": "integer", "minimum": 0, "not": {"enum": list(range(10))}}
    grammar = constrain.json_schema(schema, max_digits=1)
    assert accepts(grammar, "10")
    assert not accepts(grammar, "1" + "0" * 40)


def test_different_items_that_must_be_there_are_not_capped() -> None:
    # There are 19 integers of one digit, and two arrays of at most one null.
    grammar = constrain.json_schema(
        {"items": {"type": "integer"}, "uniqueItems": True, "minItems": 25}, max_digits=1
    )
    texts = json.dumps(list(range(25)))
    assert accepts(grammar, texts)
    nulls = {"type": "array", "items": {"type": "null"}}
    schema = {"items": nulls, "uniqueItems": True, "minItems": 3}
    grammar = constrain.json_schema(schema, max_items=1)
    check_both_sides(
        grammar,
        ["[[], [null], [null, null]]"],
        ["[[], [null], [null]]", "[[], [null], [null, null], [null, null, null]]"],
    )
    outside = constrain.json_schema({"items": nulls, "uniqueItems": True}, max_items=1)
    check_both_sides(outside, ["[[null]]"], ["[[null, null]]", "[[], [null]]"])


def test_any_value_has_its_own_rule_where_it_is_not_capped() -> None:
    schema = {
        "properties": {"a": {"uniqueItems": True, "minItems": 2, "items": {"type": "array"}}}
    }
    grammar = constrain.json_schema(schema, max_items=1, max_digits=1)
    check_both_sides(
        grammar,
        ['{"a": [[], [10, 20]]}', '{"b": [1]}'],
        ['{"a": [[], [1], [2]]}', '{"b": [10]}', '{"b": [1, 2]}'],
    )


def test_notes_list_the_caps() -> None:
    grammar = constrain.json_schema({"type": "array"}, max_items=3, max_digits=4)
    assert grammar.notes == (
        "arrays have at most 3 items, unless more are needed",
        "numbers have at most 4 digits on either side of the point, unless more are needed",
    )
    assert constrain.json_schema({"type": "array"}).notes == ()


@pytest.mark.parametrize("caps", [{"max_items": -1}, {"max_items": True}, {"max_items": 1.5}])
def test_a_wrong_cap_of_items_is_an_error(caps: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_items must be an integer >= 0"):
        constrain.json_schema(True, **caps)


@pytest.mark.parametrize("caps", [{"max_digits": 0}, {"max_digits": 1001}, {"max_digits": "2"}])
def test_a_wrong_cap_of_digits_is_an_error(caps: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_digits must be from 1 to 1000"):
        constrain.json_schema(True, **caps)


def test_a_python_type_takes_caps() -> None:
    grammar = constrain.json_schema(list[int], max_items=2, max_digits=1)
    check_both_sides(grammar, ["[]", "[1, 2]"], ["[1, 2, 3]", "[10]"])


@pytest.mark.timeout(3_000)
def test_no_schema_becomes_unsatisfiable_and_texts_stay_valid(n_walks: int) -> None:
    n_walked = 0
    for seed in range(2 * n_walks):
        schema = SchemaMaker(Random(seed)).document()
        try:
            compiled = constrain.compile(constrain.json_schema(schema), vocabulary("smollm2"))
        except (constrain.SchemaError, constrain.LimitError):
            continue
        assert compiled.min_tokens > 0
        n_items, n_digits = seed % 3, 1 + seed % 2
        capped = constrain.compile(
            constrain.json_schema(schema, max_items=n_items, max_digits=n_digits),
            vocabulary("smollm2"),
        )
        oracle = Oracle(schema)
        text = walk("smollm2", capped, Random(seed))
        assert oracle.is_valid(text), (schema, text)
        n_walked += 1
    assert n_walked > n_walks


@pytest.mark.parametrize("schema", [True, {"type": "number"}, {"type": "array"}])
def test_a_walk_keeps_to_the_caps(schema: Any) -> None:
    grammar = constrain.json_schema(schema, max_items=2, max_digits=3)
    compiled = constrain.compile(grammar, vocabulary("smollm2"))
    for seed in range(40):
        text = walk("smollm2", compiled, Random(seed))
        bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', text)
        assert not re.search(rb"\d{4}", bare), text
        pending = [json.loads(text)]
        while pending:
            value = pending.pop()
            if isinstance(value, list):
                assert len(value) <= 2
                pending += value
            elif isinstance(value, dict):
                pending += value.values()
