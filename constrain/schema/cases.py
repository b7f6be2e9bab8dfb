"""The normal form: a schema as a union of typed cases, with conjunction and disjunction.

A *case* is a set of values of one type, given by demands that must all hold. Children are
never expanded here: what a property or an item must satisfy is a *need*, the places of all
schemas that must hold for it, so conjunction of recursive schemas ends. Complement and
undecided disjunctions (obligations) would be further fields of the object and array cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from constrain.errors import LimitError
from constrain.grammar.ir import Complement
from constrain.schema.document import Draft, Need, Scope
from constrain.schema.keys import KeyClass, both_of, matches, rest_of
from constrain.schema.numbers import ANY_NUMBER, NumberCase, conjoin_numbers
from constrain.schema.strings import ANY_STRING, StringCase, conjoin_strings, content, union

NEVER: Final[Need] = ((False, "", Scope(Draft("", frozenset(), frozenset()))),)


class Negation(dict[str, Any]):
    """The schema `{"not": of}`, made here; a need of both it and `of` cannot be met."""

    def __init__(self, of: object) -> None:
        super().__init__({"not": of})
        self.of = of


NULL, FALSE, TRUE = 1, 2, 4
MAX_CASES = 4_096
MAX_CLASSES = 256


@dataclass(slots=True, eq=False)
class ObjectCase:
    """Objects with declared properties; other keys have needs by class, or `additional`.

    Attributes:
        properties: needs of the declared names, in order. A name that must not occur has the
            need `NEVER`.
        required: names that must occur; each is declared.
        additional: need of the keys neither declared nor in a class.
        shortest, longest: number of members.
        pointer: where it came from.
        classes: disjoint classes of undeclared keys.
    """

    properties: dict[str, Need] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    additional: Need = ()
    shortest: int = 0
    longest: int | None = None
    pointer: str = ""
    classes: tuple[KeyClass, ...] = ()

    def need_of(self, name: str) -> Need:
        """The need of a key."""
        need = self.properties.get(name)
        if need is None:
            for key, of_class in self.classes:
                if matches(key, name):
                    return of_class
            need = self.additional
        return need

    @property
    def is_empty(self) -> bool:
        """Whether no object is in the case, as far as its own numbers and names tell."""
        longest = self.longest
        if longest is not None and max(self.shortest, len(self.required)) > longest:
            return True
        needs = self.properties
        if any(needs[name] is NEVER for name in self.required):
            return True
        if self.shortest == 0 or self.additional is not NEVER or self.classes:
            return False
        return self.shortest > sum(need is not NEVER for need in needs.values())


@dataclass(slots=True, eq=False)
class ArrayCase:
    """Arrays whose items have needs by position; items after the prefix have the need `items`.

    Attributes:
        prefix: needs of the first items, none of them `NEVER`.
        items: need of every later item.
        shortest, longest: number of items.
        pointer: where it came from.
        unique: no two items are equal.
    """

    prefix: tuple[Need, ...] = ()
    items: Need = ()
    shortest: int = 0
    longest: int | None = None
    pointer: str = ""
    unique: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no array is in the case, as far as its own numbers tell."""
        return self.longest is not None and self.shortest > self.longest


ANY_OBJECT = ObjectCase()
ANY_ARRAY = ArrayCase()


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


def conjoin_needs(a: Need, b: Need) -> Need:
    """The need that both hold; places are compared by the identity of their schemas."""
    if not a or a is b or b is NEVER:
        return b
    if not b or a is NEVER:
        return a
    known = {id(place[0]) for place in a}
    both = a + tuple(place for place in b if id(place[0]) not in known)
    for schema, _, _ in both:
        if type(schema) is Negation and any(schema.of is place[0] for place in both):
            return NEVER
    return both


def conjoin_objects(a: ObjectCase, b: ObjectCase) -> ObjectCase:
    """The objects in both cases: names of either side meet the other's `additional`."""
    if a is b or b is ANY_OBJECT:
        return a
    if a is ANY_OBJECT:
        return b
    properties = {
        name: conjoin_needs(need, b.need_of(name)) for name, need in a.properties.items()
    }
    for name, need in b.properties.items():
        if name not in properties:
            properties[name] = conjoin_needs(a.need_of(name), need)
    return ObjectCase(
        properties,
        a.required | b.required,
        conjoin_needs(a.additional, b.additional),
        max(a.shortest, b.shortest),
        least(a.longest, b.longest),
        a.pointer or b.pointer,
        _conjoin_classes(a, b) if a.classes or b.classes else (),
    )


def _conjoin_classes(a: ObjectCase, b: ObjectCase) -> tuple[KeyClass, ...]:
    """Every class of one side met with every class, and the rest, of the other."""
    if (len(a.classes) + 1) * (len(b.classes) + 1) > MAX_CLASSES:
        given = (len(a.classes) + 1) * (len(b.classes) + 1)
        raise LimitError("search_states", given, MAX_CLASSES)
    rest_a, rest_b = (rest_of(a.classes), a.additional), (rest_of(b.classes), b.additional)
    result = []
    for key_a, need_a in (*a.classes, rest_a):
        for key_b, need_b in (*b.classes, rest_b):
            key = both_of(key_a, key_b)
            if key is not None and not (key_a is rest_a[0] and key_b is rest_b[0]):
                result.append((key, conjoin_needs(need_a, need_b)))
    return tuple(result)


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


def conjoin_arrays(a: ArrayCase, b: ArrayCase) -> ArrayCase:
    """The arrays in both cases, item by item."""
    if a is b or b is ANY_ARRAY:
        return a
    if a is ANY_ARRAY:
        return b
    count = max(len(a.prefix), len(b.prefix))
    prefix = [
        conjoin_needs(
            a.prefix[i] if i < len(a.prefix) else a.items,
            b.prefix[i] if i < len(b.prefix) else b.items,
        )
        for i in range(count)
    ]
    return array_case(
        prefix,
        conjoin_needs(a.items, b.items),
        max(a.shortest, b.shortest),
        least(a.longest, b.longest),
        a.pointer or b.pointer,
        unique=a.unique or b.unique,
    )


def array_case(
    prefix: list[Need],
    items: Need,
    shortest: int,
    longest: int | None,
    pointer: str,
    *,
    unique: bool = False,
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
    unique = unique and (longest is None or longest > 1)
    return ArrayCase(tuple(prefix), items, shortest, longest, pointer, unique)


def least(a: int | None, b: int | None) -> int | None:
    """The smaller of two upper bounds; None is no bound."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


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
        (ANY_STRING,) if ANY_STRING in strings else tuple(strings),
        (ANY_ARRAY,) if ANY_ARRAY in arrays else tuple(arrays),
        (ANY_OBJECT,) if ANY_OBJECT in objects else tuple(objects),
    )
