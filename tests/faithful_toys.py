"""Toy models of known wishes, and the enumerated distributions that draws must follow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

import constrain
from constrain.driver.cache import SequenceCache
from constrain.driver.faithful import (
    FaithfulRequest,
    FaithfulSampler,
    budget_of,
)
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.loop import Loop
from constrain.driver.proposal import TargetModel
from constrain.driver.sequence import Output, Request
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary
from tests.toy_model import CONTROL, END, TOKENS, ListMatcher, ToyModel, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from constrain.automaton import Matcher
    from constrain.driver.result import Result
    from constrain.grammar.ir import Grammar

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])
PROMPT = tokenize(b"Go: ")
# "t" is likely and a trap: after it the model would end or write something else.
TEXTS = ["true", "the", "tab", "x", "xx", "na"]
Wish = Callable[[tuple[int, ...]], dict[int, float]]
ANY = constrain.choice(["any"])  # a name for the grammar of results; the matcher decides


def wish(held: tuple[int, ...]) -> dict[int, float]:
    """Wants t first, and then rarely what makes it a text."""
    ids = {
        name: TOKENS.index(name)
        for name in (b"t", b"x", b"r", b"h", b"na", b"tru", b"ue", b"e")
    }
    if held == tuple(PROMPT):
        return {ids[b"t"]: 11.0, ids[b"x"]: 7.0, ids[b"na"]: 6.0, ids[b"tru"]: 9.0}
    if held[-1] == ids[b"t"]:
        return {END: 12.0, ids[b"r"]: 10.0, ids[b"h"]: 8.0}
    return {END: 8.0, ids[b"ue"]: 8.0, ids[b"x"]: 10.0, ids[b"e"]: 8.0, ids[b"na"]: 7.0}


def wish_long(held: tuple[int, ...]) -> dict[int, float]:
    """Wants to go on more than to end, and to end after the mark."""
    if held[-1] == TOKENS.index(b"!"):
        return {END: 16.0}
    wanted = {b"x": 14.0, b"na": 14.0, b"!": 13.0}
    return {TOKENS.index(data): value for data, value in wanted.items()}


def wish_quoted(held: tuple[int, ...]) -> dict[int, float]:
    """Wants a short word between quotation marks."""
    quote = TOKENS.index(b'"')
    wanted = ({b'"': 14.0}, {b"x": 14.0, b"na": 13.0, b'"': 14.0})
    n_quotes = held[len(PROMPT) :].count(quote)
    if n_quotes == 2:
        return {END: 14.0}
    return {TOKENS.index(data): value for data, value in wanted[n_quotes].items()}


class Wishing(ToyModel):
    """The toy model with a wish; logits are kept, since they are asked for many times."""

    def __init__(self, n_sequences: int, wish: Wish = wish) -> None:
        super().__init__(n_sequences=n_sequences, wish=wish, n_batch=10_000)
        self.logits = cache(super().logits)  # type: ignore[method-assign]  # the same rows


@dataclass(frozen=True)
class Oracle:
    """Exact probabilities of whole sequences of tokens, by going through all of them.

    Args:
        budget: tokens a sequence may have.
        masked: what masking token by token draws: at each token the probabilities of those
            that may come are made to add up to 1. Else the model's own.
    """

    wish: Wish = wish
    temperature: float = 1.0
    bias: Mapping[int, float] = field(default_factory=dict)
    budget: int = 99
    masked: bool = False

    def row(self, held: Sequence[int]) -> NDArray[np.float64]:
        """The model's distribution after the prompt and these tokens, by the definition."""
        logits = ToyModel(wish=self.wish).logits((*PROMPT, *held)).astype(np.float64)
        for token_id, value in self.bias.items():
            logits[token_id] += value
        powers: NDArray[np.float64] = np.exp(logits / self.temperature)
        powers /= powers.sum()
        return powers

    def sequences(self, texts: Iterable[str]) -> dict[tuple[int, ...], float]:
        """Every sequence that spells a text, with the probability of it and an end token."""
        found: dict[tuple[int, ...], float] = {}
        self._go_on((), tuple(text.encode() for text in texts), 1.0, found)
        return found

    def _go_on(
        self,
        held: tuple[int, ...],
        rests: tuple[bytes, ...],
        probability: float,
        found: dict[tuple[int, ...], float],
    ) -> None:
        row = self.row(held)
        after = {
            token_id: tuple(rest[len(data) :] for rest in rests if rest.startswith(data))
            for token_id, data in enumerate(TOKENS)
            if data and token_id not in (END, CONTROL) and len(held) < self.budget
        }
        may_come = [token_id for token_id, left in after.items() if left]
        may_end = [END] if b"" in rests else []
        scale = row[may_come + may_end].sum() if self.masked else 1.0
        if may_end:
            found[held] = probability * row[END] / scale
        for token_id in may_come:
            next_probability = probability * row[token_id] / scale
            self._go_on((*held, token_id), after[token_id], next_probability, found)


def draw(
    matcher: Any,
    seed: int,
    *,
    model: ToyModel,
    n: int = 16,
    max_tokens: int = 50,
    sampling: Sampling | None = None,
    grammar: Grammar = ANY,
    top_logprobs: int = 0,
) -> Result:
    request = FaithfulRequest(
        prompt=PROMPT,
        target=TargetModel.of(sampling or Sampling(), VOCABULARY),
        matcher=cast("Matcher", matcher),
        grammar=grammar,
        n_particles=n,
        max_tokens=max_tokens,
        seed=seed,
        top_logprobs=top_logprobs,
    )
    return run(SequenceCache(model), request)


def run(sequences: SequenceCache, request: FaithfulRequest) -> Result:
    budget = budget_of(request, VOCABULARY, 256)
    return FaithfulSampler(sequences, request, VOCABULARY, budget).run()


def plainly(texts: list[str], seed: int, model: ToyModel) -> Result:
    """What masking token by token draws, without forced tokens."""
    request = Request(
        prompt=PROMPT,
        sampler=Sampler(Sampling(seed=seed), VOCABULARY),
        max_tokens=50,
        matcher=cast("Matcher", ListMatcher(texts)),
    )
    none_forced = CanonicalTokenizer(lambda _: (), TOKENS)
    output = Output(request, VOCABULARY, none_forced, 256)
    Loop(SequenceCache(model), [output]).run()
    return output.result()


def by_text(sequences: dict[tuple[int, ...], float]) -> dict[str, float]:
    """Probabilities of the texts, adding up to 1."""
    total = sum(sequences.values())
    found: dict[str, float] = {}
    for tokens, probability in sequences.items():
        text = b"".join(TOKENS[t] for t in tokens).decode()
        found[text] = found.get(text, 0.0) + probability / total
    return found


def follow(counts: Counter[str], expected: dict[str, float]) -> bool:
    """Chi-square test at 0.001 of draws against probabilities, by text.

    Texts expected fewer than 5 times count together with the rarest of the others.
    """
    n = sum(counts.values())
    assert set(counts) <= set(expected)
    ranked = sorted(expected, key=lambda text: -expected[text])
    n_groups = sum(expected[text] * n >= 5 for text in ranked)
    groups = [[text] for text in ranked[: n_groups - 1]] + [ranked[n_groups - 1 :]]
    statistic = 0.0
    for group in groups:
        mean = n * sum(expected[text] for text in group)
        statistic += (sum(counts[text] for text in group) - mean) ** 2 / mean
    # 0.999 quantiles of chi-square, by degrees of freedom
    return bool(statistic < {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}[n_groups - 1])


def within_error(values: Sequence[float], expected: float) -> bool:
    """Whether the mean of independent values is within 4 standard errors of a number."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return bool(abs(float(np.mean(values)) - expected) < 4 * error)
