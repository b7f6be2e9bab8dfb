"""The complement of a normal form, where object and array cases can say it.

Scalars always can. "Some item fails" is a case for each position of a bounded array; "some
undeclared key fails" and "some item of an unbounded array fails" have no case here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from constrain.schema.cases import (
    ANY_ARRAY,
    ANY_OBJECT,
    FALSE,
    NEVER,
    NULL,
    TRUE,
    ArrayCase,
    Cases,
    Need,
    ObjectCase,
    array_case,
    conjoin_arrays,
    conjoin_objects,
)
from constrain.schema.numbers import complement_numbers
from constrain.schema.strings import complement_strings

MAX_POSITIONS = 16
"""Most positions after the prefix at which an item may be said to fail."""
MAX_PRODUCTS = 256
"""Most cases that a complement of several cases may come to."""

NegateNeed = Callable[[Need], Need]
Case = TypeVar("Case", ArrayCase, ObjectCase)


def complement(cases: Cases, negate: NegateNeed) -> Cases | None:
    """The values not in the set, or None where there is no case for them.

    Args:
        cases: the set.
        negate: the need that a need is not met.
    """
    numbers = complement_numbers(cases.numbers)
    arrays = complement_arrays(cases.arrays, negate)
    objects = complement_objects(cases.objects, negate)
    if numbers is None or arrays is None or objects is None:
        return None
    return Cases(
        ~cases.words & (NULL | FALSE | TRUE),
        numbers,
        complement_strings(cases.strings),
        arrays,
        objects,
    )


def complement_arrays(
    cases: tuple[ArrayCase, ...], negate: NegateNeed
) -> tuple[ArrayCase, ...] | None:
    """The arrays in none of the cases."""
    result: tuple[ArrayCase, ...] = (ANY_ARRAY,)
    for case in cases:
        away = _not_array(case, negate)
        if away is None:
            return None
        result = _products(result, away, conjoin_arrays)
        if len(result) > MAX_PRODUCTS:
            return None
    return result


def complement_objects(
    cases: tuple[ObjectCase, ...], negate: NegateNeed
) -> tuple[ObjectCase, ...] | None:
    """The objects in none of the cases."""
    result: tuple[ObjectCase, ...] = (ANY_OBJECT,)
    for case in cases:
        away = _not_object(case, negate)
        if away is None:
            return None
        result = _products(result, away, conjoin_objects)
        if len(result) > MAX_PRODUCTS:
            return None
    return result


def _products(
    some: tuple[Case, ...], others: list[Case], conjoin: Callable[[Case, Case], Case]
) -> tuple[Case, ...]:
    both = (conjoin(a, b) for a in some for b in others)
    return tuple(case for case in both if not case.is_empty)


def _not_array(case: ArrayCase, negate: NegateNeed) -> list[ArrayCase] | None:
    """Arrays that are too short, too long, or have a failing item."""
    result = []
    if case.shortest:
        result.append(ArrayCase(longest=case.shortest - 1))
    if case.longest is not None:
        result.append(ArrayCase(shortest=case.longest + 1))
    needs = list(case.prefix)
    if case.items and case.items is not NEVER:
        if case.longest is None or case.longest - len(needs) > MAX_POSITIONS:
            return None
        needs += [case.items] * (case.longest - len(needs))
    for i, need in enumerate(needs):
        if need:
            prefix: list[Need] = [()] * i
            result.append(array_case([*prefix, negate(need)], (), i + 1, None, case.pointer))
    return [case for case in result if not case.is_empty]


def _not_object(case: ObjectCase, negate: NegateNeed) -> list[ObjectCase] | None:
    """Objects that miss a name, have a failing property, or too few or many members."""
    if case.additional:
        return None
    result = [ObjectCase({name: NEVER}) for name in case.properties if name in case.required]
    for name, need in case.properties.items():
        if need:
            result.append(
                ObjectCase({name: negate(need)}, frozenset((name,)), pointer=case.pointer)
            )
    if case.shortest:
        result.append(ObjectCase(longest=case.shortest - 1))
    if case.longest is not None:
        result.append(ObjectCase(shortest=case.longest + 1))
    return result
