"""Reading keywords' values: counts, children, and what is said of malformed ones."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from decimal import Decimal

from constrain.errors import SchemaError
from constrain.schema.document import Need, Place, found
from constrain.schema.needs import NEVER


def need_of(schema: object, pointer: str, place: Place) -> Need:
    """The need that a child schema of `place` states."""
    if schema is True or schema == {}:
        return ()
    if schema is False:
        return NEVER
    return ((schema, pointer, place[2]),)


def malformed(keyword: str, expected: str, place: Place) -> SchemaError:
    """The error that a keyword's value is not what it must be."""
    value = place[0][keyword]
    return SchemaError(
        f"must be {expected}, not {found(value)}",
        pointer=place[1], keyword=keyword, value=value,
    )  # fmt: skip


def count_of(place: Place, keyword: str, keywords: AbstractSet[str]) -> int | None:
    """The value of a keyword that is a count, or None if it is absent."""
    if keyword not in keywords:
        return None
    value = place[0][keyword]
    if isinstance(value, (float, Decimal)) and value == value // 1:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise malformed(keyword, "a non-negative integer", place)
    return value
