"""The format `idn-hostname`: internationalized host names (IDNA 2008) as a regular language.

Sources: RFC 5890 section 2.3 (kinds of labels), RFC 5891 section 4.2 (what a U-label must be),
RFC 5892 with appendix A (derived property, contextual rules), RFC 5893 section 2 (Bidi rule),
RFC 3492 (Punycode, whose length a label must not exceed), UAX #15 (form C). The separators
are those of RFC 3490 section 3.1. Characters are those of `_data/idna_classes.py`.

Some names are left out (`LEFT_OUT`), but none is wrongly allowed. Two conditions are not
regular, and stricter ones take their place:

- A-labels (`xn--...`) must be the Punycode of a U-label. They are left out.
- The Punycode of a U-label has at most 63 octets, and the whole name 253. A label is allowed
  when no choice of its characters from the blocks it uses could make it longer: `_LENGTHS`.
  The bounds come from a dynamic program over RFC 3492's encoder (states: bias and length)
  with one multiplier for the sum of code point steps that the block allows.

Two more are kept small: the order of combining marks is checked for the few classes that names
use, and beside a label written from the right only ASCII labels stand. With all marks the first
mask took 0.4 s (128 000 tokens), now a tenth of that.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    Node,
    Repeat,
    Sequence,
)
from constrain.grammar.regex_classes import Ranges, intersect, merge, negate, unpacked
from constrain.grammar.regex_tree import ANY
from constrain.grammar.regex_unicode import property_ranges
from constrain.schema.strings import matching

LEFT_OUT: Final = (
    "A-labels (xn--...), labels beyond ASCII that may come near 63 octets in Punycode (over 24 "
    "characters of one script, 15 of Han, 40 with eight beyond ASCII), combining marks rare in "
    "names, and names that mix scripts written from the right with others but ASCII"
)

_ASCII: Final[Ranges] = ((0, 0x7F),)
_LATIN: Final[Ranges] = ((0x80, 0x24F),)
# Characters beyond ASCII out of a block, most of them, most characters in the label.
_LENGTHS: Final[tuple[tuple[Ranges, int | None, int], ...]] = (
    (_LATIN, 2, 53),
    (_LATIN, 4, 48),
    (_LATIN, 8, 40),
    (_LATIN, None, 22),
    *((((row, row + 0xFF),), None, 24) for row in range(0x300, 0x1100, 0x100)),
    (((0x80, 0x1FFF),), None, 17),
    (((0x3040, 0x9FFF),), None, 15),
    (((0xAC00, 0xD7FF),), None, 16),
    (((0x80, 0x10FFFF),), None, 11),
)
_MAX_NAME: Final = 253
_MAX_FEW: Final = _MAX_NAME - 2 * 62
_SEPARATORS: Final = merge((ord(dot), ord(dot)) for dot in ".\u3002\uff0e\uff61")
_SEPARATOR: Final = Chars(_SEPARATORS)
_VIRAMA: Final = "9"
_LABEL: Final = r"(?!..--)[0-9A-Za-z](?:[0-9A-Za-z\-]{0,61}[0-9A-Za-z])?"
_LED_LABEL: Final = r"(?!..--)[A-Za-z](?:[0-9A-Za-z\-]{0,61}[0-9A-Za-z])?"
# Combining classes of the marks in use: nukta, virama, vowels and tones of Thai, Lao, Tibetan.
_CLASSES: Final = ("7", "9", "103", "107", "118", "122", "129", "130", "132")


def _one(code: int) -> Ranges:
    return ((code, code),)


def _script(name: str) -> Ranges:
    found = property_ranges(f"Script={name}")
    assert found is not None, name
    return found


@cache
def idn_hostname() -> Node:
    """Internationalized host names.

    A name with any character written from right to left must obey the Bidi rule in every
    label; in other names the rule has nothing to say. An ASCII label obeys it if it begins
    with a letter.
    """
    from constrain.grammar._data.idna_classes import ALLOWED, BIDI

    right = unpacked(BIDI["R"])
    arabic = unpacked(BIDI["AN"])
    european = unpacked(BIDI["EN"])
    marks = unpacked(BIDI["NSM"])
    others = merge([*marks, *unpacked(BIDI["NEUTRAL"])])
    allowed = intersect(unpacked(ALLOWED), negate(_marks_left_out()))
    from_right = merge([*right, *arabic])
    rules = Complement(_violations())
    lengths = _label_lengths(allowed)

    def label(shape: Node) -> Node:
        return Intersect((shape, lengths, rules))

    either_digits = Choice(
        tuple(_from_right(right, digits, others, marks) for digits in (arabic, european))
    )
    usual = label(Repeat(Chars(intersect(allowed, negate(from_right))), 1))
    mirrored = label(Intersect((either_digits, Repeat(Chars(allowed)))))
    beside = matching(_LED_LABEL)
    names = Choice(
        (
            _joined(Choice((matching(_LABEL), usual))),
            Sequence(
                (
                    Repeat(Sequence((beside, _SEPARATOR))),
                    mirrored,
                    Repeat(Sequence((_SEPARATOR, Choice((beside, mirrored))))),
                )
            ),
        )
    )
    return Intersect((names, _name_lengths()))


@cache
def _marks_left_out() -> Ranges:
    """Marks with a combining class, but those of `_CLASSES`."""
    from constrain.grammar._data.idna_classes import COMBINING

    return merge(
        pair
        for name, codes in COMBINING.items()
        if name not in _CLASSES
        for pair in unpacked(codes)
    )


def _joined(label: Node) -> Node:
    return Sequence((label, Repeat(Sequence((_SEPARATOR, label)))))


def _from_right(right: Ranges, digits: Ranges, others: Ranges, marks: Ranges) -> Node:
    """RFC 5893 section 2, conditions 1 to 4, with digits of one kind."""
    inner = Repeat(Chars(merge([*right, *digits, *others])))
    ended = Sequence((inner, Chars(merge([*right, *digits]))))
    return Sequence((Chars(right), Repeat(ended, 0, 1), Repeat(Chars(marks))))


def _label_lengths(allowed: Ranges) -> Node:
    """Labels whose Punycode is surely no longer than 63 octets (see the module's head)."""
    alternatives: list[Node] = []
    for block, few, most in _LENGTHS:
        if not intersect(allowed, block):
            continue
        any_ = Repeat(Chars(merge([*block, *_ASCII])), 1, most)
        if few is None:
            alternatives.append(any_)
        else:
            narrow = Repeat(Chars(_ASCII))
            rounds = Repeat(Sequence((Chars(block), narrow)), 0, few)
            alternatives.append(Intersect((any_, Sequence((narrow, rounds)))))
    return Choice(tuple(alternatives))


def _name_lengths() -> Node:
    """Names surely no longer than 253 octets in ASCII form.

    Three labels never are; nor are 129 characters of which two labels are beyond ASCII, since
    a label is at most 62 octets longer than it has characters.
    """
    narrow = Chars(intersect(_ASCII, negate(_SEPARATORS)))
    inner = Repeat(Chars(negate(_SEPARATORS)))
    ascii_ = Repeat(Choice((narrow, _SEPARATOR)))
    wide = Sequence((Chars(negate(merge([*_ASCII, *_SEPARATORS]))), inner))
    one_more = Repeat(Sequence((_SEPARATOR, ascii_, Repeat(wide, 0, 1))), 0, 1)
    few = Sequence((ascii_, Repeat(Sequence((wide, one_more)), 0, 1)))
    tail = Repeat(Sequence((_SEPARATOR, ascii_)), 0, 1)
    return Choice(
        (
            Repeat(Choice((narrow, _SEPARATOR)), 1, _MAX_NAME),
            Sequence((inner, Repeat(Sequence((_SEPARATOR, inner)), 0, 2))),
            Intersect((Sequence((few, tail)), Repeat(Chars(negate(())), 1, _MAX_FEW))),
        )
    )


def _violations() -> Node:
    """Texts that break a rule for U-labels, where all characters are allowed ones.

    Hyphens and marks at the ends (RFC 5891 section 4.2.3), contextual rules (RFC 5892
    appendix A), and whatever is not in form C.
    """
    from constrain.grammar._data.idna_classes import COMBINING, JOINING, MARKS

    virama = unpacked(COMBINING[_VIRAMA])
    hebrew, greek = _script("Hebrew"), _script("Greek")
    japanese = merge([*_script("Hira"), *_script("Kana"), *_script("Hani")])
    geresh: Ranges = ((0x5F3, 0x5F4),)
    dot, keraia, joiner = _one(0xB7), _one(0x375), _one(0x200D)
    never_first = merge([
        *_one(0x2D), *unpacked(MARKS), *dot, *geresh, *joiner, *_one(0x200C),
    ])  # fmt: skip
    never_last = merge([*_one(0x2D), *dot, *keraia])
    pairs = [
        (negate(_one(0x6C)), dot),
        (dot, negate(_one(0x6C))),
        (keraia, negate(greek)),
        (negate(hebrew), geresh),
        (negate(virama), joiner),
        *_disordered({int(name): unpacked(COMBINING[name]) for name in _CLASSES}),
    ]
    inside: list[Node] = [Sequence((Chars(a), Chars(b))) for a, b in pairs]
    inside += _composable()
    eastern, persian = Chars(((0x660, 0x669),)), Chars(((0x6F0, 0x6F9),))
    inside += [Sequence((eastern, ANY, persian)), Sequence((persian, ANY, eastern))]
    elsewhere = Repeat(Chars(negate(japanese)))
    return Choice(
        (
            Sequence((Chars(never_first), ANY)),
            Sequence((ANY, Chars(never_last))),
            matching("..--[^]*"),
            Sequence((elsewhere, Literal("\u30fb"), elsewhere)),
            *_unjoined({name: unpacked(codes) for name, codes in JOINING.items()}, virama),
            Sequence((ANY, Choice(tuple(inside)), ANY)),
        )
    )


def _disordered(classes: dict[int, Ranges]) -> list[tuple[Ranges, Ranges]]:
    """Neighbouring marks that canonical order would exchange."""
    return [
        (codes, merge(pair for low, below in classes.items() if low < high for pair in below))
        for high, codes in classes.items()
        if high != min(classes)
    ]


def _composable() -> list[Node]:
    """A character, marks that do not stand in the way, and a mark it would be composed with."""
    from constrain.grammar._data.idna_classes import COMBINING, COMPOSED

    classes = {int(name): unpacked(COMBINING[name]) for name in _CLASSES}
    found: list[Node] = []
    for second, firsts in COMPOSED.items():
        code = int(second, 36)
        if intersect(_marks_left_out(), _one(code)):
            continue
        place = next((n for n, codes in classes.items() if intersect(codes, _one(code))), 0)
        middle = _lower(classes, place)
        found.append(Sequence((Chars(unpacked(firsts)), *middle, Chars(_one(code)))))
    return found


def _lower(classes: dict[int, Ranges], place: int) -> tuple[Node, ...]:
    below = merge(pair for n, codes in classes.items() if n < place for pair in codes)
    return (Repeat(Chars(below)),) if below else ()


def _unjoined(types: dict[str, Ranges], virama: Ranges) -> list[Node]:
    """U+200C without a virama before it, and not between letters that join (appendix A.1)."""
    joiner = Literal("\u200c")
    through = types["TRANSPARENT"]
    no_before = negate(merge([*types["BEFORE"], *through]))
    no_after = Chars(negate(merge([*types["AFTER"], *through])))
    passed = Repeat(Chars(through))
    start = Repeat(Sequence((ANY, Chars(no_before))), 0, 1)
    not_before = Choice(
        (
            Repeat(Sequence((ANY, Chars(intersect(no_before, negate(virama))))), 0, 1),
            Sequence((start, passed, Chars(intersect(through, negate(virama))))),
        )
    )
    no_virama = Sequence((ANY, Chars(negate(virama))))
    return [
        Sequence((not_before, joiner, ANY)),
        Sequence((no_virama, joiner, passed, Repeat(Sequence((no_after, ANY)), 0, 1))),
    ]
