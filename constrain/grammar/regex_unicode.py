"""Unicode properties as sets of characters, and the case pairs of Python's `re`.

General categories, scripts and binary properties come from `_data/unicode_scripts.py`
(generated), so they are the same on every Python; case pairs and Python's own classes come
from the running Python. Everything is computed at the first use and kept.

For Python's classes only planes 0 to 3 and 14 are scanned: planes 4 to 13 hold no character,
15 and 16 are private use. `test_regex_text` compares with a full scan.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from constrain.grammar.regex_classes import (
    ALL,
    Ranges,
    intersect,
    merge,
    negate,
    ranges_of,
    unpacked,
)

_HEX_DIGITS: Final[Ranges] = (
    (48, 57), (65, 70), (97, 102), (0xFF10, 0xFF19), (0xFF21, 0xFF26), (0xFF41, 0xFF46),
)  # fmt: skip
_ASCII_HEX_DIGITS: Final = _HEX_DIGITS[:3]
_NONCHARACTERS: Final[Ranges] = (
    (0xFDD0, 0xFDEF),
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
)
_WHITE_SPACE: Final[Ranges] = (
    (9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_GROUPS: Final = {
    "LC": ("Lu", "Ll", "Lt"),
    "L": ("Lu", "Ll", "Lt", "Lm", "Lo"),
    "M": ("Mn", "Mc", "Me"),
    "N": ("Nd", "Nl", "No"),
    "P": ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    "S": ("Sm", "Sc", "Sk", "So"),
    "Z": ("Zs", "Zl", "Zp"),
    "C": ("Cc", "Cf", "Cs", "Co", "Cn"),
}
# ECMA-262 table 70 (PropertyValueAliases.txt): long names of general categories.
_CATEGORY_NAMES: Final = {
    "Cased_Letter": "LC", "Close_Punctuation": "Pe", "Connector_Punctuation": "Pc",
    "Control": "Cc", "cntrl": "Cc", "Currency_Symbol": "Sc", "Dash_Punctuation": "Pd",
    "Decimal_Number": "Nd", "digit": "Nd", "Enclosing_Mark": "Me", "Final_Punctuation": "Pf",
    "Format": "Cf", "Initial_Punctuation": "Pi", "Letter": "L", "Letter_Number": "Nl",
    "Line_Separator": "Zl", "Lowercase_Letter": "Ll", "Mark": "M", "Combining_Mark": "M",
    "Math_Symbol": "Sm", "Modifier_Letter": "Lm", "Modifier_Symbol": "Sk",
    "Nonspacing_Mark": "Mn", "Number": "N", "Open_Punctuation": "Ps", "Other": "C",
    "Other_Letter": "Lo", "Other_Number": "No", "Other_Punctuation": "Po",
    "Other_Symbol": "So", "Paragraph_Separator": "Zp", "Private_Use": "Co",
    "Punctuation": "P", "punct": "P", "Separator": "Z", "Space_Separator": "Zs",
    "Spacing_Mark": "Mc", "Surrogate": "Cs", "Symbol": "S", "Titlecase_Letter": "Lt",
    "Unassigned": "Cn", "Uppercase_Letter": "Lu",
}  # fmt: skip
# Binary properties that are fixed sets, from ECMA-262 table 69 and PropList.txt.
_FIXED: Final[dict[str, Ranges]] = {
    "Any": ALL,
    "ASCII": ((0, 0x7F),),
    "ASCII_Hex_Digit": _ASCII_HEX_DIGITS,
    "AHex": _ASCII_HEX_DIGITS,
    "Hex_Digit": _HEX_DIGITS,
    "Hex": _HEX_DIGITS,
    "Noncharacter_Code_Point": _NONCHARACTERS,
    "NChar": _NONCHARACTERS,
    "White_Space": _WHITE_SPACE,
    "space": _WHITE_SPACE,
}
_CATEGORY_KEYS: Final = ("gc", "General_Category")
_SCRIPT_KEYS: Final = ("sc", "Script", "scx", "Script_Extensions")
# Binary properties of ECMA-262 that no table here has.
_UNKNOWN_BINARY: Final = ("Changes_When_NFKC_Casefolded", "CWKCF")


def scanned() -> range:
    """The planes that hold characters which differ from each other: 0 to 3 (and 14)."""
    return range(0x40000)


@cache
def category_ranges(name: str) -> Ranges | None:
    """The characters of a general category, by short or long name; None: no such category."""
    from constrain.grammar._data.unicode_scripts import CATEGORIES

    short = _CATEGORY_NAMES.get(name, name)
    members = _GROUPS.get(short, (short,))
    if any(member not in CATEGORIES for member in members):
        return None
    return merge(pair for member in members for pair in unpacked(CATEGORIES[member]))


@cache
def property_ranges(expression: str) -> Ranges | None:
    r"""The characters of `\p{expression}` as in ECMA-262; None: unknown or not supported.

    Understood: general categories (`Lu`, `Letter`, `gc=L`, `General_Category=Nd`), scripts
    (`Script=`, `sc=`, `Script_Extensions=`, `scx=`), and the binary properties Any, Assigned,
    ASCII, ASCII_Hex_Digit, Hex_Digit, Noncharacter_Code_Point, White_Space and those of
    `_data/unicode_scripts.py` (Alphabetic, Lowercase, Uppercase, Emoji, ID_Start, ...).

    Cost: 10 ms at the first use (the tables are loaded), then a look-up.
    """
    name, separator, value = expression.partition("=")
    if separator:
        if name in _CATEGORY_KEYS:
            return category_ranges(value)
        if name in _SCRIPT_KEYS:
            return _script_ranges(value, extended=name in {"scx", "Script_Extensions"})
        return None
    if expression == "Assigned":
        return negate(category_ranges("Cn") or ())
    if expression in _FIXED:
        return _FIXED[expression]
    return category_ranges(expression) or _binary_ranges(expression)


def _script_ranges(name: str, *, extended: bool) -> Ranges | None:
    from constrain.grammar._data import unicode_scripts as data

    short = data.SCRIPT_NAMES.get(name, name)
    table = data.SCRIPT_EXTENSIONS if extended else data.SCRIPTS
    return unpacked(table[short]) if short in table else None


def _binary_ranges(name: str) -> Ranges | None:
    from constrain.grammar._data import unicode_scripts as data

    full = data.BINARY_NAMES.get(name, name)
    return unpacked(data.BINARY[full]) if full in data.BINARY else None


@cache
def property_expressions() -> tuple[str, ...]:
    r"""All that may stand in `\p{...}`: ECMA-262 tables 67 to 70, with the scripts of Unicode.

    Cost: 1 ms at the first use.
    """
    from constrain.grammar._data import unicode_scripts as data

    categories = {*_GROUPS, *_CATEGORY_NAMES}.union(*_GROUPS.values())
    scripts = {*data.SCRIPT_NAMES, *data.SCRIPT_NAMES.values()}
    binary = {*_FIXED, "Assigned", *_UNKNOWN_BINARY}
    binary.update(data.BINARY_NAMES, data.BINARY_NAMES.values())
    return tuple(
        sorted(
            {
                *categories,
                *binary,
                *(f"{key}={name}" for key in _CATEGORY_KEYS for name in categories),
                *(f"{key}={name}" for key in _SCRIPT_KEYS for name in scripts),
            }
        )
    )


@cache
def python_class(letter: str) -> Ranges:
    r"""The characters of Python's Unicode `\d`, `\s` or `\w` (`re`'s own verdict).

    Cost: 2 to 20 ms at the first use of each letter, then a look-up.
    """
    found: list[tuple[int, int]] = []
    pattern = re.compile(f"\\{letter}+")
    for codes in (scanned(), range(0xE0000, 0xF0000)):
        text = "".join(map(chr, codes))
        found.extend(
            (codes.start + match.start(), codes.start + match.end() - 1)
            for match in pattern.finditer(text)
        )
    return merge(found)


@cache
def _case_classes() -> dict[int, frozenset[int]]:
    # Python's rule (Lib/re/_compiler.py and the generated re/_casefix.py): characters are
    # equal ignoring case when their simple lower-case forms are equal, or are lower-case
    # letters with the same upper-case form.
    groups: dict[str, set[int]] = {}
    for code in range(0x20000):
        character = chr(code)
        lower = character.lower()[0]
        if lower != character or character.upper() != character:
            groups.setdefault(lower.upper(), set()).add(code)
    return {code: frozenset(group) for group in groups.values() for code in group}


@cache
def _cased() -> Ranges:
    return ranges_of(_case_classes())


def ignore_case(ranges: Ranges, *, ascii_only: bool = False) -> Ranges:
    """All characters equal to one of these when case is ignored as Python's `re` does.

    Cost: 60 ms at the first use, then linear in the cased characters of the set.

    >>> ignore_case(((97, 97),))
    ((65, 65), (97, 97))
    """
    if ascii_only:
        letters = intersect(ranges, ((65, 90), (97, 122)))
        swapped = [(low ^ 32, high ^ 32) for low, high in letters]
        return merge([*ranges, *swapped])
    classes = _case_classes()
    codes: set[int] = set()
    for low, high in intersect(ranges, _cased()):
        for code in range(low, high + 1):
            codes |= classes[code]
    return merge([*ranges, *ranges_of(codes)])
