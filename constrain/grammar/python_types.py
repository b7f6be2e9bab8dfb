"""Python types -> JSON Schema, through pydantic; the one module that imports it.

A text is allowed when the schema that pydantic publishes for the type and the type itself both
accept it. So the schema here is pydantic's own, tightened where pydantic reads less than it
publishes (patterns for dates and addresses, float bounds, keys of dictionaries, discriminators)
and closed: objects take no further properties unless the type says so (`extra="allow"`).
Where only some spellings of a value are allowed, every *value* can still be produced; the few
exceptions carry a `$comment`.

Not seen, as they are code: validator functions, `PlainValidator`, discriminator functions. What
they refuse is refused by `from_json`. Nor are jiter's own bounds (4 300 digits, depth 200), nor
texts of over 300 zeros that pydantic rounds to 0 where it wants more than 0.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType, GenericAlias, NoneType, UnionType
from typing import Any

import pydantic
import typing_extensions
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import SchemaError as CoreSchemaError
from pydantic_core import SchemaValidator, ValidationError, core_schema, to_json

from constrain.errors import SchemaError, UnsupportedSchemaError, shorten
from constrain.grammar import (
    pydantic_pattern,
    python_numbers,
    python_objects,
    python_patterns,
    python_times,
)

_FORMS = (type, GenericAlias, UnionType, NoneType, typing.TypeVar, typing.NewType)
_CACHED_TYPES = 256
# TypeError: constraints that do not fit the type; ImportError: email-validator is missing.
_PYDANTIC_ERRORS = (
    PydanticUserError,
    CoreSchemaError,
    NameError,
    ImportError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class PythonType:
    """A Python type as a JSON Schema, and what turns text into its values.

    Attributes:
        schema: a JSON Schema (2020-12) for the text. Shared between calls: do not change it.
        adapter: the type's `pydantic.TypeAdapter`.
    """

    schema: dict[str, Any]
    adapter: pydantic.TypeAdapter[Any]


def is_python_type(value: object) -> bool:
    """Whether `value` is a type (or a `TypeAdapter`) rather than a schema (dict, bool or text).

    >>> is_python_type(list[int]), is_python_type({"type": "integer"}), is_python_type("{}")
    (True, False, False)
    """
    if isinstance(value, (*_FORMS, pydantic.TypeAdapter)):
        return True
    if isinstance(value, dict | bool | str | bytes | FunctionType):
        return False
    special = value is Any or hasattr(value, "__value__")  # `type X = ...`, TypeAliasType
    return special or typing.get_origin(value) is not None


def to_schema(type_: Any) -> PythonType:
    """The JSON Schema of a Python type.

    Args:
        type_: a Pydantic model, dataclass, TypedDict, NamedTuple, Enum, a plain or annotated
            type: whatever `pydantic.TypeAdapter` takes; or a `TypeAdapter` itself.

    Raises:
        SchemaError: pydantic cannot handle the type, it has no JSON Schema, or its texts
            cannot be said in one exactly; the reason names what and why.

    Cost: about a millisecond for a small model; the last 256 types are remembered.
    """
    try:
        hash(type_)
    except TypeError:
        return _convert(type_)
    # The class of the key tells types apart that compare equal: Literal[1] and Literal[True].
    return _convert_once(type_, repr(type_))


def parameters(function: Callable[..., Any]) -> PythonType:
    """The JSON Schema of a function's arguments: a closed object, one property a parameter.

    Its values are dictionaries for `function(**arguments)`, converted to the annotated types;
    a parameter with a default may be left out. The function is not called.

    Raises:
        SchemaError: a parameter without an annotation, one that cannot be given by name, or
            one whose type has no schema.
    """
    name = getattr(function, "__name__", "arguments")
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError) as error:
        raise SchemaError(f"{shorten(function)} has no readable signature: {error}") from error
    members: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise SchemaError(f"{name}: parameter {parameter} cannot be given by name")
        if parameter.name not in hints:
            raise SchemaError(f"{name}: parameter '{parameter.name}' has no annotation")
        hint = hints[parameter.name]
        optional = parameter.default is not parameter.empty
        members[parameter.name] = typing_extensions.NotRequired[hint] if optional else hint
    make: Any = typing_extensions.TypedDict  # called with computed members
    return _convert(make(name, members))


def from_json(adapter: pydantic.TypeAdapter[Any], text: str | bytes) -> Any:
    """The value that a JSON text stands for.

    Raises:
        SchemaError: the type refuses the text: a validator function of the type said no, or
            the text does not come from the type's grammar.
    """
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        first = details[0]
        pointer = "#" + "".join(f"/{part}" for part in first["loc"])
        raise SchemaError(
            f"the type refuses the text: {first['msg']}", pointer=pointer, value=text
        ) from error


@lru_cache(maxsize=_CACHED_TYPES)
def _convert_once(type_: Any, name: str) -> PythonType:
    del name  # only part of the cache's key
    return _convert(type_)


def _convert(type_: Any) -> PythonType:
    if isinstance(type_, FunctionType):
        raise SchemaError(f"{shorten(type_)} is a function; a type was expected")
    try:
        adapter = (
            type_ if isinstance(type_, pydantic.TypeAdapter) else pydantic.TypeAdapter(type_)
        )
        schema = adapter.json_schema(mode="validation", schema_generator=_ExactSchema)
    except SchemaError as error:
        raise type(error)(
            f"{shorten(type_)}: {error.reason}",
            pointer=error.pointer,
            keyword=error.keyword,
            value=error.value,
        ) from error
    except _PYDANTIC_ERRORS as error:
        reason = str(error).partition("\n")[0]
        raise SchemaError(f"no JSON Schema for {shorten(type_)}: {reason}") from error
    return PythonType(schema, adapter)


class _ExactSchema(GenerateJsonSchema):
    """Pydantic's generator of JSON Schemas, made exact: one method for each kind of type."""

    def generate(
        self,
        schema: core_schema.CoreSchema,
        mode: typing.Literal["validation", "serialization"] = "validation",
    ) -> JsonSchemaValue:
        return python_objects.finished(super().generate(schema, mode))

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Refuse what pydantic would leave out; defaults that are no JSON do not matter."""
        if kind == "skipped-choice":
            raise PydanticInvalidForJsonSchema(detail)

    # Scalars

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in super().int_schema(schema).items()
        }

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        allowed = schema.get("allow_inf_nan", self._config.allow_inf_nan)
        return python_numbers.float_schema(_number_bounds(schema), finite=not allowed)

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return _checked(
            python_numbers.decimal_schema,
            _number_bounds(schema),
            schema.get("max_digits"),
            schema.get("decimal_places"),
            special=bool(schema.get("allow_inf_nan")),
        )

    def fraction_schema(self, schema: core_schema.FractionSchema) -> JsonSchemaValue:
        bounds = _number_bounds(schema)
        if bounds.any:
            return python_numbers.float_schema(bounds, finite=True)
        return {"type": "string", "pattern": python_patterns.FRACTION}

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        del schema  # it has no constraints
        return {"type": "string", "pattern": python_patterns.COMPLEX}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        plain = {key: value for key, value in schema.items() if key != "pattern"}
        result = super().str_schema(typing.cast("core_schema.StringSchema", plain))
        patterns = []
        if "pattern" in schema:
            patterns.append(_ecma(schema["pattern"]))
        if patterns or len(result) > 1:
            patterns += [
                python_patterns.unchanged_by(name)
                for name in python_patterns.TRANSFORMATIONS
                if schema.get(name, getattr(self._config, f"str_{name}"))
            ]
        return {**result, **python_patterns.all_of(patterns)}

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return python_objects.bytes_schema(
            schema.get("min_length"), schema.get("max_length"), self._config.val_json_bytes
        )

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": python_patterns.uuid(schema.get("version"))}

    def url_schema(self, schema: core_schema.UrlSchema) -> JsonSchemaValue:
        result = super().url_schema(schema)
        del result["format"]
        pattern = python_patterns.url(schema.get("allowed_schemes"))
        return {**result, "pattern": pattern}

    def multi_host_url_schema(self, schema: core_schema.MultiHostUrlSchema) -> JsonSchemaValue:
        result = super().multi_host_url_schema(schema)
        del result["format"]
        return {**result, "pattern": python_patterns.url(schema.get("allowed_schemes"))}

    # Dates and times

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        bounds = _time_bounds(schema, dt.datetime.now().astimezone().date())
        return _checked(python_times.date_schema, bounds)

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        bounds = _time_bounds(schema, None)
        return _checked(python_times.time_schema, bounds, schema.get("tz_constraint"))

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        bounds = _time_bounds(schema, dt.datetime.now(dt.UTC))
        return _checked(python_times.datetime_schema, bounds, schema.get("tz_constraint"))

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        strict = bool(schema.get("strict", self._config.strict))
        bounds = _time_bounds(schema, None)
        return _checked(python_times.timedelta_schema, bounds, strict=strict)

    # Unions and finite sets

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        if schema.get("custom_error_type") == "byte_size":  # of its texts, the plain number
            return {"type": "integer", "minimum": 0}
        return super().union_schema(schema)

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        result = super().tagged_union_schema(schema)
        if "discriminator" not in result:
            result["anyOf"] = result.pop("oneOf")  # a function decides; its choice is not known
        return result

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return _only_read(super().literal_schema(schema), schema)

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        return _only_read(super().enum_schema(schema), schema)

    # Containers

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        return self._keyed(super().dict_schema(schema), schema)

    def frozendict_schema(self, schema: core_schema.FrozenDictSchema) -> JsonSchemaValue:
        return self._keyed(super().frozendict_schema(schema), schema)

    def ordered_dict_schema(self, schema: core_schema.OrderedDictSchema) -> JsonSchemaValue:
        return self._keyed(super().ordered_dict_schema(schema), schema)

    def counter_schema(self, schema: core_schema.CounterSchema) -> JsonSchemaValue:
        return self._keyed(super().counter_schema(schema), schema)

    def _keyed(self, result: JsonSchemaValue, schema: Any) -> JsonSchemaValue:
        if "keys_schema" not in schema:
            return result
        keys = self.resolve_ref_schema(self.generate_inner(schema["keys_schema"]))
        return python_objects.keyed(result, keys)

    # Sets

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        python_objects.check_set(schema)
        return super().set_schema(schema)

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        python_objects.check_set(schema)
        return super().frozenset_schema(schema)

    def json_schema(self, schema: core_schema.JsonSchema) -> JsonSchemaValue:
        content = self.generate_inner(schema.get("schema") or core_schema.any_schema())
        content = python_objects.inlined(content, self.resolve_ref_schema)
        return {"type": "string", "pattern": python_objects.json_text(content)}

    # Objects

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _closed(super().model_schema(schema))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _closed(super().typed_dict_schema(schema))

    def field_is_present(self, field: Any) -> bool:
        """Leave out what pydantic does not read: `field(init=False)` of a dataclass."""
        alias = field.get("validation_alias")
        if isinstance(alias, list) and not any(_is_name(path) for path in alias):
            by_name = self._config.validate_by_name or self._config.populate_by_name
            if not by_name:
                raise UnsupportedSchemaError(
                    "a field that is read from inside another one (AliasPath) is not supported",
                    value=alias,
                )
        return bool(field.get("init", True)) and super().field_is_present(field)


def _is_name(path: object) -> bool:
    """Whether an alias path leads to a plain key."""
    return isinstance(path, list) and len(path) == 1 and isinstance(path[0], str)


def _closed(schema: JsonSchemaValue) -> JsonSchemaValue:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def _number_bounds(schema: Any) -> python_numbers.Bounds:
    names = ("gt", "ge", "lt", "le", "multiple_of")
    return python_numbers.Bounds(*(schema.get(name) for name in names))


def _time_bounds(schema: Any, now: Any) -> python_times.Range:
    bounds = {name: schema.get(name) for name in ("gt", "ge", "lt", "le")}
    if schema.get("now_op") == "future":
        raise UnsupportedSchemaError(
            "what is in the future depends on the clock; give a bound (Field(gt=...)) instead"
        )
    if schema.get("now_op") == "past":
        earlier = [now] if bounds["lt"] is None else [now, bounds["lt"]]
        bounds["lt"] = min(earlier)
    return python_times.Range(**bounds)


def _checked(
    build: Callable[..., JsonSchemaValue], *args: Any, **options: Any
) -> JsonSchemaValue:
    """Call `build`; what it cannot say is an UnsupportedSchemaError."""
    try:
        return build(*args, **options)
    except ValueError as error:
        raise UnsupportedSchemaError(str(error), value=args[0]) from error


def _ecma(pattern: str | re.Pattern[str]) -> str:
    text = pattern if isinstance(pattern, str) else pattern.pattern
    if isinstance(pattern, re.Pattern) and pattern.flags != re.compile("").flags:
        raise UnsupportedSchemaError(
            "flags of a compiled pattern are not supported", keyword="pattern", value=pattern
        )
    try:
        return pydantic_pattern.to_ecma(text)
    except pydantic_pattern.PatternError as error:
        raise UnsupportedSchemaError(
            f"not said in JSON Schema's regular expressions: {error}",
            keyword="pattern",
            value=text,
        ) from error


def _only_read(published: JsonSchemaValue, schema: core_schema.CoreSchema) -> JsonSchemaValue:
    """An enum or a constant without the members that the type does not read from JSON."""
    validator = SchemaValidator(schema)

    def is_read(member: object) -> bool:
        try:
            validator.validate_json(to_json(member))
        except ValidationError:
            return False
        return True

    members = published.get("enum", [published.get("const")])
    read = [member for member in members if is_read(member)]
    if not read:
        raise UnsupportedSchemaError(
            "no member can be read from JSON", keyword="enum", value=members
        )
    return published if len(read) == len(members) else {**published, "enum": read}
