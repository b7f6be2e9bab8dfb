"""JSON string literals (RFC 8259 section 7), read character by character.

SLOW ON PURPOSE, FOR TESTS ONLY. "minimal" escapes only what must be escaped; "any" takes
every escape of the standard. A lone surrogate is never a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice

from constrain.grammar import ir
from tests.oracle import alphabet

SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
MUST_ESCAPE = frozenset({*map(chr, range(0x20)), '"', "\\"})
HEX = "0123456789abcdef"
_UNFINISHED = re.compile(
    r"\\(u([0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(\\(u[0-9a-fA-F]{0,3})?)?)?)?", re.ASCII
)


@dataclass(frozen=True)
class Reading:
    """What was found of a literal: its decoded text, its end or what is still open.

    Attributes:
        decoded: the characters read whole.
        end: index after the closing quote; None if the text ran out before it.
        pending: the beginning of an escape at the end of the text, or "".
    """

    decoded: str
    end: int | None
    pending: str = ""


def read(text: str, start: int, escapes: ir.Escapes) -> Reading | None:
    """Read a literal from its opening quote on; None if it is none."""
    if text[start : start + 1] != '"':
        return None
    decoded, position = "", start + 1
    while position < len(text):
        if text[position] == '"':
            return Reading(decoded, position + 1)
        if text[position] != "\\":
            if text[position] in MUST_ESCAPE:
                return None
            decoded += text[position]
            position += 1
            continue
        found = _escape(text, position)
        if found is None:
            rest = text[position:]
            return Reading(decoded, None, rest) if _UNFINISHED.fullmatch(rest) else None
        letter, position = found
        if escapes == "minimal" and letter not in MUST_ESCAPE:
            return None
        decoded += letter
    return Reading(decoded, None)


def _escape(text: str, start: int) -> tuple[str, int] | None:
    """The character of a whole escape and the index after it."""
    letter = text[start + 1 : start + 2]
    if letter in SHORT:
        return SHORT[letter], start + 2
    high = _four_digits(text, start)
    if high is None or 0xDC00 <= high < 0xE000:
        return None
    if not 0xD800 <= high < 0xDC00:
        return chr(high), start + 6
    low = _four_digits(text, start + 6)
    if low is None or not 0xDC00 <= low < 0xE000:
        return None
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), start + 12


def _four_digits(text: str, start: int) -> int | None:
    """The value of a `\\uXXXX` at `start`."""
    found = re.compile(r"\\u([0-9a-fA-F]{4})", re.ASCII).match(text, start)
    return int(found[1], 16) if found else None


def spellings(letter: str, escapes: ir.Escapes) -> list[str]:
    """Every escape that stands for a character, hexadecimal digits in lower case.

    >>> spellings('"', "minimal")
    ['\\\\"', '\\\\u0022']
    """
    if escapes == "minimal" and letter not in MUST_ESCAPE:
        return []
    found = ["\\" + short for short, meaning in SHORT.items() if meaning == letter]
    point = ord(letter)
    if point < 0x10000:
        return [*found, f"\\u{point:04x}"]
    point -= 0x10000
    return [*found, f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"]


def can_write(escape: str, letters: alphabet.Ranges, begun: int = 0) -> bool:
    """Whether an escape can be written, or finished after `begun` characters of it.

    Hexadecimal digits may stand in either case.
    """
    digits = HEX if escape.startswith("\\u") else ""
    return all(
        any(
            alphabet.contains(letters, ord(form))
            for form in ({c, c.upper()} if c in digits else c)
        )
        for c in escape[begun:]
    )


@cache
def decodable(letters: alphabet.Ranges, escapes: ir.Escapes) -> alphabet.Ranges:
    """The characters that a literal written with `letters` can hold."""
    raw = [
        (low, high)
        for low, high in alphabet.common(
            letters, ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF))
        )
    ]
    if letters == alphabet.EVERY_CHARACTER:
        return letters
    escaped = _escapable(letters, escapes)
    return alphabet.joined(tuple(raw), alphabet.merged(escaped))


def _escapable(letters: alphabet.Ranges, escapes: ir.Escapes) -> Iterable[int]:
    """Code points that have an escape written with `letters`."""
    points = set(map(ord, MUST_ESCAPE | {"/"}))
    if escapes == "any" and can_write("\\u", letters):
        digits = [d for d in HEX if can_write("\\u" + d, letters)]
        numbers = [
            int(a + b + c + d, 16)
            for a in digits
            for b in digits
            for c in digits
            for d in digits
        ]
        high = [n - 0xD800 for n in numbers if 0xD800 <= n < 0xDC00]
        low = [n - 0xDC00 for n in numbers if 0xDC00 <= n < 0xE000]
        points.update(n for n in numbers if not 0xD800 <= n < 0xE000)
        points.update(0x10000 + (a << 10) + b for a in high for b in low)
    return (p for p in points if any(can_write(s, letters) for s in spellings(chr(p), escapes)))


def finishing(
    pending: str, escapes: ir.Escapes, letters: alphabet.Ranges, marks: Iterable[int]
) -> list[str]:
    """Characters that an escape begun with `pending` can become, one of each kind.

    Args:
        pending: beginning of an escape.
        escapes: which escapes are allowed.
        letters: the characters the rest may be written with.
        marks: code points where the grammar changes its mind (`alphabet.boundaries`).
    """
    lower = pending.lower() if pending.startswith("\\u") else pending

    def can_become(letter: str) -> bool:
        return any(
            escape.startswith(lower) and can_write(escape, letters, len(lower))
            for escape in spellings(letter, escapes)
        )

    singles = [(ord(c), ord(c)) for c in SHORT.values()]
    possible = alphabet.common(
        alphabet.joined((*_bmp(lower), *_supplementary(lower), *singles)),
        decodable(letters, escapes),
    )
    found = []
    for low, high in possible:
        edges = alphabet.representatives(((low, high),), marks)
        for start, after in zip(edges, [*edges[1:], high + 1], strict=True):
            stretch = range(start, min(after, 0x5D) if escapes == "minimal" else after)
            found += list(islice((chr(p) for p in stretch if can_become(chr(p))), 1))
    return found


def _bmp(pending: str) -> list[tuple[int, int]]:
    """Code points whose `\\uXXXX` begins with `pending`, surrogates left out."""
    if len(pending) > 6 or not "\\u".startswith(pending[:2]):
        return []
    digits = pending[2:]
    pair = (int(digits.ljust(4, "0"), 16), int(digits.ljust(4, "f"), 16))
    return list(alphabet.common((pair,), alphabet.EVERY_CHARACTER))


def _supplementary(pending: str) -> list[tuple[int, int]]:
    """Code points above U+FFFF whose two escapes begin with `pending`."""
    first, second = pending[2:6], pending[8:12]
    high = _clipped(first, 0xD800)
    low = _clipped(second, 0xDC00)
    if high is None or low is None:
        return []
    return [(0x10000 + (high[0] << 10) + low[0], 0x10000 + (high[1] << 10) + low[1])]


def _clipped(digits: str, base: int) -> tuple[int, int] | None:
    """Range of a surrogate half with these first digits, counted from `base`."""
    low = max(int(digits.ljust(4, "0"), 16), base)
    high = min(int(digits.ljust(4, "f"), 16), base + 0x3FF)
    return (low - base, high - base) if low <= high else None
