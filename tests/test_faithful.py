"""Faithful sampling on a toy model, against the enumerated conditional distribution."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import constrain
from constrain import Wishes
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
from constrain.errors import DecodeError, LimitError
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
) -> Result:
    request = FaithfulRequest(
        prompt=PROMPT,
        target=TargetModel.of(sampling or Sampling(), VOCABULARY),
        matcher=cast("Matcher", matcher),
        grammar=grammar,
        n_particles=n,
        max_tokens=max_tokens,
        seed=seed,
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


def test_draws_follow_the_conditional_distribution_and_plain_masking_does_not() -> None:
    expected = by_text(Oracle().sequences(TEXTS))
    masked = by_text(Oracle(masked=True).sequences(TEXTS))
    # All that plain masking can do, exactly: a fifth of the probability lies elsewhere.
    distance = sum(abs(masked[text] - p) for text, p in expected.items()) / 2
    assert distance > 1 / 5
    model = Wishing(32)
    faithful = [draw(ListMatcher(TEXTS), seed, model=model, n=32) for seed in range(300)]
    assert follow(Counter(result.text for result in faithful), expected)
    plain = Counter(plainly(TEXTS, seed, model).text for seed in range(300))
    assert follow(plain, masked)
    assert not follow(plain, expected)


def test_one_particle_is_plain_masking() -> None:
    masked = by_text(Oracle(masked=True).sequences(TEXTS))
    model = Wishing(1)
    drawn = [draw(ListMatcher(TEXTS), seed, model=model, n=1) for seed in range(500)]
    assert follow(Counter(result.text for result in drawn), masked)


@pytest.mark.parametrize(("n", "n_runs"), [(1, 1000), (3, 1000), (8, 400)])
def test_validity_is_unbiased_for_any_number_of_particles(n: int, n_runs: int) -> None:
    expected = sum(Oracle().sequences(TEXTS).values())
    model = Wishing(n)
    results = [draw(ListMatcher(TEXTS), seed, model=model, n=n) for seed in range(n_runs)]
    accounts = [result.faithful for result in results if result.faithful]
    assert (sum(account.n_resampled for account in accounts) > 100) == (n > 1)
    assert within_error([account.validity for account in accounts], expected)
    assert not within_error([account.validity for account in accounts], expected * 1.5)


def test_weights_are_unbiased_for_each_sequence_of_tokens() -> None:
    # The same text in other tokens is another sequence: "true" as tru-e, t-r-u-e, true …
    expected = Oracle().sequences(TEXTS)
    model = Wishing(8)
    runs: list[Counter[tuple[int, ...]]] = []
    for seed in range(400):
        account = draw(ListMatcher(TEXTS), seed, model=model, n=8).faithful
        assert account is not None
        weights: Counter[tuple[int, ...]] = Counter()
        for particle in account.particles:
            weights[particle.tokens] += math.exp(particle.log_weight) / 8  # type: ignore[assignment]  # a float
        runs.append(weights)
    assert {tokens for weights in runs for tokens in weights} <= set(expected)
    often = [t for t in expected if sum(t in weights for weights in runs) >= 40]
    assert len(often) >= 5
    for tokens in often:
        assert within_error([weights[tokens] for weights in runs], expected[tokens])


# The mark is needed, so a beginning can be too long to finish; 15 tokens are the most.
LONG = ["x" * n + "!" for n in range(1, 8)] + ["na" * n + "!" for n in (1, 3, 5, 7)]


@pytest.mark.parametrize(("budget", "n"), [(3, 4), (4, 16), (50, 16)])
def test_the_budget_is_part_of_the_condition(budget: int, n: int) -> None:
    sequences = Oracle(wish_long, budget=budget).sequences(LONG)
    is_short = budget < 15
    assert (len(sequences) < len(Oracle(wish_long).sequences(LONG))) == is_short
    model = Wishing(n, wish_long)
    results = [
        draw(ListMatcher(LONG), seed, model=model, n=n, max_tokens=budget)
        for seed in range(3200 // n)
    ]
    assert all(result.tokens in sequences for result in results)
    assert any(result.shortened for result in results) == is_short
    validities = [result.faithful.validity for result in results if result.faithful]
    assert within_error(validities, sum(sequences.values()))
    if n == 16:
        assert follow(Counter(r.text for r in results), by_text(sequences))


def test_a_draw_past_the_budget_is_weighed_by_what_fits() -> None:
    # With two tokens only the mark fits after x, and the model wishes it about as much as
    # another x: weighing such a draw wrongly would be off by a quarter.
    def even(held: tuple[int, ...]) -> dict[int, float]:
        if held == tuple(PROMPT):
            return {TOKENS.index(b"x"): 14.0}
        if held[-1] == TOKENS.index(b"!"):
            return {END: 14.0}
        return {TOKENS.index(b"x"): 17.5, TOKENS.index(b"!"): 14.0}

    texts = ["x!", "xx!", "xxx!"]
    row = Oracle(even).row([TOKENS.index(b"x")])
    assert 0.3 < row[TOKENS.index(b"!")] < 0.7
    expected = sum(Oracle(even, budget=2).sequences(texts).values())
    model = Wishing(1, even)
    results = [
        draw(ListMatcher(texts), seed, model=model, n=1, max_tokens=2) for seed in range(500)
    ]
    validities = [result.faithful.validity for result in results if result.faithful]
    assert len(set(validities)) == 2  # both draws fit, or not
    assert within_error(validities, expected)
    assert not within_error(validities, expected * 1.2)


def check_bent(
    grammar: Grammar,
    model: ToyModel,
    bent: dict[tuple[int, ...], float],
    sequences: dict[tuple[int, ...], float],
) -> None:
    """Draws follow the bent distribution; the validity is that of the model's own."""
    compiled = constrain.compile(grammar, VOCABULARY)
    results = [
        draw(compiled.matcher(), seed, model=model, n=32, grammar=grammar)
        for seed in range(300)
    ]
    counts = Counter(result.text for result in results)
    assert follow(counts, by_text(bent))
    assert not follow(counts, by_text(sequences))
    validities = [result.faithful.validity for result in results if result.faithful]
    assert within_error(validities, sum(sequences.values()))


def test_weights_of_the_grammar_bend_the_draws_but_not_the_validity() -> None:
    weights = {"x": -1.0, "na": 0.0, "true": 1.0}
    sequences = Oracle().sequences(weights)
    bent = {
        tokens: p * math.exp(weights[b"".join(TOKENS[t] for t in tokens).decode()])
        for tokens, p in sequences.items()
    }
    grammar = constrain.choice(weights)
    check_bent(grammar, Wishing(32), bent, sequences)


def test_wishes_bend_the_draws_by_what_each_sequence_of_tokens_costs() -> None:
    texts = ['"x"', '"xna"', '"xnaxna"']
    sequences = Oracle(wish_quoted).sequences(texts)

    def cost(tokens: tuple[int, ...]) -> float:
        """1 for each token that goes on in the string: not the first, and not at the end."""
        begun = [b"".join(TOKENS[t] for t in tokens[:n]) for n in range(len(tokens) + 1)]
        return sum(len(begun[n]) > 1 and begun[n + 1][-1:] != b'"' for n in range(len(tokens)))

    bent = {tokens: p * math.exp(-cost(tokens)) for tokens, p in sequences.items()}
    schema = {"enum": [text.strip('"') for text in texts]}
    grammar = constrain.json_schema(schema, "compact", wishes=Wishes(short_strings=1.0))
    check_bent(grammar, Wishing(32, wish_quoted), bent, sequences)


def test_temperature_and_logit_bias_are_the_models() -> None:
    bias = {TOKENS.index(b"na"): 1.0, TOKENS.index(b"x"): -1.0}
    sequences = Oracle(temperature=1.5, bias=bias).sequences(TEXTS)
    sampling = Sampling(temperature=1.5, logit_bias=dict(bias.items()))
    model = Wishing(32)
    results = [
        draw(ListMatcher(TEXTS), seed, model=model, n=32, sampling=sampling)
        for seed in range(300)
    ]
    assert follow(Counter(r.text for r in results), by_text(sequences))
    validities = [result.faithful.validity for result in results if result.faithful]
    assert within_error(validities, sum(sequences.values()))


def test_the_account_of_a_draw_agrees_with_itself() -> None:
    model = Wishing(16)
    result = draw(ListMatcher(TEXTS), 5, model=model)
    account = result.faithful
    assert account is not None
    assert sum(p.weight for p in account.particles) == pytest.approx(1)
    assert account.effective_sample_size == pytest.approx(
        1 / sum(p.weight**2 for p in account.particles)
    )
    assert account.validity == pytest.approx(
        sum(math.exp(p.log_weight) for p in account.particles) / 16
    )
    assert (result.text, result.tokens) in {(p.text, p.tokens) for p in account.particles}
    assert result.end is not None
    assert result.end.token_id == END
    held: list[int] = []
    for step in (*result.steps, result.end):
        row = Oracle().row(held)
        assert step.logprob == pytest.approx(math.log(row[step.token_id]))
        assert step.removed_mass is not None
        assert step.masked_logprob == pytest.approx(
            math.log(row[step.token_id] / (1 - step.removed_mass))
        )
        assert not step.forced
        held.append(step.token_id)


def test_equal_beginnings_are_evaluated_once() -> None:
    model = Wishing(16)
    draw(ListMatcher(["true", "x"]), 3, model=model)
    held: list[tuple[int, ...]] = []
    for pieces in model.decoded[1:]:
        assert all(len(piece.token_ids) == 1 for piece in pieces)
        assert len(pieces) <= 4  # of tru-, t-, tr-, true, x at most these are alive together
    for sequence in model.held:
        held += [tuple(sequence)] if sequence else []
    assert len(held) == len(set(held))


def test_the_same_seed_draws_the_same() -> None:
    first, again = (draw(ListMatcher(TEXTS), 7, model=Wishing(16)) for _ in range(2))
    assert first.faithful == again.faithful
    assert first.steps == again.steps


def test_a_failing_model_emits_nothing_and_stays_usable() -> None:
    model = Wishing(16)
    cache_ = SequenceCache(model)
    request = FaithfulRequest(
        PROMPT,
        TargetModel.of(Sampling(), VOCABULARY),
        cast("Matcher", ListMatcher(TEXTS)),
        ANY,
        n_particles=16,
        max_tokens=50,
        seed=7,
    )
    model.fail_at = 2
    with pytest.raises(DecodeError, match="fails as told"):
        run(cache_, request)
    model.fail_at = None
    result = run(cache_, request)
    assert result.faithful == draw(ListMatcher(TEXTS), 7, model=Wishing(16)).faithful


def test_no_probability_for_any_valid_output_is_an_error() -> None:
    ban = Sampling(logit_bias={t: -math.inf for t, data in enumerate(TOKENS) if b"u" in data})
    with pytest.raises(DecodeError, match="no probability"):
        draw(ListMatcher(["true", "ue"]), 0, model=Wishing(4), n=4, sampling=ban)


def test_a_budget_or_context_that_holds_no_output_is_an_error_before_any_call() -> None:
    model = Wishing(4)
    with pytest.raises(LimitError) as caught:
        draw(ListMatcher(["xxx"]), 0, model=model, n=4, max_tokens=2)
    assert (caught.value.given, caught.value.limit) == (3, 2)
    assert model.n_calls == 0


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        (Sampling(temperature=0), "temperature"),
        (Sampling(top_k=5), "top_k"),
        (Sampling(top_p=0.9), "top_p"),
        (Sampling(repeat_penalty=1.1), "repeat_penalty"),
    ],
)
def test_settings_that_leave_no_distribution_to_condition_are_refused(
    sampling: Sampling, named: str
) -> None:
    with pytest.raises(DecodeError, match=named):
        TargetModel.of(sampling, VOCABULARY)
