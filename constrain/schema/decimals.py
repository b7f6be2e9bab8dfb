"""Exact plain-decimal text: one number's spelling, and the texts of all numbers in a range.

Everything is `int` and `Decimal` comparison or digit strings; no float, and no `Decimal`
arithmetic, which would round. A *magnitude* is a number without its sign.

Source: the digit-by-digit comparison is the usual one for numerals of equal length; longer
integer parts without leading zeros are greater.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from constrain.grammar.ir import Chars, Choice, Intersect, Literal, Node, Repeat, Sequence

Number: TypeAlias = int | Decimal

MAX_DIGITS = 1_000

EMPTY = Literal("")
NOTHING = Choice(())
DIGIT = Chars(((0x30, 0x39),))
DIGITS = Repeat(DIGIT)
NONZERO = Chars(((0x31, 0x39),))
ZEROS = Repeat(Literal("0"))
WHOLE = Choice((Literal("0"), Sequence((NONZERO, DIGITS))))
FRACTION = Sequence((Literal("."), Repeat(DIGIT, 1)))
OPTIONAL_FRACTION = Repeat(FRACTION, 0, 1)
ZERO_FRACTION = Repeat(Sequence((Literal("."), Repeat(Literal("0"), 1))), 0, 1)
POSITIVE_DIGITS = Sequence((ZEROS, NONZERO, DIGITS))


def exact(value: float | Decimal) -> Number | None:
    """The number a JSON value stands for: `int` when integral, else `Decimal`.

    A float stands for its shortest decimal spelling (0.1 is one tenth). None for numbers of
    more than `MAX_DIGITS` digits on either side of the point, and for NaN and infinities.

    >>> exact(1.50), exact(2.0)
    (Decimal('1.5'), 2)
    """
    if isinstance(value, int):
        return int(value) if value.bit_length() <= MAX_DIGITS * 3.3 else None
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        return None
    if not number:
        return 0
    exponent = int(number.as_tuple().exponent)
    if number.adjusted() > MAX_DIGITS or exponent < -MAX_DIGITS:
        return None
    if exponent >= 0 or number == int(number):
        return int(number)
    return number


def plain(number: Number) -> str:
    """The shortest plain decimal spelling.

    >>> plain(Decimal("-0.0750")), plain(12)
    ('-0.075', '12')
    """
    if isinstance(number, int):
        return str(number)
    sign, whole, fraction = _split(number)
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def floor(number: Number) -> int:
    """The greatest integer not above."""
    whole = int(number)
    return whole - 1 if whole > number else whole


def ceiling(number: Number) -> int:
    """The least integer not below."""
    whole = int(number)
    return whole + 1 if whole < number else whole


def negated(number: Number) -> Number:
    """The number with the other sign; exact at any length."""
    return number.copy_negate() if isinstance(number, Decimal) else -number


def magnitudes(
    low: Number, low_open: bool, high: Number | None, high_open: bool, *, whole: bool
) -> Node:
    """Texts of the numbers from `low` (>= 0) to `high`, without sign and exponent.

    Args:
        low: the lower bound.
        low_open: whether it is itself left out.
        high: the upper bound; None: without bound.
        high_open: whether it is itself left out.
        whole: integer texts only (no point); the bounds must then be closed integers.

    Cost: a node of size O(digits of the bounds), nested as deep as a bound has digits.
    """
    parts: list[Node] = []
    if low or low_open:
        parts.append(_at_least(low, low_open, whole=whole))
    if high is not None:
        parts.append(_at_most(high, high_open, whole=whole))
    if not parts:
        return WHOLE if whole else Sequence((WHOLE, OPTIONAL_FRACTION))
    return parts[0] if len(parts) == 1 else Intersect(tuple(parts))


def _split(number: Number) -> tuple[str, str, str]:
    """Sign, integer digits, fraction digits without trailing zeros."""
    negative, digits, exponent = Decimal(number).as_tuple()
    text = "".join(map(str, digits))
    shift = int(exponent)
    if shift >= 0:
        whole, fraction = text + "0" * shift, ""
    else:
        text = text.rjust(1 - shift, "0")
        whole, fraction = text[:shift], text[shift:].rstrip("0")
    return "-" if negative else "", whole.lstrip("0") or "0", fraction


def _digit_between(low: str, high: str) -> Node | None:
    """One digit from `low` to `high`, or None if there is none."""
    return Chars(((ord(low), ord(high)),)) if low <= high else None


def _at_least(low: Number, is_open: bool, *, whole: bool) -> Node:
    _, integer, fraction = _split(low)
    tail = EMPTY if whole else OPTIONAL_FRACTION
    node = _fraction_at_least(fraction, is_open, whole=whole)
    for i in range(len(integer) - 1, -1, -1):
        node = Sequence((Literal(integer[i]), node))
        greater = _digit_between(chr(ord(integer[i]) + 1), "9")
        if greater is not None:
            rest = Repeat(DIGIT, len(integer) - 1 - i, len(integer) - 1 - i)
            node = Choice((node, Sequence((greater, rest, tail))))
    longer = Sequence((NONZERO, Repeat(DIGIT, len(integer)), tail))
    return Choice((node, longer))


def _fraction_at_least(fraction: str, is_open: bool, *, whole: bool) -> Node:
    """What may follow an integer part equal to the bound's, point included."""
    if not fraction:
        if whole:
            return EMPTY
        return Sequence((Literal("."), POSITIVE_DIGITS)) if is_open else OPTIONAL_FRACTION
    node: Node = POSITIVE_DIGITS if is_open else DIGITS
    for digit in reversed(fraction):
        node = Sequence((Literal(digit), node))
        greater = _digit_between(chr(ord(digit) + 1), "9")
        if greater is not None:
            node = Choice((node, Sequence((greater, DIGITS))))
    return Sequence((Literal("."), node))


def _at_most(high: Number, is_open: bool, *, whole: bool) -> Node:
    _, integer, fraction = _split(high)
    tail = EMPTY if whole else OPTIONAL_FRACTION
    node = _fraction_at_most(fraction, is_open, whole=whole)
    count = len(integer)
    for i in range(count - 1, -1, -1):
        node = Sequence((Literal(integer[i]), node))
        lowest = "1" if i == 0 and count > 1 else "0"
        smaller = _digit_between(lowest, chr(ord(integer[i]) - 1))
        if smaller is not None:
            rest = Repeat(DIGIT, count - 1 - i, count - 1 - i)
            node = Choice((node, Sequence((smaller, rest, tail))))
    if count == 1:
        return node
    shorter = Choice((Literal("0"), Sequence((NONZERO, Repeat(DIGIT, 0, count - 2)))))
    return Choice((node, Sequence((shorter, tail))))


def _fraction_at_most(fraction: str, is_open: bool, *, whole: bool) -> Node:
    """What may follow an integer part equal to the bound's, point included."""
    if not fraction:
        if is_open:
            return NOTHING
        return EMPTY if whole else ZERO_FRACTION
    node: Node = NOTHING if is_open else ZEROS
    for i in range(len(fraction) - 1, -1, -1):
        node = Sequence((Literal(fraction[i]), node))
        smaller = _digit_between("0", chr(ord(fraction[i]) - 1))
        alternatives: list[Node] = [node]
        if smaller is not None:
            alternatives.append(Sequence((smaller, DIGITS)))
        if i > 0:
            alternatives.append(EMPTY)
        node = Choice(tuple(alternatives)) if len(alternatives) > 1 else node
    return Repeat(Sequence((Literal("."), node)), 0, 1)
