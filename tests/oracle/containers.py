"""JSON objects and arrays as walks from one structural piece to the next.

SLOW ON PURPOSE, FOR TESTS ONLY. A state says what was read of a container; a move reads one
piece (a bracket, a key, a colon, a value, a comma) and leads to the next state. `finishable`
counts what is still owed and what is still there to be had.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple, Protocol

from constrain.grammar import ir
from tests.oracle import alphabet, characters, json_string
from tests.oracle.equality import can_differ, value_of
from tests.oracle.layout import LAYOUTS


class State(NamedTuple):
    """What was read of a container.

    Attributes:
        stage: "open" (nothing yet), "first" (after the bracket), "next" (after a comma),
            "colon", "value", "after" (a member) or "done".
        seen: decoded keys in an object, values in an array of unique items; None stands for
            one not known yet.
        n_members: members begun.
        value: the node that the value of the last key must match.
        settled: demands settled by members so far, as bits (`obliged`).
        counts: items counted so far, by tally (`obliged`).
    """

    stage: str
    seen: frozenset[str | None] = frozenset()
    n_members: int = 0
    value: ir.Node | None = None
    settled: int = 0
    counts: tuple[int, ...] = ()


class Move(NamedTuple):
    """A piece to read and the state after it, given the text of the piece (None: any)."""

    part: ir.Node
    after: Callable[[str | None], State]


class Asked(Protocol):
    """What a walk needs to know about parts (`json_text.Recognizer`)."""

    letters: alphabet.Ranges

    def possible(self, node: ir.Node, form: ir.JsonForm | None = None) -> bool:
        """Whether any text of `node` can be written."""

    def values(self, node: ir.Node, form: ir.JsonForm, n_wanted: int) -> list[str]:
        """Different values of a node, as many as are wanted or there are."""


class Walk(Protocol):
    """What objects and arrays have in common."""

    form: ir.JsonForm
    start: State

    def moves(self, state: State) -> Iterator[Move]:
        """What may be read next."""

    def finishable(self, state: State, asked: Asked) -> bool:
        """Whether the container can be finished from `state`."""

    def done(self, state: State) -> bool:
        """Whether the container has ended."""


def _to(state: State) -> Callable[[str | None], State]:
    return lambda _text: state


class _Container(ABC):
    """The brackets and commas around members."""

    brackets = ""

    def __init__(self, form: ir.JsonForm, bounds: tuple[int, int | None]) -> None:
        self.form = form
        self.layout = LAYOUTS[form.whitespace]
        self.start = State("open")
        self.least, self.most = bounds

    def done(self, state: State) -> bool:
        """Whether the closing bracket was read."""
        return state.stage == "done"

    def moves(self, state: State) -> Iterator[Move]:
        """What may be read next; `finishable` says whether it leads anywhere."""
        if state.stage == "open":
            yield Move(
                self.layout.opening(self.brackets[0]), _to(state._replace(stage="first"))
            )
        if state.stage in {"first", "next"} and (
            self.most is None or state.n_members < self.most
        ):
            yield from self.member(state)
        if state.stage == "after":
            yield Move(self.layout.comma(), _to(state._replace(stage="next")))
        if state.stage in {"first", "after"} and self.complete(state):
            closing = self.layout.closing(self.brackets[1])
            closed = closing if state.stage == "after" else ir.Literal(self.brackets[1])
            yield Move(closed, _to(State("done")))

    @abstractmethod
    def member(self, state: State) -> Iterator[Move]:
        """The beginnings of a further member."""

    def complete(self, state: State) -> bool:
        """Whether nothing is owed any more."""
        return state.n_members >= self.least

    def brackets_possible(self, state: State, more: int, asked: Asked) -> bool:
        """Whether brackets and commas for `more` members can be written."""
        pieces: list[ir.Node] = []
        if state.stage == "open":
            pieces.append(self.layout.opening(self.brackets[0]))
        if more > (state.stage in {"open", "first", "next"}):
            pieces.append(self.layout.comma())
        empty = state.stage in {"open", "first"} and not more
        pieces.append(
            ir.Literal(self.brackets[1]) if empty else self.layout.closing(self.brackets[1])
        )
        return all(asked.possible(piece) for piece in pieces)


class ArrayWalk(_Container):
    """One array case."""

    brackets = "[]"

    def __init__(self, case: ir.JsonArray, form: ir.JsonForm) -> None:
        super().__init__(form, (case.min_items, case.max_items))
        self.case = case

    def _item(self, index: int) -> ir.Node | None:
        prefix = self.case.prefix
        return prefix[index] if index < len(prefix) else self.case.items

    def member(self, state: State) -> Iterator[Move]:
        """The next item."""
        item = self._item(state.n_members)
        if item is not None:
            yield Move(item, self._after_item(state))

    def _after_item(self, state: State) -> Callable[[str | None], State]:
        """The state after an item; there is none after an item that repeats another."""

        def after(text: str | None) -> State:
            seen = state.seen
            if self.case.unique:
                value = None if text is None else value_of(text)
                if value in seen:
                    return State("dead")
                seen = seen | {value}
            return State("after", seen, state.n_members + 1)

        return after

    def wanted(self, state: State) -> int:
        """How many values of an item are as good as all: some are used, some may be needed."""
        return len(state.seen) + self.least + 2

    def _differ(self, state: State, items: list[ir.Node | None], asked: Asked) -> bool:
        if not self.case.unique:
            return True
        wanted = self.wanted(state)
        choices = [asked.values(item, self.form, wanted) for item in items if item is not None]
        return can_differ(
            choices, frozenset(value for value in state.seen if value is not None)
        )

    def finishable(self, state: State, asked: Asked) -> bool:
        """Whether enough further items exist and none too many."""
        if state.stage in {"done", "dead"}:
            return state.stage == "done"
        more = max(self.least - state.n_members, 1 if state.stage == "next" else 0)
        if self.most is not None and state.n_members + max(more, 0) > self.most:
            return False
        items = [
            self._item(index)
            for index in range(state.n_members, state.n_members + max(more, 0))
        ]
        return (
            self.brackets_possible(state, max(more, 0), asked)
            and all(item is not None and asked.possible(item, self.form) for item in items)
            and self._differ(state, items, asked)
        )


class ObjectWalk(_Container):
    """One object case."""

    brackets = "{}"

    def __init__(self, case: ir.JsonObject, form: ir.JsonForm) -> None:
        super().__init__(form, (case.min_properties, case.max_properties))
        self.case = case
        self.names = [one.name for one in case.properties]
        # What undeclared keys match, and their value: no key is in two of them.
        any_key = ir.Repeat(ir.Chars(alphabet.EVERY_CHARACTER))
        self.classes = list(case.others)
        self.class_ways = list(case.ways)
        if case.additional is not None:
            first = (any_key if case.key is None else case.key, case.additional)
            self.classes.insert(0, first)

    def moves(self, state: State) -> Iterator[Move]:
        """What may be read next."""
        if state.stage == "colon":
            yield Move(self.layout.colon(), _to(state._replace(stage="value")))
        elif state.stage == "value" and state.value is not None:
            yield Move(state.value, _to(state._replace(stage="after", value=None)))
        else:
            yield from super().moves(state)

    def member(self, state: State) -> Iterator[Move]:
        """The keys that may come: declared ones, then any other."""
        for one in self._left(state):
            key = ir.JsonString(ir.Literal(one.name), self.form.escapes)
            seen = state.seen | {one.name}
            for way in one.ways or (ir.Way(one.value),):
                after = State("colon", seen, state.n_members + 1, way.value)
                yield Move(key, _to(after._replace(settled=state.settled | way.settles)))
        for i, (key_class, value) in enumerate(self.classes):
            key = ir.JsonString(self._other(state, key_class), self.form.escapes)
            for way in self.class_ways[i] if self.class_ways else (ir.Way(value),):
                yield Move(key, self._after_other(state, way))

    def _after_other(self, state: State, way: ir.Way) -> Callable[[str | None], State]:
        """The state after an undeclared key with a value read in this way."""

        def after(text: str | None) -> State:
            name = None
            if text is not None:
                reading = json_string.read(text, 0, self.form.escapes)
                assert reading is not None
                name = reading.decoded
            after = State("colon", state.seen | {name}, state.n_members + 1, way.value)
            return after._replace(settled=state.settled | way.settles)

        return after

    def _left(self, state: State) -> list[ir.Property]:
        """Declared properties that may still come."""
        first = 0
        if self.form.property_order == "schema":
            if state.seen - set(self.names):
                return []
            first = max((self.names.index(str(name)) + 1 for name in state.seen), default=0)
        return [one for one in self.case.properties[first:] if one.name not in state.seen]

    def _other(self, state: State, key: ir.Node, *more: str) -> ir.Node:
        """Decoded keys of a class that are neither declared nor used."""
        used = [name for name in state.seen if name is not None]
        return ir.Intersect((key, ir.Complement(ir.OneOf((*self.names, *used, *more)))))

    def complete(self, state: State) -> bool:
        """Whether every required property is there, and enough of all."""
        required = {one.name for one in self.case.properties if one.required}
        return required <= state.seen and super().complete(state)

    def finishable(self, state: State, asked: Asked) -> bool:
        """Whether what is owed can be had: required properties, and enough members."""
        if state.stage == "done":
            return True
        if state.stage in {"colon", "value"}:
            value = state.value
            if value is None or not asked.possible(value, self.form):
                return False
            if state.stage == "colon" and not asked.possible(self.layout.colon()):
                return False
        left = self._left(state)
        required = {one.name for one in self.case.properties if one.required} - state.seen
        if not required <= {one.name for one in left}:
            return False
        declared = {one.name for one in left if self._writable(one.name, one.value, asked)}
        more = max(
            self.least - state.n_members, len(required), 1 if state.stage == "next" else 0
        )
        if not required <= declared or (
            self.most is not None and state.n_members + more > self.most
        ):
            return False
        if more and not asked.possible(self.layout.colon()):
            return False
        if more > len(declared) + self._others(state, more - len(declared), asked):
            return False
        return self.brackets_possible(state, more, asked)

    def _writable(self, name: str, value: ir.Node, asked: Asked) -> bool:
        key = ir.JsonString(ir.Literal(name), self.form.escapes)
        return asked.possible(key) and asked.possible(value, self.form)

    def _others(self, state: State, wanted: int, asked: Asked) -> int:
        """How many further undeclared members there can be, counted up to `wanted`."""
        if wanted <= 0 or not asked.possible(ir.Literal('"')):
            return 0
        keys = [key for key, value in self.classes if asked.possible(value, self.form)]
        if not keys:
            return 0
        wanted += None in state.seen
        letters = json_string.decodable(asked.letters, self.form.escapes)
        found: list[str] = []
        while len(found) < wanted:
            word = _shortest(self._other(state, ir.Choice(tuple(keys)), *found), letters)
            if word is None:
                break
            found.append(word)
        return len(found) - (None in state.seen)


def written(node: ir.Node, letters: alphabet.Ranges, begun: str = "") -> ir.Node:
    """The texts of a regular node that can be written with `letters`, or begin with `begun`.

    Of letters that the node does not tell apart one is kept: viability stays the same.
    """
    if letters == alphabet.EVERY_CHARACTER:
        return node
    kept = alphabet.representatives(letters, alphabet.boundaries(node))
    inside = ir.Chars(alphabet.merged([*kept, *map(ord, begun)]))
    return ir.Intersect((node, ir.Repeat(inside)))


@cache
def _shortest(node: ir.Node, letters: alphabet.Ranges) -> str | None:
    """A shortest text of a regular node, written with `letters`; None if there is none."""
    points = alphabet.representatives(letters, alphabet.boundaries(node))
    inside = written(node, letters)
    level = [""] if characters.viable_prefix(inside, "") else []
    while level:
        for text in level:
            if characters.matches(inside, text):
                return text
        longer = (text + chr(point) for text in level for point in points)
        level = [text for text in longer if characters.viable_prefix(inside, text)]
    return None
