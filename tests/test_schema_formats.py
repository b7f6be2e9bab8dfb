"""Formats: each accepts and refuses what its standard says."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

import constrain
from constrain.grammar.ir import Grammar, Node
from constrain.schema import json_schema
from constrain.schema.formats import format_use
from tests.oracle.characters import matches
from tests.oracle.json_text import accepts

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
    # RFC 6531: the ASCII rules, with characters beyond ASCII in atoms, quoted texts and labels.
    "idn-email": (
        ["δοκιμή@παράδειγμα.gr", '"δοκι μή"@a.b', "joe@a-b.c", "\u0085@a", "a@[127.0.0.1]"],
        ["δοκιμή", "@δ", "δ@", "a@-δ", "a@δ-", "a b@δ", ".δ@a", "δ\uff20a", "a@b..c"],
    ),
}


def node_of(name: str) -> Node:
    """What a format asserts of texts."""
    use = format_use(name)
    assert use is not None
    assert use.text is not None
    return use.text()


def is_accepted(name: str, text: str) -> bool:
    """The kernel's verdict."""
    try:
        constrain.check(Grammar(node_of(name)), text)
    except constrain.TokenRejectedError:
        return False
    return True


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_what_their_standards_say(name: str) -> None:
    node = node_of(name)
    valid, invalid = FORMATS[name]
    for text in valid:
        assert matches(node, text), text
        assert is_accepted(name, text), text
    for text in invalid:
        assert not matches(node, text), text
        assert not is_accepted(name, text), text


def test_dates_are_those_of_the_calendar() -> None:
    n_days = 0
    for year, month, day in itertools.product((1900, 1996, 2000, 2023), range(14), range(33)):
        text = f"{year}-{month:02}-{day:02}"
        try:
            date(year, month, day)
        except ValueError:
            assert not matches(node_of("date"), text), text
        else:
            n_days += 1
            assert matches(node_of("date"), text), text
    assert n_days == 365 + 366 + 366 + 365


def test_a_leap_second_is_one_in_utc_whatever_the_offset() -> None:
    n_leaps = 0
    for hour, minute, sign, over, past in itertools.product(
        (0, 12, 22, 23), (0, 29, 30, 59), "+-", (0, 1, 11, 23), (0, 1, 29, 30, 59)
    ):
        shift = (over * 60 + past) * (1 if sign == "+" else -1)
        is_leap = (hour * 60 + minute - shift) % 1440 == 23 * 60 + 59
        text = f"{hour:02}:{minute:02}:60{sign}{over:02}:{past:02}"
        assert is_accepted("time", text) == is_leap, text
        n_leaps += is_leap
    assert n_leaps > 5


def test_addresses_have_one_gap_and_eight_groups() -> None:
    groups = ["1", "22", "333", "4444", "5", "6", "7", "8"]
    assert is_accepted("ipv6", ":".join(groups))
    for before, after in itertools.product(range(9), range(9)):
        text = ":".join(groups[:before]) + "::" + ":".join(groups[:after])
        assert is_accepted("ipv6", text) == (before + after < 8), text
        dotted = text + (":" if after else "") + "127.0.0.1"
        assert is_accepted("ipv6", dotted) == (before + after < 6), dotted


@pytest.mark.parametrize("name", ["hostname", "idn-hostname", "regex"])
def test_what_a_format_leaves_out_is_noted(name: str) -> None:
    use = format_use(name)
    assert use is not None
    assert use.left_out
    notes = json_schema({"items": {"format": name}}).notes
    assert notes == (f"format '{name}' at #/items leaves out {use.left_out}",)
    assert json_schema({"type": "integer", "format": name}).notes == ()


def test_host_names_with_reserved_hyphens_are_names_but_a_labels_are_not() -> None:
    for text in ("r3---sn-x.example", "ab--cd", "x" * 63 + ".a", ".".join(["x" * 62] * 4)):
        assert is_accepted("hostname", text), text
    for text in ("xn--ll-0ea", "XN--a.b", "a.xn--b", "x" * 64, ".".join(["x" * 63] * 4)):
        assert not is_accepted("hostname", text), text


def test_formats_of_numbers_bind_integers_only() -> None:
    for name, bits in (("int32", 31), ("int64", 63)):
        grammar = json_schema({"type": "integer", "format": name})
        for value in (2**bits - 1, -(2**bits)):
            assert accepts(grammar, str(value))
        for value in (2**bits, -(2**bits) - 1):
            assert not accepts(grammar, str(value))
    for name in ("float", "double", "byte"):
        grammar = json_schema({"format": name})
        assert accepts(grammar, "1.5e-7")
        assert accepts(grammar, '"?"')
        assert grammar.notes == (f"format '{name}' at # is an annotation",)


def test_format_meets_length_and_pattern() -> None:
    grammar = json_schema({"type": "string", "format": "date", "pattern": "^2"})
    assert accepts(grammar, '"2024-02-29"')
    assert not accepts(grammar, '"1963-06-19"')
    assert not accepts(grammar, '"2023-02-29"')


def test_format_binds_strings_only() -> None:
    grammar = json_schema({"format": "ipv4"})
    assert accepts(grammar, "12")
    assert not accepts(grammar, '"x"')
