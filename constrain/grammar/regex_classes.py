"""Sets of characters as sorted, disjoint, inclusive code point ranges, and their algebra."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from constrain.grammar.ir import MAX_CHAR

Ranges: TypeAlias = tuple[tuple[int, int], ...]

ALL: Final[Ranges] = ((0, MAX_CHAR),)


def merge(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort ranges and join those that touch or overlap.

    >>> merge([(5, 9), (1, 4), (20, 20)])
    ((1, 9), (20, 20))
    """
    ordered = sorted(ranges)
    if len(ordered) < 2:  # noqa: PLR2004 - nothing to join
        return tuple(ordered)
    joined: list[tuple[int, int]] = []
    low, high = ordered[0]
    for start, end in ordered:
        if start <= high + 1:
            high = max(high, end)
        else:
            joined.append((low, high))
            low, high = start, end
    joined.append((low, high))
    return tuple(joined)


def negate(ranges: Ranges) -> Ranges:
    """All other characters.

    >>> negate(((0, 64), (91, 0x10FFFF)))
    ((65, 90),)
    """
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= MAX_CHAR:
        gaps.append((start, MAX_CHAR))
    return tuple(gaps)


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """Characters in both sets. Linear in the number of ranges.

    >>> intersect(((0, 9),), ((5, 20),))
    ((5, 9),)
    """
    if left == ALL:
        return right
    if right == ALL:
        return left
    both: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            both.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(both)


def contains(ranges: Ranges, code: int) -> bool:
    """Whether a character is in the set."""
    return any(low <= code <= high for low, high in ranges)


def ranges_of(codes: Iterable[int]) -> Ranges:
    """The set of single characters given.

    >>> ranges_of([3, 1, 2, 9])
    ((1, 3), (9, 9))
    """
    return merge((code, code) for code in codes)


def partition(sets: Iterable[Ranges]) -> list[Ranges]:
    """Split all characters into classes that no given set cuts.

    Cost: sorting the ends of all ranges.

    >>> partition([((97, 97),)])
    [((0, 96), (98, 1114111)), ((97, 97),)]
    """
    flips: dict[int, int] = {0: 0}
    for bit, ranges in enumerate(dict.fromkeys(sets)):
        for low, high in ranges:
            flips[low] = flips.get(low, 0) ^ 1 << bit
            flips[high + 1] = flips.get(high + 1, 0) ^ 1 << bit
    points = sorted(point for point in flips if point <= MAX_CHAR)
    classes: dict[int, list[tuple[int, int]]] = {}
    membership = 0
    for start, following in zip(points, [*points[1:], MAX_CHAR + 1], strict=True):
        membership ^= flips[start]
        classes.setdefault(membership, []).append((start, following - 1))
    return [merge(ranges) for ranges in classes.values()]


def unpacked(text: str) -> Ranges:
    """A set as the generated tables write it: ranges in base 36, `first-last` or `only`.

    >>> unpacked("2p-3e 53")
    ((97, 122), (183, 183))
    """
    pairs = (item.split("-") for item in text.split())
    return tuple((int(pair[0], 36), int(pair[-1], 36)) for pair in pairs)
