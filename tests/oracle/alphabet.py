"""Which characters a set of bytes can spell, as sorted code point ranges.

SLOW ON PURPOSE, FOR TESTS ONLY. Sets of characters are tuples of inclusive ranges; `None`
stands for "every byte is there". Nothing here knows a grammar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from constrain.grammar import ir

Ranges = tuple[tuple[int, int], ...]

EVERY_CHARACTER: Ranges = ((0, 0xD7FF), (0xE000, 0x10FFFF))


def merged(code_points: Iterable[int]) -> Ranges:
    """Code points as sorted ranges.

    >>> merged([3, 1, 2, 9])
    ((1, 3), (9, 9))
    """
    ranges: list[tuple[int, int]] = []
    for point in sorted(set(code_points)):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return tuple(ranges)


def joined(*sets: Ranges) -> Ranges:
    """Union of sets of characters.

    >>> joined(((1, 3),), ((2, 5), (9, 9)))
    ((1, 5), (9, 9))
    """
    ranges: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges_ in sets for pair in ranges_):
        if ranges and low <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(high, ranges[-1][1]))
        else:
            ranges.append((low, high))
    return tuple(ranges)


def common(first: Ranges, second: Ranges) -> Ranges:
    """Intersection of two sets of characters.

    >>> common(((1, 5),), ((0, 2), (4, 9)))
    ((1, 2), (4, 5))
    """
    pairs = (
        (max(a, c), min(b, d)) for a, b in first for c, d in second if max(a, c) <= min(b, d)
    )
    return tuple(sorted(pairs))


def contains(ranges: Ranges, point: int) -> bool:
    """Whether a code point is in a set."""
    return any(low <= point <= high for low, high in ranges)


@cache
def spelled_by(allowed: frozenset[int] | None) -> Ranges:
    """The characters whose UTF-8 form (RFC 3629) uses allowed bytes only."""
    if allowed is None or allowed >= frozenset(range(0xF5)) - {0xC0, 0xC1}:
        return EVERY_CHARACTER
    found = {byte for byte in allowed if byte < 0x80}
    continuation = [byte & 0x3F for byte in allowed if 0x80 <= byte < 0xC0]
    for lead in allowed:
        if 0xC2 <= lead < 0xE0:
            found.update(_followed((lead & 0x1F,), continuation, 1, 0x80))
        elif 0xE0 <= lead < 0xF0:
            found.update(_followed((lead & 0x0F,), continuation, 2, 0x800))
        elif 0xF0 <= lead < 0xF5:
            found.update(_followed((lead & 0x07,), continuation, 3, 0x10000))
    return common(merged(found), EVERY_CHARACTER)


def _followed(
    start: Iterable[int], continuation: list[int], count: int, least: int
) -> Iterator[int]:
    """Code points made of a lead's bits and `count` continuation bytes."""
    points = list(start)
    for _ in range(count):
        points = [point << 6 | bits for point in points for bits in continuation]
    return (point for point in points if least <= point <= 0x10FFFF)


def split_utf8(data: bytes) -> tuple[str, bytes] | None:
    """Whole characters and the unfinished one after them; None if it cannot be UTF-8.

    >>> split_utf8("aé".encode() + b"\\xe2\\x82")
    ('aé', b'\\xe2\\x82')
    """
    for cut in range(min(4, len(data) + 1)):
        head, rest = data[: len(data) - cut], data[len(data) - cut :]
        try:
            text = head.decode()
        except UnicodeDecodeError:
            continue
        return (text, rest) if not rest or unfinished(rest) else None
    return None


def unfinished(rest: bytes) -> Ranges:
    """The characters whose UTF-8 form begins with `rest` and is longer."""
    lead = rest[0]
    bounds = (0xC2, 0xE0, 0xF0, 0xF5)
    length = 1 + sum(lead >= bound for bound in bounds[:3])
    if not bounds[0] <= lead < bounds[3] or len(rest) >= length:
        return ()
    if any(not 0x80 <= byte < 0xC0 for byte in rest[1:]):
        return ()
    point = lead & (0x1F, 0x0F, 0x07)[length - 2]
    for byte in rest[1:]:
        point = point << 6 | byte & 0x3F
    free = 6 * (length - len(rest))
    least = (0x80, 0x800, 0x10000)[length - 2]
    low, high = point << free, ((point + 1) << free) - 1
    if high < least or low > 0x10FFFF:
        return ()
    return common(((max(low, least), min(high, 0x10FFFF)),), EVERY_CHARACTER)


def boundaries(node: object) -> set[int]:
    """Code points at which a grammar begins to treat characters differently.

    Between two neighbours of this set all characters are alike to the node: it is walked
    whole, object keys and everything else included.
    """
    found: set[int] = set()
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            for letter in item:
                found.update((ord(letter), ord(letter) + 1))
        elif isinstance(item, ir.Chars):
            for low, high in item.ranges:
                found.update((low, high + 1))
        elif isinstance(item, ir.MultipleOf):
            found.update(range(0x2E, 0x3B))
        elif isinstance(item, tuple):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif hasattr(item, "__dataclass_fields__"):
            pending.extend(getattr(item, name) for name in item.__dataclass_fields__)
    return found


def representatives(ranges: Ranges, marks: Iterable[int]) -> list[int]:
    """One code point of `ranges` for each stretch between two marks.

    >>> representatives(((10, 20),), [12, 13, 99])
    [10, 12, 13]
    """
    edges = sorted({0, *marks})
    found = []
    for low, high in ranges:
        inside = {low, *(edge for edge in edges if low <= edge <= high)}
        found.extend(sorted(inside))
    return found
