"""Python types as JSON Schemas: verdicts of the schema beside the verdicts of the type.

The schema is judged by jsonschema, the type by pydantic. What the schema takes the type must
take (sound); every value of the type must have a text that the schema takes (complete).
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import math
import pathlib
import re
import uuid
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar

import jsonschema
import pydantic
import pytest
import typing_extensions
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from constrain.errors import UnsupportedSchemaError
from constrain.grammar.python_types import from_json, to_schema

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    ONE = 1
    NOTHING = None
    WHEN = dt.date(2020, 1, 1)


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    label: str = "p"


class Options(typing_extensions.TypedDict, total=False):
    a: int
    b: typing_extensions.Required[str]


class OpenOptions(typing_extensions.TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's way
    a: int


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node] = dataclasses.field(default_factory=list)
    n_seen: int = dataclasses.field(default=0, init=False)


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    age: int = Field(ge=0, le=150)
    email: Optional[str] = None  # noqa: UP045 - the old spelling is a construct of its own
    _secret: int = 1

    @pydantic.computed_field  # type: ignore[prop-decorator]  # documented by pydantic
    @property
    def shout(self) -> str:
        return self.name.upper()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class OpenInts(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int] = Field(init=False)
    a: int


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog", "wolf"]
    good: bool
    friend: Pet | None = None


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    kids: list[Tree] = []


class Box(BaseModel, Generic[T]):
    item: T


class Aliased(BaseModel):
    first: int = Field(alias="first-name")
    second: int = Field(validation_alias=pydantic.AliasChoices("two", "zwei"))


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)
    first: int = Field(alias="first-name")


class Parcel(BaseModel):
    to: str = ""
    weight: float
    fragile: bool | None = None


class Numbers(pydantic.RootModel[list[int]]):
    pass


def schema_takes(type_: Any, text: str) -> bool:
    schema = to_schema(type_).schema
    jsonschema.Draft202012Validator.check_schema(schema)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(json.loads(text)))


def type_takes(type_: Any, text: str) -> bool:
    try:
        TypeAdapter(type_).validate_json(text)
    except pydantic.ValidationError:
        return False
    return True


# type, texts that both take, texts that the schema must not take
CASES: list[tuple[Any, list[str], list[str]]] = [
    (int, ["1", "-5"], ['"1"', "1.5", "true", "null"]),
    (bool, ["true", "false"], ["1", '"true"']),
    (None, ["null"], ["0"]),
    (Any, ["[{}]", "null"], []),
    (list[int], ["[]", "[1,2]"], ['["1"]', "{}"]),
    (tuple[int, str], ['[1,"a"]'], ["[1]", '[1,"a",2]']),
    (tuple[int, ...], ["[]", "[1,2,3]"], ['["a"]']),
    (set[int], ["[1,2]"], ["[1,1]"]),
    (frozenset[str], ["[]", '["a","b"]'], ['["a","a"]', "[1]"]),
    (pydantic.conset(int, min_length=2), ["[1,2]"], ["[1]", "[1,1]"]),
    (set[tuple[int, str]], ['[[1,"a"],[1,"b"]]'], ['[[1,"a"],[1,"a"]]']),
    (collections.deque[int], ["[1]"], ['["a"]']),
    (Optional[int], ["1", "null"], ['"1"']),  # noqa: UP045
    (int | str, ["1", '"a"'], ["null", "1.5"]),
    (Literal["a", 1] | None, ['"a"', "1", "null"], ["2", "[]"]),
    (Literal[True], ["true"], ["1", "false"]),
    (Literal[1], ["1"], ["true"]),
    (Colour, ['"red"', "1", "null"], ['"2020-01-01"', "2", '"blue"']),
    (Flags, ["1", "2"], ["4", '"A"']),
    (Point, ["[1]", '[1,"a"]'], ["[]", '[1,"a",2]', '{"x":1}']),
    (Options, ['{"b":"x"}', '{"a":1,"b":"x"}'], ['{"a":1}', '{"b":"x","c":1}']),
    (OpenOptions, ['{"a":1,"z":[]}'], ["{}"]),
    (Node, ['{"value":1,"children":[{"value":2}]}'], ['{"value":1,"n_seen":2}', "{}"]),
    (Person, ['{"name":"A","age":3}'], ['{"name":"","age":3}', '{"name":"A","age":-1}']),
    (Person, ['{"name":"A","age":3,"email":null}'], ['{"name":"A","age":3,"shout":"A"}']),
    (Person, ['{"name":"A","age":150}'], ['{"name":"A","age":3,"_secret":1}', '{"age":3}']),
    (Open, ['{"a":1,"b":[2]}'], ['{"b":1}']),
    (OpenInts, ['{"a":1,"b":2}'], ['{"a":1,"b":"2"}']),
    (Pet, ['{"kind":"cat","lives":9}'], ['{"lives":9}', '{"kind":"cow","lives":9}']),
    (
        Pet,
        ['{"kind":"wolf","good":true,"friend":{"kind":"cat","lives":1}}'],
        ['{"kind":"wolf","good":true,"friend":{"lives":1}}', '{"kind":"cat","good":true}'],
    ),
    (Cat, ['{"lives":9}', '{"kind":"cat","lives":9}'], ['{"kind":"dog","lives":9}']),
    (Tree, ["{}", '{"kids":[{"kids":[{}]}]}'], ['{"kids":[1]}', '{"kids":[{"x":1}]}']),
    (Box[int], ['{"item":1}'], ['{"item":"a"}', '{"item":1,"x":1}']),
    (Box[Box[str]], ['{"item":{"item":"a"}}'], ['{"item":"a"}']),
    (Aliased, ['{"first-name":1,"two":2}'], ['{"first":1,"two":2}', '{"first-name":1}']),
    (ByName, ['{"first":1}'], ['{"first-name":1}']),
    (Numbers, ["[1]"], ['{"root":[1]}', '["a"]']),
    (list[Person], ['[{"name":"A","age":3}]'], ["[{}]"]),
    (dict[str, int], ['{"a":1}', "{}"], ['{"a":"b"}', "[]"]),
    (dict[int, str], ['{"1":"a"}', '{"-20":""}'], ['{"a":"a"}', '{"":""}', '{"1":1}']),
    (dict[float, int], ['{"1.5":1}', '{"-1e9":1}'], ['{"a":1}']),
    (dict[bool, int], ['{"true":1}', '{"true":1,"false":2}'], ['{"yes":1}']),
    (dict[Literal["a", "b"], int], ["{}", '{"a":1}'], ['{"c":1}', '{"a":"x"}']),
    (dict[Colour, int], ['{"red":1}'], ['{"1":1}', '{"blue":1}']),
    (dict[int | Literal["all"], int], ['{"1":1,"all":2}'], ['{"some":1}']),
    (dict[Annotated[str, Field(pattern="^a")], int], ['{"ab":1}'], ['{"b":1}']),
    (dict[Annotated[str, Field(max_length=2)], int], ['{"ab":1}'], ['{"abc":1}']),
    (dict[uuid.UUID, int], ['{"12345678-1234-1234-1234-123456789abc":1}'], ['{"b":1}']),
    (Annotated[dict[str, int], Field(min_length=1)], ['{"a":1}'], ["{}"]),
    (collections.Counter[str], ['{"a":1}'], ['{"a":"b"}']),
    (pydantic.conint(gt=1, le=9, multiple_of=3), ["3", "9"], ["0", "4", "12"]),
    (pydantic.conlist(int, min_length=1, max_length=2), ["[1]"], ["[]", "[1,2,3]"]),
    (Annotated[str, Field(min_length=1, max_length=3)], ['"a"', '"äöü"'], ['""', '"abcd"']),
    (Annotated[str, Field(pattern=r"^\d{2}$")], ['"12"'], ['"123"', '"1"']),
    (Annotated[str, Field(pattern=r"b+")], ['"abc"'], ['"ac"']),
    (
        Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=2)],
        ['"ab"', '"a b"'],
        ['" a "', '"  "', '"a"', '"ab "'],
    ),
    (Annotated[bytes, Field(min_length=2, max_length=3)], ['"ab"'], ['"éé"', '"a"', '"abcd"']),
    (pydantic.Json[int], ['"1"', '"-20"'], ['"a"', "1", '""']),
    (pydantic.Json[list[bool]], ['"[]"', '"[true,false]"'], ['"true"', '"[1]"', '"[true"']),
    (pydantic.ByteSize, ["5"], ['"5 foo"', "-1"]),
    (pathlib.Path, ['"a/b"'], ["1"]),
    (zoneinfo.ZoneInfo, ['"Europe/Berlin"'], ['"Europe/Nowhere"']),
    (pydantic.SecretStr, ['"x"'], ["1"]),
    (pydantic.UUID4, ['"12345678-1234-4234-8234-123456789abc"'], []),
    (pydantic.UUID4, [], ['"12345678-1234-1234-8234-123456789abc"', '"x"']),
    (
        pydantic.HttpUrl,
        ['"https://a.example/b?c#d"'],
        ['"ftp://a.example"', '"http://"', '"a"'],
    ),
    (
        pydantic.AnyUrl,
        ['"ftp://u:p@1.2.3.4:21/x"', '"mailto:a@b.c"'],
        ['"a b"', '"http://a:99999"'],
    ),
    (Annotated[dt.date, Field(gt=dt.date(2020, 1, 31))], ['"2020-02-01"'], ['"2020-01-31"']),
    (Annotated[dt.date, Field(le=dt.date(2020, 1, 31))], ['"2020-01-31"'], ['"2020-02-01"']),
    (pydantic.PastDate, ['"1990-05-17"'], ['"9999-01-01"']),
    (pydantic.AwareDatetime, ['"2020-01-01T10:00:00Z"'], ['"2020-01-01T10:00:00"']),
    (pydantic.NaiveDatetime, ['"2020-01-01T10:00:00"'], ['"2020-01-01T10:00:00Z"']),
    (
        Annotated[dt.timedelta, Field(gt=dt.timedelta(days=1))],
        ["86400.5", "100000"],
        ["86400", '"P2D"'],
    ),
    (Annotated[float, Field(lt=1)], ["0.9999999999999999", "-5"], ["0.99999999999999999", "1"]),
    (Annotated[float, Field(ge=0.1, multiple_of=0.5)], ["0.5", "1"], ["0", "0.7"]),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], ["999.99", '"1.50"'], ["1000"]),
    (
        Annotated[Decimal, Field(max_digits=5, decimal_places=2)],
        ["-0.01"],
        ["0.001", '"1.234"'],
    ),
    (
        Annotated[Decimal, Field(max_digits=3)],
        ["100", "0.001", "10.5"],
        ["1000", "10.01", '"1e5"'],
    ),
    (Annotated[Decimal, Field(gt=Decimal("0.1"), decimal_places=1)], ["0.2"], ["0.1", '"0.1"']),
    (Annotated[Decimal, Field(multiple_of=0.25)], ["0.75", "-1"], ["0.7", '"0.7"']),
    (dt.date, ['"2020-02-29"'], ['"2021-02-29"', '"0000-01-01"', '"2020-13-01"', '"20200101"']),
    (dt.time, ['"10:00"', '"10:00:00.5+01:00"'], ['"24:00"', '"10:00:60"', '"10"']),
    (dt.datetime, ['"2020-01-01T10:00"'], ['"2020-01-01T10:00:60"', '"2020-01-01"', "0"]),
    (
        dt.timedelta,
        ['"P1DT2H"', '"-PT1.5S"', '"P2W"'],
        ['"P"', '"PT"', '"P1Y"', '"P1000000000D"'],
    ),
    (ipaddress.IPv4Address, ['"1.2.3.4"'], ['"01.2.3.4"', '"256.1.1.1"', '"1.2.3"']),
    (
        ipaddress.IPv6Address,
        ['"::"', '"2001:db8::1"', '"::1.2.3.4"'],
        ['":1"', '"1::2::3"', '"g::"'],
    ),
    (ipaddress.IPv4Network, ['"10.0.0.0/8"', '"1.2.3.4"'], ['"10.0.0.1/8"', '"10.0.0.0/33"']),
    (
        ipaddress.IPv6Network,
        ['"2001:db8::/32"', '"fe80::/10"'],
        ['"2001:db8::1/32"', '"::/129"'],
    ),
    (ipaddress.IPv4Interface, ['"10.0.0.1/8"'], ['"10.0.0.1/33"']),
    (Annotated[int | None, Field(ge=0)], ["0", "null"], ["-1"]),
    (Annotated[int | float, Field(gt=0, le=2.5)], ["1", "2.5", "0.1"], ["0", "-0.5", "3"]),
    (Annotated[list[int] | str, Field(min_length=1)], ["[1]", '"a"'], ["[]", '""']),
    (Annotated[Point, Field(min_length=2)], ['[1,"a"]'], ["[1]"]),
    (Annotated[pydantic.PositiveInt | float, Field(lt=9)], ["8", "0.5"], ["9", "9.5"]),
    (complex, ['"1+2j"', '"-1.5"', '"2j"'], ['"1+"', '"x"']),
]


@pytest.mark.parametrize(("type_", "taken", "refused"), CASES, ids=lambda item: str(item)[:60])
def test_schema_and_type_agree(type_: Any, taken: list[str], refused: list[str]) -> None:
    for text in taken:
        assert schema_takes(type_, text), text
        assert type_takes(type_, text), text
    for text in refused:
        assert not schema_takes(type_, text), text


# Values: what pydantic writes for a value is a text of the schema, and reads back as the value.

VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (dt.date, st.dates()),
    (dt.time, st.times()),
    (dt.datetime, st.datetimes()),
    (
        pydantic.AwareDatetime,
        st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=-5)))),
    ),
    (uuid.UUID, st.uuids()),
    (pydantic.UUID4, st.uuids(version=4)),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    (ipaddress.IPv6Address, st.ip_addresses(v=6)),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (pydantic.FiniteFloat, st.floats(-1e100, 1e100)),
    (bytes, st.text().map(str.encode)),
    (pydantic.Base64Bytes, st.binary()),
    (pydantic.Base64Str, st.text(alphabet=st.characters(max_codepoint=127))),
    (Annotated[float, Field(gt=0, lt=1)], st.floats(0, 1, exclude_min=True, exclude_max=True)),
    (pydantic.conset(int, min_length=1), st.sets(st.integers(), min_size=1)),
    (dict[int, bool], st.dictionaries(st.integers(), st.booleans())),
]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=lambda item: str(item)[:40])
def test_every_value_has_a_text_and_comes_back(type_: Any, values: Any) -> None:
    python_type = to_schema(type_)
    validator = jsonschema.Draft202012Validator(python_type.schema)

    @settings(max_examples=50, deadline=None)
    @given(values)
    def check(value: Any) -> None:
        text = TypeAdapter(type_).dump_json(value).decode()
        assert validator.is_valid(json.loads(text)), text
        assert from_json(python_type.adapter, text) == value

    check()


@settings(deadline=None)
@given(st.timedeltas())
@example(dt.timedelta.min)
@example(dt.timedelta.max)
def test_every_timedelta_has_a_text(value: dt.timedelta) -> None:
    # pydantic writes years, which the schema leaves out: days and a clock are written here
    sign, size = ("-", -value) if value < dt.timedelta(0) else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    clock = f"T{minutes // 60}H{minutes % 60}M{seconds}.{size.microseconds:06}S"
    text = json.dumps(
        f"{sign}P{size.days}D{clock if size.seconds or size.microseconds else ''}"
    )
    assert schema_takes(dt.timedelta, text), text
    assert from_json(to_schema(dt.timedelta).adapter, text) == value


@given(st.datetimes(), st.datetimes(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_datetime_bounds_are_exact(bound: dt.datetime, value: dt.datetime, low: bool) -> None:
    type_ = Annotated[dt.datetime, Field(gt=bound) if low else Field(le=bound)]
    texts = {value.isoformat(timespec="microseconds"), bound.isoformat(timespec="microseconds")}
    texts |= {item.isoformat(timespec="seconds") for item in (value, bound)}
    try:
        schema = to_schema(type_).schema
    except UnsupportedSchemaError:
        assert low
        assert bound.isoformat() == "9999-12-31T23:59:59.999999"
        return
    validator = jsonschema.Draft202012Validator(schema)
    for text in texts:
        assert validator.is_valid(text) == type_takes(type_, json.dumps(text)), (bound, text)


@given(st.dates(), st.dates())
@settings(max_examples=60, deadline=None)
def test_date_bounds_are_exact(bound: dt.date, value: dt.date) -> None:
    for limits in ({"ge": bound}, {"le": bound}):
        type_ = Annotated[dt.date, Field(**limits)]
        for text in (value.isoformat(), bound.isoformat()):
            assert schema_takes(type_, json.dumps(text)) == type_takes(type_, json.dumps(text))


# Texts: what a pattern of a standard type generates, the type reads.

PATTERN_TYPES: list[Any] = [
    dt.date,
    dt.time,
    dt.datetime,
    dt.timedelta,
    uuid.UUID,
    pydantic.UUID7,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    pydantic.IPvAnyAddress,
    pydantic.IPvAnyNetwork,
    pydantic.HttpUrl,
    pydantic.AnyUrl,
    pydantic.FileUrl,
    pydantic.PostgresDsn,
    pydantic.Base64Bytes,
    pydantic.Base64Str,
    pydantic.Base64UrlBytes,
    pydantic.Base64UrlStr,
    complex,
    pydantic.Json[dict[Literal["a"], int | None]],
    pydantic.Json[Parcel],
]


def fullmatch_texts(pattern: str) -> st.SearchStrategy[str]:
    assert (pattern[0], pattern[-1]) == ("^", "$")
    python = pattern.replace("\\u0000-\\u001f", "\\x00-\\x1f")[1:-1]
    return st.from_regex(re.compile(python, re.ASCII), fullmatch=True)


@pytest.mark.parametrize("type_", PATTERN_TYPES, ids=str)
def test_every_text_of_a_pattern_is_read(type_: Any) -> None:
    schema = to_schema(type_).schema
    adapter = TypeAdapter(type_)
    validator = jsonschema.Draft202012Validator(schema)

    @settings(max_examples=80, deadline=None)
    @given(fullmatch_texts(schema["pattern"]))
    def check(text: str) -> None:
        if validator.is_valid(text):
            adapter.validate_json(json.dumps(text))

    check()


@given(
    st.decimals(allow_nan=False, allow_infinity=False), st.integers(1, 20), st.integers(0, 4)
)
@settings(deadline=None)
def test_decimals_that_the_schema_takes_are_read(
    value: Decimal, digits: int, places: int
) -> None:
    type_ = Annotated[Decimal, Field(max_digits=digits, decimal_places=min(places, digits))]
    for text in (f"{value:f}", json.dumps(f"{value:f}"), json.dumps(str(value))):
        if schema_takes(type_, text):
            assert type_takes(type_, text), text


@given(st.floats(-2, 2), st.integers(0, 400))
@settings(deadline=None)
def test_texts_beside_a_float_bound_are_read(bound: float, zeros: int) -> None:
    type_ = Annotated[float, Field(gt=bound)]
    validator = jsonschema.Draft202012Validator(to_schema(type_).schema)
    low = Decimal(repr(to_schema(type_).schema.get("minimum", 5e-324)))
    text = f"{Decimal(repr(bound)) + Decimal(1).scaleb(-zeros - 1):f}"
    if Decimal(text) >= low:
        assert type_takes(type_, text), text
    assert validator.is_valid(math.nextafter(bound, math.inf))
