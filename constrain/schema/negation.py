"""The complement of a normal form, where object and array cases can say it.

Scalars always can. "Some item fails" is a case for each position of a bounded array, "some
undeclared key fails" a case for each key, so they have cases only where the values of which
some are taken away (*within*) have bounded arrays and closed objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    ObjectCase,
    array_case,
    conjoin_arrays,
    conjoin_objects,
    least,
)
from constrain.schema.document import Need
from constrain.schema.numbers import complement_numbers
from constrain.schema.strings import complement_strings

MAX_POSITIONS = 16
"""Most positions after the prefix at which an item may be said to fail."""
MAX_PRODUCTS = 256
"""Most cases that a complement of several cases may come to."""

NegateNeed = Callable[[Need], Need]
Case = TypeVar("Case", ArrayCase, ObjectCase)


def complement(cases: Cases, within: Cases, negate: NegateNeed) -> Cases | None:
    """The values not in the set, or None where there is no case for them.

    Args:
        cases: the set.
        within: where the result will be met with these; it may be wrong elsewhere.
        negate: the need that a need is not met.
    """
    numbers = complement_numbers(cases.numbers) if within.numbers else ()
    arrays = complement_arrays(cases.arrays, within.arrays, negate)
    objects = complement_objects(cases.objects, within.objects, negate)
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
    cases: Sequence[ArrayCase], within: Sequence[ArrayCase], negate: NegateNeed
) -> tuple[ArrayCase, ...] | None:
    """The arrays in none of the cases; it need be right only for arrays in `within`."""
    result: tuple[ArrayCase, ...] = (ANY_ARRAY,)
    longest: int | None = max((case.longest or 0 for case in within), default=0)
    if any(case.longest is None for case in within):
        longest = None
    for case in cases if within else ():
        away = _not_array(case, longest, negate)
        if away is None:
            return None
        result = _products(result, away, conjoin_arrays)
        if len(result) > MAX_PRODUCTS:
            return None
    return result


def complement_objects(
    cases: Sequence[ObjectCase], within: Sequence[ObjectCase], negate: NegateNeed
) -> tuple[ObjectCase, ...] | None:
    """The objects in none of the cases; it need be right only for objects in `within`."""
    result: tuple[ObjectCase, ...] = (ANY_OBJECT,)
    names = None
    if all(map(_is_closed, within)):
        names = dict.fromkeys(name for outer in within for name in outer.properties)
    for case in cases if within else ():
        away = _not_object(case, names, negate)
        if away is None:
            return None
        result = _products(result, away, conjoin_objects)
        if len(result) > MAX_PRODUCTS:
            return None
    return result


def _is_closed(case: ObjectCase) -> bool:
    """Whether no undeclared key can occur."""
    return case.additional is NEVER and all(need is NEVER for _, need in case.classes)


def _products(
    some: tuple[Case, ...], others: list[Case], conjoin: Callable[[Case, Case], Case]
) -> tuple[Case, ...]:
    both = (conjoin(a, b) for a in some for b in others)
    return tuple(case for case in both if not case.is_empty)


def _not_array(
    case: ArrayCase, longest: int | None, negate: NegateNeed
) -> list[ArrayCase] | None:
    """Arrays that are too short, too long, or have a failing item before `longest`."""
    if case.unique and (longest is None or longest > 1):
        return None  # that two items are equal is no case
    result = []
    if case.shortest:
        result.append(ArrayCase(longest=case.shortest - 1))
    if case.longest is not None:
        result.append(ArrayCase(shortest=case.longest + 1))
    needs = list(case.prefix)
    if case.items and case.items is not NEVER:
        last = least(case.longest, longest)
        if last is None or last - len(needs) > MAX_POSITIONS:
            return None
        needs += [case.items] * (last - len(needs))
    for i, need in enumerate(needs):
        if need:
            prefix: list[Need] = [()] * i
            result.append(array_case([*prefix, negate(need)], (), i + 1, None, case.pointer))
    return [case for case in result if not case.is_empty]


def _not_object(
    case: ObjectCase, names: Iterable[str] | None, negate: NegateNeed
) -> list[ObjectCase] | None:
    """Objects that miss a name, have a failing property, or too few or many members.

    Args:
        case: what is negated.
        names: all keys that can occur, or None if any can.
        negate: the need that a need is not met.
    """
    needs = dict(case.properties)
    if case.additional or case.classes:
        if names is None:
            return None
        needs.update((name, case.need_of(name)) for name in names)
    result = [ObjectCase({name: NEVER}) for name in case.properties if name in case.required]
    for name, need in needs.items():
        if need:
            result.append(
                ObjectCase({name: negate(need)}, frozenset((name,)), pointer=case.pointer)
            )
    if case.shortest:
        result.append(ObjectCase(longest=case.shortest - 1))
    if case.longest is not None:
        result.append(ObjectCase(shortest=case.longest + 1))
    return result
