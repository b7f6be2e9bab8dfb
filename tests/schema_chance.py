"""Random JSON Schemas over all keywords of draft 2020-12, and values near them.

Everything is drawn from a `random.Random`: hypothesis' own (`st.randoms()`) where failures are
to be made small, a seeded one where many are wanted fast. Names, texts and numbers come from
small pools, so that keywords meet. References loop only through children: a schema that is
defined by itself alone is an error of its own.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import jsonschema
from jsonschema.validators import extend

NAMES = ("a", "b", "ab", "c", "")
TEXTS = ("", "a", "b", "ab", "ba", "aab", "é", "2024-02-29", "2023-02-29", "1.2.3.4", "1.2.3")
NUMBERS = (0, 1, -1, 2, 3, 4, 6, 0.5, 1.5, 0.3, -0.25, 2.25, 0.01, 10)
SCALARS: tuple[Any, ...] = (None, True, False, *TEXTS[:6], *NUMBERS[:8])
PATTERNS = ("^a", "b$", "a|b", "^(ab)*$", "^.$", "aa")
FORMATS = ("date", "ipv4", "made-up")
MULTIPLES = (1, 2, 3, 0.5, 0.3, 1.5, 0.01, 0.25)
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
DEFS = ("d0", "d1")


class SchemaMaker:
    """Makes schemas, and values for them.

    Args:
        chance: where every choice comes from.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._defs: dict[str, Any] = {}

    def document(self, depth: int = 3) -> Any:
        """A root schema, with `$defs` where it may refer to them."""
        for name in DEFS:
            self._defs[name] = self.schema(depth - 1, in_place=())
        schema = self.schema(depth, in_place=DEFS)
        if isinstance(schema, dict) and '"$ref"' in json.dumps([schema, self._defs]):
            schema["$defs"] = self._defs
        return schema

    def schema(self, depth: int, in_place: tuple[str, ...]) -> Any:
        """A schema whose children nest at most `depth` deep.

        Args:
            depth: how deep.
            in_place: definitions it may refer to for the same value.
        """
        chance = self._chance
        if depth <= 0 or chance.random() < 0.15:
            return self._leaf(in_place)
        schema: dict[str, Any] = {}
        if chance.random() < 0.5:
            schema["type"] = self._type()
        groups = (self._scalars, self._arrays, self._objects, self._combined)
        for _ in range(chance.randint(1, 2)):
            chance.choice(groups)(schema, depth, in_place)
        return schema

    def _leaf(self, in_place: tuple[str, ...]) -> Any:
        chance = self._chance
        kind = chance.randrange(8)
        if kind == 0:
            return chance.choice((True, True, {}, False))
        if kind == 1:
            return {"const": self.value(1)}
        if kind == 2:
            return {"enum": [self.value(1) for _ in range(chance.randint(1, 3))]}
        if kind == 3 and in_place:
            return {"$ref": f"#/$defs/{chance.choice(in_place)}"}
        if kind in {4, 5}:
            schema: dict[str, Any] = {}
            self._scalars(schema, 0, in_place)
            return schema
        return {"type": self._type()}

    def _type(self) -> Any:
        if self._chance.random() < 0.2:
            return sorted(set(self._chance.choices(TYPES, k=2)))
        return self._chance.choice(TYPES)

    def _scalars(self, schema: dict[str, Any], _depth: int, _in_place: tuple[str, ...]) -> None:
        chance = self._chance
        for keyword in chance.sample(
            ("minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength",
             "pattern", "format", "exclusiveMaximum"), k=chance.randint(1, 2)
        ):  # fmt: skip
            if keyword == "multipleOf":
                schema[keyword] = chance.choice(MULTIPLES)
            elif keyword in {"minLength", "maxLength"}:
                schema[keyword] = chance.randint(0, 3)
            elif keyword == "pattern":
                schema[keyword] = chance.choice(PATTERNS)
            elif keyword == "format":
                schema[keyword] = chance.choice(FORMATS)
            else:
                schema[keyword] = chance.choice(NUMBERS)

    def _arrays(self, schema: dict[str, Any], depth: int, _in_place: tuple[str, ...]) -> None:
        chance = self._chance
        for keyword in chance.sample(
            ("items", "prefixItems", "contains", "uniqueItems", "minItems", "maxItems",
             "unevaluatedItems"), k=chance.randint(1, 3)
        ):  # fmt: skip
            if keyword == "prefixItems":
                schema[keyword] = [self._child(depth) for _ in range(chance.randint(1, 2))]
            elif keyword == "uniqueItems":
                schema[keyword] = True
            elif keyword in {"minItems", "maxItems"}:
                schema[keyword] = chance.randint(0, 3)
            else:
                schema[keyword] = self._child(depth)
            if keyword == "contains":
                if chance.random() < 0.5:
                    schema["minContains"] = chance.randint(0, 2)
                if chance.random() < 0.5:
                    schema["maxContains"] = chance.randint(0, 3)

    def _objects(self, schema: dict[str, Any], depth: int, in_place: tuple[str, ...]) -> None:
        chance = self._chance
        for keyword in chance.sample(
            ("properties", "properties", "required", "additionalProperties",
             "patternProperties", "propertyNames", "minProperties", "maxProperties",
             "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
            k=chance.randint(1, 3),
        ):  # fmt: skip
            names = chance.sample(NAMES, k=chance.randint(1, 2))
            if keyword == "properties":
                schema[keyword] = {name: self._child(depth) for name in names}
            elif keyword == "required":
                schema[keyword] = names
            elif keyword == "patternProperties":
                pattern = chance.choice(PATTERNS)
                schema[keyword] = {pattern: self._child(depth)}
            elif keyword == "propertyNames":
                schema[keyword] = chance.choice(
                    ({"maxLength": 1}, {"pattern": "a"}, {"enum": ["a", "b"]})
                )
            elif keyword in {"minProperties", "maxProperties"}:
                schema[keyword] = chance.randint(0, 3)
            elif keyword == "dependentRequired":
                schema[keyword] = {names[0]: names[1:]}
            elif keyword == "dependentSchemas":
                schema[keyword] = {names[0]: self.schema(depth - 1, in_place)}
            else:
                schema[keyword] = self._child(depth)

    def _combined(self, schema: dict[str, Any], depth: int, in_place: tuple[str, ...]) -> None:
        chance = self._chance
        keyword = chance.choice(("allOf", "anyOf", "oneOf", "not", "if", "$ref"))
        if keyword == "$ref":
            if in_place:
                schema[keyword] = f"#/$defs/{chance.choice(in_place)}"
        elif keyword == "not":
            schema[keyword] = self.schema(depth - 1, in_place)
        elif keyword == "if":
            for part in ("if", *chance.sample(("then", "else"), k=chance.randint(1, 2))):
                schema[part] = self.schema(depth - 1, in_place)
        else:
            schema[keyword] = [
                self.schema(depth - 1, in_place) for _ in range(chance.randint(1, 3))
            ]
        if chance.random() < 0.15:
            word = chance.choice(("unevaluatedProperties", "unevaluatedItems"))
            schema[word] = self._child(depth)

    def _child(self, depth: int) -> Any:
        return self.schema(depth - 1, in_place=DEFS)

    def value(self, depth: int) -> Any:
        """Any small JSON value."""
        chance = self._chance
        kind = chance.randrange(6) if depth > 0 else 0
        if kind == 4:
            return [self.value(depth - 1) for _ in range(chance.randint(0, 3))]
        if kind == 5:
            names = chance.sample(NAMES, k=chance.randint(0, 3))
            return {name: self.value(depth - 1) for name in names}
        return chance.choice(SCALARS)

    def near(self, schema: Any, depth: int = 4) -> Any:
        """A value that may well be valid: it follows some of what the schema says."""
        chance = self._chance
        if not isinstance(schema, dict) or depth <= 0 or chance.random() < 0.1:
            return self.value(min(depth, 2))
        makers: list[Callable[[], Any]] = []
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            makers.append(lambda: copy.deepcopy(chance.choice(values)))
        if "$ref" in schema:
            target = self._defs[schema["$ref"].rpartition("/")[2]]
            makers.append(lambda: self.near(target, depth - 1))
        for keyword in ("allOf", "anyOf", "oneOf"):
            makers += [
                lambda branch=branch: self.near(branch, depth - 1)  # type: ignore[misc]  # bound as it is now
                for branch in schema.get(keyword, ())
            ]
        makers += [
            lambda branch=schema[keyword]: self.near(branch, depth - 1)  # type: ignore[misc]  # bound as it is now
            for keyword in ("if", "then", "else")
            if keyword in schema
        ]
        if not makers or chance.random() < 0.5:
            return self._of_type(schema, depth)
        return chance.choice(makers)()

    def _of_type(self, schema: dict[str, Any], depth: int) -> Any:
        chance = self._chance
        types = schema.get("type", TYPES[4:])
        kind = types if isinstance(types, str) else chance.choice(types)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "string":
            return chance.choice(TEXTS)
        if kind in {"number", "integer"}:
            return chance.choice(NUMBERS)
        return None if kind == "null" else chance.random() < 0.5

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        chance = self._chance
        prefix = schema.get("prefixItems", [])
        items = schema.get("items", schema.get("unevaluatedItems", True))
        found = []
        for i in range(chance.randint(schema.get("minItems", 0), 4)):
            kind = prefix[i] if i < len(prefix) else items
            if "contains" in schema and chance.random() < 0.4:
                kind = schema["contains"]
            found.append(self.near(kind, depth - 1))
        return found

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        chance = self._chance
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
        names = [*schema.get("required", ())]
        names += [name for name in properties if chance.random() < 0.6]
        names += [name for name in NAMES if chance.random() < 0.25]
        return {
            name: self.near(properties.get(name, others), depth - 1)
            for name in dict.fromkeys(names)
        }


def _multiple(_: Any, divisor: Any, value: Any, __: Any) -> Any:
    """`multipleOf` in exact arithmetic: decimals are what they are written as."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return
    ratio = 1 / Fraction(divisor)
    value = Fraction(value) * ratio.numerator
    if value.denominator != 1 or value.numerator % ratio.denominator:
        yield jsonschema.ValidationError(f"{value} is not a multiple of {divisor}")


def _is_integer(_: Any, value: Any) -> bool:
    """Whether a number is an integer, however it is written."""
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = extend(  # type: ignore[no-untyped-call]  # its stub has no types
    jsonschema.Draft202012Validator,
    {"multipleOf": _multiple},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_CHECKER = jsonschema.FormatChecker(formats=())
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


@_CHECKER.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    """RFC 3339's full-date, whose years begin at 0000; that was a leap year, as is 2000."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            return False
        dt.date.fromisoformat(value.replace("0000-", "2000-"))
    return True


@_CHECKER.checks("ipv4")
def _is_ipv4(value: object) -> bool:
    """Four decimal numbers of up to 255, without leading zeros."""
    return not isinstance(value, str) or _IPV4.fullmatch(value) is not None


class Oracle:
    """`jsonschema`'s verdicts, with exact decimals and the formats of `FORMATS` asserted."""

    def __init__(self, schema: Any) -> None:
        self._validator = _Validator(_exact(json.dumps(schema)), format_checker=_CHECKER)

    def is_valid(self, text: str | bytes) -> bool:
        """Whether a JSON text is valid. A key that stands twice in an object is an error."""
        return bool(self._validator.is_valid(_exact(text)))


def _number(text: str) -> Decimal:
    """A number with its exponent cut to 400: beyond, no keyword here tells a difference."""
    digits, _, exponent = text.lower().partition("e")
    return Decimal(f"{digits}e{max(-400, min(int(exponent or '0'), 400))}")


def _exact(text: str | bytes) -> Any:
    return json.loads(text, parse_float=_number, object_pairs_hook=_unique)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    assert len(found) == len(members), members
    return found
