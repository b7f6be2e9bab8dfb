"""`format` as an assertion: which formats are known, and what each of them asserts.

What strings of a format look like is in `formats_times`, `formats_names`, `formats_idn`,
`formats_uri` and `formats_regex`; they are made at the first use. `uuid` is RFC 4122 section 3.
OpenAPI's `int32` and `int64` assert ranges of integers; its `float`, `double` and `byte` are
annotations: every number is a float once rounded, and many a "byte" string is no Base64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from constrain.grammar.ir import Node
from constrain.schema import (
    formats_idn,
    formats_names,
    formats_regex,
    formats_times,
    formats_uri,
)
from constrain.schema.strings import matching

_HEX: Final = "[0-9A-Fa-f]"
_UUID: Final = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"


@cache
def _uuid() -> Node:
    return matching(_UUID)


_TEXTS: Final[dict[str, Callable[[], Node]]] = {
    "date": formats_times.date,
    "time": formats_times.time,
    "date-time": formats_times.date_time,
    "duration": formats_times.duration,
    "email": formats_names.email,
    "idn-email": formats_names.idn_email,
    "hostname": formats_names.hostname,
    "idn-hostname": formats_idn.idn_hostname,
    "ipv4": formats_names.ipv4,
    "ipv6": formats_names.ipv6,
    "uri": formats_uri.uri,
    "uri-reference": formats_uri.uri_reference,
    "iri": formats_uri.iri,
    "iri-reference": formats_uri.iri_reference,
    "uri-template": formats_uri.uri_template,
    "json-pointer": formats_uri.json_pointer,
    "relative-json-pointer": formats_uri.relative_json_pointer,
    "regex": formats_regex.regex,
    "uuid": _uuid,
}
_ANNOTATIONS: Final = frozenset({"float", "double", "byte"})
_INTEGERS: Final = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
# Formats whose texts are not a regular language: what is left out of them.
_LEFT_OUT: Final = {
    "hostname": formats_names.LEFT_OUT,
    "idn-hostname": formats_idn.LEFT_OUT,
    "regex": formats_regex.LEFT_OUT,
}


@dataclass(frozen=True, slots=True)
class FormatUse:
    """What a known format asserts.

    Attributes:
        text: makes the node that strings must match, or None.
        integers: closed range of integers, or None.
        left_out: strings of the format that the node does not hold, in words, or "".
        is_annotation: known, and asserts nothing.
    """

    text: Callable[[], Node] | None = None
    integers: tuple[int, int] | None = None
    left_out: str = ""
    is_annotation: bool = False


@cache
def format_use(name: str) -> FormatUse | None:
    """The use of a format, or None if it is unknown."""
    if name in _TEXTS:
        return FormatUse(text=_TEXTS[name], left_out=_LEFT_OUT.get(name, ""))
    if name in _INTEGERS:
        return FormatUse(integers=_INTEGERS[name])
    return FormatUse(is_annotation=True) if name in _ANNOTATIONS else None
