"""Nodes and rules without their empty text, taken apart at the left.

A node that may match the empty text becomes the ways in which a text of it that is not empty
may begin: *steps*, pairs of a head that is never empty and a tail of ordinary nodes. The tails
keep their nodes, and with them repetitions with large bounds, which are never written out. A
rule gets a second one without the empty text where that is asked for (its name with a "+").

Source: the elimination of empty rules in Hopcroft, Motwani, Ullman, "Introduction to Automata
Theory, Languages, and Computation", section 7.1.3; since only the head must not be empty, a
sequence of n parts makes n steps at most and not 2**n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from constrain.errors import LimitError
from constrain.grammar import ir
from constrain.grammar.nullable import Nullability

EMPTY = ir.Sequence(())
_SOME_TEXT = ir.Repeat(ir.Chars(((0, ir.MAX_CHAR),)), 1, None)

Tail: TypeAlias = tuple[ir.Node, ...]
# A head and what follows it; the head is a leaf, or the name of a rule less its empty text.
Step: TypeAlias = tuple[str | ir.Node, Tail]
RuleOf: TypeAlias = Callable[[ir.Repeat], str]


def _no_rule(_: ir.Repeat) -> str:
    return ""


class NonEmpty:
    """The rules of a grammar in the making, and parts of it without their empty text.

    Attributes:
        facts: about the grammar as it was.
        rules: those of the grammar, to be replaced and added to.
    """

    def __init__(
        self, facts: Nullability, grammar: ir.Grammar, on_circles: set[str], max_nodes: int
    ) -> None:
        self.facts = facts
        self.rules = dict(grammar.rules)
        self._on_circles = on_circles
        self._max_nodes = max_nodes
        self._n_nodes = 0
        self._n_fresh = 0
        self._references: dict[str, ir.Rule] = {}
        self._leaves: dict[int, ir.Node | None] = {}
        self._non_empty: dict[str, str] = {}
        self._parts: dict[int, ir.Rule] = {}
        self._pending: list[tuple[str, ir.Node]] = []  # rules to write, from these nodes
        self._keep: list[ir.Node] = []  # keeps ids unique

    def spend(self, n_nodes: int) -> None:
        """Count what is made against the limit."""
        self._n_nodes += n_nodes
        if self._n_nodes > self._max_nodes:
            what = "nodes"
            raise LimitError(what, self._n_nodes, self._max_nodes)

    def fresh(self, name: str) -> str:
        """A name like `name` that no rule has; it is taken from now on."""
        wanted = name
        while name in self.rules:
            self._n_fresh += 1
            name = f"{wanted}{self._n_fresh}"
        self.rules[name] = ir.Choice(())
        return name

    def reference(self, name: str) -> ir.Rule:
        """The one node that refers to this rule."""
        return self._references.setdefault(name, ir.Rule(name))

    def non_empty(self, name: str) -> str:
        """The name of the rule without its empty text."""
        if name not in self.facts.rules:
            return name
        if name not in self._non_empty:
            self._non_empty[name] = self.fresh(f"{name}+")
            if name not in self._on_circles:  # its circle writes it
                self._pending.append((self._non_empty[name], self.facts.bodies[name]))
        return self._non_empty[name]

    def non_empty_part(self, part: ir.Node) -> ir.Node:
        """`part` without the empty text, as one node."""
        if not self.facts.is_nullable(part):
            return part
        if isinstance(part, ir.Rule):
            return self.reference(self.non_empty(part.name))
        if self.facts.is_regular(part):
            return self._non_empty_leaf(part) or ir.Choice(())
        if id(part) not in self._parts:
            self._keep.append(part)
            self._parts[id(part)] = self.reference(self.fresh("part+"))
            self._pending.append((self._parts[id(part)].name, part))
        return self._parts[id(part)]

    def finish(self) -> None:
        """Write the rules without empty text that were asked for."""
        while self._pending:
            name, node = self._pending.pop()
            self.rules[name] = self.alternatives(self.steps(node))

    def head(self, head: str | ir.Node) -> ir.Node:
        """The node that a head stands for."""
        return self.reference(self.non_empty(head)) if isinstance(head, str) else head

    def alternatives(self, steps: Iterable[Step]) -> ir.Node:
        """A node that matches what the steps do."""
        return choice([sequence((self.head(head), *tail)) for head, tail in steps])

    def steps(self, node: ir.Node, rule_of: RuleOf = _no_rule) -> list[Step]:
        """All ways a non-empty text of `node` may begin, rules not entered.

        Args:
            node: any node.
            rule_of: for an unbounded repetition the rule to take it for, or "".
        """
        found: list[Step] = []
        pending: list[tuple[ir.Node, Tail]] = [(node, ())]
        while pending:
            at, tail = pending.pop()
            self.spend(1 + len(tail))
            if self.facts.is_regular(at):
                leaf = self._non_empty_leaf(at)
                found += [] if leaf is None else [(leaf, tail)]
                continue
            match at:
                case ir.Rule(name):
                    found.append((name, tail))
                case ir.Choice(alternatives, ()):
                    pending.extend((each, tail) for each in reversed(alternatives))
                case ir.Choice():
                    found.append((_without_empty_literal(at), tail))
                case ir.Sequence(parts):
                    pending.extend(self._first_parts(parts, tail))
                case ir.Repeat(part, _, most):
                    name = rule_of(at)
                    if name:
                        found.append((name, tail))
                    elif most != 0:
                        pending.append((part, (*self._more_rounds(at), *tail)))
                case _:
                    found.append((at, tail))
        return found

    def _first_parts(self, parts: Tail, tail: Tail) -> list[tuple[ir.Node, Tail]]:
        """Each part that may be the first one that is not empty, with what follows it."""
        found = []
        for i, part in enumerate(parts):
            self.spend(len(parts) - i)
            found.append((part, parts[i + 1 :] + tail))
            if not self.facts.is_nullable(part):
                break
        return found[::-1]

    def _more_rounds(self, node: ir.Repeat) -> Tail:
        """What follows the first round of a repetition that is not empty."""
        if node.max == 1:
            return ()
        least = 0 if self.facts.is_nullable(node.part) else max(node.min - 1, 0)
        most = None if node.max is None else node.max - 1
        return (ir.Repeat(self.non_empty_part(node.part), least, most),)

    def _non_empty_leaf(self, leaf: ir.Node) -> ir.Node | None:
        """A regular node without the empty text; None if nothing is left."""
        if not self.facts.is_nullable(leaf):
            return leaf
        if id(leaf) not in self._leaves:
            self._keep.append(leaf)
            self._leaves[id(leaf)] = self._cut_empty(leaf)
        return self._leaves[id(leaf)]

    def _cut_empty(self, leaf: ir.Node) -> ir.Node | None:
        if leaf in (EMPTY, ir.Literal("")):
            return None
        if isinstance(leaf, ir.Repeat) and not self.facts.is_nullable(leaf.part):
            return None if leaf.max == 0 else ir.Repeat(leaf.part, 1, leaf.max)
        return ir.Intersect((leaf, _SOME_TEXT))


def _without_empty_literal(node: ir.Choice) -> ir.Node:
    """A weighted choice without its empty text."""
    kept = [
        pair
        for pair in zip(node.alternatives, node.weights, strict=True)
        if pair[0] != ir.Literal("")
    ]
    if len(kept) == len(node.alternatives):
        return node
    return ir.Choice(tuple(each for each, _ in kept), tuple(weight for _, weight in kept))


def choice(alternatives: list[ir.Node]) -> ir.Node:
    """Any of the alternatives, without a node around a single one."""
    return alternatives[0] if len(alternatives) == 1 else ir.Choice(tuple(alternatives))


def sequence(parts: Tail) -> ir.Node:
    """The parts one after the other, without a node around a single one."""
    return parts[0] if len(parts) == 1 else ir.Sequence(parts)
