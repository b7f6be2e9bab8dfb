"""`format` as an assertion: each known format as a regular node over decoded characters.

Sources: RFC 3339 section 5.6 and appendix A (date, time, date-time, duration), RFC 5321
section 4.1.2 (email), RFC 1123 section 2.1 (hostname), RFC 2673 section 3.2 (ipv4), RFC 4291
section 2.2 (ipv6), RFC 3986 appendix A (uri, uri-reference), RFC 3987 section 2.2 (iri),
RFC 4122 section 3 (uuid), RFC 6570 section 2 with erratum 6937 (uri-template), RFC 6901
section 3 (json-pointer).

Host names with `--` in a label's third and fourth place are left out: whether such an A-label
(`xn--…`) decodes is not a regular property.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from constrain.grammar.ir import (
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    Node,
    Repeat,
    Sequence,
)
from constrain.schema.decimals import DIGIT
from constrain.schema.strings import ANY_CHAR

_LEAP_YEAR: Final = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE: Final = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR: Final = r"(?:[01]\d|2[0-3])"
_FRACTION: Final = r"(?:\.\d+)?"
_OFFSET: Final = rf"(?:[Zz]|[+-]{_HOUR}:[0-5]\d)"
_DURATION: Final = (
    r"P(?:\d+W|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
    r"|(?:\d+D|\d+M(?:\d+D)?|\d+Y(?:\d+M(?:\d+D)?)?)"
    r"(?:T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?)"
)
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16: Final = r"[0-9A-Fa-f]{1,4}"
_LS32: Final = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6: Final = (
    rf"(?:(?:{_H16}:){{6}}{_LS32}"
    rf"|::(?:{_H16}:){{5}}{_LS32}"
    rf"|(?:{_H16})?::(?:{_H16}:){{4}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,1}}{_H16})?::(?:{_H16}:){{3}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,2}}{_H16})?::(?:{_H16}:){{2}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}"
    rf"|(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}"
    rf"|(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}"
    rf"|(?:(?:{_H16}:){{0,6}}{_H16})?::)"
)
_LABEL: Final = r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_HOSTNAME: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_ATEXT: Final = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]"
_EMAIL: Final = (
    rf"(?:{_ATEXT}+(?:\.{_ATEXT}+)*"
    r'|"(?:[\x20\x21\x23-\x5B\x5D-\x7E]|\\[\x20-\x7E])*")'
    rf"@(?:{_HOSTNAME}|\[(?:{_IPV4}|IPv6:{_IPV6})\])"
)
_HEX: Final = "[0-9A-Fa-f]"
_UUID: Final = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_POINTER: Final = r"(?:/(?:[^~/]|~[01])*)*"
_UCS: Final = (
    "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(p << 16)}-{chr((p << 16) + 0xFFFD)}" for p in range(1, 14))
    + "\U000e1000-\U000efffd"
)
_PRIVATE: Final = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_VARIABLE: Final = (
    rf"(?:[0-9A-Za-z_]|%{_HEX}{{2}})(?:\.?(?:[0-9A-Za-z_]|%{_HEX}{{2}}))*"
    r"(?:\*|:[1-9]\d{0,3})?"
)
_URI_TEMPLATE: Final = (
    rf"(?:[!#$&'(-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|%{_HEX}{{2}}"
    rf"|\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"
)
MAX_HOSTNAME = 253


def _uri(more: str = "", private: str = "", *, relative: bool) -> str:
    """RFC 3986's URI, or URI-reference; with RFC 3987's characters an IRI."""
    unreserved = rf"0-9A-Za-z._~\-{more}"
    subset = "!$&'()*+,;="
    encoded = rf"|%{_HEX}{{2}}"
    pchar = rf"(?:[{unreserved}{subset}:@]{encoded})"
    no_colon = rf"(?:[{unreserved}{subset}@]{encoded})"
    user = rf"(?:(?:[{unreserved}{subset}:]{encoded})*@)?"
    future = rf"[vV]{_HEX}+\.[{unreserved}{subset}:]+"
    host = rf"(?:\[(?:{_IPV6}|{future})\]|(?:[{unreserved}{subset}]{encoded})*)"
    authority = rf"//{user}{host}(?::\d*)?(?:/{pchar}*)*"
    absolute = rf"/(?:{pchar}+(?:/{pchar}*)*)?"
    tail = rf"(?:\?(?:{pchar}|[/?{private}])*)?(?:#(?:{pchar}|[/?])*)?"
    rooted = rf"(?:{authority}|{absolute}|{pchar}+(?:/{pchar}*)*|)"
    uri = rf"[A-Za-z][0-9A-Za-z+.\-]*:{rooted}"
    if not relative:
        return uri + tail
    rootless = rf"(?:{authority}|{absolute}|{no_colon}+(?:/{pchar}*)*|)"
    return rf"(?:{uri}|{rootless}){tail}"


@dataclass(frozen=True, slots=True)
class FormatUse:
    """What a known format asserts.

    Attributes:
        text: makes the node that strings must match, or None.
        integers: closed range of integers, or None.
        is_unsupported: known to the standard, but not supported here.
        is_annotation: known, and asserts nothing.
    """

    text: Callable[[], Node] | None = None
    integers: tuple[int, int] | None = None
    is_unsupported: bool = False
    is_annotation: bool = False


def format_use(name: str) -> FormatUse | None:
    """The use of a format, or None if it is unknown."""
    return _USES.get(name)


def _whole(pattern: str) -> Node:
    """Texts that match all of an ECMA-262 pattern."""
    from constrain.grammar.regex_text import parse_ecma_full

    return parse_ecma_full(pattern)


def _from(pattern: str) -> FormatUse:
    @cache
    def text() -> Node:
        return _whole(pattern)

    return FormatUse(text)


@cache
def _hostname() -> Node:
    reserved = _whole(r"(?:[^]*\.)?[^.][^.]--[^]*")
    length = Repeat(ANY_CHAR, 1, MAX_HOSTNAME)
    return Intersect((_whole(_HOSTNAME), Complement(reserved), length))


@cache
def _time() -> Node:
    """RFC 3339 full-time; second 60 only where UTC is 23:59.

    With an offset of +h:m, UTC 23:59 is local h:(m-1), or (h-1):59 when m is 0; with -h:m it
    is (23-h):(59-m). Hours and minutes of both ends are told apart by intersection.
    """
    fraction = Repeat(Sequence((Literal("."), Repeat(DIGIT, 1))), 0, 1)
    late = Sequence((Literal(":60"), fraction))

    def local(hour: Node, minute: Node, sign: str, offset: tuple[Node, Node]) -> Node:
        return Sequence((
            hour, Literal(":"), minute, late, Literal(sign), offset[0], Literal(":"), offset[1],
        ))  # fmt: skip

    two = Repeat(DIGIT, 2, 2)
    texts = [Literal(f"{n:02}") for n in range(60)]
    hours, minutes = range(24), range(60)
    return Choice(
        (
            _whole(rf"{_HOUR}:[0-5]\d:[0-5]\d{_FRACTION}{_OFFSET}"),
            Sequence((Literal("23:59"), late, Chars(((0x5A, 0x5A), (0x7A, 0x7A))))),
            Choice(
                tuple(
                    local(texts[(h + 23) % 24], texts[59], "+", (texts[h], texts[0]))
                    for h in hours
                )
            ),
            Intersect(
                (
                    Choice(tuple(local(texts[h], two, "+", (texts[h], two)) for h in hours)),
                    Choice(
                        tuple(
                            local(two, texts[m - 1], "+", (two, texts[m])) for m in minutes[1:]
                        )
                    ),
                )
            ),
            Intersect(
                (
                    Choice(
                        tuple(local(texts[23 - h], two, "-", (texts[h], two)) for h in hours)
                    ),
                    Choice(
                        tuple(local(two, texts[59 - m], "-", (two, texts[m])) for m in minutes)
                    ),
                )
            ),
        )
    )


@cache
def _date_time() -> Node:
    return Sequence((_whole(rf"{_DATE}[Tt]"), _time()))


_ANNOTATION: Final = FormatUse(is_annotation=True)
_UNSUPPORTED: Final = FormatUse(is_unsupported=True)
_USES: Final[dict[str, FormatUse]] = {
    "date": _from(_DATE),
    "time": FormatUse(_time),
    "date-time": FormatUse(_date_time),
    "duration": _from(_DURATION),
    "email": _from(_EMAIL),
    "hostname": FormatUse(_hostname),
    "ipv4": _from(_IPV4),
    "ipv6": _from(_IPV6),
    "uri": _from(_uri(relative=False)),
    "uri-reference": _from(_uri(relative=True)),
    "iri": _from(_uri(_UCS, _PRIVATE, relative=False)),
    "iri-reference": _from(_uri(_UCS, _PRIVATE, relative=True)),
    "uri-template": _from(_URI_TEMPLATE),
    "uuid": _from(_UUID),
    "json-pointer": _from(_POINTER),
    "relative-json-pointer": _from(rf"(?:0|[1-9]\d*)(?:#|{_POINTER})"),
    "int32": FormatUse(integers=(-(2**31), 2**31 - 1)),
    "int64": FormatUse(integers=(-(2**63), 2**63 - 1)),
    "byte": _ANNOTATION,
    "float": _ANNOTATION,
    "double": _ANNOTATION,
    "idn-email": _UNSUPPORTED,
    "idn-hostname": _UNSUPPORTED,
    "regex": _UNSUPPORTED,
}
