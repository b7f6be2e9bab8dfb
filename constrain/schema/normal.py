"""Schemas -> normal form: references and combinators, memoized by place.

Not here: what single keywords say (`keywords`), and how cases become grammar (`to_ir`).
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from constrain.errors import LimitError, SchemaError, UnsupportedSchemaError, shorten
from constrain.schema.cases import (
    ANYTHING,
    NEVER,
    NOTHING,
    Cases,
    Negation,
    conjoin,
    objects_named,
    unite,
)
from constrain.schema.document import Document, Need, Place, found
from constrain.schema.exclusive import exactly_one
from constrain.schema.implications import implications
from constrain.schema.keywords import own_cases
from constrain.schema.negation import complement

MAX_COMBINED_DEPTH = 100
"""How deep `$ref`, `allOf`, `anyOf` and `oneOf` may nest at one place of the instance."""

_COMBINATORS: Final = frozenset({
    "$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependencies", "dependentRequired",
    "dependentSchemas", "propertyNames", "$dynamicRef", "$recursiveRef",
})  # fmt: skip
_UNSUPPORTED: Final = ("$dynamicRef", "$recursiveRef")


class _LoopError(SchemaError):
    """A schema's cases are asked for while they are being made."""


class Normalizer:
    """Normal forms of the places of one document.

    Attributes:
        document: where references are resolved.
        notes: what was treated as an annotation, in order of discovery.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.notes: list[str] = []
        # The place is kept beside its cases, so that its id is not given to another object.
        self._known: dict[int, tuple[Place, Cases]] = {}
        self._active: set[int] = set()
        self._negations: dict[frozenset[int], tuple[Need, Negation]] = {}

    def cases(self, place: Place, keywords: AbstractSet[str] | None = None) -> Cases:
        """The values a place allows, not looking into children.

        Args:
            place: the schema, where it stands.
            keywords: `self.keywords(place)` where it is known already.

        Raises:
            SchemaError: malformed, or defined by itself alone (`{"$ref": "#"}`).
            UnsupportedSchemaError: a keyword that is not supported exactly.
            LimitError: combinators nested deeper than `MAX_COMBINED_DEPTH`.
        """
        schema, pointer, scope = place
        if schema is True:
            return ANYTHING
        if schema is False:
            return NOTHING
        key = id(schema)
        known = self._known.get(key)
        if known is not None:
            return known[1]
        if not isinstance(schema, dict):
            reason = f"a schema must be an object or a boolean, not {found(schema)}"
            raise SchemaError(reason, pointer=pointer, value=schema)
        if keywords is None:
            keywords = self.keywords(place)
        if scope.draft.id_keyword in keywords:
            place = (schema, pointer, self.document.enter(schema, scope))
        if _COMBINATORS.isdisjoint(keywords):
            cases = own_cases(place, keywords, self.notes) if keywords else ANYTHING
        else:
            if key in self._active:
                reason = "the schema is defined by itself alone"
                raise _LoopError(reason, pointer=pointer, value=schema)
            if len(self._active) >= MAX_COMBINED_DEPTH:
                raise LimitError("depth", len(self._active) + 1, MAX_COMBINED_DEPTH)
            self._active.add(key)
            try:
                cases = self._combined(place, keywords)
            finally:
                self._active.discard(key)
        self._known[key] = (place, cases)
        return cases

    def keywords(self, place: Place) -> AbstractSet[str]:
        """The keys of a schema that its draft knows to constrain; others are noted."""
        schema, pointer, scope = place
        draft = scope.draft
        keywords: AbstractSet[str] = schema.keys() & draft.keywords
        if len(keywords) != len(schema) and not schema.keys() <= draft.known:
            for name in schema:
                if name not in draft.known:
                    self.notes.append(f"unknown keyword {shorten(name)} at {pointer}")
        return keywords

    def conjunction(self, need: Need) -> Cases:
        """The values that every place of a need allows."""
        result = ANYTHING
        for place in need:
            result = conjoin(result, self.cases(place))
        return result

    def target(self, place: Place, keywords: AbstractSet[str]) -> Place | None:
        """What a schema that is a reference, or one `allOf` branch, alone stands for."""
        schema, pointer, scope = place
        if "$ref" in keywords:
            if len(keywords) > 1 and not scope.draft.ref_hides_siblings:
                return None
            return self.document.resolve(schema["$ref"], pointer, scope)
        if len(keywords) == 1 and "allOf" in keywords:
            branches = self._branches("allOf", place, keywords)
            return branches[0] if len(branches) == 1 else None
        return None

    def followed(self, place: Place) -> Place:
        """The place itself, or what it stands for through a chain of references."""
        visited: set[int] = set()
        while isinstance(place[0], dict) and id(place[0]) not in visited:
            visited.add(id(place[0]))
            target = self.target(place, place[0].keys() & place[2].draft.keywords)
            if target is None:
                break
            place = target
        return place

    def _combined(self, place: Place, keywords: AbstractSet[str]) -> Cases:
        schema, pointer, scope = place
        if "$ref" in keywords and scope.draft.ref_hides_siblings:
            return self.cases(self.document.resolve(schema["$ref"], pointer, scope))
        for keyword in _UNSUPPORTED:
            if keyword in keywords:
                raise _unsupported(keyword, place)
        cases = own_cases(place, keywords - _COMBINATORS, self.notes)
        for part in self._parts(place, keywords):
            cases = conjoin(cases, part)
        if "not" in keywords:
            child = self.cases((schema["not"], pointer + "/not", scope))
            rest = complement(child, cases, self.negated)
            if rest is None:
                reason = "a complement over undeclared keys or unbounded items is not supported"
                raise _unsupported("not", place, reason)
            cases = conjoin(cases, rest)
        if "oneOf" in keywords:
            branches = [self.cases(b) for b in self._branches("oneOf", place, keywords)]
            union = exactly_one(cases, branches, self._looked_into, self.negated)
            if union is None:
                reason = "branches overlap in a way that is not supported; can it be 'anyOf'?"
                raise _unsupported("oneOf", place, reason)
            cases = union
        return cases

    def _parts(self, place: Place, keywords: AbstractSet[str]) -> Iterator[Cases]:
        """What each combinator but `not` and `oneOf` allows."""
        schema, pointer, scope = place
        if "$ref" in keywords:
            yield self.cases(self.document.resolve(schema["$ref"], pointer, scope))
        for branch in self._branches("allOf", place, keywords):
            yield self.cases(branch)
        if "anyOf" in keywords:
            yield unite([self.cases(b) for b in self._branches("anyOf", place, keywords)])
        for needs in implications(place, keywords):
            yield unite([self.conjunction(need) for need in needs])
        if "propertyNames" in keywords:
            names = (schema["propertyNames"], pointer + "/propertyNames", scope)
            yield objects_named(self.cases(names).strings, pointer)

    def _looked_into(self, need: Need) -> Cases | None:
        """The cases of a need; None where they are being made (a recursive schema)."""
        try:
            return self.conjunction(need)
        except _LoopError:
            return None

    def negated(self, need: Need) -> Need:
        """The need that a need is not met."""
        if not need:
            return NEVER
        if need is NEVER:
            return ()
        schema, pointer, scope = need[0]
        if len(need) == 1 and isinstance(schema, Negation):
            return ((schema.of, pointer, scope),)
        if len(need) > 1:
            schema = {"allOf": [place[0] for place in need]}
            if any(place[2] is not scope for place in need):
                reason = "a complement across schema resources is not supported"
                raise UnsupportedSchemaError(reason, pointer=pointer, keyword="not")
        key = frozenset(id(place[0]) for place in need)
        if key not in self._negations:
            self._negations[key] = (need, Negation(schema))
        return ((self._negations[key][1], pointer, scope),)

    def _branches(self, keyword: str, place: Place, keywords: AbstractSet[str]) -> list[Place]:
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


def _unsupported(
    keyword: str, place: Place, reason: str = "is not supported"
) -> UnsupportedSchemaError:
    value: Any = place[0][keyword]
    return UnsupportedSchemaError(reason, pointer=place[1], keyword=keyword, value=value)
