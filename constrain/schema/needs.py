"""Needs: what a child must satisfy, as the places of all schemas that must hold for it.

Children are never expanded where needs are combined, so the conjunction of recursive schemas
ends.
"""

from __future__ import annotations

from typing import Any, Final

from constrain.schema.document import MADE, Need, Place, key_of, keys_of

NEVER: Final[Need] = ((False, "", MADE),)
"""The need that no value meets; compared by identity."""


class Negation(dict[str, Any]):
    """The schema that a need is not met, made here; both together cannot be met.

    It stands in the scope `MADE`; the places of the need keep their own.

    Attributes:
        of: the need, not `()` and not `NEVER`.
    """

    def __init__(self, of: Need) -> None:
        schemas = [place[0] for place in of]
        super().__init__({"not": schemas[0] if len(schemas) == 1 else {"allOf": schemas}})
        self.of = of


class Either(dict[str, Any]):
    """The schema that at least one of several needs is met, made here, in the scope `MADE`.

    Attributes:
        of: the needs, none of them `()`.
    """

    def __init__(self, of: tuple[Need, ...]) -> None:
        super().__init__({"anyOf": [{"allOf": [place[0] for place in need]} for need in of]})
        self.of = of


def conjoin_needs(a: Need, b: Need) -> Need:
    """The need that both hold; places are compared by schema and scope."""
    if not a or a is b or b is NEVER:
        return b
    if not b or a is NEVER:
        return a
    known = keys_of(a)
    both = a + tuple(place for place in b if key_of(place) not in known)
    for schema, _, _ in both:
        if type(schema) is Negation and keys_of(schema.of) <= keys_of(both):
            return NEVER
    return both


def either(needs: list[Need]) -> Need:
    """The need that at least one of the needs is met."""
    met = [need for need in needs if need is not NEVER]
    if not all(met):
        return ()
    if len(met) < 2:  # noqa: PLR2004  a choice has two
        return met[0] if met else NEVER
    place: Place = (Either(tuple(met)), met[0][0][1], MADE)
    return (place,)
