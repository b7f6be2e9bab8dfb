"""How probable given texts are as continuations of a prompt.

The convention, which decides what a number means:

- The prompt is tokenized as `generate` does it, the completion on its own, as the model would
  continue: its tokens spell exactly the completion, whatever stands before. No token reaches
  over the boundary. Models learn words with the space before them, so leave the space off the
  prompt's end and begin the completion with it (`"The sky is"`, `" blue"`).
- Of all token sequences that spell a completion, the tokenizer's own is scored. The others
  would add to the probability of the text; a model trained on that tokenizer gives them little.
- The text of a control token in a completion is text.
- With `end`, the model ending right after the completion is part of the score: one more step,
  whose probability is the sum over the model's end tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from constrain.arguments import require
from constrain.driver.branches import Continuation
from constrain.errors import ArgumentError, DecodeError, shorten

if TYPE_CHECKING:
    from constrain.driver.branches import TreeEvaluator
    from constrain.driver.forced import CanonicalTokenizer


@dataclass(frozen=True, slots=True)
class Score:
    """The log-probability of one completion, in nats.

    Attributes:
        text: the completion.
        tokens: its token ids.
        logprobs: the model's log-probability of each token given all before it.
        end_logprob: the same of ending after them, if it was asked for.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    end_logprob: float | None = None

    @property
    def logprob(self) -> float:
        """The sum: log-probability of the whole completion, with its end if asked for."""
        return math.fsum(self._steps)

    @property
    def per_token(self) -> float:
        """The mean over the tokens, the end counted as one of them if asked for."""
        return self.logprob / len(self._steps)

    @property
    def per_byte(self) -> float:
        """`logprob` over the UTF-8 length: comparable between models with other tokens.

        Not a number for an empty completion (with its end), which has no bytes.
        """
        n_bytes = len(self.text.encode())
        return self.logprob / n_bytes if n_bytes else math.nan

    @property
    def _steps(self) -> tuple[float, ...]:
        return self.logprobs if self.end_logprob is None else (*self.logprobs, self.end_logprob)


class Scorer:
    """Scores texts on one model.

    Args:
        tree: reads the model.
        tokenize: text to the tokens that spell it, or none.
    """

    def __init__(self, tree: TreeEvaluator, tokenize: CanonicalTokenizer) -> None:
        self.tree = tree
        self._tokenize = tokenize

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a completion.

        Raises:
            DecodeError: it cannot be written as UTF-8, or the model's tokenizer changes it
                (by Unicode normalization, say), so that no tokens of its own spell it.
        """
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise DecodeError(
                f"the text holds a lone surrogate at index {error.start}: {shorten(text)}"
            ) from error
        token_ids = tuple(self._tokenize(data))
        if data and not token_ids:
            raise DecodeError(f"the model's tokenizer cannot spell {shorten(text)} exactly")
        return token_ids

    def score(
        self, prompt: Sequence[int], completions: Iterable[str], *, end: bool
    ) -> list[Score]:
        """See `Model.score`; the prompt as tokens."""
        require(isinstance(end, bool), "end", end, "True or False")
        texts = _checked(completions, end=end)
        token_ids = [self.tokens(text) for text in texts]
        asked = [Continuation(ids, ends=end) for ids in token_ids]
        found = self.tree.logprobs(prompt, asked) if asked else []
        return [
            Score(text, ids, steps[: len(ids)], steps[-1] if end else None)
            for text, ids, steps in zip(texts, token_ids, found, strict=True)
        ]


def _checked(completions: Iterable[str], *, end: bool) -> tuple[str, ...]:
    """The completions, if they are texts that can be scored."""
    if isinstance(completions, str):
        raise _wrong("completions is one text; pass a list of texts", completions)
    if not isinstance(completions, Iterable):
        raise _wrong(
            f"completions are {shorten(completions)}; expected a list of texts", completions
        )
    texts = tuple(completions)  # an iterator gives them once
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise _wrong(f"completion {i} is {shorten(text)}; expected a text", text)
        if not text and not end:
            raise _wrong(
                f"completion {i} is empty: it has no token to score (end=True would score "
                "that the model says nothing)",
                text,
            )
    return texts


def _wrong(reason: str, value: object) -> ArgumentError:
    return ArgumentError(reason, name="completions", value=value)
