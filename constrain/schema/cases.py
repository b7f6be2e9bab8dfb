"""The normal form: a schema as a union of typed cases, with conjunction and disjunction.

A *case* is a set of values of one type, given by demands that must all hold: `objects`,
`arrays`, `strings` and `numbers` have those of their type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from constrain.errors import LimitError
from constrain.grammar.ir import Complement
from constrain.schema.arrays import ANY_ARRAY, ArrayCase, conjoin_arrays
from constrain.schema.needs import NEVER
from constrain.schema.numbers import ANY_NUMBER, NumberCase, conjoin_numbers
from constrain.schema.objects import ANY_OBJECT, ObjectCase, conjoin_objects
from constrain.schema.strings import (
    ANY_STRING,
    StringCase,
    conjoin_strings,
    content,
    merged,
    union,
)

Case = TypeVar("Case", ArrayCase, ObjectCase)

NULL, FALSE, TRUE = 1, 2, 4
MAX_CASES = 4_096


@dataclass(slots=True, eq=False)
class Cases:
    """A set of JSON values as a union of typed cases.

    Attributes:
        words: `NULL | FALSE | TRUE`, those that are in the set.
        numbers, strings, arrays, objects: cases; they may overlap.
    """

    words: int = 0
    numbers: tuple[NumberCase, ...] = ()
    strings: tuple[StringCase, ...] = ()
    arrays: tuple[ArrayCase, ...] = ()
    objects: tuple[ObjectCase, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is no case left (children are not looked into)."""
        return not (self.words or self.numbers or self.strings or self.arrays or self.objects)


ANYTHING = Cases(NULL | FALSE | TRUE, (ANY_NUMBER,), (ANY_STRING,), (ANY_ARRAY,), (ANY_OBJECT,))
NOTHING = Cases()


def objects_named(names: tuple[StringCase, ...], pointer: str) -> Cases:
    """Anything, but objects have only keys of the given strings."""
    if not names:
        objects = ObjectCase(additional=NEVER, pointer=pointer)
    elif ANY_STRING in names:
        return ANYTHING
    else:
        others = (Complement(content(union(names))), NEVER)
        objects = ObjectCase(pointer=pointer, classes=(others,))
    return replace(ANYTHING, objects=(objects,))


def conjoin(a: Cases, b: Cases) -> Cases:
    """The values in both sets.

    Raises:
        LimitError: the product of cases is beyond `MAX_CASES`.
    """
    if a is b or b is ANYTHING:
        return a
    if a is ANYTHING:
        return b
    for first, second in ((a.objects, b.objects), (a.arrays, b.arrays)):
        if len(first) > 1 and len(second) > 1 and len(first) * len(second) > MAX_CASES:
            raise LimitError("search_states", len(first) * len(second), MAX_CASES)
    return Cases(
        a.words & b.words,
        tuple(n for x in a.numbers for y in b.numbers
              if not (n := conjoin_numbers(x, y)).is_empty),
        tuple(s for x in a.strings for y in b.strings
              if not (s := conjoin_strings(x, y)).is_empty),
        tuple(r for x in a.arrays for y in b.arrays
              if not (r := conjoin_arrays(x, y)).is_empty),
        tuple(o for x in a.objects for y in b.objects
              if not (o := conjoin_objects(x, y)).is_empty),
    )  # fmt: skip


def unite(branches: list[Cases]) -> Cases:
    """The values in any of the sets. Equal scalar cases are kept once."""
    if len(branches) == 1:
        return branches[0]
    words = 0
    for cases in branches:
        if cases is ANYTHING:
            return ANYTHING
        words |= cases.words
    numbers = dict.fromkeys(case for cases in branches for case in cases.numbers)
    strings = dict.fromkeys(case for cases in branches for case in cases.strings)
    arrays = dict.fromkeys(case for cases in branches for case in cases.arrays)
    objects = dict.fromkeys(case for cases in branches for case in cases.objects)
    return Cases(
        words,
        (ANY_NUMBER,) if ANY_NUMBER in numbers else tuple(numbers),
        (ANY_STRING,) if ANY_STRING in strings else merged(strings),
        (ANY_ARRAY,) if ANY_ARRAY in arrays else tuple(arrays),
        (ANY_OBJECT,) if ANY_OBJECT in objects else tuple(objects),
    )


def unite_exclusive(branches: list[Cases]) -> Cases:
    """The values in any of several disjoint sets, whose cases keep what they evaluated."""
    words = 0
    for cases in branches:
        words |= cases.words
    return Cases(
        words,
        tuple(case for cases in branches for case in cases.numbers),
        tuple(case for cases in branches for case in cases.strings),
        tuple(case for cases in branches for case in cases.arrays),
        tuple(case for cases in branches for case in cases.objects),
    )


def unite_evaluated(branches: list[Cases]) -> Cases:
    """The values in any of the sets; a value in several has a case that evaluated for all.

    Raises:
        LimitError: more than `MAX_CASES` ways in which branches hold together.
    """
    union = unite(branches)
    return Cases(
        union.words,
        union.numbers,
        union.strings,
        _together([cases.arrays for cases in branches], conjoin_arrays),
        _together([cases.objects for cases in branches], conjoin_objects),
    )


def _together(
    groups: list[tuple[Case, ...]], conjoin: Callable[[Case, Case], Case]
) -> tuple[Case, ...]:
    """The cases of each group, and of groups together where that evaluates more."""
    result: list[Case] = []
    for group in groups:
        both: list[Case] = [
            conjoin(a, b)
            for a in result
            for b in group
            if not (a.evaluated <= b.evaluated or b.evaluated <= a.evaluated)
        ]
        result.extend(group)
        result.extend(case for case in both if not case.is_empty)
        if len(result) > MAX_CASES:
            raise LimitError("search_states", len(result), MAX_CASES)
    return tuple(result)
