"""Every error the library raises on purpose.

ConstrainError
├── ArgumentError (ValueError)             an argument is out of range, or of another type
├── SchemaError (ValueError)               the schema is malformed
│   ├── UnsupportedSchemaError             a keyword or value outside what is exact here
│   └── UnsatisfiableSchemaError           no JSON value can be valid
├── GrammarError (ValueError)              a regular expression or grammar is malformed
├── VocabularyError (ValueError)           a token table cannot be read or used
├── LimitError (RuntimeError)              a resource limit was reached
├── TokenRejectedError (ValueError)        a token or byte the grammar does not allow here
├── CalibrationError (ValueError)          a calibration, or what it is fitted to, is unfit
├── UnknownPathError (KeyError)             an output has no such field
└── DecodeError (RuntimeError)             the model or its context failed

Each carries its data as attributes first; the message is made from them.
"""

from __future__ import annotations

_SHOWN = 80


def shorten(value: object) -> str:
    """`repr` of a value, cut to 80 characters.

    >>> shorten("a")
    "'a'"
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class ConstrainError(Exception):
    """Base of every error raised on purpose by this library."""


class ArgumentError(ConstrainError, ValueError):
    """An argument or a setting is out of range, of another type, or unfit beside another one.

    Attributes:
        reason: the message.
        name: of the argument or the field, or "" where several do not go together.
        value: what was given.
    """

    def __init__(self, reason: str, *, name: str = "", value: object = None) -> None:
        self.reason = reason
        self.name = name
        self.value = value
        super().__init__(reason)


class SchemaError(ConstrainError, ValueError):
    """The schema is not a JSON Schema: where, which keyword, what was found.

    Attributes:
        reason: what is wrong, without the place.
        pointer: JSON pointer as a URI fragment (`#/properties/a`).
        keyword: the keyword at fault, or "".
        value: the offending value.
    """

    def __init__(
        self, reason: str, *, pointer: str = "#", keyword: str = "", value: object = None
    ) -> None:
        self.reason = reason
        self.pointer = pointer
        self.keyword = keyword
        self.value = value
        where = f"'{keyword}' at {pointer}" if keyword else pointer
        super().__init__(f"{where}: {reason}")


class UnsupportedSchemaError(SchemaError):
    """The schema is well formed, but says something that is not supported exactly."""


class UnsatisfiableSchemaError(SchemaError):
    """No JSON value in the declared text form satisfies the schema."""


class GrammarError(ConstrainError, ValueError):
    """A regular expression or a grammar is malformed or cannot be matched by any text.

    Attributes:
        reason: what is wrong, without the place.
        text: the source text, or "".
        position: index of the offending character in `text`, or None.
    """

    def __init__(self, reason: str, *, text: str = "", position: int | None = None) -> None:
        self.reason = reason
        self.text = text
        self.position = position
        where = f" at position {position}" if position is not None else ""
        source = f" in {shorten(text)}" if text else ""
        super().__init__(f"{reason}{where}{source}")


class VocabularyError(ConstrainError, ValueError):
    """A vocabulary cannot be read from the given source, or does not fit its use."""


class LimitError(ConstrainError, RuntimeError):
    """A resource limit was reached; `constrain.Limits(...)` raises it for trusted input.

    Attributes:
        what: the name of the limit: a field of `Limits`, a budget, or a fixed bound.
        given: how much was asked for.
        limit: how much is allowed.
    """

    def __init__(self, what: str, given: float, limit: float) -> None:
        self.what = what
        self.given = given
        self.limit = limit
        super().__init__(f"{what}: {given} exceeds the limit of {limit}")


class TokenRejectedError(ConstrainError, ValueError):
    """A token, or a text, that the grammar does not allow at this place.

    Attributes:
        token_id: the rejected token, or None for text.
        data: its bytes (the whole text for `check`).
        position: byte offset in `data` of the first byte that cannot stand.
        line, column: the same place, both counted from 1; the column counts characters.
        expected: what could have come instead, readable.
    """

    def __init__(  # noqa: PLR0913  each argument but the reason is one optional attribute
        self,
        reason: str,
        *,
        token_id: int | None = None,
        data: bytes = b"",
        position: int = 0,
        line: int = 1,
        column: int = 1,
        expected: tuple[str, ...] = (),
    ) -> None:
        self.reason = reason
        self.token_id = token_id
        self.data = data
        self.position = position
        self.line = line
        self.column = column
        self.expected = expected
        super().__init__(reason)


class DecodeError(ConstrainError, RuntimeError):
    """The model, its context or the decode loop failed; no token was emitted."""


class CalibrationError(ConstrainError, ValueError):
    """A calibration cannot be fitted, read or applied: the data or the file is unfit for it."""


class UnknownPathError(ConstrainError, KeyError):
    """An output has no field at this path.

    Attributes:
        path: what was asked for.
        near: paths of the output that are spelled alike, or its first ones.
    """

    def __init__(self, path: str, reason: str, near: tuple[str, ...]) -> None:
        self.path = path
        self.near = near
        hint = f"; there is {', '.join(near)}" if near else ""
        super().__init__(f"{reason}{hint}")

    def __str__(self) -> str:
        """The message as it is; KeyError would quote it."""
        return str(self.args[0])
