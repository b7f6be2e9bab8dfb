"""`constrain generate` with --fields, --report and --top-logprobs, on a scripted model."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest

import constrain
from constrain.cli import main
from tests.test_cli import CHOICE, ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    scripted = ScriptedModel(["ye", "s"])
    monkeypatch.setattr(constrain, "load", scripted.load)
    return scripted


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_the_table_goes_to_standard_error(
    stream: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CHOICE, "Well?", "--fields", "--quiet", *stream]) == 0
    captured = capsys.readouterr()
    assert captured.out == "yes\n"
    # exp(-0.5): the scripted token's masked log-probability
    assert captured.err.splitlines() == [
        "field  value  confidence  lowest  entropy  else",
        "$      yes        60.7 %  60.7 %",
    ]


@pytest.mark.usefixtures("model")
def test_json_holds_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHOICE, "Well?", "--fields", "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    [field] = json.loads(captured.out)["fields"]
    assert (field["path"], field["text"], field["logprob"]) == ("$", "yes", -0.5)
    assert captured.err == ""


@pytest.mark.usefixtures("model")
def test_a_report_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"
    assert main([*CHOICE, "Well?", "--report", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "yes\n"
    assert captured.err.splitlines()[-1] == f"constrain: wrote {path}"
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert ">yes</a>" in page


def test_the_number_of_alternatives_reaches_the_model(model: ScriptedModel) -> None:
    assert main([*CHOICE, "Well?", "--top-logprobs", "0"]) == 0
    assert model.options == {"sampling": constrain.Sampling(), "top_logprobs": 0}


@pytest.mark.parametrize("place", ["absent/report.html", "."])
def test_a_report_that_cannot_be_written_is_found_out_at_once(
    model: ScriptedModel, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CHOICE, "Well?", "--report", str(tmp_path / place)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--report" in captured.err
    assert model.loaded is None


def test_a_report_that_fails_on_a_full_disk_is_named_and_the_text_is_kept(
    model: ScriptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_text", full)
    report = str(tmp_path / "report.html")
    assert main([*CHOICE, "Well?", "--report", report, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out
    assert captured.err == f"constrain: {report}: No space left on device\n"
    assert model.loaded is not None
