"""`multipleOf`: any decimal, with bounds, together, and negated; exact decimal arithmetic."""

from __future__ import annotations

import itertools
import json
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import constrain
from constrain.errors import UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import Grammar, MultipleOf
from constrain.schema.numbers import NumberCase, number_text
from tests.oracle.characters import matches, viable_prefix
from tests.vocabularies import single_bytes, vocabulary_of, with_end

DIVISORS = ["0.3", "2.5", "1.1", "0.75", "12.5", "0.07", "0.5", "0.01", "1e-8", "3", "1234.5"]
TEXTS = ["".join(chars) for n in range(1, 5) for chars in itertools.product("0135.", repeat=n)]
NUMERALS = vocabulary_of(with_end(single_bytes("0123456789.-")))


def is_accepted(grammar: Grammar, text: str) -> bool:
    """Whether the kernel accepts the whole text."""
    try:
        constrain.check(grammar, text)
    except constrain.TokenRejectedError:
        return False
    return True


def plain(number: Fraction) -> str:
    """A decimal fraction's shortest plain spelling."""
    return format((Decimal(number.numerator) / number.denominator).normalize(), "f")


def is_plain(text: str) -> bool:
    """Whether a text is a plain decimal without sign."""
    whole, point, fraction = text.partition(".")
    return (
        whole.isdigit()
        and (whole == "0" or whole[0] != "0")
        and (not point or fraction.isdigit())
    )


@pytest.mark.parametrize(("divisor", "places"), [(3, 1), (25, 1), (7, 2), (1, 2), (4, 0)])
def test_the_kernel_decides_multiples_as_arithmetic_does(divisor: int, places: int) -> None:
    grammar = Grammar(MultipleOf(divisor, places))
    n_accepted = 0
    for text in TEXTS:
        whole, point, fraction = text.partition(".")
        spelled = whole.isdigit() and (not fraction or fraction.isdigit())
        expected = spelled and not (point and not places)
        if expected:
            expected = Fraction(text.rstrip(".")) * 10**places % divisor == 0
        assert is_accepted(grammar, text) == expected, text
        assert matches(grammar.root, text) == expected, text
        n_accepted += expected
    assert n_accepted > 10


@pytest.mark.parametrize(("divisor", "places"), [(3, 1), (75, 2), (37, 1), (16, 3)])
def test_no_prefix_of_a_multiple_is_a_dead_end(divisor: int, places: int) -> None:
    root = MultipleOf(divisor, places)
    matcher = constrain.compile(Grammar(root), NUMERALS).matcher()
    for text in TEXTS:
        alive = viable_prefix(root, text)
        probe = matcher.copy()
        try:
            probe.accept_bytes(text.encode())
        except constrain.TokenRejectedError:
            assert not alive, text
            continue
        assert alive, text
        # The least number of bytes to a multiple, by trying them all.
        rest = probe.shortest_completion().decode()
        assert matches(root, text + rest)
        for n in range(len(rest)):
            for more in itertools.product("0123456789.", repeat=min(n, 3)):
                if len(more) == n:
                    assert not matches(root, text + "".join(more)), (text, rest)


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize(
    "bounds", [{}, {"minimum": 0, "maximum": 10}, {"minimum": 100}, {"maximum": 0.9}]
)
def test_multiples_of_decimals_under_bounds(divisor: str, bounds: dict[str, float]) -> None:
    schema = {"type": "number", "multipleOf": json.loads(divisor), **bounds}
    try:
        grammar = constrain.json_schema(schema)
    except UnsatisfiableSchemaError:
        assert divisor == "1234.5"
        assert bounds["maximum"] == 10
        return
    step = Fraction(divisor)
    low, high = bounds.get("minimum"), bounds.get("maximum")
    for n in range(-40, 400, 7):
        for number in (step * n, step * n + Fraction(1, 10), step * n / 10):
            text = plain(number)
            expected = (
                (number / step).denominator == 1
                and (low is None or (number >= low and text[0] != "-"))
                and (high is None or number <= Fraction(str(high)))
            )
            if number and step.denominator == 1 and "." in text:
                expected = False
            assert is_accepted(grammar, text) == expected, text
            if "." in text:
                assert is_accepted(grammar, text + "00") == expected, text


@given(
    st.fractions(min_value=0, max_value=50, max_denominator=1).filter(bool),
    st.sampled_from([1, 2, 4, 5, 8, 10, 25, 100, 1000]),
    st.integers(0, 9999),
    st.integers(0, 3),
)
def test_random_multiples_agree_with_exact_arithmetic(
    over: Fraction, under: int, digits: int, places: int
) -> None:
    step = over / under
    node = number_text(NumberCase(multiple=(step.numerator, step.denominator)))
    assert node is not None
    value = Fraction(digits, 10**places)
    text = plain(value)
    expected = (value / step).denominator == 1
    if step.denominator == 1 and "." in text:
        expected = False
    assert matches(node, text) == expected, (step, text)


@pytest.mark.parametrize(
    ("schema", "accepted", "rejected"),
    [
        # 0.3 and 0.2 together: multiples of 0.6.
        (
            {"allOf": [{"multipleOf": 0.3}, {"multipleOf": 0.2}]},
            ["0", "0.6", "1.2", "-1.8", "3"],
            ["0.3", "0.2", "0.4", "1"],
        ),
        # 1.5 and 0.25 together: multiples of 1.5; among integers: of 3.
        ({"allOf": [{"multipleOf": 1.5}, {"multipleOf": 0.25}]}, ["1.5", "4.5"], ["0.25"]),
        (
            {"type": "integer", "allOf": [{"multipleOf": 1.5}, {"multipleOf": 2}]},
            ["0", "6", "-12"],
            ["3", "4", "1.5"],
        ),
        ({"multipleOf": 0.3, "not": {"multipleOf": 0.6}}, ["0.3", "0.90"], ["0.6", "0", "0.2"]),
        ({"multipleOf": 2, "not": {"multipleOf": 4}}, ["2", "-6"], ["4", "0", "3"]),
        ({"multipleOf": 2.5, "not": {"minimum": 4}}, ["2.5", "-2.5", "0"], ["5", "7.5", "1"]),
        ({"type": "number", "not": {"multipleOf": 0.3}}, ["0.1", "1", "0.31"], ["0.3", "9"]),
        ({"multipleOf": 123456789}, ["123456789", "-246913578", "0"], ["123456788", "1"]),
        ({"multipleOf": 0.0001}, ["0.0001", "12.3456", "5"], ["0.00001", "0.12345"]),
        ({"multipleOf": 1e-8}, ["0.00000001", "1.5"], ["0.000000001"]),
        ({"type": "integer", "multipleOf": 0.5}, ["1", "1" + "0" * 308], ["0.5"]),
        ({"multipleOf": 0.3, "enum": [0.3, 0.4, 9]}, ["0.3", "9"], ["0.4", "3"]),
        ({"multipleOf": 1e-300}, ["0." + "0" * 299 + "1", "2"], ["0." + "0" * 300 + "1"]),
    ],
)
def test_multiples_met_with_other_keywords(
    schema: dict[str, object], accepted: list[str], rejected: list[str]
) -> None:
    grammar = constrain.json_schema({"type": "number", **schema})
    for text in accepted:
        assert is_accepted(grammar, text), text
    for text in rejected:
        assert not is_accepted(grammar, text), text


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "multipleOf": 0.6, "not": {"multipleOf": 0.3}},
        {"type": "number", "multipleOf": 0.3, "exclusiveMinimum": 0.3, "exclusiveMaximum": 0.6},
        {"type": "integer", "multipleOf": 0.7, "minimum": 1, "maximum": 6},
    ],
)
def test_no_multiple_is_no_value(schema: dict[str, object]) -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        constrain.json_schema(schema)


def test_great_divisors_under_bounds_are_decided_at_once() -> None:
    # Between the bounds lie 8 multiples, of 10**12 numerals.
    schema = {"type": "number", "multipleOf": 123456789.25, "minimum": 1, "maximum": 10**9}
    started = time.monotonic()
    matcher = constrain.compile(constrain.json_schema(schema), NUMERALS).matcher()
    step = Fraction("123456789.25")
    for n in range(1, 9):
        probe = matcher.copy()
        text = plain(step * n)
        probe.accept_bytes(text.encode())
        assert probe.is_accepting
        for end in range(1, len(text)):
            other = matcher.copy()
            other.accept_bytes(text[:end].encode())
            rest = other.shortest_completion().decode()
            assert (Fraction(text[:end] + rest) / step).denominator == 1
    assert time.monotonic() - started < 5


def test_a_divisor_of_too_many_digits_is_unsupported() -> None:
    for divisor in (0.1234567891234567, 1.2345678912345678e-20):
        constrain.json_schema({"type": "number", "multipleOf": divisor})
    with pytest.raises(UnsupportedSchemaError, match="multipleOf") as caught:
        constrain.json_schema('{"type": "number", "multipleOf": 1.0000000000000000000001}')
    assert caught.value.pointer == "#"
    with pytest.raises(UnsupportedSchemaError, match="multipleOf"):
        constrain.json_schema({"type": "integer", "multipleOf": 2**63})
