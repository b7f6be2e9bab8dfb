"""What the command line says on standard error: progress, notes, errors and tables."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence

from constrain.logprobs.shown_text import printable

WRONG_INPUT = 2
"""Exit status after wrong usage or wrong input."""

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""


def report(message: str) -> None:
    """Print `constrain: message` on standard error, on one line whatever it holds."""
    print(f"constrain: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: str = "") -> str:
    """Aligned columns, two spaces apart, a line each; what does not print is escaped.

    Args:
        heads: a title for each column.
        rows: as many cells each.
        numbers: the titles, separated by spaces, of columns that are aligned on the right.
    """
    lines = [[printable(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    right = [head in numbers.split() for head in heads]
    return "\n".join("  ".join(_aligned(line, widths, right)).rstrip() for line in lines)


def _aligned(
    line: Sequence[str], widths: Sequence[int], right: Sequence[bool]
) -> Iterator[str]:
    for cell, width, is_right in zip(line, widths, right, strict=True):
        space = " " * (width - _width(cell))
        yield space + cell if is_right else cell + space


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
