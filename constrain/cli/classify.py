"""`constrain classify`: a prompt and labels in, the labels' probabilities out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import constrain
from constrain import calibration
from constrain.cli.inputs import (
    STANDARD_INPUT,
    UsageError,
    read_text,
    without_final_newline,
)
from constrain.cli.models import identity_of
from constrain.cli.terminal import report
from constrain.errors import CalibrationError
from constrain.logprobs.shown_text import printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from constrain.driver.classify import Classification, MultiClassification
    from constrain.driver.prompts import Prompt

PLACE = "{text}"
_LABEL = "{label}"


def run(options: Namespace) -> int:
    """Classify and print; the exit status.

    Everything that can be wrong about the arguments is found before a model is loaded.

    Raises:
        ConstrainError: labels, calibration, model.
        OSError: a file cannot be read.
        UsageError: options that exclude each other, or do not fit the calibration.
    """
    template = template_of(options)
    labels = labels_of(options)
    _check_question(options)
    fit = _calibration(options, template)
    prompt = prompt_of(_text(options), template, options)
    prior = None if options.prior is None else prompt_of(options.prior, template, options)
    model = load_model(options)
    if options.question is not None:
        threshold = 0.5 if options.threshold is None else options.threshold
        several = model.classify_each(
            prompt,
            labels,
            question=options.question,
            answers=tuple(options.answers),
            prior=prior,
            threshold=threshold,
            calibration=fit,
        )
        print(_several_as_json(several) if options.json else _several_as_table(several))
        return 0
    one = model.classify(
        prompt,
        labels,
        end=options.end,
        normalize=options.normalize,
        prior=prior,
        threshold=options.threshold or 0.0,
        calibration=fit,
    )
    if one.label is None and not options.quiet:
        report(f"no label reaches the probability {options.threshold:g}")
    print(_one_as_json(one) if options.json else _one_as_table(one))
    return 0


def template_of(options: Namespace) -> str:
    """The prompt's template; without one, the text itself.

    Raises:
        OSError: its file cannot be read.
        UsageError: it has no place for the text.
    """
    if options.template_file is not None:
        template = read_text(options.template_file)
        template = without_final_newline(template.encode()).decode()
    else:
        template = PLACE if options.template is None else options.template
    if PLACE not in template:
        raise UsageError(f"the template {template!r} has no place for the text: write {PLACE}")
    return str(template)


def labels_of(options: Namespace) -> dict[str, str]:
    """Label -> text in the answer, of the labels on the command line.

    Raises:
        UsageError: a label comes twice, is empty, or is the only one.
    """
    labels = {label: options.label_prefix + label for label in options.label}
    # Each label is judged on its own where there is a question, so one is enough there.
    least = 1 if getattr(options, "question", None) is not None else 2
    if "" in labels or len(labels) != len(options.label) or len(labels) < least:
        raise UsageError(f"--label {options.label}: expected at least {least} different texts")
    return labels


def prompt_of(text: str, template: str, options: Namespace) -> Prompt:
    """The prompt for a text, as chat messages where chat was asked for."""
    filled = template.replace(PLACE, text)
    if options.system is None and not options.chat:
        return filled
    system = [] if options.system is None else [{"role": "system", "content": options.system}]
    return [*system, {"role": "user", "content": filled}]


def made_with(template: str, options: Namespace) -> dict[str, str]:
    """What decides what the probabilities mean, for the calibration's file.

    Raises:
        ConstrainError: there is no such model, or its file is damaged.
    """
    settings = {
        "model": identity_of(options.model),
        "template": template,
        "chat": "yes" if options.chat or options.system is not None else None,
        "system": options.system,
        "label-prefix": options.label_prefix or None,
        "normalize": None if options.normalize == "none" else options.normalize,
        "prior": options.prior,
        "end": "yes" if options.end else None,
    }
    return {name: value for name, value in settings.items() if value is not None}


def load_model(options: Namespace) -> constrain.Model:
    """The model that the options name."""
    given = {"n_ctx": options.context, "n_threads": options.threads}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not options.quiet:
        report(f"loading {options.model or 'SmolLM2'}")
    return constrain.load(options.model, **chosen)


def _text(options: Namespace) -> str:
    if options.prompt is not None and options.prompt_file is not None:
        raise UsageError("PROMPT and --prompt-file are both given: choose one")
    if options.prompt is not None:
        return str(options.prompt)
    text = read_text(options.prompt_file or STANDARD_INPUT)
    return without_final_newline(text.encode()).decode()


def _check_question(options: Namespace) -> None:
    """With a question the answers are judged, not the labels: no option for labels."""
    if options.question is None:
        return
    if _LABEL not in options.question:
        raise UsageError(
            f"--question {options.question!r} has no place for the label: write {_LABEL}"
        )
    if "" in options.answers or len(set(options.answers)) < len(options.answers):
        raise UsageError(f"--answers {options.answers}: expected two different texts")
    if options.end or options.normalize != "none":
        raise UsageError("--question compares the two answers: no --end and no --normalize")


def _calibration(options: Namespace, template: str) -> calibration.Calibration | None:
    """The calibration that was named, if it was made under the options given now."""
    if options.calibration is None:
        return None
    if options.question is not None:
        raise UsageError("--calibration is for one label of several: no --question")
    fit = calibration.load(options.calibration)
    unknown = set(options.label) ^ set(fit.labels or options.label)
    if unknown:
        raise CalibrationError(
            f"{options.calibration}: made for the labels {[*fit.labels]}, not {options.label}"
        )
    if fit.made_with:  # one fitted in Python need not say how
        _check_conditions(options.calibration, fit.made_with, made_with(template, options))
    return fit


def _check_conditions(path: str, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse a fit to probabilities that came about otherwise."""
    if "model" not in then:
        raise UsageError(
            f"{path} does not say which model it was made with: it is of an earlier version "
            "of constrain; make it again with constrain calibrate"
        )
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            raise UsageError(
                f"{path} was made with {name} {then.get(name)!r}, not {now.get(name)!r}: it "
                "says nothing about such probabilities"
            )


def _one_as_table(result: Classification) -> str:
    rows = [
        (label == result.label, printable(label), p, result.logprobs[label])
        for label, p in result.probabilities.items()
    ]
    width = max(len(label) for _, label, _, _ in rows)
    return "\n".join(
        f"{'*' if chosen else ' '} {label:{width}}  {p:7.2%}  {logprob:9.3f}"
        for chosen, label, p, logprob in rows
    )


def _one_as_json(result: Classification) -> str:
    return json.dumps(
        {
            "label": result.label,
            "probabilities": result.probabilities,
            "logprobs": _finite(result.logprobs),
            "margin": result.margin,
            "entropy": result.entropy,
            "coverage": result.coverage,
        },
        ensure_ascii=False,
    )


def _several_as_table(result: MultiClassification) -> str:
    width = max(len(printable(label)) for label in result.probabilities)
    return "\n".join(
        f"{'*' if label in result.labels else ' '} {printable(label):{width}}  {p:7.2%}"
        for label, p in result.probabilities.items()
    )


def _several_as_json(result: MultiClassification) -> str:
    coverages = {label: answer.coverage for label, answer in result.answers.items()}
    document: dict[str, Any] = {
        "labels": result.labels,
        "probabilities": result.probabilities,
        "coverage": coverages,
    }
    return json.dumps(document, ensure_ascii=False)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no infinity: None is a label the model rules out."""
    return {name: v if v > float("-inf") else None for name, v in values.items()}
