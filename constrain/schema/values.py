"""The values of `enum` and `const` as typed cases.

Equality is JSON Schema's: 1 and 1.0 are one number, booleans are no numbers, the order of an
object's keys does not matter. Only the declared spelling of a number is produced.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from constrain.errors import SchemaError, UnsupportedSchemaError, shorten
from constrain.schema.arrays import ArrayCase
from constrain.schema.cases import FALSE, NULL, TRUE, Cases
from constrain.schema.decimals import MAX_DIGITS, Number, exact
from constrain.schema.document import MADE, Place, found
from constrain.schema.needs import NEVER
from constrain.schema.numbers import NumberCase
from constrain.schema.objects import ObjectCase
from constrain.schema.strings import StringCase, writable


def value_cases(values: Sequence[Any], keyword: str, place: Place) -> Cases:
    """The cases of exactly these JSON values.

    Cost: linear in the number of values.

    Raises:
        SchemaError: something that is not a JSON value.
        UnsupportedSchemaError: a number of more than `MAX_DIGITS` digits.
    """
    words = 0
    numbers: dict[Number, None] = {}
    pointed: set[Number] = set()
    strings: dict[str, None] = {}
    arrays: list[ArrayCase] = []
    objects: list[ObjectCase] = []
    for value in values:
        if isinstance(value, str):
            strings[value] = None
        elif value is None:
            words |= NULL
        elif isinstance(value, bool):
            words |= TRUE if value else FALSE
        elif isinstance(value, (int, float, Decimal)):
            number = read_number(value, keyword, place[1])
            numbers[number] = None
            if not isinstance(value, int) and str(value).endswith(".0"):
                pointed.add(number)
        elif isinstance(value, (list, tuple)):
            arrays.append(_array(value, place))
        elif isinstance(value, dict):
            objects.append(_object(value, place))
        else:
            raise SchemaError(
                f"{shorten(value)} is not a JSON value",
                pointer=place[1], keyword=keyword, value=value,
            )  # fmt: skip
    texts = tuple(strings)
    if not "".join(texts).isascii():
        texts = tuple(filter(writable, texts))
    return Cases(
        words,
        (NumberCase(values=tuple(numbers), pointed=frozenset(pointed)),) if numbers else (),
        (StringCase(texts=texts),) if texts else (),
        tuple(arrays),
        tuple(objects),
    )


def read_number(value: object, keyword: str, pointer: str) -> Number:
    """A JSON number, exactly.

    Raises:
        SchemaError: not a number, or not finite.
        UnsupportedSchemaError: more than `MAX_DIGITS` digits.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise SchemaError(
            f"must be a number, not {found(value)}",
            pointer=pointer, keyword=keyword, value=value,
        )  # fmt: skip
    number = exact(value)
    if number is None:
        finite = isinstance(value, int) or Decimal(value).is_finite()
        if not finite:
            reason = f"{value!r} is not a JSON number"
            raise SchemaError(reason, pointer=pointer, keyword=keyword, value=value)
        reason = f"a number of more than {MAX_DIGITS} digits is not supported"
        raise UnsupportedSchemaError(reason, pointer=pointer, keyword=keyword, value=value)
    return number


def _only(value: object, place: Place) -> Place:
    """A place whose schema allows this value alone."""
    return ({"enum": [value]}, place[1], MADE)


def _object(value: dict[Any, Any], place: Place) -> ObjectCase:
    if not all(isinstance(name, str) for name in value):
        raise SchemaError(
            "an object in 'enum' or 'const' has a key that is no string",
            pointer=place[1], value=value,
        )  # fmt: skip
    return ObjectCase(
        {name: (_only(member, place),) for name, member in value.items()},
        frozenset(value),
        NEVER,
        pointer=place[1],
    )


def _array(value: Sequence[Any], place: Place) -> ArrayCase:
    count = len(value)
    prefix = tuple((_only(item, place),) for item in value)
    return ArrayCase(prefix, NEVER, count, count, place[1])
