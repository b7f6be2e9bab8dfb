"""JSON Schemas for Python's `float` and `Decimal`, within what pydantic reads back.

Pydantic reads every JSON number with a fraction or an exponent as a double, also for a
`Decimal` (through the double's shortest text). So `0.99999999999999999` is 1.0 and not below
1, and 17 digits of a decimal are not kept. Bounds are moved to the nearest double inside them
(every double in range can still be said); decimals are numbers of at most 15 digits, which
doubles keep exactly, or strings, which keep everything.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from constrain.grammar import python_patterns

_KEPT_DIGITS = sys.float_info.dig  # 15: decimals of so many digits survive a double
_LARGEST_FINITE = 1e100  # one digit is one level of the automaton; 309 would be too deep
Real = int | float | Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """Constraints on a number, as pydantic has them; None: not given."""

    gt: Real | None = None
    ge: Real | None = None
    lt: Real | None = None
    le: Real | None = None
    multiple_of: Real | None = None

    @property
    def any(self) -> bool:
        """Whether there is any constraint."""
        return any(
            value is not None
            for value in (self.gt, self.ge, self.lt, self.le, self.multiple_of)
        )


def float_schema(bounds: Bounds, *, finite: bool) -> dict[str, Any]:
    """JSON Schema of a float.

    >>> float_schema(Bounds(ge=0, lt=1), finite=False)
    {'type': 'number', 'minimum': 0, 'maximum': 0.9999999999999999}
    """
    schema: dict[str, Any] = {"type": "number"}
    if bounds.multiple_of is not None:
        schema["multipleOf"] = bounds.multiple_of
    schema |= _beyond_zero(bounds)
    lows = [_up(bounds.ge, strict=False), _up(bounds.gt, strict=True)]
    highs = [_down(bounds.le, strict=False), _down(bounds.lt, strict=True)]
    if finite:
        lows.append(-_LARGEST_FINITE)
        highs.append(_LARGEST_FINITE)
        schema["$comment"] = "up to 1e100, as bounded numbers are written without exponent"
    low = max((value for value in lows if value is not None), default=-math.inf)
    high = min((value for value in highs if value is not None), default=math.inf)
    if low > -math.inf:
        schema["minimum"] = _plain(Decimal(repr(low)))
    if high < math.inf:
        schema["maximum"] = _plain(Decimal(repr(high)))
    return schema


def _up(bound: Real | None, *, strict: bool) -> float | None:
    """The smallest double whose shortest text is above (or at) the bound; None: no bound.

    Nor is one given for "above 0": that double, 5e-324, has 324 digits; see `_beyond_zero`.
    """
    if bound is None or (strict and bound == 0):
        return None
    value = float(bound)
    if not math.isfinite(value):
        return math.nextafter(value, math.inf) if strict else value
    exact = _exact(bound)
    while (Decimal(repr(value)) <= exact) if strict else (Decimal(repr(value)) < exact):
        value = math.nextafter(value, math.inf)
    return value


def _down(bound: Real | None, *, strict: bool) -> float | None:
    if bound is None:
        return None
    mirrored = _up(-bound, strict=strict)
    return None if mirrored is None else -mirrored


def _beyond_zero(bounds: Bounds) -> dict[str, Any]:
    """The bounds "above 0" and "below 0", as they are.

    Texts that pydantic rounds to 0 (of at least 324 zeros) are not left out: the automaton
    for them would have as many states.
    """
    named = {"exclusiveMinimum": bounds.gt, "exclusiveMaximum": bounds.lt}
    return {name: 0 for name, bound in named.items() if bound is not None and bound == 0}


def _exact(bound: Real) -> Decimal:
    return Decimal(repr(bound)) if isinstance(bound, float) else Decimal(bound)


def _plain(value: Decimal) -> int | float:
    """A JSON number for a decimal that a double's shortest text gives back."""
    whole = abs(value) < 2**53 and value == value.to_integral_value()
    return int(value) if whole else float(value)


def decimal_schema(
    bounds: Bounds, max_digits: int | None, decimal_places: int | None, *, special: bool
) -> dict[str, Any]:
    """JSON Schema of a `Decimal`: a number of up to 15 digits, or a string where unbounded.

    Args:
        bounds: constraints on the value.
        max_digits: greatest number of digits, or None.
        decimal_places: greatest number of digits after the point, or None.
        special: whether NaN and infinities are allowed.

    Raises:
        ValueError: nothing of at most 15 digits lies within the bounds.
    """
    digits = min(max_digits if max_digits is not None else _KEPT_DIGITS, _KEPT_DIGITS)
    if decimal_places is not None:
        places: list[int | None] = [min(decimal_places, digits)]
    elif max_digits is not None:
        places = list(range(digits + 1))
    elif bounds.multiple_of is not None:
        places = [min(_places(_exact(bounds.multiple_of)), digits)]
    else:
        places = [None]
    no_zero = (
        max_digits is not None and decimal_places is not None and decimal_places >= max_digits
    )  # then no digit, not even a zero, may stand before the point
    options: list[dict[str, Any]] = []
    for count in places:
        options += _decimal_numbers(bounds, digits, count, no_zero=no_zero)
    if not bounds.any:
        pattern = python_patterns.decimal(max_digits, decimal_places, special=special)
        options.append({"type": "string", "pattern": pattern})
    if not options:
        raise ValueError(f"no decimal number of at most {digits} digits is within the bounds")
    return options[0] if len(options) == 1 else {"anyOf": options}


def _decimal_numbers(
    bounds: Bounds, digits: int, places: int | None, *, no_zero: bool
) -> list[dict[str, Any]]:
    """Numbers within bounds of at most `digits` digits, `places` of them after the point."""
    if places is None:
        limit = 10**digits - 1
        lows = [_up(bounds.ge, strict=False), _up(bounds.gt, strict=True), -limit]
        highs = [_down(bounds.le, strict=False), _down(bounds.lt, strict=True), limit]
        low = Decimal(repr(max(value for value in lows if value is not None)))
        high = Decimal(repr(min(value for value in highs if value is not None)))
        return _numbers(low, high, _beyond_zero(bounds))
    step = Fraction(1, 10**places)
    largest = 10 ** (digits - places) - step
    if bounds.multiple_of is not None:
        step = _common_multiple(step, Fraction(_exact(bounds.multiple_of)))
    low, high = _on_grid(bounds, step, largest)
    one = _as_decimal(step)
    more = {"multipleOf": _plain(one)}
    if no_zero and low <= 0 <= high:
        return [*_numbers(low, -one, more), *_numbers(one, high, more)]
    return _numbers(low, high, more)


def _numbers(low: Decimal, high: Decimal, more: dict[str, Any]) -> list[dict[str, Any]]:
    if low > high:
        return []
    return [{"type": "number", "minimum": _plain(low), "maximum": _plain(high), **more}]


def _on_grid(bounds: Bounds, step: Fraction, largest: Fraction) -> tuple[Decimal, Decimal]:
    """The least and the greatest multiple of `step` within the bounds and +-`largest`."""
    low, high = math.ceil(-largest / step), math.floor(largest / step)
    if bounds.ge is not None:
        low = max(low, math.ceil(Fraction(_exact(bounds.ge)) / step))
    if bounds.gt is not None:
        low = max(low, math.floor(Fraction(_exact(bounds.gt)) / step) + 1)
    if bounds.le is not None:
        high = min(high, math.floor(Fraction(_exact(bounds.le)) / step))
    if bounds.lt is not None:
        high = min(high, math.ceil(Fraction(_exact(bounds.lt)) / step) - 1)
    return _as_decimal(low * step), _as_decimal(high * step)


def _common_multiple(left: Fraction, right: Fraction) -> Fraction:
    return Fraction(
        math.lcm(left.numerator * right.denominator, right.numerator * left.denominator),
        left.denominator * right.denominator,
    )


def _as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
