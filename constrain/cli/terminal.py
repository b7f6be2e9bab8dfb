"""What the command line says on standard error, a line each: progress, notes and errors."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""


def report(message: str) -> None:
    """Print `constrain: message` on standard error, on one line whatever it holds."""
    print(f"constrain: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)
