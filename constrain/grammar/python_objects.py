"""Rewriting of the JSON Schemas that pydantic publishes: keys, tags and formats.

Plain dictionaries in and out; pydantic itself is not needed here.
"""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from constrain.errors import SchemaError, UnsupportedSchemaError
from constrain.grammar import python_numbers, python_patterns

Schema = dict[str, Any]

_ANNOTATIONS = {"title", "description", "default", "examples", "deprecated"}
_DATA = {"default", "const", "enum", "examples", "discriminator"}  # hold values, no schemas
_MAPS = {"properties", "patternProperties", "$defs", "dependentSchemas"}
_COMPARISONS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
}
_UNPUSHED = ("max_digits", "decimal_places", "allow_inf_nan")
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}
_JSON_STRING = r'"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt])*"'
_SYNTAX = "^$\\.*+?()[]{}|/"

_FORMATS: Mapping[str, Callable[[], str]] = {
    "ipv4": lambda: python_patterns.ip_address((4,)),
    "ipv6": lambda: python_patterns.ip_address((6,)),
    "ipvanyaddress": lambda: python_patterns.ip_address((4, 6)),
    "ipv4interface": lambda: python_patterns.ip_interface((4,)),
    "ipv6interface": lambda: python_patterns.ip_interface((6,)),
    "ipvanyinterface": lambda: python_patterns.ip_interface((4, 6)),
    "ipv4network": lambda: python_patterns.ip_network((4,)),
    "ipv6network": lambda: python_patterns.ip_network((6,)),
    "ipvanynetwork": lambda: python_patterns.ip_network((4, 6)),
    "base64": lambda: python_patterns.base64_of_ascii(url_safe=False),
    "base64url": lambda: python_patterns.base64_of_ascii(url_safe=True),
    "email": lambda: python_patterns.EMAIL,
}
_OF_BYTES = "x-of-bytes"  # marks strings that stand for bytes until formats are looked at
_ASCII_ONLY = "ASCII only, as the length is counted in bytes"
_REFUSED = {
    "file-path": "whether the file exists depends on the machine",
    "directory-path": "whether the folder exists depends on the machine",
    "regex": "which texts are regular expressions is not a regular language",
}


def keyed(schema: Schema, keys: Schema) -> Schema:
    """The schema of a `dict`, with keys that its key type reads.

    Args:
        schema: what pydantic publishes for the dict.
        keys: the JSON Schema of the key type, without `$ref` at its root.

    Raises:
        SchemaError: no text is a key of that type.
    """
    result = {
        k: v for k, v in schema.items() if k not in ("patternProperties", "propertyNames")
    }
    for values in schema.get("patternProperties", {}).values():
        result["additionalProperties"] = values
    names = _key_names(keys)
    if not names:
        return result
    if "enum" in names:
        values = result.get("additionalProperties", True)
        return {
            **result,
            "properties": dict.fromkeys(names["enum"], values),
            "additionalProperties": False,
        }
    return {**result, "propertyNames": names}


def _key_names(keys: Schema) -> Schema:
    """A schema for key texts; empty: every text."""
    keys = {name: value for name, value in keys.items() if name not in _ANNOTATIONS}
    options = keys.get("enum", [keys["const"]] if "const" in keys else None)
    if options is not None:
        names = [option for option in options if isinstance(option, str)]
        if not names:
            raise SchemaError(
                "no member of the key type is a text, as JSON keys are", value=keys
            )
        return {"enum": names}
    if "anyOf" in keys:
        branches = [_key_names(branch) for branch in keys["anyOf"]]
        return {"anyOf": branches} if all(branches) else {}
    kind = keys.get("type")
    if kind == "boolean":
        return {"enum": ["true", "false"]}
    if kind in ("integer", "number") and len(keys) == 1:
        pattern = python_patterns.INTEGER if kind == "integer" else python_patterns.NUMBER
        return {"pattern": pattern}
    if kind == "string" or not keys:
        return {name: value for name, value in keys.items() if name != "type"}
    raise UnsupportedSchemaError("keys of this type are not supported", value=keys)


def finished(document: Schema) -> Schema:
    """The whole published schema with tags required and formats made exact.

    Raises:
        UnsupportedSchemaError: a format that no schema can state exactly.
    """
    definitions: Schema = document.setdefault("$defs", {})
    for place, schema in list(_subschemas(document)):
        _require_tags(schema, definitions)
        _make_format_exact(schema, place)
    for place, schema in list(_subschemas(document)):
        _push_constraints(schema, place, definitions)
    if not definitions:
        del document["$defs"]
    return document


def _require_tags(schema: Schema, definitions: Schema) -> None:
    """Turn a discriminated union into the plain union it is once every branch has its tag."""
    if "oneOf" in schema and "discriminator" in schema:
        name = schema.pop("discriminator")["propertyName"]
        branches = schema.pop("oneOf")
        schema["anyOf"] = [_tagged(branch, name, definitions) for branch in branches]


def _tagged(branch: Schema, name: str, definitions: Schema) -> Schema:
    """`branch` with the property `name` required: a tag may not be left to its default."""
    target = branch
    while "$ref" in target:
        key = target["$ref"].removeprefix("#/$defs/")
        target = definitions[key]
    _require_tags(target, definitions)
    if "anyOf" in target:
        return {
            **target,
            "anyOf": [_tagged(item, name, definitions) for item in target["anyOf"]],
        }
    if name in target.get("required", ()) or name not in target.get("properties", {}):
        return branch
    tagged = {**target, "required": [*target.get("required", ()), name]}
    if "$ref" not in branch:
        return tagged
    label = f"{branch['$ref'].removeprefix('#/$defs/')}-with-{name}"
    definitions[label] = tagged
    return {**branch, "$ref": f"#/$defs/{label}"}


def _subschemas(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema of the document, with its JSON pointer."""
    waiting: list[tuple[str, Any]] = [("#", document)]
    while waiting:
        place, item = waiting.pop()
        if not isinstance(item, dict):
            continue
        yield place, item
        for key, value in item.items():
            if key in _MAPS and isinstance(value, dict):
                waiting += [(f"{place}/{key}/{name}", part) for name, part in value.items()]
            elif key not in _DATA and isinstance(value, list):
                waiting += [(f"{place}/{key}/{i}", part) for i, part in enumerate(value)]
            elif key not in _DATA:
                waiting.append((f"{place}/{key}", value))


def _push_constraints(schema: Schema, place: str, definitions: Schema) -> None:
    """Move constraints on a union, or on a reference, to the types that they are for.

    Pydantic publishes them beside the union, by its own names (`gt`) or as `minLength`, where
    they say nothing.
    """
    mixed = "anyOf" in schema or "$ref" in schema
    names = {
        *_COMPARISONS,
        *_UNPUSHED,
        *(("minLength", "maxLength", "pattern") if mixed else ()),
    }
    given = {name: schema.pop(name) for name in names if name in schema}
    if given:
        _tighten(schema, given, place, definitions)


def _tighten(schema: Schema, given: Schema, place: str, definitions: Schema) -> None:
    """Apply constraints, named as pydantic names them, to a schema, in place."""
    while "$ref" in schema:
        schema.update(definitions[schema.pop("$ref").removeprefix("#/$defs/")])
    if "anyOf" in schema:
        schema["anyOf"] = [dict(branch) for branch in schema["anyOf"]]
        for branch in schema["anyOf"]:
            _tighten(branch, given, place, definitions)
        return
    kind = schema.get("type")
    for name, value in given.items():
        if kind == "integer" and name in _COMPARISONS:
            added = {_COMPARISONS[name]: value}
        elif kind == "number" and name in _COMPARISONS:
            bounds = python_numbers.Bounds(**{name: value})
            added = python_numbers.float_schema(bounds, finite=False)
        elif kind in _LENGTHS and name in ("minLength", "maxLength"):
            added = {name[:3] + _LENGTHS[kind]: value}
        else:
            raise UnsupportedSchemaError(
                f"the constraint {name}={value!r} does not fit every type of the union; put it "
                "on the type that it is for",
                pointer=place,
            )
        _combine(schema, added, place)


def _combine(schema: Schema, added: Schema, place: str) -> None:
    for name, value in added.items():
        if name == "type" or schema.get(name, value) == value:
            schema[name] = value
        elif name.startswith(("min", "exclusiveMin")):
            schema[name] = max(schema[name], value)
        elif name.startswith(("max", "exclusiveMax")):
            schema[name] = min(schema[name], value)
        else:
            raise UnsupportedSchemaError(
                "two different constraints", pointer=place, keyword=name, value=value
            )


def bytes_schema(min_length: int | None, max_length: int | None, encoding: str) -> Schema:
    """JSON Schema of `bytes` between two lengths, as "utf8", "base64" or "hex" text."""
    schema: Schema = {"type": "string", _OF_BYTES: True}
    low = min_length or 0
    if encoding == "base64":
        pattern = python_patterns.base64(low, max_length, url_safe=True)
        return {**schema, "pattern": pattern}
    if encoding == "hex":
        return {**schema, "pattern": python_patterns.hex_bytes(low, max_length)}
    if low:
        schema["minLength"] = low
    if max_length is not None:
        schema["maxLength"] = max_length
    if low or max_length is not None:
        schema |= {"pattern": python_patterns.ASCII, "$comment": _ASCII_ONLY}
    return schema


def _make_format_exact(schema: Schema, place: str) -> None:
    of_bytes = schema.pop(_OF_BYTES, False)
    name = schema.get("format")
    if schema.get("type") != "string" or not isinstance(name, str):
        return
    if name in _REFUSED:
        raise UnsupportedSchemaError(
            _REFUSED[name], pointer=place, keyword="format", value=name
        )
    if name == "zoneinfo":
        schema["enum"] = sorted(zoneinfo.available_timezones())
        del schema["format"]
    elif name in ("path", "password") or name.startswith("uuid"):
        del schema["format"]
    elif of_bytes and name in ("base64", "base64url") and "pattern" not in schema:
        schema["pattern"] = python_patterns.base64(0, None, url_safe=name == "base64url")
        del schema["format"]
    elif name in _FORMATS and "pattern" not in schema:
        schema["pattern"] = _FORMATS[name]()
        del schema["format"]


def inlined(content: Schema, resolve: Callable[[Schema], Schema]) -> Schema:
    """`content` with every `$ref` replaced by what it refers to.

    Args:
        content: a schema.
        resolve: gives the schema that a schema with `$ref` stands for, and raises
            RuntimeError while that one is still being made (it refers to itself).

    Raises:
        UnsupportedSchemaError: a schema that refers to itself.
    """

    def visit(item: Any, outer: tuple[str, ...]) -> Any:
        if isinstance(item, list):
            return [visit(part, outer) for part in item]
        if not isinstance(item, dict):
            return item
        name = item.get("$ref")
        if not isinstance(name, str):
            return {key: visit(value, outer) for key, value in item.items()}
        try:
            target = resolve(item)
        except RuntimeError:
            target = None
        if target is None or name in outer:
            raise UnsupportedSchemaError(
                "recursive JSON inside a JSON string is no regular language", value=content
            )
        return visit(target, (*outer, name))

    result: Schema = visit(content, ())
    return result


def json_text(content: Schema) -> str:
    """A pattern for compact JSON texts of a schema: for JSON inside a JSON string.

    Raises:
        UnsupportedSchemaError: the texts are no regular language, or the schema says more than
            types, enums, arrays and closed objects.
    """
    return f"^{_json_text(content)}$"


def _json_text(content: Schema) -> str:
    schema = {name: value for name, value in content.items() if name not in _ANNOTATIONS}
    kind = schema.pop("type", None)
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        return _either(_escaped(json.dumps(o, separators=(",", ":"))) for o in options)
    if "anyOf" in schema:
        return _either(_json_text(option) for option in schema["anyOf"])
    scalars = {
        "null": "null",
        "boolean": "(?:true|false)",
        "integer": python_patterns.INTEGER[1:-1],
        "number": python_patterns.NUMBER[1:-1],
        "string": _JSON_STRING,
    }
    if kind in scalars and not schema:
        return scalars[kind]
    if kind == "array" and schema.keys() == {"items"} and schema["items"]:
        item = _json_text(schema["items"])
        return rf"\[(?:{item}(?:,{item})*)?\]"
    if kind == "object" and schema.get("additionalProperties") is False:
        return _json_object(schema)
    raise UnsupportedSchemaError(
        "JSON inside a JSON string is supported for scalars, arrays and closed objects without "
        "further constraints",
        value=content,
    )


def _json_object(schema: Schema) -> str:
    required = schema.get("required", ())
    members = [
        (_escaped(json.dumps(name)) + ":" + _json_text(value), name in required)
        for name, value in schema.get("properties", {}).items()
    ]
    options: list[str] = []
    for index, (first, needed) in enumerate(members):
        rest = "".join(
            f",{text}" if must else f"(?:,{text})?" for text, must in members[index + 1 :]
        )
        options.append(first + rest)
        if needed:
            break
    else:
        options.append("")
    return rf"\{{{_either(options)}\}}"


def _either(options: Iterator[str] | list[str]) -> str:
    return f"(?:{'|'.join(options)})"


def _escaped(text: str) -> str:
    return "".join("\\" + char if char in _SYNTAX else char for char in text)


def check_set(schema: Any) -> None:
    """Refuse a minimum of members where texts that differ may be equal in Python.

    `true` and `1` are one member of a `set[bool | int]`, two spellings of an instant one of a
    `set[datetime]`; a bound on the number of texts is then none on the number of members.

    Raises:
        UnsupportedSchemaError: a set of at least two of such values.
    """
    if schema.get("min_length", 0) > 1 and not _is_told_apart(schema.get("items_schema")):
        raise UnsupportedSchemaError(
            "a set of two or more needs members of one type, int, str, bool or literal: others "
            "may be equal though their texts differ",
            keyword="minItems",
            value=schema["min_length"],
        )


def _is_told_apart(items: Any) -> bool:
    """Whether members that differ as JSON values differ in Python."""
    kind = None if items is None else items["type"]
    if kind == "literal":
        return len(set(items["expected"])) == len({(type(e), e) for e in items["expected"]})
    if kind == "str":
        return not any(map(items.get, ("strip_whitespace", "to_lower", "to_upper")))
    return kind in {"int", "bool"}
