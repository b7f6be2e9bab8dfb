"""What a model says of given texts: `score`, `classify` and `classify_each`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

from constrain.arguments import unfit
from constrain.driver.classify import (
    Classification,
    Classifier,
    Judgement,
    MultiClassification,
    Normalization,
    questions,
)
from constrain.driver.labels import labels_of

if TYPE_CHECKING:
    from constrain.calibration import Calibration
    from constrain.driver.prompts import Prompt
    from constrain.driver.scoring import Score, Scorer


class Judging(ABC):
    """The part of a `Model` that writes nothing, and asks how probable texts are."""

    @abstractmethod
    def prompt_tokens(self, prompt: Prompt) -> list[int]:
        """The tokens that are fed for a prompt."""

    @abstractmethod
    def _busy(self) -> AbstractContextManager[None]:
        """Keeps others from using the model meanwhile."""

    @property
    @abstractmethod
    def _scorer(self) -> Scorer:
        """Reads the model; used while it is busy."""

    @cached_property
    def _classifier(self) -> Classifier:
        return Classifier(self._scorer)

    def score(
        self, prompt: Prompt, completions: Iterable[str], *, end: bool = False
    ) -> list[Score]:
        """How probable each text is as what the model writes next.

        `constrain.driver.scoring` says how texts are cut into tokens, which decides what the
        numbers mean: a completion should begin with its space, the prompt not end with it.

        Args:
            prompt: as for `generate`.
            completions: the texts; their shared beginnings are evaluated once, together.
            end: whether ending after the text is part of it.

        Raises:
            ArgumentError: a completion is no text, or empty without `end`.
            LimitError: prompt and completion do not fit the context.
            DecodeError: the model failed or is busy, or cannot spell a completion.
        """
        with self._busy():
            return self._scorer.score(self.prompt_tokens(prompt), completions, end=end)

    def classify(  # noqa: PLR0913  each keyword is one independent option with a default
        self,
        prompt: Prompt,
        labels: object,
        *,
        end: bool = False,
        normalize: Normalization = "none",
        prior: Prompt | None = None,
        threshold: float = 0.0,
        calibration: Calibration | None = None,
    ) -> Classification:
        """Which label the model would write next, and the exact probability of each.

        Args:
            prompt: as for `generate`. Of prompts that begin alike only what is new is read.
            labels: a list of texts (no set: it has no order), a dict label -> text, an Enum
                class or a `Literal`. The texts follow the prompt as they are: after `"Mood:"`
                let them begin with a space; or write a dict, `{"good": " good"}`.
            end: whether the model must end after the label; see `constrain.driver.classify`
                about labels that begin other labels.
            normalize: "none", or "token" or "byte": the mean log-probability over the
                label's tokens or bytes, so that long labels are not at a disadvantage.
            prior: a prompt without the matter to be judged; each label's probability is
                divided by the one it has there. "" asks what the model says from the start.
            threshold: below this probability the result's label is None.
            calibration: applied to the probabilities, made for the same labels and options.

        Raises:
            ArgumentError: labels or an option are malformed.
            CalibrationError: the calibration is for other labels, or cannot tell two apart.
            LimitError, DecodeError: as `score`.
        """
        texts = labels_of(labels)
        judgement = Judgement(end, normalize, threshold, calibration)
        with self._busy():
            prompts = [self.prompt_tokens(prompt)]
            priors = None if prior is None else [self.prompt_tokens(prior)]
            return self._classifier.classify(prompts, texts, judgement, priors)[0]

    def n_tokens_to_classify(self, prompt: Prompt, labels: object, *, end: bool = False) -> int:
        """How many tokens of the context `classify` takes: at most `n_ctx`, or it fails.

        Nothing is evaluated: for finding out which of many texts are too long.

        Args:
            prompt: as for `classify`; a prior is a prompt like another.
            labels: as for `classify`.
            end: as for `classify`.

        Raises:
            ArgumentError: the labels are malformed.
            DecodeError: the prompt is malformed, the model cannot spell a label, or is busy.
        """
        texts = labels_of(labels)
        with self._busy():
            return self._classifier.n_tokens(self.prompt_tokens(prompt), texts, end=end)

    def classify_each(  # noqa: PLR0913  each keyword is one independent option
        self,
        prompt: Prompt,
        labels: object,
        *,
        question: str,
        answers: tuple[str, str] = (" yes", " no"),
        prior: Prompt | None = None,
        threshold: float = 0.5,
        calibration: Calibration | None = None,
    ) -> MultiClassification:
        """Which labels apply, each judged on its own by a question; any number of them may.

        The prompt is read once, then all questions with both answers together.

        Args:
            prompt: as for `generate`.
            labels: as for `classify`.
            question: follows the prompt (or the last message's text), with the label's text
                in place of "{label}", such as "\nIs it about {label}? Answer:".
            answers: the texts for yes and no.
            prior: as for `classify`; the same questions follow it.
            threshold: least probability of yes for a label that is given.
            calibration: for the two answers, applied to each.

        Raises:
            As `classify`.
        """
        texts = labels_of(labels, least=1)
        yes_and_no = labels_of(answers, least=0)
        if len(yes_and_no) != 2:  # noqa: PLR2004  # yes and no
            raise unfit("answers", answers, "two texts, for yes and for no")
        judgement = Judgement(threshold=threshold, calibration=calibration)
        asked = [questions(p, question, texts) for p in (prompt, prior) if p is not None]
        with self._busy():
            tokens = [[self.prompt_tokens(each) for each in part] for part in asked]
            found = self._classifier.classify(
                tokens[0], yes_and_no, judgement, None if prior is None else tokens[1]
            )
        return MultiClassification.of(dict(zip(texts, found, strict=True)), threshold)
