"""The tree of a regular expression: IR nodes, three zero-width nodes, simplifying builders.

A parsed pattern is IR (`constrain.grammar.ir`) in which `Begin`, `End` and `Look` may still
occur; `regex_assertions` removes them. A node without them is called *plain*. The builders
(`sequence`, `choice`, `repeat`, `intersect`, `complement`) keep the language and only drop what
is obviously superfluous: empty parts, parts that cannot match, nested nodes of the same kind,
neighbouring literals, single characters side by side in a choice. Nothing here looks for a
minimal form; that is the kernel's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

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
from constrain.grammar.regex_classes import ALL, Ranges, merge

Length: TypeAlias = tuple[int, int | None]

EMPTY: Final = Literal("")
NOTHING: Final = Chars(())
CHAR: Final = Chars(ALL)
ANY: Final = Repeat(CHAR)
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class Begin(Node):
    """The start of the whole text."""

    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class End(Node):
    """The end of the whole text."""

    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Look(Node):
    """Zero width: some text from here on (`ahead`), or up to here, matches `inner`.

    Attributes:
        negative: no such text may match.
        position: index in the pattern, for messages.
    """

    inner: Node
    ahead: bool
    negative: bool
    position: int = field(default=0, compare=False)


def char_node(code: int) -> Node:
    """The node of one character; a lone surrogate is kept out of literals (it has no UTF-8)."""
    return Chars(((code, code),)) if code in _SURROGATES else Literal(chr(code))


def class_node(ranges: Ranges) -> Node:
    """The node of a character class; a class of one character is a literal."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return char_node(ranges[0][0])
    return Chars(ranges)


def sequence(parts: Iterable[Node]) -> Node:
    """Parts one after the other.

    >>> sequence([Literal("a"), EMPTY, Literal("b")])
    Literal(text='ab')
    """
    flat: list[Node] = []
    run: list[str] = []
    for part in parts:
        for item in part.parts if isinstance(part, Sequence) else (part,):
            if isinstance(item, Literal):
                if item.text:
                    run.append(item.text)
                continue
            if item == NOTHING:
                return NOTHING
            if run:
                _flush(run, flat)
            elif flat and flat[-1] == item == ANY:
                continue
            flat.append(item)
    if run:
        _flush(run, flat)
    if len(flat) == 1:
        return flat[0]
    return Sequence(tuple(flat)) if flat else EMPTY


def _flush(run: list[str], flat: list[Node]) -> None:
    flat.append(Literal("".join(run)))
    run.clear()


def choice(alternatives: Iterable[Node]) -> Node:
    """Any of the alternatives; single characters become one set, literals alone a `OneOf`.

    >>> choice([Literal("a"), Literal("b")])
    Chars(ranges=((97, 98),))
    """
    flat: dict[Node, None] = {}
    single: list[tuple[int, int]] = []
    for alternative in alternatives:
        inner = alternative.alternatives if isinstance(alternative, Choice) else (alternative,)
        for item in inner:
            if isinstance(item, Chars):
                single.extend(item.ranges)
            elif isinstance(item, Literal) and len(item.text) == 1:
                single.append((ord(item.text), ord(item.text)))
            else:
                flat[item] = None
    nodes = list(flat)
    if single:
        nodes.append(class_node(merge(single)))
    if ANY in flat:
        return ANY
    return _choice_of(nodes)


def _choice_of(nodes: list[Node]) -> Node:
    if len(nodes) < 2:  # noqa: PLR2004 - zero or one alternative is no choice
        return nodes[0] if nodes else NOTHING
    texts: list[str] = []
    for node in nodes:
        if isinstance(node, Literal):
            texts.append(node.text)
        elif isinstance(node, OneOf):
            texts.extend(node.texts)
        else:
            return Choice(tuple(nodes))
    return OneOf(tuple(dict.fromkeys(texts)))


def repeat(part: Node, least: int, most: int | None) -> Node:
    """`part`, `least` to `most` times; counts are never expanded.

    >>> repeat(repeat(CHAR, 0, None), 3, 7) == ANY
    True
    """
    if most == 0 or part == EMPTY:
        return EMPTY
    if part == NOTHING:
        return EMPTY if least == 0 else NOTHING
    if least == 1 and most == 1:
        return part
    if isinstance(part, Repeat):
        if part.max is None and part.min <= 1:
            return Repeat(part.part, part.min * least, None)
        if part.min == 0 and part.max == 1:
            return Repeat(part.part, 0, most)
    return Repeat(part, least, most)


def intersect(parts: Iterable[Node]) -> Node:
    """Text that every (plain) part matches."""
    flat: dict[Node, None] = {}
    for part in parts:
        for item in part.parts if isinstance(part, Intersect) else (part,):
            if item == NOTHING:
                return NOTHING
            if item != ANY:
                flat[item] = None
    if len(flat) < 2:  # noqa: PLR2004 - zero or one part is no intersection
        return next(iter(flat), ANY)
    if EMPTY in flat:
        return EMPTY if all(map(nullable, flat)) else NOTHING
    return Intersect(tuple(flat))


def complement(part: Node) -> Node:
    """Any text that the (plain) part does not match."""
    if isinstance(part, Complement):
        return part.part
    if part == ANY:
        return NOTHING
    return ANY if part == NOTHING else Complement(part)


def nullable(node: Node) -> bool:
    """Whether a plain node matches the empty text. Exact."""
    match node:
        case Literal(text):
            return not text
        case OneOf(texts):
            return "" in texts
        case Sequence(parts) | Intersect(parts):
            return all(map(nullable, parts))
        case Choice(alternatives):
            return any(map(nullable, alternatives))
        case Repeat(part, least, _):
            return least == 0 or nullable(part)
        case Complement(part):
            return not nullable(part)
        case _:
            return False


def lengths(node: Node) -> Length:
    """Bounds on the number of characters a match consumes; None: unbounded.

    No match lies outside the bounds, but the bounds need not be reached. Zero-width nodes
    consume nothing.
    """
    match node:
        case Chars():
            return 1, 1
        case Literal(text):
            return len(text), len(text)
        case OneOf(texts):
            sizes = [len(text) for text in texts]
            return min(sizes, default=1), max(sizes, default=1)
        case Sequence(parts):
            return _sum(map(lengths, parts))
        case Choice(alternatives):
            return _hull(list(map(lengths, alternatives)))
        case Repeat(part, least, most):
            low, high = lengths(part)
            if high == 0:
                return 0, 0
            return low * least, None if high is None or most is None else high * most
        case Intersect(parts):
            bounds = list(map(lengths, parts))
            highs = [high for _, high in bounds if high is not None]
            return max(low for low, _ in bounds), min(highs, default=None)
        case Begin() | End() | Look():
            return 0, 0
        case _:
            return 0, None


def _sum(bounds: Iterable[Length]) -> Length:
    low, high = 0, 0
    unbounded = False
    for least, most in bounds:
        low += least
        unbounded = unbounded or most is None
        high += most or 0
    return low, None if unbounded else high


def _hull(bounds: list[Length]) -> Length:
    if not bounds:
        return 1, 1
    highs = [high for _, high in bounds]
    bounded = [high for high in highs if high is not None]
    return min(low for low, _ in bounds), max(bounded) if len(bounded) == len(highs) else None


def mirror(node: Node) -> Node:
    """The node of the reversed texts; looking ahead becomes looking behind.

    >>> mirror(sequence([Literal("ab"), CHAR]))
    Sequence(parts=(Chars(ranges=((0, 1114111),)), Literal(text='ba')))
    """
    match node:
        case Literal(text):
            return Literal(text[::-1])
        case OneOf(texts):
            return OneOf(tuple(text[::-1] for text in texts))
        case Sequence(parts):
            return Sequence(tuple(map(mirror, reversed(parts))))
        case Choice(alternatives):
            return Choice(tuple(map(mirror, alternatives)))
        case Repeat(part, least, most):
            return node if isinstance(part, Chars) else Repeat(mirror(part), least, most)
        case Intersect(parts):
            return Intersect(tuple(map(mirror, parts)))
        case Complement(part):
            return Complement(mirror(part))
        case Begin(position) | End(position):
            return End(position) if isinstance(node, Begin) else Begin(position)
        case Look(inner, ahead, negative, position):
            return Look(mirror(inner), not ahead, negative, position)
        case _:
            return node


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Sequence(parts) | Intersect(parts):
            return parts
        case Choice(alternatives):
            return alternatives
        case Repeat(part, _, _) | Complement(part):
            return (part,)
        case Look(inner, _, _, _):
            return (inner,)
        case _:
            return ()


def zero_width(node: Node) -> list[Begin | End | Look]:
    """All zero-width nodes in a tree, those inside of looks included, in pattern order."""
    found: list[Begin | End | Look] = []
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, Begin | End | Look):
            found.append(top)
        stack.extend(reversed(children(top)))
    return found
