"""`if`, `dependencies` and their kin, rewritten as `anyOf` of the two ways to obey them.

`if` A `then` B `else` C is (A and B) or (not A and C); "with key k, B" is "not an object with
k, or an object with k and B". The rewritten schemas stand at the place of the original.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from constrain.errors import SchemaError
from constrain.schema.document import Place, found


def implications(place: Place, keywords: AbstractSet[str]) -> Iterator[Place]:
    """Places whose schemas say what the implications of a schema say.

    Raises:
        SchemaError: a keyword's value is malformed.
    """
    schema, pointer, scope = place
    if "if" in keywords and ("then" in schema or "else" in schema):
        condition = schema["if"]
        yield ({"anyOf": [
            {"allOf": [condition, schema.get("then", True)]},
            {"allOf": [{"not": condition}, schema.get("else", True)]},
        ]}, pointer, scope)  # fmt: skip
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        if keyword in keywords:
            for name, child in _members(place, keyword):
                demand = {"required": child} if _is_names(place, keyword, child) else child
                yield ({"anyOf": [
                    {"properties": {name: False}},
                    {"type": "object", "required": [name], "allOf": [demand]},
                ]}, pointer, scope)  # fmt: skip


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
