"""Schemas -> normal form: references and combinators, memoized by place.

Not here: what single keywords say (`keywords`), and how cases become grammar (`to_ir`).
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final

from constrain.errors import LimitError, SchemaError, UnsupportedSchemaError, shorten
from constrain.schema.arrays import without_unevaluated_items
from constrain.schema.cases import (
    ANYTHING,
    NOTHING,
    Cases,
    conjoin,
    objects_named,
    unite,
    unite_evaluated,
    unite_exclusive,
)
from constrain.schema.complements import Complementer
from constrain.schema.document import (
    MADE,
    REFERENCES,
    Document,
    Need,
    Place,
    PlaceKey,
    found,
    key_of,
    keys_of,
)
from constrain.schema.exclusive import Looks, exactly_one
from constrain.schema.implications import implications
from constrain.schema.keywords import own_cases
from constrain.schema.needs import NEVER, Either, Negation
from constrain.schema.negation import undecided
from constrain.schema.objects import without_unevaluated
from constrain.schema.reading import need_of
from constrain.schema.relaxing import Relaxing

X_WEIGHT: Final = "x-weight"
MAX_MULTIPLIED = 8
"""Most cases of objects for the conjunction of two unions that can be left undecided."""
MAX_LOOKED_INTO = 15_000
"""How many combinations of needs may be looked into, which takes about a second."""
MAX_COMBINED_DEPTH = 100
"""How deep `$ref`, `allOf`, `anyOf` and `oneOf` may nest at one place of the instance."""

_COMBINATORS: Final = frozenset({
    "$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependencies", "dependentRequired",
    "dependentSchemas", "propertyNames", "$dynamicRef", "$recursiveRef",
    "unevaluatedProperties", "unevaluatedItems",
})  # fmt: skip
_UNEVALUATED: Final = frozenset({"unevaluatedProperties", "unevaluatedItems"})


class _LoopError(SchemaError):
    """A schema's cases are asked for while they are being made."""


class Normalizer:
    """Normal forms of the places of one document.

    Attributes:
        document: where references are resolved.
        relaxing: what is left out; None: what is not supported is an error.
        notes: what was treated as an annotation, in order of discovery.
        weighted: the places that were read and have an `x-weight`, by the schema's id.
    """

    def __init__(self, document: Document, relaxing: Relaxing | None = None) -> None:
        self.document = document
        self.relaxing = relaxing
        self.notes = list(document.notes)
        self.weighted: dict[int, Place] = {}
        # The place is kept beside what is known, so that no other object is given its id.
        self._known: dict[tuple[PlaceKey, bool], tuple[Place, Cases]] = {}
        self._ends: dict[PlaceKey, tuple[Place, Place]] = {}
        self._active: set[tuple[PlaceKey, bool]] = set()
        self._unmet: dict[frozenset[PlaceKey], tuple[Need, bool]] = {}
        self._negations: dict[frozenset[PlaceKey], Negation] = {}

    def cases(
        self,
        place: Place,
        keywords: AbstractSet[str] | None = None,
        *,
        annotate: bool = False,
    ) -> Cases:
        """The values a place allows, not looking into children.

        Args:
            place: the schema, where it stands.
            keywords: `self.keywords(place)` of an entered place where it is known already.
            annotate: whether the cases shall say what they evaluated; there are more of them
                then, since each way in which the branches of `anyOf` hold counts.

        Raises:
            SchemaError: malformed, or defined by itself alone (`{"$ref": "#"}`).
            UnsupportedSchemaError: a keyword that is not supported exactly.
            LimitError: combinators nested deeper than `MAX_COMBINED_DEPTH`.
        """
        if keywords is None:
            place = self.entered(place)
        schema, pointer, _ = place
        if schema is True:
            return ANYTHING
        if schema is False:
            return NOTHING
        key = (key_of(place), annotate)
        known = self._known.get(key)
        if known is not None:
            return known[1]
        if not isinstance(schema, dict):
            reason = f"a schema must be an object or a boolean, not {found(schema)}"
            raise SchemaError(reason, pointer=pointer, value=schema)
        if keywords is None:
            keywords = self.keywords(place)
        try:
            cases = self._made(place, keywords, annotate=annotate)
        except UnsupportedSchemaError as error:
            if self.relaxing is None:
                raise
            cases = ANYTHING
            if self.relaxing.refuse(place, error):
                cases = self.cases(place, annotate=annotate)
        self._known[key] = (place, cases)
        return cases

    def _made(self, place: Place, keywords: AbstractSet[str], *, annotate: bool) -> Cases:
        if self.combines(keywords):
            return self._once(place, keywords, annotate=annotate)
        if not keywords:
            return ANYTHING
        return own_cases(place, keywords, self.notes, annotate=annotate)

    def entered(self, place: Place) -> Place:
        """The place in its own scope, should an id start a new resource there."""
        schema, pointer, scope = place
        if isinstance(schema, dict) and (
            scope.draft.id_keyword in schema or "$schema" in schema
        ):
            return (schema, pointer, self.document.enter(schema, scope))
        return place

    def keywords(self, place: Place) -> AbstractSet[str]:
        """The keys of a schema that its draft knows to constrain; others are noted."""
        schema, pointer, scope = place
        draft = scope.draft
        keywords: AbstractSet[str] = schema.keys() & draft.keywords
        if len(keywords) != len(schema) and not schema.keys() <= draft.known:
            for name in schema:
                if name == X_WEIGHT:
                    self.weighted[id(schema)] = place
                elif name not in draft.known:
                    self.notes.append(f"unknown keyword {shorten(name)} at {pointer}")
        return keywords if self.relaxing is None else self.relaxing.kept(schema, keywords)

    @staticmethod
    def combines(keywords: AbstractSet[str]) -> bool:
        """Whether some keyword speaks of the same value in another schema."""
        return not _COMBINATORS.isdisjoint(keywords)

    @staticmethod
    def closes(keywords: AbstractSet[str]) -> bool:
        """Whether some keyword speaks of what no other keyword spoke of."""
        return not _UNEVALUATED.isdisjoint(keywords)

    @staticmethod
    def own(keywords: AbstractSet[str]) -> AbstractSet[str]:
        """The keywords that do not."""
        return keywords - _COMBINATORS

    def is_relaxed(self, schema: dict[str, Any]) -> bool:
        """Whether `oneOf` of a schema is read as `anyOf`."""
        return self.relaxing is not None and self.relaxing.is_union(schema)

    def conjunction(self, need: Need, *, annotate: bool = False) -> Cases:
        """The values that every place of a need allows."""
        result = ANYTHING
        for place in need:
            result = self._both(result, self.cases(place, annotate=annotate), annotate=annotate)
        return result

    def target(self, place: Place, keywords: AbstractSet[str]) -> Place | None:
        """What a schema that is a reference, or one `allOf` branch, alone stands for."""
        schema, pointer, scope = place
        if "$ref" in keywords and scope.draft.ref_hides_siblings:
            return self.document.resolve(schema["$ref"], pointer, scope)
        if len(keywords) != 1:
            return None
        (keyword,) = keywords
        if keyword in REFERENCES:
            return self.document.resolve(schema[keyword], pointer, scope, keyword)
        if keyword == "allOf":
            branches = self.branches("allOf", place, keywords)
            return branches[0] if len(branches) == 1 else None
        return None

    def followed(self, place: Place) -> Place:
        """The place itself, or what it stands for through a chain of references."""
        key = key_of(place)
        known = self._ends.get(key)
        if known is not None:
            return known[1]
        start = place
        visited: set[PlaceKey] = set()
        place = self.entered(place)
        while isinstance(place[0], dict) and key_of(place) not in visited:
            visited.add(key_of(place))
            target = self.target(place, place[0].keys() & place[2].draft.keywords)
            if target is None:
                break
            place = self.entered(target)
        self._ends[key] = (start, place)
        return place

    def named(self, place: Place) -> Cases:
        """What `propertyNames` allows."""
        schema, pointer, scope = place
        names = (schema["propertyNames"], pointer + "/propertyNames", scope)
        return objects_named(self.cases(names).strings, pointer)

    def branches(self, keyword: str, place: Place, keywords: AbstractSet[str]) -> list[Place]:
        """The schemas of `allOf`, `anyOf` or `oneOf`; none if the keyword is not there."""
        if keyword not in keywords:
            return []
        schema, pointer, scope = place
        schemas = schema[keyword]
        if not isinstance(schemas, (list, tuple)) or not schemas:
            raise SchemaError(
                f"must be a non-empty array of schemas, not {found(schemas)}",
                pointer=pointer, keyword=keyword, value=schemas,
            )  # fmt: skip
        return [(branch, f"{pointer}/{keyword}/{i}", scope) for i, branch in enumerate(schemas)]

    def _once(self, place: Place, keywords: AbstractSet[str], *, annotate: bool) -> Cases:
        """The cases of a schema with combinators, unless they are being made already."""
        schema, pointer, _ = place
        key = (key_of(place), annotate)
        if key in self._active:
            reason = "the schema is defined by itself alone"
            raise _LoopError(reason, pointer=pointer, value=schema)
        if len(self._active) >= MAX_COMBINED_DEPTH:
            raise LimitError("depth", len(self._active) + 1, MAX_COMBINED_DEPTH)
        self._active.add(key)
        try:
            if isinstance(schema, Either):
                return unite([self.conjunction(need) for need in schema.of])
            if self.closes(keywords):
                return self._closed(place, keywords)
            return self._combined(place, keywords, annotate=annotate)
        finally:
            self._active.discard(key)

    def _closed(self, place: Place, keywords: AbstractSet[str]) -> Cases:
        """A schema with `unevaluatedProperties` or `unevaluatedItems`."""
        schema, pointer, _ = place
        cases = self._combined(place, keywords, annotate=True)
        if "unevaluatedProperties" in keywords:
            at = pointer + "/unevaluatedProperties"
            rest = need_of(schema["unevaluatedProperties"], at, place)
            objects = (without_unevaluated(case, rest) for case in cases.objects)
            cases = replace(cases, objects=tuple(c for c in objects if not c.is_empty))
        if "unevaluatedItems" in keywords:
            at = pointer + "/unevaluatedItems"
            rest = need_of(schema["unevaluatedItems"], at, place)
            arrays = (without_unevaluated_items(case, rest) for case in cases.arrays)
            cases = replace(cases, arrays=tuple(c for c in arrays if not c.is_empty))
        return cases

    def _combined(self, place: Place, keywords: AbstractSet[str], *, annotate: bool) -> Cases:
        schema, pointer, scope = place
        if "$ref" in keywords and scope.draft.ref_hides_siblings:
            target = self.document.resolve(schema["$ref"], pointer, scope)
            return self.cases(target, annotate=annotate)
        cases = own_cases(place, self.own(keywords), self.notes, annotate=annotate)
        for part in self._parts(place, keywords, annotate=annotate):
            cases = self._both(cases, part, annotate=annotate)
        if "not" in keywords:
            child: Need = ((schema["not"], pointer + "/not", scope),)
            if isinstance(schema, Negation):
                child = schema.of
            cases = conjoin(cases, Complementer(self, cases).of_need(child))
        if "oneOf" in keywords:
            branches = [
                self.cases(branch, annotate=annotate)
                for branch in self.branches("oneOf", place, keywords)
            ]
            if self.is_relaxed(schema):
                either = unite_evaluated if annotate else unite
                return conjoin(cases, either(branches))
            cases = exactly_one(cases, branches, self._looked_into, self.negated)
        return cases

    def _both(self, a: Cases, b: Cases, *, annotate: bool) -> Cases:
        """The values in both sets; what would multiply is left undecided where it can be."""
        n_a, n_b = len(a.objects), len(b.objects)
        if not annotate and n_a > 1 < n_b and n_a * n_b > MAX_MULTIPLIED:
            a, b = undecided(a, self.negated), undecided(b, self.negated)
        return conjoin(a, b)

    def _parts(
        self, place: Place, keywords: AbstractSet[str], *, annotate: bool
    ) -> Iterator[Cases]:
        """What each combinator but `not` and `oneOf` allows."""
        schema, pointer, scope = place
        for keyword in REFERENCES:
            if keyword in keywords:
                target = self.document.resolve(schema[keyword], pointer, scope, keyword)
                yield self.cases(target, annotate=annotate)
        for branch in self.branches("allOf", place, keywords):
            yield self.cases(branch, annotate=annotate)
        if "anyOf" in keywords:
            some = [
                self.cases(branch, annotate=annotate)
                for branch in self.branches("anyOf", place, keywords)
            ]
            yield unite_evaluated(some) if annotate else unite(some)
        for needs in implications(place, keywords, annotate=annotate):
            ways = [self.conjunction(need, annotate=annotate) for need in needs]
            yield unite_exclusive(ways) if annotate else unite(ways)
        if "propertyNames" in keywords:
            yield self.named(place)

    def _looked_into(self, need: Need) -> Cases | None:
        """The cases of a need; None where they are being made (a recursive schema)."""
        try:
            return self.conjunction(need)
        except _LoopError:
            return None

    def cannot_be_met(self, need: Need) -> bool:
        """Whether surely no value meets a need, as far as a bounded look tells."""
        if need is NEVER:
            return True
        key = keys_of(need)
        known = self._unmet.get(key)
        if known is None:
            if len(self._unmet) >= MAX_LOOKED_INTO:
                raise LimitError("search_states", len(self._unmet) + 1, MAX_LOOKED_INTO)
            known = self._unmet[key] = (need, Looks(self._looked_into).cannot_be_met(need))
        return known[1]

    def negated(self, need: Need) -> Need:
        """The need that a need is not met."""
        if not need:
            return NEVER
        if need is NEVER:
            return ()
        schema, pointer, _ = need[0]
        if len(need) == 1 and isinstance(schema, Negation):
            return schema.of
        key = keys_of(need)
        if key not in self._negations:
            self._negations[key] = Negation(need)
        return ((self._negations[key], pointer, MADE),)
