"""`constrain calibrate`: are predictions made with 90 % confidence right 90 % of the time?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constrain import calibration
from constrain.cli.classify import (
    labels_of,
    load_model,
    made_with,
    prompt_of,
    template_of,
)
from constrain.cli.inputs import UsageError, read_text
from constrain.cli.progress import progress
from constrain.cli.terminal import report

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

_PICTURES = {".png", ".svg", ".pdf"}


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its true label."""

    text: str
    label: str


def run(options: Namespace) -> int:
    """Run the examples through the model, print the tables, write fit and picture.

    Everything that can be wrong about arguments and data is found before a model is loaded.

    Raises:
        ConstrainError: data too small, a missing package, model.
        OSError: a file cannot be read or written.
        UsageError: the data is malformed.
    """
    examples = read_examples(options.data)
    template = template_of(options)
    if options.label is None:
        options.label = list(dict.fromkeys(example.label for example in examples))
    labels = labels_of(options)
    truth = _truth(examples, options.label)
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
    if options.output is not None:
        made = replace(fit, made_with=made_with(template, options))
        calibration.save(made, options.output)
    if options.plot is not None:
        _draw(before, after, options)
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
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: no JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"{path}:{number}: expected an object with 'text' and 'label'")
        for key in ("text", "label"):
            if not isinstance(row.get(key), str) or (key == "label" and not row[key]):
                raise UsageError(f"{path}:{number}: {key!r} is missing or not a text")
        examples.append(Example(row["text"], row["label"]))
    if not examples:
        raise UsageError(f"{path}: no examples in it")
    return examples


def _truth(examples: Sequence[Example], labels: Sequence[str]) -> list[int]:
    """The index of each example's label."""
    places = {label: i for i, label in enumerate(labels)}
    for number, example in enumerate(examples, 1):
        if example.label not in places:
            raise UsageError(
                f"example {number} is labelled {example.label!r}, which no --label names"
            )
    return [places[example.label] for example in examples]


def _rehearse(options: Namespace, truth: Sequence[int]) -> None:
    """Find out before the long run what would fail after it.

    Too few examples of a label, a missing package, a folder that is not there: the same calls
    on made-up probabilities.
    """
    for path in (options.output, options.plot):
        if path is not None and not Path(path).parent.is_dir():
            raise UsageError(f"{path}: there is no folder {Path(path).parent}")
    if options.plot is not None and Path(options.plot).suffix.lower() not in _PICTURES:
        raise UsageError(f"--plot {options.plot}: expected a name in {sorted(_PICTURES)}")
    n = len(options.label)
    equal = np.full((len(truth), n), 1 / n)
    calibration.held_out(
        "temperature", equal, truth, options.label, n_folds=options.folds, seed=options.seed
    )
    calibration.fit(options.method, [[0.6, 0.4], [0.4, 0.6]], [0, 1], ["a", "b"])
    if options.plot is not None:
        calibration.reliability_diagram(
            {"equal": calibration.report(equal, truth).table}, title="rehearsal"
        )


def _classify(
    examples: Sequence[Example], labels: dict[str, str], template: str, options: Namespace
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The probabilities of the labels for each example, float64[n, n_labels]."""
    prior = None if options.prior is None else prompt_of(options.prior, template, options)
    rows = np.empty((len(examples), len(labels)))
    with load_model(options) as model:
        steps = progress(examples, len(examples), "examples", quiet=options.quiet)
        for i, example in enumerate(steps):
            result = model.classify(
                prompt_of(example.text, template, options),
                labels,
                end=options.end,
                normalize=options.normalize,
                prior=prior,
            )
            rows[i] = list(result.probabilities.values())
    return rows


def _summary(
    fit: calibration.Calibration,
    before: calibration.Report,
    after: calibration.Report,
    options: Namespace,
) -> Iterator[str]:
    """Both tables and what they come to."""
    yield f"before: {before.table.n} examples, labels {', '.join(options.label)}"
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
        yield f"temperature       {fit.temperature:8.3f} (fit to all examples)"


def _draw(before: calibration.Report, after: calibration.Report, options: Namespace) -> None:
    figure = calibration.reliability_diagram(
        {"before": before.table, f"{options.method}, held out": after.table},
        title=f"{Path(options.data).name}: how far confidence can be trusted",
    )
    figure.savefig(options.plot)
    if not options.quiet:
        report(f"wrote {options.plot}")
