"""The part of regular-expression syntax that the dialects share: one pass, no recursion.

`Parser` reads a pattern into a tree (`regex_tree`); the dialects (`regex_ecma`, `regex_python`)
supply escapes, anchors, the dot and the openings of groups. Groups only delimit: nothing is
captured, so greedy and lazy repetition are the same. Groups nest at most `MAX_NESTING` deep.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal, NoReturn

from constrain.errors import GrammarError, LimitError
from constrain.grammar.ir import Literal as LiteralNode
from constrain.grammar.ir import Node
from constrain.grammar.regex_classes import Ranges, merge, negate
from constrain.grammar.regex_tree import (
    Begin,
    End,
    Look,
    choice,
    class_node,
    lengths,
    repeat,
    sequence,
)

MAX_NESTING: Final = 50
_MAX_DIGITS: Final = 18
_QUANTIFIERS: Final = ("*", "+", "?", "{")
_RUN: Final = re.compile(r"[^\\^$.|?*+()\[{]+")
_COUNT: Final = re.compile(r"\{([0-9]*)(?:(,)([0-9]*))?\}")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

Quantifiable = Literal["nothing", "item", "repeated"]


@dataclass(slots=True)
class Group:
    """An open group: finished alternatives, items of the current one, what `)` does.

    Attributes:
        look: None, or (ahead, negative) of a look-around.
        flags: the flags in force inside.
    """

    position: int
    flags: int = 0
    look: tuple[bool, bool] | None = None
    alternatives: list[list[Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def node(self) -> Node:
        """What the group matches."""
        if not self.alternatives:
            return sequence(self.items)
        return choice([*map(sequence, self.alternatives), sequence(self.items)])


class Parser(ABC):
    """A pattern being read.

    Attributes:
        position: index of the next character.
        assertions: zero-width nodes read so far.
    """

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.position = 0
        self.assertions = 0
        self.group = Group(0)
        self._open: list[Group] = []
        self._quantifiable: Quantifiable = "nothing"
        self._literal_surrogates = _SURROGATES.search(pattern) is not None

    # What a dialect supplies. `position` is behind the character that chose the method.
    @abstractmethod
    def dot(self) -> Ranges:
        """The characters `.` matches."""

    @abstractmethod
    def anchor(self, character: str) -> Node:
        """The node of `^` or `$`."""

    @abstractmethod
    def escape(self) -> Node | None:
        """The node of an escape outside a class; None: it is `\\b` or a like assertion."""

    @abstractmethod
    def class_escape(self) -> int | Ranges:
        """The character or class of an escape inside a class."""

    @abstractmethod
    def open_extension(self) -> None:
        """Read what follows `(?` up to the contents of the group."""

    @abstractmethod
    def check_look(self, look: Look) -> None:
        """Raise if the dialect does not allow this look-around, whose `)` was just read."""

    def fold(self, ranges: Ranges) -> Ranges:
        """The characters that count as one of these (ignoring case, where asked for)."""
        return ranges

    def skip(self) -> bool:
        """Skip ignorable text (verbose mode) at `position`; whether there was any."""
        return False

    @property
    def plain_runs(self) -> bool:
        """Whether ordinary characters stand for themselves, so that runs can be taken."""
        return not self._literal_surrogates

    empty_class = False  # `[]` is a class without characters, not the start of `[]...]`
    open_count = False  # `{,n}` is a count

    def error(self, reason: str, position: int) -> NoReturn:
        """Raise `GrammarError` at a position of the pattern."""
        raise GrammarError(reason, text=self.text, position=position)

    def parse(self) -> list[list[Node]]:
        """Read the whole pattern.

        Returns:
            the items of each alternative of the pattern.

        Raises:
            GrammarError: malformed, or not regular.
            LimitError: groups nest deeper than `MAX_NESTING`.
        """
        text = self.text
        size = len(text)
        actions = self._ACTIONS
        while self.position < size:
            if self.skip():
                continue
            character = text[self.position]
            action = actions.get(character)
            if action is None:
                self._run()
            else:
                self.position += 1
                action(self)
        if self._open:
            self.error("missing ')'", self.group.position)
        return [*self.group.alternatives, self.group.items]

    def add(self, node: Node) -> None:
        """Append an item that may be repeated."""
        self.group.items.append(node)
        self._quantifiable = "item"

    def assertion(self, node: Node) -> None:
        """Append a zero-width item, which may not be repeated."""
        self._quantifiable = "nothing"
        items = self.group.items
        if not items or items[-1] != node:  # twice the same says nothing more
            self.assertions += 1
            items.append(node)

    def push(self, group: Group) -> None:
        """Open a group."""
        if len(self._open) >= MAX_NESTING:
            raise LimitError("expression_depth", len(self._open) + 1, MAX_NESTING)
        self._open.append(self.group)
        self.group = group
        self._quantifiable = "nothing"

    def hexadecimal(self, digits: int, start: int) -> int:
        """Read exactly so many hexadecimal digits of the escape that begins at `start`."""
        found = self.text[self.position : self.position + digits]
        if len(found) < digits or not all(c in "0123456789abcdefABCDEF" for c in found):
            self.error(f"incomplete escape, {digits} hexadecimal digits expected", start)
        self.position += digits
        return int(found, 16)

    def name(self, end: str) -> str:
        """Read a group's name up to `end`."""
        start = self.position
        stop = self.text.find(end, start)
        if stop < 0:
            self.error(f"missing {end!r}, unterminated name", start)
        name = self.text[start:stop]
        if not name.replace("$", "_").isidentifier():
            self.error(f"bad name {name!r} of a group", start)
        self.position = stop + 1
        return name

    def character(self, code: int) -> Node:
        """The node of one character under the flags in force."""
        return class_node(self.fold(((code, code),)))

    def _run(self) -> None:
        if not self.plain_runs:
            code = ord(self.text[self.position])
            self.position += 1
            self.add(self.character(code))
            return
        found = _RUN.match(self.text, self.position)
        assert found is not None, self.position
        run = found.group()
        self.position = found.end()
        if len(run) > 1 and self.text[self.position : self.position + 1] in _QUANTIFIERS:
            self.add(LiteralNode(run[:-1]))
            run = run[-1]
        self.add(LiteralNode(run))

    def _alternative(self) -> None:
        self.group.alternatives.append(self.group.items)
        self.group.items = []
        self._quantifiable = "nothing"

    def _open_group(self) -> None:
        if self.text[self.position : self.position + 1] == "?":
            self.position += 1
            self.open_extension()
        else:
            self.push(Group(self.position - 1, self.group.flags))

    def _close_group(self) -> None:
        if not self._open:
            self.error("unbalanced ')'", self.position - 1)
        closed = self.group
        self.group = self._open.pop()
        node = closed.node()
        if closed.look is not None:
            ahead, negative = closed.look
            look = Look(node, ahead, negative, closed.position)
            self.check_look(look)
            # A look-around of nothing but a look-around is that one, or its contrary.
            node = (
                replace(node, negative=node.negative != negative)
                if isinstance(node, Look)
                else look
            )
            self.assertions += 1
        self.add(node)

    def _dot(self) -> None:
        self.add(class_node(self.dot()))

    def _anchor(self) -> None:
        self.assertion(self.anchor(self.text[self.position - 1]))

    def _escape(self) -> None:
        if self.position >= len(self.text):
            self.error("a single backslash at the end", self.position - 1)
        node = self.escape()
        if node is not None:
            self.add(node)

    def _star(self) -> None:
        self._quantify(0, None, self.position - 1)

    def _plus(self) -> None:
        self._quantify(1, None, self.position - 1)

    def _optional(self) -> None:
        self._quantify(0, 1, self.position - 1)

    def _count(self) -> None:
        start = self.position - 1
        found = _COUNT.match(self.text, start)
        if found is None or found.group() == "{}":
            self.add(self.character(ord("{")))
            return
        low, comma, high = found.groups()
        if not low and not self.open_count:
            self.error("a count needs its lower number, as in {0,3}", start)
        if max(len(low), len(high or "")) > _MAX_DIGITS:
            self.error("the count is too large", start)
        least = int(low or 0)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            self.error("the greatest count is less than the least", start)
        self.position = found.end()
        self._quantify(least, most, start)

    def _quantify(self, least: int, most: int | None, start: int) -> None:
        if self._quantifiable == "nothing":
            self.error("nothing to repeat", start)
        if self._quantifiable == "repeated":
            self.error("multiple repeat", start)
        following = self.text[self.position : self.position + 1]
        if following == "?":
            self.position += 1
        elif following == "+":
            self.error("possessive quantifiers are not supported", self.position)
        items = self.group.items
        items.append(repeat(items.pop(), least, most))
        self._quantifiable = "repeated"

    def _class(self) -> None:
        start = self.position - 1
        negated = self.text[self.position : self.position + 1] == "^"
        self.position += negated
        ranges = self._class_members(start)
        self.add(class_node(negate(ranges) if negated else ranges))

    def _class_members(self, start: int) -> Ranges:
        text = self.text
        codes: list[tuple[int, int]] = []
        classes: list[tuple[int, int]] = []
        first = not self.empty_class
        while True:
            if self.position >= len(text):
                self.error("unterminated character class", start)
            if text[self.position] == "]" and not first:
                self.position += 1
                break
            first = False
            self._class_member(codes, classes)
        return merge([*self.fold(merge(codes)), *classes])

    def _class_member(
        self, codes: list[tuple[int, int]], classes: list[tuple[int, int]]
    ) -> None:
        begin = self.position
        low = self._class_atom(begin)
        dash = self.text[self.position : self.position + 2]
        if len(dash) < 2 or dash[0] != "-" or dash[1] == "]":  # noqa: PLR2004 - "-" and an end
            _put(low, codes, classes)
            return
        self.position += 1
        high = self._class_atom(begin)
        if isinstance(low, int) and isinstance(high, int):
            if high < low:
                reason = f"bad character range {self.text[begin : self.position]}"
                self.error(reason, begin)
            codes.append((low, high))
            return
        self.class_range(begin)
        _put(low, codes, classes)
        _put(high, codes, classes)
        codes.append((ord("-"), ord("-")))

    def class_range(self, begin: int) -> None:
        """A range whose end is a class, as in `[\\w-.]`: raise unless `-` may be meant."""
        self.error(f"bad character range {self.text[begin : self.position]}", begin)

    def _class_atom(self, begin: int) -> int | Ranges:
        character = self.text[self.position]
        self.position += 1
        if character != "\\":
            return ord(character)
        if self.position >= len(self.text):
            self.error("unterminated character class", begin)
        return self.class_escape()

    _ACTIONS: ClassVar = {
        "|": _alternative,
        "(": _open_group,
        ")": _close_group,
        ".": _dot,
        "^": _anchor,
        "$": _anchor,
        "\\": _escape,
        "*": _star,
        "+": _plus,
        "?": _optional,
        "{": _count,
        "[": _class,
    }


def _put(
    member: int | Ranges, codes: list[tuple[int, int]], classes: list[tuple[int, int]]
) -> None:
    if isinstance(member, int):
        codes.append((member, member))
    else:
        classes.extend(member)


def word_edge(word: Ranges, position: int, *, negative: bool) -> Node:
    """`\\b` (or `\\B`): exactly one of the two neighbours is a word character (or not so).

    Beyond the ends of the text there is no word character.
    """
    class_ = class_node(word)
    inside_behind, outside_behind = (Look(class_, False, no, position) for no in (False, True))
    inside_ahead, outside_ahead = (Look(class_, True, no, position) for no in (False, True))
    if negative:
        outside_ahead, inside_ahead = inside_ahead, outside_ahead
    return choice(
        [
            sequence([inside_behind, outside_ahead]),
            sequence([outside_behind, inside_ahead]),
        ]
    )


def line_begin(terminators: Ranges, position: int) -> Node:
    """`^` in multiline mode: the start of the text, or behind a line terminator."""
    return Look(choice([Begin(position), class_node(terminators)]), False, False, position)


def line_end(terminators: Ranges, position: int) -> Node:
    """`$` in multiline mode: the end of the text, or before a line terminator."""
    return Look(choice([End(position), class_node(terminators)]), True, False, position)


def is_fixed_width(node: Node) -> bool:
    """Whether all matches have one length."""
    least, most = lengths(node)
    return least == most
