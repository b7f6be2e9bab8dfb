"""What the keywords of a schema, and of those it applies in place, have spoken of.

`unevaluatedProperties` and `unevaluatedItems` bind the rest. In the normal form each case is
one way in which subschemas hold, so what was evaluated is known case by case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from constrain.grammar.ir import Node
from constrain.schema.document import Need, keys_of
from constrain.schema.keys import KeyClass, union_of


@dataclass(frozen=True, slots=True)
class EvaluatedKeys:
    """Keys of an object that were spoken of.

    Attributes:
        names: single keys.
        keys: regular nodes over decoded keys.
        everything: all keys.
    """

    names: frozenset[str] = frozenset()
    keys: tuple[Node, ...] = ()
    everything: bool = False

    def __or__(self, other: EvaluatedKeys) -> EvaluatedKeys:
        """What either spoke of."""
        if self.everything or other in (self, NOTHING_EVALUATED):
            return self
        if other.everything or self == NOTHING_EVALUATED:
            return other
        keys = self.keys + tuple(key for key in other.keys if key not in self.keys)
        return EvaluatedKeys(self.names | other.names, keys)

    def __le__(self, other: EvaluatedKeys) -> bool:
        """Whether the other surely spoke of all this one spoke of."""
        return other.everything or (
            not self.everything
            and self.names <= other.names
            and all(key in other.keys for key in self.keys)
        )

    def as_classes(self) -> tuple[KeyClass, ...]:
        """The keys by pattern, as a class without a need."""
        return ((union_of(list(self.keys)), ()),) if self.keys else ()


NOTHING_EVALUATED: Final = EvaluatedKeys()


@dataclass(frozen=True, slots=True)
class EvaluatedItems:
    """Items of an array that were spoken of.

    Attributes:
        count: how many from the start; None: all.
        matching: items that meet one of these needs, wherever they stand.
    """

    count: int | None = 0
    matching: tuple[Need, ...] = ()

    def __or__(self, other: EvaluatedItems) -> EvaluatedItems:
        """What either spoke of."""
        if self.count is None or other == NO_ITEMS:
            return self
        if other.count is None or self == NO_ITEMS:
            return other
        known = {keys_of(need) for need in self.matching}
        more = tuple(need for need in other.matching if keys_of(need) not in known)
        return EvaluatedItems(max(self.count, other.count), self.matching + more)

    def __le__(self, other: EvaluatedItems) -> bool:
        """Whether the other surely spoke of all this one spoke of."""
        if other.count is None:
            return True
        known = {keys_of(need) for need in other.matching}
        return (
            self.count is not None
            and self.count <= other.count
            and all(keys_of(need) in known for need in self.matching)
        )


NO_ITEMS: Final = EvaluatedItems()
