"""Faithful sampling on a toy model, against the enumerated conditional distribution."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

import constrain
from constrain import Wishes
from constrain.driver import faithful
from constrain.driver.cache import SequenceCache
from constrain.driver.faithful import (
    FaithfulRequest,
)
from constrain.driver.particles import systematic
from constrain.driver.proposal import TargetModel
from constrain.errors import ArgumentError, DecodeError, LimitError
from constrain.sampling import Sampling
from tests.faithful_toys import (
    ANY,
    PROMPT,
    TEXTS,
    VOCABULARY,
    Oracle,
    Wishing,
    by_text,
    draw,
    follow,
    plainly,
    run,
    wish_long,
    wish_quoted,
    within_error,
)
from tests.toy_model import END, TOKENS, ListMatcher, ToyModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from constrain.automaton import Matcher
    from constrain.driver.particles import Weights
    from constrain.grammar.ir import Grammar


def test_draws_follow_the_conditional_distribution_and_plain_masking_does_not() -> None:
    expected = by_text(Oracle().sequences(TEXTS))
    masked = by_text(Oracle(masked=True).sequences(TEXTS))
    # All that plain masking can do, exactly: a fifth of the probability lies elsewhere.
    distance = sum(abs(masked[text] - p) for text, p in expected.items()) / 2
    assert distance > 1 / 5
    model = Wishing(32)
    drawn = [draw(ListMatcher(TEXTS), seed, model=model, n=32) for seed in range(300)]
    assert follow(Counter(result.text for result in drawn), expected)
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
    # Equal to it where nothing was drawn anew; else less, for sums have greater squares.
    assert account.effective_sample_size <= 1 / sum(p.weight**2 for p in account.particles)
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


def wish_trap(held: tuple[int, ...]) -> dict[int, float]:
    """Wants t or x, and after t only to end, which is no text; after x na, and to end."""
    ids = {name: TOKENS.index(name) for name in (b"t", b"x", b"na")}
    if held == tuple(PROMPT):
        return {ids[b"t"]: 64.0, ids[b"x"]: 60.0}
    return {END: 400.0} if held[-1] != ids[b"x"] else {ids[b"na"]: 60.0}


def test_the_effective_sample_size_counts_ancestors_after_drawing_anew() -> None:
    # All weight is with the k of 12 particles that took x; the validity is P(t or x) k / 12 to
    # e^-40, and P(t or x) is 1. From fewer than 6 all 12 are drawn anew, and each of the k has
    # 12 / k copies, rounded down or up: 12 % k of them have one more.
    model = Wishing(12, wish_trap)
    seen = set()
    for seed in range(60):
        account = draw(ListMatcher(["t!", "xna"]), seed, model=model, n=12).faithful
        assert account is not None
        k = round(account.validity * 12)
        if k == 0:
            continue
        seen.add(k)
        assert account.validity == pytest.approx(k / 12, rel=1e-9)
        copies = [12 // k + (i < 12 % k) for i in range(k)] if k < 6 else [1] * k
        expected = sum(copies) ** 2 / sum(n**2 for n in copies)
        assert account.effective_sample_size == pytest.approx(expected)
        assert k == 6 or account.n_resampled == (k < 6)  # of 6 it hangs on rounding
    assert seen >= {1, 2, 3, 4, 5, 6}


def test_ancestors_are_those_at_the_beginning_however_often_it_was_drawn_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[NDArray[np.int64]] = []
    told: list[NDArray[np.int64]] = []

    def recorded(log_weights: Weights, u: float) -> NDArray[np.int64]:
        taken.append(systematic(log_weights, u))
        return taken[-1]

    def size(_: Weights, ancestors: NDArray[np.int64]) -> float:
        told.append(ancestors.copy())
        return 1.0

    monkeypatch.setattr(faithful, "systematic", recorded)
    monkeypatch.setattr(faithful, "effective_ancestors", size)
    model = Wishing(12)
    n_times = set()
    for seed in range(20):
        taken.clear()
        draw(ListMatcher(TEXTS), seed, model=model, n=12)
        for i in range(12):  # back from the last generation to the first
            at = i
            for parents in reversed(taken):
                at = int(parents[at])
            assert told[-1][i] == at
        n_times.add(len(taken))
    assert max(n_times) >= 2


def test_the_effective_sample_size_tells_the_error_of_the_validity() -> None:
    # Lee and Whiteley: the relative variance of the estimate is about the sum of the squares of
    # the shares by ancestor, less the 1 / n that equal shares have.
    n = 32
    model = Wishing(n)
    results = [draw(ListMatcher(TEXTS), seed, model=model, n=n) for seed in range(200)]
    accounts = [result.faithful for result in results if result.faithful]
    validities = [account.validity for account in accounts]
    found = np.var(validities) / np.mean(validities) ** 2
    told = np.mean([1 / account.effective_sample_size for account in accounts]) - 1 / n
    assert 2 / 3 < found / told < 3 / 2


@pytest.mark.parametrize("budget", [50, 3])
def test_steps_are_measured_where_they_were_drawn(budget: int) -> None:
    model = Wishing(8, wish_long)
    matcher = ListMatcher(LONG)
    results = [
        draw(matcher, seed, model=model, n=8, max_tokens=budget, top_logprobs=3)
        for seed in range(20)
    ]
    assert any(result.shortened for result in results) == (budget == 3)
    for result in results:
        assert result.timings.measure_s > 0
        assert result.end is not None
        held: list[int] = []
        for step in (*result.steps, result.end):
            row = Oracle(wish_long).row(held)
            assert step.entropy == pytest.approx(-(row * np.log(row)).sum(), abs=1e-5)
            likeliest = set(np.argsort(-row)[:3].tolist())
            assert {other.token_id for other in step.alternatives} >= likeliest
            for other in step.alternatives:
                assert other.logprob == pytest.approx(math.log(row[other.token_id]), abs=1e-4)
            masked = [a for a in step.alternatives if a.allowed]
            assert len(masked) == min(3, step.n_allowed)
            own = {a.token_id: (a.logprob, a.masked_logprob) for a in masked}
            figures = step.logprob, step.masked_logprob
            assert own.get(step.token_id, figures) == figures  # to the last digit
            assert step.logprob == pytest.approx(math.log(row[step.token_id]), abs=1e-4)
            held.append(step.token_id)
    unmeasured = draw(matcher, 0, model=model, n=8)
    assert all(step.alternatives == () for step in unmeasured.steps)


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


def test_sequences_that_all_end_in_a_dead_end_are_told_from_an_impossible_grammar() -> None:
    # One sequence takes t or x, about evenly, and t! is banned. With 12 some take x.
    def wish_even(held: tuple[int, ...]) -> dict[int, float]:
        x, t, na = (TOKENS.index(data) for data in (b"x", b"t", b"na"))
        return {x: 61.0, t: 64.0} if held == tuple(PROMPT) else {na: 60.0, END: 60.0}

    ban = Sampling(logit_bias={TOKENS.index(b"!"): -math.inf})
    texts = ["t!", "xna"]
    outcomes = set()
    for seed in range(20):
        try:
            model = Wishing(1, wish_even)
            result = draw(ListMatcher(texts), seed, model=model, n=1, sampling=ban)
            outcomes.add(result.text)
        except DecodeError as error:
            outcomes.add(str(error))
    assert "xna" in outcomes
    [told] = outcomes - {"xna"}
    assert "each of the 1 sequences" in told
    assert "take more" in told
    many = draw(ListMatcher(texts), 0, model=Wishing(12, wish_even), n=12, sampling=ban)
    assert many.text == "xna"


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
    with pytest.raises(ArgumentError, match=named) as caught:
        TargetModel.of(sampling, VOCABULARY)
    assert caught.value.name == named
