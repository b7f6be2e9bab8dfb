"""`constrain generate`: a prompt in, text that follows the grammar out."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import constrain
from constrain.cli.distribution_arguments import account_of, distribution_of, note_of
from constrain.cli.inputs import (
    STANDARD_INPUT,
    UsageError,
    check_writable,
    grammar_of,
    read_text,
    without_final_newline,
)
from constrain.cli.sampling_arguments import sampling_of
from constrain.cli.shape_arguments import shape_of
from constrain.cli.terminal import INTERRUPTED, report, table
from constrain.errors import ConstrainError
from constrain.logprobs.shown_text import cut, percent

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from constrain.driver.result import Result, Step
    from constrain.grammar.ir import Grammar
    from constrain.logprobs import Alternative, Field

_SHOWN = 40  # characters of a value in the table
_N_RUNNERS_UP = 3


def run(options: Namespace) -> int:
    """Generate and print; the exit status.

    Everything that can be wrong about the arguments is found before a model is loaded.

    Raises:
        ConstrainError: schema, model or decoding.
        KeyboardInterrupt: Ctrl-C before the first token was chosen.
        OSError: a file cannot be read.
        UsageError: options that exclude each other.
    """
    if options.stream and options.json:
        raise UsageError(
            "--stream prints text as it comes, --json one object at the end: choose one"
        )
    if options.report is not None:
        check_writable("--report", options.report)
    grammar = grammar_of(options, shape_of(options))
    sampling = sampling_of(options)
    distribution = distribution_of(options)
    if not options.quiet:
        for note in grammar.notes:
            report(f"note: {note}")
    prompt = _prompt(options)
    model = _load(options)
    given = {"max_tokens": options.max_tokens, "top_logprobs": options.top_logprobs}
    limits = {name: value for name, value in given.items() if value is not None}
    limits |= distribution
    if not options.quiet:
        report("reading the prompt")
    if options.faithful is not None:
        _print(model.generate(prompt, grammar, sampling=sampling, **limits), grammar, options)
        return 0
    with model.stream(prompt, grammar, sampling=sampling, **limits) as stream:
        try:
            _write_pieces(stream, printed=options.stream)
        except KeyboardInterrupt:
            stream.cancel()
            _write_pieces(stream, printed=options.stream)
            _report_partial(stream.result.text, printed=options.stream)
            return INTERRUPTED
    _print(stream.result, grammar, options)
    return 0


def _write_pieces(stream: Iterable[str], *, printed: bool) -> None:
    """Run the stream to its end, and print its pieces as they come if that was asked for."""
    n_pieces = 0
    try:
        for piece in stream:
            n_pieces += 1
            if printed:
                print(piece, end="", flush=True)
    except ConstrainError:
        if printed and n_pieces:
            print(flush=True)
            report("the text above is partial, not a complete value")
        raise


def _print(result: Result, grammar: Grammar, options: Namespace) -> None:
    """The result in the form that was asked for; what was streamed only needs its line end."""
    _ = result.value  # raises if the text is no value of its Python type
    if options.stream:
        print()
    elif options.json:
        print(as_json(result, grammar, fields=options.fields))
    else:
        print(result.text)
    if options.fields and not options.json:
        sys.stdout.flush()
        print(fields_table(result.fields()), file=sys.stderr)
    if result.faithful is not None and not options.quiet and not options.json:
        sys.stdout.flush()
        report(note_of(result.faithful))
    if options.report is not None:
        page = result.html_report("constrain generate")
        _write(page, options.report)
        if not options.quiet:
            report(f"wrote {options.report}")


def _write(page: str, path: str) -> None:
    """Write a file; an error names it, which that of a full disk does not by itself."""
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def fields_table(fields: Iterable[Field]) -> str:
    """The whole and the values that hold no others; see `constrain.logprobs.fields`."""
    heads = ("field", "value", "confidence", "lowest", "entropy", "else")
    rows = [
        (
            cut(field.path, _SHOWN, from_start=True),
            cut(field.text, _SHOWN),
            percent(field.confidence),
            percent(field.lowest),
            "" if field.entropy is None else f"{field.entropy:.2f}",
            _runners_up(field),
        )
        for field in fields
        if field.is_leaf or field.path == "$"
    ]
    return table(heads, rows, "confidence lowest entropy")


def _runners_up(field: Field) -> str:
    if not field.is_leaf:
        return ""
    shown = []
    for other in field.runners_up[:_N_RUNNERS_UP]:
        text = other.text if other.complete else f"{other.text}…"
        shown.append(f"{cut(text, _SHOWN, from_start=True)} {percent(other.probability)}")
    return ", ".join(shown)


def _prompt(options: Namespace) -> str | list[dict[str, str]]:
    """The prompt, as chat messages where chat was asked for."""
    if options.prompt is not None and options.prompt_file is not None:
        raise UsageError("PROMPT and --prompt-file are both given: choose one")
    if options.prompt is not None:
        text = options.prompt
    else:
        text = read_text(options.prompt_file or STANDARD_INPUT)
        text = without_final_newline(text.encode()).decode()
    if options.system is None and not options.chat:
        return str(text)
    system = [] if options.system is None else [{"role": "system", "content": options.system}]
    return [*system, {"role": "user", "content": text}]


def _load(options: Namespace) -> constrain.Model:
    given = {"n_ctx": options.context, "n_threads": options.threads}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not options.quiet:
        report(f"loading {options.model or 'SmolLM2'}")
    return constrain.load(options.model, **chosen)


def as_json(result: Result, grammar: Grammar, *, fields: bool = False) -> str:
    """The whole result as one JSON object, on request with what is known about each field.

    `value` of a JSON grammar is the generated text itself, so numbers keep all their digits.
    """
    value = result.text if grammar.kind == "json" else json.dumps(result.text)
    rest = {
        "text": result.text,
        "finish_reason": result.finish_reason,
        "tokens": [_token(step) for step in result.steps],
        "prompt_tokens": result.prompt_tokens,
        "model_calls": result.n_model_calls,
        "timings": asdict(result.timings),
    }
    if result.faithful is not None:
        rest["faithful"] = account_of(result.faithful)
    if fields:
        rest["fields"] = [_field(field) for field in result.fields()]
    return f'{{"value": {value}, {json.dumps(rest, ensure_ascii=False)[1:]}'


def _token(step: Step) -> dict[str, Any]:
    return {
        "id": step.token_id,
        "text": step.data.decode("utf-8", "backslashreplace"),
        "forced": step.forced,
        "logprob": step.logprob,
        "masked_logprob": step.masked_logprob,
        "removed_mass": step.removed_mass,
        "n_allowed": step.n_allowed,
        "entropy": step.entropy,
        "masked_entropy": step.masked_entropy,
        "alternatives": [_alternative(item) for item in step.alternatives],
    }


def _alternative(item: Alternative) -> dict[str, Any]:
    return {
        "id": item.token_id,
        "text": item.data.decode("utf-8", "backslashreplace"),
        "allowed": item.allowed,
        "logprob": _finite(item.logprob),
        "masked_logprob": _finite(item.masked_logprob),
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "path": field.path,
        "text": field.text,
        "start": field.start,
        "end": field.end,
        "confidence": field.confidence,
        "logprob": field.logprob,
        "lowest": field.lowest,
        "entropy": field.entropy,
        "tokens": field.n_tokens,
        "decided_at": field.decided_at,
        "runners_up": [asdict(other) for other in field.runners_up],
    }


def _finite(number: float | None) -> float | None:
    """The number, if JSON can say it; a logit of -inf has no other log-probability."""
    return number if number is not None and math.isfinite(number) else None


def _report_partial(text: str, *, printed: bool) -> None:
    """Say on standard error that what there is of the text is not complete."""
    if printed:
        print(flush=True)
        report("interrupted: the text above is partial, not a complete value")
    else:
        print("constrain: interrupted; partial text, not a complete value:", file=sys.stderr)
        print(text, file=sys.stderr, flush=True)
