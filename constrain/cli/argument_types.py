"""What an option's text may be: numbers of several kinds, each with its error message."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def whole(text: str) -> int:
    """0, 1, 2 and so on."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def positive(text: str) -> int:
    """1, 2 and so on."""
    value = whole(text)
    if value == 0:
        raise ArgumentTypeError("must be 1 or more")
    return value


def window(text: str) -> int:
    """How many of the last tokens; -1 means all."""
    if text == "-1":
        return -1
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is no whole number of 0 or more, nor -1 (all)")
    return int(text)
