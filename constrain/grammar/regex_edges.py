"""Languages cut by their first or last character, and conditions on one character."""

from __future__ import annotations

from constrain.grammar.ir import Chars, Choice, Literal, Node, OneOf, Repeat, Sequence
from constrain.grammar.regex_classes import ALL, Ranges, contains, intersect, merge
from constrain.grammar.regex_tree import (
    ANY,
    EMPTY,
    NOTHING,
    Begin,
    End,
    choice,
    class_node,
    nullable,
    repeat,
    sequence,
)
from constrain.grammar.regex_tree import intersect as intersect_nodes


def one_character(inner: Node, *, ahead: bool) -> tuple[Ranges, bool] | None:
    """A look-around's contents as a condition on the one neighbouring character.

    Returns:
        the characters that satisfy it and whether the edge of the text does (for a positive
        look); None if the contents look farther.

    >>> one_character(choice([Literal("a"), End()]), ahead=True)
    (((97, 97),), True)
    """
    match inner:
        case Chars(ranges):
            return ranges, False
        case Literal(text) if len(text) == 1:
            return ((ord(text), ord(text)),), False
        case Literal(""):
            return ALL, True
        case Begin() if not ahead:
            return (), True
        case End() if ahead:
            return (), True
        case OneOf() | Choice():
            parts = (
                inner.alternatives if isinstance(inner, Choice) else map(Literal, inner.texts)
            )
            found = [one_character(part, ahead=ahead) for part in parts]
            known = [one for one in found if one is not None]
            if len(known) < len(found):
                return None
            ranges = merge(pair for one, _ in known for pair in one)
            return ranges, any(edge for _, edge in known)
        case _:
            return None


def ending_with(node: Node, last: Ranges) -> Node:
    """The non-empty texts of a plain node whose last character is in `last`.

    >>> ending_with(Repeat(Chars(((97, 98),))), ((98, 98),))
    Sequence(parts=(Repeat(part=Chars(ranges=((97, 98),)), min=0, max=None), Literal(text='b')))
    """
    match node:
        case Chars(ranges):
            return class_node(intersect(ranges, last))
        case Literal(text):
            return node if text and contains(last, ord(text[-1])) else NOTHING
        case OneOf(texts):
            return choice(ending_with(Literal(text), last) for text in texts)
        case Choice(alternatives):
            return choice(ending_with(item, last) for item in alternatives)
        case Sequence(parts) if not nullable(parts[-1]):
            return sequence([*parts[:-1], ending_with(parts[-1], last)])
        case Repeat(part, least, most) if not nullable(part):
            return sequence([_one_less(part, least, most), ending_with(part, last)])
        case _:
            return intersect_nodes([node, sequence([ANY, class_node(last)])])


def starting_with(node: Node, first: Ranges, *, empty: bool) -> Node:
    """The texts of a plain node whose first character is in `first`.

    Args:
        node: any plain node.
        first: the allowed first characters.
        empty: keep the empty text too, if the node has it.
    """
    match node:
        case Chars(ranges):
            return class_node(intersect(ranges, first))
        case Literal(text):
            kept = contains(first, ord(text[0])) if text else empty
            return node if kept else NOTHING
        case OneOf(texts):
            return choice(starting_with(Literal(text), first, empty=empty) for text in texts)
        case Choice(alternatives):
            return choice(starting_with(item, first, empty=empty) for item in alternatives)
        case Sequence(parts) if not nullable(parts[0]):
            return sequence([starting_with(parts[0], first, empty=False), *parts[1:]])
        case Repeat(part, least, most) if not nullable(part):
            head = starting_with(part, first, empty=False)
            taken = sequence([head, _one_less(part, least, most)])
            return choice([EMPTY, taken]) if empty and least == 0 else taken
        case _:
            begin = sequence([class_node(first), ANY])
            return intersect_nodes([node, choice([EMPTY, begin]) if empty else begin])


def _one_less(part: Node, least: int, most: int | None) -> Node:
    return repeat(part, max(least - 1, 0), None if most is None else most - 1)
