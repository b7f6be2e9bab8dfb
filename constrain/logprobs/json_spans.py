"""Where the values of a JSON text lie: byte offsets and paths, read without building values.

A tokenizer of RFC 8259 text in UTF-8. It reads in one pass without recursion, so that depth
costs nothing but memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from constrain.errors import shorten
from constrain.logprobs.paths import Key, Keys

Kind = Literal["object", "array", "string", "number", "literal"]

_INSIDE = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"' + _INSIDE + rb'"')
_SCALARS: tuple[tuple[Kind, re.Pattern[bytes]], ...] = (
    ("string", _STRING),
    ("number", re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")),
    ("literal", re.compile(rb"true|false|null")),
)
# What begins a scalar and may go on: a string without its end, any number, part of a word.
_CUT_OFF = re.compile(
    rb'"' + _INSIDE + rb"(?:\\(?:u[0-9a-fA-F]{0,3})?)?"
    rb"|-|-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?"
    rb"|t|tr|tru|f|fa|fal|fals|n|nu|nul"
)


@dataclass(frozen=True, slots=True)
class Span:
    """One value.

    Attributes:
        keys: where it is, from the root; () is the root.
        start, end: its bytes, half-open; a string's quotes and a container's brackets included.
        kind: what it is.
    """

    keys: Keys
    start: int
    end: int
    kind: Kind


@dataclass(slots=True)
class _Open:
    """A container that is not closed yet."""

    keys: Keys
    start: int
    is_array: bool
    n_items: int = 0


class _CutOff(Exception):  # noqa: N818  no error: it ends the reading of a partial text
    """The text ends here, inside a value."""


def json_spans(
    data: bytes, *, partial: bool = False, followed: bool = False
) -> tuple[Span, ...]:
    """The values of a JSON text in the order in which they begin, containers first.

    Args:
        data: the text, in UTF-8.
        partial: the text may be cut off anywhere: what is complete is given; the containers
            around the cut and a value that it may go through are left out.
        followed: other text may follow the JSON text; it is not read.

    Raises:
        ValueError: it is no JSON text; names the byte.

    >>> [span.keys for span in json_spans(b'{"a": [1, null]}')]
    [(), ('a',), ('a', 0), ('a', 1)]
    """
    reader = _Reader(data, partial=partial)
    try:
        reader.read_value()
        if not followed:
            reader.read_end()
    except _CutOff:
        if not partial:
            raise ValueError("the JSON text is cut off") from None
    return tuple(sorted(reader.found, key=lambda span: (span.start, -span.end)))


def end_of_value(data: bytes) -> int | None:
    """Where the value ends that the text begins with; None: it is cut off or may go on.

    Raises:
        ValueError: it begins with no JSON value.

    >>> end_of_value(b'[1],'), end_of_value(b"12"), end_of_value(b"12,")
    (3, None, 2)
    """
    reader = _Reader(data, partial=True)
    try:
        reader.read_value()
    except _CutOff:
        return None
    return reader.found[-1].end


class _Reader:
    """Reads one JSON value from the beginning of a text.

    Attributes:
        found: the values read so far, in the order in which they ended.
    """

    def __init__(self, data: bytes, *, partial: bool) -> None:
        self._data = data
        self._partial = partial
        self._position = 0
        self._open: list[_Open] = []
        self.found: list[Span] = []

    def read_value(self) -> None:
        self._value(())
        while self._open:
            self._after_value(self._open[-1])

    def read_end(self) -> None:
        self._skip_space()
        if self._position < len(self._data):
            raise self._wrong("the end of the text")

    def _value(self, keys: Keys) -> None:
        """Read a scalar, or open a container and read its first value."""
        while True:
            start = self._skip_space()
            bracket = self._next()
            if bracket not in (b"{", b"["):
                self._scalar(keys, start)
                return
            self._position += 1
            container = _Open(keys, start, bracket == b"[")
            self._open.append(container)
            self._skip_space()
            if self._next() == self._closing(container):
                self._close(container)
                return
            keys = self._key(container)

    def _after_value(self, container: _Open) -> None:
        """A comma and the next value, or the end of the container."""
        self._skip_space()
        found = self._next()
        if found == self._closing(container):
            self._close(container)
        elif found == b",":
            self._position += 1
            self._value(self._key(container))
        else:
            raise self._wrong(f"',' or '{self._closing(container).decode()}'")

    def _key(self, container: _Open) -> Keys:
        """Where the next value of the container is; reads the name and colon of a member."""
        key: Key = container.n_items
        container.n_items += 1
        if not container.is_array:
            self._skip_space()
            self._next()
            key = self._name()
            self._skip_space()
            if self._next() != b":":
                raise self._wrong("':'")
            self._position += 1
        return (*container.keys, key)

    def _scalar(self, keys: Keys, start: int) -> None:
        self._refuse_cut_off()
        for kind, pattern in _SCALARS:
            found = pattern.match(self._data, start)
            if found is not None:
                self._position = found.end()
                self.found.append(Span(keys, start, found.end(), kind))
                return
        raise self._wrong("a JSON value")

    def _name(self) -> str:
        """The decoded name of a member."""
        self._refuse_cut_off()
        found = _STRING.match(self._data, self._position)
        if found is None:
            raise self._wrong("a string")
        self._position = found.end()
        return str(json.loads(found[0].decode()))

    def _refuse_cut_off(self) -> None:
        if self._partial and _CUT_OFF.fullmatch(self._data, self._position):
            raise _CutOff

    def _close(self, container: _Open) -> None:
        self._position += 1
        self._open.pop()
        kind: Kind = "array" if container.is_array else "object"
        self.found.append(Span(container.keys, container.start, self._position, kind))

    def _closing(self, container: _Open) -> bytes:
        return b"]" if container.is_array else b"}"

    def _skip_space(self) -> int:
        found = _SPACE.match(self._data, self._position)
        assert found is not None, "the pattern matches the empty text"
        self._position = found.end()
        return self._position

    def _next(self) -> bytes:
        """The byte here."""
        if self._position >= len(self._data):
            raise _CutOff
        return self._data[self._position : self._position + 1]

    def _wrong(self, expected: str) -> ValueError:
        found = shorten(self._data[self._position : self._position + 20])
        return ValueError(f"byte {self._position}: found {found}, expected {expected}")
