"""Steps over more tokens than are listed: misjudged nuclei, chains, many biases."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from constrain.kernel import _native
from constrain.sampling import Sampler, Sampling, processors
from constrain.sampling.sampler import Sample
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import (
    NO_IDS,
    NO_VALUES,
    Floats,
    Step,
    final_logits,
    nudged,
    pack,
)

pytestmark = pytest.mark.usefixtures("instruction_set")

N_VOCAB = 20_000
VOCABULARY = Vocabulary([b"t%d" % i for i in range(N_VOCAB)], [])
EVERYTHING = np.ones(N_VOCAB, bool)


def check(step: Step, sampling: Sampling) -> None:
    """The draws and their log-probabilities are those of the reference processors.

    Where a limit hangs on rounding, those of the limits next to it will do: tens of thousands
    of tokens nearly always have some that close.
    """
    logs = [
        processors.log_softmax(final_logits(step, chosen))
        for chosen in (sampling, nudged(sampling, 1), nudged(sampling, -1))
    ]
    sampler = Sampler(sampling, VOCABULARY)
    words = pack(step.mask)
    for i in range(3):
        sample = sampler.sample(
            step.logits, words, (step.bias_ids, step.bias_values), step.history
        )
        u = _native.uniform(sampler._key, i)
        assert any(is_drawn(sample, u, one) for one in logs)


def is_drawn(sample: Sample, u: float, logs: npt.NDArray[np.float64]) -> bool:
    """Whether the number in [0, 1) draws the sample's token from these log-probabilities."""
    sums = np.cumsum(np.exp(logs))
    below = sums[sample.token_id - 1] if sample.token_id else 0.0
    is_there = below - 1e-5 <= u <= sums[sample.token_id] + 1e-5
    is_right = abs(sample.sampling_logprob - logs[sample.token_id]) < 2e-5
    return bool(is_there and is_right)


def plain(logits: Floats) -> Step:
    return Step(logits.astype(np.float32), EVERYTHING, NO_IDS, NO_VALUES, NO_IDS)


def misjudged(seed: int, *, seen: float, unseen: float) -> Floats:
    """Logits whose sample (row 7 c mod 32 of 16 tokens of chunk c) is unlike the rest."""
    ids = np.arange(N_VOCAB)
    in_sample = ids % 512 // 16 == ids // 512 * 7 % 32
    noise = np.random.default_rng(seed).standard_normal(N_VOCAB)
    return (np.where(in_sample, seen, unseen) + noise).astype(np.float32)


@pytest.mark.parametrize(("seen", "unseen"), [(-9, 0), (0, -9), (3, 0), (-40, 0), (0, -40)])
@pytest.mark.parametrize("p", [0.03, 0.6, 0.95, 0.9999])
@pytest.mark.parametrize("step", ["top_p", "typical_p"])
def test_a_nucleus_is_right_where_the_sample_is_not(
    step: str, p: float, seen: float, unseen: float
) -> None:
    logits = misjudged(1, seen=seen, unseen=unseen)
    sampling = Sampling(seed=4, top_p=p) if step == "top_p" else Sampling(seed=4, typical_p=p)
    check(plain(logits), sampling)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("p", [0.2, 0.9, 0.999])
def test_what_follows_a_nucleus_sees_nothing_else(temperature: float, p: float) -> None:
    logits = (np.random.default_rng(2).standard_normal(N_VOCAB) * 3).astype(np.float32)
    order = ("temperature", "typical_p", "top_p", "xtc", "min_p")
    settings = {
        "typical_p": p,
        "top_p": 0.93,
        "xtc_threshold": 0.001,
        "xtc_probability": 1.0,
        "min_p": 1e-4,
    }
    for left_out in ((), ("typical_p",), ("top_p",), ("xtc_threshold", "xtc_probability")):
        chosen = {name: value for name, value in settings.items() if name not in left_out}
        sampling = Sampling(temperature=temperature, order=order, seed=5, **chosen)  # type: ignore[arg-type]  # by name
        check(plain(logits), sampling)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.8, seed=6),
        Sampling(temperature=0.8, top_p=0.9, seed=6),
        Sampling(typical_p=0.9, seed=6),
        Sampling(dynamic_temperature_range=0.5, seed=6),
        Sampling(top_n_sigma=2.0, repeat_penalty=1.2, penalty_window=-1, seed=6),
        Sampling(min_p=0.01, frequency_penalty=0.1, penalty_window=-1, seed=6),
        Sampling(mirostat=2, presence_penalty=0.3, penalty_window=-1, seed=6),
    ],
)
def test_thousands_of_biases_and_a_long_history(sampling: Sampling) -> None:
    rng = np.random.default_rng(3)
    logits = (rng.standard_normal(N_VOCAB) * 3).astype(np.float32)
    ids = rng.integers(0, N_VOCAB, 3000).astype(np.int32)  # not in order, some twice
    values = (rng.integers(-40, 40, 3000) / 8).astype(np.float32)
    best = np.argsort(-logits)[:200].astype(np.int32)  # their groups' maxima change
    history = np.concatenate([best, rng.integers(0, 900, 800).astype(np.int32)])
    mask = rng.random(N_VOCAB) < 0.7
    values[ids == best[0]] = -np.inf
    check(Step(logits, mask, ids, values, history), sampling)


@pytest.mark.parametrize("size", [1e38, 1e20, 1e-21, 1e-30])
@pytest.mark.parametrize(
    "sampling",
    [
        # The deviation is 0.6 times the size: 5 of them reach from the top to the bottom.
        Sampling(top_n_sigma=5.0, seed=8),
        # And 1 does not. Of n equal tokens mirostat 1 keeps all if 2^11 > n - 1, else one.
        Sampling(top_n_sigma=1.0, mirostat=1, mirostat_tau=5.5, seed=8),
        # Of 20 000 or 2 000 equal tokens none has a probability of 0.01, or a surprise of 2
        # bits; nearly all have the one that 1e-5 asks for.
        Sampling(xtc_probability=1.0, xtc_threshold=0.01, seed=8),
        Sampling(xtc_probability=1.0, xtc_threshold=1e-5, seed=8),
        Sampling(mirostat=2, mirostat_tau=1.0, seed=8),
        Sampling(mirostat=2, mirostat_tau=20.0, seed=8),
        Sampling(min_p=0.5, seed=8),
    ],
)
def test_huge_and_tiny_logits(sampling: Sampling, size: float) -> None:
    few = np.where(np.random.default_rng(9).random(N_VOCAB) < 0.1, size, -size)
    check(plain(few), sampling)
    check(plain(np.full(N_VOCAB, size)), sampling)
    check(plain(np.full(N_VOCAB, -size)), sampling)


def test_min_p_drops_what_rounding_would_reach() -> None:
    # Near 1e7 a float32 is an integer. e^-0.7 = 0.497 of the greatest probability asks for
    # 1e7 - 0.7, and 1e7 - 1 is less, although no float32 is nearer to it.
    logits = np.full(N_VOCAB, 1e7, np.float32)
    logits[::2] = 1e7 - 1
    for chosen in (slice(None), slice(1000)):  # all of them, and few enough to be listed
        mask = np.zeros(N_VOCAB, bool)
        mask[chosen] = True
        step = Step(logits, mask, NO_IDS, NO_VALUES, NO_IDS)
        check(step, Sampling(min_p=math.exp(-0.7), seed=10))


def test_no_probability_is_above_1() -> None:
    # Rounded differences to a greatest logit that is forbidden, e^-38 and more above.
    rng = np.random.default_rng(11)
    sampler = Sampler(Sampling(seed=11), VOCABULARY)
    for n_allowed in (1, 1, 2, 2500) * 50:
        logits = (rng.standard_normal(N_VOCAB) * 8).astype(np.float32)
        mask = np.zeros(N_VOCAB, bool)
        mask[:n_allowed] = True
        logits[: n_allowed - 1] -= 60  # one allowed token has it all
        sample = sampler.sample(logits, pack(mask))
        assert sample.masked_logprob <= 0
        assert sample.sampling_logprob <= 0
        assert sample.masked_logprob == pytest.approx(0, abs=3e-6)


def test_a_typical_set_reaches_below_the_tokens_that_have_the_mass() -> None:
    """One token of weight 1, 30 719 of e^-8 (10.3 in all), 10 240 of e^-10.5 (0.28).

    The mean logit is -7.4, so the typical set of 0.9 has all of the second kind and some of the
    third, which are nearer to it than the likeliest token.
    """
    logits = np.full(80 * 512, -8, np.float32)
    logits[60 * 512 :] = -10.5
    logits[0] = 0
    kept = processors.typical_p(logits, 0.9)
    assert kept[0] == -np.inf
    assert np.isfinite(kept[1 : 60 * 512]).all()
    assert 0 < np.isfinite(kept[60 * 512 :]).sum() < 10_240
    vocabulary = Vocabulary([b"t%d" % i for i in range(len(logits))], [])
    sampler = Sampler(Sampling(typical_p=0.9, seed=1), vocabulary)
    for _ in range(20):
        sample = sampler.sample(logits, pack(np.ones(len(logits), bool)))
        expected = processors.log_softmax(kept)[sample.token_id]
        assert sample.sampling_logprob == pytest.approx(expected, abs=1e-5)


def test_what_xtc_leaves_is_weighed_anew_where_it_is_far_below() -> None:
    # XTC drops the first, e^80 times the second; of the others each is e^-8 of that.
    logits = np.full(N_VOCAB, -88.0)
    logits[:2] = 0.0, -80.0
    check(plain(logits), Sampling(xtc_probability=1.0, xtc_threshold=1e-38, seed=12))


def test_equal_logits_are_kept_by_lower_id() -> None:
    # 20 000 equal logits: top-p 0.25 keeps the first 5 000, each with probability 1 / 5000.
    sampler = Sampler(Sampling(top_p=0.25, seed=7), VOCABULARY)
    for i in range(20):
        sample = sampler.sample(np.zeros(N_VOCAB, np.float32), pack(EVERYTHING))
        assert sample.token_id == int(_native.uniform(sampler._key, i) * 5000)
        assert sample.sampling_logprob == pytest.approx(-np.log(5000), abs=1e-6)
