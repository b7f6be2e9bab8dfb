"""References by the letter of the specifications: a slow validator of a few keywords.

It goes through schema and value together and keeps the dynamic scope as what it is, the list of
the resources that evaluation came through. Nothing is shared, memoized or made canonical, and
an endless recursion of Python is one of the schema. Sources: JSON Schema core 2020-12, sections
8.2.3.1, 8.2.3.2 and 9.1.1; 2019-09, section 8.2.4.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

Named = tuple[Any, str]
"""A schema and the URI of the resource it is in."""

_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("$defs", "properties")
_ONE = ("items", "not", "if", "then", "else")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "null": (type(None),), "integer": (int,), "array": (list,),
    "object": (dict,), "boolean": (bool,),
}  # fmt: skip


class ScopeOracle:
    """Validates by one root schema and further documents, each with an absolute `$id`."""

    def __init__(self, root: Any, *others: Any) -> None:
        self._root = root
        self._resources: dict[str, Any] = {}
        self._anchors: dict[tuple[str, str], Any] = {}
        self._dynamic: dict[tuple[str, str], Any] = {}
        for document in (root, *others):
            self._read(document, "")

    def is_valid(self, value: Any) -> bool:
        """Whether a value is valid.

        Raises:
            RecursionError: a schema is defined by itself alone.
        """
        return self._holds(self._root, value, "", [])

    def _read(self, schema: Any, base: str) -> None:
        """Note the ids and anchors of a schema and of those in it."""
        if not isinstance(schema, dict):
            return
        if "$id" in schema or not base:
            base = urljoin(base, schema.get("$id", "root:"))
            self._resources[base] = schema
            if schema.get("$recursiveAnchor"):
                self._dynamic[base, ""] = schema
        for keyword in ("$anchor", "$dynamicAnchor"):
            if keyword in schema:
                self._anchors[base, schema[keyword]] = schema
        if "$dynamicAnchor" in schema:
            self._dynamic[base, schema["$dynamicAnchor"]] = schema
        for child in _children(schema):
            self._read(child, base)

    def _target(self, keyword: str, reference: str, base: str, scope: list[str]) -> Named:
        """What a reference stands for."""
        uri, _, name = reference.partition("#")
        uri = urljoin(base, uri) if uri else base
        dynamic = keyword != "$ref" and (uri, name) in self._dynamic
        for outer in scope if dynamic else ():
            if (outer, name) in self._dynamic:
                return self._dynamic[outer, name], outer
        if dynamic:
            return self._dynamic[uri, name], uri
        return (self._anchors[uri, name] if name else self._resources[uri]), uri

    def _holds(self, schema: Any, value: Any, base: str, scope: list[str]) -> bool:
        """Whether a value is valid by a schema.

        Args:
            schema: the schema.
            value: the value.
            base: the URI of the resource around the schema.
            scope: the resources that were entered, in order.
        """
        if isinstance(schema, bool):
            return schema
        if "$id" in schema or not base:
            base = urljoin(base, schema.get("$id", "root:"))
        scope = [*scope, base]
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                target, where = self._target(keyword, schema[keyword], base, scope)
                if not self._holds(target, value, where, [*scope, where]):
                    return False
        return self._combined(schema, value, base, scope) and _is_scalar_valid(schema, value)

    def _combined(self, schema: Any, value: Any, base: str, scope: list[str]) -> bool:
        def holds(child: Any, part: Any = value) -> bool:
            return self._holds(child, part, base, scope)

        checks = [all(map(holds, schema.get("allOf", ())))]
        if "anyOf" in schema:
            checks.append(any(map(holds, schema["anyOf"])))
        if "oneOf" in schema:
            checks.append(sum(map(holds, schema["oneOf"])) == 1)
        if "not" in schema:
            checks.append(not holds(schema["not"]))
        if "if" in schema:
            checks.append(holds(schema.get("then" if holds(schema["if"]) else "else", True)))
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            checks += [holds(properties.get(name, True), part) for name, part in value.items()]
        if isinstance(value, list):
            prefix = schema.get("prefixItems", ())
            checks += [holds(*pair) for pair in zip(prefix, value, strict=False)]
            checks += [holds(schema.get("items", True), part) for part in value[len(prefix) :]]
        return all(checks)


def _children(schema: dict[str, Any]) -> list[Any]:
    some = [child for keyword in _LISTS for child in schema.get(keyword, ())]
    some += [child for keyword in _MAPS for child in schema.get(keyword, {}).values()]
    return some + [schema[keyword] for keyword in _ONE if keyword in schema]


def _is_scalar_valid(schema: dict[str, Any], value: Any) -> bool:
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        return False
    if isinstance(value, dict) and not set(schema.get("required", ())) <= value.keys():
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return not is_number or value >= schema.get("minimum", value)
