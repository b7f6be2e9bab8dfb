"""How good a calibration is on examples it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from constrain.arguments import as_int
from constrain.calibration.arrays import (
    Flags,
    Indices,
    Probabilities,
    checked_labels,
    checked_probabilities,
    checked_truth,
    top_label,
)
from constrain.calibration.fits import Calibration
from constrain.calibration.losses import brier_score, log_loss
from constrain.calibration.one_against_rest import fit_isotonic, fit_platt
from constrain.calibration.reliability import Binning, ReliabilityTable, reliability_table
from constrain.calibration.temperature import fit_temperature
from constrain.errors import CalibrationError, shorten

Method = Literal["temperature", "platt", "isotonic"]

_Fit = Callable[[npt.ArrayLike, npt.ArrayLike, Sequence[str]], Calibration]
_FITS: Mapping[str, _Fit] = MappingProxyType(
    {"temperature": fit_temperature, "platt": fit_platt, "isotonic": fit_isotonic}
)


@dataclass(frozen=True, slots=True)
class Report:
    """How good some forecasts are.

    Attributes:
        accuracy: share of the examples whose likeliest label is true.
        brier: `brier_score`, 0 to 2.
        log_loss: `log_loss`, in nats.
        table: confidence beside accuracy, with the calibration errors.
    """

    accuracy: float
    brier: float
    log_loss: float
    table: ReliabilityTable


def report(
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    n_bins: int = 10,
    binning: Binning = "width",
) -> Report:
    """Accuracy, losses and the reliability table of forecasts.

    Raises:
        CalibrationError: the arrays are malformed.
    """
    confidence, correct = top_label(probabilities, truth)
    return Report(
        accuracy=float(correct.mean()),
        brier=brier_score(probabilities, truth),
        log_loss=log_loss(probabilities, truth),
        table=reliability_table(confidence, correct, n_bins=n_bins, binning=binning),
    )


def fit(
    method: Method, probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> Calibration:
    """`fit_temperature`, `fit_platt` or `fit_isotonic` by its name.

    Raises:
        CalibrationError: there is no such method, or as that function.
    """
    methods = get_args(Method)
    if method not in methods:
        raise CalibrationError(f"method is {shorten(method)}; expected one of {methods}")
    return _FITS[method](probabilities, truth, labels)


def held_out(
    method: Method,
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    labels: Sequence[str],
    *,
    n_folds: int = 5,
    seed: int = 0,
) -> Probabilities:
    """Calibrated probabilities, each by a fit that has not seen its example.

    The examples are dealt into `n_folds` parts with the labels spread evenly; each part is
    calibrated by a fit to all others. What is measured on the result is what to expect on new
    examples; measured on the fit's own examples a calibration always looks good.

    Args:
        method: which fit.
        probabilities: float64[n, n_labels], rows that sum to 1.
        truth: int[n], the index of each example's true label.
        labels: the labels' names.
        n_folds: how many parts, at least 2; each label occurs at least so many times.
        seed: of the shuffle before dealing.

    Returns:
        float64[n, n_labels] in the order given.

    Raises:
        CalibrationError: the arrays are malformed, or a label is too rare.
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    names = checked_labels(labels)
    found = np.empty_like(rows)
    for inside in _folds(indices, names, n_folds, seed):
        made = fit(method, rows[~inside], indices[~inside], names)
        found[inside] = made.apply(rows[inside])
    return found


def _folds(truth: Indices, labels: Sequence[str], n_folds: int, seed: int) -> Iterator[Flags]:
    """For each part, which examples are in it."""
    # One part would leave nothing to fit to.
    for name, value, least in (("n_folds", n_folds, 2), ("seed", seed, 0)):
        found = as_int(value)
        if found is None or found < least:
            raise CalibrationError(
                f"{name} is {shorten(value)}; expected an int, at least {least}"
            )
    for k, label in enumerate(labels):
        n = int((truth == k).sum())
        if n < n_folds:
            raise CalibrationError(
                f"{n} examples are {label!r}; {n_folds} folds need as many of each label"
            )
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    # Sorted by label, dealing goes round: each part gets its share of each label.
    dealt = shuffled[np.argsort(truth[shuffled], kind="stable")]
    for part in range(n_folds):
        inside = np.zeros(len(truth), np.bool_)
        inside[dealt[part::n_folds]] = True
        yield inside
