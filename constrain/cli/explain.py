"""`constrain explain`: what a schema or type will mean, before anything is generated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from constrain.cli.inputs import UsageError, grammar_of
from constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Print the report on a schema or type; the exit status.

    Raises:
        ConstrainError: the schema is malformed or not supported, or nothing is valid.
        OSError: a file cannot be read.
        UsageError: the schema is not UTF-8, or the type cannot be imported; or not exactly
            one of them was given.
    """
    if (options.schema is None) == (options.type is None):
        raise UsageError("explain a schema FILE or a --type MODULE:NAME, one of them")
    vocabulary = None if options.model is None else Vocabulary.from_gguf(options.model)
    report = grammar_of(options).report(vocabulary)
    if options.json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        print(report)
    return 0
