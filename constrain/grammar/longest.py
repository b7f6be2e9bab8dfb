"""How long the texts of a grammar can be at most, where that is plain from its nodes.

An upper bound in bytes, not always the least one; None where there is none or it is not plain:
repetition without end, complements, open objects, recursion, very deep nesting. Decides nothing
about what matches.
"""

from __future__ import annotations

from collections.abc import Iterable

from constrain.grammar import ir

_MAX_DEPTH = 60  # of nodes; deeper ones are taken for unbounded
_MAX_ESCAPED = 6  # bytes in JSON for one byte of UTF-8: \u and four digits


def most_bytes(grammar: ir.Grammar) -> int | None:
    """An upper bound on the bytes of every text of the grammar, or None.

    Cost: linear in the nodes.

    >>> most_bytes(ir.Grammar(ir.Repeat(ir.Literal("ab"), 0, 3)))
    6
    >>> most_bytes(ir.Grammar(ir.Repeat(ir.Literal("ab")))) is None
    True
    """
    return _Bounds(grammar).of(grammar.root, 0)


class _Bounds:
    def __init__(self, grammar: ir.Grammar) -> None:
        self._rules = grammar.rules
        self._known: dict[int, int | None] = {}  # by id: nodes live as long as the grammar

    def of(self, node: ir.Node, depth: int) -> int | None:
        key = id(node)
        if key not in self._known:
            self._known[key] = None  # while it is looked at: recursion has no bound
            if depth < _MAX_DEPTH:
                self._known[key] = self._bound(node, depth + 1)
        return self._known[key]

    def _bound(self, node: ir.Node, depth: int) -> int | None:
        match node:
            case ir.Chars() | ir.Literal() | ir.OneOf():
                return _of_leaf(node)
            case ir.Sequence(parts):
                return _sum(self.of(part, depth) for part in parts)
            case ir.Choice(alternatives):
                return _most(self.of(each, depth) for each in alternatives)
            case ir.Repeat(part, _, most):
                return _times(self.of(part, depth), most)
            case ir.Intersect(parts):
                bounds = (self.of(part, depth) for part in parts)
                return min((bound for bound in bounds if bound is not None), default=None)
            case _:
                return self._json_or_rule(node, depth)

    def _json_or_rule(self, node: ir.Node, depth: int) -> int | None:
        match node:
            case ir.JsonString(content):
                return _sum((2, _times(self.of(content, depth), _MAX_ESCAPED)))
            case ir.Rule(name) if name in self._rules:
                return self.of(self._rules[name], depth)
            case ir.JsonText(value, form) if form.whitespace in {"compact", "spaced"}:
                return self.of(value, depth)
            case ir.JsonValue():
                return self._value(node, depth)
            case _:
                return None

    def _value(self, value: ir.JsonValue, depth: int) -> int | None:
        scalar = [] if value.scalar is None else [self.of(value.scalar, depth)]
        objects = [self._object(each, depth) for each in value.objects]
        arrays = [self._array(each, depth) for each in value.arrays]
        return _most([*scalar, *objects, *arrays])

    def _object(self, case: ir.JsonObject, depth: int) -> int | None:
        if case.additional is not None or case.others or case.demands:
            return None
        members: list[int | None] = [2]  # the brackets
        for each in case.properties:
            key = _MAX_ESCAPED * len(each.name.encode()) + 2
            members += [key + 4, self.of(each.value, depth)]  # colon, comma, a space after both
        return _sum(members)

    def _array(self, case: ir.JsonArray, depth: int) -> int | None:
        if case.tallies:
            return None
        n_prefix = len(case.prefix)
        items: list[int | None] = [2]
        items += [_sum((self.of(item, depth), 2)) for item in case.prefix]
        if case.items is not None:
            rest = None if case.max_items is None else max(0, case.max_items - n_prefix)
            items.append(_times(_sum((self.of(case.items, depth), 2)), rest))
        return _sum(items)


def _of_leaf(node: ir.Chars | ir.Literal | ir.OneOf) -> int:
    match node:
        case ir.Chars(ranges):
            return len(chr(ranges[-1][1]).encode("utf-8", "surrogatepass")) if ranges else 0
        case ir.Literal(text):
            return len(text.encode())
        case ir.OneOf(texts):
            return max((len(text.encode()) for text in texts), default=0)


def _sum(bounds: Iterable[int | None]) -> int | None:
    total = 0
    for bound in bounds:
        if bound is None:
            return None
        total += bound
    return total


def _most(bounds: Iterable[int | None]) -> int | None:
    most = 0
    for bound in bounds:
        if bound is None:
            return None
        most = max(most, bound)
    return most


def _times(bound: int | None, n: int | None) -> int | None:
    if 0 in {bound, n}:
        return 0
    return None if bound is None or n is None else bound * n
