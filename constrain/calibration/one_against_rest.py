"""Platt and isotonic fits: each label against the rest, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from constrain.calibration.arrays import (
    Indices,
    Probabilities,
    checked_labels,
    checked_probabilities,
    checked_truth,
)
from constrain.calibration.fits import Isotonic, Platt, log_odds
from constrain.errors import CalibrationError


def fit_platt(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> Platt:
    """For each label the logistic curve over its log-odds with the least log loss.

    Two numbers a label: enough for a few hundred examples, and it can move a label that comes
    too often or too seldom, which a temperature cannot. Targets are drawn in from 0 and 1 as
    Platt has it, `(n_pos + 1) / (n_pos + 2)` and `1 / (n_neg + 2)`, so that the fit stays
    finite where the labels can be told apart without error.

    Args:
        probabilities: float64[n, n_labels], rows that sum to 1.
        truth: int[n], the index of each example's true label; each label occurs.
        labels: the labels' names.

    Raises:
        CalibrationError: the arrays are malformed, or scikit-learn is not installed.
    """
    rows, indices = _checked(probabilities, truth, labels)
    regression = _sklearn().linear_model.LogisticRegression
    odds = log_odds(rows)
    slopes, intercepts = [], []
    for k in range(len(labels)):
        positive = indices == k
        n_positive = int(positive.sum())
        target = np.where(
            positive, (n_positive + 1) / (n_positive + 2), 1 / (len(rows) - n_positive + 2)
        )
        # A target between 0 and 1 is one example of each class, weighted.
        fit = regression(C=np.inf, tol=1e-9, max_iter=1000).fit(
            np.tile(odds[:, k : k + 1], (2, 1)),
            np.repeat([1, 0], len(rows)),
            sample_weight=np.concatenate([target, 1 - target]),
        )
        slopes.append(float(fit.coef_[0, 0]))
        intercepts.append(float(fit.intercept_[0]))
    return Platt(slopes=tuple(slopes), intercepts=tuple(intercepts), labels=tuple(labels))


def fit_isotonic(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> Isotonic:
    """For each label the rising function of its probability with the least squared error.

    Assumes nothing but the order, so it needs many examples (a thousand, say): with few it
    learns them by heart, and says 0 and 1 where it has seen no counterexample.

    Args, Raises: as `fit_platt`.
    """
    rows, indices = _checked(probabilities, truth, labels)
    regression = _sklearn().isotonic.IsotonicRegression
    knots, values = [], []
    for k in range(len(labels)):
        fit = regression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        fit.fit(rows[:, k], (indices == k).astype(np.float64))
        knots.append(tuple(fit.X_thresholds_.tolist()))
        values.append(tuple(np.clip(fit.y_thresholds_, 0.0, 1.0).tolist()))
    return Isotonic(knots=tuple(knots), values=tuple(values), labels=tuple(labels))


def _checked(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> tuple[Probabilities, Indices]:
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    labels = checked_labels(labels)
    if len(labels) != rows.shape[1]:
        raise CalibrationError(f"{len(labels)} labels for {rows.shape[1]} probabilities a row")
    absent = [label for k, label in enumerate(labels) if not (indices == k).any()]
    if absent:
        raise CalibrationError(f"no example is {absent[0]!r}; each label must occur")
    return rows, indices


def _sklearn() -> Any:
    """scikit-learn, which takes a second to import."""
    try:
        import sklearn
        import sklearn.isotonic
        import sklearn.linear_model
    except ImportError as error:
        raise CalibrationError(
            "Platt and isotonic fits need scikit-learn: "
            "pip install 'constrain-decoding[calibration]', or use temperature scaling"
        ) from error
    return sklearn
