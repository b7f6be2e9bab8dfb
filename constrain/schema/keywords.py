"""One schema's own keywords -> typed cases; combinators and references are not read here.

Each keyword binds only the type it speaks of. Every value is checked for its form first, so
a malformed keyword is an error even where the type makes it void.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from constrain.errors import SchemaError, UnsupportedSchemaError, shorten
from constrain.grammar.ir import Node
from constrain.schema.array_keywords import array_cases
from constrain.schema.arrays import ANY_ARRAY, ArrayCase
from constrain.schema.cases import FALSE, NULL, TRUE, Cases, conjoin
from constrain.schema.decimals import Number
from constrain.schema.document import Place, found
from constrain.schema.formats import FormatUse, format_use
from constrain.schema.numbers import (
    ANY_INTEGER,
    ANY_NUMBER,
    MAX_DIVISOR,
    NumberCase,
    conjoin_numbers,
    number_text,
)
from constrain.schema.object_keywords import object_cases
from constrain.schema.objects import ANY_OBJECT, ObjectCase
from constrain.schema.reading import count_of, malformed
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
    "contains",
})  # fmt: skip
_OBJECT_KEYWORDS: Final = frozenset({
    "properties", "required", "additionalProperties", "minProperties", "maxProperties",
    "patternProperties",
})  # fmt: skip
MAX_POINTER: Final = 2_000
"""Longer pointers are cut: they cost time in proportion to the depth, for every node."""


def own_cases(
    place: Place, keywords: AbstractSet[str], notes: list[str], *, annotate: bool = False
) -> Cases:
    """What a schema's own keywords allow.

    Args:
        place: the schema, a dict.
        keywords: those of its keys that its draft knows to constrain.
        notes: what is treated as an annotation is added here.
        annotate: whether cases shall say what they evaluated.

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
            arrays = array_cases(place, keywords, annotate=annotate)
    if types & _OBJECT:
        objects = (ANY_OBJECT,)
        if not _OBJECT_KEYWORDS.isdisjoint(keywords):
            objects = object_cases(place, keywords, annotate=annotate)
    cases = Cases(types & _WORDS, numbers, strings, arrays, objects)
    if "enum" in keywords:
        values = place[0]["enum"]
        if not isinstance(values, (list, tuple)):
            raise malformed("enum", "an array", place)
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


def _format(place: Place, types: int, notes: list[str]) -> FormatUse | None:
    """How `format` is used; unknown ones become notes."""
    name = place[0]["format"]
    if not isinstance(name, str):
        raise malformed("format", "a string", place)
    use = format_use(name)
    if use is None:
        notes.append(f"unknown format {shorten(name)} at {place[1]} is an annotation")
    elif use.left_out and types & _STRING:
        notes.append(f"format {shorten(name)} at {place[1]} leaves out {use.left_out}")
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
            raise malformed("multipleOf", "greater than 0", place)
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
        reason = f"a divisor whose digits are {MAX_DIVISOR} or more is not supported"
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
    shortest = count_of(place, "minLength", keywords) or 0
    longest = count_of(place, "maxLength", keywords)
    parts: list[Node] = []
    if "pattern" in keywords and not isinstance(place[0]["pattern"], str):
        raise malformed("pattern", "a string", place)
    if not types & _STRING:
        return ()
    if "pattern" in keywords:
        parts.append(pattern_node(place[0]["pattern"], place[1], "pattern"))
    if use is not None and use.text is not None:
        parts.append(use.text())
    case = StringCase(tuple(parts), shortest, longest)
    return () if case.is_empty else (case,)
