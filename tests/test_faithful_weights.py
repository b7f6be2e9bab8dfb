"""Weights of particles: sums, effective sample size, systematic resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from constrain.driver.particles import (
    effective_sample_size,
    log_sum,
    normalized,
    pick,
    systematic,
)

SHARES = [0.5, 0.0, 0.3, 0.15, 0.05]


def logs(shares: list[float]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        result: NDArray[np.float64] = np.log(np.array(shares))
    return result


def test_log_sum_is_stable_and_knows_nothing_at_all() -> None:
    assert log_sum(np.array([-1e6, -1e6])) == pytest.approx(-1e6 + math.log(2), rel=1e-15)
    assert log_sum(np.array([1e6, -math.inf])) == 1e6
    assert log_sum(np.array([-math.inf, -math.inf])) == -math.inf


def test_weights_are_normalized_whatever_their_size() -> None:
    assert normalized(logs(SHARES) - 5000) == pytest.approx(SHARES)
    with pytest.raises(ValueError, match="all weights are 0"):
        normalized(logs([0.0, 0.0]))


def test_effective_sample_size_by_its_formula() -> None:
    # (sum w)^2 / sum w^2: 1 / (0.25 + 0.09 + 0.0225 + 0.0025) = 1 / 0.365
    assert effective_sample_size(logs(SHARES)) == pytest.approx(1 / 0.365)
    assert effective_sample_size(logs([0.2] * 5)) == pytest.approx(5)
    assert effective_sample_size(logs([0.0, 1.0, 0.0])) == pytest.approx(1)


def test_pick_takes_each_index_for_its_share_of_the_numbers() -> None:
    drawn = [pick(logs(SHARES), (k + 0.5) / 1000) for k in range(1000)]
    assert np.bincount(drawn, minlength=5).tolist() == [500, 0, 300, 150, 50]


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_ends_of_the_interval_never_pick_weight_zero(u: float) -> None:
    for shares in ([0.0, 1.0, 0.0], [0.0, 0.1, 0.2, 0.7, 0.0], [1 / 3, 1 / 3, 1 / 3, 0.0]):
        assert shares[pick(logs(shares), u)] > 0
        assert all(shares[i] > 0 for i in systematic(logs(shares), u))


@pytest.mark.parametrize("n", [5, 50])
def test_systematic_takes_each_index_within_one_of_its_share(n: int) -> None:
    shares = np.random.default_rng(n).dirichlet([0.3] * n)
    for u in np.linspace(0, 1, 20, endpoint=False):
        counts = np.bincount(systematic(np.log(shares), float(u)), minlength=n)
        assert counts.sum() == n
        assert np.abs(counts - n * shares).max() < 1


def test_systematic_is_unbiased() -> None:
    # Over all u the mean count is n * w; 2000 evenly spaced ones come within 1 / 2000 of it.
    counts = np.zeros(5)
    for k in range(2000):
        counts += np.bincount(systematic(logs(SHARES), (k + 0.5) / 2000), minlength=5)
    assert counts / 2000 == pytest.approx(5 * np.array(SHARES), abs=1 / 2000)
