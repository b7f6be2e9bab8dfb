"""What calibration is given, as checked arrays: probabilities of labels, and which was true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from constrain.errors import CalibrationError, shorten

Probabilities = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LEAST = float(np.finfo(np.float64).eps)
"""2.2e-16: probabilities below count as this where their logarithm is taken.

One miss of a forecast that was certain (isotonic fits make such) would else make all other
examples invisible: at 1e-300 it weighs as much as a thousand coin tosses.
"""

_SUM_TOLERANCE = 1e-6


def numbers(name: str, values: npt.ArrayLike) -> Probabilities:
    """The values as float64 of whatever shape.

    Raises:
        CalibrationError: they are not all numbers, or rows differ in length; uses the name.
    """
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(
            f"{name}: {shorten(values)}; expected numbers, in rows of one length"
        ) from error


def checked_labels(labels: object) -> tuple[str, ...]:
    """The labels, if they are texts that all differ.

    Raises:
        CalibrationError: they are something else.
    """
    found: tuple[Any, ...] | None = None
    if isinstance(labels, Iterable) and not isinstance(labels, str):
        found = tuple(labels)
    texts = found is not None and all(isinstance(label, str) for label in found)
    if found is None or not texts or len(set(found)) != len(found):
        raise CalibrationError(f"labels are {shorten(labels)}; expected different texts")
    return found


def checked_probabilities(probabilities: npt.ArrayLike) -> Probabilities:
    """float64[n_examples, n_labels], rows that sum to 1, at least one row and two labels.

    Raises:
        CalibrationError: it is something else; names the first row that is wrong.
    """
    rows = numbers("probabilities", probabilities)
    if rows.ndim != 2 or rows.shape[0] < 1 or rows.shape[1] < 2:  # noqa: PLR2004  # a table
        raise CalibrationError(
            f"probabilities have the shape {rows.shape}; expected (examples, labels) with at "
            "least 1 example and 2 labels"
        )
    fit = (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    if not fit.all():
        row = int(np.flatnonzero(~fit)[0])
        raise CalibrationError(
            f"row {row} is {rows[row].tolist()}; expected probabilities that sum to 1"
        )
    return rows


def checked_truth(truth: npt.ArrayLike, n: int, n_labels: int) -> Indices:
    """int64[n], each the index of a label.

    Raises:
        CalibrationError: it is something else.
    """
    try:
        given = np.asarray(truth)
    except ValueError as error:
        raise CalibrationError(
            f"truth: {shorten(truth)}; expected the index of the true label for each example"
        ) from error
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise CalibrationError(
            f"truth is {given.dtype}{given.shape}; expected the index of the true label for "
            f"each of {n} examples"
        )
    indices = given.astype(np.int64)
    if indices.min() < 0 or indices.max() >= n_labels:
        raise CalibrationError(
            f"truth goes from {indices.min()} to {indices.max()}; expected 0 to {n_labels - 1}"
        )
    return indices


def top_label(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[Probabilities, Flags]:
    """The probability of each example's likeliest label, and whether that label was true.

    Of equals the first counts as the likeliest.

    Raises:
        CalibrationError: the arrays are malformed.

    >>> confidence, correct = top_label([[0.9, 0.1], [0.3, 0.7]], [0, 0])
    >>> confidence.tolist(), correct.tolist()
    ([0.9, 0.7], [True, False])
    """
    rows = checked_probabilities(probabilities)
    indices = checked_truth(truth, *rows.shape)
    return rows.max(axis=1), rows.argmax(axis=1) == indices
