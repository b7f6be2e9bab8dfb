"""Where in a JSON text the next token begins, and the biases that hold there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from constrain.logprobs.paths import is_within

if TYPE_CHECKING:
    from constrain.logprobs.paths import Key, Keys, Pattern

Bias = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]

NO_BIAS: Bias = (np.empty(0, np.int32), np.empty(0, np.float32))
_SPACE = frozenset(b" \t\n\r")
_QUOTE, _BACKSLASH = b'"\\'


@dataclass(slots=True)
class _Open:
    """An object or array that is not closed yet.

    Attributes:
        key: of the value that is being written or comes next; None: there is none.
        n_begun: items of an array so far, the one at `key` included.
    """

    is_array: bool
    key: Key | None = None
    n_begun: int = 0


class JsonPosition:
    """Follows a JSON text byte by byte. The text is taken to be valid: a grammar wrote it.

    A place is reached with the colon or bracket or comma before its value, and left with the
    last byte of it; that of a number or word with the comma or bracket after it.

    >>> position = JsonPosition()
    >>> position.read(b'{"a": [1, {"b": ')
    >>> position.keys
    ('a', 1, 'b')
    """

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._string: bytearray | None = None  # what has been read of one, the first quote too
        self._is_name = False
        self._name = ""
        self._escaped = False

    def copy(self) -> JsonPosition:
        """One that goes on independently."""
        twin = JsonPosition()
        twin._open = [replace(container) for container in self._open]
        twin._string = None if self._string is None else bytearray(self._string)
        twin._is_name, twin._name, twin._escaped = self._is_name, self._name, self._escaped
        return twin

    @property
    def keys(self) -> Keys:
        """Of the value that is being written or comes next; (): the whole text."""
        return tuple(item.key for item in self._open if item.key is not None)

    def read(self, data: bytes) -> None:
        """What was written next. Cost: linear in its bytes."""
        for byte in data:
            if self._string is not None:
                self._read_string(self._string, byte)
            elif byte == _QUOTE:
                self._string = bytearray(b'"')
                self._is_name = self._expects_name()
            elif byte not in _SPACE:
                self._read_mark(byte)

    def _expects_name(self) -> bool:
        return bool(self._open) and not self._open[-1].is_array and self._open[-1].key is None

    def _read_string(self, text: bytearray, byte: int) -> None:
        text.append(byte)
        if self._escaped:
            self._escaped = False
        elif byte == _BACKSLASH:
            self._escaped = True
        elif byte == _QUOTE:
            self._string = None
            if self._is_name:
                self._name = str(json.loads(text.decode()))
            else:
                self._end_value()

    def _read_mark(self, byte: int) -> None:
        top = self._open[-1] if self._open else None
        if byte in b"{[":
            is_array = byte in b"["
            self._open.append(_Open(is_array, 0 if is_array else None, int(is_array)))
        elif byte in b"}]" and top is not None:
            self._open.pop()
            self._end_value()
        elif byte in b"," and top is not None:
            top.key = top.n_begun if top.is_array else None
            top.n_begun += top.is_array
        elif byte in b":" and top is not None:
            top.key = self._name

    def _end_value(self) -> None:
        if self._open:
            self._open[-1].key = None


class PlacedBiases:
    """Logit biases that hold at some places of a JSON text; follows the text.

    Args:
        placed: the pattern of each place, token ids and what is added to their logits.
    """

    def __init__(self, placed: list[tuple[Pattern, Bias]]) -> None:
        self._placed = placed
        self._position = JsonPosition()

    def copy(self) -> PlacedBiases:
        """One that goes on independently."""
        twin = PlacedBiases(self._placed)
        twin._position = self._position.copy()
        return twin

    def read(self, data: bytes) -> None:
        """What was written next."""
        if self._placed:
            self._position.read(data)

    def added_to(self, bias: Bias) -> Bias:
        """`bias`, and what holds for a token that begins here.

        An id may be there several times; its addends add up.
        """
        keys = self._position.keys
        here = [found for pattern, found in self._placed if is_within(keys, pattern)]
        if not here:
            return bias
        ids, values = zip(bias, *here, strict=True)
        return np.concatenate(ids), np.concatenate(values)
