"""Weights of sequential Monte Carlo, and what they tell at the end.

Pure functions on log-weights (float64[n], natural logarithms, -inf is weight 0), and the
frozen account of a faithful generation. No model and no grammar here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Particle:
    """One of the sequences of a faithful generation.

    Attributes:
        text: a whole, valid output.
        tokens: its token ids, the end token not included.
        weight: its share in the estimate of the conditional distribution; all shares add up
            to 1. Equal texts are listed as often as they occur.
        log_weight: natural logarithm of the weight before it was made a share; the mean of
            these weights over all particles (those that died count as 0) is the normalizing
            constant.
    """

    text: str
    tokens: tuple[int, ...]
    weight: float
    log_weight: float


@dataclass(frozen=True, slots=True)
class Faithful:
    """What a faithful generation tells besides the text it drew.

    Attributes:
        particles: the sequences that were alive at the end. `sum(p.weight * f(p.text))`
            estimates the mean of f over the model's valid outputs.
        log_validity: natural logarithm of an estimate of the probability that the model,
            sampled without a grammar at the same temperature and logit bias, writes a valid
            output within the budget and then ends. The estimate (not its logarithm) is
            unbiased for any number of particles.
        effective_sample_size: how many independent, equally weighted particles would tell as
            much as these. Particles that descend from the same one at the beginning, since they
            were drawn anew, count as one with the sum of their weights
            (`effective_ancestors`). Near 1 the draw and the estimates hang on a single
            sequence, and neither is to be trusted: take more particles.
            A large number is no proof: it cannot tell of valid outputs that none came upon.
        n_resampled: how often the particles were drawn anew from themselves.
    """

    particles: tuple[Particle, ...] = field(repr=False)
    log_validity: float
    effective_sample_size: float
    n_resampled: int

    @property
    def validity(self) -> float:
        """The estimate itself, in [0, 1] up to its error; 0 if it is below float64."""
        return math.exp(self.log_validity)


def log_sum(log_weights: Weights) -> float:
    """`log(sum_i exp(x_i))`, stable; -inf for no weight at all.

    >>> round(math.exp(log_sum(np.log([0.25, 0.5]))), 6)
    0.75
    """
    top = float(log_weights.max(initial=-math.inf))
    if top == -math.inf:
        return top
    return top + math.log(float(np.exp(log_weights - top).sum()))


def normalized(log_weights: Weights) -> Weights:
    """Weights that add up to 1.

    Raises:
        ValueError: there is no weight to share.
    """
    total = log_sum(log_weights)
    if total == -math.inf:
        message = "all weights are 0"
        raise ValueError(message)
    weights = np.exp(log_weights - total)
    shares: Weights = weights / weights.sum()
    return shares


def effective_sample_size(log_weights: Weights) -> float:
    """`(sum w)^2 / sum w^2`: n for equal weights, 1 if one has all.

    Source: Kong, Liu, Wong: Sequential imputations and Bayesian missing data problems,
    JASA 89 (1994).

    >>> effective_sample_size(np.log([0.5, 0.5, 1e-300]))
    2.0
    """
    return 1.0 / float(np.square(normalized(log_weights)).sum())


def effective_ancestors(log_weights: Weights, ancestors: NDArray[np.int64]) -> float:
    """`effective_sample_size` of the weights added up by ancestor.

    Args:
        log_weights: float64[n].
        ancestors: int[n], which of the n particles at the beginning each one descends from.

    Source: Lee, Whiteley: Variance estimation in the particle filter, Biometrika 105 (2018),
    whose estimate of the variance is made of the squares of these shares.

    >>> effective_ancestors(np.zeros(4), np.array([0, 0, 3, 3]))
    2.0
    >>> effective_ancestors(np.zeros(4), np.array([2, 2, 2, 2]))
    1.0
    """
    shares = np.bincount(ancestors, weights=normalized(log_weights))
    return 1.0 / float(np.square(shares).sum())


def pick(log_weights: Weights, u: float) -> int:
    """The index that a number `u` in [0, 1) draws; never one of weight 0.

    >>> [pick(np.log([0.25, 0.75]), u) for u in (0.0, 0.24, 0.25, 0.99)]
    [0, 0, 1, 1]
    """
    return pick_summed(summed(log_weights), u)


def summed(log_weights: Weights) -> Weights:
    """Running sums of the weights, for several draws from the same ones."""
    sums: Weights = np.cumsum(normalized(log_weights))
    return sums


def pick_summed(sums: Weights, u: float) -> int:
    """As `pick`, from running sums."""
    return int(_at(sums, np.array([u]))[0])


def systematic(log_weights: Weights, u: float) -> NDArray[np.int64]:
    """Ancestors for as many new particles: index i about `n * w_i` times, within 1.

    The n points `(u + k) / n` are looked up among the summed weights, so that one number
    serves all. An index of weight 0 is never taken.

    Args:
        log_weights: float64[n].
        u: one random number in [0, 1).

    Source: Douc, Cappe, Moulines: Comparison of resampling schemes for particle filtering,
    ISPA 2005, section 2.4.

    >>> systematic(np.log([0.5, 0.25, 0.25]), 0.5).tolist()
    [0, 1, 2]
    >>> systematic(np.log([0.9, 0.05, 0.05]), 0.5).tolist()
    [0, 0, 0]
    """
    n = len(log_weights)
    points = (u + np.arange(n)) / n
    return _at(summed(log_weights), points)


def _at(sums: Weights, points: Weights) -> NDArray[np.int64]:
    """First index whose sum is past each point; rounding cannot lead past the last weight."""
    last = np.searchsorted(sums, sums[-1], side="left")
    found = np.searchsorted(sums, points * sums[-1], side="right")
    ancestors: NDArray[np.int64] = np.minimum(found, last).astype(np.int64)
    return ancestors
