"""Temperature scaling: one number that makes a model less sure of itself, or surer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from constrain.calibration.arrays import (
    Indices,
    Probabilities,
    checked_probabilities,
    checked_truth,
)
from constrain.calibration.fits import LEAST, Temperature

COLDEST, HOTTEST = 0.01, 100.0
"""Bounds of the temperature. One at a bound says: always right, or no better than chance."""

_N_HALVINGS = 80  # of the logarithm's range, 9.2: to the last bit of a float64


def fit_temperature(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str] = ()
) -> Temperature:
    """The temperature with the least log loss.

    With b = 1/T and s = log p, the loss `mean(logsumexp(b * s) - b * s_true)` is convex in b;
    its derivative, the mean of the expected s minus the true one, rises, and is 0 at the best
    b, which is found by halving the interval.

    Args:
        probabilities: float64[n, n_labels], rows that sum to 1.
        truth: int[n], the index of each example's true label.
        labels: the labels' names, if they are to be checked when the fit is applied.

    Raises:
        CalibrationError: the arrays are malformed.

    Cost: 80 passes over the array.
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    scores = np.log(np.maximum(rows, LEAST))
    low, high = -np.log(HOTTEST), -np.log(COLDEST)  # logarithms of b
    if _slope(scores, indices, np.exp(low)) >= 0:
        high = low
    elif _slope(scores, indices, np.exp(high)) <= 0:
        low = high
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        if _slope(scores, indices, np.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return Temperature(temperature=float(np.exp(-(low + high) / 2)), labels=tuple(labels))


def _slope(scores: Probabilities, truth: Indices, inverse: float) -> float:
    """Derivative of the log loss by the inverse temperature."""
    scaled = scores * inverse
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    expected = (weights * scores).sum(axis=1)
    return float((expected - scores[np.arange(len(truth)), truth]).mean())
