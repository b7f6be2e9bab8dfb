"""The command line: `constrain generate`, `check`, `explain`, `classify` and so on.

Output alone goes to standard output; progress, notes and errors go to standard error, an error
as one line `constrain: ...` without a traceback. Exit statuses: 0 done, 1 the checked text does
not match, 2 wrong usage or wrong input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from constrain.cli import calibrate, check, classify, explain, generate, models
from constrain.cli.arguments import build_parser
from constrain.cli.inputs import UsageError
from constrain.cli.terminal import INTERRUPTED, WRONG_INPUT, report
from constrain.errors import ConstrainError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_PIPE_CLOSED = 141  # 128 + SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: the words after the program's name; None: those of this process.
    """
    options = build_parser().parse_args(arguments)
    commands = {
        "generate": generate.run,
        "check": check.run,
        "explain": explain.run,
        "classify": classify.run,
        "calibrate": calibrate.run,
        "models": models.run,
    }
    try:
        status = commands[options.command](options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        report("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. Python flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        report(f"{place}{error.strerror or error}")
        return WRONG_INPUT
    except (ConstrainError, UsageError) as error:
        report(str(error))
        return WRONG_INPUT
    return status
