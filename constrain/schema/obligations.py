"""Object cases that exclude others, and array cases with tallies, as ways to read children.

For each member or item: which needs it can be read with, and which demands each settles. A
demand is "not that case". It is settled by a member that fails there, so a member that several
excluded cases speak of has a way for each set of them that some value fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from constrain.errors import LimitError
from constrain.grammar.ir import Demand, Node, Tally
from constrain.schema.arrays import ArrayCase
from constrain.schema.document import Need, Place, key_of, keys_of
from constrain.schema.keys import both_of, rest_of
from constrain.schema.needs import NEVER, conjoin_needs
from constrain.schema.objects import MAX_CLASSES, ObjectCase
from constrain.schema.strings import writable

MAX_WAYS: Final = 63
"""Most ways to read one member."""
MAX_TALLIES: Final = 30
"""Most tallies of one array."""

NeedWay = tuple[Need, int]
"""A need and the demands it settles, as bits."""


@dataclass(frozen=True, slots=True)
class MemberWays:
    """How the member of a name, or of a class of keys, can be read.

    Attributes:
        ways: first the need that holds in any case.
        absent: demands that are settled if it does not occur.
    """

    ways: list[NeedWay]
    absent: int = 0


class Obligations:
    """Works out ways, given what is known of needs.

    Args:
        negate: the need that a need is not met.
        cannot_be_met: whether surely no value meets a need.
        followed: what a place stands for through references.
    """

    def __init__(
        self,
        negate: Callable[[Need], Need],
        cannot_be_met: Callable[[Need], bool],
        followed: Callable[[Place], Place],
    ) -> None:
        self._negate = negate
        self._cannot_be_met = cannot_be_met
        self._followed = followed
        self._known: dict[object, tuple[MemberWays, tuple[object, ...]]] = {}

    def excluded(self, case: ObjectCase) -> list[ObjectCase]:
        """The excluded cases that some object of the case may be in."""
        return [
            other
            for other in case.excluded
            if not other.is_empty and all(map(writable, other.required))
        ]

    def demands(self, excluded: Sequence[ObjectCase]) -> tuple[Demand, ...]:
        """What must be settled: that the object is in none of the excluded cases."""
        return tuple(Demand(other.shortest, other.longest) for other in excluded)

    def names(self, case: ObjectCase, excluded: Sequence[ObjectCase]) -> dict[str, Need]:
        """Every name that is spoken of, with its need."""
        needs = dict(case.properties)
        for other in excluded:
            for name in other.properties:
                if name not in needs:
                    needs[name] = case.need_of(name)
        return needs

    def of_name(self, name: str, need: Need, excluded: Sequence[ObjectCase]) -> MemberWays:
        """How the member of a name can be read."""
        key = (keys_of(need), name, tuple(map(id, excluded)))
        known = self._known.get(key)
        if known is None:
            absent = sum(1 << i for i, other in enumerate(excluded) if name in other.required)
            ways = self._ways(need, [other.need_of(name) for other in excluded])
            # What the key stands for is kept, so that nothing else is given its ids.
            known = self._known[key] = (MemberWays(ways, absent), (need, *excluded))
        return known[0]

    def of_classes(
        self, case: ObjectCase, excluded: Sequence[ObjectCase]
    ) -> list[tuple[Node | None, MemberWays]]:
        """Disjoint classes of the other keys (None: every key) and how they can be read."""
        nothing: list[Need] = []
        parts: list[tuple[Node | None, list[Need]]] = [(None, nothing)]
        for each in (case, *excluded):
            classes = [*each.classes, (rest_of(each.classes), each.additional)]
            parts = [
                (both_of(key, other), [*needs, need])
                for key, needs in parts
                for other, need in classes
            ]
            if len(parts) > MAX_CLASSES:
                raise LimitError("search_states", len(parts), MAX_CLASSES)
        return [(key, MemberWays(self._ways(needs[0], needs[1:]))) for key, needs in parts]

    def _ways(self, need: Need, excluded: list[Need]) -> list[NeedWay]:
        """How a value with a need can be read, where others would make it excluded."""
        if need is NEVER:
            return [(NEVER, 0)]
        always = 0
        groups: dict[object, tuple[int, Need]] = {}
        for i, other in enumerate(excluded):
            if self._cannot_be_met(conjoin_needs(need, other)):
                always |= 1 << i  # whatever is read fails there
                continue
            fails = self._negate(other)
            if fails is not NEVER:
                key = self._meaning(other)
                groups[key] = (groups.get(key, (0, ()))[0] | 1 << i, other)
        kinds = list(groups.values())
        ways = [(need, always)]
        for _, _, failed in self._parts(need, [other for _, other in kinds]):
            bits, combined = always, need
            for i, (bit, other) in enumerate(kinds):
                if failed >> i & 1:
                    bits |= bit
                    combined = conjoin_needs(combined, self._negate(other))
            if bits != always and combined is not NEVER:
                ways.append((combined, bits))
        return ways

    def _parts(self, need: Need, others: list[Need]) -> list[tuple[Need, int, int]]:
        """The values that meet `need`, by which of the other needs they meet.

        One need after the other splits them. Of needs that cannot both be met a value fails
        all but one, so these make few parts.

        Returns:
            For each part the need of its values, and the others that they meet and fail, as
            bits.
        """
        apart = [0] * len(others)
        for i, j in combinations(range(len(others)), 2):
            both = conjoin_needs(conjoin_needs(need, others[i]), others[j])
            if self._cannot_be_met(both):
                apart[i] |= 1 << j
                apart[j] |= 1 << i
        parts = [(need, 0, 0)]  # what is known of the value, needs it met, needs it failed
        for i, other in enumerate(others):
            split = []
            for known, met, failed in parts:
                if met & apart[i]:
                    split.append((known, met, failed | 1 << i))
                    continue
                without = conjoin_needs(known, self._negate(other))
                both = conjoin_needs(known, other)
                if not self._cannot_be_met(without):
                    split.append((without, met, failed | 1 << i))
                if not self._cannot_be_met(both):
                    split.append((both, met | 1 << i, failed))
            if len(split) > MAX_WAYS:
                raise LimitError("demands", len(split), MAX_WAYS)
            parts = split
        return parts

    def _meaning(self, need: Need) -> object:
        """What is equal for needs that say the same in the same words."""
        meaning: set[object] = set()
        for place in map(self._followed, need):
            schema, _, scope = place
            if type(schema) is dict:
                meaning.add((json.dumps(schema, sort_keys=True, default=str), scope))
            else:
                meaning.add(key_of(place))
        return frozenset(meaning)

    def tallies(self, case: ArrayCase) -> tuple[Tally, ...]:
        """How many items of each kind there must be."""
        if len(case.tallies) > MAX_TALLIES:
            raise LimitError("demands", len(case.tallies), MAX_TALLIES)
        return tuple(
            Tally(tally.least, tally.most, tally.under, tally.over) for tally in case.tallies
        )

    def of_items(self, case: ArrayCase) -> list[list[tuple[Need, int, bool]]]:
        """How the item at each position, and every later one, can be read.

        Returns:
            Ways with the tallies they count for, and whether it is the way once all are full.
            The other ways have no value in common, or there would be as many threads as
            choices of the items that are counted.
        """
        count = max(len(case.prefix), *(len(tally.prefix) for tally in case.tallies))
        return [self._item_ways(case, i) for i in range(count + 1)]

    def _item_ways(self, case: ArrayCase, index: int) -> list[tuple[Need, int, bool]]:
        need = case.need_of(index)
        if need is NEVER:
            return []
        always = 0
        kinds: list[tuple[int, Need]] = []
        for i, tally in enumerate(case.tallies):
            kind = tally.need_of(index)
            if self._cannot_be_met(conjoin_needs(need, self._negate(kind))):
                always |= 1 << i
            elif not self._cannot_be_met(conjoin_needs(need, kind)):
                kinds.append((1 << i, kind))
        ways: list[tuple[Need, int, bool]] = []
        if kinds and all(tally.most is None for tally in case.tallies):
            ways.append((need, 0, True))
        for combined, met, _ in self._parts(need, [kind for _, kind in kinds]):
            bits = sum(bit for i, (bit, _) in enumerate(kinds) if met >> i & 1)
            ways.append((combined, always | bits, False))
        return ways
