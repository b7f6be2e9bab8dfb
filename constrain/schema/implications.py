"""`if`, `dependencies` and their kin, as the ways to obey them.

`if` A `then` B `else` C is (A and B) or (not A and C); "with key k, B" is "not an object with
k, or an object with k and B". Each schema keeps its own place, so that messages name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from constrain.errors import SchemaError
from constrain.schema.document import MADE, Need, Place, escaped, found
from constrain.schema.needs import Negation


def implications(
    place: Place, keywords: AbstractSet[str], *, annotate: bool = False
) -> Iterator[tuple[Need, ...]]:
    """For each implication of a schema the needs of which exactly one must be met.

    Args:
        place: the schema.
        keywords: those of its keys that its draft knows.
        annotate: whether an `if` alone counts, for what it evaluates.

    Raises:
        SchemaError: a keyword's value is malformed.
    """
    schema, pointer, scope = place
    if "if" in keywords and (annotate or "then" in schema or "else" in schema):
        condition = (schema["if"], pointer + "/if", scope)
        otherwise = (Negation((condition,)), pointer + "/if", MADE)
        yield (
            (condition, (schema.get("then", True), pointer + "/then", scope)),
            (otherwise, (schema.get("else", True), pointer + "/else", scope)),
        )
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        if keyword in keywords:
            for name, child in _members(place, keyword):
                at = f"{pointer}/{keyword}/{escaped(name)}"
                demand: Place = (child, at, scope)
                if _is_names(place, keyword, child):
                    demand = ({"required": child}, at, MADE)
                without = {"properties": {name: False}}
                having = {"type": "object", "required": [name]}
                yield (
                    ((without, at, MADE),),
                    ((having, at, MADE), demand),
                )


def _members(place: Place, keyword: str) -> Iterator[tuple[str, Any]]:
    value = place[0][keyword]
    if not isinstance(value, dict):
        raise SchemaError(
            f"must be an object, not {found(value)}",
            pointer=place[1], keyword=keyword, value=value,
        )  # fmt: skip
    yield from value.items()


def _is_names(place: Place, keyword: str, child: object) -> bool:
    """Whether a dependency is a list of names (else it must be a schema)."""
    is_names = isinstance(child, (list, tuple)) and all(isinstance(n, str) for n in child)
    is_schema = isinstance(child, (dict, bool))
    expected = {
        "dependentRequired": is_names,
        "dependentSchemas": is_schema,
        "dependencies": is_names or is_schema,
    }[keyword]
    if not expected:
        raise SchemaError(
            f"a dependency must not be {found(child)}",
            pointer=place[1], keyword=keyword, value=child,
        )  # fmt: skip
    return is_names
