"""The complement of a normal form.

The complement of an object case is "a key is missing, or a property fails, or there are too
few members, …". Where that is one or two cases, it is written out as those; else as one case
that excludes the other (`ObjectCase.excluded`), so that complements do not multiply, and
properties that no name is known of may fail as well. Arrays alike, where a tally says that
some item fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from constrain.errors import LimitError, UnsupportedSchemaError
from constrain.schema.arrays import ANY_ARRAY, ArrayCase, ItemTally, conjoin_arrays
from constrain.schema.cases import FALSE, NULL, TRUE, Cases
from constrain.schema.document import Need
from constrain.schema.needs import NEVER
from constrain.schema.numbers import NumberCase, complement_numbers
from constrain.schema.objects import ANY_OBJECT, ObjectCase, conjoin_objects
from constrain.schema.strings import complement_strings

MAX_WRITTEN_OUT = 2
"""Most cases as which the complement of one case is written out."""
MAX_UNDECIDED = 4
"""Most cases of the complement of a union that is left undecided."""
MAX_PRODUCTS = 256
"""Most cases that a complement of several cases may come to."""

NegateNeed = Callable[[Need], Need]
Case = TypeVar("Case", ArrayCase, ObjectCase)


def complement(cases: Cases, within: Cases, negate: NegateNeed) -> Cases:
    """The values not in the set.

    Args:
        cases: the set.
        within: where the result will be met with these; it may be wrong elsewhere.
        negate: the need that a need is not met.

    Raises:
        UnsupportedSchemaError: a divisor with too many digits.
        LimitError: more than `MAX_PRODUCTS` cases.
    """
    numbers = numbers_without(cases.numbers) if within.numbers else ()
    arrays = complement_arrays(cases.arrays, within.arrays, negate)
    objects = complement_objects(cases.objects, within.objects, negate)
    return Cases(
        ~cases.words & (NULL | FALSE | TRUE),
        numbers,
        complement_strings(cases.strings),
        arrays,
        objects,
    )


def numbers_without(cases: tuple[NumberCase, ...]) -> tuple[NumberCase, ...]:
    """The numbers in none of the cases.

    Raises:
        UnsupportedSchemaError: a divisor with too many digits.
    """
    numbers = complement_numbers(cases)
    if numbers is None:
        value = next(case.multiple for case in cases if case.multiple is not None)
        reason = "what is no multiple of a divisor with that many digits is not supported"
        raise UnsupportedSchemaError(reason, keyword="multipleOf", value=value)
    return numbers


def complement_arrays(
    cases: Sequence[ArrayCase], within: Sequence[ArrayCase], negate: NegateNeed
) -> tuple[ArrayCase, ...]:
    """The arrays in none of the cases; it need be right only for arrays in `within`.

    Raises:
        LimitError: more than `MAX_PRODUCTS` cases.
    """
    result: tuple[ArrayCase, ...] = (ANY_ARRAY,)
    for case in cases if within else ():
        result = _products(result, _not_array(case, negate), conjoin_arrays)
    return result


def complement_objects(
    cases: Sequence[ObjectCase], within: Sequence[ObjectCase], negate: NegateNeed
) -> tuple[ObjectCase, ...]:
    """The objects in none of the cases; it need be right only for objects in `within`.

    Raises:
        LimitError: more than `MAX_PRODUCTS` cases.
    """
    result: tuple[ObjectCase, ...] = (ANY_OBJECT,)
    names = None
    if all(map(_is_closed, within)):
        names = dict.fromkeys(name for outer in within for name in outer.properties)
    for case in cases if within else ():
        away = _written_out(case, names, negate)
        if away is None or len(away) > MAX_WRITTEN_OUT:
            away = [ObjectCase(excluded=(replace(case, excluded=()),), pointer=case.pointer)]
        result = _products(result, [*away, *case.excluded], conjoin_objects)
    return result


def _is_closed(case: ObjectCase) -> bool:
    """Whether no undeclared key can occur."""
    return case.additional is NEVER and all(need is NEVER for _, need in case.classes)


def _products(
    some: tuple[Case, ...], others: list[Case], conjoin: Callable[[Case, Case], Case]
) -> tuple[Case, ...]:
    both = (conjoin(a, b) for a in some for b in others)
    result = tuple(case for case in both if not case.is_empty)
    if len(result) > MAX_PRODUCTS:
        raise LimitError("search_states", len(result), MAX_PRODUCTS)
    return result


def _not_array(case: ArrayCase, negate: NegateNeed) -> list[ArrayCase]:
    """Arrays that are too short, too long, have a failing item, or miss a tally."""
    if case.unique:
        reason = "'two items are equal', the complement, is not supported"
        raise UnsupportedSchemaError(
            reason, pointer=case.pointer, keyword="uniqueItems", value=True
        )
    result = []
    failing = ItemTally(
        tuple(negate(need) for need in case.prefix),
        negate(case.items),
        under=case.shortest,
        over=case.longest,
        of=replace(case, tallies=()),
    )
    if any(need is not NEVER for need in (*failing.prefix, failing.items)):
        result.append(ArrayCase(tallies=(failing,), pointer=case.pointer))
    else:  # it is about the number of items alone
        if case.shortest:
            result.append(ArrayCase(longest=case.shortest - 1))
        if case.longest is not None:
            result.append(ArrayCase(shortest=case.longest + 1))
    for tally in case.tallies:
        if tally.of is not None:
            result.append(tally.of)
            continue
        if tally.least:
            fewer = replace(tally, least=0, most=tally.least - 1)
            result.append(ArrayCase(tallies=(fewer,), pointer=case.pointer))
        if tally.most is not None:
            more = replace(tally, least=tally.most + 1, most=None)
            result.append(ArrayCase(tallies=(more,), pointer=case.pointer))
    return result


def _written_out(
    case: ObjectCase, names: Iterable[str] | None, negate: NegateNeed
) -> list[ObjectCase] | None:
    """Objects that miss a name, have a failing property, or too few or many members.

    What the case excludes is not looked at.

    Args:
        case: what is negated.
        names: all keys that can occur, or None if any can.
        negate: the need that a need is not met.

    Returns:
        Cases, or None where only some key without a name could fail.
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


def undecided(cases: Cases, negate: NegateNeed) -> Cases:
    """The same values, with a union of several object cases left to be decided by the text.

    The union of cases is what is not in their complement; where that has few cases, one case
    that excludes them says it all, and conjunctions of many unions are not multiplied out.
    """
    if len(cases.objects) <= 1 or any(case.excluded for case in cases.objects):
        return cases
    outside: tuple[ObjectCase, ...] = (ANY_OBJECT,)
    for case in cases.objects:
        away = _written_out(case, None, negate)
        if away is None or len(outside) * len(away) > MAX_UNDECIDED:
            return cases
        outside = _products(outside, away, conjoin_objects)
    pointer = cases.objects[0].pointer
    return replace(cases, objects=(ObjectCase(excluded=outside, pointer=pointer),))
