"""Infinite and huge logits, and tiny temperatures: reference, native step and llama.cpp.

Logits of +inf are the limit of equal logits that outgrow all others, so that what a step makes
of them is what it makes of 10 000 in their place, where every other probability is below
float64. (Mirostat 1, which fits a law to the gaps between logits, takes them for the only
ones.) numpy's warnings of overflow would be errors here.
"""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest

from constrain.sampling import Sampler, Sampling, processors
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import NO_IDS, NO_VALUES, Floats, Step, final_logits, pack

INF = math.inf
NEEDS_LLAMA = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed"
)
ROWS = [
    [1.0, INF, 2.0, INF, -INF, 3.0],
    [INF] * 6,
    [-INF, -INF, -INF, INF, -INF, -INF],
    [0.0, 1.0, INF, 3.0, 2.0, INF],
]
STEPS = [
    {"temperature": 0},
    {"temperature": 0.5},
    {"temperature": 1e-300},
    {"dynamic_temperature_range": 1.0, "dynamic_temperature_exponent": 5.0},
    {"top_n_sigma": 1.0},
    {"top_n_sigma": 3.0},
    {"top_k": 1},
    {"top_k": 5},
    {"top_p": 0.4},
    {"min_p": 0.5},
    {"typical_p": 0.4},
    {"xtc_probability": 1.0},
    {"mirostat": 1},
    {"mirostat": 2, "mirostat_tau": 0.2},
]


def array(values: list[float]) -> Floats:
    return np.array(values, np.float32)


def outgrown(row: list[float]) -> list[float]:
    return [1e4 if x == INF else x for x in row]


def alone(row: list[float]) -> list[float]:
    return [0.0 if x == INF else -INF for x in row]


def chances(row: list[float], settings: Sampling, history: list[int]) -> list[float]:
    """The probabilities after the reference's chain."""
    past = np.array(history, np.int32)
    step = Step(array(row), np.ones(len(row), bool), NO_IDS, NO_VALUES, past)
    found: list[float] = processors.softmax(final_logits(step, settings)).tolist()
    return found


def assert_native_draws(row: list[float], settings: Sampling, history: list[int]) -> None:
    """Sixty draws, each with the probability that the reference gives it."""
    expected = chances(row, settings, history)
    sampler = Sampler(settings, Vocabulary([b"t%d" % i for i in range(len(row))], []))
    words, past = pack(np.ones(len(row), bool)), np.array(history, np.int32)
    for _ in range(60):
        sample = sampler.sample(array(row), words, None, past)
        chance = math.exp(sample.sampling_logprob)
        assert chance == pytest.approx(expected[sample.token_id], abs=1e-6)
        assert chance > 0


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_infinite_logits_are_the_limit_of_great_ones(
    row: list[float], step: dict[str, float]
) -> None:
    settings = Sampling(seed=1, **step)  # type: ignore[arg-type]  # numbers of the right kind
    limit = alone(row) if settings.mirostat == 1 else outgrown(row)
    expected = chances(limit, settings, [])
    assert chances(row, settings, []) == pytest.approx(expected, abs=1e-12)
    assert_native_draws(row, settings, [])


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_penalties_and_biases_leave_infinite_logits_what_they_are(row: list[float]) -> None:
    settings = Sampling(
        seed=1,
        repeat_penalty=2.0,
        frequency_penalty=0.5,
        presence_penalty=-1.0,
        logit_bias={0: 1.0, 1: -1.0, 3: 5.0},
    )
    n_top = row.count(INF)
    expected = [1 / n_top if x == INF else 0.0 for x in row]
    assert chances(row, settings, [1, 1, 4, 5]) == pytest.approx(expected)
    assert_native_draws(row, settings, [1, 1, 4, 5])


def test_the_steps_by_hand() -> None:
    row = array([1, INF, 2, INF, -INF])
    top = [-INF, INF, -INF, INF, -INF]
    assert processors.top_n_sigma(row, 1.0).tolist() == top
    assert processors.apply_temperature(row, 0.7).tolist() == top
    assert processors.apply_temperature(row, 0).tolist() == [-INF, INF, -INF, -INF, -INF]
    assert processors.min_p(row, 0.1).tolist() == top
    assert processors.mirostat_2(row, 1.5).tolist() == top  # 1 bit each
    # Of two that share all, XTC drops the first.
    assert processors.softmax(processors.xtc(row, 0.1)).tolist() == [0, 0, 0, 1, 0]


@pytest.mark.parametrize("temperature", [1e-3, 1e-6, 1e-40, 1e-300, 5e-324])
def test_tiny_temperatures_tell_neighbours_apart(temperature: float) -> None:
    below = float(np.nextafter(np.float32(10), np.float32(0)))  # 2^-20 less
    odds = math.exp(-(2.0**-20) / temperature)
    expected = [1 / (1 + odds), odds / (1 + odds), 0.0]
    found = processors.softmax(
        processors.apply_temperature(array([10, below, -5]), temperature)
    )
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert_native_draws([10, below, -5], Sampling(temperature=temperature, seed=1), [])


def test_a_dynamic_temperature_may_come_near_zero() -> None:
    # One token has all but e^-25: the flatness to the fifth power is about 1e-50.
    hot = processors.dynamic_temperature(array([30, 5, -5]), 1.0, 1.0, 5)
    assert processors.softmax(hot).tolist() == [1, 0, 0]
    settings = Sampling(dynamic_temperature_range=1.0, dynamic_temperature_exponent=5.0, seed=1)
    assert_native_draws([30, 5, -5], settings, [])


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_huge_logits(step: dict[str, float]) -> None:
    # The first is ahead of all others by 1e38 nats, whatever divides them.
    row = [3e38, 2e38, -3e38, 1e38, 0.0, -INF]
    settings = Sampling(seed=1, **step)  # type: ignore[arg-type]  # numbers of the right kind
    assert chances(row, settings, []) == [1, 0, 0, 0, 0, 0]
    assert_native_draws(row, settings, [])


def test_penalties_of_huge_logits_become_infinite_and_warn_of_nothing() -> None:
    settings = Sampling(repeat_penalty=1e-3, frequency_penalty=-1e6, seed=1)
    assert chances([3e38, 2e38, 1e38], settings, [1]) == [0, 1, 0]  # 2e41 is +inf
    assert_native_draws([3e38, 2e38, 1e38], settings, [1])
    biased = processors.logit_bias(array([3e38, 0]), [0, 1], [3e38, 1])
    assert biased.tolist() == [INF, 1]


def test_dry_takes_off_no_more_than_the_greatest_float() -> None:
    # 0.8 * 1.75^1396 is above 1e338.
    greatest = float(np.finfo(np.float32).max)
    found = processors.dry(np.zeros(3, np.float32), [1] * 1400, 0.8)
    assert found.tolist() == [0, -greatest, 0]
    # 0.8 * 1.75^157 is 1.1e38; one more token, and the next, are 2.0e38 and beyond float32.
    for n, expected in ((159, 0.8 * 1.75**157), (160, 0.8 * 1.75**158), (161, greatest)):
        [_, value, _] = processors.dry(np.zeros(3, np.float32), [1] * (n + 1), 0.8)
        assert value == pytest.approx(-expected, rel=1e-6)
    settings = Sampling(dry_multiplier=0.8, dry_breakers=(), seed=1)
    sampler = Sampler(settings, Vocabulary([b"a", b"b", b"c"], []))
    for _ in range(1400):
        sampler.accept(1)
    only_b = pack(np.array([False, True, False]))
    assert sampler.sample(np.zeros(3, np.float32), only_b).token_id == 1
    drawn = {
        sampler.sample(np.zeros(3, np.float32), pack(np.ones(3, bool))).token_id
        for _ in range(50)
    }
    assert drawn == {0, 2}


@NEEDS_LLAMA
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_llama_cpp_makes_of_infinite_logits(row: list[float]) -> None:
    """Of the samplers that take no exponentials; in the others its sums are NaN."""
    from tests.test_sampling_llama import llama, llama_applied

    bias = (llama.llama_logit_bias * 1)()
    for slot in bias:
        slot.token, slot.bias = 1, -2.0
    history = [1, 1, 4, 1, 1]
    logits = array(row)
    penalized = processors.repetition_penalty(logits, history, 1.5)
    pairs = [
        (processors.apply_temperature(logits, 0), llama.llama_sampler_init_temp(0.0)),
        (processors.apply_temperature(logits, 0.5), llama.llama_sampler_init_temp(0.5)),
        (processors.top_k(logits, 2), llama.llama_sampler_init_top_k(2)),
        (processors.min_p(logits, 0.1), llama.llama_sampler_init_min_p(0.1, 1)),
        (
            processors.logit_bias(logits, [1], [-2.0]),
            llama.llama_sampler_init_logit_bias(len(row), 1, bias),
        ),
        (
            processors.frequency_presence_penalty(penalized, history, 0.5, 0.25),
            llama.llama_sampler_init_penalties(len(row), 64, 1.5, 0.5, 0.25),
        ),
        (
            processors.dry(logits, history, 0.8, 1.75, 1),
            llama.llama_sampler_init_dry(None, 0.8, 1.75, 1, 64, None, 0),
        ),
    ]
    for ours, sampler in pairs:
        theirs = llama_applied(logits, [sampler], history)
        assert processors.softmax(ours) == pytest.approx(processors.softmax(theirs))


@NEEDS_LLAMA
def test_the_longest_dry_penalty_leaves_what_llama_cpps_leaves() -> None:
    from tests.test_sampling_llama import llama, llama_applied

    logits, history = array([1, 2, 0.5]), [1] * 400
    sampler = llama.llama_sampler_init_dry(None, 0.8, 1.75, 2, 400, None, 0)
    theirs = llama_applied(logits, [sampler], history)
    assert theirs[1] < -1e37
    ours = processors.dry(logits, history, 0.8)
    assert processors.softmax(ours) == pytest.approx(processors.softmax(theirs))
