"""Number cases: a range, a divisor, or a finite set; their conjunction and their JSON text.

The declared text form of numbers:
- no bound and no `multipleOf`: all of RFC 8259 for `number`, `-?(0|[1-9][0-9]*)` for `integer`;
- with a bound or `multipleOf`: plain decimals without exponent (trailing zeros of a fraction
  allowed); integers, and numbers with an integral `multipleOf`, without a point;
- `enum` and `const`: the shortest plain decimal spelling of each number; where the schema
  writes an integral one as 2.0, and does not ask for integers, that too.
With a lower bound (the next integer, for integers) of zero or more, no minus sign is written;
otherwise "-0" is zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Final

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    MultipleOf,
    Node,
    OneOf,
    Repeat,
    Sequence,
)
from constrain.schema.decimals import (
    DIGIT,
    OPTIONAL_FRACTION,
    WHOLE,
    ZERO_FRACTION,
    ZEROS,
    Number,
    ceiling,
    floor,
    magnitudes,
    negated,
    plain,
)

MAX_DIVISOR: Final = 2**63
"""Divisors are below this, once multiplied by the power of ten that makes them whole."""

_SIGN = Repeat(Literal("-"), 0, 1)
_EXPONENT = Sequence(
    (
        Chars(((0x45, 0x45), (0x65, 0x65))),
        Repeat(Chars(((0x2B, 0x2B), (0x2D, 0x2D))), 0, 1),
        Repeat(DIGIT, 1),
    )
)
INTEGER_TEXT = Sequence((_SIGN, WHOLE))
NUMBER_TEXT = Sequence((_SIGN, WHOLE, OPTIONAL_FRACTION, Repeat(_EXPONENT, 0, 1)))


@dataclass(frozen=True, slots=True)
class NumberCase:
    """Numbers in a range that are multiples of something, or a finite set of numbers.

    Attributes:
        integral: integers only.
        low, high: bounds, None for no bound.
        low_open, high_open: whether the bound itself is left out.
        multiple: `(p, q)` in lowest terms: multiples of p/q; None: no such demand.
        values: if not None, exactly these numbers; the other fields are then at rest.
        pointed: those of `values` that may be written with ".0", too.
        excluded: numbers of these cases are left out; plain decimals only are then written.
    """

    integral: bool = False
    low: Number | None = None
    low_open: bool = False
    high: Number | None = None
    high_open: bool = False
    multiple: tuple[int, int] | None = None
    values: tuple[Number, ...] | None = None
    pointed: frozenset[Number] = frozenset()
    excluded: tuple[NumberCase, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no number is in the case (exact where nothing is excluded)."""
        if self.values is not None:
            return not self.values
        if any(_covers(other, self) for other in self.excluded):
            return True
        if self.low is None or self.high is None:
            return False
        if self.multiple is not None or self.integral:
            step, scale = _divisor(self)
            first, last = _scaled_range(self, scale)
            return first + (-first) % step > last
        return self.low > self.high or (
            self.low == self.high and (self.low_open or self.high_open)
        )

    def has(self, number: Number) -> bool:
        """Whether a number is in the case."""
        if self.values is not None:
            return number in self.values
        if self.integral and not isinstance(number, int):
            return False
        if any(other.has(number) for other in self.excluded):
            return False
        if self.low is not None and (
            number < self.low or (self.low_open and number == self.low)
        ):
            return False
        if self.high is not None and (
            number > self.high or (self.high_open and number == self.high)
        ):
            return False
        if self.multiple is None:
            return True
        over, under = number.as_integer_ratio()
        return over * self.multiple[1] % (under * self.multiple[0]) == 0


ANY_NUMBER = NumberCase()
ANY_INTEGER = NumberCase(integral=True)


def conjoin_numbers(a: NumberCase, b: NumberCase) -> NumberCase:
    """The numbers in both cases."""
    if b in {a, ANY_NUMBER}:
        return a
    if a == ANY_NUMBER:
        return b
    if a.values is not None and b.values is not None:
        kept = set(b.values)
        values = tuple(v for v in a.values if v in kept)
        return NumberCase(values=values, pointed=a.pointed & b.pointed)
    if a.values is not None or b.values is not None:
        return _chosen(a, b) if b.values is None else _chosen(b, a)
    low, low_open = _tighter(a.low, a.low_open, b.low, b.low_open, greater=True)
    high, high_open = _tighter(a.high, a.high_open, b.high, b.high_open, greater=False)
    return NumberCase(
        a.integral or b.integral,
        low,
        low_open,
        high,
        high_open,
        _common_multiple(a.multiple, b.multiple),
        excluded=a.excluded + tuple(other for other in b.excluded if other not in a.excluded),
    )


def _chosen(finite: NumberCase, case: NumberCase) -> NumberCase:
    """The numbers of a finite case that are in another, which is not finite."""
    values = tuple(v for v in finite.values or () if case.has(v))
    whole = _divisor(case) != (0, 1) and _divisor(case)[1] == 1
    return NumberCase(values=values, pointed=frozenset() if whole else finite.pointed)


def complement_numbers(cases: tuple[NumberCase, ...]) -> tuple[NumberCase, ...] | None:
    """The numbers in none of the cases, or None where their texts are not regular."""
    result = [ANY_NUMBER]
    for case in cases:
        if case.integral or case.multiple or case.values is not None or case.excluded:
            away = [NumberCase(excluded=(case,))]
        else:
            away = []
            if case.low is not None:
                away.append(NumberCase(high=case.low, high_open=not case.low_open))
            if case.high is not None:
                away.append(NumberCase(low=case.high, low_open=not case.high_open))
        both = [conjoin_numbers(x, y) for x in result for y in away]
        result = [case for case in both if not case.is_empty]
    if any(number_text(case) is None for case in result):
        return None
    return tuple(result)


@lru_cache(maxsize=1024)
def number_text(case: NumberCase) -> Node | None:
    """The texts of a case, or None where a divisor has too many digits (`MAX_DIVISOR`)."""
    if case.values is not None:
        pointed = [f"{plain(v)}.0" for v in case.values if v in case.pointed]
        return OneOf((*map(plain, case.values), *pointed))
    if case.excluded:
        return _text_without(case)
    if case == ANY_NUMBER:
        return NUMBER_TEXT
    if case == ANY_INTEGER:
        return INTEGER_TEXT
    return _bounded_text(case)


def _text_without(case: NumberCase) -> Node | None:
    """Plain texts of a case, less every plain spelling of what it excludes."""
    parts = [_bounded_text(replace(case, excluded=()))]
    for other in case.excluded:
        wide = _every_spelling(other)
        parts.append(None if wide is None else Complement(wide))
    nodes = [part for part in parts if part is not None]
    return Intersect(tuple(nodes)) if len(nodes) == len(parts) else None


def _every_spelling(case: NumberCase) -> Node | None:
    """All plain decimals that stand for a number of the case."""
    if case.values is not None:
        whole = [plain(value) for value in case.values if isinstance(value, int)]
        other = [plain(value) for value in case.values if not isinstance(value, int)]
        node: Node | None = Choice(
            (
                Sequence((OneOf(tuple(whole)), ZERO_FRACTION)),
                Sequence((OneOf(tuple(other)), ZEROS)),
            )
        )
    elif case.excluded:
        node = _text_without(case)
    else:
        node = _bounded_text(case)
    if node is None:
        return None
    zero = (Literal("-0"),) if case.has(0) else ()
    step, scale = _divisor(case)
    if step and scale == 1:
        return Sequence((Choice((node, *zero)), ZERO_FRACTION))
    return Choice((node, *(Sequence((text, ZERO_FRACTION)) for text in zero)))


def _bounded_text(case: NumberCase) -> Node | None:
    """Plain decimals of a range with its divisor."""
    step, scale = _divisor(case)
    if step >= MAX_DIVISOR:
        return None
    if scale == 1 and step:
        return _integer_text(case, step)
    places, divisor = _decimal_divisor(step, scale) if step else (0, 0)
    if divisor >= MAX_DIVISOR:
        return None
    low, high = case.low, case.high
    alternatives: list[Node] = []
    if high is None or high > 0 or (high == 0 and not case.high_open):
        positive = low is not None and low >= 0
        node = magnitudes(
            low if positive and low is not None else 0,
            case.low_open and positive,
            high,
            case.high_open,
            whole=False,
        )
        alternatives.append(_multiples_in(node, high, divisor, places))
    if low is None or low < 0:
        negative = high is not None and high <= 0
        most = None if low is None else negated(low)
        node = magnitudes(
            negated(high) if negative and high is not None else 0,
            case.high_open and negative,
            most,
            case.low_open,
            whole=False,
        )
        alternatives.append(
            Sequence((Literal("-"), _multiples_in(node, most, divisor, places)))
        )
    return alternatives[0] if len(alternatives) == 1 else Choice(tuple(alternatives))


def _decimal_divisor(step: int, scale: int) -> tuple[int, int]:
    """The least k with step/scale * 10**k whole, and that number; scale divides a 10**k."""
    places, unit = 0, 1
    while unit % scale:
        places, unit = places + 1, unit * 10
    return places, step * (unit // scale)


def _multiples_in(range_: Node, high: Number | None, divisor: int, places: int) -> Node:
    """Decimals of a range, no greater than `high`, that are multiples of divisor/10**places.

    Under an upper bound the zeros after the last place stand apart: a text without them has a
    greatest length, from which the kernel sees at once where no multiple can follow.
    """
    if not divisor:
        return range_
    if divisor == 1:
        fraction = Sequence((Literal("."), Repeat(DIGIT, 1, places), ZEROS))
        return Intersect((range_, Sequence((Repeat(DIGIT, 1), Repeat(fraction, 0, 1)))))
    multiples = MultipleOf(divisor, places)
    if high is None:
        return Intersect((range_, multiples))
    whole = Repeat(DIGIT, 1, len(str(floor(high))))
    exact = Sequence((whole, Literal("."), Repeat(DIGIT, places, places)))
    fraction = Sequence((Literal("."), Repeat(DIGIT, 1, places - 1)))
    shorter = Sequence((whole, Repeat(fraction, 0, 1))) if places > 1 else whole
    return Choice(
        (
            Intersect((range_, shorter, multiples)),
            Sequence((Intersect((range_, exact, multiples)), ZEROS)),
        )
    )


def _integer_text(case: NumberCase, step: int) -> Node:
    """Integers of the case that are multiples of `step`."""
    low, high = _integer_range(case)
    multiples = MultipleOf(step) if step > 1 else None
    alternatives: list[Node] = []
    if high is None or high >= 0:
        node = magnitudes(max(low or 0, 0), False, high, False, whole=True)
        alternatives.append(_both(node, multiples))
    if low is None or low < 0:
        least = 0 if high is None else max(-high, 0)
        node = magnitudes(least, False, None if low is None else -low, False, whole=True)
        alternatives.append(Sequence((Literal("-"), _both(node, multiples))))
    return alternatives[0] if len(alternatives) == 1 else Choice(tuple(alternatives))


def _covers(other: NumberCase, case: NumberCase) -> bool:
    """Whether every number of `case` is surely in `other`."""
    if other.values is not None or other.excluded:
        return False
    step, scale = _divisor(case)
    least, parts = _divisor(other)
    if least and (not step or step * parts % (scale * least)):
        return False
    cut = conjoin_numbers(replace(case, excluded=()), NumberCase(
        low=other.low, low_open=other.low_open, high=other.high, high_open=other.high_open,
    ))  # fmt: skip
    return cut == replace(case, excluded=())


def _integer_range(case: NumberCase) -> tuple[int | None, int | None]:
    """The closed integer bounds of the case."""
    low = high = None
    if case.low is not None:
        low = floor(case.low) + 1 if case.low_open else ceiling(case.low)
    if case.high is not None:
        high = ceiling(case.high) - 1 if case.high_open else floor(case.high)
    return low, high


def _scaled_range(case: NumberCase, scale: int) -> tuple[int, int]:
    """Closed integer bounds of `scale` times the numbers of a case with both bounds."""
    low, high = case.low, case.high
    assert low is not None and high is not None, case  # noqa: PT018  one invariant
    over, under = low.as_integer_ratio()
    first = over * scale // under + 1 if case.low_open else -(-over * scale // under)
    over, under = high.as_integer_ratio()
    last = -(-over * scale // under) - 1 if case.high_open else over * scale // under
    return first, last


def _divisor(case: NumberCase) -> tuple[int, int]:
    """`(p, q)`: the case holds multiples of p/q only; `(0, 1)`: no such demand."""
    if case.multiple is None:
        return (1, 1) if case.integral else (0, 1)
    step, scale = case.multiple
    return (step, 1) if case.integral else (step, scale)


def _common_multiple(
    a: tuple[int, int] | None, b: tuple[int, int] | None
) -> tuple[int, int] | None:
    if a is None or b is None:
        return a or b
    return a[0] * b[0] // gcd(a[0], b[0]), gcd(a[1], b[1])


def _tighter(
    a: Number | None, a_open: bool, b: Number | None, b_open: bool, *, greater: bool
) -> tuple[Number | None, bool]:
    """The tighter of two bounds: the greater of lower ones, the smaller of upper ones."""
    if a is None:
        return b, b_open
    if b is None:
        return a, a_open
    if a == b:
        return a, a_open or b_open
    return (a, a_open) if (a > b) is greater else (b, b_open)


def _both(node: Node, other: Node | None) -> Node:
    return node if other is None else Intersect((node, other))
