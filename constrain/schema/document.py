"""Schema documents: what a `$ref` or `$dynamicRef` means at a place.

What a place means depends on its resource (which base its references have) and on the dynamic
scope: the resources that evaluation came through. Of these only one thing can matter, which of
them is the outermost to define each dynamic anchor. So a scope is kept as just that, there are
finitely many, and evaluation that comes back to a place in the same scope has come full
circle. A document without dynamic anchors has one scope for each resource.

Local references (`#`, `#/…`) are resolved by walking the document; `resources` is asked where
a schema on the way has an id, or the reference is an anchor or names another resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from constrain.errors import LimitError, SchemaError, shorten
from constrain.schema.drafts import ANY_DRAFT, Draft
from constrain.schema.json_text import escaped, found, read_json
from constrain.schema.resources import RECURSIVE, Library, Resource, joined

if TYPE_CHECKING:
    from constrain.schema.resources import Documents

__all__ = [
    "MADE", "REFERENCES", "Document", "Draft", "Need", "Place", "PlaceKey", "Scope", "escaped",
    "found", "key_of", "keys_of", "read_json",
]  # fmt: skip

REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")

MAX_SCOPES: Final = 1_000
"""Most dynamic scopes of one document, one for each resource not counted."""


class Scope:
    """What the meaning of a place depends on beside its schema.

    Scopes of one document are equal only if they are the same.

    Attributes:
        draft: the draft in force.
        resource: what references are relative to; None where there are none.
        outermost: for each name of a dynamic anchor the outermost resource that defines it;
            None in the root until it is asked for.
    """

    __slots__ = ("draft", "outermost", "resource")

    def __init__(
        self,
        draft: Draft,
        resource: Resource | None = None,
        outermost: Mapping[str, Resource] | None = None,
    ) -> None:
        self.draft = draft
        self.resource = resource
        self.outermost = outermost


MADE: Final = Scope(ANY_DRAFT)
"""The scope of schemas that are made here and hold no references."""

Place: TypeAlias = tuple[Any, str, Scope]
"""A schema where it stands: the schema, its JSON pointer, its scope."""

Need: TypeAlias = tuple[Place, ...]
"""The schemas that must all hold for a child; `()` is no demand, `NEVER` cannot be met."""

PlaceKey: TypeAlias = tuple[int, Scope]
ScopeKey: TypeAlias = tuple[Resource, frozenset[tuple[str, Resource]]]


def key_of(place: Place) -> PlaceKey:
    """What tells places apart: the schema's identity (it must be kept) and the scope."""
    return (id(place[0]), place[2])


def keys_of(need: Need) -> frozenset[PlaceKey]:
    """What tells needs apart."""
    return frozenset([(id(schema), scope) for schema, _, scope in need])


class Document:
    """One root schema and everything a reference in it can reach.

    Args:
        schema: the root schema.
        documents: further schemas by URI.

    Attributes:
        root: the whole schema.
        scope: the scope of the root resource.
        notes: what was treated as an annotation.
    """

    def __init__(self, schema: object, documents: Documents | None = None) -> None:
        self.root = schema
        self._library = Library(schema, documents)
        self.notes = self._library.notes
        resource = self._library.root
        self.scope = Scope(resource.draft, resource)
        self._scopes: dict[ScopeKey, Scope] = {}
        self._resources: set[Resource] = set()
        self._entered: dict[tuple[Resource, Scope], Scope] = {}
        self._targets: dict[tuple[str, str, Scope], Place] = {}

    def enter(self, schema: dict[str, Any], scope: Scope) -> Scope:
        """The scope inside `schema`: another one if its id starts a new resource."""
        around = scope.resource
        if around is None or schema is around.schema:
            return scope
        return self._within(self._library.inner(schema, around), scope)

    def resolve(
        self, reference: object, pointer: str, scope: Scope, keyword: str = "$ref"
    ) -> Place:
        """The place that a reference at `pointer` stands for.

        Args:
            reference: the value of the keyword.
            pointer: where the keyword stands, for messages.
            scope: in which it stands.
            keyword: one of `REFERENCES`.

        Raises:
            SchemaError: not a string, or nothing is there.
            LimitError: more than `MAX_SCOPES` dynamic scopes.
        """
        if not isinstance(reference, str):
            raise SchemaError(
                f"must be a string, not {found(reference)}",
                pointer=pointer, keyword=keyword, value=reference,
            )  # fmt: skip
        place = self._targets.get((keyword, reference, scope))
        if place is None:
            if keyword == "$recursiveRef" and reference != "#":
                reason = f"must be '#', not {shorten(reference)}"
                raise SchemaError(reason, pointer=pointer, keyword=keyword, value=reference)
            place = self._resolved(reference, scope, keyword)
            if place is None:
                raise SchemaError(
                    f"{shorten(reference)} cannot be resolved",
                    pointer=pointer, keyword=keyword, value=reference,
                )  # fmt: skip
            self._targets[keyword, reference, scope] = place
        return place

    def _resolved(self, reference: str, scope: Scope, keyword: str) -> Place | None:
        assert scope.resource is not None, reference
        uri, fragment = joined(scope.resource.uri, reference)
        resource: Resource | None = scope.resource
        if uri != scope.resource.uri:
            resource = self._library.named(uri)
        if resource is None:
            return None
        if "%" in fragment:
            from urllib.parse import unquote

            fragment = unquote(fragment)
        if fragment.startswith("/"):
            return self._walked(fragment, resource, scope)
        target = (resource.schema, resource.path)
        if fragment or keyword == "$recursiveRef":
            self._library.search()
            name = RECURSIVE if keyword == "$recursiveRef" else fragment
            if keyword != "$ref" and name in resource.dynamic:
                resource = self._outermost(scope).get(name, resource)
                target = resource.dynamic[name]
            elif fragment:
                if fragment not in resource.anchors:
                    return None
                target = resource.anchors[fragment]
        return (target[0], resource.pointer_to(target[1]), self._within(resource, scope))

    def _walked(self, fragment: str, resource: Resource, scope: Scope) -> Place | None:
        """Follow a JSON pointer from the root of a resource, into others on the way."""
        value = resource.schema
        pointer = resource.pointer
        for segment in fragment[1:].split("/"):
            key = segment.replace("~1", "/").replace("~0", "~") if "~" in segment else segment
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, (list, tuple)) and _is_index(key) and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
            if isinstance(value, dict) and (
                isinstance(value.get(resource.draft.id_keyword), str) or "$schema" in value
            ):
                resource = self._library.found_below(value, resource)
        fragment = fragment.replace("%", "%25") if "%" in fragment else fragment
        return (value, pointer + fragment, self._within(resource, scope))

    def _outermost(self, scope: Scope) -> Mapping[str, Resource]:
        """Which resource of the dynamic scope defines each dynamic anchor outermost."""
        if scope.outermost is None:
            resource = scope.resource
            assert resource is self._library.root, resource
            self._library.search()
            scope.outermost = dict.fromkeys(resource.dynamic, resource)
            self._keep((resource, frozenset(scope.outermost.items())), scope)
        return scope.outermost

    def _within(self, resource: Resource, scope: Scope) -> Scope:
        """The scope when evaluation comes from `scope` into a resource."""
        if resource is scope.resource:
            return scope
        known = self._entered.get((resource, scope))
        if known is None:
            outermost = {
                **dict.fromkeys(resource.dynamic, resource), **self._outermost(scope),
            }  # fmt: skip
            key = (resource, frozenset(outermost.items()))
            known = self._scopes.get(key)
            if known is None:
                known = Scope(resource.draft, resource, outermost)
                self._keep(key, known)
            self._entered[resource, scope] = known
        return known

    def _keep(self, key: ScopeKey, scope: Scope) -> None:
        self._scopes[key] = scope
        self._resources.add(key[0])
        further = len(self._scopes) - len(self._resources)
        if further > MAX_SCOPES:
            raise LimitError("search_states", further, MAX_SCOPES)


def _is_index(key: str) -> bool:
    """Whether a segment of a JSON pointer is an array index: digits, no leading zero.

    >>> _is_index("10"), _is_index("01")
    (True, False)
    """
    return key.isascii() and key.isdecimal() and (key == "0" or key[0] != "0")
