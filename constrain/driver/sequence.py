"""One output in the making: which tokens it has, which may come, when it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from constrain.driver.result import FinishReason, Result, Step, Timings
from constrain.driver.text import TextAssembler
from constrain.errors import DecodeError, LimitError
from constrain.logprobs import measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.automaton import Matcher
    from constrain.driver.forced import CanonicalTokenizer
    from constrain.driver.protocol import Logits, MaskWords
    from constrain.grammar.ir import Grammar
    from constrain.logprobs import Measurement
    from constrain.sampling import Sample, Sampler
    from constrain.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Request:
    """What one output shall be.

    Attributes:
        prompt: tokens of the prompt, at least one.
        sampler: its own random numbers and history.
        max_tokens: budget for the output, the end token not counted.
        matcher: where the output is in its grammar, or None: any text.
        grammar: what the matcher follows, for the result.
        stop: texts that end the output (only without a grammar).
        top_logprobs: alternatives to note at each step, on each side of the mask; 0: neither
            alternatives nor entropies.
    """

    prompt: Sequence[int]
    sampler: Sampler
    max_tokens: int
    matcher: Matcher | None = None
    grammar: Grammar | None = None
    stop: Sequence[str] = ()
    top_logprobs: int = 0


@dataclass(slots=True)
class Clock:
    """Seconds and model calls that one output took so far."""

    started: float
    prompt_s: float = 0.0
    decode_s: float = 0.0
    mask_s: float = 0.0
    sample_s: float = 0.0
    measure_s: float = 0.0
    n_model_calls: int = 0


class Output:
    """One output: fed with logits, it chooses tokens until it is finished.

    Invariant under a grammar: what is left of the budget suffices to finish
    (`matcher.min_tokens <= remaining`), so the output is never cut off.

    Args:
        request: what to write.
        vocabulary: the bytes of the tokens.
        tokenize: the model's tokenizer, for forced text.
        n_ctx: tokens that prompt and output together may have.

    Raises:
        LimitError: the prompt leaves no room in the context, or the budget (the smaller of
            `max_tokens` and that room) cannot hold the shortest output the grammar allows.
    """

    def __init__(
        self, request: Request, vocabulary: Vocabulary, tokenize: CanonicalTokenizer, n_ctx: int
    ) -> None:
        n_prompt = len(request.prompt)
        if n_prompt >= n_ctx:
            raise LimitError(
                "tokens of the prompt (n_ctx, one left to answer)", n_prompt, n_ctx - 1
            )
        self._request = request
        self._vocabulary = vocabulary
        self._tokenize = tokenize
        self._budget = min(request.max_tokens, n_ctx - n_prompt)
        self._steps: list[Step] = []
        self._end: Step | None = None
        self._shortened = False
        self._mask: MaskWords = np.zeros((vocabulary.n_vocab + 31) // 32, np.uint32)
        self.clock = Clock(perf_counter())
        self.assembler = TextAssembler(request.stop)
        self.finished: FinishReason | None = None
        self.pending: list[int] = list(request.prompt)
        self._check_budget()
        self._settle()
        self.clock.mask_s += perf_counter() - self.clock.started

    @property
    def remaining(self) -> int:
        """Tokens left in the budget."""
        return self._budget - len(self._steps)

    @property
    def beginning(self) -> tuple[Sequence[int], Sequence[int]]:
        """Before the first model call: the tokens of the prompt, and those forced after it."""
        n_prompt = len(self._request.prompt)
        return self.pending[:n_prompt], self.pending[n_prompt:]

    def choose(self, logits: Logits) -> None:
        """Sample the next token, then take all tokens that leave no choice.

        After it either `finished` is set or `pending` holds the tokens to feed.

        Args:
            logits: float32[n_vocab] after the last pending token, read only.

        Raises:
            DecodeError, LimitError: nothing was emitted.
        """
        started = perf_counter()
        elsewhere = self.clock.sample_s + self.clock.measure_s
        sample = self._within_budget(logits, self._sample(logits))
        measured = self._measure(logits)
        matcher = self._request.matcher
        token_id = sample.token_id
        if matcher is not None:
            matcher.accept(token_id)
        self.pending = []
        logprob, masked_logprob, removed_mass = _own_figures(sample, measured, logits)
        step = Step(
            token_id=token_id,
            data=self._vocabulary.tokens[token_id],
            forced=False,
            logprob=logprob,
            masked_logprob=masked_logprob,
            sampling_logprob=sample.sampling_logprob,
            removed_mass=removed_mass,
            n_allowed=sample.n_allowed,
            entropy=None if measured is None else measured.entropy,
            masked_entropy=None if measured is None else measured.masked_entropy,
            alternatives=() if measured is None else measured.alternatives,
        )
        if token_id in self._vocabulary.end_ids:
            self._end = step
            self.finish("stop")
        else:
            self._take(step)
            self._settle()
        elsewhere = self.clock.sample_s + self.clock.measure_s - elsewhere
        self.clock.mask_s += perf_counter() - started - elsewhere

    def finish(self, reason: FinishReason) -> None:
        """No more tokens will come."""
        if self.finished is None:
            self.finished = reason
            self.assembler.finish()

    def result(self) -> Result:
        """The output so far, with its figures."""
        clock = self.clock
        return Result(
            text=self.assembler.text,
            finish_reason=self.finished or "cancelled",
            steps=tuple(self._steps),
            end=self._end,
            shortened=self._shortened,
            prompt_tokens=len(self._request.prompt),
            n_model_calls=clock.n_model_calls,
            timings=Timings(
                prompt_s=clock.prompt_s,
                decode_s=clock.decode_s,
                mask_s=clock.mask_s,
                sample_s=clock.sample_s,
                measure_s=clock.measure_s,
                total_s=perf_counter() - clock.started,
            ),
            grammar=self._request.grammar,
        )

    def _check_budget(self) -> None:
        matcher = self._request.matcher
        if matcher is None or matcher.min_tokens <= self._budget:
            return
        if self._budget == self._request.max_tokens:
            what = "tokens of the shortest valid output (max_tokens)"
        else:
            rest = "n_ctx less the prompt, or a longer negative one"
            what = f"tokens of the shortest valid output ({rest})"
        raise LimitError(what, matcher.min_tokens, self._budget)

    def _sample(self, logits: Logits) -> Sample:
        """Draw a token under the present mask."""
        matcher = self._request.matcher
        bias = None if matcher is None else matcher.bias()
        started = perf_counter()
        sample = self._request.sampler.sample(logits, self._mask, bias=bias)
        self.clock.sample_s += perf_counter() - started
        return sample

    def _measure(self, logits: Logits) -> Measurement | None:
        """What the row says beside the sample, under the mask it was drawn with."""
        n = self._request.top_logprobs
        if n == 0:
            return None
        started = perf_counter()
        measured = measure(logits, self._mask, self._vocabulary, n)
        self.clock.measure_s += perf_counter() - started
        return measured

    def _within_budget(self, logits: Logits, sample: Sample) -> Sample:
        """The sample, or another one if it leaves too little of the budget to finish.

        Drawing anew among the tokens that fit is drawing from the distribution restricted
        to them (rejection sampling), without working out that restriction at each step. Where
        steps truncate, they look at all tokens in the first draw, at those that fit in the
        second.
        """
        matcher = self._request.matcher
        if matcher is None or sample.token_id in self._vocabulary.end_ids:
            return sample
        left = self.remaining - 1
        if matcher.fits_after(sample.token_id, left):
            return sample
        self._shortened = True
        matcher.fill_mask_within(self._mask, left)
        if not self._mask.any():
            raise DecodeError(
                f"no token leads to an end within {left} tokens, although {matcher.min_tokens} "
                "were said to suffice; this is a bug in constrain"
            )
        return self._sample(logits)

    def _settle(self) -> None:
        """Finish, or take every token that leaves no choice and fill the mask."""
        matcher = self._request.matcher
        if matcher is None:
            self._settle_free()
            return
        while True:
            if not matcher.can_continue:
                self._finish_complete(matcher)
                return
            if self.remaining <= 0:
                self._finish_complete(matcher)
                return
            if self._take_forced(matcher, matcher.forced_tokens(self._tokenize)):
                continue
            matcher.fill_mask(self._mask)
            only = _only_token(self._mask)
            if only is None or only in self._vocabulary.end_ids:
                return
            if not self._take_forced(matcher, [only]):
                return

    def _take_forced(self, matcher: Matcher, token_ids: Sequence[int]) -> bool:
        """Take tokens while the budget allows; whether any was taken.

        Canonical tokens can need more of the budget than the shortest spelling does. The
        first one that does not fit is left out, and the mask within the budget leads on.
        """
        taken = False
        for token_id in token_ids:
            if not matcher.fits_after(token_id, self.remaining - 1):
                self._shortened = True
                return taken
            matcher.accept(token_id)
            self._take(Step.of_forced(token_id, self._vocabulary.tokens[token_id]))
            taken = True
        return taken

    def _take(self, step: Step) -> None:
        self._steps.append(step)
        self.pending.append(step.token_id)
        # Not penalized if forced: that would work against the keys of the next object.
        self._request.sampler.accept(step.token_id, forced=step.forced)
        self.assembler.add(step.data)

    def _finish_complete(self, matcher: Matcher) -> None:
        if not matcher.is_accepting:
            raise DecodeError(
                f"the output {self.assembler.text[-40:]!r} can neither go on nor end here; "
                "this is a bug in constrain"
            )
        self.finish("stop")

    def _settle_free(self) -> None:
        """Without a grammar every token but control tokens may come."""
        if self.assembler.stopped:
            self.finish("stop")
        elif self.remaining <= 0:
            in_budget = self._budget == self._request.max_tokens
            self.finish("length" if in_budget else "context")
        elif not self._mask.any():
            self._mask = text_mask(self._vocabulary)


def text_mask(vocabulary: Vocabulary) -> MaskWords:
    """What free text may hold: every token but control tokens, and the end tokens.

    Returns:
        uint32[(n_vocab + 31) // 32], bit i of word w is token 32 * w + i; bits past `n_vocab`
        are 0. Owned by the caller. Cost: linear in the number of control tokens.
    """
    n_words = (vocabulary.n_vocab + 31) // 32
    allowed = np.zeros(n_words * 32, np.bool_)
    allowed[: vocabulary.n_vocab] = True
    allowed[list(vocabulary.control_ids)] = False
    allowed[list(vocabulary.end_ids)] = True
    return np.packbits(allowed, bitorder="little").view("<u4").astype(np.uint32)


def _own_figures(
    sample: Sample, measured: Measurement | None, logits: Logits
) -> tuple[float, float, float]:
    """Own and masked log-probability and the removed mass: measured, or as the sampler has it.

    So a step and its alternatives agree to the last digit.
    """
    if measured is not None:
        figures = measured.probabilities(sample.token_id, logits)
        if figures is not None:
            return figures
    return sample.logprob, sample.masked_logprob, sample.removed_mass


def _only_token(mask: MaskWords) -> int | None:
    """The single allowed token, or None if there are more (or none)."""
    words = np.flatnonzero(mask)
    if len(words) != 1:
        return None
    word = int(mask[words[0]])
    return int(words[0]) * 32 + word.bit_length() - 1 if word & (word - 1) == 0 else None
