"""`oneOf`: the values in exactly one of several normal forms.

A branch keeps what it does not share with the others. Where two branches are seen to be
disjoint (by value or range; by item count or one position's items; by one property's values,
or a name required here and forbidden there) nothing is cut; else the other branch's
complement is taken, where there is one (`negation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from constrain.errors import LimitError
from constrain.schema.arrays import ArrayCase, conjoin_arrays
from constrain.schema.cases import Cases, conjoin
from constrain.schema.decimals import Number
from constrain.schema.document import Need
from constrain.schema.needs import NEVER
from constrain.schema.negation import (
    MAX_PRODUCTS,
    NegateNeed,
    complement_arrays,
    complement_objects,
    numbers_without,
)
from constrain.schema.numbers import NumberCase, conjoin_numbers
from constrain.schema.objects import ObjectCase, conjoin_objects
from constrain.schema.strings import StringCase, complement_strings, conjoin_strings

MAX_LOOKS = 2_000
"""How many children one pair of branches may have looked into."""
MAX_LOOK_DEPTH = 4

CasesOf = Callable[[Need], Cases | None]
Case = TypeVar("Case", NumberCase, StringCase, ArrayCase, ObjectCase)


def exactly_one(
    base: Cases, branches: list[Cases], cases_of: CasesOf, negate: NegateNeed
) -> Cases:
    """The values of `base` in exactly one branch.

    Raises:
        UnsupportedSchemaError: a complement has no regular text.
        LimitError: more than `MAX_PRODUCTS` cases.

    Args:
        base: what holds beside `oneOf`.
        branches: the normal form of each branch.
        cases_of: normal form of a need; None where it is not known yet.
        negate: the need that a need is not met.
    """
    words = repeated = 0
    for cases in branches:
        repeated |= words & cases.words
        words |= cases.words
    looks = Looks(cases_of)
    groups = [conjoin(base, cases) for cases in branches]
    numbers = _once(
        [cases.numbers for cases in groups],
        [cases.numbers for cases in branches],
        lambda a, b: conjoin_numbers(a, b).is_empty,
        lambda cases, _: numbers_without(cases),
        conjoin_numbers,
    )
    strings = _once(
        [cases.strings for cases in groups],
        [cases.strings for cases in branches],
        lambda a, b: conjoin_strings(a, b).is_empty,
        lambda cases, _: complement_strings(cases),
        conjoin_strings,
    )
    arrays = _once(
        [cases.arrays for cases in groups],
        [cases.arrays for cases in branches],
        looks.disjoint_arrays,
        lambda cases, within: complement_arrays(cases, within, negate),
        conjoin_arrays,
    )
    of_objects = [cases.objects for cases in groups]
    if looks.told_apart(of_objects):
        objects = tuple(case for cases in of_objects for case in cases)
    else:
        objects = _once(
            of_objects,
            [cases.objects for cases in branches],
            looks.disjoint_objects,
            lambda cases, within: complement_objects(cases, within, negate),
            conjoin_objects,
        )
    return Cases(words & ~repeated & base.words, numbers, strings, arrays, objects)


def _once(
    groups: Sequence[tuple[Case, ...]],
    branches: Sequence[tuple[Case, ...]],
    disjoint: Callable[[Case, Case], bool],
    complement: Callable[[tuple[Case, ...], list[Case]], tuple[Case, ...]],
    conjoin: Callable[[Case, Case], Case],
) -> tuple[Case, ...]:
    """The cases of each group without what other branches hold.

    Args:
        groups: for each branch, what it allows of the base.
        branches: what each branch allows by itself.
        disjoint: whether two cases have surely no value in common.
        complement: the values not in some cases; right only within others.
        conjoin: the values in both of two cases.
    """
    result: list[Case] = []
    for i, group in enumerate(groups):
        kept = list(group)
        for j, others in enumerate(branches):
            if i == j or not kept:
                continue
            shared = tuple(b for b in others if not all(disjoint(a, b) for a in kept))
            if not shared:
                continue
            away = complement(shared, kept)
            both = (conjoin(a, b) for a in kept for b in away)
            kept = [case for case in both if not case.is_empty]
            if len(kept) > MAX_PRODUCTS:
                raise LimitError("search_states", len(kept), MAX_PRODUCTS)
        result += kept
    return tuple(result)


class Looks:
    """Looks into children for a difference between two cases, a bounded number of times."""

    def __init__(self, cases_of: CasesOf) -> None:
        self._cases_of = cases_of
        self._left = MAX_LOOKS

    def disjoint_arrays(self, a: ArrayCase, b: ArrayCase) -> bool:
        """Whether no array is surely in both."""
        self._left = MAX_LOOKS
        return self._is_empty_array(conjoin_arrays(a, b), 0)

    def disjoint_objects(self, a: ObjectCase, b: ObjectCase) -> bool:
        """Whether no object is surely in both."""
        self._left = MAX_LOOKS
        return self._is_empty_object(conjoin_objects(a, b), 0)

    def told_apart(self, groups: Sequence[tuple[ObjectCase, ...]]) -> bool:
        """Whether one property, required everywhere, has other values in every group."""
        filled = [group for group in groups if group]
        if len(filled) < 2:  # noqa: PLR2004  a pair is what can overlap
            return True
        names = frozenset.intersection(*(case.required for group in filled for case in group))
        return any(self._has_own_texts(name, filled) for name in names)

    def _has_own_texts(self, name: str, groups: Sequence[tuple[ObjectCase, ...]]) -> bool:
        known: set[str | Number] = set()
        for group in groups:
            texts: set[str | Number] = set()
            for case in group:
                need = case.properties[name]
                if need is NEVER:
                    continue
                cases = self._cases_of(need)
                if cases is None or cases.words or cases.arrays or cases.objects:
                    return False
                values = [string.texts for string in cases.strings]
                listed = [*values, *(number.values for number in cases.numbers)]
                if None in listed:
                    return False
                texts.update(value for of_case in listed if of_case for value in of_case)
            if not known.isdisjoint(texts):
                return False
            known |= texts
        return True

    def _is_empty_array(self, case: ArrayCase, depth: int) -> bool:
        if case.is_empty:
            return True
        needs = [*case.prefix[: case.shortest]]
        if case.shortest > len(case.prefix):
            needs.append(case.items)
        return any(self.cannot_be_met(need, depth) for need in needs)

    def _is_empty_object(self, case: ObjectCase, depth: int) -> bool:
        if case.is_empty:
            return True
        return any(self.cannot_be_met(case.properties[n], depth) for n in case.required)

    def cannot_be_met(self, need: Need, depth: int = 0) -> bool:
        """Whether surely no value meets a need."""
        if need is NEVER:
            return True
        self._left -= 1
        if not need or depth >= MAX_LOOK_DEPTH or self._left < 0:
            return False
        cases = self._cases_of(need)
        if cases is None or cases.words or cases.numbers or cases.strings:
            return False
        return all(self._is_empty_array(case, depth + 1) for case in cases.arrays) and all(
            self._is_empty_object(case, depth + 1) for case in cases.objects
        )
