"""The command line: arguments, exit statuses and what goes to which stream; a scripted model.

The runs on the real model are in test_cli_model.py.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

import constrain
from constrain.cli import main
from constrain.cli.arguments import build_parser
from constrain.driver.result import Result, Step, Timings
from constrain.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constrain.grammar.ir import Grammar

ROOT = Path(__file__).resolve().parent.parent

YEAR_SCHEMA = {
    "type": "object",
    "properties": {"year": {"type": "integer"}},
    "required": ["year"],
    "additionalProperties": False,
}


def result_of(text: str, grammar: Grammar | None, *, cancelled: bool = False) -> Result:
    """A result of one token, as the driver would make it."""
    step = Step(
        token_id=7,
        data=text.encode(),
        forced=False,
        logprob=-1.5,
        masked_logprob=-0.5,
        sampling_logprob=-0.5,
        removed_mass=0.25,
        n_allowed=3,
    )
    return Result(
        text=text,
        finish_reason="cancelled" if cancelled else "stop",
        steps=(step,),
        end=None,
        shortened=False,
        prompt_tokens=4,
        n_model_calls=2,
        timings=Timings(total_s=0.5),
        grammar=grammar,
    )


@dataclass
class ScriptedStream:
    """Yields its pieces; an exception among them is raised in its turn."""

    pieces: list[str | BaseException]
    grammar: Grammar | None
    written: list[str] = field(default_factory=list)
    cancelled: bool = False

    def __iter__(self) -> Iterator[str]:
        while self.pieces and not self.cancelled:
            piece = self.pieces.pop(0)
            if isinstance(piece, BaseException):
                raise piece
            self.written.append(piece)
            yield piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        self.cancelled = self.cancelled or bool(self.pieces)

    @property
    def result(self) -> Result:
        return result_of("".join(self.written), self.grammar, cancelled=self.cancelled)


@dataclass
class ScriptedModel:
    """Stands for `constrain.load` and the model it returns; remembers what it was asked."""

    pieces: list[str | BaseException]
    loaded: tuple[Any, dict[str, Any]] | None = None
    prompt: object = None
    grammar: Grammar | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def load(self, path: str | None = None, **options: object) -> Self:
        self.loaded = (path, options)
        return self

    def stream(self, prompt: object, grammar: Grammar, **options: object) -> ScriptedStream:
        self.prompt, self.grammar, self.options = prompt, grammar, options
        return ScriptedStream(self.pieces, grammar)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    scripted = ScriptedModel(["ye", "s"])
    monkeypatch.setattr(constrain, "load", scripted.load)
    return scripted


@pytest.fixture
def schema_file(tmp_path: Path) -> str:
    path = tmp_path / "year.schema.json"
    path.write_text(json.dumps(YEAR_SCHEMA), encoding="utf-8")
    return str(path)


def give_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


CHOICE = ["generate", "--choice", "yes", "--choice", "no"]


def test_the_text_alone_goes_to_standard_output(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CHOICE, "Well?"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "yes\n"
    assert captured.err.splitlines() == [
        "constrain: loading SmolLM2",
        "constrain: reading the prompt",
    ]
    assert model.prompt == "Well?"
    assert model.loaded == (None, {})
    assert model.options == {"sampling": constrain.Sampling()}


@pytest.mark.usefixtures("model")
def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHOICE, "Well?", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_model_options_reach_load(model: ScriptedModel) -> None:
    main([*CHOICE, "Well?", "--model", "m.gguf", "--context", "512", "--threads", "2"])
    assert model.loaded == ("m.gguf", {"n_ctx": 512, "n_threads": 2})


def test_sampling_options_reach_the_model(model: ScriptedModel) -> None:
    words = "--temperature 0.5 --top-k 40 --top-p 0.9 --min-p 0.05 --repeat-penalty 1.1"
    words += " --seed 7 --logit-bias yes=2.5 --logit-bias a=b=-inf --logit-bias-id 42=-1"
    words += " --max-tokens 9"
    assert main([*CHOICE, "Well?", *words.split()]) == 0
    assert model.options == {
        "sampling": constrain.Sampling(
            temperature=0.5,
            top_k=40,
            top_p=0.9,
            min_p=0.05,
            repeat_penalty=1.1,
            seed=7,
            logit_bias={"yes": 2.5, "a=b": -math.inf, 42: -1.0},
        ),
        "max_tokens": 9,
    }


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        (b"Well?\n", "Well?"),
        (b"Well?\r\n", "Well?"),
        (b"Well?\n\n", "Well?\n"),
        ("Öl?".encode(), "Öl?"),
    ],
)
def test_the_prompt_comes_from_standard_input(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, data: bytes, prompt: str
) -> None:
    give_input(monkeypatch, data)
    assert main(CHOICE) == 0
    assert model.prompt == prompt


def test_the_prompt_comes_from_a_file(model: ScriptedModel, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Well?\n", encoding="utf-8")
    assert main([*CHOICE, "--prompt-file", str(path)]) == 0
    assert model.prompt == "Well?"


def test_chat_sends_messages(model: ScriptedModel) -> None:
    assert main([*CHOICE, "Well?", "--chat"]) == 0
    assert model.prompt == [{"role": "user", "content": "Well?"}]
    assert main([*CHOICE, "Well?", "--system", "Be brief."]) == 0
    assert model.prompt == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Well?"},
    ]


def test_a_schema_file_is_the_grammar(model: ScriptedModel, schema_file: str) -> None:
    model.pieces = ['{"year": 1815}']
    words = ["--whitespace", "spaced", "--property-order", "any", "--escapes", "any"]
    assert main(["generate", "--schema", schema_file, *words, "Year?"]) == 0
    assert model.grammar == constrain.json_schema(
        YEAR_SCHEMA, whitespace="spaced", property_order="any", escapes="any"
    )


def test_a_schema_is_written_in_one_layout_unless_told_otherwise(
    model: ScriptedModel, schema_file: str
) -> None:
    model.pieces = ['{"year": 1815}']
    assert main(["generate", "--schema", schema_file, "Year?"]) == 0
    assert model.grammar == constrain.json_schema(YEAR_SCHEMA, whitespace="spaced")


def test_caps_and_wishes_reach_the_grammar(model: ScriptedModel, schema_file: str) -> None:
    model.pieces = ['{"year": 1815}']
    words = ["--max-items", "0", "--max-digits", "4", "--wish", "short-numbers=0.5"]
    words += ["--wish", "compact=-1"]
    assert main(["generate", "--schema", schema_file, *words, "Year?"]) == 0
    wishes = constrain.Wishes(short_numbers=0.5, compact=-1.0)
    assert model.grammar == constrain.json_schema(
        YEAR_SCHEMA, whitespace="spaced", max_items=0, max_digits=4, wishes=wishes
    )


def test_a_python_type_is_found_in_the_current_folder(
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = "from dataclasses import dataclass\n@dataclass\nclass Event:\n    year: int\n"
    (tmp_path / "some_events.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model.pieces = ['{"year": 1815}']
    assert main(["generate", "--type", "some_events:Event", "Year?"]) == 0
    assert capsys.readouterr().out == '{"year": 1815}\n'
    assert model.grammar is not None
    assert model.grammar.target is not None
    assert str(tmp_path) not in sys.path


def test_stream_prints_the_pieces(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CHOICE, "Well?", "--stream"]) == 0
    assert capsys.readouterr().out == "yes\n"
    assert model.pieces == []


@pytest.mark.usefixtures("model")
def test_json_prints_the_whole_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHOICE, "Well?", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {
        "value": "yes",
        "text": "yes",
        "finish_reason": "stop",
        "tokens": [
            {
                "id": 7,
                "text": "yes",
                "forced": False,
                "logprob": -1.5,
                "masked_logprob": -0.5,
                "removed_mass": 0.25,
                "n_allowed": 3,
                "entropy": None,
                "masked_entropy": None,
                "alternatives": [],
            }
        ],
        "prompt_tokens": 4,
        "model_calls": 2,
        "timings": {
            "prompt_s": 0.0,
            "decode_s": 0.0,
            "mask_s": 0.0,
            "sample_s": 0.0,
            "measure_s": 0.0,
            "total_s": 0.5,
        },
    }


def test_json_keeps_every_digit_of_a_value(
    model: ScriptedModel, schema_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = "1" * 400
    model.pieces = [f'{{"year": {digits}}}']
    assert main(["generate", "--schema", schema_file, "--json", "Year?"]) == 0
    assert json.loads(capsys.readouterr().out, parse_int=str)["value"] == {"year": digits}


@pytest.mark.parametrize(
    ("option", "out", "err"),
    [
        (
            "--stream",
            "ye\n",
            "constrain: interrupted: the text above is partial, not a complete value\n",
        ),
        (
            "--json",
            "",
            "constrain: interrupted; partial text, not a complete value:\nye\n",
        ),
    ],
)
def test_ctrl_c_marks_the_text_as_partial(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str], option: str, out: str, err: str
) -> None:
    model.pieces = ["ye", KeyboardInterrupt(), "s"]
    assert main([*CHOICE, "Well?", "--quiet", option]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (out, err)


def test_a_failure_in_the_middle_of_a_stream_is_not_taken_for_the_end(
    model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model.pieces = ["ye", DecodeError("the model failed")]
    assert main([*CHOICE, "Well?", "--stream", "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "ye\n"
    assert captured.err.splitlines() == [
        "constrain: the text above is partial, not a complete value",
        "constrain: the model failed",
    ]


WRONG = {
    "no grammar": (["generate", "Hi"], "one of the arguments --schema --type --regex --choice"),
    "two grammars": (["generate", "--regex", "a", "--choice", "b", "Hi"], "not allowed with"),
    "no command": ([], "required: COMMAND"),
    "unknown command": (["guess"], "invalid choice: 'guess'"),
    "abbreviation": ([*CHOICE, "Hi", "--temp", "1"], "unrecognized arguments: --temp"),
    "temperature": ([*CHOICE, "Hi", "--temperature", "hot"], "'hot' is not a finite number"),
    "infinity": ([*CHOICE, "Hi", "--top-p", "inf"], "'inf' is not a finite number"),
    "seed": ([*CHOICE, "Hi", "--seed", "-1"], "'-1' is not a whole number"),
    "no threads": ([*CHOICE, "Hi", "--threads", "0"], "must be 1 or more"),
    "bias": ([*CHOICE, "Hi", "--logit-bias", "yes"], "'yes' is not TEXT=VALUE"),
    "bias id": ([*CHOICE, "Hi", "--logit-bias-id", "yes=1"], "'yes' is not a whole number"),
    "wish": ([*CHOICE, "Hi", "--wish", "short=1"], "'short=1' is not NAME=NATS"),
    "wish value": ([*CHOICE, "Hi", "--wish", "compact=very"], "'very' is not a finite"),
    "bias value": ([*CHOICE, "Hi", "--logit-bias", "yes=much"], "'much' is not a finite"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_wrong_usage_exits_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]


FAILING = {
    "stream and json": ([*CHOICE, "Hi", "--stream", "--json"], "choose one"),
    "two prompts": ([*CHOICE, "Hi", "--prompt-file", "x"], "choose one"),
    "no prompt file": ([*CHOICE, "--prompt-file", "absent.txt"], "absent.txt: No such file"),
    "no schema file": (["generate", "--schema", "absent.json", "Hi"], "absent.json: No such"),
    "type without colon": (["generate", "--type", "json", "Hi"], "expected module:Name"),
    "relative module": (["generate", "--type", ".a:B", "Hi"], "expected module:Name"),
    "no module": (["generate", "--type", "absent_module:A", "Hi"], "No module named"),
    "no name": (["generate", "--type", "json:Absent", "Hi"], "has no attribute 'Absent'"),
    "regex": (["generate", "--regex", "(a", "Hi"], "(a"),
    "negative temperature": ([*CHOICE, "Hi", "--temperature", "-1"], "temperature"),
    "cap without JSON": ([*CHOICE, "Hi", "--max-items", "2"], "are for JSON text"),
    "wish without JSON": (["generate", "--regex", "a", "--wish", "compact=1"], "are for JSON"),
    "wish out of range": ([*CHOICE, "Hi", "--wish", "compact=1e9"], "compact must be from"),
    "digits out of range": ([*CHOICE, "Hi", "--max-digits", "1001"], "max_digits must be"),
    "top_p above 1": ([*CHOICE, "Hi", "--top-p", "1.5"], "top_p"),
}


@pytest.mark.parametrize(("words", "message"), FAILING.values(), ids=FAILING)
def test_wrong_input_is_one_line_and_loads_no_model(
    model: ScriptedModel, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("constrain: ")
    assert message in line
    assert model.loaded is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (b'{"type": ', "JSON"),
        (b"\xff\xfe{}", "byte 0 (0xFF) is not UTF-8"),
        (b'{"type": "nothing"}', "'type' at #"),
        (b'{"properties": {"a": {"minimum": "x"}}}', "'minimum' at #/properties/a"),
        (b'{"type": "integer", "minimum": 2, "maximum": 1}', "#"),
    ],
    ids=["cut JSON", "UTF-16", "type", "keyword", "unsatisfiable"],
)
def test_a_wrong_schema_is_named_with_its_place(
    model: ScriptedModel,
    tmp_path: Path,
    schema: bytes,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "wrong.json"
    path.write_bytes(schema)
    assert main(["generate", "--schema", str(path), "Hi"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"constrain: {path}: ")
    assert message in line
    assert model.loaded is None


@pytest.mark.parametrize("command", ["generate", "check", "classify", "calibrate", "models"])
def test_the_examples_of_the_help_parse(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2].splitlines()
    lines = [re.sub(r"^.*\| *| *>.*$", "", line).strip() for line in examples]
    assert len(lines) >= 2
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "constrain"
        assert build_parser().parse_args(words).command == command


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        installed = importlib.metadata.version(project["name"])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package runs from its source tree, without metadata")
    assert installed == project["version"]
    assert capsys.readouterr().out == f"constrain {installed}\n"
