"""Temperature scaling: one number that makes a model less sure of itself, or surer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from constrain.calibration.arrays import (
    LEAST,
    Indices,
    Probabilities,
    checked_labels,
    checked_probabilities,
    checked_truth,
)
from constrain.calibration.fits import Temperature
from constrain.errors import CalibrationError

COLDEST, HOTTEST = 0.01, 100.0
"""Bounds of the temperature. One at a bound says: always right, or no better than chance."""

_ALIKE = 1e-12  # scores so near each other are equal: the coldest makes 1e-10 of it
_N_HALVINGS = 80  # of the logarithm's range, 9.2: to the last bit of a float64


def fit_temperature(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str] = ()
) -> Temperature:
    """The temperature with the least log loss.

    With b = 1/T and s = log p, the loss `mean(logsumexp(b * s) - b * s_true)` is convex in b;
    its derivative, the mean of the expected s minus the true one, rises, and is 0 at the best
    b, which is found by halving the interval. Where every example has all labels equally
    probable, no temperature changes anything: then it is 1.

    Probabilities below 2.2e-16 count as that, as `log_loss` has it, so an example that was
    certain and wrong weighs 36 nats.

    Args:
        probabilities: float64[n, n_labels], rows that sum to 1.
        truth: int[n], the index of each example's true label.
        labels: the labels' names, if they are to be checked when the fit is applied.

    Returns:
        A temperature in [0.01, 100]; exactly at a bound if the loss falls up to it.

    Raises:
        CalibrationError: the arrays or labels are malformed.

    Cost: 80 passes over the array.
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    names = checked_labels(labels)
    if names and len(names) != rows.shape[1]:
        raise CalibrationError(f"{len(names)} labels for {rows.shape[1]} probabilities a row")
    scores = np.log(np.maximum(rows, LEAST))
    return Temperature(temperature=_best(scores, indices), labels=names)


def _best(scores: Probabilities, truth: Indices) -> float:
    """Where the slope is 0, or the bound it falls up to."""
    if np.ptp(scores, axis=1).max() <= _ALIKE:
        return 1.0
    if _slope(scores, truth, 1 / HOTTEST) >= 0:
        return HOTTEST
    if _slope(scores, truth, 1 / COLDEST) <= 0:
        return COLDEST
    low, high = -np.log(HOTTEST), -np.log(COLDEST)  # logarithms of b
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        if _slope(scores, truth, np.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def _slope(scores: Probabilities, truth: Indices, inverse: float) -> float:
    """Derivative of the log loss by the inverse temperature."""
    scaled = scores * inverse
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    expected = (weights * scores).sum(axis=1)
    return float((expected - scores[np.arange(len(truth)), truth]).mean())
