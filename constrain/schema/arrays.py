"""Array cases: one conjunction of demands on an array, and the conjunction of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from constrain.schema.bounds import least
from constrain.schema.document import Need
from constrain.schema.evaluation import NO_ITEMS, EvaluatedItems
from constrain.schema.needs import NEVER, conjoin_needs, either


@dataclass(frozen=True, slots=True, eq=False)
class ItemTally:
    """How many items meet a need, which may depend on the position: `least` to `most`.

    Arrays with fewer than `under` or more than `over` items are let off (`most` is None then).

    Attributes:
        prefix: needs of the first items.
        items: need of every later item.
        of: the case that this tally excludes, if it says that an array is not in one.
    """

    prefix: tuple[Need, ...] = ()
    items: Need = ()
    least: int = 1
    most: int | None = None
    under: int = 0
    over: int | None = None
    of: ArrayCase | None = None

    def need_of(self, index: int) -> Need:
        """What an item must meet to be counted."""
        return self.prefix[index] if index < len(self.prefix) else self.items


@dataclass(slots=True, eq=False)
class ArrayCase:
    """Arrays whose items have needs by position; items after the prefix have the need `items`.

    Attributes:
        prefix: needs of the first items, none of them `NEVER`.
        items: need of every later item.
        shortest, longest: number of items.
        pointer: where it came from.
        tallies: how many items must be of a kind.
        evaluated: the items that were spoken of, for `unevaluatedItems`.
        unique: no two items are equal.
    """

    prefix: tuple[Need, ...] = ()
    items: Need = ()
    shortest: int = 0
    longest: int | None = None
    pointer: str = ""
    tallies: tuple[ItemTally, ...] = ()
    evaluated: EvaluatedItems = NO_ITEMS
    unique: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no array is in the case, as far as its own numbers tell."""
        if self.longest is None:
            return False
        return self.shortest > self.longest or any(
            tally.of is None and tally.least > self.longest for tally in self.tallies
        )

    def need_of(self, index: int) -> Need:
        """What the item at a position must meet."""
        return self.prefix[index] if index < len(self.prefix) else self.items


ANY_ARRAY: Final = ArrayCase()


def conjoin_arrays(a: ArrayCase, b: ArrayCase) -> ArrayCase:
    """The arrays in both cases, item by item."""
    if a is b or b is ANY_ARRAY:
        return a
    if a is ANY_ARRAY:
        return b
    count = max(len(a.prefix), len(b.prefix))
    case = array_case(
        [conjoin_needs(a.need_of(i), b.need_of(i)) for i in range(count)],
        conjoin_needs(a.items, b.items),
        max(a.shortest, b.shortest),
        least(a.longest, b.longest),
        a.pointer or b.pointer,
    )
    case.tallies = a.tallies + tuple(tally for tally in b.tallies if tally not in a.tallies)
    case.evaluated = a.evaluated | b.evaluated
    case.unique = (a.unique or b.unique) and (case.longest is None or case.longest > 1)
    return case


def array_case(
    prefix: list[Need], items: Need, shortest: int, longest: int | None, pointer: str
) -> ArrayCase:
    """An array case whose unreachable positions are cut off."""
    for i, need in enumerate(prefix):
        if need is NEVER:
            longest = least(longest, i)
            break
    else:
        if items is NEVER:
            longest = least(longest, len(prefix))
    if longest is not None and longest <= len(prefix):
        del prefix[longest:]
        items = NEVER
    return ArrayCase(tuple(prefix), items, shortest, longest, pointer)


def without_unevaluated_items(case: ArrayCase, rest: Need) -> ArrayCase:
    """The arrays of a case whose items that were not spoken of meet `rest`."""
    evaluated = case.evaluated
    if evaluated.count is None:
        return case
    unspoken = either([rest, *evaluated.matching])
    nothing: Need = ()
    closed = array_case([nothing] * evaluated.count, unspoken, 0, None, case.pointer)
    return replace(conjoin_arrays(case, closed), evaluated=EvaluatedItems(None))
