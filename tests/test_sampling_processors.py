"""Each processor equals its formula, written out here in plain Python floats."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constrain.sampling import processors

Floats = npt.NDArray[np.float32]
NEVER = float("-inf")

finite_logits = st.lists(
    st.floats(-30, 30, width=32) | st.sampled_from([0.0, 1.0, 1.0, -2.0]),
    min_size=1,
    max_size=24,
)
logits_with_bans = st.tuples(finite_logits, st.integers(0, 2**24 - 1)).map(
    lambda pair: [NEVER if i > 0 and pair[1] >> i & 1 else x for i, x in enumerate(pair[0])]
)


huge = st.floats(-float(np.float32(1e38)), float(np.float32(1e38)), width=32)


def array(values: list[float]) -> Floats:
    return np.array(values, np.float32)


def plain_softmax(values: list[float]) -> list[float]:
    top = max(values)
    weights = [math.exp(x - top) for x in values]
    return [w / math.fsum(weights) for w in weights]


def ranked(values: list[float]) -> list[int]:
    ids = [i for i, x in enumerate(values) if x > NEVER]
    return sorted(ids, key=lambda i: (-values[i], i))


def kept(result: Floats) -> set[int]:
    return {i for i, x in enumerate(result.tolist()) if x > NEVER}


def crosses_clearly(sums: list[float], p: float) -> bool:
    return all(abs(x - p) > 1e-9 for x in sums)


@given(logits_with_bans)
def test_softmax_is_the_formula(values: list[float]) -> None:
    got = processors.softmax(array(values)).tolist()
    assert got == pytest.approx(plain_softmax(values), abs=1e-12)


@given(finite_logits)
def test_log_softmax_is_the_logarithm_of_softmax(values: list[float]) -> None:
    got = processors.log_softmax(array(values)).tolist()
    assert got == pytest.approx([math.log(p) for p in plain_softmax(values)], abs=1e-9)


def test_logits_10_against_5_have_odds_of_e_to_the_5() -> None:
    chances = processors.softmax(array([10, 5]))
    assert chances[0] / chances[1] == pytest.approx(math.exp(5), rel=1e-12)
    assert round(float(chances[0] / chances[1]), 1) == 148.4


@given(st.lists(huge | st.just(NEVER), max_size=40), huge)
def test_softmax_sums_to_1_up_to_1e38_and_with_minus_infinity(
    values: list[float], first: float
) -> None:
    chances = processors.softmax(array([first, *values]))
    assert abs(chances.sum() - 1) < 1e-6
    assert not np.isnan(chances).any()


def test_plus_infinity_takes_all_and_shares_it() -> None:
    chances = processors.softmax(array([math.inf, 3, math.inf, NEVER]))
    assert chances.tolist() == [0.5, 0, 0.5, 0]


@pytest.mark.parametrize("values", [[], [NEVER], [NEVER, NEVER]])
def test_softmax_without_any_possible_token_is_an_error(values: list[float]) -> None:
    with pytest.raises(ValueError, match="no distribution"):
        processors.softmax(array(values))


@given(logits_with_bans, st.floats(0.05, 20))
def test_temperature_divides(values: list[float], temperature: float) -> None:
    got = processors.apply_temperature(array(values), temperature).tolist()
    assert got == pytest.approx([x / temperature for x in values], rel=1e-6)


@given(logits_with_bans)
def test_temperature_0_leaves_the_greatest_of_lowest_id(values: list[float]) -> None:
    result = processors.apply_temperature(array(values), 0)
    assert kept(result) == {values.index(max(values))}


@given(logits_with_bans, st.integers(0, 30))
def test_top_k_keeps_exactly_the_k_greatest_equals_by_id(values: list[float], k: int) -> None:
    expected = ranked(values)[:k] if k else ranked(values)
    assert kept(processors.top_k(array(values), k)) == set(expected)


@given(logits_with_bans, st.floats(0.01, 1))
def test_top_p_keeps_the_smallest_set_that_reaches_p(values: list[float], p: float) -> None:
    chances = plain_softmax(values)
    order = ranked(values)
    sums = [math.fsum(chances[i] for i in order[: n + 1]) for n in range(len(order))]
    if p == 1:
        expected = order
    elif crosses_clearly(sums, p):
        expected = order[: 1 + sum(s < p for s in sums)]
    else:
        return
    assert kept(processors.top_p(array(values), p)) == set(expected)


def test_top_p_keeps_the_token_that_crosses() -> None:
    # Probabilities 0.5, 0.3, 0.2: 0.5 < 0.6 <= 0.8.
    logits = array([math.log(p) for p in (0.2, 0.5, 0.3)])
    assert kept(processors.top_p(logits, 0.6)) == {1, 2}
    assert kept(processors.top_p(logits, 0.01)) == {1}


@given(logits_with_bans, st.floats(0.01, 1))
def test_min_p_keeps_what_is_not_below_that_share_of_the_best(
    values: list[float], p: float
) -> None:
    chances = plain_softmax(values)
    least = p * max(chances)
    result = kept(processors.min_p(array(values), p))
    for i, chance in enumerate(chances):
        if abs(chance - least) > 1e-6 * least:
            assert (i in result) == (chance > least)
    assert values.index(max(values)) in result


@given(logits_with_bans, st.floats(0.01, 0.99))
def test_typical_p_keeps_those_of_surprise_nearest_the_entropy(
    values: list[float], p: float
) -> None:
    chances = plain_softmax(values)
    entropy = -math.fsum(q * math.log(q) for q in chances if q > 0)
    distance = {i: abs(-math.log(q) - entropy) for i, q in enumerate(chances) if q > 0}
    order = sorted(distance, key=lambda i: (distance[i], i))
    sums = [math.fsum(chances[i] for i in order[: n + 1]) for n in range(len(order))]
    expected = order[: 1 + sum(s < p for s in sums)]
    near = any(
        abs(distance[a] - distance[b]) < 1e-9 and values[a] != values[b]
        for a, b in pairwise(order)
    )
    if crosses_clearly(sums, p) and not near:
        assert kept(processors.typical_p(array(values), p)) == set(expected)


def test_typical_p_can_drop_the_most_probable_token() -> None:
    # q = 0.4 and 60 times 0.01: H = 0.4 ln 2.5 + 0.6 ln 100 = 3.13; the surprises are
    # 0.92 and 4.61, so the small ones are nearer, and 50 of them reach 0.5.
    logits = array([math.log(0.4)] + [math.log(0.01)] * 60)
    assert kept(processors.typical_p(logits, 0.495)) == set(range(1, 51))


@given(logits_with_bans, st.lists(st.integers(0, 3), max_size=8), st.floats(0.5, 2))
def test_repetition_penalty_divides_or_multiplies(
    values: list[float], history: list[int], penalty: float
) -> None:
    history = [i for i in history if i < len(values)]
    expected = list(values)
    for i in set(history):
        expected[i] = values[i] * penalty if values[i] <= 0 else values[i] / penalty
    got = processors.repetition_penalty(array(values), history, penalty).tolist()
    assert got == pytest.approx(expected, rel=1e-6)


@given(
    logits_with_bans,
    st.lists(st.integers(0, 3), max_size=8),
    st.floats(-2, 2),
    st.floats(-2, 2),
)
def test_frequency_counts_and_presence_does_not(
    values: list[float], history: list[int], frequency: float, presence: float
) -> None:
    history = [i for i in history if i < len(values)]
    expected = [
        x - history.count(i) * frequency - (presence if i in history else 0)
        for i, x in enumerate(values)
    ]
    got = processors.frequency_presence_penalty(array(values), history, frequency, presence)
    assert got.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_logit_bias_adds_up_for_an_id_given_twice() -> None:
    got = processors.logit_bias(array([0, 1, 2]), [2, 0, 2], [1.5, NEVER, 0.25])
    assert got.tolist() == [NEVER, 1, 3.75]


def test_mask_leaves_minus_infinity() -> None:
    got = processors.apply_mask(array([1, 2, 3]), np.array([True, False, True]))
    assert got.tolist() == [1, NEVER, 3]


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p", "typical_p", "apply_temperature"])
def test_input_is_not_written_to(name: str) -> None:
    logits = array([1, 2, 3])
    logits.setflags(write=False)
    result = getattr(processors, name)(logits, 1)
    assert result is not logits
    assert logits.tolist() == [1, 2, 3]
    assert result.dtype == np.float32
