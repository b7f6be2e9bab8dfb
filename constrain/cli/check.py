"""`constrain check`: does a text match, and if not, where does it stop matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import constrain
from constrain.cli.inputs import (
    STANDARD_INPUT,
    grammar_of,
    read_bytes,
    without_final_newline,
)
from constrain.cli.terminal import report
from constrain.errors import TokenRejectedError

if TYPE_CHECKING:
    from argparse import Namespace

_DIFFERS = 1


def run(options: Namespace) -> int:
    """Check and say nothing if the text matches; the exit status.

    Raises:
        ConstrainError: the schema or grammar is at fault.
        OSError: a file cannot be read.
        UsageError: the schema is not UTF-8, or the type cannot be imported.
    """
    grammar = grammar_of(options)
    text = without_final_newline(read_bytes(options.file))
    try:
        constrain.check(grammar, text)
    except TokenRejectedError as error:
        name = "standard input" if options.file == STANDARD_INPUT else options.file
        place = f"{name}:{error.line}:{error.column}: byte {error.position}"
        report(f"{place}: {error}{_expectation(error)}")
        return _DIFFERS
    return 0


def _expectation(error: TokenRejectedError) -> str:
    """What could have stood there, unless the message says so itself."""
    if not error.expected or "expected" in str(error):
        return ""
    return f"; expected {' or '.join(error.expected)}"
