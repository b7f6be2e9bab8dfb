"""One schema's own keywords -> typed cases; combinators and references are not read here.

Each keyword binds only the type it speaks of. Every value is checked for its form first, so
a malformed keyword is an error even where the type makes it void.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import reduce
from typing import Any, Final

from constrain.errors import SchemaError, UnsupportedSchemaError, shorten
from constrain.grammar.ir import Node
from constrain.schema.cases import (
    ANY_ARRAY,
    ANY_OBJECT,
    FALSE,
    NEVER,
    NULL,
    TRUE,
    ArrayCase,
    Cases,
    ObjectCase,
    array_case,
    conjoin,
    conjoin_needs,
)
from constrain.schema.decimals import Number
from constrain.schema.document import Need, Place, escaped, found
from constrain.schema.formats import FormatUse, format_use
from constrain.schema.keys import MAX_PATTERNS, is_universal, matches, pattern_sets
from constrain.schema.numbers import (
    ANY_INTEGER,
    ANY_NUMBER,
    MAX_FRACTIONS,
    NumberCase,
    conjoin_numbers,
    number_text,
)
from constrain.schema.strings import ANY_STRING, StringCase, pattern_node
from constrain.schema.values import read_number, value_cases

_INTEGER, _NUMBER, _STRING, _ARRAY, _OBJECT = 8, 16, 32, 64, 128
_WORDS = NULL | FALSE | TRUE
_ALL = _WORDS | _NUMBER | _STRING | _ARRAY | _OBJECT
_TYPES: Final = {
    "null": NULL,
    "boolean": FALSE | TRUE,
    "integer": _INTEGER,
    "number": _NUMBER,
    "string": _STRING,
    "array": _ARRAY,
    "object": _OBJECT,
}
_NUMBER_KEYWORDS: Final = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format",
})  # fmt: skip
_STRING_KEYWORDS: Final = frozenset({"minLength", "maxLength", "pattern", "format"})
_ARRAY_KEYWORDS: Final = frozenset({
    "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems",
    "contains", "unevaluatedItems",
})  # fmt: skip
_OBJECT_KEYWORDS: Final = frozenset({
    "properties", "required", "additionalProperties", "minProperties", "maxProperties",
    "patternProperties", "unevaluatedProperties",
})  # fmt: skip
# What each of these says when it says nothing.
_NO_DEMAND: Final[dict[str, tuple[object, ...]]] = {
    "contains": (),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
}
_UNSUPPORTED_ARRAYS: Final = _ARRAY_KEYWORDS & _NO_DEMAND.keys()
_UNSUPPORTED_OBJECTS: Final = _OBJECT_KEYWORDS & _NO_DEMAND.keys()

MAX_POINTER: Final = 2_000
"""Longer pointers are cut: they cost time in proportion to the depth, for every node."""


def own_cases(place: Place, keywords: AbstractSet[str], notes: list[str]) -> Cases:
    """What a schema's own keywords allow.

    Args:
        place: the schema, a dict.
        keywords: those of its keys that its draft knows to constrain.
        notes: what is treated as an annotation is added here.

    Raises:
        SchemaError: a keyword's value is malformed.
        UnsupportedSchemaError: a keyword that is not supported binds an allowed type.
    """
    if len(place[1]) > MAX_POINTER:
        place = (place[0], place[1][: MAX_POINTER // 2] + "…", place[2])
    types = _types(place) if "type" in keywords else _ALL
    numbers, strings = _scalars(place, keywords, types, notes)
    arrays: tuple[ArrayCase, ...] = ()
    objects: tuple[ObjectCase, ...] = ()
    if types & _ARRAY:
        arrays = (ANY_ARRAY,)
        if not _ARRAY_KEYWORDS.isdisjoint(keywords):
            arrays = _arrays(place, keywords)
    if types & _OBJECT:
        objects = (ANY_OBJECT,)
        if not _OBJECT_KEYWORDS.isdisjoint(keywords):
            objects = _objects(place, keywords)
    cases = Cases(types & _WORDS, numbers, strings, arrays, objects)
    if "enum" in keywords:
        values = place[0]["enum"]
        if not isinstance(values, (list, tuple)):
            raise _malformed("enum", "an array", place)
        cases = conjoin(value_cases(values, "enum", place), cases)
    if "const" in keywords:
        cases = conjoin(value_cases((place[0]["const"],), "const", place), cases)
    return cases


def _scalars(
    place: Place, keywords: AbstractSet[str], types: int, notes: list[str]
) -> tuple[tuple[NumberCase, ...], tuple[StringCase, ...]]:
    """The number and string cases."""
    use = _format(place, types, notes) if "format" in keywords else None
    numbers: tuple[NumberCase, ...] = ()
    strings: tuple[StringCase, ...] = ()
    if not _NUMBER_KEYWORDS.isdisjoint(keywords):
        numbers = _numbers(place, keywords, types, use)
    elif types & _NUMBER:
        numbers = (ANY_NUMBER,)
    elif types & _INTEGER:
        numbers = (ANY_INTEGER,)
    if not _STRING_KEYWORDS.isdisjoint(keywords):
        strings = _strings(place, keywords, types, use)
    elif types & _STRING:
        strings = (ANY_STRING,)
    return numbers, strings


def need_of(schema: object, pointer: str, place: Place) -> Need:
    """The need that a child schema of `place` states."""
    if schema is True or schema == {}:
        return ()
    if schema is False:
        return NEVER
    return ((schema, pointer, place[2]),)


def _malformed(keyword: str, expected: str, place: Place) -> SchemaError:
    value = place[0][keyword]
    return SchemaError(
        f"must be {expected}, not {found(value)}",
        pointer=place[1], keyword=keyword, value=value,
    )  # fmt: skip


def _types(place: Place) -> int:
    value = place[0]["type"]
    if isinstance(value, str) and value in _TYPES:
        return _TYPES[value]
    names = value if isinstance(value, (list, tuple)) else (value,)
    bits = 0
    for name in names:
        bit = _TYPES.get(name) if isinstance(name, str) else None
        if bit is None:
            raise SchemaError(
                f"{found(name)} is not a JSON Schema type",
                pointer=place[1], keyword="type", value=value,
            )  # fmt: skip
        bits |= bit
    return bits


def _count(place: Place, keyword: str, keywords: AbstractSet[str]) -> int | None:
    """The value of a keyword that is a count, or None if it is absent."""
    if keyword not in keywords:
        return None
    value = place[0][keyword]
    if isinstance(value, (float, Decimal)) and value == value // 1:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _malformed(keyword, "a non-negative integer", place)
    return value


def _format(place: Place, types: int, notes: list[str]) -> FormatUse | None:
    """How `format` is used; unknown ones become notes."""
    name = place[0]["format"]
    if not isinstance(name, str):
        raise _malformed("format", "a string", place)
    use = format_use(name)
    if use is None:
        notes.append(f"unknown format {shorten(name)} at {place[1]} is an annotation")
    elif use.is_unsupported and types & _STRING:
        reason = f"format {shorten(name)} is not supported"
        raise UnsupportedSchemaError(reason, pointer=place[1], keyword="format", value=name)
    elif use.is_annotation:
        notes.append(f"format {shorten(name)} at {place[1]} is an annotation")
    return use


def _numbers(
    place: Place, keywords: AbstractSet[str], types: int, use: FormatUse | None
) -> tuple[NumberCase, ...]:
    schema, pointer, scope = place
    low, low_open = _bound(place, keywords, "minimum", "exclusiveMinimum")
    high, high_open = _bound(place, keywords, "maximum", "exclusiveMaximum")
    if scope.draft.boolean_bounds:
        low_open = low_open or schema.get("exclusiveMinimum") is True
        high_open = high_open or schema.get("exclusiveMaximum") is True
    multiple = None
    if "multipleOf" in keywords:
        divisor = read_number(schema["multipleOf"], "multipleOf", pointer)
        if divisor <= 0:
            raise _malformed("multipleOf", "greater than 0", place)
        multiple = divisor.as_integer_ratio()
    if not types & (_NUMBER | _INTEGER):
        return ()
    integral = not types & _NUMBER
    case = NumberCase(integral, low, low_open, high, high_open, multiple)
    if use is not None and use.integers is not None and integral:
        first, last = use.integers
        case = conjoin_numbers(case, NumberCase(low=first, high=last))
    if case.is_empty:
        return ()
    if number_text(case) is None:
        reason = (
            "is supported for whole numbers, and for 1/n where n divides a power of ten and is "
            f"at most {MAX_FRACTIONS} (0.01, 0.25)"
        )
        raise UnsupportedSchemaError(
            reason, pointer=pointer, keyword="multipleOf", value=schema["multipleOf"]
        )
    return (case,)


def _bound(
    place: Place, keywords: AbstractSet[str], closed: str, opened: str
) -> tuple[Number | None, bool]:
    """The tighter of `minimum` and `exclusiveMinimum` (or the maxima), and if it is open."""
    schema, pointer, scope = place
    bound = read_number(schema[closed], closed, pointer) if closed in keywords else None
    if opened not in keywords:
        return bound, False
    value = schema[opened]
    if isinstance(value, bool) and scope.draft.boolean_bounds:
        return bound, False
    strict = read_number(value, opened, pointer)
    if bound is not None and (bound > strict if opened[9:] == "Minimum" else bound < strict):
        return bound, False
    return strict, True


def _strings(
    place: Place, keywords: AbstractSet[str], types: int, use: FormatUse | None
) -> tuple[StringCase, ...]:
    shortest = _count(place, "minLength", keywords) or 0
    longest = _count(place, "maxLength", keywords)
    parts: list[Node] = []
    if "pattern" in keywords and not isinstance(place[0]["pattern"], str):
        raise _malformed("pattern", "a string", place)
    if not types & _STRING:
        return ()
    if "pattern" in keywords:
        parts.append(pattern_node(place[0]["pattern"], place[1], "pattern"))
    if use is not None and use.text is not None:
        parts.append(use.text())
    case = StringCase(tuple(parts), shortest, longest)
    return () if case.is_empty else (case,)


def _refuse_unsupported(
    place: Place, keywords: AbstractSet[str], names: frozenset[str]
) -> None:
    for keyword in keywords & names:
        value = place[0][keyword]
        if not any(value is void or value == void for void in _NO_DEMAND[keyword]):
            raise UnsupportedSchemaError(
                "is not supported", pointer=place[1], keyword=keyword, value=value
            )


def _arrays(place: Place, keywords: AbstractSet[str]) -> tuple[ArrayCase, ...]:
    schema, pointer, _ = place
    if not _UNSUPPORTED_ARRAYS.isdisjoint(keywords):
        _refuse_unsupported(place, keywords, _UNSUPPORTED_ARRAYS)
    shortest = _count(place, "minItems", keywords) or 0
    longest = _count(place, "maxItems", keywords)
    prefix: list[Need] = []
    items: Need = ()
    tuple_keyword = "prefixItems" if "prefixItems" in keywords else ""
    rest_keyword = "items" if "items" in keywords else ""
    if rest_keyword and isinstance(schema["items"], (list, tuple)) and not tuple_keyword:
        tuple_keyword = "items"
        rest_keyword = "additionalItems" if "additionalItems" in keywords else ""
    if tuple_keyword:
        schemas = schema[tuple_keyword]
        if not isinstance(schemas, (list, tuple)):
            raise _malformed(tuple_keyword, "an array of schemas", place)
        prefix = [
            need_of(item, f"{pointer}/{tuple_keyword}/{i}", place)
            for i, item in enumerate(schemas)
        ]
    if rest_keyword:
        items = need_of(schema[rest_keyword], f"{pointer}/{rest_keyword}", place)
    unique = schema["uniqueItems"] if "uniqueItems" in keywords else False
    if not isinstance(unique, bool):
        raise _malformed("uniqueItems", "true or false", place)
    case = array_case(prefix, items, shortest, longest, pointer, unique=unique)
    return () if case.is_empty else (case,)


def _objects(place: Place, keywords: AbstractSet[str]) -> tuple[ObjectCase, ...]:
    schema, pointer, scope = place
    if not _UNSUPPORTED_OBJECTS.isdisjoint(keywords):
        _refuse_unsupported(place, keywords, _UNSUPPORTED_OBJECTS)
    needs: dict[str, Need] = {}
    if "properties" in keywords:
        properties = schema["properties"]
        if not isinstance(properties, dict):
            raise _malformed("properties", "an object", place)
        prefix = pointer + "/properties/"
        for name, child in properties.items():
            if child is True or child is False or not child:
                needs[name] = need_of(child, prefix + escaped(name), place)
            else:
                needs[name] = ((child, prefix + escaped(name), scope),)
    additional: Need = ()
    if "additionalProperties" in keywords:
        child = schema["additionalProperties"]
        additional = need_of(child, pointer + "/additionalProperties", place)
    required = _required(place, keywords)
    case = ObjectCase(
        needs,
        frozenset(required),
        additional,
        _count(place, "minProperties", keywords) or 0,
        _count(place, "maxProperties", keywords),
        pointer,
    )
    if "patternProperties" in keywords:
        _classify(case, place)
    for name in required:
        if name not in needs:
            needs[name] = case.need_of(name)
    return () if case.is_empty else (case,)


def _classify(case: ObjectCase, place: Place) -> None:
    """Give a new case the classes of keys that `patternProperties` makes."""
    patterns = place[0]["patternProperties"]
    if not isinstance(patterns, dict):
        raise _malformed("patternProperties", "an object", place)
    prefix = place[1] + "/patternProperties/"
    nodes: list[Node] = []
    needs: list[Need] = []
    for pattern, child in patterns.items():
        node = pattern_node(pattern, place[1], "patternProperties")
        need = need_of(child, prefix + escaped(pattern), place)
        for name in case.properties:
            if matches(node, name):
                case.properties[name] = conjoin_needs(case.properties[name], need)
        nodes.append(node)
        needs.append(need)
    everywhere = [need for node, need in zip(nodes, needs, strict=True) if is_universal(node)]
    if everywhere:  # every key matches a pattern: none is additional
        case.additional = ()
    some = [i for i, node in enumerate(nodes) if not is_universal(node)]
    if not case.additional:
        some = [i for i in some if needs[i]]
    if len(some) > MAX_PATTERNS:
        raise UnsupportedSchemaError(
            f"more than {MAX_PATTERNS} patterns are not supported",
            pointer=place[1], keyword="patternProperties", value=patterns,
        )  # fmt: skip
    nothing: Need = ()
    common = reduce(conjoin_needs, everywhere, nothing)
    case.additional = conjoin_needs(case.additional, common)
    case.classes = tuple(
        (key, reduce(conjoin_needs, (needs[some[i]] for i in matched), common))
        for key, matched in pattern_sets([nodes[i] for i in some])
    )


def _required(place: Place, keywords: AbstractSet[str]) -> list[Any]:
    if "required" not in keywords:
        return []
    required = place[0]["required"]
    if not isinstance(required, (list, tuple)):
        raise _malformed("required", "an array of strings", place)
    for name in required:
        if not isinstance(name, str):
            raise _malformed("required", "an array of strings", place)
    return list(required)
