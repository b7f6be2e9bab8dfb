"""`constrain generate`: a prompt in, text that follows the grammar out."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import constrain
from constrain.cli.inputs import (
    STANDARD_INPUT,
    UsageError,
    grammar_of,
    read_text,
    without_final_newline,
)
from constrain.cli.terminal import INTERRUPTED, report
from constrain.errors import ConstrainError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from constrain.driver.result import Result, Step
    from constrain.grammar.ir import Grammar

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed")


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
    grammar = grammar_of(options)
    sampling = _sampling(options)
    if not options.quiet:
        for note in grammar.notes:
            report(f"note: {note}")
    prompt = _prompt(options)
    model = _load(options)
    limits = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    if not options.quiet:
        report("reading the prompt")
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
        print(as_json(result, grammar))
    else:
        print(result.text)


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


def _sampling(options: Namespace) -> constrain.Sampling:
    """The sampling options that were given; the others keep their defaults."""
    given = {name: getattr(options, name) for name in _SAMPLING}
    chosen = {name: value for name, value in given.items() if value is not None}
    biases = [*options.logit_bias, *options.logit_bias_id]
    try:
        return constrain.Sampling(logit_bias=dict(biases), **chosen)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _load(options: Namespace) -> constrain.Model:
    given = {"n_ctx": options.context, "n_threads": options.threads}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not options.quiet:
        report(f"loading {options.model or 'SmolLM2'}")
    return constrain.load(options.model, **chosen)


def as_json(result: Result, grammar: Grammar) -> str:
    """The whole result as one JSON object.

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
    return f'{{"value": {value}, {json.dumps(rest, ensure_ascii=False)[1:]}'


def _token(step: Step) -> dict[str, Any]:
    return {
        "id": step.token_id,
        "text": step.data.decode("utf-8", "backslashreplace"),
        "forced": step.forced,
        "logprob": step.logprob,
        "masked_logprob": step.masked_logprob,
        "removed_mass": step.removed_mass,
    }


def _report_partial(text: str, *, printed: bool) -> None:
    """Say on standard error that what there is of the text is not complete."""
    if printed:
        print(flush=True)
        report("interrupted: the text above is partial, not a complete value")
    else:
        print("constrain: interrupted; partial text, not a complete value:", file=sys.stderr)
        print(text, file=sys.stderr, flush=True)
