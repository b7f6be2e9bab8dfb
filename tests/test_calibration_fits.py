"""Fits undo a known distortion, and held-out numbers are those of examples not seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from constrain import calibration
from constrain.calibration import Isotonic, Platt, Temperature, evaluation
from constrain.errors import CalibrationError

Rows = npt.NDArray[np.float64]
LABELS = ("a", "b", "c")


def softmax(scores: Any) -> Rows:
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    found: Rows = weights / weights.sum(axis=-1, keepdims=True)
    return found


def world(seed: int, n: int, n_labels: int = 3) -> tuple[Rows, npt.NDArray[np.int64]]:
    """True probabilities of labels, and labels drawn from them."""
    random = np.random.default_rng(seed)
    probabilities = softmax(random.normal(0, 1.5, (n, n_labels)))
    drawn = (probabilities.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return probabilities, drawn


def error(probabilities: Rows, truth: npt.NDArray[np.int64]) -> float:
    return calibration.report(probabilities, truth).table.expected_error


def noise(probabilities: Rows) -> float:
    """Expected calibration error that perfect forecasts have with these many examples.

    In a bin the share of right ones has the standard deviation s = sqrt(sum p(1-p)) / n; the
    mean of |x| is sqrt(2/pi) s for a normal x (Geary 1935).
    """
    confidence = probabilities.max(axis=1)
    place = np.ceil(confidence * 10)
    total = 0.0
    for b in np.unique(place):
        p = confidence[place == b]
        total += math.sqrt(2 / math.pi * (p * (1 - p)).sum()) / len(confidence)
    return total


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_scaling_finds_the_temperature(temperature: float) -> None:
    """A model whose scores are T times the true ones needs the temperature T."""
    true, truth = world(1, 20_000)
    reported = softmax(np.log(true) * temperature)
    fit = calibration.fit_temperature(reported, truth, LABELS)
    # The log loss has the curvature n·Var(s) in 1/T; Var(s) of true scores exceeds 0.5 here,
    # so T's standard error is below T / sqrt(0.5 · 20000) = T / 100; four of them.
    assert fit.temperature == pytest.approx(temperature, rel=0.04)
    assert fit.apply(reported) == pytest.approx(true, abs=0.02)
    after = error(fit.apply(reported), truth)
    assert after < 3 * noise(true) + 0.005
    if temperature != 1:
        assert error(reported, truth) > 10 * after


def test_the_temperature_has_the_least_log_loss() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    true, truth = world(2, 300)
    reported = softmax(np.log(true) * 1.7 + np.array([0.3, 0.0, -0.4]))
    fit = calibration.fit_temperature(reported, truth)

    def loss(log_temperature: float) -> float:
        scaled = softmax(np.log(reported) / math.exp(log_temperature))
        return calibration.log_loss(scaled, truth)

    best = optimize.minimize_scalar(loss, bounds=(-4, 4), options={"xatol": 1e-10})
    assert fit.temperature == pytest.approx(math.exp(best.x), rel=1e-5)


@pytest.mark.parametrize("sharpness", [1.5, 4.0])
def test_certain_misses_weigh_what_the_log_loss_says(sharpness: float) -> None:
    """The fit is where `log_loss` is least, on a grid with steps of 0.15 %."""
    true, truth = world(11, 1000, n_labels=2)
    reported = softmax(np.log(true) * sharpness)
    rows = np.vstack([reported, [[1.0, 0.0], [0.0, 1.0]]])
    drawn = np.append(truth, [1, 0])
    grid = np.geomspace(0.5, 20, 2461)
    losses = [calibration.log_loss(Temperature(temperature=t).apply(rows), drawn) for t in grid]
    fit = calibration.fit_temperature(rows, drawn)
    assert fit.temperature == pytest.approx(grid[np.argmin(losses)], rel=0.002)
    assert calibration.log_loss(fit.apply(rows), drawn) <= min(losses) + 1e-9


def test_where_all_labels_are_equal_the_temperature_is_one() -> None:
    """They say nothing of it, alone or among others."""
    for n in (2, 3, 7):
        even = [[1 / n] * n] * 10
        fit = calibration.fit_temperature(even, [0, 1] * 5)
        assert fit.temperature == 1.0
    true, truth = world(12, 200, n_labels=2)
    alone = calibration.fit_temperature(softmax(np.log(true) * 2), truth)
    rows = np.vstack([softmax(np.log(true) * 2), np.full((50, 2), 0.5)])
    among = calibration.fit_temperature(rows, np.append(truth, [0, 1] * 25))
    assert among.temperature == pytest.approx(alone.temperature, rel=1e-9)


def test_a_temperature_stays_within_its_bounds() -> None:
    sure = [[0.9, 0.1], [0.2, 0.8]]
    assert calibration.fit_temperature(sure, [0, 1]).temperature == pytest.approx(0.01)
    assert calibration.fit_temperature(sure, [1, 0]).temperature == pytest.approx(100)
    even = [[0.5, 0.5]] * 4
    assert calibration.fit_temperature(even, [0, 1, 0, 1]).apply(even) == pytest.approx(0.5)


def test_a_temperature_keeps_the_ranking_and_bears_zeros() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4]])
    for temperature in (0.2, 1.0, 5.0):
        found = Temperature(temperature=temperature).apply(rows)
        assert np.argsort(found, axis=1).tolist() == np.argsort(rows, axis=1).tolist()
        assert found.sum(axis=1) == pytest.approx(1)
    assert Temperature(temperature=1).apply(rows) == pytest.approx(rows)
    # sqrt(0.64) : sqrt(0.36) = 8 : 6
    assert Temperature(temperature=2).apply([[0.64, 0.36]])[0] == pytest.approx([4 / 7, 3 / 7])


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1e-320, [0.0, 0.5, 0.5]), (1e-3, [0.0, 0.5, 0.5]), (1e308, [1 / 3] * 3)],
)
def test_extreme_temperatures_choose_or_level(
    temperature: float, expected: list[float]
) -> None:
    found = Temperature(temperature=temperature).apply([[0.2, 0.4, 0.4]])
    assert found[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("slope", "shift", "row", "expected"),
    [
        # Far below 0 the curve is exp(x + b): the odds 3/7 and 7/3, that is 9 to 49.
        (1.0, -1000.0, [0.3, 0.7], [9 / 58, 49 / 58]),
        (1e5, -1e5, [0.3, 0.7], [0.0, 1.0]),  # exp(-184 730) to exp(-15 270)
        (0.0, -1e300, [0.3, 0.7], [0.5, 0.5]),
        (1e308, 0.0, [0.01, 0.99], [0.0, 1.0]),  # 0 to 1, past the range of float64
    ],
)
def test_platt_bears_curves_near_zero(
    slope: float, shift: float, row: list[float], expected: list[float]
) -> None:
    fit = Platt(slopes=(slope, slope), intercepts=(shift, shift), labels=("a", "b"))
    assert fit.apply([row])[0] == pytest.approx(expected)


def test_platt_labels_that_are_all_ruled_out_share_equally() -> None:
    # 1e308 times the log-odds of 0.01 and minus those of 0.99: both are -4.6e308, no float64
    fit = Platt(slopes=(1e308, -1e308), intercepts=(0.0, 0.0), labels=("a", "b"))
    assert fit.apply([[0.01, 0.99]])[0].tolist() == [0.5, 0.5]


def distorted(true: Rows) -> Rows:
    """Log-odds of the second of two labels turned and shifted: 2 x + 1."""
    odds = 2 * (np.log(true[:, 1]) - np.log(true[:, 0])) + 1
    second = 1 / (1 + np.exp(-odds))
    found: Rows = np.stack([1 - second, second], axis=1)
    return found


def test_platt_undoes_a_turn_and_a_shift() -> None:
    pytest.importorskip("sklearn")
    true, truth = world(3, 20_000, n_labels=2)
    reported = distorted(true)
    fit = calibration.fit_platt(reported, truth, ("no", "yes"))
    # x' = 2 x + 1, so x = x' / 2 - 1 / 2; for the first label with the sign turned
    assert fit.slopes == pytest.approx((0.5, 0.5), abs=0.03)
    assert fit.intercepts == pytest.approx((0.5, -0.5), abs=0.06)
    assert fit.apply(reported) == pytest.approx(true, abs=0.02)
    assert error(fit.apply(reported), truth) < 3 * noise(true) + 0.005
    assert error(reported, truth) > 0.05


def test_platt_is_where_the_gradient_vanishes() -> None:
    pytest.importorskip("sklearn")
    true, truth = world(4, 200)
    reported = softmax(np.log(true) * 2)
    fit = calibration.fit_platt(reported, truth, LABELS)
    for k in range(3):
        x = np.log(reported[:, k] / (1 - reported[:, k]))
        n = int((truth == k).sum())
        target = np.where(truth == k, (n + 1) / (n + 2), 1 / (200 - n + 2))
        rest = target - 1 / (1 + np.exp(-(fit.slopes[k] * x + fit.intercepts[k])))
        assert rest.sum() == pytest.approx(0, abs=1e-3)
        assert (rest * x).sum() == pytest.approx(0, abs=1e-3)


def test_isotonic_undoes_any_rising_distortion() -> None:
    oracle = pytest.importorskip("sklearn.isotonic")
    true, truth = world(5, 20_000, n_labels=2)
    second = true[:, 1] ** 3
    reported = np.stack([1 - second, second], axis=1)
    fit = calibration.fit_isotonic(reported, truth, ("no", "yes"))
    found = fit.apply(reported)
    assert error(reported, truth) > 0.1
    # learnt by heart on these examples, so measured on others
    fresh, drawn = world(6, 20_000, n_labels=2)
    cubed = np.stack([1 - fresh[:, 1] ** 3, fresh[:, 1] ** 3], axis=1)
    assert error(fit.apply(cubed), drawn) < 3 * noise(fresh) + 0.01
    own = oracle.IsotonicRegression(out_of_bounds="clip").fit(second, truth == 1)
    # with two labels the one curve mirrors the other, and nothing is left to normalize
    assert found[:, 1] == pytest.approx(own.predict(second), abs=1e-9)


def test_an_isotonic_map_is_piecewise_linear() -> None:
    fit = Isotonic(
        labels=("a", "b"),
        knots=((0.2, 0.6), (0.0, 1.0)),
        values=((0.0, 0.5), (0.5, 0.5)),
    )
    # a: 0 below 0.2, then rising by 1.25 a unit to 0.5; b: 0.5 everywhere
    assert fit.apply([[0.1, 0.9]])[0] == pytest.approx([0.0, 1.0])
    assert fit.apply([[0.4, 0.6]])[0] == pytest.approx([0.25 / 0.75, 0.5 / 0.75])
    assert fit.apply([[0.9, 0.1]])[0] == pytest.approx([0.5, 0.5])
    nothing = Isotonic(labels=("a", "b"), knots=((0.5,), (0.5,)), values=((0.0,), (0.0,)))
    assert nothing.apply([[0.9, 0.1]])[0] == pytest.approx([0.5, 0.5])


def test_a_fit_looks_better_on_its_own_examples_than_it_is() -> None:
    """Labels drawn by lot: nothing can be learnt, and held-out numbers say so."""
    pytest.importorskip("sklearn")
    random = np.random.default_rng(8)
    rows, truth = softmax(random.normal(0, 2, (150, 3))), random.integers(0, 3, 150)
    own = calibration.fit_isotonic(rows, truth, LABELS).apply(rows)
    apart = calibration.held_out("isotonic", rows, truth, LABELS)
    # no forecast of three equally likely labels does better than log 3 but by chance
    assert calibration.log_loss(own, truth) < math.log(3) < calibration.log_loss(apart, truth)


def test_no_example_is_judged_by_a_fit_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([[i / 100, 1 - i / 100] for i in range(1, 24)])
    truth = np.array([i % 3 == 0 for i in range(23)]).astype(np.int64)
    seen: list[set[float]] = []

    def record(given: Any, _truth: Any, labels: Any) -> Temperature:
        seen.append(set(given[:, 0].tolist()))
        return Temperature(temperature=float(len(seen)), labels=labels)

    monkeypatch.setattr(evaluation, "_FITS", {"temperature": record})
    found = calibration.held_out("temperature", rows, truth, ("a", "b"), n_folds=4, seed=3)
    assert len(seen) == 4
    everything = {float(x) for x in rows[:, 0]}
    sizes = []
    for number, fitted in enumerate(seen, 1):
        apart = [i for i in range(23) if float(rows[i, 0]) in everything - fitted]
        sizes.append((len(apart), int(truth[apart].sum())))
        expected = Temperature(temperature=float(number)).apply(rows[apart])
        assert found[apart] == pytest.approx(expected)
    # 23 examples, 8 of them of the second label, in four parts
    assert sum(n for n, _ in sizes) == 23
    assert {n for n, _ in sizes} == {5, 6}
    assert {positive for _, positive in sizes} == {2}


def test_the_seed_decides_the_folds() -> None:
    rows, truth = world(9, 60)
    first, again, other = (
        calibration.held_out("temperature", rows, truth, LABELS, seed=seed)
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_labels_are_checked_when_a_fit_is_applied() -> None:
    fit = Platt(slopes=(1.0, 1.0), intercepts=(0.0, 2.0), labels=("a", "b"))
    assert list(fit.apply_to({"b": 0.5, "a": 0.5})) == ["b", "a"]
    with pytest.raises(CalibrationError, match="'a', 'c'"):
        fit.apply_to({"a": 0.5, "c": 0.5})
    with pytest.raises(CalibrationError, match="3 probabilities"):
        fit.apply([[0.5, 0.25, 0.25]])
    assert Temperature(temperature=1).apply_to({"x": 0.5, "y": 0.5}) == {"x": 0.5, "y": 0.5}


NO_TEXTS: Any = (1, 2)  # what a type checker would refuse
ONE_TEXT: Any = "ab"
NO_TEXT: Any = {"n": 5}
WORD: Any = "2"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Temperature(temperature=0.0), "above 0"),
        (lambda: Temperature(temperature=math.inf), "above 0"),
        (lambda: Platt(slopes=(1.0,), intercepts=(0.0, 0.0), labels=("a", "b")), "slopes"),
        (
            lambda: Platt(slopes=(1.0, 1.0), intercepts=(0.0, math.nan), labels=("a", "b")),
            "intercepts",
        ),
        (lambda: Isotonic(knots=((0.1,),), values=((0.1,),), labels=("a", "b")), "each of 2"),
        (lambda: Isotonic(knots=((0.1, 0.1),), values=((0, 1),), labels=("a",)), "knots"),
        (lambda: Isotonic(knots=((0.1, 0.2),), values=((1, 0),), labels=("a",)), "values"),
        (lambda: Isotonic(knots=((0.1, 0.2),), values=((0, 2),), labels=("a",)), "values"),
        (lambda: Isotonic(knots=((),), values=((),), labels=("a",)), "at least one"),
        (lambda: Temperature(temperature=1, labels=("a", "a")), "different texts"),
        (lambda: Temperature(temperature=1, labels=NO_TEXTS), "different texts"),
        (lambda: Temperature(temperature=1, labels=ONE_TEXT), "different texts"),
        (lambda: Platt(slopes=(1, 1), intercepts=(0, 0), labels=("a", "a")), "different texts"),
        (
            lambda: Isotonic(knots=((0.1,),) * 2, values=((0.1,),) * 2, labels=("a", "a")),
            "different texts",
        ),
        (lambda: Temperature(temperature=1, made_with=NO_TEXT), "only texts"),
        (lambda: Temperature(temperature=WORD), "temperature is '2'"),
        (lambda: Platt(slopes=(1, WORD), intercepts=(0, 0), labels=("a", "b")), "slopes are"),
    ],
)
def test_wrong_parameters_are_refused(make: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        make()


ROWS = [[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"n_folds": "2"}, "n_folds is '2'; expected an int"),
    ({"n_folds": 2.0}, "n_folds is 2.0; expected an int"),
    ({"seed": -1}, "seed is -1; expected an int, at least 0"),
    ({"seed": "x"}, "seed is 'x'"),
    ({"method": ["platt"]}, "method is"),
    ({"labels": None}, "labels are None; expected different texts"),
    ({"labels": 5}, "labels are 5"),
]


def fold(**changed: Any) -> object:
    """Two folds of two examples of each label, with some arguments changed."""
    given = {"method": "temperature", "labels": ("a", "b"), "n_folds": 2, **changed}
    rows = [[0.6, 0.4], [0.3, 0.7]] * 2
    method, labels = given.pop("method"), given.pop("labels")
    return calibration.held_out(method, rows, [0, 1, 0, 1], labels, **given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration.fit_platt(ROWS, [0, 0, 0], ("a", "b")), "no example is 'b'"),
        (lambda: calibration.fit_isotonic(ROWS, [0, 1, 1], ("a",)), "1 labels for 2"),
        (lambda: calibration.fit_temperature(ROWS, [0, 1, 2]), "0 to 1"),
        (lambda: calibration.fit_temperature(ROWS, [0, 1, 1], ["a", "a"]), "different texts"),
        (lambda: calibration.fit_temperature(ROWS, [0, 1, 1], "ab"), "different texts"),
        (lambda: calibration.fit_temperature(ROWS, [0, 1, 1], "abc"), "different texts"),
        (lambda: calibration.fit_temperature(ROWS, [0, 1, 1], [*"abc"]), "3 labels for 2"),
        (lambda: calibration.fit_platt(ROWS, [0, 1, 1], ["a", "a"]), "different texts"),
        (lambda: calibration.fit_isotonic(ROWS, [0, 1, 1], NO_TEXTS), "different texts"),
        (lambda: calibration.fit("magic", ROWS, [0, 1, 1], ("a", "b")), "magic"),  # type: ignore[arg-type]  # the wrong method is the case
        (
            lambda: calibration.held_out("temperature", ROWS, [0, 1, 1], ("a", "b")),
            "1 examples are 'a'; 5 folds",
        ),
        (
            lambda: calibration.held_out("temperature", ROWS, [0, 1, 1], ("a", "b"), n_folds=1),
            "at least 2",
        ),
        *((lambda options=options: fold(**options), message) for options, message in OPTIONS),
    ],
)
def test_wrong_data_is_refused(call: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        call()
