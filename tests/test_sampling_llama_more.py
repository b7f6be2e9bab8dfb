"""The rarer processors, and whole chains, do what llama.cpp's samplers of that name do.

As in `test_sampling_llama`: equals are compared as values, and limits keep clear of rounding.
"""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

from constrain.sampling import Sampler, Sampling, processors
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import NO_IDS, NO_VALUES, Step, final_logits, pack
from tests.test_sampling_llama import N_VOCAB, Floats, assert_same, llama_applied, logits_of

llama = pytest.importorskip("llama_cpp.llama_cpp", reason="llama-cpp-python is not installed")

INFINITIES = [False, True]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bans", INFINITIES)
@pytest.mark.parametrize(
    ("temperature", "spread", "exponent"), [(1.0, 0.5, 1.0), (0.8, 0.8, 2.0), (0.4, 1.5, 0.5)]
)
def test_dynamic_temperature(
    seed: int, bans: bool, temperature: float, spread: float, exponent: float
) -> None:
    logits = logits_of(seed, bans=bans)
    theirs = llama_applied(
        logits, [llama.llama_sampler_init_temp_ext(temperature, spread, exponent)]
    )
    ours = processors.dynamic_temperature(logits, temperature, spread, exponent)
    finite = np.isfinite(theirs)
    assert np.array_equal(np.isfinite(ours), finite)
    # Its entropy is a sum in float32: 1e-5 of the temperature.
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bans", INFINITIES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [0.5, 1.0, 2.3])
def test_top_n_sigma(seed: int, bans: bool, ties: bool, n: float) -> None:
    logits = logits_of(seed, bans=bans, ties=ties)
    theirs = llama_applied(logits, [llama.llama_sampler_init_top_n_sigma(n)])
    assert_same(processors.top_n_sigma(logits, n), theirs)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("threshold", [0.003, 0.02, 0.1, 0.45])
def test_xtc(seed: int, ties: bool, threshold: float) -> None:
    logits = logits_of(seed, ties=ties, bans=True)
    theirs = llama_applied(logits, [llama.llama_sampler_init_xtc(1.0, threshold, 1, 1)])
    assert_same(processors.xtc(logits, threshold), theirs, ties=ties)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tau", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("bans", INFINITIES)
def test_mirostat_over_twenty_steps(seed: int, version: int, tau: float, bans: bool) -> None:
    """Its choice of a token is its own; what it keeps and how mu changes are compared."""
    eta = 0.3
    left = np.arange(0, N_VOCAB, 3) if bans else np.arange(N_VOCAB)
    if version == 1:
        theirs = llama.llama_sampler_init_mirostat(len(left), 1, tau, eta, 100)
    else:
        theirs = llama.llama_sampler_init_mirostat_v2(1, tau, eta)
    keep = processors.mirostat_1 if version == 1 else processors.mirostat_2
    mu = 2 * tau
    for i in range(20):
        logits = np.full(N_VOCAB, -np.inf, np.float32)
        logits[left] = logits_of(100 * seed + i)[left]
        data = (llama.llama_token_data * len(left))()
        for token_id, slot in zip(left.tolist(), data, strict=True):
            slot.id, slot.logit = token_id, logits[token_id]
        array = llama.llama_token_data_array(data, len(left), -1, False)
        llama.llama_sampler_apply(theirs, ctypes.byref(array))
        kept = {array.data[j].id for j in range(array.size)}
        ours = keep(logits, mu)
        assert kept == set(np.flatnonzero(np.isfinite(ours)).tolist())
        chosen = array.data[array.selected].id
        mu = processors.mirostat_update(mu, processors.log_softmax(ours)[chosen], tau, eta)
    llama.llama_sampler_free(theirs)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("multiplier", "base", "allowed"), [(0.8, 1.75, 2), (2.0, 1.2, 1)])
@pytest.mark.parametrize("window", [64, 15])
@pytest.mark.parametrize("bans", INFINITIES)
def test_dry(
    seed: int, multiplier: float, base: float, allowed: int, window: int, bans: bool
) -> None:
    logits = logits_of(seed, bans=bans)
    history = np.random.default_rng(seed).integers(0, 3, 60).tolist()  # many repetitions
    theirs = llama_applied(
        logits,
        [llama.llama_sampler_init_dry(None, multiplier, base, allowed, window, None, 0)],
        history,
    )
    past = history if window < 0 else history[-window:]
    ours = processors.dry(logits, past, multiplier, base, allowed)
    assert window < 64 or bans or (ours[:3] < logits[:3]).any()
    assert_same(ours, theirs)
    step = Step(logits, np.ones(N_VOCAB, bool), NO_IDS, NO_VALUES, NO_IDS)
    sampling = Sampling(
        dry_multiplier=multiplier,
        dry_base=base,
        dry_allowed_length=allowed,
        dry_window=window,
        dry_breakers=(),
        seed=seed,
    )
    sampler = Sampler(sampling, Vocabulary([b"t%d" % i for i in range(N_VOCAB)], []))
    for token_id in history:
        sampler.accept(token_id)
    chances = processors.log_softmax(theirs)
    for _ in range(30):
        sample = sampler.sample(step.logits, pack(step.mask))
        assert sample.sampling_logprob == pytest.approx(chances[sample.token_id], abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_llama_cpps_default_chain(seed: int) -> None:
    """Penalties, (DRY,) top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature."""
    settings = Sampling(
        temperature=0.7,
        top_n_sigma=2.5,
        top_k=30,
        typical_p=0.95,
        top_p=0.9,
        min_p=0.01,
        xtc_probability=1.0,
        xtc_threshold=0.2,
        repeat_penalty=1.2,
        order=("top_n_sigma", "top_k", "typical_p", "top_p", "min_p", "xtc", "temperature"),
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    logits, mask = logits_of(seed), rng.random(N_VOCAB) < 0.6
    # Its top-n-sigma sets logits to -inf, which its typical-p cannot take: top-k drops them.
    assert (
        np.isfinite(processors.top_n_sigma(processors.apply_mask(logits, mask), 2.5)).sum() > 30
    )
    history = rng.integers(0, N_VOCAB, 30).astype(np.int32)
    chain = [
        llama.llama_sampler_init_penalties(N_VOCAB, 64, 1.2, 0.0, 0.0),
        llama.llama_sampler_init_top_n_sigma(2.5),
        llama.llama_sampler_init_top_k(30),
        llama.llama_sampler_init_typical(0.95, 1),
        llama.llama_sampler_init_top_p(0.9, 1),
        llama.llama_sampler_init_min_p(0.01, 1),
        llama.llama_sampler_init_xtc(1.0, 0.2, 1, 1),
        llama.llama_sampler_init_temp(0.7),
    ]
    theirs = llama_applied(processors.apply_mask(logits, mask), chain, history.tolist())
    step = Step(logits, mask, NO_IDS, NO_VALUES, history)
    assert_same(final_logits(step, settings), theirs)
    assert_native_draws(settings, logits, mask, history, theirs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("version", [1, 2])
def test_the_chain_llama_cpp_uses_for_mirostat(seed: int, version: int) -> None:
    """Temperature, then mirostat."""
    settings = Sampling(temperature=0.8, mirostat=version, mirostat_tau=2.0, seed=seed)
    logits, mask = logits_of(seed), np.ones(N_VOCAB, bool)
    mirostat = (
        llama.llama_sampler_init_mirostat(N_VOCAB, 1, 2.0, 0.1, 100)
        if version == 1
        else llama.llama_sampler_init_mirostat_v2(1, 2.0, 0.1)
    )
    theirs = llama_applied(logits, [llama.llama_sampler_init_temp(0.8), mirostat])
    assert_native_draws(settings, logits, mask, NO_IDS, theirs)


def assert_native_draws(
    settings: Sampling,
    logits: Floats,
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]],
    history: np.ndarray[tuple[int], np.dtype[np.int32]],
    theirs: Floats,
) -> None:
    """Forty draws, each with the probability that llama.cpp's chain leaves it."""
    chances = processors.log_softmax(theirs)
    sampler = Sampler(settings, Vocabulary([b"t%d" % i for i in range(N_VOCAB)], []))
    for _ in range(40):
        sample = sampler.sample(logits, pack(mask), None, history)
        assert sample.sampling_logprob == pytest.approx(chances[sample.token_id], abs=1e-5)
        assert math.isfinite(sample.sampling_logprob)
