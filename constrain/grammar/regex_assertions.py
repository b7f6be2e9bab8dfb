r"""Look-arounds, anchors and word edges removed from a pattern, exactly.

The idea: read the pattern from its end, and carry `rest`, the language of all that may follow.
A look-ahead is then an intersection: `(?=X)` leaves `rest` that also begins with X, `(?!X)`
leaves `rest` that does not. Looking one character back is a matter of *context*: all characters
are split into the few classes that the pattern's look-behinds tell apart, and `rest` is kept
for each class that the character before may have (and for the start of the text).

Three more steps make that complete:

- A pattern with longer look-behinds, but only short look-aheads, is read mirrored.
- Inside a repetition: (1) what depends only on the repeated part itself is settled there;
  (2) if the part has one length L, and so has all that follows (length k), the rounds begin at
  known places, so "every round keeps its conditions" is one complement: no place a multiple of
  L from the start, with more than k characters after it, where the conditions fail; (3) a few
  rounds are written out.
- All else goes to `regex_automaton`, which builds the automaton, within limits.

Source: none that the translation was taken from; that look-arounds keep languages regular is
folklore (Miyazaki and Minamide, Derivatives of regular expressions with lookahead, 2019).
Cost: linear in the pattern times the number of contexts (2 or 3 as a rule).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from constrain.errors import GrammarError
from constrain.grammar.ir import Choice, Node, Repeat, Sequence
from constrain.grammar.regex_automaton import TooLargeError, automaton_language
from constrain.grammar.regex_classes import ALL, Ranges, merge, negate, partition
from constrain.grammar.regex_classes import intersect as common
from constrain.grammar.regex_edges import ending_with, one_character, starting_with
from constrain.grammar.regex_tree import (
    ANY,
    CHAR,
    EMPTY,
    NOTHING,
    Begin,
    End,
    Look,
    children,
    choice,
    complement,
    intersect,
    lengths,
    mirror,
    nullable,
    repeat,
    sequence,
    zero_width,
)

# `rest` for each context: index 0 is the start of the text, then one for each class.
Rest: TypeAlias = tuple[Node, ...]

_MAX_CONTEXTS: Final = 64
_MAX_UNROLLED: Final = 8
_MAX_NODES: Final = 20_000
_MAX_STEPS: Final = 5_000
_MAX_DEPTH: Final = 150


class _EntangledError(Exception):
    """This way of translating cannot say what the pattern means."""


def resolve(alternatives: list[Node], pattern: str) -> Node:
    """The plain node of the texts that one of the alternatives matches from end to end.

    Raises:
        GrammarError: a look-around inside a repetition needs too large an automaton.
    """
    return choice([_language(node, pattern) for node in alternatives])


def _language(node: Node, pattern: str) -> Node:
    if isinstance(node, Choice):
        return resolve(list(node.alternatives), pattern)
    parts = list(node.parts) if isinstance(node, Sequence) else [node]
    conditions = [_condition(look, pattern) for look in _peel(parts)]
    core = sequence(parts)
    return intersect([_core(core, pattern), *conditions])


def _peel(parts: list[Node]) -> list[Look]:
    """Take off what speaks about the whole text: looks ahead from its start, back from its end.

    Also drops `^` at the start and `$` at the end, together with any text before or after.
    """
    looks: list[Look] = []
    if len(parts) > 1 and parts[0] == ANY and isinstance(parts[1], Begin):
        del parts[0]
    while parts and (isinstance(parts[0], Begin) or _is_look(parts[0], ahead=True)):
        look = parts.pop(0)
        if isinstance(look, Look):
            looks.append(look)
    if len(parts) > 1 and parts[-1] == ANY and isinstance(parts[-2], End):
        del parts[-1]
    while parts and (isinstance(parts[-1], End) or _is_look(parts[-1], ahead=False)):
        look = parts.pop()
        if isinstance(look, Look):
            looks.append(look)
    return looks


def _is_look(node: Node, *, ahead: bool) -> bool:
    return isinstance(node, Look) and node.ahead is ahead


def _condition(look: Look, pattern: str) -> Node:
    whole = [look.inner, ANY] if look.ahead else [ANY, look.inner]
    found = _language(sequence(whole), pattern)
    return complement(found) if look.negative else found


def _core(node: Node, pattern: str) -> Node:
    looks = zero_width(node)
    if not looks:
        return node
    far = {look.ahead for look in looks if isinstance(look, Look) and _is_far(look)}
    if False not in far:
        try:
            return _Translator(node).whole()
        except _EntangledError:
            pass
    if True not in far:
        try:
            return mirror(_Translator(mirror(node)).whole())
        except _EntangledError:
            pass
    try:
        return automaton_language(node)
    except TooLargeError as error:
        position = next((look.position for look in looks if isinstance(look, Look)), 0)
        reason = f"this look-around is not supported: {error}"
        raise GrammarError(reason, text=pattern, position=position) from error


def _is_far(look: Look) -> bool:
    return one_character(look.inner, ahead=look.ahead) is None


class _Translator:
    """Reads one tree from its end; look-behinds in it are of one character.

    Attributes:
        classes: the classes of the character before; a context is an index into
            `(start of text, *classes)`.
        open: the text goes on behind `rest` in a way not known here (inside a repetition).
    """

    def __init__(self, tree: Node) -> None:
        self.tree = tree
        self.open = False
        sets: list[Ranges] = [ALL]
        for look in zero_width(tree):
            if isinstance(look, Look) and not look.ahead:
                found = one_character(look.inner, ahead=False)
                if found is None:
                    raise _EntangledError
                sets.append(found[0])
        self.classes = partition(sets)
        if len(self.classes) >= _MAX_CONTEXTS:
            raise _EntangledError
        self.n_contexts = len(self.classes) + 1
        self._is_plain: dict[int, bool] = {}
        self._known_settled: dict[int, Node | None] = {}
        # The node is kept too, so that its id stays its own.
        self._extents: dict[int, tuple[int, int, Node]] = {}
        self._n_steps = 0

    def whole(self) -> Node:
        """The language of the tree over the whole text."""
        return self.translate(self.tree, (EMPTY,) * self.n_contexts)[0]

    def translate(self, node: Node, rest: Rest) -> Rest:
        """The language of `node` followed by `rest`, for each context before it."""
        self._n_steps += 1
        found = self._plain(node, rest) if self.is_plain(node) else self._other(node, rest)
        for one in found:
            # Several alternatives hold the same `rest`: shared here, not for those who read.
            size, depth = self._extent(one)
            if size > _MAX_NODES or depth > _MAX_DEPTH or self._n_steps > _MAX_STEPS:
                raise _EntangledError
        return found

    def _extent(self, node: Node) -> tuple[int, int]:
        """Nodes in a tree, and its depth."""
        known = self._extents.get(id(node))
        if known is None:
            below = [self._extent(child) for child in children(node)]
            size = 1 + sum(one for one, _ in below)
            depth = 1 + max((one for _, one in below), default=0)
            known = self._extents[id(node)] = (size, depth, node)
        return known[:2]

    def _other(self, node: Node, rest: Rest) -> Rest:
        match node:
            case Sequence(parts):
                return self._sequence(parts, rest)
            case Choice(alternatives):
                return self._choice(alternatives, rest)
            case Repeat():
                return self._repeat(node, rest)
            case Look():
                return self._look(node, rest)
            case Begin():
                return (rest[0], *(NOTHING,) * len(self.classes))
            case End():
                return self._each(self._end, rest)
            case _:
                raise TypeError(node)

    def is_plain(self, node: Node) -> bool:
        """Whether nothing zero-width is left in the node."""
        known = self._is_plain.get(id(node))
        if known is None:
            known = self._is_plain[id(node)] = not zero_width(node)
        return known

    def _each(self, function: Callable[[Node], Node], rest: Rest) -> Rest:
        made: dict[int, Node] = {}
        for after in rest:
            if id(after) not in made:
                made[id(after)] = function(after)
        return tuple(made[id(after)] for after in rest)

    def _sequence(self, parts: tuple[Node, ...], rest: Rest) -> Rest:
        run: list[Node] = []
        for part in reversed(parts):
            if self.is_plain(part) and _is_constant(rest):
                run.append(part)
                continue
            if run:
                rest = (sequence([*reversed(run), rest[0]]),) * self.n_contexts
                run = []
            rest = self.translate(part, rest)
        if run:
            rest = (sequence([*reversed(run), rest[0]]),) * self.n_contexts
        return rest

    def _choice(self, alternatives: tuple[Node, ...], rest: Rest) -> Rest:
        plain = [node for node in alternatives if self.is_plain(node)]
        found = [self.translate(node, rest) for node in alternatives if not self.is_plain(node)]
        if plain:
            found.append(self._plain(choice(plain), rest))
        if all(map(_is_constant, found)):
            return (choice([one[0] for one in found]),) * self.n_contexts
        return tuple(choice(column) for column in zip(*found, strict=True))

    def _plain(self, node: Node, rest: Rest) -> Rest:
        if _is_constant(rest):
            return (sequence([node, rest[0]]),) * self.n_contexts
        groups: list[tuple[Node, list[tuple[int, int]]]] = []
        for after, ranges in zip(rest[1:], self.classes, strict=True):
            for other, collected in groups:
                if other == after:
                    collected.extend(ranges)
                    break
            else:
                groups.append((after, list(ranges)))
        empty = nullable(node)
        if len(groups) == 1 and not empty:
            return (sequence([node, rest[1]]),) * self.n_contexts
        consumed = choice(
            [
                sequence([ending_with(node, merge(ranges)), after])
                for after, ranges in groups
                if after != NOTHING
            ]
        )
        if not empty:
            return (consumed,) * self.n_contexts
        if len(groups) == 1:
            whole = sequence([node, rest[1]])
            return (choice([rest[0], consumed]), *(whole,) * len(self.classes))
        return tuple(choice([after, consumed]) for after in rest)

    def _end(self, after: Node) -> Node:
        if not self.open:
            return EMPTY if nullable(after) else NOTHING
        if lengths(after)[0] == 0:
            raise _EntangledError
        return NOTHING

    def _look(self, look: Look, rest: Rest) -> Rest:
        near = one_character(look.inner, ahead=look.ahead)
        if not look.ahead:
            if near is None:
                raise _EntangledError
            inside, edge = near
            holds = [edge, *(common(one, inside) != () for one in self.classes)]
            return tuple(
                after if kept != look.negative else NOTHING
                for after, kept in zip(rest, holds, strict=True)
            )
        if near is not None:
            inside, edge = near
            if look.negative:
                inside, edge = negate(inside), not edge
            return self._each(lambda after: self._next(after, inside, edge=edge), rest)
        return self._far_look(look, rest)

    def _next(self, after: Node, inside: Ranges, *, edge: bool) -> Node:
        if self.open and lengths(after)[0] == 0:
            raise _EntangledError
        return starting_with(after, inside, empty=edge)

    def _far_look(self, look: Look, rest: Rest) -> Rest:
        if self.open:
            longest = lengths(look.inner)[1]
            shortest = min(lengths(after)[0] for after in rest)
            if longest is None or longest > shortest:
                raise _EntangledError
        found = self.translate(look.inner, (ANY,) * self.n_contexts)
        if look.negative:
            found = self._each(complement, found)
        if _is_constant(found):
            return self._each(lambda after: intersect([after, found[0]]), rest)
        return tuple(intersect(pair) for pair in zip(rest, found, strict=True))

    def _repeat(self, node: Repeat, rest: Rest) -> Rest:
        part, least, most = node.part, node.min, node.max
        if lengths(part) == (0, 0):
            return rest if least == 0 else self.translate(part, rest)
        if least == 0 and most == 1:
            taken = self.translate(part, rest)
            return tuple(choice(pair) for pair in zip(rest, taken, strict=True))
        settled = self._settled(part)
        if settled is not None:
            return self._plain(repeat(settled, least, most), rest)
        counted = self._counted(node, rest)
        if counted is not None:
            return counted
        if most is None or most > _MAX_UNROLLED:
            raise _EntangledError
        after = rest
        for done in range(most - 1, -1, -1):
            taken = self.translate(part, after)
            # After `done` rounds one may stop here, if they are enough.
            after = (
                taken
                if done < least
                else tuple(choice(pair) for pair in zip(rest, taken, strict=True))
            )
        return after

    def _settled(self, part: Node) -> Node | None:
        """The part as a plain node, if nothing around it matters to it; else None."""
        if id(part) in self._known_settled:
            return self._known_settled[id(part)]
        was_open, self.open = self.open, True
        self._known_settled[id(part)] = None
        try:
            found = self.translate(part, (EMPTY,) * self.n_contexts)
        except _EntangledError:
            return None
        finally:
            self.open = was_open
        if _is_constant(found):
            self._known_settled[id(part)] = found[0]
        return self._known_settled[id(part)]

    def _counted(self, node: Repeat, rest: Rest) -> Rest | None:
        """Step (2) of the module's head, or None where lengths are not fixed."""
        size, longest = lengths(node.part)
        behind, farthest = lengths(rest[0])
        if self.open or size != longest or behind != farthest or not _is_constant(rest):
            return None
        kept = self.translate(node.part, (ANY,) * self.n_contexts)
        if not _is_constant(kept):
            return None
        fails = intersect([complement(kept[0]), repeat(CHAR, behind + 1, None)])
        places = repeat(repeat(CHAR, size, size), 0, None)
        rounds = repeat(without_looks(node.part), node.min, node.max)
        shape = sequence([rounds, rest[0]])
        found = intersect([shape, complement(sequence([places, fails]))])
        return (found,) * self.n_contexts


def without_looks(node: Node) -> Node:
    """The node with every zero-width condition dropped: a superset of its matches."""
    match node:
        case Begin() | End() | Look():
            return EMPTY
        case Sequence(parts):
            return sequence(map(without_looks, parts))
        case Choice(alternatives):
            return choice(map(without_looks, alternatives))
        case Repeat(part, least, most):
            return repeat(without_looks(part), least, most)
        case _:
            return node


def _is_constant(rest: Rest) -> bool:
    first = rest[0]
    return all(after is first or after == first for after in rest)
