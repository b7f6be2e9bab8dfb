"""Whether a regular IR node matches a text, straight from the meaning of each node.

SLOW ON PURPOSE, FOR TESTS ONLY. Two recognizers, both in their textbook form, over `str`:

- `matches`: for a node and a start, the set of ends, by recursion over the node (a set of
  positions; no automaton, no cache);
- `viable_prefix`: derivatives (Brzozowski, 1964) character by character, then a search through
  all further derivatives for one that accepts the empty text. Every set of characters in the
  node is tried by one representative of each class it distinguishes.

Nothing is imported from the library but the IR itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    MultipleOf,
    Node,
    OneOf,
    Repeat,
    Sequence,
)

_NOTHING = Chars(())
_EMPTY = Literal("")
_ANY = Complement(_NOTHING)


@dataclass(frozen=True, slots=True)
class _Remainder(Node):
    """Digits that bring a number, `value` modulo `divisor` so far, to a multiple.

    `places` more may follow the point, which stands before here if `pointed`.
    """

    divisor: int
    value: int
    places: int
    pointed: bool = False


def matches(node: Node, text: str) -> bool:
    """Whether `node` matches the whole of `text`."""
    return len(text) in _ends(node, text, 0)


def viable_prefix(node: Node, text: str) -> bool:
    """Whether some text that `node` matches begins with `text` (or is `text`)."""
    for character in text:
        node = derivative(node, character)
    return not is_empty(node)


def is_empty(node: Node) -> bool:
    """Whether `node` matches no text at all."""
    characters = _representatives(node)
    seen = {node}
    waiting = [node]
    while waiting:
        state = waiting.pop()
        if accepts_empty(state):
            return False
        for character in characters:
            following = derivative(state, character)
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return True


def _ends(node: Node, text: str, start: int) -> set[int]:  # noqa: C901 - a case for each node
    """All positions where a match of `node` that begins at `start` may end."""
    match node:
        case Chars(ranges):
            inside = start < len(text) and _is_in(text[start], ranges)
            return {start + 1} if inside else set()
        case Literal(word):
            return {start + len(word)} if text.startswith(word, start) else set()
        case OneOf(words):
            return {start + len(word) for word in words if text.startswith(word, start)}
        case Sequence(parts):
            ends = {start}
            for part in parts:
                ends = _step(part, text, ends)
            return ends
        case Choice(alternatives):
            return set().union(*(_ends(item, text, start) for item in alternatives))
        case Repeat(part, least, most):
            return _repeat_ends(part, (least, most), text, start)
        case Intersect(parts):
            ends = set(range(start, len(text) + 1))
            for part in parts:
                ends &= _ends(part, text, start)
            return ends
        case Complement(part):
            return set(range(start, len(text) + 1)) - _ends(part, text, start)
        case MultipleOf():
            return _multiple_ends(node, text, start)
        case _:
            raise TypeError(node)


def _step(part: Node, text: str, starts: set[int]) -> set[int]:
    return {end for start in starts for end in _ends(part, text, start)}


def _repeat_ends(part: Node, counts: tuple[int, int | None], text: str, start: int) -> set[int]:
    least, most = counts
    if accepts_empty(part):
        least = 0  # empty rounds may fill up the count
    found: set[int] = set()
    ends = {start}
    n_rounds = 0
    while ends and (most is None or n_rounds <= most):
        if n_rounds >= least:
            if ends <= found:
                break
            found |= ends
        ends = _step(part, text, ends)
        n_rounds += 1
    return found


def _multiple_ends(node: MultipleOf, text: str, start: int) -> set[int]:
    ends = set()
    numeral = re.compile(r"[0-9]+(\.[0-9]*)?" if node.places else "[0-9]+")
    for end in range(start + 1, len(text) + 1):
        if not numeral.fullmatch(text, start, end):
            continue
        scaled = Fraction(text[start:end].rstrip(".")) * 10**node.places
        if scaled.denominator == 1 and scaled.numerator % node.divisor == 0:
            ends.add(end)
    return ends


def _is_in(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= ord(character) <= high for low, high in ranges)


def accepts_empty(node: Node) -> bool:
    """Whether `node` matches the empty text."""
    match node:
        case Chars() | MultipleOf():
            return False
        case Literal(word):
            return word == ""
        case OneOf(words):
            return "" in words
        case Sequence(parts) | Intersect(parts):
            return all(accepts_empty(part) for part in parts)
        case Choice(alternatives):
            return any(accepts_empty(item) for item in alternatives)
        case Repeat(part, least, _):
            return least == 0 or accepts_empty(part)
        case Complement(part):
            return not accepts_empty(part)
        case _Remainder(divisor, value, places):
            return bool(value * 10**places % divisor == 0)
        case _:
            raise TypeError(node)


def derivative(node: Node, character: str) -> Node:  # noqa: C901 - a case for each node
    """What may follow `character` in the texts of `node` that begin with it."""
    match node:
        case Chars(ranges):
            return _EMPTY if _is_in(character, ranges) else _NOTHING
        case Literal(word):
            return Literal(word[1:]) if word[:1] == character else _NOTHING
        case OneOf(words):
            return _union([Literal(word[1:]) for word in words if word[:1] == character])
        case Sequence(parts):
            return _sequence_derivative(parts, character)
        case Choice(alternatives):
            return _union([derivative(item, character) for item in alternatives])
        case Repeat(part, least, most):
            if most == 0:
                return _NOTHING
            left = Repeat(part, max(least - 1, 0), None if most is None else most - 1)
            return _chain([derivative(part, character), left])
        case Intersect(parts):
            return _common([derivative(part, character) for part in parts])
        case Complement(part):
            inner = derivative(part, character)
            return inner.part if isinstance(inner, Complement) else Complement(inner)
        case MultipleOf(divisor, places):
            start = _Remainder(divisor, 0, places)
            return _NOTHING if character == "." else _digit(start, character)
        case _Remainder():
            return _digit(node, character)
        case _:
            raise TypeError(node)


def _digit(state: _Remainder, character: str) -> Node:
    if character == "." and state.places and not state.pointed:
        return replace(state, pointed=True)
    if not ("0" <= character <= "9"):
        return _NOTHING
    if state.pointed and not state.places:
        return state if character == "0" else _NOTHING
    value = (state.value * 10 + int(character)) % state.divisor
    return replace(state, value=value, places=state.places - state.pointed)


def _sequence_derivative(parts: tuple[Node, ...], character: str) -> Node:
    found = []
    for index, part in enumerate(parts):
        found.append(_chain([derivative(part, character), *parts[index + 1 :]]))
        if not accepts_empty(part):
            break
    return _union(found)


def _chain(parts: list[Node]) -> Node:
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Sequence) else [part])
    flat = [part for part in flat if part != _EMPTY]
    if _NOTHING in flat:
        return _NOTHING
    if len(flat) == 1:
        return flat[0]
    return Sequence(tuple(flat)) if flat else _EMPTY


def _union(nodes: list[Node]) -> Node:
    """A union that is equal for equal sets of alternatives: that keeps derivatives finite."""
    flat: set[Node] = set()
    for node in nodes:
        flat.update(node.alternatives if isinstance(node, Choice) else [node])
    flat.discard(_NOTHING)
    if _ANY in flat:
        return _ANY
    if len(flat) == 1:
        return flat.pop()
    return Choice(tuple(sorted(flat, key=repr))) if flat else _NOTHING


def _common(nodes: list[Node]) -> Node:
    flat: set[Node] = set()
    for node in nodes:
        flat.update(node.parts if isinstance(node, Intersect) else [node])
    if _NOTHING in flat:
        return _NOTHING
    flat.discard(_ANY)
    if len(flat) == 1:
        return flat.pop()
    return Intersect(tuple(sorted(flat, key=repr))) if flat else _ANY


def _representatives(node: Node) -> list[str]:
    """One character at least of each class of characters that `node` tells apart."""
    points = {0}
    waiting = [node]
    while waiting:
        match waiting.pop():
            case Chars(ranges):
                points.update(point for low, high in ranges for point in (low, high + 1))
            case Literal(word):
                points.update(point for c in word for point in (ord(c), ord(c) + 1))
            case OneOf(words):
                points.update(p for w in words for c in w for p in (ord(c), ord(c) + 1))
            case MultipleOf() | _Remainder():
                points.update(range(ord("."), ord("9") + 2))
            case Sequence(parts) | Intersect(parts):
                waiting.extend(parts)
            case Choice(alternatives):
                waiting.extend(alternatives)
            case Repeat(part, _, _) | Complement(part):
                waiting.append(part)
    # A class that begins inside the surrogates, which are no characters, goes on behind them.
    moved = {0xE000 if 0xD800 <= point < 0xE000 else point for point in points}
    return [chr(point) for point in sorted(moved) if point <= 0x10FFFF]
