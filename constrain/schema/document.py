"""Schema documents: reading, drafts, and what a `$ref` means at a place.

Local references (`#`, `#/…`) are resolved by walking the document. Only when a schema below
the root has its own `$id`, or a reference is an anchor or names another resource, the
`referencing` package is imported and asked. Nothing is fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from constrain.errors import LimitError, SchemaError, shorten

if TYPE_CHECKING:
    from referencing import Specification
    from referencing._core import Resolver

MAX_TEXT_NESTING = 900

_DRAFT4 = frozenset({
    "$ref", "type", "enum", "properties", "required", "additionalProperties",
    "patternProperties", "minProperties", "maxProperties", "dependencies", "items",
    "additionalItems", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength",
    "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "allOf", "anyOf", "oneOf", "not",
})  # fmt: skip
_DRAFT6 = _DRAFT4 | {"const", "contains", "propertyNames", "$id"}
_DRAFT7 = _DRAFT6 | {"if", "then", "else"}
_DRAFT2019 = _DRAFT7 | {
    "dependentRequired", "dependentSchemas", "minContains", "maxContains",
    "unevaluatedItems", "unevaluatedProperties", "$recursiveRef",
}  # fmt: skip
# `dependencies` is no keyword of these two, but their authors ask for it to be understood.
_DRAFT2020 = _DRAFT2019 - {"additionalItems", "$recursiveRef"} | {"prefixItems", "$dynamicRef"}

_ANNOTATIONS = frozenset({
    "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary",
    "$comment", "$defs", "definitions", "title", "description", "default", "examples",
    "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType",
    "contentSchema", "then", "else", "minContains", "maxContains",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What one version of JSON Schema understands.

    Attributes:
        name: as in the `$schema` URI.
        keywords: keywords that constrain a value or change what a reference means.
        known: these and the standard's annotations.
        id_keyword: "$id", or "id" in draft 4.
        ref_hides_siblings: `$ref` makes its sibling keywords void (draft 7 and older).
        boolean_bounds: `exclusiveMinimum: true` is understood.
    """

    name: str
    keywords: frozenset[str]
    known: frozenset[str]
    id_keyword: str = "$id"
    ref_hides_siblings: bool = False
    boolean_bounds: bool = False


_DRAFTS = {
    "draft-04": Draft(
        "draft-04", _DRAFT4 | {"id"}, _DRAFT4 | _ANNOTATIONS, "id",
        ref_hides_siblings=True, boolean_bounds=True,
    ),
    "draft-06": Draft("draft-06", _DRAFT6, _DRAFT6 | _ANNOTATIONS, ref_hides_siblings=True),
    "draft-07": Draft("draft-07", _DRAFT7, _DRAFT7 | _ANNOTATIONS, ref_hides_siblings=True),
    "2019-09": Draft("2019-09", _DRAFT2019, _DRAFT2019 | _ANNOTATIONS),
    "2020-12": Draft("2020-12", _DRAFT2020, _DRAFT2020 | _ANNOTATIONS),
}  # fmt: skip
_ANY_DRAFT = Draft(
    "2020-12 with the older keywords",
    _DRAFT2020 | _DRAFT2019 | _DRAFT7,
    _DRAFT2020 | _DRAFT2019 | _DRAFT7 | _ANNOTATIONS,
    boolean_bounds=True,
)


def draft_of(schema: object, default: Draft = _ANY_DRAFT) -> Draft:
    """The draft that a schema's `$schema` names, else `default`."""
    uri = schema.get("$schema") if isinstance(schema, Mapping) else None
    if not isinstance(uri, str):
        return default
    parts = uri.rstrip("#").rstrip("/").split("/")
    return _DRAFTS.get(parts[-2] if len(parts) > 1 else "", default)


class Scope:
    """What a reference is relative to: a draft and, if not the root resource, a base.

    Attributes:
        draft: the draft in force.
        inside: the outer scope and the schema whose id starts this one, until `resolver` is
            asked for; None in the root resource and in what was looked up.
        resolver: of the `referencing` package, or None.
    """

    __slots__ = ("draft", "inside", "resolver")

    def __init__(
        self,
        draft: Draft,
        resolver: Resolver[Any] | None = None,
        inside: tuple[Scope, dict[str, Any]] | None = None,
    ) -> None:
        self.draft = draft
        self.resolver = resolver
        self.inside = inside


Place: TypeAlias = tuple[Any, str, Scope]
"""A schema where it stands: the schema, its JSON pointer, its scope."""

Need: TypeAlias = tuple[Place, ...]
"""The schemas that must all hold for a child; `()` is no demand, `NEVER` cannot be met."""


def escaped(name: str) -> str:
    """A key as a segment of a JSON pointer in a URI fragment.

    >>> escaped("a/b")
    'a~1b'
    """
    if "~" in name or "/" in name or "%" in name:
        return name.replace("~", "~0").replace("/", "~1").replace("%", "%25")
    return name


def found(value: object) -> str:
    """What a malformed value is, for a message; containers only by kind (they may be huge).

    >>> found(None), found([1])
    ('null', 'an array')
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shorten(value)


def read_json(text: str) -> Any:
    """Parse JSON text with exact decimals.

    Raises:
        SchemaError: not JSON (NaN and Infinity are not).
        LimitError: nested deeper than Python's parser goes.
    """

    def refuse(word: str) -> NoReturn:
        reason = f"{word} is not JSON"
        raise SchemaError(reason, value=text)

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refuse)
    except SchemaError:
        raise
    except RecursionError as error:
        raise LimitError("depth", _nesting(text), MAX_TEXT_NESTING) from error
    except ValueError as error:
        reason = f"the schema is not JSON text: {error}"
        raise SchemaError(reason, value=text) from error


def _nesting(text: str) -> int:
    """How deep the brackets of JSON text nest."""
    depth = deepest = 0
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL):
        depth += (bracket in "[{") - (bracket in "]}")
        deepest = max(deepest, depth)
    return deepest


class Document:
    """One root schema and everything a reference in it can reach.

    Attributes:
        root: the whole schema.
        scope: the scope of the root resource.
    """

    def __init__(self, schema: object) -> None:
        self.root = schema
        self.scope = Scope(draft_of(schema))
        self._targets: dict[str, Place] = {}
        self._pointers: dict[int, str] | None = None
        self._made: Resolver[Any] | None = None
        base = schema.get(self.scope.draft.id_keyword) if isinstance(schema, dict) else None
        self._base = base if isinstance(base, str) else ""

    def enter(self, schema: dict[str, Any], scope: Scope) -> Scope:
        """The scope inside `schema`: another one if its id starts a new resource."""
        value = schema.get(scope.draft.id_keyword)
        if schema is self.root or not isinstance(value, str) or value.startswith("#"):
            return scope
        if scope.draft.ref_hides_siblings and "$ref" in schema:
            return scope
        return Scope(draft_of(schema, scope.draft), inside=(scope, schema))

    def resolve(self, reference: object, pointer: str, scope: Scope) -> Place:
        """The place a `$ref` at `pointer` stands for.

        Raises:
            SchemaError: not a string, or nothing is there.
        """
        if not isinstance(reference, str):
            raise SchemaError(
                f"must be a string, not {found(reference)}",
                pointer=pointer, keyword="$ref", value=reference,
            )  # fmt: skip
        if scope.resolver is None and scope.inside is None:
            known = self._targets.get(reference)
            if known is not None:
                return known
            if reference in {"#", ""}:
                return (self.root, "#", scope)
            local = reference
            if self._base and reference.startswith(self._base + "#"):
                local = reference[len(self._base) :]
            if local.startswith("#/"):
                place = self._walk(local, pointer, scope)
                if place is not None:
                    self._targets[reference] = place
                    return place
        return self._look_up(reference, pointer, scope)

    def _walk(self, reference: str, pointer: str, scope: Scope) -> Place | None:
        """Follow a JSON pointer from the root; None if it passes into another resource."""
        text = reference[2:]
        if "%" in text:
            from urllib.parse import unquote

            text = unquote(text)
        value: Any = self.root
        for segment in text.split("/"):
            key = segment.replace("~1", "/").replace("~0", "~") if "~" in segment else segment
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise _unresolvable(reference, pointer)
            if isinstance(value, dict) and isinstance(value.get(scope.draft.id_keyword), str):
                return None
        return (value, reference, scope)

    def _look_up(self, reference: str, pointer: str, scope: Scope) -> Place:
        from referencing.exceptions import Unresolvable

        try:
            resolved = self._resolver(scope).lookup(reference)
        except RecursionError as error:
            raise LimitError("depth", MAX_TEXT_NESTING, MAX_TEXT_NESTING) from error
        # `referencing` trusts that whatever stands where a schema should is a schema.
        except (Unresolvable, ValueError, TypeError, AttributeError, LookupError) as error:
            raise _unresolvable(reference, pointer) from error
        target = resolved.contents
        draft = draft_of(target, scope.draft)
        where = self._pointer_of(target) or reference
        if isinstance(target, dict) and target is self.root:
            return (target, "#", self.scope)
        return (target, where, Scope(draft, resolved.resolver))

    def _resolver(self, scope: Scope) -> Resolver[Any]:
        """The resolver of a scope, made with those of the scopes around it."""
        pending: list[Scope] = []
        while scope.resolver is None and scope.inside is not None:
            pending.append(scope)
            scope = scope.inside[0]
        resolver = scope.resolver
        if resolver is None:
            resolver = self._root_resolver()
        for inner in reversed(pending):
            assert inner.inside is not None, inner
            resource = _specification(inner.draft).create_resource(inner.inside[1])
            resolver = inner.resolver = resolver.in_subresource(resource)
        return resolver

    def _root_resolver(self) -> Resolver[Any]:
        if self._made is not None:
            return self._made
        from referencing import Registry

        resource = _specification(self.scope.draft).create_resource(self.root)
        registry: Registry[Any] = Registry().with_resource(self._base, resource)
        self._made = registry.resolver(self._base)
        return self._made

    def _pointer_of(self, target: object) -> str | None:
        """Where an object of the document stands, by identity."""
        if self._pointers is None:
            self._pointers = {}
            pending: list[tuple[Any, str]] = [(self.root, "#")]
            while pending:
                value, pointer = pending.pop()
                if isinstance(value, dict):
                    self._pointers.setdefault(id(value), pointer)
                    pending.extend((v, f"{pointer}/{escaped(k)}") for k, v in value.items())
                elif isinstance(value, list):
                    pending.extend((v, f"{pointer}/{i}") for i, v in enumerate(value))
        return self._pointers.get(id(target))


def _unresolvable(reference: str, pointer: str) -> SchemaError:
    return SchemaError(
        f"{shorten(reference)} cannot be resolved",
        pointer=pointer, keyword="$ref", value=reference,
    )  # fmt: skip


def _specification(draft: Draft) -> Specification[Any]:
    from referencing import jsonschema as drafts

    return {
        "draft-04": drafts.DRAFT4,
        "draft-06": drafts.DRAFT6,
        "draft-07": drafts.DRAFT7,
        "2019-09": drafts.DRAFT201909,
    }.get(draft.name, drafts.DRAFT202012)
