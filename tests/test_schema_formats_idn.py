"""Internationalized host names: sound against the `idna` package and Python's Punycode."""

from __future__ import annotations

import random
import unicodedata

import pytest

import constrain
from constrain.grammar._data.idna_classes import ALLOWED
from constrain.grammar.ir import Grammar
from constrain.grammar.regex_classes import unpacked
from constrain.schema.formats_idn import idn_hostname
from tests.vocabularies import vocabulary_of, with_end

BYTES = vocabulary_of(with_end(bytes([byte]) for byte in range(256)))
COMPILED = constrain.compile(Grammar(idn_hostname()), BYTES)
DOTS = "\u3002\uff0e\uff61"
# Blocks that hold what the rules speak of.
BLOCKS = [
    (0x61, 0x7A), (0x30, 0x39), (0xDF, 0x17F), (0x300, 0x345), (0x370, 0x3FF), (0x430, 0x45F),
    (0x5D0, 0x5F4), (0x620, 0x6FF), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF),
    (0xE00, 0xE7F), (0x1E00, 0x1FFF), (0x3040, 0x30FF), (0x4E00, 0x4E7F), (0xAC00, 0xAC3F),
]  # fmt: skip
SPECIAL = (
    "-\u00b7l\u0375\u03b1\u05f3\u05f4\u05d0\u30fb\u3041\u200c\u200d\u094d\u0915\u093c\u09be"
    "\u09c7\u0660\u06f0\u0628\u0627\u0640\u0e31\u0e48\u0e38"
)


def is_accepted(name: str) -> bool:
    """Whether the format has the name."""
    matcher = COMPILED.matcher()
    try:
        matcher.accept_bytes(name.encode())
    except constrain.TokenRejectedError:
        return False
    return matcher.is_accepting


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        (["παράδειγμα.com", "실례.테스트", "a\u3002b", "中国.cn"], ["a..b", ".a", "a.", ""]),
        (["straße", "x" * 63], ["x" * 64, "ab--cd", "xn--ll-0ea", "a_b", "Ä", "ä" * 60]),
        (["a-b", "ä-b"], ["-a", "a-", "-ä", "ä-", "äa--b"]),
        (["l\u00b7l", "\u03b1\u0375\u03b2"], ["a\u00b7l", "l\u00b7", "\u03b1\u0375", "\u0375"]),
        (["\u05d0\u05f3\u05d1"], ["\u05f3\u05d1", "a\u05f3"]),
        (["\u30fb\u3041", "\u4e00\u30fb"], ["\u30fb", "abc\u30fbd"]),
        (["\u0915\u094d\u200d\u0937"], ["\u0915\u200d\u0937", "\u200d\u0937"]),
        (["\u0628\u064a\u200c\u0628"], ["a\u200cb", "\u0628\u200ca", "\u200c\u0628"]),
        (["\u0628\u0660", "\u06f00"], ["\u0628\u0660\u06f0"]),
        # The Bidi rule: no digit first, no left-to-right letters, one kind of digits.
        (["\u05d0.a", "a.\u05d0", "\u05d00"], ["0a.\u05d0", "0\u0627", "a\u05d0"]),
        (["\u05d0\u0660"], ["\u05d00\u0660", "\u0660"]),
        # Form C: U+09C7 U+09BE would be one character; nukta stands before virama.
        (["\u0995\u09be"], ["\u09c7\u09be", "\u0995\u09c7\u09be"]),
        (["\u0915\u093c\u094d\u0937"], ["\u0915\u094d\u093c\u0937"]),
        # Marks never begin a label.
        (["\u0e01\u0e38\u0e48"], ["\u0e38\u0e01", "\u0e01\u0e48\u0e38"]),
    ],
)  # fmt: skip
def test_labels_obey_the_rules_of_idna_2008(valid: list[str], invalid: list[str]) -> None:
    for name in valid:
        assert is_accepted(name), name
    for name in invalid:
        assert not is_accepted(name), name


def is_name(name: str) -> bool:
    """The `idna` package's verdict, with the Bidi rule over all labels."""
    import idna

    for dot in DOTS:
        name = name.replace(dot, ".")
    labels = name.split(".")
    try:
        encoded = [idna.alabel(label) for label in labels]
        directions = set(map(unicodedata.bidirectional, name))
        if directions & {"R", "AL", "AN"}:
            for label in labels:
                idna.check_bidi(label, check_ltr=True)
    except idna.IDNAError:
        return False
    return len(b".".join(encoded)) <= 253


def test_no_random_name_is_wrongly_accepted() -> None:
    pytest.importorskip("idna")
    known = [
        [c for low, high in unpacked(ALLOWED) for c in range(max(low, a), min(high, b) + 1)]
        for a, b in BLOCKS
    ]
    chance = random.Random(7)
    n_accepted = 0
    for _ in range(1800):
        pools = chance.sample(known, chance.choice([1, 1, 2]))
        letters = [
            ord(chance.choice(SPECIAL)) if chance.random() < 0.3 else chance.choice(pools[-1])
            for _ in range(chance.choice([1, 2, 3, 4, 8]))
        ]
        name = "".join(map(chr, letters))
        if chance.random() < 0.3:
            name += "." + chr(chance.choice(pools[0]))
        if is_accepted(name):
            n_accepted += 1
            assert is_name(name), ascii(name)
    assert n_accepted > 250


def punycode_length(label: str) -> int:
    """Octets of a label's A-label."""
    return 4 + len(label.encode("punycode"))


def test_no_accepted_label_is_longer_than_63_octets_in_punycode() -> None:
    allowed = [c for low, high in unpacked(ALLOWED) for c in range(low, high + 1) if c > 0x7F]
    letters = [c for c in allowed if unicodedata.category(chr(c)) in {"Ll", "Lo"}]
    chance = random.Random(11)
    longest = 0
    for low, high, n_chars in (
        (0x80, 0x24F, 22), (0x370, 0x3FF, 24), (0x400, 0x4FF, 24), (0xE00, 0xEFF, 24),
        (0x80, 0x1FFF, 17), (0x3040, 0x9FFF, 15), (0xAC00, 0xD7FF, 16), (0x80, 0x2FFFF, 11),
    ):  # fmt: skip
        block = [c for c in letters if low <= c <= high]
        for more in [0] * 40 + list(range(1, 30)):
            pool = chance.choice([block, block[:3] + block[-3:], chance.sample(block, 5)])
            n_wide = chance.randint(more and 9, n_chars + more)
            text = [chr(chance.choice(pool)) for _ in range(n_wide)]
            text += [chance.choice("az09") for _ in range(n_chars + more - n_wide)]
            chance.shuffle(text)
            label = "".join(text)
            if is_accepted(label):
                longest = max(longest, punycode_length(label))
    assert 52 < longest <= 63


def test_few_characters_beyond_ascii_leave_room_for_many_others() -> None:
    chance = random.Random(13)
    for n_wide, n_chars in ((2, 53), (4, 48), (8, 40)):
        for _ in range(300):
            text = [chr(chance.choice([0xDF, 0xE0, 0x24F, 0x180])) for _ in range(n_wide)]
            text += ["x"] * (n_chars - n_wide)
            chance.shuffle(text)
            assert punycode_length("".join(text)) <= 63
        name = "x" * (n_chars - n_wide - 1) + "\u00df" * n_wide + "x"
        assert is_accepted(name)
        assert not is_accepted("x" * (64 - 4 - n_wide) + "\u00df" * n_wide)


def test_a_name_of_many_labels_is_no_longer_than_253_octets() -> None:
    wide = "\u4e00\u9fa5\u4e01\u9fa4\u4e02\u9fa3\u4e03\u9fa2"
    assert is_accepted(".".join([wide] * 3))
    assert not is_accepted(".".join([wide] * 4))  # left out: not surely short enough
    assert is_accepted(f"www.{wide}.example.co.uk")
    assert is_accepted(".".join(["x" * 61] * 4))
    assert not is_accepted(".".join(["x" * 63] * 4))
