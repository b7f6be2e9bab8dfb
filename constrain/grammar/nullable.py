"""Which nodes of a grammar match the empty text, and which rules a node may begin with.

Answers for a node and for rules that refer to each other, as a least fixed point, without
recursion on the grammar's depth. Decides nothing about what else a node matches: a regular node
that matches nothing at all counts like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from constrain.errors import GrammarError
from constrain.grammar import ir

_NEVER = -1


class Nullability:
    """Facts about the nodes reachable from `root`, and about nodes made of them later.

    Everything inside `JsonText` is left aside: it is a leaf here, and never empty.

    Attributes:
        bodies: the rules that are reachable outside of JSON texts.
        rules: names of those that match the empty text.

    Cost: linear in the nodes, each distinct node object once.
    Source: nullable symbols as in Hopcroft, Motwani, Ullman, "Introduction to Automata Theory,
    Languages, and Computation", section 7.1.3, with the counters of Dowling and Gallier (1984),
    "Linear-time algorithms for testing the satisfiability of propositional Horn formulae".
    """

    def __init__(self, rules: Mapping[str, ir.Node], root: ir.Node) -> None:
        self.bodies: dict[str, ir.Node] = {}
        self.rules: set[str] = set()
        self._regular: dict[int, bool] = {}
        self._nullable: dict[int, bool] = {}
        self._keep: list[ir.Node] = []  # keeps ids unique
        pending = [root]
        irregular: list[ir.Node] = []
        while pending:
            for node in self._scan(pending.pop()):
                if self._regular[id(node)]:
                    continue
                irregular.append(node)
                if isinstance(node, ir.Rule) and node.name not in self.bodies:
                    self.bodies[node.name] = _body(rules, node.name)
                    pending.append(self.bodies[node.name])
        self._solve(irregular)

    def is_regular(self, node: ir.Node) -> bool:
        """Does the kernel match `node` as one lexeme?"""
        self._learn(node)
        return self._regular[id(node)]

    def is_nullable(self, node: ir.Node) -> bool:
        """Does `node` match the empty text? Rules that are not in `bodies` do not."""
        self._learn(node)
        return self._nullable[id(node)]

    def rules_left_of(self, node: ir.Node) -> Iterator[str]:
        """Names of the rules in `node` that a text of it may begin with."""
        pending = [node]
        seen: set[int] = set()
        while pending:
            at = pending.pop()
            if id(at) in seen or self.is_regular(at):
                continue
            seen.add(id(at))
            if isinstance(at, ir.Rule):
                yield at.name
            elif isinstance(at, ir.Sequence):
                for part in at.parts:
                    pending.append(part)
                    if not self.is_nullable(part):
                        break
            elif not isinstance(at, ir.Repeat) or at.max != 0:
                pending.extend(_children(at))

    # ---------------------------------------------------------------- one node

    def _learn(self, node: ir.Node) -> None:
        """Facts of a node that was made after the rules were solved."""
        if id(node) in self._nullable:
            return
        for part in self._scan(node):
            if not self._regular[id(part)]:
                needed, wanted = self._demands(part)
                met = sum(self._nullable[id(child)] for child in wanted)
                self._nullable[id(part)] = 0 <= needed <= met
            if isinstance(part, ir.Rule):
                self._nullable[id(part)] = part.name in self.rules

    def _scan(self, node: ir.Node) -> list[ir.Node]:
        """The nodes not seen before at and below `node`, children first, rules not entered."""
        found: list[ir.Node] = []
        regular, keep = self._regular, self._keep
        pending = [(node, False)]
        while pending:
            at, done = pending.pop()
            if id(at) in regular:
                continue
            children = _children(at)
            if children and not done:
                pending.append((at, True))
                pending.extend([(child, False) for child in children])
                continue
            keep.append(at)
            found.append(at)
            alone = _regular_by_itself(at)
            regular[id(at)] = alone and all(regular[id(child)] for child in children)
            if regular[id(at)]:
                self._nullable[id(at)] = self._is_empty_text(at)
        return found

    def _is_empty_text(self, node: ir.Node) -> bool:
        """Does a regular node match the empty text, its children's answers known?"""
        match node:
            case ir.Literal(text):
                return not text
            case ir.OneOf(texts):
                return "" in texts
            case ir.Complement(part):
                return not self._nullable[id(part)]
            case ir.Intersect(parts):
                return all(self._nullable[id(part)] for part in parts)
            case _:
                needed, wanted = self._demands(node)
                return 0 <= needed <= sum(self._nullable[id(child)] for child in wanted)

    def _demands(self, node: ir.Node) -> tuple[int, tuple[ir.Node, ...]]:
        """How many of which children must be nullable so that `node` is."""
        match node:
            case ir.Sequence(parts):
                return len(parts), parts
            case ir.Choice(alternatives, weights):
                if weights:
                    return 0 if ir.Literal("") in alternatives else _NEVER, ()
                return 1, alternatives
            case ir.Repeat(part, least, most):
                return (1, (part,)) if least and most != 0 else (0, ())
            case _:
                return _NEVER, ()

    # ------------------------------------------------------------------- rules

    def _solve(self, irregular: Iterable[ir.Node]) -> None:
        """Least fixed point over all rules; each edge is followed once."""
        needed: dict[int, int] = {}
        parents: dict[int, list[int]] = {}
        names: dict[int, str] = {}
        for node in irregular:
            count, wanted = self._demands(node)
            if isinstance(node, ir.Rule):
                count, wanted = 1, (self.bodies[node.name],)
                names[id(node)] = node.name
            self._nullable[id(node)] = False
            needed[id(node)] = count
            for child in wanted:
                parents.setdefault(id(child), []).append(id(node))
        pending = [key for key, count in needed.items() if count == 0]
        leaves = [key for key in parents if key not in needed and self._nullable[key]]
        for key in chain(leaves, pending):
            self._nullable[key] = True
        ready = leaves + pending
        while ready:
            key = ready.pop()
            if key in names:
                self.rules.add(names[key])
            for parent in parents.get(key, ()):
                needed[parent] -= 1
                if needed[parent] == 0:
                    self._nullable[parent] = True
                    ready.append(parent)


def components(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components, what an edge leads to before where it starts.

    Edges to names that are no key are ignored. Cost: linear.
    Source: Tarjan (1972), "Depth-first search and linear graph algorithms".

    >>> components({"a": ["b"], "b": ["c"], "c": ["b"]})
    [['c', 'b'], ['a']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    path: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        path.append((name, iter(graph[name])))

    for start in graph:
        if start not in index:
            enter(start)
        while path:
            name, edges = path[-1]
            to = next((edge for edge in edges if edge in graph), None)
            if to is not None:
                if to not in index:
                    enter(to)
                low[name] = min(low[name], low[to])
                continue
            path.pop()
            if path:
                low[path[-1][0]] = min(low[path[-1][0]], low[name])
            if low[name] == index[name]:
                members = [stack.pop()]
                while members[-1] != name:
                    members.append(stack.pop())
                found.append(members)
                low.update(dict.fromkeys(members, len(graph)))  # no edge leads into them now
    return found


def rules_perhaps_left_of(node: ir.Node) -> Iterator[str]:
    """Names of the rules that a text of `node` may begin with, and perhaps some more.

    Looks only as far to the right as a part may be empty by its looks; no rule is entered.
    """
    pending = [node]
    seen: set[int] = set()
    while pending:
        at = pending.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        if isinstance(at, ir.Rule):
            yield at.name
        elif isinstance(at, ir.Sequence):
            for part in at.parts:
                pending.append(part)
                if _is_never_empty(part):
                    break
        else:
            pending.extend(_children(at))


def _is_never_empty(node: ir.Node) -> bool:
    """Is that plain from the node alone?"""
    match node:
        case ir.Literal(text):
            return bool(text)
        case ir.OneOf(texts):
            return "" not in texts
        case ir.Chars() | ir.JsonText() | ir.JsonString() | ir.MultipleOf():
            return True
        case _:
            return False


def _children(node: ir.Node) -> tuple[ir.Node, ...]:
    match node:
        case ir.Sequence(parts) | ir.Intersect(parts):
            return parts
        case ir.Choice(alternatives, weights):
            return () if weights else alternatives
        case ir.Repeat(part) | ir.Complement(part):
            return (part,)
        case _:
            return ()


def _regular_by_itself(node: ir.Node) -> bool:
    if isinstance(node, ir.Choice):
        return not node.weights
    return not isinstance(node, ir.Rule | ir.JsonText | ir.JsonValue)


def _body(rules: Mapping[str, ir.Node], name: str) -> ir.Node:
    try:
        return rules[name]
    except KeyError:
        reason = f"rule {name!r} is not defined"
        raise GrammarError(reason) from None
