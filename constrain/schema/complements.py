"""`not`: the complement of a schema, by its keywords (De Morgan).

A schema is a conjunction of its keywords, so its complement is the union of theirs. Only own
keywords have their cases complemented one by one (`negation`); nothing is multiplied out that
`anyOf` and `oneOf` do not ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Final

from constrain.errors import LimitError
from constrain.schema.cases import ANYTHING, NOTHING, Cases, conjoin, unite
from constrain.schema.document import REFERENCES, Need, Place
from constrain.schema.implications import implications
from constrain.schema.keywords import own_cases
from constrain.schema.needs import Either, Negation
from constrain.schema.negation import complement

if TYPE_CHECKING:
    from constrain.schema.normal import Normalizer

MAX_STEPS: Final = 2_000
"""Most schemas that one `not` may look into."""


class Complementer:
    """Makes the complement of one need.

    Args:
        normalizer: knows the cases of places.
        within: the complement will be met with these; it may be wrong elsewhere.
    """

    def __init__(self, normalizer: Normalizer, within: Cases) -> None:
        self._normalizer = normalizer
        self._within = within
        self._n_steps = 0

    def of_need(self, need: Need) -> Cases:
        """The values that fail some place of a need.

        Raises:
            LimitError: more than `MAX_STEPS` schemas, or too many cases.
            SchemaError: as `Normalizer.cases`.
        """
        return unite([self.of_place(place) for place in need]) if need else NOTHING

    def of_place(self, place: Place) -> Cases:
        """The values that a place does not allow."""
        self._n_steps += 1
        if self._n_steps > MAX_STEPS:
            raise LimitError("search_states", self._n_steps, MAX_STEPS)
        normalizer = self._normalizer
        place = normalizer.entered(place)
        schema = place[0]
        if isinstance(schema, bool):
            return NOTHING if schema else ANYTHING
        if isinstance(schema, Negation):
            return normalizer.conjunction(schema.of)
        if isinstance(schema, Either):
            return reduce(conjoin, map(self.of_need, schema.of))
        cases = normalizer.cases(place)  # its errors come first; a plain one is done with it
        keywords = normalizer.keywords(place)
        by_keywords = normalizer.combines(keywords) and not normalizer.closes(keywords)
        if not by_keywords or normalizer.is_relaxed(schema):
            return complement(cases, self._within, normalizer.negated)
        return unite(list(self._parts(place, keywords)))

    def _parts(self, place: Place, keywords: AbstractSet[str]) -> Iterator[Cases]:
        """The complement of each keyword."""
        normalizer = self._normalizer
        schema, pointer, scope = place
        if "$ref" in keywords and scope.draft.ref_hides_siblings:
            yield self.of_place(normalizer.document.resolve(schema["$ref"], pointer, scope))
            return
        own = own_cases(place, normalizer.own(keywords), [])
        yield complement(own, self._within, normalizer.negated)
        for keyword in REFERENCES:
            if keyword in keywords:
                target = normalizer.document.resolve(schema[keyword], pointer, scope, keyword)
                yield self.of_place(target)
        yield from map(self.of_place, normalizer.branches("allOf", place, keywords))
        if "anyOf" in keywords:
            branches = normalizer.branches("anyOf", place, keywords)
            yield reduce(conjoin, map(self.of_place, branches))
        for needs in implications(place, keywords):
            yield reduce(conjoin, map(self.of_need, needs))
        if "propertyNames" in keywords:
            named = normalizer.named(place)
            yield complement(named, self._within, normalizer.negated)
        if "not" in keywords:
            yield normalizer.cases((schema["not"], pointer + "/not", scope))
        if "oneOf" in keywords:
            yield from self._none_or_two(normalizer.branches("oneOf", place, keywords))

    def _none_or_two(self, branches: list[Place]) -> Iterator[Cases]:
        """What `oneOf` does not allow."""
        yield reduce(conjoin, map(self.of_place, branches))
        cases = [self._normalizer.cases(branch) for branch in branches]
        for a, b in combinations(cases, 2):
            yield conjoin(a, b)
