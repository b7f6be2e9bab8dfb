r"""Unicode properties of patterns: the generated tables beside the running Python's."""

from __future__ import annotations

import unicodedata

import pytest

from constrain.grammar.ir import Chars
from constrain.grammar.regex_classes import contains, negate
from constrain.grammar.regex_text import parse_ecma_full
from constrain.grammar.regex_unicode import (
    category_ranges,
    property_expressions,
    property_ranges,
)

CATEGORIES = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
    "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
]  # fmt: skip
# Characters whose category Unicode 15.1 and 16 changed.
CHANGED = {0x295, 0x1171E}
# In ECMA-262, but in no table here.
WITHOUT_TABLE = {"CWKCF", "Changes_When_NFKC_Casefolded"}


def test_every_character_has_one_category_and_it_is_pythons() -> None:
    table = [""] * 0x110000
    for name in CATEGORIES:
        ranges = category_ranges(name)
        assert ranges is not None
        for low, high in ranges:
            assert not any(table[low : high + 1]), name
            table[low : high + 1] = [name] * (high - low + 1)
    assert all(table)
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        # What this Python does not know yet may have been assigned since.
        assert category in {"Cn", table[code]} or code in CHANGED, hex(code)


def test_lower_case_is_pythons() -> None:
    ranges = property_ranges("Changes_When_Lowercased")
    assert ranges is not None
    codes = {code for low, high in ranges for code in range(low, high + 1)}
    for code in range(0x1F000):
        character = chr(code)
        if unicodedata.category(character) != "Cn":
            text = unicodedata.normalize("NFD", character)
            assert (code in codes) == (text.lower() != text), hex(code)


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        ("L", "aé中", "1 -"),
        ("gc=Decimal_Number", "1٣", "a½"),
        ("Script=Greek", "αΩ", "aя"),
        ("scx=Deva", "अ।", "a"),
        ("Bidi_M", "()[<", "a!"),
        ("Bidi_Control", "\u200e\u202a", "a"),
        ("Term", ".!?", "a-"),
        ("Sentence_Terminal", ".!?", ",;"),
        ("Soft_Dotted", "ij", "ab"),
        ("Gr_Base", "a1 ", "\u0301\n"),
        ("Grapheme_Extend", "\u0301\u200c", "a"),
        ("Radical", "\u2e80", "a"),
        ("IDS_Binary_Operator", "\u2ff0", "\u2ff2"),
        ("IDST", "\u2ff2", "\u2ff0"),
        ("Join_C", "\u200c\u200d", "a"),
        ("LOE", "\u0e40", "\u0e01"),
        ("VS", "\ufe0f", "a"),
        ("Dep", "\u0149", "n"),
        ("CWU", "aß", "A1"),
        ("CWT", "aß", "A1"),
        ("CWCF", "Aß", "a"),
        ("CWCM", "Aa", "1"),
        ("NChar", "\uffff", "a"),
        ("Hex", "fF9\uff11", "g"),
    ],
)
def test_properties_hold_what_their_names_say(
    expression: str, inside: str, outside: str
) -> None:
    ranges = property_ranges(expression)
    assert ranges is not None
    assert all(contains(ranges, ord(c)) for c in inside)
    assert not any(contains(ranges, ord(c)) for c in outside)
    negated = parse_ecma_full(rf"\P{{{expression}}}")
    assert negated == Chars(negate(ranges))


def test_every_name_of_the_standard_has_a_table_but_one() -> None:
    names = property_expressions()
    assert len(names) > 1500
    assert {name for name in names if property_ranges(name) is None} == WITHOUT_TABLE
