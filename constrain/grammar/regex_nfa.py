"""A pattern's nondeterministic automaton, in which edges may carry conditions (Thompson)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from constrain.grammar.ir import Chars, Choice, Literal, Node, OneOf, Repeat, Sequence
from constrain.grammar.regex_classes import ALL, Ranges
from constrain.grammar.regex_edges import one_character
from constrain.grammar.regex_tree import Begin, End, Look

_MAX_PLACES: Final = 2_000


class TooLargeError(Exception):
    """The automaton would be larger than its bounds; the message says which."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A move to `target`: over a character of `ranges`, or freely where `condition` holds.

    Conditions: () none; ("next" or "previous", ranges, edge, negative) on one character;
    ("behind", index, negative) on the look-behind of that index; ("ahead", start, negative) on
    what follows.
    """

    target: int
    ranges: Ranges | None = None
    condition: tuple[object, ...] = ()


@dataclass(slots=True)
class Nfa:
    """States are indices into `edges`.

    Attributes:
        found: accepting states of look-aheads.
        behind: (start, accept) of each look-behind, inner ones first.
        sets: all sets of characters on edges and in conditions.
    """

    edges: list[list[Edge]] = field(default_factory=list)
    start: int = 0
    accept: int = 0
    found: set[int] = field(default_factory=set)
    behind: list[tuple[int, int]] = field(default_factory=list)
    sets: list[Ranges] = field(default_factory=lambda: [ALL])

    def place(self) -> int:
        """A new state."""
        if len(self.edges) >= _MAX_PLACES:
            raise TooLargeError("too many positions, counts written out")
        self.edges.append([])
        return len(self.edges) - 1


def build(tree: Node) -> Nfa:
    """The automaton of a tree.

    Raises:
        TooLargeError: more than 2,000 states.
    """
    nfa = Nfa()
    nfa.start = nfa.place()
    nfa.accept = _add(nfa, tree, nfa.start)
    return nfa


def _add(nfa: Nfa, node: Node, start: int) -> int:
    """Add the node's edges from `start` on; returns the state behind it."""
    match node:
        case Chars(ranges):
            return _over(nfa, start, ranges)
        case Literal(text):
            for character in text:
                start = _over(nfa, start, ((ord(character), ord(character)),))
            return start
        case Sequence(parts):
            for part in parts:
                start = _add(nfa, part, start)
            return start
        case OneOf() | Choice():
            return _branches(nfa, node, start)
        case Repeat():
            return _repeat(nfa, node, start)
        case Begin() | End():
            side = "next" if isinstance(node, End) else "previous"
            return _free(nfa, start, (side, (), True, False))
        case Look():
            return _look(nfa, node, start)
        case _:
            raise TypeError(node)


def _over(nfa: Nfa, start: int, ranges: Ranges) -> int:
    nfa.sets.append(ranges)
    target = nfa.place()
    nfa.edges[start].append(Edge(target, ranges))
    return target


def _free(nfa: Nfa, start: int, condition: tuple[object, ...] = ()) -> int:
    if condition[:1] in {("next",), ("previous",)}:
        nfa.sets.append(condition[1])  # type: ignore[arg-type]  # conditions are typed loosely
    target = nfa.place()
    nfa.edges[start].append(Edge(target, None, condition))
    return target


def _branches(nfa: Nfa, node: OneOf | Choice, start: int) -> int:
    alternatives: list[Node] = (
        list(node.alternatives)
        if isinstance(node, Choice)
        else [Literal(text) for text in node.texts]
    )
    end = nfa.place()
    for alternative in alternatives:
        # An own start: a repetition inside must not loop back into the other branches.
        last = _add(nfa, alternative, _free(nfa, start))
        nfa.edges[last].append(Edge(end))
    return end


def _repeat(nfa: Nfa, node: Repeat, start: int) -> int:
    for _ in range(node.min):
        start = _add(nfa, node.part, _free(nfa, start))
    if node.max is None:
        loop = _free(nfa, start)
        last = _add(nfa, node.part, _free(nfa, loop))
        nfa.edges[last].append(Edge(loop))
        return _free(nfa, loop)
    end = nfa.place()
    for _ in range(node.max - node.min):
        nfa.edges[start].append(Edge(end))
        start = _add(nfa, node.part, _free(nfa, start))
    nfa.edges[start].append(Edge(end))
    return end


def _look(nfa: Nfa, look: Look, start: int) -> int:
    near = one_character(look.inner, ahead=look.ahead)
    if near is not None:
        side = "next" if look.ahead else "previous"
        return _free(nfa, start, (side, *near, look.negative))
    inner = nfa.place()
    last = _add(nfa, look.inner, inner)
    if look.ahead:
        nfa.found.add(last)
        return _free(nfa, start, ("ahead", inner, look.negative))
    nfa.behind.append((inner, last))
    return _free(nfa, start, ("behind", len(nfa.behind) - 1, look.negative))
