"""Numbers of JSON Schema: every text decided by exact decimal arithmetic."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constrain.errors import SchemaError, UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import JsonValue, Node
from constrain.schema import json_schema
from constrain.schema.decimals import ceiling, exact, floor, plain
from constrain.schema.numbers import (
    NUMBER_TEXT,
    NumberCase,
    conjoin_numbers,
    number_text,
)
from tests.oracle.characters import matches

PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
SHORT_TEXTS = [
    "".join(chars) for n in range(1, 5) for chars in itertools.product("-0159.", repeat=n)
]
SHORT_PLAIN = [text for text in SHORT_TEXTS if PLAIN.fullmatch(text)]
BOUNDS = [None, *map(Decimal, ["-10", "-9.5", "-1", "-0.5", "0", "0.15", "1", "5.5", "10"])]


def scalar(schema: dict[str, object]) -> Node:
    """The node of the root's scalar texts."""
    body = json_schema(schema).rules["#"]
    assert isinstance(body, JsonValue)
    assert body.scalar is not None
    return body.scalar


def is_allowed(case: NumberCase, text: str) -> bool:
    """Whether the declared text form of a case with a bound or divisor has a text."""
    steps = case.multiple is not None and case.multiple[1] == 1
    whole = case.integral or steps
    if not (WHOLE if whole else PLAIN).fullmatch(text):
        return False
    value = Fraction(text)
    low_ok = case.low is None or (
        value > Fraction(case.low) if case.low_open else value >= Fraction(case.low)
    )
    high_ok = case.high is None or (
        value < Fraction(case.high) if case.high_open else value <= Fraction(case.high)
    )
    multiple_ok = case.multiple is None or (value / Fraction(*case.multiple)).denominator == 1
    least = case.low
    if whole and least is not None:
        least = floor(least) + 1 if case.low_open else ceiling(least)
    no_negative = least is not None and least >= 0
    return low_ok and high_ok and multiple_ok and not (no_negative and text[0] == "-")


def node_of(case: NumberCase) -> Node:
    """The texts of a case; fails where there are none."""
    node = number_text(case)
    assert node is not None
    return node


@pytest.mark.parametrize("integral", [False, True])
def test_every_short_text_is_in_a_range_exactly_if_its_value_is(integral: bool) -> None:
    checked = 0
    for low, high in itertools.product(BOUNDS, BOUNDS):
        if low is None and high is None:
            continue
        for opened in (False, True):
            case = NumberCase(
                integral,
                exact(low) if low is not None else None,
                opened,
                exact(high) if high is not None else None,
                opened and low is None,
            )
            if case.is_empty:
                assert not any(is_allowed(case, text) for text in SHORT_PLAIN)
                continue
            node = node_of(case)
            for text in SHORT_PLAIN:
                assert matches(node, text) == is_allowed(case, text), (case, text)
                checked += 1
    assert checked > 20_000


@pytest.mark.parametrize(
    "case",
    [
        NumberCase(low=Decimal("0.15"), high=10),
        NumberCase(integral=True, low=-10, high=5),
        NumberCase(multiple=(5, 1), low=-10),
        NumberCase(multiple=(1, 4)),
    ],
)
def test_what_is_no_plain_decimal_is_never_accepted(case: NumberCase) -> None:
    node = node_of(case)
    for text in SHORT_TEXTS:
        assert matches(node, text) == is_allowed(case, text), text
    for text in ("1e0", "5E1", "+5", " 5", "", "0x5", "NaN"):
        assert not matches(node, text)


def test_unbounded_numbers_are_what_rfc_8259_says() -> None:
    for text in [*SHORT_TEXTS, "1e5", "1E+05", "-0.0e-0", "1e", "1.e1", ".5", "1e+"]:
        assert matches(NUMBER_TEXT, text) == bool(JSON_NUMBER.fullmatch(text)), text
        whole = bool(WHOLE.fullmatch(text))
        assert matches(scalar({"type": "integer"}), text) == whole, text


decimals = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(-(10**6), 10**6),
    st.integers(0, 6),
)


@given(
    st.one_of(st.none(), decimals),
    st.booleans(),
    st.one_of(st.none(), decimals),
    st.booleans(),
    st.booleans(),
    st.tuples(decimals, st.integers(0, 2)),
)
def test_random_bounds_agree_with_exact_arithmetic(
    low: Decimal | None,
    low_open: bool,
    high: Decimal | None,
    high_open: bool,
    integral: bool,
    other: tuple[Decimal, int],
) -> None:
    case = NumberCase(
        integral,
        None if low is None else exact(low),
        low_open,
        None if high is None else exact(high),
        high_open,
    )
    if case.is_empty or (low is None and high is None):
        return
    node = node_of(case)
    value, zeros = other
    around = [bound for bound in (low, high) if bound is not None]
    tiny = Decimal("0.0000001")
    for number in [value, *around, *(b + tiny for b in around), *(b - tiny for b in around)]:
        text = plain(exact(number) or 0)
        for spelled in (text, text + "0" * zeros if "." in text else f"{text}.{'0' * zeros}"):
            assert matches(node, spelled) == is_allowed(case, spelled), spelled


@given(
    st.integers(-60, 60),
    st.integers(-60, 60),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, (1, 1), (7, 1), (1, 2), (3, 4)]),
    st.booleans(),
)
def test_emptiness_of_a_range_is_exact(
    low: int,
    high: int,
    low_open: bool,
    high_open: bool,
    multiple: tuple[int, int] | None,
    integral: bool,
) -> None:
    case = NumberCase(
        integral,
        exact(Decimal(low) / 8),
        low_open,
        exact(Decimal(high) / 8),
        high_open,
        multiple,
    )
    # Multiples of 1/16 include a point of every open interval between eighths.
    points = (Fraction(n, 16) for n in range(-130, 130))
    has_one = any(
        case.has(number)
        for p in points
        if (number := exact(Decimal(p.numerator) / 16 * (16 // p.denominator))) is not None
    )
    assert case.is_empty == (not has_one)


@given(st.data())
def test_a_conjunction_holds_what_both_sides_hold(data: st.DataObject) -> None:
    numbers = [exact(Decimal(n) / 4) for n in range(-12, 13)]
    cases = st.builds(
        NumberCase,
        st.booleans(),
        st.sampled_from([None, -2, 0, Decimal("0.5")]),
        st.booleans(),
        st.sampled_from([None, 2, Decimal("1.25")]),
        st.booleans(),
        st.sampled_from([None, (2, 1), (3, 1), (1, 2), (3, 4)]),
        st.sampled_from([None, None, (1, 2, Decimal("0.5"))]),
    )
    a, b = data.draw(cases), data.draw(cases)
    both = conjoin_numbers(a, b)
    for number in numbers:
        assert number is not None
        assert both.has(number) == (a.has(number) and b.has(number)), number


@pytest.mark.parametrize(
    ("schema", "accepted", "rejected"),
    [
        ({"minimum": 3, "type": "integer"}, ["3", "10", "300"], ["2", "-3", "3.0", "03"]),
        ({"exclusiveMinimum": 3, "type": "integer"}, ["4"], ["3"]),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "type": "number",
                "minimum": 3,
                "exclusiveMinimum": True,
            },
            ["3.01", "4"],
            ["3", "3.0", "2"],
        ),
        ({"type": "number", "maximum": 1e22}, ["1" + "0" * 22, "-5"], ["1" + "0" * 21 + "10"]),
        ({"type": "number", "maximum": 0.1}, ["0.1", "0.10", "-1"], ["0.1000000000000000055"]),
        ({"type": "integer", "multipleOf": 7}, ["0", "-14", "49", "-0"], ["13", "7.0"]),
        ({"type": "number", "multipleOf": 0.01}, ["19.99", "5", "5.120"], ["0.001", "1e2"]),
        ({"type": "number", "multipleOf": 2}, ["4"], ["3", "4.0"]),
        ({"type": "integer", "multipleOf": 1.5}, ["3", "-6"], ["1.5", "2"]),
        ({"type": "integer", "minimum": 2**70}, [str(2**70)], [str(2**70 - 1)]),
        (
            {"enum": [1.0, 2.5, 100]},
            ["1", "1.0", "2.5", "100"],
            ["1.00", "2.50", "100.0", "-1"],
        ),
        ({"enum": [1.0, 2.5], "type": "integer"}, ["1"], ["1.0", "2.5"]),
        ({"enum": [1.0, 3.0], "maximum": 2}, ["1", "1.0"], ["3", "3.0"]),
        ({"type": "integer", "const": 2.0}, ["2"], ["2.0"]),
        ({"type": "integer", "format": "int32"}, ["2147483647"], ["2147483648"]),
    ],
)
def test_number_keywords(
    schema: dict[str, object], accepted: list[str], rejected: list[str]
) -> None:
    node = scalar(schema)
    for text in accepted:
        assert matches(node, text), text
    for text in rejected:
        assert not matches(node, text), text


def test_json_text_keeps_decimals_that_floats_would_round() -> None:
    text = '{"type": "number", "maximum": 0.10000000000000000000001}'
    body = json_schema(text).rules["#"]
    assert isinstance(body, JsonValue)
    assert body.scalar is not None
    assert matches(body.scalar, "0.10000000000000000000001")
    assert not matches(body.scalar, "0.10000000000000000000002")


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minimum": "1"}, "minimum"),
        ({"maximum": True}, "maximum"),
        ({"multipleOf": 0}, "multipleOf"),
        ({"multipleOf": -1}, "multipleOf"),
        ({"minimum": float("inf")}, "minimum"),
        ({"enum": [float("nan")]}, "enum"),
    ],
)
def test_malformed_number_keywords_are_named(schema: dict[str, object], keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema({"properties": {"a": schema}})
    assert (caught.value.pointer, caught.value.keyword) == ("#/properties/a", keyword)


def test_a_range_without_a_number_is_unsatisfiable() -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2})
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"type": "number", "minimum": 1, "maximum": 0})


def test_floor_and_ceiling_are_exact() -> None:
    assert [floor(Decimal("-0.5")), ceiling(Decimal("-0.5"))] == [-1, 0]
    assert [floor(Decimal("1.5")), ceiling(Decimal("1.5"))] == [1, 2]
    assert [floor(3), ceiling(3)] == [3, 3]


def test_divisors_without_a_supported_common_multiple_are_refused_with_their_place() -> None:
    # Two primes below 2^63 (Mersenne's 2^61 - 1, and 2^62 - 57); their product is above it.
    both = {"allOf": [{"multipleOf": 2**61 - 1}, {"multipleOf": 2**62 - 57}]}
    with pytest.raises(UnsupportedSchemaError) as caught:
        json_schema({"properties": {"a": {"type": "number", **both}}})
    assert (caught.value.pointer, caught.value.keyword) == ("#/properties/a", "multipleOf")
    assert caught.value.value == (2**61 - 1) * (2**62 - 57)
