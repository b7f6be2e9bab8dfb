"""What may follow one beginning of an output, and how much the model wishes each of it.

The model's distribution over the whole vocabulary is taken first (logit bias, temperature,
softmax); the mask then only says which part of it counts. So the mass of the allowed tokens is
known, which ordinary masked sampling throws away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from constrain.driver.particles import Weights, log_sum, pick_summed, summed
from constrain.driver.result import Step
from constrain.errors import ArgumentError, DecodeError, shorten
from constrain.logprobs import measure
from constrain.sampling import Sampling
from constrain.sampling.places import Bias
from constrain.sampling.processors import apply_temperature, log_softmax, logit_bias
from constrain.sampling.sampler import resolve_bias

if TYPE_CHECKING:
    from constrain.driver.protocol import Logits, MaskWords
    from constrain.logprobs import Measurement
    from constrain.vocabulary import Vocabulary

_TAKEN = frozenset({"temperature", "logit_bias", "seed"})


@dataclass(frozen=True)
class TargetModel:
    """The distribution that is conditioned on the grammar: the model's, at a temperature.

    Attributes:
        temperature: divides the logits; above 0.
        bias: (token ids, addends) of the user's logit bias, before the temperature.
        vocabulary: the bytes of each token.
    """

    temperature: float
    bias: Bias
    vocabulary: Vocabulary

    @classmethod
    def of(cls, sampling: Sampling, vocabulary: Vocabulary) -> TargetModel:
        """The distribution that `sampling` describes.

        Raises:
            ArgumentError: the temperature is 0, or a truncating step or a penalty is on: what
                they cut off depends on the mask, so there is nothing to condition.
            VocabularyError: `logit_bias` means no token of the vocabulary.
        """
        plain = Sampling()
        for item in fields(Sampling):
            value = getattr(sampling, item.name)
            if item.name not in _TAKEN and value != getattr(plain, item.name):
                raise ArgumentError(
                    f"{item.name} is {shorten(value)}, but faithful sampling draws from the "
                    "model's own distribution: only temperature, logit_bias and seed apply",
                    name=item.name,
                    value=value,
                )
        if sampling.temperature == 0:
            raise ArgumentError(
                "temperature is 0, but faithful sampling draws from a distribution: it needs "
                "a temperature above 0",
                name="temperature",
                value=sampling.temperature,
            )
        bias = resolve_bias(sampling, vocabulary)
        return cls(sampling.temperature, bias, vocabulary)

    def log_probabilities(self, logits: Logits) -> Weights:
        """float64[n_vocab], over the whole vocabulary."""
        if len(self.bias[0]):
            logits = logit_bias(logits, *self.bias)
        if self.temperature != 1:
            logits = apply_temperature(logits, self.temperature)
        return log_softmax(logits)


class Proposal:
    """The allowed tokens after one beginning, each with its part of the model's probability.

    Args:
        target: the distribution.
        logits: float32[n_vocab] of the model, read only; only looked at until the model is
            asked again.
        mask: uint32 words, bit i of word w is token 32 * w + i; copied.
        grammar_bias: what weights and wishes add, divided by the temperature like a logit bias
            in ordinary sampling; they change what is drawn, not the model's probabilities.
        bias_offset: what is added to every token besides.

    Raises:
        DecodeError: a logit is NaN, or none is above -inf.

    Attributes:
        log_mass: log of the sum over allowed tokens of probability times exp(grammar bias);
            -inf where the model gives nothing to any of them.

    Cost: one or two softmaxes over the vocabulary in float64 (0.6 ms each for 49 152 tokens).
    """

    def __init__(
        self,
        target: TargetModel,
        logits: Logits,
        mask: MaskWords,
        grammar_bias: Bias,
        bias_offset: float = 0.0,
    ) -> None:
        if np.isnan(logits).any() or logits.max(initial=-np.inf) == -np.inf:
            raise DecodeError("the model gave logits that are no distribution")
        self._target = target
        self._logits = logits
        scores = target.log_probabilities(logits)
        own = log_softmax(logits) if scores_differ(target) else scores
        allowed = token_ids(mask, len(logits))
        self._addends = np.full(len(logits), bias_offset)
        self._addends[grammar_bias[0]] += grammar_bias[1]
        self._addends /= target.temperature
        self._fill(mask, allowed, scores[allowed], own[allowed])

    def _fill(
        self, mask: MaskWords, allowed: NDArray[np.int64], scores: Weights, own: Weights
    ) -> None:
        self._mask = mask.copy()
        self._measured: Measurement | None = None
        self._sums: Weights | None = None  # of the weights, once something was drawn
        self._token_ids = allowed
        self._scores = scores
        self._own = own
        self._weights: Weights = scores + self._addends[allowed]
        self.log_mass = log_sum(self._weights)
        self._own_mass = log_sum(own)

    def within(self, mask: MaskWords) -> Proposal:
        """The same, with the tokens of this proposal that `mask` allows too."""
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        kept = bits[self._token_ids].astype(np.bool_)
        smaller = object.__new__(Proposal)
        smaller._target, smaller._addends = self._target, self._addends
        smaller._logits = self._logits
        smaller._fill(
            mask & self._mask, self._token_ids[kept], self._scores[kept], self._own[kept]
        )
        return smaller

    def draw(self, u: float) -> int:
        """The index of the token that a number in [0, 1) draws; `log_mass` is above -inf."""
        if self._sums is None:
            self._sums = summed(self._weights)
        return pick_summed(self._sums, u)

    def token_id(self, index: int) -> int:
        """The token at an index."""
        return int(self._token_ids[index])

    def grammar_bias(self, index: int) -> float:
        """What the grammar added to the log-probability of the token at an index."""
        return float(self._addends[self._token_ids[index]])

    def measured(self, n: int) -> Measurement | None:
        """Entropies and n alternatives on each side of the mask; None for n = 0.

        Cost: as `measure`, once.
        """
        if self._measured is None and n > 0:
            self._measured = measure(self._logits, self._mask, self._target.vocabulary, n)
        return self._measured

    def step(self, index: int, measured: Measurement | None = None) -> Step:
        """The account of the token at an index, as if it had been drawn from here.

        Where the row was measured, its figures are exactly those of the alternatives.
        """
        token = self.token_id(index)
        logprob = float(self._own[index])
        removed = min(1.0, max(0.0, -math.expm1(self._own_mass)))
        figures = logprob, logprob - self._own_mass, removed
        if measured is not None:
            figures = measured.probabilities(token, self._logits) or figures
        return Step(
            token_id=token,
            data=self._target.vocabulary.tokens[token],
            forced=False,
            logprob=figures[0],
            masked_logprob=figures[1],
            sampling_logprob=float(self._weights[index]) - self.log_mass,
            removed_mass=figures[2],
            n_allowed=len(self._token_ids),
            entropy=None if measured is None else measured.entropy,
            masked_entropy=None if measured is None else measured.masked_entropy,
            alternatives=() if measured is None else measured.alternatives,
        )


def scores_differ(target: TargetModel) -> bool:
    """Whether the distribution is another one than the model's own softmax."""
    return target.temperature != 1 or len(target.bias[0]) > 0


def token_ids(mask: MaskWords, n_vocab: int) -> NDArray[np.int64]:
    """The ids whose bits are 1, ascending.

    >>> token_ids(np.array([0b101], np.uint32), 32).tolist()
    [0, 2]
    """
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=n_vocab)
    ids: NDArray[np.int64] = np.flatnonzero(bits).astype(np.int64)
    return ids
