"""When two JSON values are equal to `uniqueItems`, and values by brute force.

SLOW ON PURPOSE, FOR TESTS ONLY. The standard library reads the text, numbers as exact decimals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

_SPACES = " \t\n\r"


def value_of(text: str) -> str:
    """The same string for texts of equal values, another one for texts of different ones.

    >>> value_of('[1.50, {"b": 0, "a": -0.0}]') == value_of('[15e-1, {"a": 0, "b": 0}]')
    True
    """
    return _named(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def _named(value: object) -> str:
    match value:
        case Decimal():
            sign, digits, exponent = value.as_tuple()
            significant = "".join(map(str, digits)).lstrip("0")
            kept = significant.rstrip("0")
            assert isinstance(exponent, int)
            return f"{'-' * sign}{kept}e{exponent + len(significant) - len(kept)}" * bool(kept)
        case dict():
            members = sorted(f"{json.dumps(key)}:{_named(of)}" for key, of in value.items())
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_named, value)) + "]"
        case _:
            return json.dumps(value)


def texts_by_value(
    begun: str,
    letters: Sequence[str],
    begins: Callable[[str], bool],
    ends: Callable[[str], bool],
    n_wanted: int,
) -> list[str]:
    """One text for each of up to `n_wanted` different values that begin with `begun`.

    Args:
        begun: how the texts begin.
        letters: what they may go on with. White space outside strings is used only where a
            text cannot go on without.
        begins: whether some text begins so.
        ends: whether this is a whole text.
        n_wanted: the search stops there. It does not end where fewer values have texts
            without end.
    """
    # Mostly a few beginnings, none with an escape, lead to enough; if not, all are tried.
    plain = [letter for letter in letters if letter != "\\"]
    few = _search(begun, plain, begins, ends, n_wanted, n_wanted + 3)
    if few is not None:
        return few
    every = _search(begun, letters, begins, ends, n_wanted, None)
    assert every is not None
    return every


def _search(
    begun: str,
    letters: Sequence[str],
    begins: Callable[[str], bool],
    ends: Callable[[str], bool],
    n_wanted: int,
    width: int | None,
) -> list[str] | None:
    """The texts; None if `width` beginnings of each length do not lead to enough."""
    found: dict[str, str] = {}
    level = [begun] if begins(begun) else []
    is_cut = width is not None
    while level and len(found) < n_wanted:
        longer: list[str] = []
        for text in level:
            if ends(text):
                found.setdefault(value_of(text), text)
            if width is not None and len(longer) > width:
                break
            after = [text + c for c in letters if c not in _SPACES or _is_open(text)]
            viable = [longer_text for longer_text in after if begins(longer_text)]
            if not viable and not _is_open(text):
                viable = [text + c for c in letters if c in _SPACES and begins(text + c)]
            longer += viable
        level = longer if width is None else longer[:width]
    if is_cut and len(found) < n_wanted:
        return None
    return list(found.values())[:n_wanted]


def _is_open(text: str) -> bool:
    """Whether a string has begun and not ended."""
    quotes = text.replace("\\\\", "").replace('\\"', "")
    return quotes.count('"') % 2 == 1


def can_differ(choices: Sequence[Sequence[str]], used: frozenset[str]) -> bool:
    """Whether each list can give one value, all different and none of them used."""
    if not choices:
        return True
    return any(
        value not in used and can_differ(choices[1:], used | {value}) for value in choices[0]
    )
