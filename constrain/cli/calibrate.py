"""`constrain calibrate`: are predictions made with 90 % confidence right 90 % of the time?"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constrain import calibration
from constrain.calibration.temperature import COLDEST, HOTTEST
from constrain.cli.classify import (
    labels_of,
    load_model,
    made_with,
    prompt_of,
    template_of,
)
from constrain.cli.inputs import UsageError, check_writable, read_text
from constrain.cli.progress import progress
from constrain.cli.terminal import WRONG_INPUT, report
from constrain.errors import DecodeError
from constrain.logprobs.shown_text import printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from constrain.driver.model import Model
    from constrain.driver.prompts import Prompt

_PICTURES = {".png", ".svg", ".pdf"}
_BOUNDS = {
    COLDEST: "; at its lower bound: always right",
    HOTTEST: "; at its upper bound: no better than chance",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its true label.

    Attributes:
        place: file and line, for messages.
    """

    text: str
    label: str
    place: str


def run(options: Namespace) -> int:
    """Run the examples through the model, print the tables, write fit and picture.

    What can be wrong about arguments and data is found before a model is loaded; a text that
    is too long for the model, before it reads any.

    Raises:
        ConstrainError: data too small, a missing package, model.
        OSError: a file cannot be read or written.
        UsageError: the data is malformed.
    """
    examples = read_examples(options.data)
    template = template_of(options)
    if options.label is None:
        options.label = _labels_in(examples, options.data)
    labels = labels_of(options)
    truth = _truth(examples, options.label)
    conditions = made_with(template, options) if options.output is not None else {}
    _rehearse(options, truth)
    probabilities = _classify(examples, labels, template, options)
    fit = calibration.fit(options.method, probabilities, truth, options.label)
    mended = calibration.held_out(
        options.method,
        probabilities,
        truth,
        options.label,
        n_folds=options.folds,
        seed=options.seed,
    )
    shape = {"n_bins": options.bins, "binning": options.binning}
    before = calibration.report(probabilities, truth, **shape)
    after = calibration.report(mended, truth, **shape)
    print("\n".join(_summary(fit, before, after, options)))
    status = 0
    if options.output is not None:
        status = _save(replace(fit, made_with=conditions), options)
    if options.plot is not None:
        _draw(before.table, after.table, options, options.plot)
        if not options.quiet:
            report(f"wrote {options.plot}")
    return status


def _save(fit: calibration.Calibration, options: Namespace) -> int:
    """Write the fit; where that fails after all, print it, since the run was long."""
    try:
        calibration.save(fit, options.output)
    except OSError as error:
        report(f"{options.output}: {error.strerror}; what it would hold:")
        print(calibration.to_json(fit), end="", file=sys.stderr)
        return WRONG_INPUT
    if not options.quiet:
        report(f"wrote {options.output}")
    return 0


def read_examples(path: str) -> list[Example]:
    """The examples in a file, a JSON object with "text" and "label" on each line.

    Raises:
        OSError: it cannot be read.
        UsageError: a line is something else; names it.
    """
    examples = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: no JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"{place}: expected an object with 'text' and 'label'")
        for key in ("text", "label"):
            if not isinstance(row.get(key), str) or (key == "label" and not row[key]):
                raise UsageError(f"{place}: {key!r} is missing or not a text")
        examples.append(Example(row["text"], row["label"], place))
    if not examples:
        raise UsageError(f"{path}: no examples in it")
    return examples


def _labels_in(examples: Sequence[Example], path: str) -> list[str]:
    """The labels in the data, as they come."""
    labels = list(dict.fromkeys(example.label for example in examples))
    if len(labels) == 1:
        raise UsageError(
            f"{path}: the label of all {len(examples)} examples is {labels[0]!r}; a "
            "calibration needs examples of two labels or more"
        )
    return labels


def _truth(examples: Sequence[Example], labels: Sequence[str]) -> list[int]:
    """The index of each example's label."""
    places = {label: i for i, label in enumerate(labels)}
    for example in examples:
        if example.label not in places:
            raise UsageError(
                f"{example.place}: the label is {example.label!r}, which no --label names"
            )
    return [places[example.label] for example in examples]


def _rehearse(options: Namespace, truth: Sequence[int]) -> None:
    """Find out before the long run what would fail after it.

    Too few examples of a label, a missing package, a folder that is not there: the same calls
    on made-up probabilities, and the picture in memory.
    """
    for option, path in (("--output", options.output), ("--plot", options.plot)):
        if path is not None:
            check_writable(option, path)
    if options.plot is not None and Path(options.plot).suffix.lower() not in _PICTURES:
        raise UsageError(f"--plot {options.plot}: expected a name in {sorted(_PICTURES)}")
    n = len(options.label)
    equal = np.full((len(truth), n), 1 / n)
    calibration.held_out(
        "temperature", equal, truth, options.label, n_folds=options.folds, seed=options.seed
    )
    calibration.fit(options.method, [[0.6, 0.4], [0.4, 0.6]], [0, 1], ["a", "b"])
    shape = {"n_bins": options.bins, "binning": options.binning}
    table = calibration.report(equal, truth, **shape).table
    if options.plot is not None:
        _draw(table, table, options, io.BytesIO())


def _classify(
    examples: Sequence[Example], labels: dict[str, str], template: str, options: Namespace
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The probabilities of the labels for each example, float64[n, n_labels]."""
    prior = None if options.prior is None else prompt_of(options.prior, template, options)
    prompts = [prompt_of(example.text, template, options) for example in examples]
    named = [(example.place, p) for example, p in zip(examples, prompts, strict=True)]
    if prior is not None:
        named.insert(0, ("--prior", prior))
    rows = np.empty((len(examples), len(labels)))
    with load_model(options) as model:
        _check_lengths(model, named, labels, options)
        steps = progress(prompts, len(prompts), "examples", quiet=options.quiet)
        for i, prompt in enumerate(steps):
            result = model.classify(
                prompt,
                labels,
                end=options.end,
                normalize=options.normalize,
                prior=prior,
            )
            rows[i] = list(result.probabilities.values())
    return rows


def _check_lengths(
    model: Model,
    prompts: Sequence[tuple[str, Prompt]],
    labels: dict[str, str],
    options: Namespace,
) -> None:
    """Refuse prompts (place, prompt) that do not fit the context, before any is evaluated."""
    needed: dict[str, int] = {}
    for place, prompt in prompts:
        try:
            needed[place] = model.n_tokens_to_classify(prompt, labels, end=options.end)
        except DecodeError as error:
            raise UsageError(f"{place}: {error}") from error
    long = [place for place, n in needed.items() if n > model.n_ctx]
    if long:
        others = f" (and {len(long) - 1} more)" if len(long) > 1 else ""
        raise UsageError(
            f"{long[0]}: prompt and label take {needed[long[0]]} tokens, the context has "
            f"{model.n_ctx}{others}; --context {max(needed.values())} would hold every example"
        )


def _summary(
    fit: calibration.Calibration,
    before: calibration.Report,
    after: calibration.Report,
    options: Namespace,
) -> Iterator[str]:
    """Both tables and what they come to."""
    labels = ", ".join(map(printable, options.label))
    yield f"before: {before.table.n} examples, labels {labels}"
    yield str(before.table)
    yield ""
    yield f"after: {fit.method}, each example by a fit to the other folds ({options.folds})"
    yield str(after.table)
    yield ""
    yield f"{'':18}{'before':>8}{'after':>9}"
    for name, old, new in (
        ("accuracy", before.accuracy, after.accuracy),
        ("expected error", before.table.expected_error, after.table.expected_error),
        ("maximum error", before.table.maximum_error, after.table.maximum_error),
    ):
        yield f"{name:18}{old:8.1%}{new:9.1%}"
    for name, old, new in (
        ("Brier score", before.brier, after.brier),
        ("log loss", before.log_loss, after.log_loss),
    ):
        yield f"{name:18}{old:8.4f}{new:9.4f}"
    if isinstance(fit, calibration.Temperature):
        remark = _BOUNDS.get(fit.temperature, "")
        yield f"temperature       {fit.temperature:8.3f} (fit to all examples{remark})"


def _draw(
    before: calibration.ReliabilityTable,
    after: calibration.ReliabilityTable,
    options: Namespace,
    target: str | io.BytesIO,
) -> None:
    """Write the picture to a path, or into memory."""
    figure = calibration.reliability_diagram(
        {"before": before, f"{options.method}, held out": after},
        title=f"{Path(options.data).name}: how far confidence can be trusted",
    )
    figure.savefig(target, format=Path(options.plot).suffix.lower().removeprefix("."))
