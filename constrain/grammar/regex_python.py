r"""Python's `re` patterns for `str`, with the flags a, i, m, s, u and x written in the pattern.

As documented for `re` in Python 3.14; known differences between Python's versions: `\B` matches
the empty text (3.14; not before), `\z` is understood (3.14). Not supported, each with an error
that names the place: back-references and conditional groups (not regular), possessive
quantifiers and atomic groups (they depend on the order in which matches are tried).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Final

from constrain.grammar.ir import Literal, Node
from constrain.grammar.regex_classes import ALL, Ranges, negate
from constrain.grammar.regex_ecma import DIGIT, WORD
from constrain.grammar.regex_parser import (
    Group,
    Parser,
    is_fixed_width,
    line_begin,
    line_end,
    word_edge,
)
from constrain.grammar.regex_tree import (
    Begin,
    End,
    Look,
    char_node,
    choice,
    class_node,
    sequence,
)
from constrain.grammar.regex_unicode import ignore_case, python_class

_NEWLINE: Final[Ranges] = ((10, 10),)
_ASCII_SPACE: Final[Ranges] = ((9, 13), (32, 32))
_ASCII_CLASSES: Final = {"d": DIGIT, "s": _ASCII_SPACE, "w": WORD}
_CONTROLS: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_FLAGS: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "a": re.ASCII,
    "u": re.UNICODE,
}
_LOOKS: Final = {
    "=": (True, False),
    "!": (True, True),
    "<=": (False, False),
    "<!": (False, True),
}
# `$`: the end of the text, or before a newline there.
PYTHON_END: Final = Look(choice([End(), sequence([char_node(10), End()])]), True, False)
_OCTAL: Final = "01234567"
_COMMENT: Final = re.compile(r"(?:[^\\)]|\\.)*\)", re.DOTALL)
_LINE_COMMENT: Final = re.compile(r"(?:[^\\\n]|\\.)*\n?", re.DOTALL)
_LARGEST_OCTAL: Final = 0o377


class PythonParser(Parser):
    """Reads one pattern of Python's `re`."""

    open_count = True

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self._names: set[str] = set()

    @property
    def flags(self) -> int:
        """The flags in force (bits as in `re`)."""
        return self.group.flags

    @property
    def plain_runs(self) -> bool:
        """Whether ordinary characters stand for themselves."""
        special = self.group.flags & (re.IGNORECASE | re.VERBOSE)
        return not special and not self._literal_surrogates

    def skip(self) -> bool:
        """Skip one blank or comment in verbose mode."""
        if not self.flags & re.VERBOSE:
            return False
        character = self.text[self.position]
        if character in " \t\n\r\v\f":
            self.position += 1
            return True
        if character != "#":
            return False
        # As in Python, an escaped line end does not end the comment.
        found = _LINE_COMMENT.match(self.text, self.position)
        assert found is not None, self.position
        self.position = found.end()
        return True

    def fold(self, ranges: Ranges) -> Ranges:
        """The characters that count as one of these."""
        if not self.flags & re.IGNORECASE:
            return ranges
        return ignore_case(ranges, ascii_only=bool(self.flags & re.ASCII))

    def dot(self) -> Ranges:
        """All but the newline; with DOTALL all."""
        return ALL if self.flags & re.DOTALL else negate(_NEWLINE)

    def anchor(self, character: str) -> Node:
        """`^` and `$`, the latter also before a newline at the very end."""
        position = self.position - 1
        if self.flags & re.MULTILINE:
            make = line_begin if character == "^" else line_end
            return make(_NEWLINE, position)
        if character == "^":
            return Begin(position)
        return replace(PYTHON_END, position=position)

    def escape(self) -> Node | None:
        """An escape outside a class."""
        letter = self.text[self.position]
        start = self.position - 1
        if letter in "AZz":
            self.position += 1
            self.assertion(Begin(start) if letter == "A" else End(start))
            return None
        if letter in "bB":
            self.position += 1
            self.assertion(word_edge(self._shorthand("w"), start, negative=letter == "B"))
            return None
        if letter in "123456789":
            return self.character(self._octal_or_reference(start))
        found = self._character_or_class()
        if isinstance(found, int):
            return self.character(found)
        return class_node(found)

    def class_escape(self) -> int | Ranges:
        """An escape inside a class."""
        letter = self.text[self.position]
        start = self.position - 1
        if letter in _OCTAL:
            return self._octal(start)
        if letter in "89":
            self.error(f"bad escape \\{letter}", start)
        return self._character_or_class()

    def check_look(self, look: Look) -> None:
        """Python looks behind only by a fixed width."""
        if not look.ahead and not is_fixed_width(look.inner):
            self.error("look-behind requires a fixed-width pattern", look.position)

    def open_extension(self) -> None:
        """What follows `(?`."""
        start = self.position - 2
        rest = self.text[self.position : self.position + 2]
        for opening, look in _LOOKS.items():
            if rest.startswith(opening):
                self.position += len(opening)
                self.push(Group(start, self.flags, look=look))
                return
        match rest[:1]:
            case ":":
                self.position += 1
                self.push(Group(start, self.flags))
            case "P":
                self.position += 1
                self._open_named(start)
            case "#":
                self._skip_comment(start)
            case ">":
                self.error("atomic groups are not supported", start)
            case "(":
                self.error("a conditional group is not regular", start)
            case _:
                self._open_flags(start)

    def _shorthand(self, letter: str) -> Ranges:
        ascii_only = self.flags & re.ASCII
        return _ASCII_CLASSES[letter] if ascii_only else python_class(letter)

    def _character_or_class(self) -> int | Ranges:
        start = self.position - 1
        letter = self.text[self.position]
        self.position += 1
        if letter in "dsw":
            return self._shorthand(letter)
        if letter in "DSW":
            return negate(self._shorthand(letter.lower()))
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter in "xuUN":
            return self._code(letter, start)
        if letter == "0":
            self.position -= 1
            return self._octal(start)
        if letter.isascii() and letter.isalpha():
            self.error(f"bad escape \\{letter}", start)
        return ord(letter)

    def _code(self, letter: str, start: int) -> int:
        if letter == "N":
            return self._named_character(start)
        code = self.hexadecimal({"x": 2, "u": 4, "U": 8}[letter], start)
        if code > 0x10FFFF:  # noqa: PLR2004 - Unicode's last code point
            self.error("no such character", start)
        return code

    def _named_character(self, start: int) -> int:
        stop = self.text.find("}", self.position)
        if not self.text.startswith("{", self.position) or stop < 0:
            self.error("missing {name}", start)
        name = self.text[self.position + 1 : stop]
        try:
            code = ord(unicodedata.lookup(name))
        except (KeyError, TypeError):
            self.error(f"undefined character name {name!r}", start)
        self.position = stop + 1
        return code

    def _octal(self, start: int) -> int:
        stop = self.position
        while stop < min(self.position + 3, len(self.text)) and self.text[stop] in _OCTAL:
            stop += 1
        code = int(self.text[self.position : stop], 8)
        if code > _LARGEST_OCTAL:
            self.error("octal escape outside of range 0-0o377", start)
        self.position = stop
        return code

    def _octal_or_reference(self, start: int) -> int:
        digits = self.text[self.position : self.position + 3]
        if len(digits) < 3 or not all(digit in _OCTAL for digit in digits):  # noqa: PLR2004 - three octal digits
            self.error("a back-reference is not regular", start)
        return self._octal(start)

    def _open_named(self, start: int) -> None:
        opening = self.text[self.position : self.position + 1]
        if opening == "=":
            self.error("a back-reference is not regular", start)
        if opening != "<":
            self.error(f"unknown extension ?P{opening}", start)
        self.position += 1
        name = self.name(">")
        if name in self._names or "$" in name:
            self.error(f"bad or repeated group name {name!r}", start)
        self._names.add(name)
        self.push(Group(start, self.flags))

    def _skip_comment(self, start: int) -> None:
        found = _COMMENT.match(self.text, self.position)
        if found is None:
            self.error("missing ), unterminated comment", start)
        self.position = found.end()
        # A count behind the comment binds the one character before it.
        items = self.group.items
        if items and isinstance(items[-1], Literal) and len(items[-1].text) > 1:
            run = items.pop()
            assert isinstance(run, Literal), run
            items += [Literal(run.text[:-1]), Literal(run.text[-1])]

    def _open_flags(self, start: int) -> None:
        on = self._letters(start)
        off = 0
        if self.text.startswith("-", self.position):
            self.position += 1
            off = self._letters(start)
            if not off or off & (re.ASCII | re.UNICODE) or not self._at(":"):
                self.error("bad inline flags", start)
        if self._at(":") and (on or off) and not on & off:
            self.position += 1
            self.push(Group(start, self._combined(on) & ~off))
            return
        if not self._at(")") or not on:
            self.error("unknown extension or bad inline flags", start)
        if self._open or self.group.items or self.group.alternatives:
            self.error("global flags not at the start of the expression", start)
        self.position += 1
        self.group.flags = self._combined(on)

    def _at(self, character: str) -> bool:
        return self.text.startswith(character, self.position)

    def _letters(self, start: int) -> int:
        flags = 0
        while self.position < len(self.text) and self.text[self.position].isalpha():
            flag = _FLAGS.get(self.text[self.position])
            if flag is None:
                self.error("unknown flag", self.position)
            flags |= flag
            self.position += 1
        if flags & re.ASCII and flags & re.UNICODE:
            self.error("bad inline flags: 'a' and 'u' are incompatible", start)
        return flags

    def _combined(self, on: int) -> int:
        flags = self.flags
        if on & re.ASCII:
            flags &= ~re.UNICODE
        if on & re.UNICODE:
            flags &= ~re.ASCII
        return flags | on
