r"""The format `regex`: patterns of ECMA-262 with the `u` flag, as far as they are regular.

Whether a text is a pattern is not a regular question: parentheses nest, a back-reference needs
its group, a name may stand once, the ends of a range are in order. The node holds no text that
is not a pattern, and leaves out (see `LEFT_OUT`) what a finite memory cannot check:

- groups nested more than `MAX_NESTING` deep;
- back-references before their group is opened, to groups after the ninth, and by a name of
  more than one letter; named groups whose names have the same first letter;
- ranges in a class whose ends are spelled in different ways (`[a-\x7a]`), or are characters
  beyond ASCII that lie close together; repetition counts {n,m} of three digits or more that
  begin alike.

Source: ECMA-262, 15th edition, 22.2.1 with its early errors, `[+UnicodeMode]`, no Annex B.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Final

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    Node,
    OneOf,
    Repeat,
    Sequence,
)
from constrain.grammar.regex_classes import intersect, merge, negate
from constrain.grammar.regex_tree import ANY
from constrain.grammar.regex_unicode import property_expressions, property_ranges
from constrain.schema.strings import matching

MAX_NESTING: Final = 8
LEFT_OUT: Final = (
    f"groups more than {MAX_NESTING} deep, forward and far back-references, names of groups "
    "that begin alike, some unusual ranges and counts"
)

_SYNTAX: Final = r"\^$\\.*+?()\[\]{}|"
_HEX: Final = "[0-9A-Fa-f]"
_ESCAPED: Final = sorted(ord(c) for c in "^$\\.*+?()[]{}|/-")
_NOT_RAW: Final = merge((ord(c), ord(c)) for c in "\\]")
# A range beyond ASCII is in order if its ends are in different rows: each costs states, so they
# are few, cut where scripts and the halves of their alphabets begin.
_ROWS: Final = (
    0x80, 0xC0, 0xD8, 0xF8, 0x100, 0x180, 0x250, 0x370, 0x3A0, 0x3C0, 0x400, 0x420, 0x440,
    0x460, 0x530, 0x560, 0x590, 0x5E0, 0x600, 0x640, 0x670, 0x700, 0x900, 0x940, 0xA00, 0xC00,
    0xE00, 0xE30, 0x1000, 0x2000, 0x3000, 0x3060, 0x30A0, 0x30D0, 0x3100, 0x4E00, 0x7000,
    0x9000, 0xAC00, 0xC000, 0xE000, 0x10000, 0x20000, 0x110000,
)  # fmt: skip
_N_DIGITS: Final = 4  # of \uHHHH
_LAST_ASCII: Final = 0x7E


@cache
def regex() -> Node:
    """Texts that are patterns."""
    body: Node = Literal("")
    atom, edge, quantifier = _atom(), matching(r"[\^$]|\\[bB]"), _quantifier()
    maybe = Repeat(quantifier, 0, 1)
    named = Sequence((Literal("(?<"), _name(), Literal(">")))
    opening = Choice((matching(r"\((?:\?:)?"), named))
    looking = matching(r"\(\?<?[=!]")
    close = Literal(")")
    flat = Choice((edge, Sequence((atom, maybe)), Literal("|")))
    for depth in range(MAX_NESTING + 1):
        parts: tuple[Node, ...] = (flat,)
        if depth:
            parts = (
                flat,
                Sequence((opening, body, close, maybe)),
                Sequence((looking, body, close)),
            )
        body = Repeat(Choice(parts))
    return Intersect((body, Complement(Choice(_violations())), _named()))


def _value_escape() -> Node:
    """Escapes that stand for one character."""
    return matching(
        rf"\\(?:[tnvfr0{_SYNTAX}/]|c[A-Za-z]|x{_HEX}{{2}}|u{_HEX}{{4}}"
        rf"|u\{{0*(?:{_HEX}{{1,5}}|10{_HEX}{{4}})\}})"
    )


def _class_escape() -> Node:
    properties = OneOf(property_expressions())
    return Choice(
        (matching(r"\\[dDsSwW]"), Sequence((matching(r"\\[pP]\{"), properties, Literal("}"))))
    )


def _atom() -> Node:
    """One character or class, or a back-reference: what a quantifier may follow."""
    return Choice(
        (
            matching(rf"[^{_SYNTAX}]|\.|\\[1-9]"),
            _value_escape(),
            _class_escape(),
            _character_class(),
            Sequence((Literal("\\k<"), _name(), Literal(">"))),
        )
    )


@cache
def _name() -> Node:
    """The name of a group, without escapes."""
    start, more = property_ranges("ID_Start"), property_ranges("ID_Continue")
    assert start is not None
    assert more is not None
    signs = [(0x24, 0x24), (0x5F, 0x5F)]
    joiners = [(0x200C, 0x200D)]
    tail = Repeat(Chars(merge([*more, *signs, *joiners])))
    return Sequence((Chars(merge([*start, *signs])), tail))


def _quantifier() -> Node:
    r"""`*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}` with n <= m; each maybe lazy."""
    pairs: list[Node] = []
    small = [str(n) for n in range(100)]
    for i, low in enumerate(small):
        pairs.append(Sequence((Literal(f"{low},"), OneOf(tuple(small[i:])))))
    pairs += [matching(rf"(?:0|[1-9]\d{{{n - 1}}}),[1-9]\d{{{n},17}}") for n in range(1, 9)]
    for n in range(2, 6):
        pairs.extend(matching(rf"{a}\d{{{n}}},[{a + 1}-9]\d{{{n}}}") for a in range(1, 9))
    counts = Sequence((Literal("{"), Choice((matching(r"\d{1,18},?"), *pairs)), Literal("}")))
    return Sequence((Choice((matching("[*+?]"), counts)), Repeat(Literal("?"), 0, 1)))


def _character_class() -> Node:
    """A class; after each character, `-` makes a range unless it ends the class."""
    dash = Literal("-")
    single = Choice(
        (
            Chars(negate(merge([*_NOT_RAW, (0x2D, 0x2D)]))),
            matching(r"\\[b\-]"),
            _value_escape(),
            _class_escape(),
        )
    )
    any_ = Choice((single, dash))
    ranges = _ranges()
    after_dash = Sequence((dash, dash, _raw_above(0x2D)))
    head = Sequence((any_, Repeat(single)))
    items = Sequence(
        (
            Repeat(Choice((ranges, after_dash, Sequence((head, ranges))))),
            Repeat(Sequence((head, Repeat(dash, 0, 1))), 0, 1),
        )
    )
    plain = Intersect((items, Complement(matching(r"\^[^]*"))))
    return Sequence(
        (Literal("["), Choice((plain, Sequence((Literal("^"), items)))), Literal("]"))
    )


def _raw_above(code: int) -> Node:
    """A range's end that is not below a character: itself, escaped, or as far escape."""
    raw = Chars(intersect(negate(_NOT_RAW), ((code, 0x10FFFF),)))
    escaped = merge((c, c) for c in _ESCAPED if c >= code)
    parts: list[Node] = [raw, _beyond_ascii()]
    if escaped:
        parts.append(Sequence((Literal("\\"), Chars(escaped))))
    return Choice(tuple(parts))


@cache
def _beyond_ascii() -> Node:
    r"""A `\uHHHH` that is neither ASCII nor a surrogate."""
    return matching(
        rf"\\u(?:00[89A-Fa-f]{_HEX}|0[1-9A-Fa-f]{_HEX}{{2}}"
        rf"|[1-9A-Ca-cEeFf]{_HEX}{{3}}|[Dd][0-7]{_HEX}{{2}})"
    )


def _ranges() -> Node:
    """Ranges in order, but those that begin with a bare `-`."""
    dash = Literal("-")
    found: list[Node] = [
        Sequence((matching(r"[\x00-\x1F]-|\\[tnvfr]-"), _raw_above(0x20))),
        Sequence((Literal("\\0-"), Choice((_raw_above(0), matching(rf"\\x{_HEX}{{2}}"))))),
        _ordered("x", 2),
        _ordered("u", _N_DIGITS),
    ]
    for code in range(0x20, _LAST_ASCII + 1):
        spellings = [chr(code)] if chr(code) not in "\\]-" else []
        if code in _ESCAPED:
            spellings.append("\\" + chr(code))
        found.append(Sequence((OneOf(tuple(spellings)), dash, _raw_above(code))))
    for row, following in pairwise(_ROWS):
        found.append(
            Sequence((Chars(((row, following - 1),)), dash, Chars(((following, 0x10FFFF),))))
        )
    return Choice(tuple(found))


def _ordered(letter: str, n_digits: int) -> Node:
    """Two hexadecimal escapes in order: equal up to some digit, then less."""
    hexadecimal = matching(_HEX)
    shape = matching(rf"{_HEX}{{{n_digits}}}")
    if n_digits == _N_DIGITS:
        shape = matching(rf"[0-9A-Ca-cEeFf]{_HEX}{{3}}|[Dd][0-7]{_HEX}{{2}}")
    between = Literal(f"-\\{letter}")

    def pair(place: int, low: str, high: str) -> Node:
        before = Repeat(hexadecimal, place, place)
        after = Repeat(hexadecimal, n_digits - 1 - place, n_digits - 1 - place)
        return Sequence((before, _hex(low), after, between, before, _hex(high), after))

    digits = "0123456789ABCDEF"
    equal = [Choice(tuple(pair(i, d, d) for d in digits)) for i in range(n_digits)]
    less = [
        Choice(tuple(pair(i, d, digits[k + 1 :]) for k, d in enumerate(digits[:-1])))
        for i in range(n_digits)
    ]
    whole = Sequence((shape, between, shape))
    cases = [Intersect((whole, *equal[:i], less[i])) for i in range(n_digits)]
    return Sequence((Literal(f"\\{letter}"), Choice((*cases, Intersect((whole, *equal))))))


def _hex(digits: str) -> Node:
    """One of these hexadecimal digits in either case."""
    return Chars(merge((ord(c), ord(c)) for c in digits + digits.lower()))


_PIECE: Final = r"(?:[^\\\[]|\\[^]|\[(?:[^\\\]]|\\[^])*\])"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$"
_NOT_CAPTURING: Final = r"(?:[^\\\[(]|\\[^]|\[(?:[^\\\]]|\\[^])*\]|\(\?(?::|<?[=!]))"


def _violations() -> tuple[Node, ...]:
    r"""Texts with `\0` or a back-reference before a digit, names alike, or an early `\1`.

    A non-capturing group may also be read as a capturing one here: then more groups are
    counted than there are, which finds no violation that is none.
    """
    tokens = Repeat(matching(_NOT_CAPTURING))
    early: Node = Literal("")
    for n in range(9, 0, -1):
        soon = Sequence((matching(rf"\\[{n}-9]"), ANY))
        early = Sequence(
            (tokens, soon if n == 9 else Choice((soon, Sequence((Literal("("), early)))))  # noqa: PLR2004 - the last digit
        )
    return (
        matching(r"(?:[^\\]|\\[^])*\\[0-9][0-9][^]*"),
        _names_alike(),
        early,
    )


def _names_alike() -> Node:
    """Texts with two named groups whose names begin alike, or both not in ASCII."""
    pieces, opening = Repeat(matching(_PIECE)), Literal("(?<")
    firsts: list[Node] = [Chars(((0x80, 0x10FFFF),)), *map(Literal, _LETTERS)]
    alike = tuple(Sequence((x, pieces, opening, x, ANY)) for x in firsts)
    return Sequence((pieces, opening, Choice(alike)))


def _named() -> Node:
    r"""Texts in which every `\k<x>` stands behind a group of that name, of one letter."""
    free = r"[^\\\[]|\\[^k]|\[(?:[^\\\]]|\\[^])*\]"
    plain = matching(free)
    bodies = tuple(
        Sequence((Literal(f"{x}>"), Repeat(Choice((plain, Literal(f"\\k<{x}>"))))))
        for x in _LETTERS
    )
    return Sequence((Repeat(plain), Repeat(Sequence((Literal("(?<"), Choice(bodies))), 0, 1)))
