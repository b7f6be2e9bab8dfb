"""Upper bounds of counts; None is no bound."""

from __future__ import annotations


def least(a: int | None, b: int | None) -> int | None:
    """The smaller of two upper bounds."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)
