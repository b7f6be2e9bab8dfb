"""Strings of JSON Schema: lengths, patterns, formats, enumerations."""

from __future__ import annotations

from typing import Any

import pytest

from constrain.errors import SchemaError, UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import JsonString, JsonValue
from constrain.schema import json_schema
from constrain.schema.formats import format_use
from tests.oracle.characters import matches
from tests.oracle.json_text import accepts
from tests.schema_verdicts import check_both_sides

FORMATS: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["1963-06-19", "2020-01-31", "2024-02-29", "2000-02-29", "2023-02-28", "2023-11-30"],
        [
            "2023-02-29",
            "1900-02-29",
            "2023-04-31",
            "2023-13-01",
            "2023-00-10",
            "2023-1-01",
            "98-01-01",
            "2023-01-32",
            "1963-06-1\u09ea",
            "2023-01-00",
        ],
    ),
    "time": (
        [
            "08:30:06Z",
            "08:30:06z",
            "23:59:60Z",
            "08:30:06.283185Z",
            "08:30:06+00:20",
            "01:29:60+01:30",
            "23:29:60+23:30",
            "15:59:60-08:00",
            "00:29:60-23:30",
            "22:59:60-01:00",
            "00:59:60+01:00",
            "23:59:60.5+00:00",
        ],
        [
            "008:030:006Z",
            "8:3:6Z",
            "22:59:60Z",
            "23:58:60Z",
            "22:59:60+01:00",
            "23:59:60+01:00",
            "23:59:61Z",
            "24:00:00Z",
            "00:60:00Z",
            "08:30:06",
            "08:30:06 PST",
            "01:02:03+0x:00",
            "12:00:00+24:00",
            "12:00:00.Z",
            "12:00:00\u066b52Z",
        ],
    ),
    "date-time": (
        [
            "1963-06-19T08:30:06.283185Z",
            "1963-06-19t08:30:06z",
            "1990-12-31T15:59:60-08:00",
            "1998-12-31T23:59:60Z",
            "1937-01-01T12:00:27.87+00:20",
        ],
        [
            "1990-02-31T15:59:59Z",
            "1998-12-31T23:58:60Z",
            "1963-06-19 08:30:06Z",
            "1963-06-19",
            "2013-350T01:01:01",
            "1963-06-19T08:30:06",
        ],
    ),
    "duration": (
        ["P4DT12H30M5S", "P4Y", "PT0S", "P1M", "PT1M", "PT36H", "P1DT12H", "P2W", "P1Y2M3D"],
        [
            "PT1D",
            "4DT12H",
            "P",
            "P1YT",
            "PT",
            "P2D1Y",
            "P1D2H",
            "P2S",
            "P1Y2W",
            "P1",
            "P1.5D",
            "p1d",
        ],
    ),
    "email": (
        [
            "joe.bloggs@example.com",
            "te~st@example.com",
            '"joe bloggs"@example.com',
            '"joe\\"b"@example.com',
            "joe@[127.0.0.1]",
            "joe@[IPv6:::1]",
            "a@b",
        ],
        [
            "2962",
            ".test@example.com",
            "test.@example.com",
            "te..st@example.com",
            "a b@c.de",
            "joe.bloggs@invalid=domain.com",
            "joe@[127.0.0.300]",
            "joe@",
            "@b",
            '"a"b"@c.de',
        ],
    ),
    "hostname": (
        ["www.example.com", "localhost", "1host", "a-b.c-d", "a" * 63, "a--b.example"],
        [
            "-bad",
            "bad-",
            "a_b",
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "a" * 64,
            "XN--aa---o47jg78q",
            ".".join(["a" * 63] * 4),
            "ab--cd",
        ],
    ),
    "ipv4": (
        ["192.168.0.1", "0.0.0.0", "255.255.255.255"],  # noqa: S104  no socket here
        [
            "127.0.0.0.1",
            "256.1.1.1",
            "127.0",
            "0x7f000001",
            "2130706433",
            "087.10.0.1",
            "1.2.3.\u0664",
        ],
    ),
    "ipv6": (
        [
            "::1",
            "::",
            "::abef",
            "1:2:3:4:5:6:7:8",
            "::42:ff:1",
            "d6::",
            "1:d6::42",
            "1::d6:192.168.0.1",
            "::ffff:192.168.0.1",
            "1:2::192.168.0.1",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
        ],
        [
            "12345::",
            "::abcef",
            "1:1:1:1:1:1:1:1:1",
            "::laptop",
            "1:2:3:4:5:::8",
            "1::2::3",
            "1::d6:192.168.0.300",
            "1:2:3:4:5:6:7",
            "1",
            "fe80::a%eth1",
            "100:100:100:100:255",
            "1:2:3:4:1.2.3.4",
            "::1 ",
            ":2:3:4:5:6:7:8",
        ],
    ),
    "uuid": (
        ["2EB8AA08-AA98-11EA-B4AA-73B441D16380", "00000000-0000-0000-0000-000000000000"],
        [
            "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
            "2eb8aa08aa9811eab4aa73b441d16380",
            "2eb8-aa08-aa98-11ea-b4aa73b44-1d16380",
            "2eb8aa08-aa98-11ea-b4ga-73b441d16380",
        ],
    ),
    "uri": (
        [
            "http://foo.bar/?baz=qux#quux",
            "http://foo.bar/?q=Test%20URL-encoded%20stuff",
            "http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com",
            "http://223.255.255.254",
            "ldap://[2001:db8::7]/c=GB?objectClass?one",
            "mailto:John.Doe@example.com",
            "tel:+1-816-555-1212",
            "urn:oasis:names",
            "x:",
        ],
        [
            "//foo.bar/?baz=qux#quux",
            "/abc",
            "\\\\WINDOWS\\fileshare",
            "abc",
            "http:// shouldfail.com",
            ":// should fail",
            "bar,baz:foo",
            "https://[@example.org/test.txt",
            "https://example.org/foobar\\.txt",
            "https://example.org/foobar<>.txt",
            "https://example.org/foo|bar{}.txt",
            "https://example.org/foobar%XX",
            "http://a/[",
            "http://example.com:abc",
            "2x:a",
        ],
    ),
    "uri-reference": (
        ["/abc", "//foo.bar/?baz=qux#quux", "#fragment", "abc", "", "a:b", "?q"],
        ["\\\\WINDOWS\\fileshare", "#frag\\ment", "1a:b", "%", ":a"],
    ),
    "iri": (
        ["http://ƒøø.ßår/?∂éœ=πîx#πîüx", "http://-.~_!$&'()*+,;=:%40@example.com"],
        ["/abc", "âππ", "http:// shouldfail.com", "http://2001:0db8::7334"],
    ),
    "iri-reference": (["/âππ", "#ƒrägmênt", "âππ"], ["#ƒräg\\mênt", "\\\\WINDOWS\\filëßåré"]),
    "uri-template": (
        ["http://example.com/dictionary/{term:1}/{term}", "a'b", "", "{?a,b*}"],
        ["http://example.com/dictionary/{term:1}/{term", "{}", "{a:0}", "a b", "{a:10000}"],
    ),
    "json-pointer": (
        ["", "/foo/bar~0/baz~1/%a", "/foo//bar", "/~1.1", "/a b"],
        ["/foo/bar~", "/~0~", "#", "a", "a/b", "/~2"],
    ),
    "relative-json-pointer": (
        ["1", "0/foo/bar", "2/0/baz/1/zip", "0#", "120/foo"],
        ["/foo/bar", "-1/foo", "01/a", "0##", "", "+1/a"],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_what_their_standards_say(name: str) -> None:
    use = format_use(name)
    assert use is not None
    assert use.text is not None
    node = use.text()
    valid, invalid = FORMATS[name]
    for text in valid:
        assert matches(node, text), text
    for text in invalid:
        assert not matches(node, text), text


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "é€😀"], ["a", "abcd", 3]),
        ({"minLength": 2}, ["ab", 1, None, [], {}], ["a", ""]),
        ({"maxLength": 2.0}, ["ab", "😀😀"], ["abc"]),
        ({"type": "string", "pattern": "b+"}, ["b", "abba", "\nb"], ["", "a", "B"]),
        ({"type": "string", "pattern": "^a|b$"}, ["ax", "xb"], ["xa", "bx"]),
        (
            {"type": "string", "pattern": "^\\d+$", "maxLength": 3},
            ["1", "123"],
            ["", "1234", "a"],
        ),
        ({"type": "string", "enum": ["a", "b", 1]}, ["a", "b"], ["c", 1]),
        ({"enum": ["abc", "a"], "minLength": 2}, ["abc"], ["a"]),
        ({"enum": ["abc", "bcd"], "pattern": "^a"}, ["abc"], ["bcd"]),
        ({"const": 'q"\\\n\x01é😀'}, ['q"\\\n\x01é😀'], ["q"]),
        ({"type": "string", "const": ""}, [""], ["a", " "]),
    ],
)
def test_string_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


def test_format_meets_length_and_pattern() -> None:
    grammar = json_schema({"type": "string", "format": "date", "pattern": "^2"})
    assert accepts(grammar, '"2024-02-29"')
    assert not accepts(grammar, '"1963-06-19"')
    assert not accepts(grammar, '"2023-02-29"')


def test_format_binds_strings_only() -> None:
    grammar = json_schema({"format": "ipv4"})
    assert accepts(grammar, "12")
    assert not accepts(grammar, '"x"')


def test_unknown_formats_are_notes() -> None:
    grammar = json_schema({"properties": {"a": {"type": "string", "format": "flag-topic"}}})
    assert grammar.notes == ("unknown format 'flag-topic' at #/properties/a is an annotation",)


def test_unknown_keywords_are_notes_and_standard_annotations_are_not() -> None:
    schema = {"title": "t", "description": "d", "default": 1, "x-kind": 3, "nullable": True}
    assert json_schema(schema).notes == (
        "unknown keyword 'x-kind' at #",
        "unknown keyword 'nullable' at #",
    )


def test_a_format_that_is_not_regular_is_unsupported_for_strings_only() -> None:
    with pytest.raises(UnsupportedSchemaError, match="'format' at #/items"):
        json_schema({"items": {"format": "regex"}})
    assert accepts(json_schema({"type": "integer", "format": "regex"}), "1")


def test_escapes_are_told_to_every_string() -> None:
    for escapes in ("minimal", "any"):
        grammar = json_schema({"type": "string", "minLength": 1}, escapes=escapes)
        body = grammar.rules["#"]
        assert isinstance(body, JsonValue)
        assert isinstance(body.scalar, JsonString)
        assert body.scalar.escapes == escapes


def test_texts_with_lone_surrogates_cannot_be_said() -> None:
    grammar = json_schema({"enum": ["\ud800", "a"]})
    assert accepts(grammar, '"a"')
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({"const": "\udfff"})


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minLength": -1}, "minLength"),
        ({"maxLength": "3"}, "maxLength"),
        ({"maxLength": 1.5}, "maxLength"),
        ({"minLength": True}, "minLength"),
        ({"pattern": 3}, "pattern"),
        ({"pattern": "("}, "pattern"),
        ({"format": 1}, "format"),
        ({"type": "strin"}, "type"),
        ({"type": ["string", 3]}, "type"),
        ({"enum": "a"}, "enum"),
        ({"enum": [{1: 2}]}, ""),
        ({"const": object()}, "const"),
    ],
)
def test_malformed_string_keywords_are_named(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema({"items": schema})
    assert caught.value.pointer == "#/items"
    if keyword:
        assert caught.value.keyword == keyword
        assert caught.value.value == schema[keyword]


def test_a_back_reference_is_unsupported() -> None:
    with pytest.raises(UnsupportedSchemaError, match="'pattern' at #"):
        json_schema({"type": "string", "pattern": r"(a)\1"})
