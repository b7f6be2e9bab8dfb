"""Are predictions made with 90 % confidence right 90 % of the time?

Examples are put into bins by the probability of their likeliest label; in each bin the mean of
those probabilities is compared with the share of right predictions. The gaps, weighted by the
size of the bins, are the expected calibration error, the largest one is the maximum error.

A gap has noise of its own: with n examples in a bin the share of right ones varies by about
sqrt(0.25 / n) even for a perfect forecast, so the errors of small samples are never 0. Each bin
therefore has a 95 % interval of its accuracy.

Source: Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian
binning, AAAI 2015; Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML
2017, section 2 (bins are half-open at their lower end, as there).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from constrain.arguments import as_int
from constrain.calibration.arrays import Flags, Probabilities, numbers
from constrain.errors import CalibrationError, shorten

Binning = Literal["width", "mass"]

_MOST_BINS = 100_000  # limits are an array
_MOST_DIGITS = 6  # of percentages in a table
_NORMAL_95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Bin:
    """The examples whose confidence lies in `(lower, upper]`, the first bin's lower included.

    Attributes:
        lower, upper: the limits.
        n: how many examples, at least 1.
        confidence: mean probability of their likeliest label.
        accuracy: share of them whose likeliest label was true.
    """

    lower: float
    upper: float
    n: int
    confidence: float
    accuracy: float

    @property
    def gap(self) -> float:
        """Confidence minus accuracy: above 0 the model is too sure of itself."""
        return self.confidence - self.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy.

        Source: Wilson: Probable inference, the law of succession, and statistical inference,
        Journal of the American Statistical Association 22 (1927).
        """
        z2 = _NORMAL_95**2
        middle = (self.accuracy + z2 / (2 * self.n)) / (1 + z2 / self.n)
        spread = self.accuracy * (1 - self.accuracy) / self.n + z2 / (4 * self.n**2)
        half = _NORMAL_95 * math.sqrt(spread) / (1 + z2 / self.n)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class ReliabilityTable:
    """Confidence beside accuracy, bin by bin. Prints as a table.

    Attributes:
        bins: those that hold an example, by rising confidence.
    """

    bins: tuple[Bin, ...]

    @property
    def n(self) -> int:
        """How many examples."""
        return sum(b.n for b in self.bins)

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean |confidence - accuracy| over the examples' bins."""
        return math.fsum(b.n * abs(b.gap) for b in self.bins) / self.n

    @property
    def maximum_error(self) -> float:
        """Maximum calibration error: the greatest |confidence - accuracy| of a bin."""
        return max(abs(b.gap) for b in self.bins)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        digits = self._digits()
        width = digits + 5
        title = f"{'confidence':{2 * width + 3}}"
        yield f"{title}     n    mean   right   95 % interval       gap"
        for b in self.bins:
            low, high = b.interval
            limits = f"{b.upper:{width}.{digits}%}"
            if b.lower < b.upper:
                limits = f"{b.lower:{width}.{digits}%} - {limits}"
            yield (
                f"{limits:>{len(title)}} {b.n:5} {b.confidence:7.1%} "
                f"{b.accuracy:7.1%}  {low:6.1%} - {high:6.1%}  {b.gap:+7.1%}"
            )

    def _digits(self) -> int:
        """Decimals, one or more, that tell the limits of every bin apart."""
        ranges = [b for b in self.bins if b.lower < b.upper]
        for digits in range(1, _MOST_DIGITS):
            if all(f"{b.lower:.{digits}%}" != f"{b.upper:.{digits}%}" for b in ranges):
                return digits
        return _MOST_DIGITS


def reliability_table(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 10,
    binning: Binning = "width",
) -> ReliabilityTable:
    """Confidence beside accuracy.

    Args:
        confidence: float[n], the probability of each predicted label (see `top_label`).
        correct: bool[n], whether that label was true.
        n_bins: how many bins, 1 to 100 000; those without an example are left out.
        binning: "width": the bins divide 0 to 1 equally; "mass": each holds about as many
            examples as the others (limits at the quantiles; equal values stay together).

    Raises:
        CalibrationError: the arrays or numbers are malformed.
    """
    values, flags = _checked(confidence, correct)
    n = as_int(n_bins)
    if n is None or not 1 <= n <= _MOST_BINS:
        raise CalibrationError(
            f"n_bins is {shorten(n_bins)}; expected an int, at least 1 and at most {_MOST_BINS}"
        )
    edges = _edges(values, n_bins, binning)
    # side "left": a value equal to a limit belongs to the bin below it
    place = np.searchsorted(edges[1:-1], values, side="left")
    bins = []
    for i in np.unique(place):  # those that hold an example
        inside = place == i
        bins.append(
            Bin(
                lower=float(edges[i]),
                upper=float(edges[i + 1]),
                n=int(inside.sum()),
                confidence=float(values[inside].mean()),
                accuracy=float(flags[inside].mean()),
            )
        )
    return ReliabilityTable(tuple(bins))


def expected_calibration_error(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 10,
    binning: Binning = "width",
) -> float:
    """`reliability_table(...).expected_error`.

    Of ten predictions made with 80 % confidence seven are right:

    >>> round(expected_calibration_error([0.8] * 10, [True] * 7 + [False] * 3), 6)
    0.1
    """
    table = reliability_table(confidence, correct, n_bins=n_bins, binning=binning)
    return table.expected_error


def maximum_calibration_error(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 10,
    binning: Binning = "width",
) -> float:
    """`reliability_table(...).maximum_error`."""
    table = reliability_table(confidence, correct, n_bins=n_bins, binning=binning)
    return table.maximum_error


def _edges(values: Probabilities, n_bins: int, binning: Binning) -> Probabilities:
    """The limits of the bins, float64[n_bins + 1], from 0 to 1 for bins of equal width."""
    if binning == "width":
        return np.linspace(0.0, 1.0, n_bins + 1)
    if binning == "mass":
        return np.quantile(values, np.linspace(0.0, 1.0, n_bins + 1))
    raise CalibrationError(f"binning is {binning!r}; expected one of {get_args(Binning)}")


def _checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Probabilities, Flags]:
    values = numbers("confidence", confidence)
    try:
        flags = np.asarray(correct)
    except ValueError as error:
        raise CalibrationError(f"correct: {shorten(correct)}; expected booleans") from error
    if values.ndim != 1 or not len(values) or flags.shape != values.shape:
        raise CalibrationError(
            f"confidence has the shape {values.shape}, correct {flags.shape}; expected (n,) "
            "for both, n at least 1"
        )
    if flags.dtype != np.bool_:
        raise CalibrationError(f"correct is {flags.dtype}; expected booleans")
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise CalibrationError(
            f"confidence is {shorten(float(values[wrong][0]))}; expected 0 to 1"
        )
    return values, flags
