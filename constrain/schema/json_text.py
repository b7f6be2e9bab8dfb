"""JSON text -> Python data, and how its values and places are named in messages."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from constrain.errors import LimitError, SchemaError, shorten

MAX_TEXT_NESTING: Final = 900


def escaped(name: str) -> str:
    """A key as a segment of a JSON pointer in a URI fragment.

    >>> escaped("a/b")
    'a~1b'
    """
    if "~" in name or "/" in name or "%" in name:
        return name.replace("~", "~0").replace("/", "~1").replace("%", "%25")
    return name


def found(value: object) -> str:
    """What a malformed value is, for a message; containers only by kind (they may be huge).

    >>> found(None), found([1])
    ('null', 'an array')
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shorten(value)


def read_json(text: str) -> Any:
    """Parse JSON text with exact decimals.

    Raises:
        SchemaError: not JSON (NaN and Infinity are not).
        LimitError: nested deeper than Python's parser goes.
    """

    def refuse(word: str) -> NoReturn:
        reason = f"{word} is not JSON"
        raise SchemaError(reason, value=text)

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refuse)
    except SchemaError:
        raise
    except RecursionError as error:
        raise LimitError("depth", _nesting(text), MAX_TEXT_NESTING) from error
    except ValueError as error:
        reason = f"the schema is not JSON text: {error}"
        raise SchemaError(reason, value=text) from error


def _nesting(text: str) -> int:
    """How deep the brackets of JSON text nest."""
    depth = deepest = 0
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL):
        depth += (bracket in "[{") - (bracket in "]}")
        deepest = max(deepest, depth)
    return deepest
