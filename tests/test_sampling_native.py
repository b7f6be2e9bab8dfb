"""The native step equals the reference processors; its draws follow the distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from constrain.errors import DecodeError
from constrain.kernel import _native
from constrain.sampling import Sample, Sampler, Sampling, processors
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import (
    NO_IDS,
    NO_VALUES,
    Step,
    before_truncation,
    final_logits,
    is_borderline,
    pack,
)

pytestmark = pytest.mark.usefixtures("instruction_set")

# Chunks of 512, words of 32 and rows of 16 tokens: sizes around their edges, and larger ones.
SIZES = [1, 2, 15, 31, 32, 33, 100, 511, 512, 513, 1000, 3000, 20_000]
MANY = [1025, 3000, 20_000]  # enough for the sampled search of top-p


def vocabulary_of(n_vocab: int) -> Vocabulary:
    return Vocabulary([b"t%d" % i for i in range(n_vocab)], [])


@st.composite
def steps(draw: DrawFn, sizes: list[int] = SIZES) -> Step:
    n_vocab = draw(st.sampled_from(sizes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.standard_normal(n_vocab) * draw(st.sampled_from([0.0, 0.3, 1.0, 4.0, 30.0]))
    if draw(st.booleans()):
        logits = np.round(logits)  # many equal logits
    if draw(st.booleans()):
        logits[rng.random(n_vocab) < 0.2] = -np.inf
    mask = rng.random(n_vocab) < draw(st.sampled_from([0.01, 0.5, 0.99, 1.0]))
    certain = int(rng.integers(n_vocab))
    mask[certain] = True
    logits[certain] = 1.0
    n_bias = draw(st.integers(0, 4))
    some = rng.integers(0, n_vocab, n_bias).astype(np.int32)
    history = rng.integers(0, min(n_vocab, 40), draw(st.integers(0, 80))).astype(np.int32)
    values = (rng.integers(-20, 20, n_bias) / 4).astype(np.float32)
    return Step(logits.astype(np.float32), mask, some, values, history)


def samplings(truncating: bool = True) -> st.SearchStrategy[Sampling]:
    off = 1.0
    return st.builds(
        Sampling,
        temperature=st.sampled_from([0.25, 0.8, 1.0, 1.7]),
        top_k=st.sampled_from([0, 1, 2, 5, 40, 700]) if truncating else st.just(0),
        top_p=st.sampled_from([off, 0.05, 0.5, 0.9, 0.95, 0.999])
        if truncating
        else st.just(off),
        min_p=st.sampled_from([0.0, 0.013, 0.31, 1.0]) if truncating else st.just(0.0),
        typical_p=st.sampled_from([off, off, 0.2, 0.9]) if truncating else st.just(off),
        repeat_penalty=st.sampled_from([1.0, 1.1, 0.8]),
        frequency_penalty=st.sampled_from([0.0, 0.3, -0.2]),
        presence_penalty=st.sampled_from([0.0, 0.5]),
        penalty_window=st.sampled_from([0, 3, 64, -1]),
        logit_bias=st.dictionaries(st.just(0), st.sampled_from([1.5, -2.0]), max_size=1),
        seed=st.integers(0, 2**64 - 1),
    )


def run(step: Step, sampling: Sampling, sampler: Sampler | None = None) -> Sample:
    sampler = sampler or Sampler(sampling, vocabulary_of(len(step.logits)))
    bias = (step.bias_ids, step.bias_values)
    return sampler.sample(step.logits, pack(step.mask), bias, step.history)


def simple(logits: list[float], mask: list[bool] | None = None) -> Step:
    allowed = np.ones(len(logits), bool) if mask is None else np.array(mask)
    return Step(np.array(logits, np.float32), allowed, NO_IDS, NO_VALUES, NO_IDS)


def check_step(step: Step, sampling: Sampling) -> None:
    final = final_logits(step, sampling)
    logs = processors.log_softmax(final)
    sampler = Sampler(sampling, vocabulary_of(len(step.logits)))
    sample = run(step, sampling, sampler)
    token = sample.token_id
    # The reference's logits are rounded to float32 after the temperature.
    rounding = 3e-6 + 1.2e-7 * float(np.abs(final[np.isfinite(final)]).max())
    assert step.mask[token]
    assert sample.sampling_logprob == pytest.approx(logs[token], abs=rounding)
    assert sample.n_allowed == step.mask.sum()
    if sample.n_allowed > 1:
        u = _native.uniform(sampler._key, 0)
        sums = np.cumsum(np.exp(logs)) / np.exp(logs).sum()
        below, above = (sums[token - 1] if token else 0.0), sums[token]
        assert below - rounding <= u <= above + rounding


@given(steps(), samplings())
@settings(max_examples=400, deadline=None)
def test_native_step_is_the_chain_of_reference_processors(
    step: Step, sampling: Sampling
) -> None:
    assume(np.isfinite(before_truncation(step, sampling)).any())
    assume(not is_borderline(step, sampling))
    check_step(step, sampling)


@given(steps(MANY), st.floats(0.02, 0.995), st.sampled_from([0.3, 1.0, 3.0]))
@settings(max_examples=200, deadline=None)
def test_top_p_over_many_tokens_is_the_reference(
    step: Step, p: float, temperature: float
) -> None:
    sampling = Sampling(temperature=temperature, top_p=p, seed=3)
    assume(np.isfinite(before_truncation(step, sampling)).any())
    assume(not is_borderline(step, sampling))
    check_step(step, sampling)


@given(steps())
@settings(max_examples=150, deadline=None)
def test_reported_numbers_are_the_models_own(step: Step) -> None:
    sample = run(step, Sampling(temperature=0.8, top_k=3, repeat_penalty=1.3, seed=0))
    raw = processors.log_softmax(step.logits)
    masked = processors.log_softmax(processors.apply_mask(step.logits, step.mask))
    assert sample.logprob == pytest.approx(raw[sample.token_id], abs=3e-6)
    assert sample.masked_logprob == pytest.approx(masked[sample.token_id], abs=3e-6)
    assert sample.removed_mass == pytest.approx(np.exp(raw)[~step.mask].sum(), abs=1e-6)


@given(steps(), st.sampled_from([1.0, 1.4]))
@settings(max_examples=150, deadline=None)
def test_greedy_takes_the_greatest_of_lowest_id(step: Step, penalty: float) -> None:
    sampling = Sampling(temperature=0, repeat_penalty=penalty, top_p=0.5, seed=1)
    working = before_truncation(
        step, Sampling(temperature=1, repeat_penalty=penalty, top_p=0.5, seed=1)
    )
    sample = run(step, sampling)
    assert sample.token_id == int(working.argmax())
    assert sample.sampling_logprob == 0


@given(st.lists(st.floats(-87, 0, width=32), min_size=1, max_size=600))
@example([-87.0, -86.99999, -0.0])
@settings(max_examples=100, deadline=None)
def test_weights_are_exponentials_to_4e_7(exponents: list[float]) -> None:
    # Two tokens 0 and -x: the mass of the second is e^-x / (1 + e^-x).
    for exponent in exponents[:20]:
        sample = run(simple([0.0, exponent], [True, False]), Sampling(seed=0))
        expected = math.exp(exponent) / (1 + math.exp(exponent))
        assert sample.removed_mass == pytest.approx(expected, rel=4e-7)


def test_extreme_logits_stay_finite() -> None:
    big = float(np.float32(1e38))
    sample = run(simple([big, -big, big, 0.0]), Sampling(temperature=0.5, top_p=0.9, seed=5))
    assert sample.token_id in {0, 2}
    assert sample.logprob == pytest.approx(-math.log(2), abs=1e-6)


def test_allowed_tokens_far_below_the_best_are_still_exact() -> None:
    # e^-200 is no float32: the masked distribution must not be lost in it. Odds e : 1.
    step = simple([200.0, 1.0, 0.0], [False, True, True])
    sample = run(step, Sampling(seed=1))
    expected = math.log(1 / (1 + math.exp(-1))) - sample.token_id + 1
    assert sample.masked_logprob == pytest.approx(expected, abs=1e-6)
    assert sample.logprob == pytest.approx(2 - sample.token_id - 200, abs=1e-4)
    assert sample.removed_mass == 1


def test_plus_infinity_shares_all_mass() -> None:
    step = simple([math.inf, 1.0, math.inf, math.inf], [True, True, True, False])
    sample = run(step, Sampling(top_p=0.9, seed=2))
    assert sample.token_id in {0, 2}
    assert sample.logprob == pytest.approx(-math.log(3))
    assert sample.masked_logprob == pytest.approx(-math.log(2))
    assert sample.sampling_logprob == pytest.approx(-math.log(2))
    assert sample.removed_mass == pytest.approx(1 / 3)


def test_one_allowed_token_draws_nothing_and_reports_its_probability() -> None:
    sampler = Sampler(Sampling(seed=7), vocabulary_of(2))
    twin = sampler.copy()
    sample = run(simple([0.0, math.log(3)], [True, False]), sampler.settings, sampler)
    assert (sample.token_id, sample.n_allowed) == (0, 1)
    assert sample.logprob == pytest.approx(math.log(0.25))
    assert sample.masked_logprob == pytest.approx(0, abs=1e-6)
    assert sample.sampling_logprob == 0
    assert sample.removed_mass == pytest.approx(0.75)
    free = simple(list(np.linspace(0, 1, 2)))
    assert [run(free, sampler.settings, sampler).token_id for _ in range(40)] == [
        run(free, twin.settings, twin).token_id for _ in range(40)
    ]


def chi_square(counts: list[int], chances: list[float]) -> float:
    n = sum(counts)
    return sum(
        (c - n * p) ** 2 / (n * p) for c, p in zip(counts, chances, strict=True) if p > 0
    )


@pytest.mark.parametrize(
    ("sampling", "mask", "chances"),
    [
        # Logits log(1..8): probabilities i / 36.
        (Sampling(seed=11), [1] * 8, [i / 36 for i in range(1, 9)]),
        (Sampling(seed=12), [0, 1, 0, 1, 0, 1, 0, 1], [0, 0.1, 0, 0.2, 0, 0.3, 0, 0.4]),
        # Half the temperature squares the odds: 4 : 16 : 36 : 64.
        (
            Sampling(temperature=0.5, seed=13),
            [0, 1, 0, 1, 0, 1, 0, 1],
            [0, 4 / 120, 0, 16 / 120, 0, 36 / 120, 0, 64 / 120],
        ),
        # The mask comes before top-k: 8, 6 and 4 are left.
        (
            Sampling(top_k=3, seed=14),
            [0, 1, 0, 1, 0, 1, 0, 1],
            [0, 0, 0, 4 / 18, 0, 6 / 18, 0, 8 / 18],
        ),
        (Sampling(top_p=0.7, seed=15), [0, 1, 0, 1, 0, 1, 0, 1], [0] * 5 + [6 / 14, 0, 8 / 14]),
    ],
)
def test_draws_follow_the_distribution(
    sampling: Sampling, mask: list[int], chances: list[float]
) -> None:
    # The 0.999 quantile of chi-square with 7 degrees of freedom is 24.32; with fewer, lower.
    step = simple([math.log(i) for i in range(1, 9)], [bool(m) for m in mask])
    sampler = Sampler(sampling, vocabulary_of(8))
    counts = [0] * 8
    for _ in range(20_000):
        counts[run(step, sampling, sampler).token_id] += 1
    assert all(c == 0 for c, p in zip(counts, chances, strict=True) if p == 0)
    assert chi_square(counts, chances) < 24.32


def test_uniform_numbers_are_uniform() -> None:
    # 100 cells, 99 degrees of freedom: the 0.999 quantile of chi-square is 148.2.
    numbers = np.array([_native.uniform(9, i) for i in range(100_000)])
    assert 0 <= numbers.min() < numbers.max() < 1
    counts = np.bincount((numbers * 100).astype(int), minlength=100)
    assert chi_square(counts.tolist(), [0.01] * 100) < 148.2


def test_uniform_is_splitmix64() -> None:
    # First outputs for seed 1234567: Rosetta Code, "Pseudo-random numbers/Splitmix64".
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for i, output in enumerate(outputs):
        assert _native.uniform(1234567, i) == (output >> 11) / 2**53


def test_same_seed_draws_the_same_and_another_does_not() -> None:
    step = simple(list(np.linspace(0, 2, 50)))

    def text(seed: int) -> list[int]:
        sampler = Sampler(Sampling(seed=seed), vocabulary_of(50))
        return [run(step, sampler.settings, sampler).token_id for _ in range(30)]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_seed_argument_goes_before_the_settings() -> None:
    settings_seed = Sampler(Sampling(seed=1), vocabulary_of(50))
    assert Sampler(Sampling(seed=2), vocabulary_of(50), seed=1)._key == settings_seed._key


def test_copy_goes_on_independently() -> None:
    step = simple(list(np.linspace(0, 2, 50)))
    sampler = Sampler(Sampling(seed=1, repeat_penalty=2), vocabulary_of(50))
    sampler.accept(3)
    run(step, sampler.settings, sampler)
    twin = sampler.copy()
    expected = [sampler.sample(step.logits, pack(step.mask)) for _ in range(5)]
    sampler.accept(4)
    assert twin.history == (3,)
    assert [twin.sample(step.logits, pack(step.mask)) for _ in range(5)] == expected


def test_accepted_tokens_are_penalized_within_the_window() -> None:
    sampling = Sampling(temperature=0, presence_penalty=5.0, penalty_window=2)
    sampler = Sampler(sampling, vocabulary_of(4))
    logits = np.array([4, 3, 2, 1], np.float32)
    chosen = []
    for _ in range(5):
        chosen.append(sampler.sample(logits, pack(np.ones(4, bool))).token_id)
        sampler.accept(chosen[-1])
    assert chosen == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("logits", "mask", "reason"),
    [
        ([1.0, 2.0], [False, False], "mask is empty"),
        ([1.0, math.nan], [True, True], "NaN"),
        ([1.0, math.nan], [True, False], "NaN"),
        ([-math.inf, 2.0], [True, False], "-inf"),
        ([-math.inf, -math.inf], [True, True], "-inf"),
    ],
)
def test_nothing_is_sampled_without_a_distribution(
    logits: list[float], mask: list[bool], reason: str
) -> None:
    for temperature in (0, 1):
        with pytest.raises(DecodeError, match=reason):
            run(simple(logits, mask), Sampling(temperature=temperature, seed=1))


def test_bias_that_bans_all_allowed_tokens_is_an_error() -> None:
    step = simple([1.0, 2.0], [True, False])
    with pytest.raises(DecodeError, match="-inf"):
        run(step, Sampling(logit_bias={0: -math.inf}))


def test_mask_bits_past_the_vocabulary_are_ignored() -> None:
    sampler = Sampler(Sampling(temperature=0), vocabulary_of(3))
    logits = np.array([1, 3, 2], np.float32)
    assert sampler.sample(logits, np.array([2**32 - 1], np.uint32)).n_allowed == 3
    with pytest.raises(DecodeError, match="empty"):
        sampler.sample(logits, np.array([0xFFFFFFF8], np.uint32))


def test_wrong_arrays_are_errors() -> None:
    sampler = Sampler(Sampling(repeat_penalty=2), vocabulary_of(40))
    logits, words = np.zeros(40, np.float32), np.full(2, 2**32 - 1, np.uint32)
    with pytest.raises(ValueError, match="n_vocab"):
        sampler.sample(logits[:-1], words)
    with pytest.raises(ValueError, match="mask_words"):
        sampler.sample(logits, words[:1])
    with pytest.raises(TypeError):
        sampler.sample(logits.astype(np.float64), words)
    with pytest.raises(TypeError):
        sampler.sample(np.zeros(80, np.float32)[::2], words)
    for wrong in (40, -1):
        with pytest.raises(IndexError):
            sampler.sample(logits, words, history=np.array([wrong], np.int32))
        with pytest.raises(IndexError):
            sampler.sample(logits, words, (np.array([wrong], np.int32), np.ones(1, np.float32)))
        with pytest.raises(ValueError, match="token id"):
            sampler.accept(wrong)
    assert sampler.history == ()


def test_input_arrays_are_only_read() -> None:
    logits, words = np.zeros(40, np.float32), np.full(2, 2**32 - 1, np.uint32)
    logits.setflags(write=False)
    words.setflags(write=False)
    Sampler(Sampling(logit_bias={3: 1.0}, top_p=0.5), vocabulary_of(40)).sample(logits, words)
    assert not logits.any()
