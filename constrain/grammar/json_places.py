"""Which places the JSON texts of a grammar can have: whether a path leads to a value in any.

Follows declared properties and items; that a name is in a class of other keys is not decided,
so a place under a key that is not declared counts wherever other keys are allowed at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from constrain.grammar import ir

Pattern = Sequence[str | int | None]


def reached(grammar: ir.Grammar, pattern: Pattern) -> tuple[int, tuple[str, ...]]:
    """How far a path leads in the texts of a grammar of JSON.

    Args:
        grammar: of kind "json".
        pattern: keys; None is any.

    Returns:
        The number of keys with which some text has a value, all of them if the place is there,
        and the names that are declared where the path stops.

    Cost: linear in the nodes at each key.

    >>> value = ir.JsonObject((ir.Property("a", ir.JsonValue(ir.Literal("null"))),))
    >>> grammar = ir.Grammar(ir.JsonText(ir.JsonValue(objects=(value,))), kind="json")
    >>> reached(grammar, ("a",)), reached(grammar, ("a", 0)), reached(grammar, ("b",))
    ((1, ()), (1, ()), (0, ('a',)))
    """
    places = _Places(grammar)
    values = list(places.roots())
    for n, key in enumerate(pattern):
        below = list(places.some(places.below(values, key)))
        if not below:
            return n, tuple(dict.fromkeys(places.names(values)))
        values = below
    return len(pattern), ()


class _Places:
    def __init__(self, grammar: ir.Grammar) -> None:
        self._grammar = grammar

    def roots(self) -> Iterator[ir.JsonValue]:
        """The values that whole texts are."""
        pending, seen = [self._grammar.root], set[int]()
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            match node:
                case ir.JsonText(value):
                    yield from self.some([value])
                case ir.Choice(alternatives):
                    pending += alternatives
                case ir.Sequence(parts):
                    pending += parts
                case ir.Rule(name):
                    pending.append(self._grammar.rules[name])
                case ir.Repeat(part):
                    pending.append(part)
                case _:
                    pass

    def some(self, nodes: Iterable[ir.Node]) -> Iterator[ir.JsonValue]:
        """The values that these nodes stand for, each once, but for those without a case."""
        seen = set[int]()
        for node in nodes:
            value = node
            while isinstance(value, ir.Rule):
                value = self._grammar.rules[value.name]
            assert isinstance(value, ir.JsonValue), "a child of a JSON value is one"
            is_empty = value.scalar is None and not value.objects and not value.arrays
            if id(value) not in seen and not is_empty:
                seen.add(id(value))
                yield value

    def below(self, values: Iterable[ir.JsonValue], key: str | int | None) -> Iterator[ir.Node]:
        """The children of these values at a key."""
        for value in values:
            if not isinstance(key, int):
                for case in value.objects:
                    yield from _members(case, key)
            if not isinstance(key, str):
                for array in value.arrays:
                    yield from _items(array, key)

    def names(self, values: Iterable[ir.JsonValue]) -> Iterator[str]:
        """The declared names of these values that can be there."""
        for value in values:
            for case in value.objects:
                for each in case.properties:
                    if any(self.some([each.value])):
                        yield each.name


def _members(case: ir.JsonObject, name: str | None) -> Iterator[ir.Node]:
    declared = [each for each in case.properties if name in (None, each.name)]
    # Of several ways to read a value the first is the value itself.
    yield from (each.value for each in declared)
    if name is not None and declared:
        return
    if case.additional is not None:
        yield case.additional
    yield from (value for _, value in case.others)


def _items(array: ir.JsonArray, index: int | None) -> Iterator[ir.Node]:
    if index is not None and array.max_items is not None and index >= array.max_items:
        return
    if array.ways:
        values = [tuple(way.value for way in ways) for ways in array.ways]
    else:
        values = [(node,) for node in array.prefix]
        values.append(() if array.items is None else (array.items,))
    if index is None:
        for each in values:
            yield from each
    else:
        yield from values[min(index, len(values) - 1)]
