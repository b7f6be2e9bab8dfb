"""The schemas that a document's root reaches, with what each keyword leads to.

For reports and for finding out what a keyword stands under; grammars are not made from it.
A keyword without meaning where it stands (a sibling of `$ref` in draft 7, `then` without
`if`) leads nowhere and is not listed as constraining.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from constrain.errors import SchemaError
from constrain.schema.document import (
    REFERENCES,
    Document,
    Place,
    PlaceKey,
    escaped,
    key_of,
)

_ONE: Final = frozenset({
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_LISTS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAPS: Final = frozenset({
    "dependencies", "dependentSchemas", "patternProperties", "properties",
})  # fmt: skip
# Keyword -> the keyword beside it without which it says nothing.
_COMPANIONS: Final = {
    "then": "if", "else": "if", "minContains": "contains", "maxContains": "contains",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One schema that is reached, in one scope.

    Attributes:
        place: the schema, a dict, where it was first reached.
        keywords: those of its keys that say something there.
        children: keyword and place of each schema below it, `$ref`'s target included.
    """

    place: Place
    keywords: AbstractSet[str]
    children: tuple[tuple[str, Place], ...]


def reachable(document: Document) -> list[Visit]:
    """Every schema that the root reaches, in the order of the document, parents first.

    A schema that is reached in several dynamic scopes is visited once in each. A reference
    that leads nowhere is passed over: where it matters, making a grammar has refused it.

    Cost: linear in the size of the schemas that are reached.
    """
    pending: list[Place] = [(document.root, "#", document.scope)]
    seen: set[PlaceKey] = set()
    visits: list[Visit] = []
    while pending:
        place = pending.pop()
        schema = place[0]
        if not isinstance(schema, dict):
            continue
        if place[2].draft.id_keyword in schema or "$schema" in schema:
            place = (schema, place[1], document.enter(schema, place[2]))
        if key_of(place) in seen:
            continue
        seen.add(key_of(place))
        keywords = meaningful(place)
        children = tuple(_children(document, place, keywords))
        visits.append(Visit(place, keywords, children))
        pending.extend(child for _, child in reversed(children))
    return visits


def meaningful(place: Place) -> AbstractSet[str]:
    """The keys of a schema that constrain, by its draft and by what stands beside them."""
    schema, _, scope = place
    keywords: AbstractSet[str] = schema.keys() & scope.draft.keywords
    if "$ref" in keywords and scope.draft.ref_hides_siblings:
        return {"$ref"}
    return {
        keyword for keyword in keywords if _COMPANIONS.get(keyword, keyword) in keywords
    } - _void_items(schema)


def _void_items(schema: dict[str, Any]) -> set[str]:
    """`additionalItems` where `items` is not a list: it says nothing there."""
    is_tuple = isinstance(schema.get("items"), (list, tuple)) and "prefixItems" not in schema
    return set() if is_tuple else {"additionalItems"}


def _children(
    document: Document, place: Place, keywords: AbstractSet[str]
) -> Iterator[tuple[str, Place]]:
    schema, pointer, scope = place
    for keyword in (name for name in schema if name in keywords):
        value = schema[keyword]
        at = f"{pointer}/{keyword}"
        if keyword in _ONE and isinstance(value, (dict, bool)):
            yield keyword, (value, at, scope)
        elif keyword in _LISTS and isinstance(value, (list, tuple)):
            for i, child in enumerate(value):
                yield keyword, (child, f"{at}/{i}", scope)
        elif keyword in _MAPS and isinstance(value, dict):
            for name, child in value.items():
                if isinstance(child, (dict, bool)):
                    yield keyword, (child, f"{at}/{escaped(name)}", scope)
        elif keyword in REFERENCES:
            try:
                yield keyword, document.resolve(value, pointer, scope, keyword)
            except SchemaError:
                continue
