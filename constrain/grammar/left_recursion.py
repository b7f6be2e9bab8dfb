"""Left recursion, removed: the kernel follows a grammar from the left, not in circles.

The kernel's stacks are immutable, so a rule that may begin with itself (directly, by way of
other rules, behind parts that match the empty text, or by `Repeat` of such a part) would grow
them without end and without reading anything. Only which texts match is wanted here, not how
they parse, so such rules are rewritten and all others stay as they are.

How it is done. Each rule on a circle is taken apart into steps (`constrain.grammar.non_empty`).
A head is never empty, so only heads matter here. For one circle, a step of rule A with head B
and tail t is an edge B -t-> A, and a step with another head is a start: a text of A is a path
from a start to A. This is the left-corner transform of Moore (2000), "Removing left recursion
from context-free grammars", section 4, with his non-terminals A-X as the rests of such paths
(rules "X>A" here), after empty rules and circles of unit rules, which he excludes, are removed.

Two things keep matching fast. Rules of a circle are first substituted into each other where
that makes the grammar little longer, so that most circles become one rule A that begins with
itself: then it is `Sequence(N, Repeat(tails))`, N being A's other steps. And a step of A that
ends with A may end with N instead, since (x (A t)) is also ((x A) t): so the ambiguous
`A = A "+" A | number` is followed by one thread and not by as many as there are signs.

Size: steps times rules of one circle at worst, counted against `Limits.nodes`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from constrain.grammar import ir
from constrain.grammar.non_empty import EMPTY, NonEmpty, Step, Tail, choice, sequence
from constrain.grammar.nullable import Nullability, components, rules_perhaps_left_of
from constrain.limits import Limits


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

    Cost: nothing if the root is a JSON text; else a look at the left ends of all rules, and
        where one may begin with itself by its looks, linear in the nodes that are reachable
        outside of JSON texts. What is rewritten costs its own size (see the module's head).
    """
    if not grammar.rules or isinstance(grammar.root, ir.JsonText):
        return grammar
    left = {
        name: rules_perhaps_left_of(body)
        for name, body in grammar.rules.items()
        if not isinstance(body, ir.JsonValue)
    }
    if not _circles(left):
        return grammar
    facts = Nullability(grammar.rules, grammar.root)
    circles = _circles({name: facts.rules_left_of(body) for name, body in facts.bodies.items()})
    if not circles:
        return grammar
    on_circles = {name for members in circles for name in members}
    shared = NonEmpty(facts, grammar, on_circles, (limits or Limits()).nodes)
    for members in circles:
        _Circle(shared, members).rewrite()
    shared.finish()
    return replace(grammar, rules=shared.rules)


def _circles(left: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The rules that may begin with themselves, those of one circle together."""
    graph = {name: set(begins) for name, begins in left.items()}
    return [
        members
        for members in components(graph)
        if len(members) > 1 or members[0] in graph[members[0]]
    ]


class _Circle:
    """Rules that may all begin with each other: a strongly connected component.

    Members are rules without their empty text, and unbounded repetitions that stand at the left
    of one: those are taken for a rule R = part | R part. So `x = Repeat(x)` becomes x = x x.
    """

    def __init__(self, shared: NonEmpty, members: list[str]) -> None:
        self._shared = shared
        self._members = members
        self._member_set = set(members)
        self._steps: dict[str, list[Step]] = {}
        self._rounds: dict[int, str] = {}  # repetition -> its rule
        self._new_rounds: list[tuple[str, ir.Node]] = []  # rules to make steps for, parts
        self._same: dict[str, str] = {}  # member -> the member that stands for it
        self._rests: dict[tuple[str, str], ir.Rule] = {}
        self._new_rests: list[tuple[str, str]] = []

    def rewrite(self) -> None:
        """Put rules without left recursion in place of the members'."""
        self._collect()
        self._merge_units()
        for member, steps in self._substitute():
            self._write(member, self._shared.alternatives(steps))
        if len(self._steps) == 1:
            ((member, steps),) = self._steps.items()
            self._write(member, self._self_recursive(member, steps))
        else:
            self._write_left_corners()
        for member, same in self._same.items():
            if member != same:
                self._write(member, self._shared.head(same))

    def _write(self, member: str, body: ir.Node) -> None:
        rules = self._shared.rules
        name = self._shared.non_empty(member)
        rules[name] = body
        if name != member:
            rules[member] = ir.Choice((EMPTY, self._shared.reference(name)))

    # ------------------------------------------------------------------- steps

    def _collect(self) -> None:
        """The members' steps; where the head is a member, the tail is never empty but if ()."""
        shared = self._shared
        found: dict[str, list[Step]] = {}
        for name in self._members:
            found[name] = shared.steps(shared.facts.bodies[name], self._rule_of_rounds)
        while self._new_rounds:  # the steps of one may ask for another
            name, part = self._new_rounds.pop()
            found[name] = [*shared.steps(part, self._rule_of_rounds), (name, (part,))]
        for name, steps in found.items():
            self._steps[name] = [made for step in steps for made in self._split(step, found)]

    def _rule_of_rounds(self, node: ir.Repeat) -> str:
        """The rule for a repetition if it may begin with a member of this circle."""
        facts = self._shared.facts
        if node.max is not None or (node.min > 1 and not facts.is_nullable(node.part)):
            return ""
        if id(node) not in self._rounds:
            if self._member_set.isdisjoint(facts.rules_left_of(node.part)):
                return ""
            self._rounds[id(node)] = self._shared.fresh("rounds")
            self._new_rounds.append((self._rounds[id(node)], node.part))
        return self._rounds[id(node)]

    def _split(self, step: Step, members: Container[str]) -> list[Step]:
        """Nothing and not empty: the two kinds of a tail that may be empty, after a member."""
        shared = self._shared
        head, tail = step
        if head not in members or not tail:
            return [step]
        if not all(map(shared.facts.is_nullable, tail)):
            return [step]
        rest = shared.steps(ir.Sequence(tail))
        return [(head, ()), *((head, (shared.head(first), *more)) for first, more in rest)]

    def _merge_units(self) -> None:
        """Members that stand for each other match the same: one stands for all."""
        units = {
            name: [head for head, tail in steps if isinstance(head, str) and not tail]
            for name, steps in self._steps.items()
        }
        for names in components(units):
            self._same.update(dict.fromkeys(names, names[0]))
        merged: dict[str, dict[tuple[str | int, ...], Step]] = {}
        for name, steps in self._steps.items():
            same = self._same[name]
            mine = merged.setdefault(same, {})
            for head, tail in steps:
                to = self._same.get(head, head) if isinstance(head, str) else head
                if to != same or tail:
                    key = to if isinstance(to, str) else id(to)
                    mine[key, *map(id, tail)] = (to, tail)
        self._steps = {name: list(steps.values()) for name, steps in merged.items()}

    def _substitute(self) -> Iterator[tuple[str, list[Step]]]:
        """Put members into the steps that begin with them, while that costs little.

        Yields the members that no other member begins with any more.
        """
        size = sum(1 + len(tail) for steps in self._steps.values() for _, tail in steps)
        room = 3 * size + 64
        users: dict[str, dict[str, None]] = {name: {} for name in self._steps}
        for name, steps in self._steps.items():
            for head, _ in steps:
                if isinstance(head, str) and head in users:
                    users[head][name] = None
        again = True
        while again:
            again = False
            for name in list(self._steps):
                mine = self._steps[name]
                if len(self._steps) == 1 or name in users[name]:
                    continue
                uses = [
                    tail
                    for user in users[name]
                    for head, tail in self._steps[user]
                    if head == name
                ]
                growth = sum(len(tail) for _, tail in mine) * len(uses)
                growth += sum(1 + len(tail) for tail in uses) * len(mine)
                if len(mine) * len(uses) > len(mine) + len(uses) or growth > room:
                    continue
                room -= growth
                self._put(name, users)
                yield name, self._steps.pop(name)
                again = True

    def _put(self, name: str, users: dict[str, dict[str, None]]) -> None:
        """Substitute the member `name` wherever a step begins with it."""
        mine = self._steps[name]
        for user in users.pop(name):
            steps: list[Step] = []
            for head, tail in self._steps[user]:
                put = [(first, more + tail) for first, more in mine] if head == name else []
                self._shared.spend(sum(1 + len(longer) for _, longer in put))
                steps += put if head == name else [(head, tail)]
            self._steps[user] = steps
            for head, _ in mine:
                if isinstance(head, str) and head in users:
                    users[head][user] = None
        for others in users.values():
            others.pop(name, None)

    # ------------------------------------------------------------------- rules

    def _self_recursive(self, member: str, steps: list[Step]) -> ir.Node:
        """The body of the one member that is left."""
        shared = self._shared
        steps = [(head, self._open_end(tail)) for head, tail in steps]
        loops = [tail for head, tail in steps if head == member]
        starts = [step for step in steps if step[0] != member]
        if not loops:
            return shared.alternatives(starts)
        names = {name for name, same in self._same.items() if same == member}
        names |= {shared.non_empty(name) for name in names}
        if any(len(tail) == 1 and _is_rule(tail[0], names) for tail in loops):
            # A = A A | A A A: what is made of A alone is that already.
            alone = [tail for tail in loops if all(_is_rule(part, names) for part in tail)]
            loops = [tail for tail in loops if tail not in alone] + [min(alone, key=len)]
        if not any(tail and _is_rule(tail[-1], names) for _, tail in steps):
            first = shared.alternatives(starts)
        else:
            first = shared.reference(shared.fresh(f"{member}.start"))
            starts = [(head, self._turned(tail, names, first)) for head, tail in starts]
            loops = [self._turned(tail, names, first) for tail in loops]
            shared.rules[first.name] = shared.alternatives(starts)
        return sequence((first, ir.Repeat(choice([sequence(tail) for tail in loops]))))

    def _open_end(self, tail: Tail) -> Tail:
        """The tail with its last part taken apart as far as that is a sequence."""
        while tail and isinstance(tail[-1], ir.Sequence):
            if self._shared.facts.is_regular(tail[-1]):
                break
            tail = tail[:-1] + tail[-1].parts
        return tail

    def _turned(self, tail: Tail, names: set[str], start: ir.Rule) -> Tail:
        """The tail with `start` in place of a rule of `names` at its end."""
        if not tail or not _is_rule(tail[-1], names):
            return tail
        nullable = self._shared.facts.is_nullable(tail[-1])
        return (*tail[:-1], ir.Choice((EMPTY, start)) if nullable else start)

    def _write_left_corners(self) -> None:
        """A member is a start at any member and the rest of the way from there."""
        shared = self._shared
        edges: dict[str, list[tuple[str, Tail]]] = {name: [] for name in self._steps}
        starts: list[tuple[str, ir.Node, Tail]] = []
        for name, steps in self._steps.items():
            for head, tail in steps:
                if isinstance(head, str) and head in edges:
                    edges[head].append((name, tail))
                else:
                    starts.append((name, shared.head(head), tail))
        size = sum(2 + len(tail) for steps in self._steps.values() for _, tail in steps)
        shared.spend(size * len(self._steps))  # a circle: every rest is reached
        for member in self._steps:
            ways = [
                sequence((head, *tail, self._rest(at, member))) for at, head, tail in starts
            ]
            self._write(member, choice(ways))
        while self._new_rests:
            at, member = self._new_rests.pop()
            ways = [sequence((*tail, self._rest(to, member))) for to, tail in edges[at]]
            name = self._rests[at, member].name
            shared.rules[name] = choice([EMPTY, *ways] if at == member else ways)

    def _rest(self, at: str, member: str) -> ir.Node:
        """What may follow a text of `at` so that the whole is one of `member`."""
        if (at, member) not in self._rests:
            rule = self._shared.reference(self._shared.fresh(f"{at}>{member}"))
            self._rests[at, member] = rule
            self._new_rests.append((at, member))
        return self._rests[at, member]


def _is_rule(node: ir.Node, names: set[str]) -> bool:
    return isinstance(node, ir.Rule) and node.name in names
