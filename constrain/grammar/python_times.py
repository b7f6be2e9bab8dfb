"""JSON Schemas for `date`, `time`, `datetime` and `timedelta`, bounds included.

Texts of fixed width (`2020-01-31`, `10:00:00.000000`) are ordered as their values are, so a
bound is a regular language of the text. Bounded times and datetimes are written to the second
or to the microsecond, and in UTC (`Z`) when their bound has an offset: every value within
the bounds keeps a spelling.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from constrain.grammar import python_patterns

Schema = dict[str, Any]
_DAY = dt.timedelta(days=1)
_MICROSECOND = dt.timedelta(microseconds=1)
_LONGEST = dt.timedelta(999_999_999)  # whole days; `timedelta` itself ends a day later
_SOME_DAY = dt.date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds as pydantic has them; None: not given."""

    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None

    @property
    def given(self) -> list[Any]:
        """The bounds that are there."""
        return [bound for bound in (self.gt, self.ge, self.lt, self.le) if bound is not None]

    def inclusive(self, step: dt.timedelta) -> tuple[list[Any], list[Any]]:
        """Lower and upper bounds, the strict ones moved inwards by `step`.

        Raises:
            ValueError: nothing lies beyond a strict bound.
        """
        try:
            lows = [self.ge, None if self.gt is None else self.gt + step]
            highs = [self.le, None if self.lt is None else self.lt - step]
        except OverflowError:
            raise ValueError("nothing lies beyond a bound") from None
        return [low for low in lows if low is not None], [x for x in highs if x is not None]


def date_schema(bounds: Range) -> Schema:
    """JSON Schema of a date (`2020-01-31`).

    Raises:
        ValueError: nothing lies within the bounds.
    """
    lows, highs = bounds.inclusive(_DAY)
    above = [f"^{_at_least(low.isoformat())}$" for low in lows]
    below = [f"^{_at_most(high.isoformat())}$" for high in highs]
    return _all_of([python_patterns.DATE, *above, *below])


def datetime_schema(bounds: Range, zone: str | int | None) -> Schema:
    """JSON Schema of a datetime (`2020-01-31T10:00:00.5Z`).

    Args:
        bounds: all with an offset, or all without.
        zone: "aware", "naive", an offset in seconds, or None: any.

    Raises:
        ValueError: bounds with and without an offset, or bounds and a fixed offset.
    """
    if isinstance(zone, int):
        return _all_of([python_patterns.date_time("aware"), *_fixed_offset(bounds, zone)])
    aware = {bound.utcoffset() is not None for bound in bounds.given}
    if not aware:
        return _all_of([python_patterns.date_time(zone or "any")])
    kind = "aware" if True in aware else "naive"
    if len(aware) > 1 or zone not in (None, kind):
        raise ValueError("bounds with and without a time zone do not go together")

    def text_of(value: dt.datetime) -> str:
        utc = value.astimezone(dt.UTC) if kind == "aware" else value
        return utc.replace(tzinfo=None).isoformat(timespec="microseconds")

    suffix = "Z" if kind == "aware" else ""
    patterns = _bounded(bounds, text_of, suffix)
    return _all_of([python_patterns.date_time(kind), *patterns])


def time_schema(bounds: Range, zone: str | int | None) -> Schema:
    """JSON Schema of a time of day (`10:00:00.5`); arguments as for `datetime_schema`.

    Raises:
        ValueError: a bound with an offset, or a bound beside a zone.
    """
    if isinstance(zone, int):
        return _all_of([python_patterns.time("aware"), *_fixed_offset(bounds, zone)])
    if not bounds.given:
        return _all_of([python_patterns.time(zone or "any")])
    if zone == "aware" or any(bound.tzinfo for bound in bounds.given):
        raise ValueError("bounds on times with an offset are not supported")
    days = [
        None if bound is None else dt.datetime.combine(_SOME_DAY, bound)
        for bound in (bounds.gt, bounds.ge, bounds.lt, bounds.le)
    ]
    patterns = _bounded(
        Range(*days), lambda value: value.time().isoformat(timespec="microseconds"), ""
    )
    return _all_of([python_patterns.time("naive"), *patterns])


def timedelta_schema(bounds: Range, *, strict: bool) -> Schema:
    """JSON Schema of a duration: ISO 8601, or with bounds a number of seconds.

    Raises:
        ValueError: bounds on a strict duration, which must be ISO 8601.
    """
    if not bounds.given:
        return _all_of([python_patterns.duration()])
    if strict:
        raise ValueError("bounds on a strict duration are not supported")
    lows, highs = bounds.inclusive(_MICROSECOND)
    low, high = max([*lows, -_LONGEST]), min([*highs, _LONGEST])
    return {"type": "number", "minimum": _seconds(low), "maximum": _seconds(high)}


def _seconds(value: dt.timedelta) -> int | float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _fixed_offset(bounds: Range, offset: int) -> list[str]:
    if bounds.given:
        raise ValueError("bounds beside a fixed time zone are not supported")
    hours, minutes = divmod(abs(offset) // 60, 60)
    sign = "-" if offset < 0 else r"\+"
    return [f"{sign}{hours:02}:{minutes:02}$" if offset else r"(?:Z|[+-]00:00)$"]


def _bounded(bounds: Range, text_of: Callable[[Any], str], suffix: str) -> list[str]:
    """Patterns for texts to the second or the microsecond that lie within bounds."""
    lows, highs = bounds.inclusive(_MICROSECOND)
    patterns = []
    for low in lows:
        exact = text_of(low)
        options = [_at_least(exact)]
        try:
            whole = text_of(low + _MICROSECOND * (-low.microsecond % 1_000_000))
        except OverflowError:  # no whole second follows
            whole = ""
        if whole and (whole >= exact):  # a time of day wraps
            options.append(_at_least(whole[:-7]))
        patterns.append(f"^(?:{'|'.join(options)}){suffix}$")
    for high in highs:
        exact = text_of(high)
        options = [_at_most(exact), _at_most(exact[:-7])]
        patterns.append(f"^(?:{'|'.join(options)}){suffix}$")
    return patterns


def _at_least(text: str) -> str:
    """A pattern for texts of the same shape that are not smaller, digits compared in order."""
    return _compared(text, lambda digit: range(digit + 1, 10))


def _at_most(text: str) -> str:
    return _compared(text, range)


def _compared(text: str, beyond: Callable[[int], range]) -> str:
    options = [_literal(text)]
    for index, char in enumerate(text):
        digits = beyond(int(char)) if char.isdigit() else range(0)
        if digits:
            rest = "".join("[0-9]" if c.isdigit() else _literal(c) for c in text[index + 1 :])
            options.append(f"{_literal(text[:index])}[{digits[0]}-{digits[-1]}]{rest}")
    return f"(?:{'|'.join(options)})"


def _literal(text: str) -> str:
    return text.replace(".", r"\.")


def _all_of(patterns: list[str]) -> Schema:
    return {"type": "string", **python_patterns.all_of(patterns)}
