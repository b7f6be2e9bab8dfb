"""Which of some labels a model would answer, and how probable each is.

A label is a text that the model might write after the prompt. Its probability is the product
of the model's probabilities of its tokens (`scoring.py` says which tokens), read from one
evaluation of the prompt and of the tree of all labels' tokens, then normalized over the labels.

The events must exclude each other for that to be right, and "the answer begins with this
label" does not when one label's tokens begin another's ("good", "good enough"). Then the
shorter one stands for "begins with it and does not go on as a longer label": its probability
minus those of the labels right below it in the tree. Where the answer is the label and nothing
more, `end=True` asks for that: each label, short or long, times the probability that the model
ends after it.

Between the model's numbers and the probabilities there may be, in this order: the mean over
tokens or bytes instead of the sum, so that long labels are not at a disadvantage; the prior
correction, which divides by what the labels get without the question; a calibration.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from constrain.arguments import as_float, require
from constrain.calibration.fits import Calibration
from constrain.driver.branches import Continuation
from constrain.driver.cache import common_prefix
from constrain.errors import CalibrationError, DecodeError, shorten
from constrain.sampling.processors import softmax

if TYPE_CHECKING:
    from constrain.driver.chat import Message
    from constrain.driver.scoring import Scorer

Normalization = Literal["none", "token", "byte"]

_N_PRIORS = 64  # label sets whose prior probabilities are kept


@dataclass(frozen=True, slots=True)
class Classification:
    """Which label the model gives, and how probable each is.

    The mappings are plain dicts, as JSON and copies want them: they are not to be changed.

    Attributes:
        label: the likeliest label, or None if its probability is below the threshold.
        probabilities: label -> probability among the labels, in the order given.
        logprobs: label -> the model's own log-probability of it, in nats: not normalized, not
            corrected, not calibrated.
    """

    label: Any
    probabilities: Mapping[Any, float]
    logprobs: Mapping[Any, float]

    @property
    def best(self) -> Any:
        """The likeliest label, however unlikely; of equals the one given first."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of the likeliest label."""
        return self.probabilities[self.best]

    @property
    def margin(self) -> float:
        """How much likelier the likeliest label is than the next one, in [0, 1]."""
        second, first = sorted(self.probabilities.values())[-2:]
        return first - second

    @property
    def entropy(self) -> float:
        """How undecided: from 0 (certain) to the logarithm of the number of labels, in nats."""
        return -math.fsum(p * math.log(p) for p in self.probabilities.values() if p > 0)

    @property
    def coverage(self) -> float:
        """Probability that the model's answer begins with one of the labels, in [0, 1].

        With `end=True`: that it is one of them. Without it, going on counts too: "goods" begins
        with "good", and " the" begins most answers. Near 0 the labels are not what the model
        would say, and their order means little.
        """
        return min(1.0, math.fsum(map(math.exp, self.logprobs.values())))


@dataclass(frozen=True, slots=True)
class MultiClassification:
    """Which of some labels apply, each judged on its own.

    Attributes:
        labels: those whose probability reaches the threshold, in the order given.
        probabilities: label -> probability of "yes" against "no".
        answers: label -> the whole result, whose labels are the two answers.
    """

    labels: tuple[Any, ...]
    probabilities: Mapping[Any, float]
    answers: Mapping[Any, Classification]

    @classmethod
    def of(cls, answers: Mapping[Any, Classification], threshold: float) -> MultiClassification:
        """The result of asking about each label; the first answer of each is "yes"."""
        yes = {label: next(iter(a.probabilities.values())) for label, a in answers.items()}
        chosen = tuple(label for label, p in yes.items() if p >= threshold)
        return cls(chosen, yes, answers)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How numbers of the model become probabilities of labels.

    Attributes:
        end: whether the answer must end after the label.
        normalize: "none": log-probabilities as they are; "token", "byte": divided by how many
            tokens (with the end, if `end`) or bytes the label has.
        threshold: least probability of a label that is given.
        calibration: applied last, or None.
    """

    end: bool = False
    normalize: Normalization = "none"
    threshold: float = 0.0
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        wanted = get_args(Normalization)
        require(self.normalize in wanted, "normalize", self.normalize, f"one of {wanted}")
        require(isinstance(self.end, bool), "end", self.end, "True or False")
        threshold = as_float(self.threshold)
        fits = threshold is not None and 0 <= threshold <= 1
        require(fits, "threshold", self.threshold, "a number from 0 to 1")
        require(
            isinstance(self.calibration, Calibration | None),
            "calibration",
            self.calibration,
            "one of constrain.calibration (load reads a file)",
        )

    def classification(
        self, texts: Mapping[Any, str], found: _Found, prior: _Found | None
    ) -> Classification:
        """The result for labels (label -> text) with these log-probabilities.

        Raises:
            DecodeError: the model gives every label, or one of them without the question, the
                probability 0.
            CalibrationError: the calibration is for other labels, or cannot tell two apart.
        """
        scores = self._scores(texts, found)
        if prior is not None:
            scores = scores - self._scores(texts, prior)
        if np.isnan(scores).any() or scores.max() == -math.inf:
            raise DecodeError(
                f"the model gives {shorten([*texts])} the probability 0, with or without the "
                "question: there is nothing to normalize"
            )
        probabilities = dict(zip(texts, softmax(scores).tolist(), strict=True))
        if self.calibration is not None:
            probabilities = _calibrated(self.calibration, texts, probabilities)
        logprobs = dict(zip(texts, found.logprobs, strict=True))
        made = Classification(None, probabilities, logprobs)
        label = made.best if made.confidence >= self.threshold else None
        return Classification(label, probabilities, logprobs)

    def _scores(self, texts: Mapping[Any, str], found: _Found) -> Any:
        lengths: Sequence[int] = [1] * len(texts)
        if self.normalize == "token":
            lengths = [n + self.end for n in found.n_tokens]
        elif self.normalize == "byte":
            lengths = [len(text.encode()) for text in texts.values()]
        return np.array(found.logprobs) / np.array(lengths)


@dataclass(frozen=True, slots=True)
class _Found:
    """The labels' log-probabilities after one prompt, and how many tokens each has."""

    logprobs: tuple[float, ...]
    n_tokens: tuple[int, ...]


class Classifier:
    """Classifies on one model. Remembers the labels' probabilities under a prior prompt.

    Args:
        scorer: reads the model.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._priors: OrderedDict[object, tuple[_Found, ...]] = OrderedDict()

    def classify(
        self,
        prompts: Sequence[Sequence[int]],
        texts: Mapping[Any, str],
        judgement: Judgement,
        priors: Sequence[Sequence[int]] | None = None,
    ) -> list[Classification]:
        """A result for each prompt, all for the same labels.

        Args:
            prompts: token ids; what they begin with in common is evaluated once.
            texts: label -> text.
            judgement: how probabilities are made.
            priors: for each prompt one to divide by, or None.
        """
        spelled = self._spelled(texts)
        corrections: Sequence[_Found | None] = [None] * len(prompts)
        if priors is not None:
            corrections = self._prior(priors, spelled, end=judgement.end)
        found = self._logprobs(prompts, spelled, end=judgement.end)
        return [
            judgement.classification(texts, own, prior)
            for own, prior in zip(found, corrections, strict=True)
        ]

    def n_tokens(self, prompt: Sequence[int], texts: Mapping[Any, str], *, end: bool) -> int:
        """Tokens that are fed for the prompt and the longest label.

        The last token of a label is only asked for, unless the end after it is, too.
        """
        return len(prompt) + max(map(len, self._spelled(texts))) - (0 if end else 1)

    def _spelled(self, texts: Mapping[Any, str]) -> list[tuple[int, ...]]:
        """The tokens of each label."""
        return [self._scorer.tokens(text) for text in texts.values()]

    def _prior(
        self, prompts: Sequence[Sequence[int]], labels: Sequence[tuple[int, ...]], *, end: bool
    ) -> tuple[_Found, ...]:
        key = (tuple(map(tuple, prompts)), tuple(labels), end)
        found = self._priors.pop(key, None) or self._logprobs(prompts, labels, end=end)
        self._priors[key] = found
        if len(self._priors) > _N_PRIORS:
            self._priors.popitem(last=False)
        return found

    def _logprobs(
        self, prompts: Sequence[Sequence[int]], labels: Sequence[tuple[int, ...]], *, end: bool
    ) -> tuple[_Found, ...]:
        """Log-probability of each label after each prompt."""
        n_shared = min(len(prompt) for prompt in prompts)
        for prompt in prompts:
            n_shared = min(n_shared, common_prefix(prompts[0], prompt))
        if n_shared == 0:  # nothing in common (only without a beginning token)
            parts = [self._logprobs([prompt], labels, end=end) for prompt in prompts]
            return tuple(part[0] for part in parts)
        asked = [
            Continuation((*prompt[n_shared:], *label), len(prompt) - n_shared, end)
            for prompt in prompts
            for label in labels
        ]
        steps = self._scorer.tree.logprobs(prompts[0][:n_shared], asked)
        sums = [math.fsum(values) for values in steps]
        n_tokens = tuple(map(len, labels))
        found = []
        for i in range(0, len(sums), len(labels)):
            own = sums[i : i + len(labels)]
            found.append(_Found(tuple(own if end else exclusive(labels, own)), n_tokens))
        return tuple(found)


def exclusive(labels: Sequence[tuple[int, ...]], logprobs: Sequence[float]) -> list[float]:
    """Log-probabilities of events that exclude each other.

    For a label whose tokens begin others': that the text begins with it and not with a longer
    one, `log(P - sum of P of the labels next below it)`.

    Args:
        labels: the tokens of each.
        logprobs: log-probability that the text begins with each.

    >>> half = math.log(0.5)
    >>> [round(math.exp(x), 3) for x in exclusive([(1,), (1, 2)], [half, 2 * half])]
    [0.25, 0.25]
    """
    places = {label: i for i, label in enumerate(labels)}
    longer: list[list[int]] = [[] for _ in labels]
    for i, label in enumerate(labels):
        for n in range(len(label) - 1, 0, -1):
            if label[:n] in places:
                longer[places[label[:n]]].append(i)
                break
    result = list(logprobs)
    for i, below in enumerate(longer):
        if below and logprobs[i] > -math.inf:
            taken = math.fsum(math.exp(logprobs[j] - logprobs[i]) for j in below)
            result[i] += math.log1p(-taken) if taken < 1 else -math.inf
    return result


def name_of(label: object, text: str) -> str:
    """The name of a label in a calibration: a text label itself, any other label's text."""
    return label if isinstance(label, str) and type(label) is str else text


def _calibrated(
    calibration: Calibration, texts: Mapping[Any, str], probabilities: Mapping[Any, float]
) -> dict[Any, float]:
    """The probabilities (label -> p) as the calibration has them.

    Raises:
        CalibrationError: it is for other labels, or two of these have one name.
    """
    labels: dict[str, Any] = {}
    for label, text in texts.items():
        name = name_of(label, text)
        if name in labels:
            raise CalibrationError(
                f"labels {shorten(labels[name])} and {shorten(label)} are both {name!r} to the "
                "calibration, which knows a text label by itself and any other by its text; "
                "rename one"
            )
        labels[name] = label
    better = calibration.apply_to({name: probabilities[labels[name]] for name in labels})
    return {label: better[name] for name, label in labels.items()}


def questions(
    prompt: str | Sequence[Message], question: str, texts: Mapping[Any, str]
) -> list[str | list[Message]]:
    """For each label the prompt with the question about that label after it.

    Args:
        prompt: a text, or messages, where the question joins the last one's content.
        question: holds "{label}", where the label's text goes.
        texts: label -> text.

    Raises:
        ArgumentError: the question has no place for the label.
        DecodeError: there are no messages, or the last has no text.
    """
    expected = "a text with '{label}' in it"
    require(isinstance(question, str), "question", question, expected)
    require("{label}" in question, "question", question, expected)
    asked = [question.replace("{label}", text) for text in texts.values()]
    if isinstance(prompt, str):
        return [prompt + text for text in asked]
    if not prompt or not isinstance(prompt[-1].get("content"), str):
        raise DecodeError("the last message has no text for the question to follow")
    last = prompt[-1]
    return [[*prompt[:-1], {**last, "content": last["content"] + text}] for text in asked]
