"""Python types: what no schema says, functions' parameters, and around the schema."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
import typing
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import jsonschema
import pydantic
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from constrain.errors import SchemaError, UnsupportedSchemaError
from constrain.grammar.python_types import from_json, is_python_type, parameters, to_schema
from tests.test_python_types import Dog, Options, Person, Pet, Point, Tree, schema_takes

# What cannot be said


@pytest.mark.parametrize(
    "type_",
    [
        pydantic.FilePath,
        re.Pattern,
        typing.Callable[[int], int],
        type,
        object(),
        pydantic.FutureDate,
        pydantic.Json,
        pydantic.Json[Tree],
        Literal[b"x"],
        Annotated[int | str, Field(gt=0)],
        Annotated[Decimal | int, Field(max_digits=3)],
        dict[tuple[int, int], int],
        int | typing.Callable[[], int],
        Annotated[str, Field(pattern=r"(?i)abc")],
        Annotated[str, Field(pattern=r"\bword\b")],
        Annotated[str, Field(pattern=re.compile("a", re.IGNORECASE))],
        lambda value: value,
    ],
    ids=str,
)
def test_what_no_schema_says_is_refused(type_: Any) -> None:
    with pytest.raises(SchemaError):
        to_schema(type_)


def test_a_field_read_from_inside_another_is_refused() -> None:
    class Nested(BaseModel):
        a: int = Field(validation_alias=pydantic.AliasPath("outer", 0))

    with pytest.raises(UnsupportedSchemaError, match="AliasPath"):
        to_schema(Nested)


def test_the_error_names_type_and_place() -> None:
    class Upload(BaseModel):
        file: pydantic.FilePath

    with pytest.raises(UnsupportedSchemaError, match=r"'format' at #/properties/file: <class"):
        to_schema(Upload)


def test_fields_named_like_keywords_are_fields() -> None:
    class Odd(BaseModel):
        format: str
        default: ipaddress.IPv4Address
        enum: Pet

    text = '{"format":"ipv4","default":"1.2.3.4","enum":{"kind":"cat","lives":1}}'
    assert schema_takes(Odd, text)
    assert not schema_takes(Odd, text.replace("1.2.3.4", "1.2.3"))
    assert not schema_takes(Odd, text.replace('"kind":"cat",', ""))


# Functions


def book(
    city: str, nights: Annotated[int, Field(ge=1)], *, when: dt.date | None = None
) -> Point:
    """Not called by any test."""
    raise AssertionError((city, nights, when))


def test_parameters_of_a_function_are_a_closed_object() -> None:
    python_type = parameters(book)
    validator = jsonschema.Draft202012Validator(python_type.schema)
    text = '{"city":"Rome","nights":2,"when":"2020-02-29"}'
    assert from_json(python_type.adapter, text) == {
        "city": "Rome",
        "nights": 2,
        "when": dt.date(2020, 2, 29),
    }
    for taken in (text, '{"city":"Rome","nights":2}', '{"city":"","nights":1,"when":null}'):
        assert validator.is_valid(json.loads(taken)), taken
    for refused in (
        '{"city":"Rome"}',
        '{"city":"","nights":0}',
        '{"city":"","nights":1,"x":1}',
    ):
        assert not validator.is_valid(json.loads(refused)), refused


def test_parameters_of_a_method_leave_self_out() -> None:
    class Shop:
        def buy(self, item: str) -> None:
            raise AssertionError(item)

    assert set(parameters(Shop().buy).schema["properties"]) == {"item"}


@pytest.mark.parametrize(
    "function",
    [lambda value: value, lambda *values: values, lambda **values: values, 3, int.from_bytes],
)
def test_parameters_that_have_no_type_or_name_are_refused(function: Any) -> None:
    with pytest.raises(SchemaError):
        parameters(function)


# Around the schema


def test_types_are_told_from_schemas() -> None:
    types = [int, Person, list[int], int | None, Optional[int], Literal["a"], Any, None]  # noqa: UP045
    assert all(is_python_type(item) for item in [*types, TypeAdapter(int), Options, Pet])
    schemas: list[Any] = [{}, True, False, "{}", b"{}", print, 3, lambda: 1]
    assert not any(is_python_type(item) for item in schemas)


def test_equal_looking_types_are_not_mixed_up() -> None:
    assert to_schema(Literal[1]).schema != to_schema(Literal[True]).schema
    assert to_schema(Person) is to_schema(Person)


def test_an_adapter_is_taken_as_it_is() -> None:
    adapter = TypeAdapter(list[int])
    assert to_schema(adapter).adapter is adapter
    assert to_schema(adapter).schema == to_schema(list[int]).schema


def test_models_come_back_as_models() -> None:
    person = from_json(to_schema(Person).adapter, '{"name":"Ann","age":3}')
    assert person == Person(name="Ann", age=3)
    pet = from_json(to_schema(Pet).adapter, '{"kind":"dog","good":true}')
    assert pet == Dog(kind="dog", good=True)


def test_a_text_that_the_type_refuses_is_an_error_with_its_place() -> None:
    class Even(BaseModel):
        numbers: list[Annotated[int, pydantic.AfterValidator(lambda n: n // (1 - n % 2))]]

    with pytest.raises(SchemaError, match="#/age"):
        from_json(to_schema(Person).adapter, '{"name":"Ann","age":-3}')
    with pytest.raises(ZeroDivisionError):  # only ValueError and AssertionError are verdicts
        from_json(to_schema(Even).adapter, '{"numbers":[1]}')
