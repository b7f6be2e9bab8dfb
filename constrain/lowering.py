"""Grammar IR -> the kernel's program: one pass over the nodes, each distinct node once.

Regular subtrees become one expression (a lexeme); JSON nodes become values, objects and arrays;
the rest becomes sequence, choice, repeat and rule nodes. This module decides nothing about
satisfiability: the kernel computes shortest lengths, and `compile` reads them.

JSON values are filled from a work list, so they may nest to any depth; regular nodes are
followed with Python's own recursion, and what nests deeper than the interpreter allows is
reported as `LimitError`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from constrain.errors import GrammarError, LimitError
from constrain.grammar import ir
from constrain.grammar.left_recursion import without_left_recursion
from constrain.kernel import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from constrain.grammar.wishes import Wishes
    from constrain.kernel import Engine
    from constrain.limits import Limits

# Universes of the kernel: plain text, and text inside a JSON string by escape mode.
_TEXT = 0
_UNIVERSE: dict[ir.Escapes, int] = {"minimal": 1, "any": 2}
_UNBOUNDED = -1
_WHEN_FULL = 2**31
_MAX_DIVISOR = 2**63


# Name, value, whether it is required; with demands or a weight also the ways, what its absence
# settles, and the weight.
_Property = tuple[bytes, int, bool] | tuple[bytes, int, bool, list[tuple[int, int]], int, float]


class Lowering:
    """Lowers one grammar; `kernel` is the program being built."""

    def __init__(self, grammar: ir.Grammar, engine: Engine, limits: Limits) -> None:
        self.kernel = Compiled(engine, limits)
        self._rules: Mapping[str, ir.Node] = without_left_recursion(grammar, limits).rules
        self._expressions: dict[tuple[int, int], int] = {}
        self._keep: list[ir.Node] = []  # keeps ids of nodes in _expressions unique
        self._regular: dict[int, bool] = {}
        self._rule_nodes: dict[str, int] = {}
        self._forms: dict[ir.JsonForm, int] = {}
        self._universes: dict[int, int] = {}
        self._values: dict[tuple[int, int], int] = {}
        self._rule_values: dict[tuple[str, int], int] = {}
        self._pending: list[tuple[int, ir.JsonValue, int]] = []  # values not filled yet
        self._max_nodes = limits.nodes
        self.pointers: dict[int, str] = {}  # value -> JSON pointer, for messages

    def run(self, root: ir.Node) -> int:
        """Build everything; returns the root node of the finished program."""
        try:
            node = self._node(root)
            while self._pending:
                self._fill_value(*self._pending.pop())
        except RecursionError:
            what, limit = "expression_depth", sys.getrecursionlimit()
            raise LimitError(what, limit, limit) from None
        self.kernel.finish(node)
        return node

    # ------------------------------------------------------------------ nodes

    def _node(self, node: ir.Node) -> int:
        if self._is_regular(node):
            return self.kernel.lexeme(self._expression(node, _TEXT))
        match node:
            case ir.Sequence(parts):
                return self.kernel.sequence([self._node(p) for p in self._fuse(parts)])
            case ir.Choice(alternatives, weights):
                if weights:
                    return self.kernel.lexeme(self._weighted(alternatives, weights))
                return self.kernel.choice([self._node(a) for a in alternatives])
            case ir.Repeat(part, least, most):
                bound = _UNBOUNDED if most is None else most
                return self.kernel.repeat(self._node(part), least, bound)
            case ir.Rule(name):
                return self._rule(name)
            case ir.JsonText(value, form):
                return self.kernel.json(self._value(value, self._form(form)))
            case _:
                reason = f"{type(node).__name__} cannot stand outside a JSON text"
                raise GrammarError(reason)

    def _fuse(self, parts: tuple[ir.Node, ...]) -> list[ir.Node]:
        """Neighbouring regular parts become one lexeme."""
        fused: list[ir.Node] = []
        run: list[ir.Node] = []
        for part in parts:
            if self._is_regular(part):
                run.append(part)
                continue
            if run:
                fused.append(ir.Sequence(tuple(run)))
                run = []
            fused.append(part)
        if run:
            fused.append(ir.Sequence(tuple(run)))
        return fused

    def _weighted(self, alternatives: tuple[ir.Node, ...], weights: tuple[float, ...]) -> int:
        """The expression of a weighted choice."""
        texts: list[tuple[bytes, float]] = []
        for alternative, weight in zip(alternatives, weights, strict=True):
            if not isinstance(alternative, ir.Literal):
                reason = "weights need literal alternatives"
                raise GrammarError(reason)
            texts.append((alternative.text.encode(), weight))
        return self.kernel.weighted(texts)

    def _rule(self, name: str) -> int:
        known = self._rule_nodes.get(name)
        if known is None:
            known = self._rule_nodes[name] = self.kernel.rule()
            self.kernel.set_rule(known, self._node(self._body(name)))
        return known

    def _body(self, name: str) -> ir.Node:
        try:
            return self._rules[name]
        except KeyError:
            reason = f"rule {name!r} is not defined"
            raise GrammarError(reason) from None

    def _is_regular(self, node: ir.Node) -> bool:
        known = self._regular.get(id(node))
        if known is None:
            match node:
                case ir.Sequence(parts):
                    known = all(map(self._is_regular, parts))
                case ir.Choice(alternatives, weights):
                    known = not weights and all(map(self._is_regular, alternatives))
                case ir.Repeat(part):
                    known = self._is_regular(part)
                case ir.Rule() | ir.JsonText() | ir.JsonValue():
                    known = False
                case _:
                    known = True
            self._keep.append(node)
            self._regular[id(node)] = known
        return known

    # ------------------------------------------------------------ expressions

    def _expression(self, node: ir.Node, universe: int) -> int:
        key = (id(node), universe)
        known = self._expressions.get(key)
        if known is None:
            known = self._build(node, universe)
            if len(self._expressions) >= self._max_nodes:
                what = "nodes"
                raise LimitError(what, len(self._expressions) + 1, self._max_nodes)
            self._keep.append(node)
            self._expressions[key] = known
        return known

    def _all(self, nodes: tuple[ir.Node, ...], universe: int) -> list[int]:
        return [self._expression(node, universe) for node in nodes]

    def _build(self, node: ir.Node, universe: int) -> int:
        build = self._BUILDERS.get(type(node))
        if build is None:
            reason = f"{type(node).__name__} is not regular"
            raise GrammarError(reason)
        return build(self, node, universe)

    def _string(self, node: ir.JsonString, universe: int) -> int:
        del universe  # the content has its own, by the way it is escaped
        inner = _UNIVERSE[node.escapes]
        return self.kernel.quoted(self._expression(node.content, inner), inner)

    def _literal(self, node: ir.Literal, universe: int) -> int:
        return self.kernel.literals([node.text.encode()], universe)

    def _chars(self, node: ir.Chars, universe: int) -> int:
        return self.kernel.chars(list(node.ranges), universe)

    def _one_of(self, node: ir.OneOf, universe: int) -> int:
        return self.kernel.literals([text.encode() for text in node.texts], universe)

    def _concat(self, node: ir.Sequence, universe: int) -> int:
        return self.kernel.concat(self._all(node.parts, universe))

    def _alternatives(self, node: ir.Choice, universe: int) -> int:
        if node.weights and universe == _TEXT:
            return self._weighted(node.alternatives, node.weights)
        return self.kernel.alternatives(self._all(node.alternatives, universe))

    def _repetition(self, node: ir.Repeat, universe: int) -> int:
        most = _UNBOUNDED if node.max is None else node.max
        return self.kernel.repeat_expr(self._expression(node.part, universe), node.min, most)

    def _intersection(self, node: ir.Intersect, universe: int) -> int:
        any_text = [] if node.parts else [self.kernel.any_text(universe)]
        return self.kernel.intersection(any_text + self._all(node.parts, universe))

    def _complement(self, node: ir.Complement, universe: int) -> int:
        return self.kernel.complement(self._expression(node.part, universe), universe)

    def _multiple(self, node: ir.MultipleOf, universe: int) -> int:
        del universe  # numerals are the same in each
        if node.divisor >= _MAX_DIVISOR:
            what = "divisor"
            raise LimitError(what, node.divisor, _MAX_DIVISOR - 1)
        return self.kernel.multiple(node.divisor, node.places)

    # Each key is the type its method takes; one type for the whole table cannot say so.
    _BUILDERS: ClassVar[dict[type[ir.Node], Callable[[Lowering, Any, int], int]]] = {
        ir.JsonString: _string,
        ir.Literal: _literal,
        ir.Chars: _chars,
        ir.OneOf: _one_of,
        ir.Sequence: _concat,
        ir.Choice: _alternatives,
        ir.Repeat: _repetition,
        ir.Intersect: _intersection,
        ir.Complement: _complement,
        ir.MultipleOf: _multiple,
    }

    # ------------------------------------------------------------------- JSON

    def _form(self, form: ir.JsonForm) -> int:
        known = self._forms.get(form)
        if known is None:
            known = self.kernel.form(
                form.whitespace,
                form.property_order == "any",
                _UNIVERSE[form.escapes],
                _wishes(form.wishes),
            )
            self._forms[form] = known
            self._universes[known] = _UNIVERSE[form.escapes]
        return known

    def _value(self, node: ir.Node, form: int) -> int:
        seen: list[tuple[str, int]] = []
        while isinstance(node, ir.Rule):  # a rule that is another rule shares its value
            key = (node.name, form)
            known = self._rule_values.get(key)
            if known is not None:
                return known
            seen.append(key)
            node = self._body(node.name)
            if len(seen) > len(self._rules):
                reason = f"rule {seen[0][0]!r} refers to nothing but itself"
                raise GrammarError(reason)
        if not isinstance(node, ir.JsonValue):
            reason = f"{type(node).__name__} is not a JSON value"
            raise GrammarError(reason)
        known = self._values.get((id(node), form))
        if known is None:
            known = self.kernel.value(form)
            self._keep.append(node)
            self._values[id(node), form] = known
            self._pending.append((known, node, form))
        for key in seen:
            self._rule_values[key] = known
        return known

    def _fill_value(self, value: int, node: ir.JsonValue, form: int) -> None:
        scalar = 0 if node.scalar is None else self._expression(node.scalar, _TEXT)
        objects = [self._object(case, form) for case in node.objects]
        arrays = [self._array(case, form) for case in node.arrays]
        self.kernel.set_value(value, scalar, objects, arrays)
        self.pointers[value] = node.pointer

    def _object(self, case: ir.JsonObject, form: int) -> int:
        value = self._value
        properties: list[_Property] = []
        for p in case.properties:
            plain = (p.name.encode(), value(p.value, form), p.required)
            if case.demands or p.weight:
                properties.append((*plain, self._ways(p.ways, form), p.absent, p.weight))
            else:
                properties.append(plain)
        others: list[tuple[int, int, list[tuple[int, int]]]] = []
        universe = self._universes[form]
        ways = iter(case.ways)
        if case.additional is not None:
            key = _UNBOUNDED if case.key is None else self._expression(case.key, universe)
            of_class = self._ways(next(ways, ()), form)
            others.append((key, value(case.additional, form), of_class))
        for key_node, node in case.others:
            of_class = self._ways(next(ways, ()), form)
            others.append((self._expression(key_node, universe), value(node, form), of_class))
        return self.kernel.object(
            form,
            properties,
            others,
            case.min_properties,
            _bound(case.max_properties),
            [(demand.under, _bound(demand.over)) for demand in case.demands],
        )

    def _ways(self, ways: tuple[ir.Way, ...], form: int) -> list[tuple[int, int]]:
        return [
            (self._value(way.value, form), _WHEN_FULL if way.when_full else way.settles)
            for way in ways
        ]

    def _array(self, case: ir.JsonArray, form: int) -> int:
        prefix = [self._value(item, form) for item in case.prefix]
        items = _UNBOUNDED if case.items is None else self._value(case.items, form)
        tallies = [(t.min, _bound(t.max), t.under, _bound(t.over)) for t in case.tallies]
        ways = [self._ways(of_item, form) for of_item in case.ways]
        return self.kernel.array(
            form,
            prefix,
            items,
            case.min_items,
            _bound(case.max_items),
            tallies,
            ways,
            case.unique,
        )


def _bound(most: int | None) -> int:
    """An upper bound as the kernel takes it."""
    return _UNBOUNDED if most is None else most


def _wishes(wishes: Wishes) -> tuple[float, float, float, float]:
    """In the kernel's order."""
    return wishes.short_strings, wishes.short_arrays, wishes.short_numbers, wishes.compact
