"""Objects with demands and arrays with tallies, as walks.

SLOW ON PURPOSE, FOR TESTS ONLY. Whether a container can be finished is tried out: every choice
of further members or items, up to as many as can make a difference.
"""

from __future__ import annotations

from collections.abc import Iterator

from constrain.grammar import ir
from tests.oracle import json_string
from tests.oracle.containers import Asked, Move, ObjectWalk, State, _Container, _shortest, _to


class DemandingWalk(ObjectWalk):
    """An object case with demands."""

    def complete(self, state: State) -> bool:
        """Whether nothing is owed, and every demand is settled if no member follows."""
        settled = state.settled
        for one in self.case.properties:
            if one.name not in state.seen:
                settled |= one.absent
        for i, demand in enumerate(self.case.demands):
            n = state.n_members
            if n < demand.under or (demand.over is not None and n > demand.over):
                settled |= 1 << i
        return super().complete(state) and settled == (1 << len(self.case.demands)) - 1

    def finishable(self, state: State, asked: Asked) -> bool:
        """Whether some choice of further members settles everything."""
        if state.stage == "done":
            return True
        if state.stage in {"colon", "value"}:
            if state.value is None or not asked.possible(state.value, self.form):
                return False
            if state.stage == "colon" and not asked.possible(self.layout.colon()):
                return False
        at_least = 1 if state.stage == "next" else 0
        limits = [self.least, *(d.over + 1 for d in self.case.demands if d.over is not None)]
        # Beyond the declared names and one key for each demand, more members only count.
        most = max(limits) + len(self.names) + len(self.case.demands)
        level = {state._replace(stage="after", value=None)}
        for more in range(most + 1):
            enough = more >= at_least and self.brackets_possible(state, more, asked)
            if enough and any(self.complete(at) for at in level):
                return True
            if self.most is not None and state.n_members + more >= self.most:
                return False
            level = {after for at in level for after in self._members_after(at, asked)}
        return False

    def _members_after(self, state: State, asked: Asked) -> Iterator[State]:
        """The states after one more member, other keys by one name for each class."""
        if not asked.possible(self.layout.colon()):
            return
        for one in self._left(state):
            if self._writable(one.name, one.value, asked):
                seen = state.seen | {one.name}
                yield from self._ways_after(state, seen, one.ways, asked)
        letters = json_string.decodable(asked.letters, self.form.escapes)
        for (key, _), ways in zip(self.classes, self.class_ways, strict=True):
            name = _shortest(self._other(state, key), letters)
            if name is not None and asked.possible(ir.Literal('"')):
                yield from self._ways_after(state, state.seen | {name}, ways, asked)

    def _ways_after(
        self, state: State, seen: frozenset[str | None], ways: tuple[ir.Way, ...], asked: Asked
    ) -> Iterator[State]:
        for way in ways:
            if asked.possible(way.value, self.form):
                settled = state.settled | way.settles
                yield State("after", seen, state.n_members + 1, None, settled)


class TalliedWalk(_Container):
    """An array case with tallies."""

    brackets = "[]"

    def __init__(self, case: ir.JsonArray, form: ir.JsonForm) -> None:
        super().__init__(form, (case.min_items, case.max_items))
        self.case = case
        self.start = State("open", counts=(0,) * len(case.tallies))

    def _ways(self, state: State) -> list[ir.Way]:
        ways = self.case.ways[min(state.n_members, len(self.case.ways) - 1)]
        full = all(
            n >= tally.min and tally.max is None
            for tally, n in zip(self.case.tallies, state.counts, strict=True)
        )
        if full and any(way.when_full for way in ways):
            return [way for way in ways if way.when_full]
        return [way for way in ways if not way.when_full]

    def _after(self, state: State, way: ir.Way) -> State:
        counts = tuple(n + (way.settles >> i & 1) for i, n in enumerate(state.counts))
        return State("after", n_members=state.n_members + 1, counts=counts)

    def member(self, state: State) -> Iterator[Move]:
        """The next item, in each way."""
        for way in self._ways(state):
            yield Move(way.value, _to(self._after(state, way)))

    def complete(self, state: State) -> bool:
        """Whether there are enough items, and enough and not too many of each kind."""
        return super().complete(state) and all(
            (tally.min <= n and (tally.max is None or n <= tally.max))
            or state.n_members < tally.under
            or (tally.over is not None and state.n_members > tally.over)
            for tally, n in zip(self.case.tallies, state.counts, strict=True)
        )

    def finishable(self, state: State, asked: Asked) -> bool:
        """Whether some choice of further items completes the array."""
        if state.stage == "done":
            return True
        tallies = self.case.tallies
        most = self.least + len(self.case.ways) + sum(t.min + t.under for t in tallies)
        most += sum(0 if t.over is None else t.over + 1 for t in tallies)
        level, at_least = {state}, 1 if state.stage == "next" else 0
        for more in range(most + 1):
            enough = more >= at_least and self.brackets_possible(state, more, asked)
            if enough and any(self.complete(at) for at in level):
                return True
            if self.most is not None and state.n_members + more >= self.most:
                return False
            level = {
                self._after(at, way)
                for at in level
                for way in self._ways(at)
                if asked.possible(way.value, self.form)
            }
        return False
