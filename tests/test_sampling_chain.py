"""Every step of a chain, in any order, natively: equal to the reference processors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from constrain.kernel import _native
from constrain.sampling import Sampler, Sampling, processors
from constrain.sampling.settings import ORDER
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import (
    NO_IDS,
    NO_VALUES,
    Step,
    final_logits,
    is_borderline,
    pack,
)

pytestmark = pytest.mark.usefixtures("instruction_set")

FEW = [1, 2, 33, 513, 1500]  # listed
MANY = [2600, 4100, 20_000]  # more than are listed

OFF: dict[str, st.SearchStrategy[dict[str, object]]] = {
    "temperature": st.fixed_dictionaries(
        {
            "temperature": st.sampled_from([0.25, 0.8, 1.0, 1.7]),
            "dynamic_temperature_range": st.sampled_from([0.0, 0.2, 1.5]),
            "dynamic_temperature_exponent": st.sampled_from([1.0, 0.5]),
        }
    ),
    "top_n_sigma": st.fixed_dictionaries({"top_n_sigma": st.sampled_from([0.5, 1.0, 3.0])}),
    "top_k": st.fixed_dictionaries({"top_k": st.sampled_from([1, 5, 40, 700, 3000])}),
    "top_p": st.fixed_dictionaries({"top_p": st.sampled_from([0.05, 0.5, 0.9, 0.999])}),
    "min_p": st.fixed_dictionaries({"min_p": st.sampled_from([0.013, 0.31, 1.0, 1e-4])}),
    "typical_p": st.fixed_dictionaries({"typical_p": st.sampled_from([0.2, 0.9, 0.99])}),
    "xtc": st.fixed_dictionaries(
        {
            "xtc_probability": st.just(1.0),
            "xtc_threshold": st.sampled_from([0.3, 0.05, 0.001]),
        }
    ),
    "mirostat": st.fixed_dictionaries(
        {"mirostat": st.sampled_from([1, 2]), "mirostat_tau": st.sampled_from([1.0, 3.0, 5.0])}
    ),
}


@st.composite
def samplings(draw: DrawFn) -> Sampling:
    """Some steps, in any order with mirostat last."""
    order = [*draw(st.permutations(ORDER[:-1])), ORDER[-1]]
    names = draw(st.lists(st.sampled_from(ORDER), min_size=1, max_size=4, unique=True))
    chosen: dict[str, object] = {}
    for name in names:
        chosen |= draw(OFF[name])
    return Sampling(order=tuple(order), seed=draw(st.integers(0, 2**32)), **chosen)  # type: ignore[arg-type]  # fields by name


@st.composite
def steps(draw: DrawFn, sizes: list[int]) -> Step:
    n_vocab = draw(st.sampled_from(sizes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.standard_normal(n_vocab) * draw(st.sampled_from([0.3, 1.0, 4.0]))
    if draw(st.booleans()):
        logits = np.round(logits * 2) / 2  # many equal logits
    if draw(st.booleans()):
        logits[rng.random(n_vocab) < 0.1] = -np.inf
    mask = rng.random(n_vocab) < draw(st.sampled_from([0.9, 1.0]))
    certain = int(rng.integers(n_vocab))
    mask[certain], logits[certain] = True, 1.0
    n_bias = draw(st.sampled_from([0, 0, 3]))
    ids = rng.integers(0, n_vocab, n_bias).astype(np.int32)
    values = (rng.integers(-8, 8, n_bias) / 4).astype(np.float32)
    return Step(logits.astype(np.float32), mask, ids, values, NO_IDS)


def vocabulary_of(n_vocab: int) -> Vocabulary:
    return Vocabulary([b"t%d" % i for i in range(n_vocab)], [])


def check(step: Step, sampling: Sampling) -> None:
    assume(not is_borderline(step, sampling))
    logs = processors.log_softmax(final_logits(step, sampling))
    sampler = Sampler(sampling, vocabulary_of(len(step.logits)))
    sample = sampler.sample(step.logits, pack(step.mask), (step.bias_ids, step.bias_values))
    token = sample.token_id
    # float32 rounding of the reference's logits after a temperature
    rounding = 4e-6 + 2e-7 * float(np.abs(step.logits[np.isfinite(step.logits)]).max()) / 0.1
    assert sample.sampling_logprob == pytest.approx(logs[token], abs=rounding)
    if step.mask.sum() > 1:
        u = _native.uniform(sampler._key, 0)
        sums = np.cumsum(np.exp(logs)) / np.exp(logs).sum()
        below, above = (sums[token - 1] if token else 0.0), sums[token]
        assert below - rounding <= u <= above + rounding


@given(steps(FEW), samplings())
@settings(max_examples=200, deadline=None)
def test_a_chain_over_a_list_is_the_reference(step: Step, sampling: Sampling) -> None:
    check(step, sampling)


@given(steps(MANY), samplings())
@settings(max_examples=150, deadline=None)
def test_a_chain_over_many_tokens_is_the_reference(step: Step, sampling: Sampling) -> None:
    check(step, sampling)


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_each_step_alone_over_many_tokens(name: str, spread: float) -> None:
    values: dict[str, dict[str, float]] = {
        "temperature": {"temperature": 0.7, "dynamic_temperature_range": 0.5},
        "top_n_sigma": {"top_n_sigma": 2.0},
        "top_k": {"top_k": 2900},
        "top_p": {"top_p": 0.8},
        "min_p": {"min_p": 0.2},
        "typical_p": {"typical_p": 0.7},
        "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.0005},
        "mirostat": {"mirostat": 2, "mirostat_tau": 5.5},
    }
    rng = np.random.default_rng(4)
    logits = (rng.standard_normal(20_000) * spread).astype(np.float32)
    step = Step(logits, rng.random(20_000) < 0.7, NO_IDS, NO_VALUES, NO_IDS)
    sampling = Sampling(seed=3, **values[name])  # type: ignore[arg-type]  # fields by name
    logs = processors.log_softmax(final_logits(step, sampling))
    sampler = Sampler(sampling, vocabulary_of(20_000))
    for _ in range(20):
        sample = sampler.sample(logits, pack(step.mask))
        assert sample.sampling_logprob == pytest.approx(logs[sample.token_id], abs=4e-6)
        sampler._mu = 2 * sampling.mirostat_tau


def test_a_token_at_the_edge_of_what_top_p_looked_at_is_not_lost() -> None:
    # Half-integer logits stand exactly where the search by halving puts its edges.
    for seed in range(12):
        rng = np.random.default_rng(seed)
        logits = (np.round(rng.standard_normal(20_000) * 8) / 2).astype(np.float32)
        step = Step(logits, rng.random(20_000) < 0.9, NO_IDS, NO_VALUES, NO_IDS)
        sampling = Sampling(top_p=0.9, mirostat=1, seed=0)
        logs = processors.log_softmax(final_logits(step, sampling))
        sample = Sampler(sampling, vocabulary_of(20_000)).sample(logits, pack(step.mask))
        assert sample.sampling_logprob == pytest.approx(logs[sample.token_id], abs=4e-6)


def test_the_order_changes_the_result() -> None:
    # 0.4, 0.3, 0.2, 0.1 at temperature 1. min-p 0.6 first keeps 0.4 and 0.3. After temperature
    # 0.5 the odds are 16 : 9 : 4 : 1, and 9 / 16 is below 0.6: one is left.
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    mask = pack(np.ones(4, bool))
    kept = {}
    for order in (("temperature", "min_p"), ("min_p", "temperature")):
        sampling = Sampling(temperature=0.5, min_p=0.6, order=order, seed=1)
        sampler = Sampler(sampling, vocabulary_of(4))
        kept[order] = {sampler.sample(logits, mask).token_id for _ in range(200)}
    assert kept == {("temperature", "min_p"): {0}, ("min_p", "temperature"): {0, 1}}


def test_temperature_0_after_xtc_takes_the_best_that_xtc_left() -> None:
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    sampling = Sampling(
        temperature=0,
        xtc_probability=1.0,
        xtc_threshold=0.25,
        order=("xtc", "temperature"),
        seed=1,
    )
    sampler = Sampler(sampling, vocabulary_of(4))
    assert sampler.sample(logits, pack(np.ones(4, bool))).token_id == 1


def test_the_mask_comes_before_every_order() -> None:
    # The forbidden tokens hold nearly all mass: a truncation before the mask would leave none.
    logits = np.array([50, 49, 1, 0], np.float32)
    mask = pack(np.array([False, False, True, True]))
    for first in ORDER[:-1]:
        order = (first, *(name for name in ORDER if name != first))
        sampling = Sampling(
            top_k=1,
            top_p=0.5,
            min_p=0.9,
            typical_p=0.5,
            top_n_sigma=0.1,
            xtc_probability=1.0,
            order=order,
            seed=1,
        )
        assert Sampler(sampling, vocabulary_of(4)).sample(logits, mask).token_id in {2, 3}


def test_xtc_over_many_tokens_drops_the_best_and_needs_two() -> None:
    # Two tokens have e / (2e + 1) = 0.42 each, 9 998 others the rest: with threshold 0.4 the
    # first is dropped. With 0.45 none reaches it.
    logits = np.full(10_000, -math.log(9998), np.float32)
    logits[[70, 900]] = 1.0
    step = Step(logits, np.ones(10_000, bool), NO_IDS, NO_VALUES, NO_IDS)
    for threshold, chance in ((0.4, math.e / (math.e + 1)), (0.45, math.e / (2 * math.e + 1))):
        sampling = Sampling(xtc_probability=1.0, xtc_threshold=threshold, seed=2)
        sampler = Sampler(sampling, vocabulary_of(10_000))
        samples = [sampler.sample(logits, pack(step.mask)) for _ in range(40)]
        assert {70 in {s.token_id for s in samples}} == {threshold == 0.45}
        chances = [s.sampling_logprob for s in samples if s.token_id == 900]
        assert chances == pytest.approx([math.log(chance)] * len(chances), abs=4e-6)
        assert chances


def test_xtc_happens_with_its_probability() -> None:
    # 0.6 and 0.4 both reach the threshold; with XTC only the second is left. So the first is
    # drawn with (1 - 0.3) * 0.6 = 0.42. Chi-square with 1 degree of freedom: 0.999 at 10.83.
    logits = np.log(np.array([0.6, 0.4], np.float32))
    sampling = Sampling(xtc_probability=0.3, xtc_threshold=0.1, seed=8)
    sampler = Sampler(sampling, vocabulary_of(2))
    n = 20_000
    first = sum(sampler.sample(logits, pack(np.ones(2, bool))).token_id == 0 for _ in range(n))
    expected = 0.42 * n
    assert (first - expected) ** 2 / (expected * 0.58) < 10.83


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_the_surprise_near_tau(version: int) -> None:
    # Zipf's law with exponent 1.1 over 5 000 tokens: entropy about 8 bits, and tau below it.
    logits = (-1.1 * np.log(np.arange(1, 5001))).astype(np.float32)
    sampler = Sampler(Sampling(mirostat=version, mirostat_tau=3.0, seed=2), vocabulary_of(5000))
    mask = pack(np.ones(5000, bool))
    surprises = []
    for _ in range(1500):
        sample = sampler.sample(logits, mask)
        sampler.accept(sample.token_id)
        surprises.append(-sample.sampling_logprob / math.log(2))
    # mu changes by eta * (surprise - tau): over n steps their mean is off by
    # |mu_n - mu_0| / (eta * n); mu stays within a few bits, eta * n = 150.
    assert np.mean(surprises) == pytest.approx(3.0, abs=abs(sampler.mu - 6.0) / 150 + 1e-9)
    assert abs(sampler.mu - 6.0) < 15


def test_mu_changes_when_a_sampled_token_is_accepted() -> None:
    logits = np.log(np.array([0.5, 0.25, 0.25], np.float32))
    mask = pack(np.ones(3, bool))
    sampling = Sampling(mirostat=2, mirostat_tau=2.0, mirostat_eta=0.5, seed=1)
    sampler = Sampler(sampling, vocabulary_of(3))
    assert sampler.mu == 4.0
    token = sampler.sample(logits, mask).token_id
    assert sampler.mu == 4.0
    sampler.accept(1, forced=True)
    assert sampler.mu == 4.0
    sampler.accept(token)
    # All three are kept at mu = 4; their surprise is 1 or 2 bits.
    assert sampler.mu == pytest.approx(4 - 0.5 * ((1 if token == 0 else 2) - 2))


def test_mu_stays_where_nothing_is_drawn() -> None:
    # A first draw may be given up, as where it would not leave the budget enough to finish.
    logits = np.log(np.array([0.5, 0.25, 0.25], np.float32))
    sampler = Sampler(Sampling(mirostat=2, mirostat_tau=2.0, seed=1), vocabulary_of(3))
    sampler.sample(logits, pack(np.ones(3, bool)))
    only = sampler.sample(logits, pack(np.array([False, True, False]))).token_id
    sampler.accept(only)
    assert sampler.mu == 4.0
