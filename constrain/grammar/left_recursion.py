"""Left recursion, removed: the kernel follows a grammar from the left and must not go in circles.

The kernel's stacks are immutable, so a rule that may begin with itself (directly, by way of other
rules, behind parts that match the empty text, or by `Repeat` of such a part) would grow them
without end and without reading anything. Only which texts match is wanted here, not how they
parse, so such rules are rewritten and all others stay as they are.

How it is done. Each rule on a circle gets *steps*: pairs of a non-empty head and a tail of
ordinary nodes. As a head is never empty, only heads matter for left recursion; the tails keep
their nodes, and with them repetitions with large bounds, which are never written out. A rule
that matches the empty text is split into that and the rule without it (its name with a "+").
For one circle, a step from head B to rule A with tail t is an edge B -t-> A, and a step with
another head is a start: a text of A is a path from a start to A. This is the left-corner
transform of Moore (2000), "Removing left recursion from context-free grammars", section 4, his
non-terminals A-X being the rests of such paths (rules "X>A" here), after the empty rules and
circles of unit rules, which he excludes, are removed as in Hopcroft, Motwani, Ullman,
"Introduction to Automata Theory, Languages, and Computation", section 7.1.

Two things keep matching fast. Rules of a circle are first substituted into each other where
that makes the grammar no longer, so that most circles become one rule A that begins with
itself: then it is `Sequence(N, Repeat(tails))`, N being A's other steps. And a step of A
that ends with A may end with N instead, since (x (A t)) is also ((x A) t): so the ambiguous
`A = A "+" A | number` is followed by one thread and not by as many as there are signs.

Size: steps times rules of one circle at worst, counted against `Limits.nodes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from constrain.errors import LimitError
from constrain.grammar import ir
from constrain.grammar.nullable import Nullability, components
from constrain.limits import Limits

_EMPTY = ir.Sequence(())
_SOME_TEXT = ir.Repeat(ir.Chars(((0, ir.MAX_CHAR),)), 1, None)

Tail: TypeAlias = tuple[ir.Node, ...]
# A head and what follows it; the head is the name of a rule (without its empty text) or a leaf.
Step: TypeAlias = tuple[str | ir.Node, Tail]


def without_left_recursion(grammar: ir.Grammar, limits: Limits | None = None) -> ir.Grammar:
    """The same language without left recursion; the same object if there is none.

    Rules that are not left-recursive keep their bodies. Alternatives that can never be finished
    (`x = x "a"`) match nothing afterwards; a rule of nothing else becomes `Choice(())`.

    Args:
        grammar: any grammar; JSON texts in it are leaves and are not looked into.
        limits: `nodes` bounds the steps that are made and their tails.

    Raises:
        GrammarError: a rule that is reachable is not defined.
        LimitError: the grammar would become too large.

    Cost: nothing for a grammar whose root is a JSON text; else linear in the nodes that are
        reachable outside of JSON texts.
    """
    if not grammar.rules or isinstance(grammar.root, ir.JsonText):
        return grammar
    facts = Nullability(grammar.rules, grammar.root)
    graph = {name: set(facts.rules_left_of(body)) for name, body in facts.bodies.items()}
    circles = [
        members
        for members in components(graph)
        if len(members) > 1 or members[0] in graph[members[0]]
    ]
    if not circles:
        return grammar
    rewriting = _Rewriting(facts, grammar, (limits or Limits()).nodes)
    for members in circles:
        _Circle(rewriting, members).rewrite()
    rewriting.finish({name for members in circles for name in members})
    return replace(grammar, rules=rewriting.rules)


class _Rewriting:
    """What all circles share: the new rules, and rules without their empty text."""

    def __init__(self, facts: Nullability, grammar: ir.Grammar, max_nodes: int) -> None:
        self.facts = facts
        self.rules = dict(grammar.rules)
        self._max_nodes = max_nodes
        self._n_nodes = 0
        self._references: dict[str, ir.Rule] = {}
        self._leaves: dict[int, ir.Node | None] = {}
        self._non_empty: dict[str, str] = {}
        self._parts: dict[int, ir.Rule] = {}
        self._pending: list[str] = []
        self._keep: list[ir.Node] = []  # keeps ids unique

    def spend(self, n_nodes: int) -> None:
        """Count what is made against the limit."""
        self._n_nodes += n_nodes
        if self._n_nodes > self._max_nodes:
            what = "nodes"
            raise LimitError(what, self._n_nodes, self._max_nodes)

    def fresh(self, name: str) -> str:
        """A name like `name` that no rule has; it is taken from now on."""
        while name in self.rules:
            name += "+"
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
            self._pending.append(name)
        return self._non_empty[name]

    def head(self, head: str | ir.Node) -> ir.Node:
        """The node of a head outside of any circle."""
        return self.reference(self.non_empty(head)) if isinstance(head, str) else head

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
            rule = self._parts[id(part)] = self.reference(self.fresh("part+"))
            self.rules[rule.name] = self.alternatives(self.steps(part))
        return self._parts[id(part)]

    def steps(self, node: ir.Node) -> list[Step]:
        """All ways a non-empty text of `node` may begin, rules not entered."""
        found: list[Step] = []
        pending: list[tuple[ir.Node, Tail]] = [(node, ())]
        while pending:
            at, tail = pending.pop()
            self.spend(1 + len(tail))
            if self.facts.is_regular(at):
                leaf = self._non_empty_leaf(at)
                if leaf is not None:
                    found.append((leaf, tail))
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
                    if most != 0:
                        pending.append((part, (*self._more_rounds(at), *tail)))
                case _:
                    found.append((at, tail))
        return found

    def alternatives(self, steps: Iterable[Step]) -> ir.Node:
        """A node that matches what the steps do."""
        return choice([sequence(self.head(head), tail) for head, tail in steps])

    def finish(self, on_circles: set[str]) -> None:
        """Write the rules without their empty text that were asked for off the circles."""
        while self._pending:
            name = self._pending.pop()
            if name not in on_circles:
                steps = self.steps(self.facts.bodies[name])
                self.rules[self._non_empty[name]] = self.alternatives(steps)

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
        empty = self.facts.is_nullable(node.part)
        least = 0 if empty else max(node.min - 1, 0)
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
        if leaf in (_EMPTY, ir.Literal("")):
            return None
        if isinstance(leaf, ir.Repeat) and not self.facts.is_nullable(leaf.part):
            return None if leaf.max == 0 else ir.Repeat(leaf.part, 1, leaf.max)
        return ir.Intersect((leaf, _SOME_TEXT))


class _Circle:
    """Rules that may all begin with each other: a strongly connected component."""

    def __init__(self, rewriting: _Rewriting, members: list[str]) -> None:
        self._rewriting = rewriting
        self._members = members
        self._steps: dict[str, list[Step]] = {}
        self._rounds: dict[int, str] = {}  # unbounded Repeat on the circle -> its name
        self._same: dict[str, str] = {}  # member -> the member that stands for it
        self._names: dict[str, str] = {}  # unbounded Repeat -> the rule it becomes
        self._rests: dict[tuple[str, str], str] = {}

    def rewrite(self) -> None:
        """Put rules without left recursion in place of the members'."""
        self._collect()
        self._merge_units()
        for member in self._substitute():
            self._write(member, self._rewriting.alternatives(self._named(self._steps[member])))
        if len(self._steps) == 1:
            ((member, steps),) = self._steps.items()
            self._write(member, self._self_recursive(member, steps))
        else:
            self._left_corners()
        self._write_names()

    # ------------------------------------------------------------------- steps

    def _collect(self) -> None:
        """The members' steps, with no tail of a step on the circle that may be empty."""
        facts = self._rewriting.facts
        pending = [(name, facts.bodies[name]) for name in self._members]
        self._steps = dict.fromkeys(self._members, [])
        on_circle = set(self._members)
