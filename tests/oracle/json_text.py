"""Whole grammars, recognized from their definition: texts and beginnings of texts.

SLOW ON PURPOSE, FOR TESTS ONLY. Three questions are asked of a node at a place of the text:
where can it end (`ends`), can the rest of the text be its beginning (`begins`), and is there
any text of it at all (`possible`). Answers about recursive rules are least fixed points, found
by asking again until nothing changes; so left recursion, empty rules and ambiguity need no
care. Method: Kleene iteration; nothing is shared with the kernel, not even derivatives, except
that intersections and complements are asked of `tests/oracle/characters.py` (once each: the
same question comes back for every token).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from constrain.grammar import ir
from tests.oracle import alphabet, characters, json_string
from tests.oracle.containers import ArrayWalk, Move, ObjectWalk, State, Walk, written
from tests.oracle.equality import texts_by_value, value_of
from tests.oracle.layout import LAYOUTS
from tests.oracle.obliged import DemandingWalk, TalliedWalk

_viable_prefix = lru_cache(maxsize=10_000)(characters.viable_prefix)
_HEX_ESCAPES = re.compile(r"\\u([0-9a-fA-F]{4})(?:\\u([0-9a-fA-F]{4}))?", re.ASCII)


def accepts(grammar: ir.Grammar, text: str | bytes) -> bool:
    """Whether `text` is a whole text of the grammar."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return False
    return len(text) in Recognizer(grammar.rules, text).ends(grammar.root, 0)


def viable(grammar: ir.Grammar, data: bytes, allowed: frozenset[int] | None = None) -> bool:
    """Whether some text of the grammar begins with `data`.

    Args:
        grammar: what may be said.
        data: UTF-8, which may stop inside a character.
        allowed: the bytes that may follow; None: every byte. It must hold those of `data`.
    """
    parts = alphabet.split_utf8(data)
    if parts is None:
        return False
    text, rest = parts
    letters = alphabet.spelled_by(allowed)
    if not rest:
        return _begins(grammar, text, letters)
    marks = {*alphabet.boundaries((grammar.root, dict(grammar.rules))), *_marks_of_text(text)}
    following = alphabet.common(alphabet.unfinished(rest), letters)
    return any(
        _begins(grammar, text + chr(point), letters)
        for point in alphabet.representatives(following, marks)
    )


def _begins(grammar: ir.Grammar, text: str, letters: alphabet.Ranges) -> bool:
    return Recognizer(grammar.rules, text, letters).begins(grammar.root, 0)


def _marks_of_text(text: str) -> Iterable[int]:
    """Code points of the text and their successors, escaped ones too: keys may equal them."""
    yield from alphabet.boundaries(text)
    for found in _HEX_ESCAPES.finditer(text):
        first, second = int(found[1], 16), int(found[2] or "0", 16)
        point = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        yield from (first, first + 1, second, second + 1, point, point + 1)


@lru_cache(maxsize=100_000)
def _texts_by_value(
    rules: tuple[tuple[str, ir.Node], ...],
    node: ir.Node,
    begun: str,
    form: ir.JsonForm,
    ranges: alphabet.Ranges,
    n_wanted: int,
) -> list[str]:
    """Texts of different values of a node that begin so; there must be few characters."""
    letters = [chr(point) for low, high in ranges for point in range(low, high + 1)]
    assert len(letters) < 100, "unique items need a small vocabulary"

    @cache
    def ask(text: str) -> Recognizer:
        return Recognizer(dict(rules), text, ranges)

    return texts_by_value(
        begun,
        letters,
        lambda text: ask(text).begins(node, 0, form),
        lambda text: len(text) in ask(text).ends(node, 0, form),
        n_wanted,
    )


class Recognizer:
    """Answers about one text.

    Args:
        rules: bodies of `ir.Rule`.
        text: the whole text.
        letters: the characters that may follow it.
    """

    def __init__(
        self,
        rules: Mapping[str, ir.Node],
        text: str,
        letters: alphabet.Ranges = alphabet.EVERY_CHARACTER,
    ) -> None:
        self.rules = rules
        self.text = text
        self.letters = letters
        self._known: dict[tuple[object, ...], object] = {}
        self._asked: set[tuple[object, ...]] = set()
        self._final: set[tuple[object, ...]] = set()
        self._open: set[tuple[object, ...]] = set()
        self._again = False
        self._circular = False

    def ends(
        self, node: ir.Node, start: int, form: ir.JsonForm | None = None
    ) -> frozenset[int]:
        """Every index at which `node` can end when it begins at `start`."""
        if not isinstance(node, ir.Rule | ir.JsonValue):
            return frozenset(self._ends(node, start, form))
        answer = self._settled("ends", node, start, form)
        assert isinstance(answer, frozenset)
        return answer

    def begins(self, node: ir.Node, start: int, form: ir.JsonForm | None = None) -> bool:
        """Whether `text[start:]` is the beginning of a text of `node`."""
        if not isinstance(node, ir.Rule | ir.JsonValue):
            return self._begins(node, start, form)
        return bool(self._settled("begins", node, start, form))

    def possible(self, node: ir.Node, form: ir.JsonForm | None = None) -> bool:
        """Whether any text of `node` can be written with `letters`."""
        if not isinstance(node, ir.Rule | ir.JsonValue):
            return self._possible(node, form)
        return bool(self._settled("possible", node, len(self.text), form))

    def values(self, node: ir.Node, form: ir.JsonForm, n_wanted: int) -> list[str]:
        """Different values of a node, as many as are wanted or there are."""
        return [value_of(text) for text in self._texts(node, "", form, n_wanted)]

    def _texts(self, node: ir.Node, begun: str, form: ir.JsonForm, n_wanted: int) -> list[str]:
        """Texts of different values that begin so."""
        rules = tuple(self.rules.items())
        return _texts_by_value(rules, node, begun, form, tuple(self.letters), n_wanted)

    def _settled(
        self, kind: str, node: ir.Rule | ir.JsonValue, start: int, form: ir.JsonForm | None
    ) -> object:
        """The answer, asked again from the top until no answer changes."""
        if self._open:
            return self._answer(kind, node, start, form)
        while True:
            self._again = self._circular = False
            self._asked.clear()
            answer = self._answer(kind, node, start, form)
            if not (self._again and self._circular):
                self._final |= self._asked
                return answer

    def _answer(self, kind: str, node: ir.Node, start: int, form: ir.JsonForm | None) -> object:
        """The present answer; what is being asked already counts as "no": recursion ends."""
        name = node.name if isinstance(node, ir.Rule) else id(node)
        key = (kind, name, start, form)
        bottom: object = frozenset[int]() if kind == "ends" else False
        if key in self._asked or key in self._final:
            self._circular |= key in self._open
            return self._known.get(key, bottom)
        self._asked.add(key)
        self._open.add(key)
        answer = self._ask(kind, node, start, form)
        self._open.discard(key)
        if answer != self._known.get(key, bottom):
            self._known[key] = answer
            self._again = True
        return answer

    def _ask(self, kind: str, node: ir.Node, start: int, form: ir.JsonForm | None) -> object:
        if kind == "ends":
            return frozenset(self._ends(node, start, form))
        if kind == "begins":
            return self._begins(node, start, form)
        return self._possible(node, form)

    def _ends(self, node: ir.Node, start: int, form: ir.JsonForm | None) -> Iterable[int]:
        text = self.text
        match node:
            case ir.Chars(ranges):
                inside = start < len(text) and alphabet.contains(ranges, ord(text[start]))
                return [start + 1] if inside else []
            case ir.Literal(word):
                return [start + len(word)] if text.startswith(word, start) else []
            case ir.OneOf(words):
                return [start + len(word) for word in words if text.startswith(word, start)]
            case ir.JsonString():
                return self._string_ends(node, start)
            case ir.Intersect() | ir.Complement() | ir.MultipleOf():
                stops = range(start, len(text) + 1)
                return [stop for stop in stops if characters.matches(node, text[start:stop])]
            case _:
                return self._composed_ends(node, start, form)

    def _composed_ends(
        self, node: ir.Node, start: int, form: ir.JsonForm | None
    ) -> Iterable[int]:
        match node:
            case ir.Sequence(parts):
                places = {start}
                for part in parts:
                    places = {end for place in places for end in self.ends(part, place, form)}
                return places
            case ir.Choice(alternatives):
                return {end for one in alternatives for end in self.ends(one, start, form)}
            case ir.Repeat():
                copies = self._copies(node, start, form)
                return {end for k, ends in copies if k >= node.min for end in ends}
            case ir.Rule(name):
                return self.ends(self.rules[name], start, form)
            case ir.JsonText(value, inner):
                return self.ends(self._framed(value, inner), start, inner)
            case ir.JsonValue(scalar):
                found = set() if scalar is None else set(self.ends(scalar, start, form))
                for walk in self._walks(node, form):
                    found |= {i for state, i in self._reached(walk, start) if walk.done(state)}
                return found
        raise TypeError(node)

    def _copies(
        self, node: ir.Repeat, start: int, form: ir.JsonForm | None
    ) -> Iterable[tuple[int, set[int]]]:
        """The places after exactly k copies, as far as k can matter."""
        most = node.min + len(self.text) + 1 if node.max is None else node.max
        places = {start}
        for k in range(min(most, node.min + len(self.text) + 1) + 1):
            yield k, places
            places = {end for place in places for end in self.ends(node.part, place, form)}
            if not places:
                return

    def _begins(self, node: ir.Node, start: int, form: ir.JsonForm | None) -> bool:
        if len(self.text) in self.ends(node, start, form):
            return True
        rest = self.text[start:]
        match node:
            case ir.Chars() | ir.Literal("") | ir.Choice(()):
                return not rest and self.possible(node)
            case ir.Literal(word):
                return word.startswith(rest) and self._spelled(word[len(rest) :])
            case ir.OneOf(words):
                return any(self.begins(ir.Literal(word), start) for word in words)
            case ir.JsonString():
                return self._string_begins(node, start)
            case ir.Intersect() | ir.Complement() | ir.MultipleOf():
                return _viable_prefix(written(node, self.letters, rest), rest)
            case _:
                return self._composed_begins(node, start, form)

    def _composed_begins(self, node: ir.Node, start: int, form: ir.JsonForm | None) -> bool:
        match node:
            case ir.Sequence(parts):
                return self._sequence_begins(parts, start, form)
            case ir.Choice(alternatives):
                return any(self.begins(one, start, form) for one in alternatives)
            case ir.Repeat(part, _, most):
                return any(
                    self.begins(part, place, form)
                    for k, places in self._copies(node, start, form)
                    if most is None or k < most
                    for place in places
                )
            case ir.Rule(name):
                return self.begins(self.rules[name], start, form)
            case ir.JsonText(value, inner):
                return self.begins(self._framed(value, inner), start, inner)
            case ir.JsonValue(scalar):
                if scalar is not None and self.begins(scalar, start, form):
                    return True
                return any(self._walk_begins(w, start) for w in self._walks(node, form))
        raise TypeError(node)

    def _sequence_begins(
        self, parts: tuple[ir.Node, ...], start: int, form: ir.JsonForm | None
    ) -> bool:
        places = {start}
        for index, part in enumerate(parts):
            if any(self.begins(part, place, form) for place in places) and all(
                self.possible(later, form) for later in parts[index + 1 :]
            ):
                return True
            places = {end for place in places for end in self.ends(part, place, form)}
        return False

    def _possible(self, node: ir.Node, form: ir.JsonForm | None) -> bool:
        match node:
            case ir.Chars(ranges):
                return bool(alphabet.common(ranges, self.letters))
            case ir.Literal(word):
                return self._spelled(word)
            case ir.OneOf(words):
                return any(self._spelled(word) for word in words)
            case ir.JsonString():
                return self._spelled('"') and self._inside(node, "").possible(node.content)
            case ir.Intersect() | ir.Complement() | ir.MultipleOf():
                return _viable_prefix(written(node, self.letters), "")
            case ir.Sequence(parts):
                return all(self.possible(part, form) for part in parts)
            case ir.Choice(alternatives):
                return any(self.possible(one, form) for one in alternatives)
            case ir.Repeat(part, least):
                return least == 0 or self.possible(part, form)
            case _:
                return self._composed_possible(node, form)

    def _composed_possible(self, node: ir.Node, form: ir.JsonForm | None) -> bool:
        match node:
            case ir.Rule(name):
                return self.possible(self.rules[name], form)
            case ir.JsonText(value, inner):
                return self.possible(self._framed(value, inner), inner)
            case ir.JsonValue(scalar):
                if scalar is not None and self.possible(scalar, form):
                    return True
                return any(w.finishable(w.start, self) for w in self._walks(node, form))
        raise TypeError(node)

    def _spelled(self, word: str) -> bool:
        return all(alphabet.contains(self.letters, ord(letter)) for letter in word)

    @staticmethod
    def _framed(value: ir.Node, form: ir.JsonForm) -> ir.Node:
        around = LAYOUTS[form.whitespace].around
        return ir.Sequence((around, value, around))

    def _inside(self, node: ir.JsonString, decoded: str) -> Recognizer:
        """A recognizer of a string's decoded text."""
        letters = json_string.decodable(self.letters, node.escapes)
        return Recognizer({}, decoded, letters)

    def _string_ends(self, node: ir.JsonString, start: int) -> Iterable[int]:
        reading = json_string.read(self.text, start, node.escapes)
        if reading is None or reading.end is None:
            return []
        content = self._inside(node, reading.decoded).ends(node.content, 0)
        return [reading.end] if len(reading.decoded) in content else []

    def _string_begins(self, node: ir.JsonString, start: int) -> bool:
        if start == len(self.text):
            return self.possible(node)
        reading = json_string.read(self.text, start, node.escapes)
        if reading is None or reading.end is not None or not self._spelled('"'):
            return False
        tails = [""]
        if reading.pending:
            marks = alphabet.boundaries(node.content)
            tails = json_string.finishing(reading.pending, node.escapes, self.letters, marks)
        return any(
            self._inside(node, reading.decoded + tail).begins(node.content, 0) for tail in tails
        )

    def _walks(self, node: ir.JsonValue, form: ir.JsonForm | None) -> Iterable[Walk]:
        form = form or ir.JsonForm()
        for of_object in node.objects:
            yield (DemandingWalk if of_object.demands else ObjectWalk)(of_object, form)
        for of_array in node.arrays:
            yield (TalliedWalk if of_array.tallies else ArrayWalk)(of_array, form)

    def _reached(self, walk: Walk, start: int) -> set[tuple[State, int]]:
        """Every state of a container with every place at which it can be reached."""
        found = {(walk.start, start)}
        pending = list(found)
        while pending:
            state, place = pending.pop()
            for move in walk.moves(state):
                for end in self.ends(move.part, place, walk.form):
                    after = (move.after(self.text[place:end]), end)
                    if after not in found:
                        found.add(after)
                        pending.append(after)
        return found

    def _walk_begins(self, walk: Walk, start: int) -> bool:
        return any(
            self._move_begins(walk, state, move, place)
            for state, place in self._reached(walk, start)
            for move in walk.moves(state)
        )

    def _move_begins(self, walk: Walk, state: State, move: Move, place: int) -> bool:
        if not self.begins(move.part, place, walk.form):
            return False
        is_value = isinstance(move.part, ir.JsonValue | ir.Rule)
        if not (isinstance(walk, ArrayWalk) and walk.case.unique and is_value):
            return walk.finishable(move.after(None), self)
        begun = self.text[place:]
        return any(
            walk.finishable(move.after(text), self)
            for text in self._texts(move.part, begun, walk.form, walk.wanted(state))
        )
