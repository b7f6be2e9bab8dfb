"""Calibrations: functions from a model's label probabilities to better ones.

Each is a frozen dataclass of its parameters, applied with numpy alone; `temperature.py` and
`one_against_rest.py` find the parameters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from constrain.arguments import as_float
from constrain.calibration.arrays import (
    LEAST,
    Probabilities,
    checked_labels,
    checked_probabilities,
)
from constrain.errors import CalibrationError, shorten

_LARGEST = float(np.finfo(np.float64).max)
_FARTHEST = 1e-12  # log-odds are taken of probabilities at least this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class Calibration(ABC):
    """A map from label probabilities to label probabilities.

    Attributes:
        labels: the labels it was fitted for, in the order of the columns, all different; ()
            for a temperature set by hand, which fits any.
        made_with: how the probabilities came about that it was fitted to (prompt template,
            normalization, …), for those who apply it; kept in its file, not looked at here.
    """

    labels: tuple[str, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict, compare=False)

    method: ClassVar[str]

    def __post_init__(self) -> None:
        checked_labels(self.labels)
        made_with = dict(self.made_with)
        if not all(isinstance(text, str) for item in made_with.items() for text in item):
            raise CalibrationError(f"made_with is {shorten(made_with)}; expected only texts")

    def apply(self, probabilities: npt.ArrayLike) -> Probabilities:
        """Calibrated probabilities.

        Args:
            probabilities: float64[n, n_labels], rows that sum to 1.

        Raises:
            CalibrationError: the array is malformed, or has another number of labels.
        """
        rows = checked_probabilities(probabilities)
        if self.labels and rows.shape[1] != len(self.labels):
            raise CalibrationError(
                f"{rows.shape[1]} probabilities a row; the calibration is for the "
                f"{len(self.labels)} labels {shorten(list(self.labels))}"
            )
        return self._apply(rows)

    def apply_to(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Calibrated probabilities by label, in the order given.

        Raises:
            CalibrationError: the labels are not those it was fitted for.
        """
        names = self.labels or tuple(probabilities)
        if set(names) != set(probabilities):
            raise CalibrationError(
                f"the labels are {shorten(list(probabilities))}; the calibration is for "
                f"{shorten(list(names))}"
            )
        row = self.apply([[probabilities[name] for name in names]])[0]
        found = dict(zip(names, row.tolist(), strict=True))
        return {name: found[name] for name in probabilities}

    @abstractmethod
    def _apply(self, rows: Probabilities) -> Probabilities: ...


@dataclass(frozen=True, kw_only=True)
class Temperature(Calibration):
    """`p_k^(1/T)`, normalized: above 1 less sure, below 1 surer. Never changes the ranking.

    Probabilities below 2.2e-16 count as that, as in `log_loss` and in the fit.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.

    Attributes:
        temperature: T, above 0.
    """

    temperature: float

    method: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        super().__post_init__()
        temperature = as_float(self.temperature)
        if temperature is None or not (math.isfinite(temperature) and temperature > 0):
            raise CalibrationError(
                f"temperature is {shorten(self.temperature)}; expected a number above 0"
            )

    def _apply(self, rows: Probabilities) -> Probabilities:
        logs = np.log(np.maximum(rows, LEAST))
        # The difference first: the likeliest label keeps its 0 however small the temperature.
        behind = logs - logs.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # to -inf, which is a share of 0
            return _normalized(np.exp(behind / self.temperature))


@dataclass(frozen=True, kw_only=True)
class Platt(Calibration):
    """For each label `1 / (1 + exp(-(a * log(p / (1 - p)) + b)))`, then normalized.

    Source: Platt: Probabilistic outputs for support vector machines, 1999; one against the
    rest: Zadrozny, Elkan: Transforming classifier scores into accurate multiclass probability
    estimates, KDD 2002.

    Attributes:
        slopes, intercepts: a and b of each label.
    """

    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]

    method: ClassVar[str] = "platt"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("slopes", "intercepts"):
            values = getattr(self, name)
            found = [as_float(value) for value in values]
            finite = all(value is not None and math.isfinite(value) for value in found)
            if len(found) != len(self.labels) or not finite:
                raise CalibrationError(
                    f"{name} are {shorten(values)}; expected a number for each of "
                    f"{len(self.labels)} labels"
                )

    def _apply(self, rows: Probabilities) -> Probabilities:
        with np.errstate(over="ignore"):
            logits = log_odds(rows) * np.array(self.slopes) + np.array(self.intercepts)
        # In logarithms: all labels' curves may be so near 0 that no float64 can tell.
        logs = np.maximum(-np.logaddexp(0.0, -logits), -_LARGEST)
        return _normalized(np.exp(logs - logs.max(axis=1, keepdims=True)))


@dataclass(frozen=True, kw_only=True)
class Isotonic(Calibration):
    """For each label a rising, piecewise linear function of its probability, then normalized.

    Between two knots the line between their values, outside them the nearest value; if all
    labels get 0, they share equally. Source: Zadrozny, Elkan, KDD 2002.

    Attributes:
        knots: for each label, rising probabilities.
        values: for each label, what they become; never falling, in [0, 1].
    """

    knots: tuple[tuple[float, ...], ...]
    values: tuple[tuple[float, ...], ...]

    method: ClassVar[str] = "isotonic"

    def __post_init__(self) -> None:
        super().__post_init__()
        n = len(self.labels)
        if len(self.knots) != n or len(self.values) != n:
            raise CalibrationError(
                f"{len(self.knots)} lists of knots and {len(self.values)} of values; "
                f"expected one for each of {n} labels"
            )
        for label, knots, values in zip(self.labels, self.knots, self.values, strict=True):
            if not knots or len(knots) != len(values):
                raise CalibrationError(
                    f"label {label!r} has {len(knots)} knots and {len(values)} values; "
                    "expected as many, at least one"
                )
            _check_rising(label, "knots", knots, strictly=True)
            _check_rising(label, "values", values, strictly=False)

    def _apply(self, rows: Probabilities) -> Probabilities:
        columns = [
            np.interp(rows[:, i], self.knots[i], self.values[i]) for i in range(rows.shape[1])
        ]
        found = np.stack(columns, axis=1)
        found[found.sum(axis=1) == 0] = 1.0
        return _normalized(found)


def log_odds(rows: Probabilities) -> Probabilities:
    """`log(p / (1 - p))`, for p within 1e-12 of 0 and 1 as if it were that far."""
    inside = np.clip(rows, _FARTHEST, 1 - _FARTHEST)
    return np.log(inside) - np.log1p(-inside)


def _normalized(rows: Probabilities) -> Probabilities:
    found: Probabilities = rows / rows.sum(axis=1, keepdims=True)
    return found


def _check_rising(label: str, name: str, values: Sequence[float], *, strictly: bool) -> None:
    inside = all(0 <= value <= 1 for value in values)
    rising = all(a < b or (a == b and not strictly) for a, b in pairwise(values))
    if not (inside and rising):
        raise CalibrationError(
            f"{name} of label {label!r} are {shorten(values)}; expected rising numbers "
            "in [0, 1]"
        )
