r"""The language of a pattern with any look-arounds, by building its automaton.

The last resort of `regex_assertions`, for look-arounds that bind the rounds of a repetition to
each other or to what follows, as in `(?:[a-z]|-(?!-))+x?`. Exact, but the result is as large as
the automaton: patterns with big counts are refused.

The idea: (1) `regex_nfa` gives a nondeterministic automaton whose edges may carry a condition.
(2) A state of the deterministic one is a formula in disjunctive form: sets of NFA states and
negated formulas that must all accept what is left of the text; a look-ahead adds to such a set.
Beside it stand the character class just read and, for each look-behind, the NFA states it has
reached (it starts anew at each place). (3) States that behave alike are merged (Moore), and
states are eliminated one by one into a regular expression.

Source: Brzozowski and Leiss, On equations for regular languages, finite automata and sequential
networks, 1980 (boolean formulas as states); Brzozowski and McCluskey, 1963 (elimination).
Cost: exponential in the worst case; at most `_MAX_STATES` states and `_MAX_NODES` nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from constrain.grammar.ir import Node
from constrain.grammar.regex_classes import Ranges, merge, partition
from constrain.grammar.regex_nfa import Nfa, TooLargeError, build
from constrain.grammar.regex_tree import (
    EMPTY,
    NOTHING,
    children,
    choice,
    class_node,
    repeat,
    sequence,
)

_MAX_STATES: Final = 300
_MAX_NODES: Final = 20_000
_MAX_DEPTH: Final = 150
_MAX_WORK: Final = 300_000

Formula: TypeAlias = "frozenset[frozenset[int | Not]]"


@dataclass(frozen=True, slots=True)
class Not:
    """A formula that must not accept what is left of the text."""

    formula: Formula


_FALSE: Final[Formula] = frozenset()
_TRUE: Final[Formula] = frozenset([frozenset()])
_EDGE: Final = -1  # the character class before the start and after the end of the text

# formula, class before, NFA states of each look-behind
State: TypeAlias = tuple[Formula, int, tuple[frozenset[int], ...]]


def automaton_language(tree: Node) -> Node:
    """The plain node of the texts that the tree matches from end to end.

    Raises:
        TooLargeError: the automaton or the expression passes its bounds.
    """
    nfa = build(tree)
    classes = partition(nfa.sets)
    machine = _Machine(nfa, classes)
    transitions, accepting = _explore(machine, len(classes))
    merged, initial, final = _minimize(transitions, accepting)
    return _eliminate(merged, initial, final, classes)


class _Machine:
    """Steps from state to state."""

    def __init__(self, nfa: Nfa, classes: list[Ranges]) -> None:
        self.nfa = nfa
        representatives = [ranges[0][0] for ranges in classes]
        self.members = {
            ranges: frozenset(
                index
                for index, code in enumerate(representatives)
                if any(low <= code <= high for low, high in ranges)
            )
            for ranges in nfa.sets
        }
        self.before = _EDGE
        self.after = _EDGE
        self.holds: list[bool] = []
        self._work = 0

    def initial(self) -> State:
        """The state at the start of the text."""
        n_behind = len(self.nfa.behind)
        return frozenset([frozenset([self.nfa.start])]), _EDGE, (frozenset(),) * n_behind

    def accepts(self, state: State) -> bool:
        """Whether the text may end here."""
        self._arrive(state, _EDGE)
        return self._holds_at_end(state[0])

    def step(self, state: State, class_: int) -> State:
        """The state after one more character of a class."""
        reached = self._arrive(state, class_)
        formula = self._derive(state[0])
        moved = tuple(
            frozenset(
                edge.target
                for place in places
                for edge in self.nfa.edges[place]
                if edge.ranges is not None and class_ in self.members[edge.ranges]
            )
            for places in reached
        )
        return formula, class_ if formula else _EDGE, moved if formula else ()

    def _arrive(self, state: State, after: int) -> list[frozenset[int]]:
        """Settle every look-behind at this place; inner ones come first in `nfa.behind`."""
        self.before, self.after = state[1], after
        self.holds = []
        reached = []
        for (start, accept), places in zip(self.nfa.behind, state[2], strict=False):
            closed = self._closure(places | {start})
            reached.append(closed)
            self.holds.append(accept in closed)
        return reached

    def _closure(self, places: frozenset[int]) -> frozenset[int]:
        seen = set(places)
        waiting = list(places)
        while waiting:
            for edge in self.nfa.edges[waiting.pop()]:
                if (
                    edge.ranges is None
                    and edge.target not in seen
                    and self._passes(edge.condition)
                ):
                    seen.add(edge.target)
                    waiting.append(edge.target)
        return frozenset(seen)

    def _passes(self, condition: tuple[object, ...]) -> bool:
        """Whether a condition on the neighbouring characters or on what was read holds."""
        match condition:
            case ():
                return True
            case ("next" | "previous" as side, ranges, edge, negative):
                class_ = self.after if side == "next" else self.before
                inside = bool(edge) if class_ == _EDGE else class_ in self.members[ranges]  # type: ignore[index]  # `condition` is typed loosely
                return inside != negative
            case ("behind", index, negative):
                return self.holds[index] != negative  # type: ignore[call-overload, no-any-return]  # as above
        raise TooLargeError("a look-ahead inside of a look-behind")

    def _derive(self, formula: Formula) -> Formula:
        found = _FALSE
        for term in formula:
            product = _TRUE
            for literal in term:
                product = self._both(product, self._derive_literal(literal))
                if not product:
                    break
            found = self._either(found, product)
        return found

    def _derive_literal(self, literal: int | Not) -> Formula:
        if isinstance(literal, Not):
            return _negated(self._derive(literal.formula))
        return self._derive_place(literal)

    def _derive_place(self, start: int) -> Formula:
        """What must hold of the text after one more character, for a run from `start`."""
        # On what condition each place is reached without a character: a least fixed point.
        reached = {start: _TRUE}
        waiting = [start]
        while waiting:
            place = waiting.pop()
            for edge in self.nfa.edges[place]:
                if edge.ranges is not None:
                    continue
                known = reached.get(edge.target, _FALSE)
                condition = self._both(reached[place], self._condition(edge.condition))
                together = self._either(known, condition)
                if together != known:
                    reached[edge.target] = together
                    waiting.append(edge.target)
        result = _FALSE
        for place, condition in reached.items():
            if place in self.nfa.found:
                result = self._either(result, condition)
            for edge in self.nfa.edges[place]:
                if edge.ranges is not None and self.after in self.members[edge.ranges]:
                    moved = frozenset(term | {edge.target} for term in condition)
                    result = self._either(result, moved)
        return result

    def _condition(self, condition: tuple[object, ...]) -> Formula:
        if condition[:1] != ("ahead",):
            return _TRUE if self._passes(condition) else _FALSE
        _, start, negative = condition
        assert isinstance(start, int), start
        looked = self._derive_place(start)
        return _negated(looked) if negative else looked

    def _either(self, left: Formula, right: Formula) -> Formula:
        if not left or not right:
            return left or right
        terms = left | right
        self._work += len(terms) ** 2
        if self._work > _MAX_WORK:
            raise TooLargeError("too many combinations of conditions")
        # A term that demands more than another one adds nothing.
        return frozenset(term for term in terms if not any(other < term for other in terms))

    def _both(self, left: Formula, right: Formula) -> Formula:
        if left == _TRUE:
            return right
        found = _FALSE
        for one in left:
            found = self._either(found, frozenset(one | other for other in right))
        return found

    def _holds_at_end(self, formula: Formula) -> bool:
        return any(all(map(self._literal_at_end, term)) for term in formula)

    def _literal_at_end(self, literal: int | Not) -> bool:
        if isinstance(literal, Not):
            return not self._holds_at_end(literal.formula)
        return self._place_at_end(literal)

    def _place_at_end(self, start: int) -> bool:
        seen = {start}
        waiting = [start]
        while waiting:
            place = waiting.pop()
            if place in self.nfa.found or place == self.nfa.accept:
                return True
            for edge in self.nfa.edges[place]:
                if (
                    edge.ranges is None
                    and edge.target not in seen
                    and self._at_end(edge.condition)
                ):
                    seen.add(edge.target)
                    waiting.append(edge.target)
        return False

    def _at_end(self, condition: tuple[object, ...]) -> bool:
        if condition[:1] == ("ahead",):
            _, start, negative = condition
            assert isinstance(start, int), start
            return self._place_at_end(start) != negative
        return self._passes(condition)


def _negated(formula: Formula) -> Formula:
    if not formula:
        return _TRUE
    if frozenset() in formula:
        return _FALSE
    # not (a or b) = not a and not b: one literal for each alternative, so that equal
    # conditions met at different places stay equal.
    literals = frozenset(Not(frozenset([term])) for term in formula)
    return frozenset([literals])


def _explore(machine: _Machine, n_classes: int) -> tuple[list[list[int]], list[bool]]:
    initial = machine.initial()
    index = {initial: 0}
    order = [initial]
    transitions: list[list[int]] = []
    accepting: list[bool] = []
    while len(transitions) < len(order):
        state = order[len(transitions)]
        accepting.append(machine.accepts(state))
        row = []
        for class_ in range(n_classes):
            following = machine.step(state, class_)
            if following not in index:
                if len(order) >= _MAX_STATES:
                    raise TooLargeError(f"more than {_MAX_STATES} automaton states")
                index[following] = len(order)
                order.append(following)
            row.append(index[following])
        transitions.append(row)
    return transitions, accepting


def _minimize(
    transitions: list[list[int]], accepting: list[bool]
) -> tuple[list[list[int]], int, list[bool]]:
    """Merge states that behave alike (Moore's refinement)."""
    block = [int(accepts) for accepts in accepting]
    while True:
        keys: dict[tuple[int, ...], int] = {}
        refined = [
            keys.setdefault((block[state], *(block[to] for to in row)), len(keys))
            for state, row in enumerate(transitions)
        ]
        if len(keys) == len(set(block)):
            break
        block = refined
    n_blocks = len(set(refined))
    merged: list[list[int]] = [[] for _ in range(n_blocks)]
    final = [False] * n_blocks
    for state, row in enumerate(transitions):
        merged[refined[state]] = [refined[to] for to in row]
        final[refined[state]] = accepting[state]
    return merged, refined[0], final


def _eliminate(
    transitions: list[list[int]], initial: int, final: list[bool], classes: list[Ranges]
) -> Node:
    """The regular expression of an automaton; the state of least degree goes first."""
    n_states = len(transitions)
    start, end = n_states, n_states + 1
    edges: dict[int, dict[int, Node]] = {state: {} for state in range(n_states + 2)}
    for state, row in enumerate(transitions):
        sets: dict[int, list[tuple[int, int]]] = {}
        for class_, target in enumerate(row):
            sets.setdefault(target, []).extend(classes[class_])
        edges[state] = {to: class_node(merge(ranges)) for to, ranges in sets.items()}
        if final[state]:
            edges[state][end] = EMPTY
    edges[start][initial] = EMPTY
    _drop_dead(edges, end)
    left = set(edges) - {start, end}
    while left:
        state = min(left, key=lambda one: _degree(edges, one))
        left.discard(state)
        _bypass(edges, state)
        if sum(_size(node) for row in edges.values() for node in row.values()) > _MAX_NODES:
            raise TooLargeError("the automaton has no short expression")
    return edges[start].get(end, NOTHING)


def _drop_dead(edges: dict[int, dict[int, Node]], end: int) -> None:
    alive = {end}
    while True:
        more = {one for one, row in edges.items() if one not in alive and alive & row.keys()}
        if not more:
            break
        alive |= more
    for state in list(edges):
        if state not in alive:
            del edges[state]
    for state, row in edges.items():
        edges[state] = {to: node for to, node in row.items() if to in alive}
    edges.setdefault(end, {})
    edges.setdefault(end - 1, {})


def _degree(edges: dict[int, dict[int, Node]], state: int) -> int:
    n_in = sum(state in row for one, row in edges.items() if one != state)
    n_out = len(edges[state].keys() - {state})
    return n_in * n_out


def _bypass(edges: dict[int, dict[int, Node]], state: int) -> None:
    out = edges.pop(state)
    loop = repeat(out.pop(state, NOTHING), 0, None)
    for row in edges.values():
        into = row.pop(state, None)
        if into is None:
            continue
        for target, node in out.items():
            path = sequence([into, loop, node])
            row[target] = choice([row[target], path]) if target in row else path


def _size(node: Node) -> int:
    total = 0
    stack = [(node, 1)]
    while stack:
        top, depth = stack.pop()
        total += 1
        if total > _MAX_NODES or depth > _MAX_DEPTH:
            raise TooLargeError("the automaton has no short expression")
        stack.extend((child, depth + 1) for child in children(top))
    return total


__all__ = ["TooLargeError", "automaton_language"]
