r"""What of a JSON text is content, and what is layout: white space outside strings.

Two texts with the same content are the same value, written in the same way. `meaning` goes
further: texts with the same meaning are the same value, however it is written.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SPACE = b" \t\n\r"
_INSIDE = rb'"(?:[^"\\]++|\\.)*+'
_STRING = re.compile(_INSIDE + rb'("?)', re.DOTALL)
_STRING_OR_SPACE = re.compile(rb"(" + _INSIDE + rb'(?:"|\\?\Z))|[ \t\n\r]++', re.DOTALL)
# A string up to its last whole character: no half of an escape or of a surrogate pair.
_WHOLE_CHARACTERS = re.compile(
    rb'"(?:[^"\\]++|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)


def content(text: bytes, lead: bytes = b"") -> bytes:
    r"""The text without its layout.

    Args:
        text: a piece of a JSON text.
        lead: what `Layout.lead` says of the place where it stands.

    >>> content(b'" b" , "c d'), content(b' b" , "c d', b'"')
    (b'" b","c d', b' b","c d')
    """
    return _STRING_OR_SPACE.sub(rb"\1", lead + text)[len(lead) :]


class Layout:
    """Where in a text white space is layout.

    Args:
        data: a text.
        start, end: the JSON text in it, half-open; `len(data) + 1` if nothing can follow it.

    Attributes:
        free: bool[len(data) + 1]: whether white space would be layout at a position.
        white: bool[len(data)]: whether a byte is layout.
    """

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data = data
        self._start, self._end = start, end
        self.free: npt.NDArray[np.bool_] = np.zeros(len(data) + 1, np.bool_)
        self.free[start:end] = True
        for found in _STRING.finditer(data, start, min(end, len(data))):
            # The closing quote is still inside; a string without one goes on to the end.
            self.free[found.start() + 1 : found.end() if found[1] else end] = False
        is_space = np.isin(np.frombuffer(data, np.uint8), list(SPACE))
        self.white: npt.NDArray[np.bool_] = is_space & self.free[:-1]

    def lead(self, at: int) -> bytes:
        """What stands for the text before a position in JSON: how much of a string is open."""
        if self.free[at]:
            return b""
        before = self._data[:at]
        n_backslashes = at - len(before.rstrip(b"\\"))
        return b'"\\' if n_backslashes % 2 else b'"'

    def effect(self, at: int, token: bytes, *, ends: bool = False) -> bytes | None:
        """What a token at a position adds to the content; of the end token, nothing.

        A space at the end stands for the end of a number in the token that white space brought
        about. None where this cannot be told: the token does not begin in JSON, or it ends the
        JSON text where something else follows.
        """
        after = at + (1 if ends else len(token))
        if at < self._start or (after >= self._end and self._end <= len(self._data)):
            return None
        if ends:
            return b""
        added = content(token, self.lead(at))
        ends_number = added[-1:].isdigit() and token[-1:] in SPACE
        return added + b" " if ends_number else added


def beginning(text: bytes) -> bytes:
    r"""The content of the beginning of a JSON text, strings decoded.

    What a JSON text begins with has the beginning of its `beginning`, up to the last character
    that is whole.

    >>> beginning(rb'[ "\u0061\n", "\u00'), beginning(b'[1, "b')
    (b'["a\\n","', b'[1,"b')
    """
    return _STRING_OR_SPACE.sub(_decoded, text)


def _decoded(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return b""
    whole = _WHOLE_CHARACTERS.match(found[1])
    assert whole is not None, "it begins with a quote"
    is_closed = found[1][whole.end() :] == b'"'
    text = whole[0].decode("utf-8", "ignore") + '"'
    spelled = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
    return (spelled if is_closed else spelled[:-1]).encode("utf-8", "surrogatepass")


class _Spelled:
    """What `meaning` writes for a number or an object."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def meaning(text: bytes) -> str:
    r"""A text that two JSON texts have in common exactly when they are the same value.

    Numbers are compared by value and objects without regard to order.

    >>> meaning(rb'{"b": "\u0061", "a": 1.0}') == meaning(b'{"a":10e-1,"b":"a"}')
    True
    """
    try:
        value = json.loads(
            text, parse_int=_number, parse_float=_number, object_pairs_hook=_members
        )
        return repr(value)
    except RecursionError:  # too deep for Python's parser: as it is written
        return content(text).decode("utf-8", "replace")


def _number(text: str) -> _Spelled:
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:  # an exponent that no decimal holds
        return _Spelled(text)
    assert isinstance(exponent, int), "JSON has no NaN"
    spelled = "".join(map(str, digits)).lstrip("0")
    kept = spelled.rstrip("0")
    exponent += len(spelled) - len(kept)
    return _Spelled(f"{'-' * sign}{kept}e{exponent}" if kept else "0")


def _members(pairs: list[tuple[str, object]]) -> _Spelled:
    members = sorted(f"{key!r}: {value!r}" for key, value in pairs)
    return _Spelled(f"{{{', '.join(members)}}}")
