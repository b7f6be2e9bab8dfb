"""Object cases: one conjunction of demands on an object, and the conjunction of two."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from constrain.errors import LimitError
from constrain.schema.bounds import least
from constrain.schema.document import Need
from constrain.schema.evaluation import NOTHING_EVALUATED, EvaluatedKeys
from constrain.schema.keys import KeyClass, both_of, matches, rest_of
from constrain.schema.needs import NEVER, conjoin_needs

MAX_CLASSES: Final = 256


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
        excluded: the object is in none of these cases, which themselves exclude nothing.
        evaluated: the keys that were spoken of, for `unevaluatedProperties`.
    """

    properties: dict[str, Need] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    additional: Need = ()
    shortest: int = 0
    longest: int | None = None
    pointer: str = ""
    classes: tuple[KeyClass, ...] = ()
    excluded: tuple[ObjectCase, ...] = ()
    evaluated: EvaluatedKeys = NOTHING_EVALUATED

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


ANY_OBJECT: Final = ObjectCase()


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
        a.excluded + tuple(case for case in b.excluded if case not in a.excluded),
        a.evaluated | b.evaluated,
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


def without_unevaluated(case: ObjectCase, rest: Need) -> ObjectCase:
    """The objects of a case whose keys that were not spoken of meet `rest`."""
    evaluated = case.evaluated
    if evaluated.everything:
        return case
    closed = ObjectCase(
        dict.fromkeys(sorted(evaluated.names), ()),
        additional=rest,
        pointer=case.pointer,
        classes=evaluated.as_classes(),
    )
    return replace(conjoin_objects(case, closed), evaluated=EvaluatedKeys(everything=True))
