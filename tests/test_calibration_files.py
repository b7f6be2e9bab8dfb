"""Calibrations in files, pictures of them, and what happens without the optional packages."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrain import calibration
from constrain.calibration import (
    Bin,
    Calibration,
    Isotonic,
    Platt,
    ReliabilityTable,
    Temperature,
)
from constrain.errors import CalibrationError

if TYPE_CHECKING:
    from pathlib import Path

TABLE = ReliabilityTable((Bin(0.4, 0.5, 10, 0.45, 0.2), Bin(0.8, 0.9, 30, 0.85, 0.7)))

numbers = st.floats(-1e9, 1e9)
names = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2)
curve = st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True).map(
    lambda values: tuple(sorted(values))
)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    pair = draw(names.filter(lambda labels: len(set(labels)) == 2))
    common: dict[str, Any] = {
        "labels": tuple(pair),
        "made_with": draw(st.dictionaries(st.text("abc"), st.text("xyz"), max_size=2)),
    }
    curves = (draw(curve), draw(curve))
    return draw(
        st.sampled_from(
            [
                Temperature(temperature=draw(st.floats(1e-9, 1e9)), **common),
                Platt(
                    slopes=(draw(numbers), draw(numbers)),
                    intercepts=(draw(numbers), draw(numbers)),
                    **common,
                ),
                Isotonic(knots=curves, values=curves, **common),
            ]
        )
    )


@settings(max_examples=60, deadline=None)
@given(calibrations())
def test_what_is_saved_is_what_is_loaded(made: Calibration) -> None:
    read = calibration.from_json(calibration.to_json(made))
    assert read == made
    assert type(read) is type(made)
    assert read.made_with == made.made_with


def test_files_are_versioned_json(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    made = Temperature(temperature=1.5, labels=("gut", "übel"), made_with={"chat": "yes"})
    calibration.save(made, path)
    assert json.loads(path.read_text("utf-8")) == {
        "format": "constrain calibration",
        "version": 1,
        "method": "temperature",
        "labels": ["gut", "übel"],
        "made_with": {"chat": "yes"},
        "temperature": 1.5,
    }
    assert calibration.load(path) == made


GOOD = json.loads(calibration.to_json(Temperature(temperature=2.0, labels=("a", "b"))))
CURVES = {"method": "isotonic", "knots": [[0.0], [0.0]], "values": [[0.5], [0.5]]}


def changed(**changes: object) -> str:
    document = {**GOOD, **changes}
    return json.dumps({key: value for key, value in document.items() if value != "absent"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no calibration"),
        (changed(format="other"), "no calibration"),
        (changed(version=2), "version is 2; this version of constrain reads 1"),
        (changed(version=True), "version is True"),
        (changed(method="magic"), "method is 'magic'"),
        (changed(method=["platt"]), "method is"),
        (changed(temperature="absent"), "'temperature' is missing or unknown"),
        (changed(slope=1), "'slope' is missing or unknown"),
        (changed(temperature="2"), "temperature is '2'; expected a number"),
        (changed(temperature=True), "temperature is True"),
        (changed(temperature=0), "above 0"),
        (changed(temperature=10**400), "expected a number"),
        (changed(temperature=float("nan")), "above 0"),
        (changed(labels="ab"), "labels is 'ab'; expected an array"),
        (changed(labels=["a", "a"]), "different texts"),
        (changed(labels=["a", 5]), "different texts"),
        (changed(made_with={"a": 1}), "expected an object of texts"),
        (changed(temperature="absent", **{**CURVES, "knots": [[0.0], 5]}), "expected an array"),
        (changed(temperature="absent", **{**CURVES, "values": [[2], [0]]}), "rising numbers"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=message) as caught:
        calibration.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CalibrationError, match="byte 0 is not UTF-8"):
        calibration.load(path)


def test_a_diagram_shows_the_table(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.patches import Rectangle

    figure = calibration.reliability_diagram({"before": TABLE, "after": TABLE}, title="T")
    upper, lower = figure.axes
    drawn = [np.asarray(line.get_xydata()).tolist() for line in upper.lines]
    assert drawn.count([[0.45, 0.2], [0.85, 0.7]]) == 2
    heights = [patch.get_height() for patch in lower.patches if isinstance(patch, Rectangle)]
    assert heights == [10, 30, 10, 30]
    assert upper.get_title() == "T"
    for name in ("a.png", "a.svg"):
        figure.savefig(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_diagram_shows_names_and_title_as_they_are(tmp_path: Path) -> None:
    """No formula between two `$`, no name left out, no control character."""
    pytest.importorskip("matplotlib")
    names = ["_hidden", "$\\foo$", "a\x1b"]
    title = "cost_$\\x$.jsonl"
    figure = calibration.reliability_diagram(dict.fromkeys(names, TABLE), title=title)
    for name in ("a.png", "a.svg"):
        figure.savefig(tmp_path / name)  # matplotlib reads formulas when it draws
    (legend,) = figure.legends
    shown = [text.get_text().partition(" (error")[0] for text in legend.get_texts()]
    assert shown == ["honest", "_hidden", "$\\foo$", "a\\x1b"]
    assert figure.axes[0].get_title() == title


@pytest.mark.parametrize("n", [0, 5])
def test_a_diagram_shows_one_to_four_tables(n: int) -> None:
    with pytest.raises(CalibrationError, match=f"{n} tables"):
        calibration.reliability_diagram({str(i): TABLE for i in range(n)})


def test_without_the_packages_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    rows, truth = [[0.6, 0.4], [0.3, 0.7]], [0, 1]
    for fit in (calibration.fit_platt, calibration.fit_isotonic):
        with pytest.raises(CalibrationError, match=r"constrain-decoding\[calibration\]"):
            fit(rows, truth, ("a", "b"))
    with pytest.raises(CalibrationError, match=r"constrain-decoding\[plots\]"):
        calibration.reliability_diagram({"a": TABLE})
    assert calibration.fit_temperature(rows, truth).temperature > 0


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, constrain.calibration; "
        "print([m for m in ('sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
