"""How far a long run is, on standard error: a bar on a terminal, else a line every tenth."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from constrain.cli.terminal import report

T = TypeVar("T")

_WIDTH = 30
_N_LINES = 10


def progress(items: Iterable[T], n: int, what: str, *, quiet: bool = False) -> Iterator[T]:
    """The items, with the progress shown after each.

    Args:
        items: what is worked through.
        n: how many there are.
        what: their name in the plural.
        quiet: show nothing.
    """
    shown = sys.stderr.isatty()
    done = 0
    try:
        for done, item in enumerate(items, 1):
            yield item
            if quiet:
                continue
            if shown:
                filled = _WIDTH * done // n
                bar = "#" * filled + "." * (_WIDTH - filled)
                print(f"\rconstrain: [{bar}] {done} of {n} {what}", end="", file=sys.stderr)
                sys.stderr.flush()
            elif done == n or _N_LINES * done // n > _N_LINES * (done - 1) // n:
                report(f"{done} of {n} {what}")
    finally:
        if shown and done and not quiet:
            print(file=sys.stderr)
