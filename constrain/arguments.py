"""Arguments of the public functions: what is a number, and how a wrong one is told.

A number may come from numpy or another library; it is kept as a Python number. A bool is none.
"""

from __future__ import annotations

import math
from numbers import Real
from operator import index

from constrain.errors import ArgumentError, shorten


def unfit(name: str, value: object, expected: str) -> ArgumentError:
    """The error that names an argument, what was given and what was expected.

    >>> str(unfit("top_k", -1, "0 or more"))
    'top_k is -1; expected 0 or more'
    """
    message = f"{name} is {shorten(value)}; expected {expected}"
    return ArgumentError(message, name=name, value=value)


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Raise `ArgumentError`, as `unfit` makes it, unless the condition holds."""
    if not condition:
        raise unfit(name, value, expected)


def as_float(value: object) -> float | None:
    """A real number as a Python float, which may be infinite or NaN; None if it is no number.

    >>> as_float(2), as_float("2"), as_float(True), as_float(10**400)
    (2.0, None, None, inf)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # an int or a fraction beyond all floats, of either sign
        return math.inf


def as_int(value: object) -> int | None:
    """An integer as a Python int; None if it is none (2.0 is none).

    >>> as_int(2), as_int(2.0), as_int(True)
    (2, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return index(value)  # type: ignore[arg-type]  # what has no index is a TypeError
    except TypeError:
        return None


def integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """An integer of at least `least` and at most `most`.

    Raises:
        ArgumentError: it is none.
    """
    found = as_int(value)
    if found is None or found < least:
        raise unfit(name, value, f"an int, at least {least}")
    require(most is None or found <= most, name, value, f"at most {most}")
    return found
