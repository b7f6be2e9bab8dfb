"""ECMA-262 patterns, read as with the `u` flag (JSON Schema's dialect) and no other flag.

Tolerated beyond the `u` grammar, as in ECMA-262 Annex B.1.2, because only one reading is
possible: escapes of characters that are neither ASCII letters nor digits (`\\-`, `\\_`, `\\:`),
`{`, `}` and `]` as ordinary characters, a class escape at an end of a range (`[\\w-.]`), a
repeated look-ahead. Not tolerated: escapes of letters without a meaning (`\\A`, `\\Z`, `\\h`),
octal escapes, inline flags.

Source: ECMA-262, 15th edition, 22.2.1 (syntax), 22.2.2 (meaning), 12.2 and 12.3 (white space
and line terminators).
"""

from __future__ import annotations

from typing import Final

from constrain.grammar.ir import Node
from constrain.grammar.regex_classes import Ranges, merge, negate
from constrain.grammar.regex_parser import Group, Parser, word_edge
from constrain.grammar.regex_tree import Begin, End, Look, class_node
from constrain.grammar.regex_unicode import property_ranges

DIGIT: Final[Ranges] = ((48, 57),)
WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
LINE_TERMINATOR: Final[Ranges] = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
SPACE: Final[Ranges] = (
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
_CLASSES: Final = {
    "d": DIGIT,
    "D": negate(DIGIT),
    "w": WORD,
    "W": negate(WORD),
    "s": SPACE,
    "S": negate(SPACE),
}
_DOT: Final = negate(LINE_TERMINATOR)
_CONTROLS: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_LOOKS: Final = {
    "=": (True, False),
    "!": (True, True),
    "<=": (False, False),
    "<!": (False, True),
}


class EcmaParser(Parser):
    """Reads one ECMA-262 pattern."""

    empty_class = True

    def dot(self) -> Ranges:
        """All but line terminators."""
        return _DOT

    def anchor(self, character: str) -> Node:
        """The ends of the text: there is no multiline flag."""
        position = self.position - 1
        return Begin(position) if character == "^" else End(position)

    def escape(self) -> Node | None:
        """An escape outside a class."""
        letter = self.text[self.position]
        start = self.position - 1
        if letter in "bB":
            self.position += 1
            self.assertion(word_edge(WORD, start, negative=letter == "B"))
            return None
        if letter in "123456789" or letter == "k":
            self.error("a back-reference is not regular", start)
        found = self._character_or_class()
        return class_node(((found, found),) if isinstance(found, int) else found)

    def class_escape(self) -> int | Ranges:
        """An escape inside a class, where `\\b` is the backspace."""
        if self.text[self.position] == "b":
            self.position += 1
            return 8
        return self._character_or_class()

    def class_range(self, begin: int) -> None:
        """`-` next to a class escape stands for itself (Annex B.1.2)."""

    def open_extension(self) -> None:
        """`(?:`, a look-around or a named group."""
        start = self.position - 2
        if self.text.startswith(":", self.position):
            self.position += 1
            self.push(Group(start))
            return
        for opening, look in _LOOKS.items():
            if self.text.startswith(opening, self.position):
                self.position += len(opening)
                self.push(Group(start, look=look))
                return
        if not self.text.startswith("<", self.position):
            self.error("unknown group; ECMA-262 has (?: (?= (?! (?<= (?<! and (?<name>", start)
        self.position += 1
        self.name(">")
        self.push(Group(start))

    def check_look(self, look: Look) -> None:
        """Only a look-ahead may be repeated (Annex B.1.2)."""
        following = self.text[self.position : self.position + 1]
        if not look.ahead and following and following in "*+?{":
            self.error("nothing to repeat", self.position)

    def _character_or_class(self) -> int | Ranges:
        start = self.position - 1
        letter = self.text[self.position]
        self.position += 1
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter in "pP":
            return self._property(start, negative=letter == "P")
        if letter == "x":
            return self.hexadecimal(2, start)
        if letter == "u":
            return self._unicode(start)
        if letter == "c":
            return self._control(start)
        if letter == "0" and not self.text[self.position : self.position + 1].isdigit():
            return 0
        if letter.isascii() and letter.isalnum():
            self.error(f"escape \\{letter} has no meaning in ECMA-262", start)
        return ord(letter)

    def _control(self, start: int) -> int:
        letter = self.text[self.position : self.position + 1]
        if not (letter.isascii() and letter.isalpha()):
            self.error("\\c needs an ASCII letter", start)
        self.position += 1
        return ord(letter) % 32

    def _unicode(self, start: int) -> int:
        if self.text.startswith("{", self.position):
            stop = self.text.find("}", self.position)
            digits = self.text[self.position + 1 : max(stop, 0)]
            hexadecimal = digits and all(c in "0123456789abcdefABCDEF" for c in digits)
            if not hexadecimal or len(digits.lstrip("0")) > 6 or int(digits, 16) > 0x10FFFF:  # noqa: PLR2004 - Unicode's last code point and its digits
                self.error("\\u{...} needs the hexadecimal code of a character", start)
            self.position = stop + 1
            return int(digits, 16)
        code = self.hexadecimal(4, start)
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.position):  # noqa: PLR2004 - a leading surrogate
            after = self.position
            self.position += 2
            if not self.text.startswith("{", self.position):
                low = self.hexadecimal(4, after)
                if 0xDC00 <= low < 0xE000:  # noqa: PLR2004 - a trailing surrogate
                    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            self.position = after
        return code

    def _property(self, start: int, *, negative: bool) -> Ranges:
        stop = self.text.find("}", self.position)
        if not self.text.startswith("{", self.position) or stop < 0:
            self.error("a property escape is \\p{...}", start)
        name = self.text[self.position + 1 : stop]
        ranges = property_ranges(name)
        if ranges is None:
            self.error(f"unknown or unsupported Unicode property {name!r}", start)
        self.position = stop + 1
        return negate(ranges) if negative else merge(ranges)


__all__ = ["DIGIT", "LINE_TERMINATOR", "SPACE", "WORD", "EcmaParser"]
