"""Reliability tables, calibration errors and losses against arithmetic and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from constrain import calibration
from constrain.calibration import Bin, ReliabilityTable, reliability_table
from constrain.errors import CalibrationError


def sample(seed: int, n: int = 500) -> tuple[Any, Any]:
    """Confidences, with ties and limits of bins among them, and whether each was right."""
    random = np.random.default_rng(seed)
    confidence = np.round(random.beta(3, 2, n), 2)
    confidence[:3] = (0.0, 0.5, 1.0)
    return confidence, random.random(n) < confidence**2


def test_a_table_by_hand() -> None:
    confidence = [0.95, 0.85, 0.9, 0.05, 0.0, 1.0]
    correct = [True, False, True, False, True, True]
    table = reliability_table(confidence, correct)
    # (0.8, 0.9]: 0.85 and 0.9 (a limit belongs below); (0.9, 1]: 0.95 and 1; [0, 0.1]: the rest
    assert [(b.n, b.accuracy) for b in table.bins] == [(2, 0.5), (2, 0.5), (2, 1.0)]
    assert [b.confidence for b in table.bins] == pytest.approx([0.025, 0.875, 0.975])
    assert table.n == 6
    gaps = (0.475, 0.375, 0.025)
    assert table.expected_error == pytest.approx(sum(gaps) / 3)
    assert table.maximum_error == pytest.approx(0.475)
    assert table.bins[1].gap == pytest.approx(0.375)  # too sure
    assert table.bins[0].gap == pytest.approx(-0.475)  # not sure enough


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_bins", [1, 5, 10, 15])
@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_bins_are_those_of_scikit_learn(
    seed: int, n_bins: int, binning: Any, strategy: str
) -> None:
    oracle = pytest.importorskip("sklearn.calibration")
    confidence, correct = sample(seed)
    table = reliability_table(confidence, correct, n_bins=n_bins, binning=binning)
    accuracy, mean = oracle.calibration_curve(
        correct, confidence, n_bins=n_bins, strategy=strategy
    )
    assert [b.accuracy for b in table.bins] == pytest.approx(accuracy)
    assert [b.confidence for b in table.bins] == pytest.approx(mean)
    assert table.n == len(confidence)
    assert table.bins[0].lower == 0.0
    assert table.bins[-1].upper == 1.0


def test_bins_of_equal_mass_hold_equally_many() -> None:
    confidence = np.linspace(0.5, 0.99, 100)
    correct = np.arange(100) % 2 == 0
    table = reliability_table(confidence, correct, n_bins=4, binning="mass")
    assert [b.n for b in table.bins] == [25, 25, 25, 25]


def test_errors_are_those_of_the_table() -> None:
    confidence, correct = sample(7)
    table = reliability_table(confidence, correct, n_bins=7, binning="mass")
    options: Any = {"n_bins": 7, "binning": "mass"}
    expected = calibration.expected_calibration_error(confidence, correct, **options)
    largest = calibration.maximum_calibration_error(confidence, correct, **options)
    assert (expected, largest) == (table.expected_error, table.maximum_error)
    # the definition, over the members of each bin
    total = 0.0
    for i, b in enumerate(table.bins):
        inside = (confidence <= b.upper) & ((confidence > b.lower) | (i == 0))
        gap = abs(np.mean(correct[inside]) - np.mean(confidence[inside]))
        total += inside.mean() * gap
    assert expected == pytest.approx(total)


def test_intervals_are_wilsons() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n, right in ((1, 0), (1, 1), (10, 7), (40, 40), (1000, 3)):
        expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        found = Bin(0.0, 1.0, n, 0.5, right / n).interval
        assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_table_prints_its_rows() -> None:
    table = ReliabilityTable((Bin(0.8, 0.9, 20, 0.86, 0.7),))
    head, row = str(table).splitlines()
    assert head.split() == ["confidence", "n", "mean", "right", "95", "%", "interval", "gap"]
    # Wilson: (0.7 + z²/40 ± z·sqrt(0.0105 + z²/1600)) / (1 + z²/20), z = 1.96
    assert row.split() == [
        "80.0%", "-", "90.0%", "20", "86.0%", "70.0%", "48.1%", "-", "85.5%", "+16.0%",
    ]  # fmt: skip


def test_limits_that_round_alike_get_more_digits() -> None:
    values = [0.99961, 0.99962, 0.99964, 0.99965]
    table = reliability_table(values, [True] * 4, n_bins=2, binning="mass")
    # the middle quantile is (0.99962 + 0.99964) / 2
    head, *rows = str(table).splitlines()
    assert [row.split()[:4] for row in rows] == [
        ["99.961%", "-", "99.963%", "2"],
        ["99.963%", "-", "99.965%", "2"],
    ]
    assert {row[head.index(" n ") + 1] for row in rows} == {"2"}
    assert len({len(row) for row in rows}) == 1


def test_a_bin_of_one_value_shows_it_once() -> None:
    # quantiles 0, 1/2 and 1 of these: 0.5, 0.5 and 0.9
    table = reliability_table([0.5, 0.5, 0.5, 0.9], [True] * 4, n_bins=2, binning="mass")
    _, first, second = str(table).splitlines()
    assert first.split()[:3] == ["50.0%", "3", "50.0%"]
    assert second.split()[:4] == ["50.0%", "-", "90.0%", "1"]
    assert len(first) == len(second)


@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_losses_are_those_of_scikit_learn(n_labels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(n_labels)
    probabilities = random.dirichlet(np.ones(n_labels) / 3, 200)
    truth = random.integers(0, n_labels, 200)
    names = list(range(n_labels))
    assert calibration.log_loss(probabilities, truth) == pytest.approx(
        metrics.log_loss(truth, probabilities, labels=names)
    )
    one_hot = np.eye(n_labels)[truth]
    expected = sum(
        metrics.mean_squared_error(one_hot[:, k], probabilities[:, k]) for k in names
    )
    assert calibration.brier_score(probabilities, truth) == pytest.approx(expected)


def test_losses_by_hand() -> None:
    assert calibration.brier_score([[1.0, 0.0], [1.0, 0.0]], [0, 1]) == 1.0  # (0 + 2) / 2
    assert calibration.log_loss([[0.25, 0.75], [0.5, 0.5]], [0, 1]) == pytest.approx(
        (math.log(4) + math.log(2)) / 2
    )
    # certain and wrong counts as 2.2e-16, the least double above 0 next to 1
    assert calibration.log_loss([[1.0, 0.0]], [1]) == pytest.approx(52 * math.log(2))


def test_the_top_label_is_the_first_of_equals() -> None:
    confidence, correct = calibration.top_label([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]], [0, 1])
    assert confidence.tolist() == [0.4, 0.7]
    assert correct.tolist() == [True, False]


def test_a_report_holds_it_all() -> None:
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]
    found = calibration.report(probabilities, [0, 1, 1], n_bins=5)
    assert found.accuracy == pytest.approx(2 / 3)
    # squares: 2·0.01, 2·0.64, 2·0.09
    assert found.brier == pytest.approx(2 * 0.74 / 3)
    assert found.log_loss == pytest.approx(-math.log(0.9 * 0.2 * 0.7) / 3)
    assert found.table.n == 3


WRONG: list[tuple[Any, Any, str]] = [
    ([], [], "shape"),
    ([0.5, 0.5], [True], "shape"),
    ([[0.5]], [[True]], "shape"),
    ([1.5], [True], "1.5"),
    ([math.nan], [True], "nan"),
    ([0.5], [1], "booleans"),
    (["sure"], [True], "confidence: .*expected numbers"),
    ([[0.5], [0.5, 0.5]], [True, True], "confidence: .*in rows of one length"),
    ([0.5, 0.5], [[True], [True, False]], "correct: .*expected booleans"),
]


@pytest.mark.parametrize(("confidence", "correct", "message"), WRONG)
def test_wrong_confidences_are_refused(confidence: Any, correct: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        reliability_table(confidence, correct)


@pytest.mark.parametrize(
    ("n_bins", "binning"),
    [
        *((0, "width"), (2.5, "width"), ("5", "mass"), (True, "width"), (10**9, "width")),
        *((5, "height"), (5, ["width"])),
    ],
)
def test_wrong_bins_are_refused(n_bins: Any, binning: Any) -> None:
    with pytest.raises(CalibrationError, match="bin"):
        reliability_table([0.5], [True], n_bins=n_bins, binning=binning)


@pytest.mark.parametrize(
    ("probabilities", "truth", "message"),
    [
        ([0.5, 0.5], [0], "shape"),
        ([[1.0]], [0], "2 labels"),
        ([[0.5, 0.5], [0.5, 0.6]], [0, 0], "row 1"),
        ([[0.5, math.nan]], [0], "row 0"),
        ([[1.5, -0.5]], [0], "row 0"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [-1], "0 to 1"),
        ([[0.5, 0.5]], [0, 1], "each of 1"),
        ([[0.5, 0.5]], [0.0], "index"),
        ([[0.9, 0.1], [1]], [0, 1], "probabilities: .*in rows of one length"),
        ([["good", "bad"]], [0], "probabilities: .*expected numbers"),
        ([[10**400, 0.5]], [0], "probabilities: .*expected numbers"),
        ([[0.5, 0.5], [0.5, 0.5]], [[0], [0, 1]], "truth: .*index"),
    ],
)
def test_wrong_forecasts_are_refused(probabilities: Any, truth: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibration.brier_score(probabilities, truth)
