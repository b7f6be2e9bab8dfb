"""Losses of forecasts: proper scores, least in the mean for the true probabilities alone.

Unlike the calibration error they also see whether a forecast tells examples apart: the same
probability for all is calibrated and worthless.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from constrain.calibration.arrays import LEAST, checked_probabilities, checked_truth


def brier_score(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean over the examples of `sum_k (p_k - y_k)^2`, y being 1 for the true label, else 0.

    From 0 (certain and right) to 2 (certain and wrong). This is the sum over all labels, as in
    the source; with two labels, many report half of it.

    Source: Brier: Verification of forecasts expressed in terms of probability, Monthly Weather
    Review 78 (1950).

    Raises:
        CalibrationError: the arrays are malformed.

    >>> brier_score([[0.5, 0.5]], [0])
    0.5
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    distance = rows - np.eye(rows.shape[1])[indices]
    return float((distance**2).sum(axis=1).mean())


def log_loss(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean of `-log(p of the true label)`, in nats.

    A probability below 2.2e-16 counts as that (see `arrays.LEAST`).

    Source: Good: Rational decisions, Journal of the Royal Statistical Society B 14 (1952).

    Raises:
        CalibrationError: the arrays are malformed.

    >>> round(log_loss([[0.5, 0.5]], [1]), 4)
    0.6931
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    chosen = rows[np.arange(len(rows)), indices]
    return float(-np.log(np.clip(chosen, LEAST, 1.0)).mean())
