"""Text and numbers made fit to be shown to a person; the text may be a stranger's."""

from __future__ import annotations

_ONE_DECIMAL = 0.01
_SMALLEST = 1e-5


def printable(text: str) -> str:
    r"""The text with each character that does not print as its Python escape; spaces stay.

    So no control sequence reaches a terminal, and no mark turns the direction of writing.

    >>> print(printable("a\x1b[2J\u202eb"))
    a\x1b[2J\u202eb
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def cut(text: str, limit: int, *, from_start: bool = False) -> str:
    """The text in at most `limit` characters, with an ellipsis where some are left out.

    >>> cut("abcdef", 4), cut("abcdef", 4, from_start=True)
    ('abc…', '…def')
    """
    if len(text) <= limit:
        return text
    return "…" + text[len(text) - limit + 1 :] if from_start else text[: limit - 1] + "…"


def percent(p: float) -> str:
    """A probability, readable; small ones keep two digits that count.

    >>> percent(1.0), percent(0.254), percent(0.00012), percent(1e-9), percent(0.0)
    ('100.0 %', '25.4 %', '0.012 %', '< 0.001 %', '0.0 %')
    """
    if 0 < p < _SMALLEST:
        return f"< {100 * _SMALLEST:g} %"
    return f"{100 * p:.1f} %" if p >= _ONE_DECIMAL or p == 0 else f"{100 * p:.2g} %"
