"""Keys of objects by class: which needs a key has by the patterns it matches.

`patternProperties` puts all keys into disjoint classes, one for each set of patterns that a
key can match; the rest is governed by `additionalProperties`. A declared name is put into its
class here, once, at compile time, and its need is met with its own.

`matches` is a set-of-ends recognizer for these names alone: short, known texts. The kernel,
which matches everything that is written, cannot be asked by the layers before it.
"""

from __future__ import annotations

from functools import reduce
from itertools import product
from typing import TypeAlias

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    Node,
    OneOf,
    Repeat,
    Sequence,
)
from constrain.schema.document import Need
from constrain.schema.strings import ANY_TEXT

KeyClass: TypeAlias = tuple[Node, Need]
"""Keys, as a regular node over decoded text, and their need."""

MAX_PATTERNS = 6
"""Most patterns of one `patternProperties` that may each match or not."""


def is_universal(node: Node) -> bool:
    """Whether a pattern is seen to match every text (`.*`, found anywhere)."""
    if isinstance(node, Sequence):
        return ANY_TEXT in node.parts and all(
            isinstance(part, Repeat) and part.min == 0 for part in node.parts
        )
    return node == ANY_TEXT


def matches(node: Node, text: str) -> bool:
    """Whether a regular node matches the whole text.

    >>> matches(Sequence((Literal("x-"), ANY_TEXT)), "x-y")
    True
    """
    return len(text) in _ends(node, text, 0)


def union_of(nodes: list[Node]) -> Node:
    """The texts of any of the nodes (at least one)."""
    return nodes[0] if len(nodes) == 1 else Choice(tuple(nodes))


def both_of(a: Node | None, b: Node | None) -> Node | None:
    """The texts in both; None is every text."""
    if a is None or b is None:
        return b if a is None else a
    return Intersect((a, b))


def rest_of(classes: tuple[KeyClass, ...]) -> Node | None:
    """The texts in none of the classes; None is every text."""
    return Complement(union_of([key for key, _ in classes])) if classes else None


def pattern_sets(patterns: list[Node]) -> list[tuple[Node, list[int]]]:
    """Disjoint classes of the texts that match some pattern, with the patterns they match."""
    result: list[tuple[Node, list[int]]] = []
    for chosen in product((True, False), repeat=len(patterns)):
        if any(chosen):
            parts = tuple(
                node if is_in else Complement(node)
                for node, is_in in zip(patterns, chosen, strict=True)
            )
            key = parts[0] if len(parts) == 1 else Intersect(parts)
            result.append((key, [i for i, is_in in enumerate(chosen) if is_in]))
    return result


def _ends(node: Node, text: str, start: int) -> set[int]:
    """Where a match of the node that begins at `start` can end."""
    match node:
        case Literal(word):
            return {start + len(word)} if text.startswith(word, start) else set()
        case Chars(ranges):
            if start < len(text) and any(a <= ord(text[start]) <= b for a, b in ranges):
                return {start + 1}
            return set()
        case OneOf(words):
            return {start + len(word) for word in words if text.startswith(word, start)}
        case Choice(alternatives):
            return set().union(*(_ends(part, text, start) for part in alternatives))
        case Intersect(parts):
            return set(range(start, len(text) + 1)).intersection(
                *(_ends(part, text, start) for part in parts)
            )
        case Complement(part):
            return set(range(start, len(text) + 1)) - _ends(part, text, start)
        case Sequence(parts):
            return reduce(lambda ends, part: _after(part, text, ends), parts, {start})
        case _:
            assert isinstance(node, Repeat), node  # patterns have no other nodes
            return _repeat_ends(node, text, start)


def _after(node: Node, text: str, starts: set[int]) -> set[int]:
    """Where a match that begins at any of the starts can end."""
    return set().union(*(_ends(node, text, start) for start in starts))


def _repeat_ends(node: Repeat, text: str, start: int) -> set[int]:
    """Ends of a repetition. Rounds that add nothing new are not gone through again."""
    ends = {start}
    for _ in range(node.min):
        further = _after(node.part, text, ends)
        if further == ends:
            break
        ends = further
    reached, rounds = set(ends), node.min
    while ends and (node.max is None or rounds < node.max):
        ends = _after(node.part, text, ends) - reached
        reached |= ends
        rounds += 1
    return reached
