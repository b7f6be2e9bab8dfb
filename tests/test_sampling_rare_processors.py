"""The rarer processors equal their formulas, written out here in plain Python floats."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from constrain.sampling import processors
from tests.test_sampling_processors import (
    NEVER,
    array,
    kept,
    logits_with_bans,
    plain_softmax,
    ranked,
)


@given(logits_with_bans, st.floats(0, 3), st.floats(0, 3), st.sampled_from([0.5, 1.0, 2.0]))
def test_dynamic_temperature_goes_with_the_entropy(
    values: list[float], temperature: float, spread: float, exponent: float
) -> None:
    chances = [p for p in plain_softmax(values) if p > 0]
    n = sum(x > NEVER for x in values)
    entropy = -sum(p * math.log(p) for p in chances)
    low, high = max(0.0, temperature - spread), temperature + spread
    expected = temperature
    if spread > 0 and n > 1:
        expected = low + (high - low) * min(1.0, entropy / math.log(n)) ** exponent
    assume(expected > 1e-3)
    got = processors.dynamic_temperature(array(values), temperature, spread, exponent)
    # Where quotients get large, the greatest is taken off, which changes no probability.
    top = max(values) if got.max() == 0 else 0.0
    assert got.tolist() == pytest.approx([(x - top) / expected for x in values], rel=1e-5)


def test_dynamic_temperature_of_equal_logits_is_the_hottest() -> None:
    got = processors.dynamic_temperature(array([3, 3, 3, NEVER]), 1.0, 0.5)
    assert got.tolist() == pytest.approx([2, 2, 2, NEVER])


@given(logits_with_bans, st.floats(0.1, 4))
def test_top_n_sigma_keeps_what_is_within_n_deviations_of_the_top(
    values: list[float], n: float
) -> None:
    possible = [x for x in values if x > NEVER]
    least = max(possible) - n * statistics.pstdev(possible)
    assume(all(abs(x - least) > 1e-6 for x in possible))
    expected = {i for i, x in enumerate(values) if x >= least}
    assert kept(processors.top_n_sigma(array(values), n)) == expected


def test_top_n_sigma_does_not_change_with_the_temperature() -> None:
    logits = array([4, 3, 1, 0, -2, NEVER])
    hot = processors.apply_temperature(logits, 8)
    assert kept(processors.top_n_sigma(hot, 1)) == kept(processors.top_n_sigma(logits, 1))


@given(logits_with_bans, st.sampled_from([0.01, 0.05, 0.2, 0.5]))
def test_xtc_leaves_one_of_those_that_reach_the_threshold(
    values: list[float], threshold: float
) -> None:
    chances = plain_softmax(values)
    assume(all(abs(p - threshold) > 1e-9 for p in chances))
    order = ranked(values)
    reaching = [i for i in order if chances[i] >= threshold]
    expected = set(order) - set(reaching[:-1])
    assert kept(processors.xtc(array(values), threshold)) == expected


def test_xtc_is_left_out_when_the_chance_is_not_below_the_probability() -> None:
    logits = array([1, 1, 1])
    assert kept(processors.xtc(logits, 0.1, 0.5, 0.5)) == {0, 1, 2}
    assert kept(processors.xtc(logits, 0.1, 0.5, 0.49)) == {2}
    assert kept(processors.xtc(logits, 0.1, 0.0, 0.0)) == {0, 1, 2}


@given(logits_with_bans, st.floats(-1, 12))
def test_mirostat_2_keeps_what_surprises_at_most_mu_bits(
    values: list[float], mu: float
) -> None:
    surprises = [-math.log2(p) if p > 0 else math.inf for p in plain_softmax(values)]
    assume(all(abs(s - mu) > 1e-6 for s in surprises))
    expected = {i for i, s in enumerate(surprises) if s <= mu} or {ranked(values)[0]}
    assert kept(processors.mirostat_2(array(values), mu)) == expected


@given(logits_with_bans, st.floats(0, 12))
@example([2.0, 2.0, 2.0], 1.0)
@example([2.0], 1.0)
def test_mirostat_1_keeps_k_by_its_formula(values: list[float], mu: float) -> None:
    order = ranked(values)
    n = len(order)
    pairs = [
        (math.log((i + 2) / (i + 1)), values[order[i]] - values[order[i + 1]])
        for i in range(min(n, 100) - 1)
    ]
    squares = sum(t * t for t, _ in pairs)
    exponent = sum(t * b for t, b in pairs) / squares if pairs else 0.0
    assume(exponent > 0.01 or exponent == 0)
    assume(abs(exponent - 1) > 1e-9)
    if n == 1:
        k = 1.0
    else:
        share = (exponent - 1) * 2**mu / (1 - n ** (1 - exponent))
        power = 1 / exponent if exponent else math.inf
        k = share**power if share <= 1 or power * math.log(share) < 700 else math.inf
    assume(abs(k - round(k)) > 1e-6 if 0 < k < 1000 and n > 1 else True)
    size = n if k > n else max(1, math.floor(k))
    assert kept(processors.mirostat_1(array(values), mu)) == set(order[:size])


def test_mirostat_by_hand() -> None:
    # p = 6/11, 3/11, 2/11: Zipf's law with s = 1, where k = 2^mu / ln 3. mu = 1.2: 2.09.
    logits = np.log(np.array([2, 6, 3], np.float32))
    assert kept(processors.mirostat_1(logits, 1.2)) == {1, 2}
    # surprises: 2.46, 0.87, 1.87 bits
    assert kept(processors.mirostat_2(logits, 2.0)) == {1, 2}
    assert processors.mirostat_update(10.0, math.log(1 / 8), 5.0, 0.1) == pytest.approx(10.2)


def test_dry_by_hand() -> None:
    # After 1 2 3, what came before after "2 3" (9, length 2) and "1 2 3" (7, length 3), and
    # after "3" alone (8, too short). 0.8 * 1.75^0 = 0.8; 0.8 * 1.75^1 = 1.4.
    history = [1, 2, 3, 7, 5, 2, 3, 9, 3, 8, 1, 2, 3]
    got = processors.dry(np.zeros(10, np.float32), history, 0.8)
    assert got.tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 0, -1.4, 0, -0.8])
    shorter = processors.dry(np.zeros(10, np.float32), history, 0.8, since_break=2)
    assert shorter.tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 0, -0.8, 0, -0.8])
    none = processors.dry(np.zeros(10, np.float32), history, 0.8, since_break=1)
    assert not none.any()


def test_dry_takes_no_gap_for_a_repetition() -> None:
    history = [1, -1, 2, 3, 7, 1, -1, 2, 3]
    got = processors.dry(np.zeros(8, np.float32), history, 1.0, 2.0, 2)
    assert got.tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 0, -1.0])


@pytest.mark.parametrize(
    "name", ["top_n_sigma", "xtc", "mirostat_1", "mirostat_2", "dynamic_temperature"]
)
def test_input_is_not_written_to(name: str) -> None:
    logits = array([1, 2, 3])
    logits.setflags(write=False)
    extra = [1.0] if name == "dynamic_temperature" else []
    result = getattr(processors, name)(logits, 0.5, *extra)
    assert result is not logits
    assert result.dtype == np.float32
