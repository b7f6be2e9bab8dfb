"""The command line on the real SmolLM2, as processes of their own: output, errors, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.model

COMMAND = [sys.executable, "-m", "constrain"]
EVENT = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 30},
        "year": {"type": "integer", "minimum": 1000, "maximum": 2100},
    },
    "required": ["title", "year"],
    "additionalProperties": False,
}


def constrain_command(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def schema_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("schemas") / "event.schema.json"
    path.write_text(json.dumps(EVENT), encoding="utf-8")
    return str(path)


def test_generate_prints_one_valid_value_and_check_accepts_it(schema_file: str) -> None:
    prompt = "The first computer program was published in 1843. As JSON: "
    done = constrain_command("generate", "--schema", schema_file, "--seed", "3", stdin=prompt)
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads(done.stdout), EVENT)
    assert all(line.startswith("constrain: ") for line in done.stderr.splitlines())
    checked = constrain_command("check", "--schema", schema_file, stdin=done.stdout)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_json_holds_the_whole_result(schema_file: str) -> None:
    words = ["--schema", schema_file, "--json", "--chat", "--quiet", "--max-tokens", "60"]
    done = constrain_command("generate", *words, "Name an event of the 19th century.")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert json.loads(result["text"]) == result["value"]
    assert result["finish_reason"] == "stop"
    assert len(result["tokens"]) <= 60
    assert "".join(token["text"] for token in result["tokens"]) == result["text"]
    assert result["model_calls"] > 0
    assert result["timings"]["total_s"] > 0


def test_the_same_seed_gives_the_same_text() -> None:
    words = ["generate", "--regex", "[a-z ]{20}", "--seed", "5", "--temperature", "1", "A b c"]
    first, second = constrain_command(*words), constrain_command(*words)
    assert first.stdout == second.stdout
    assert len(first.stdout) == 21


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "absent.gguf"], "absent.gguf"),
        (["--model", __file__], "no GGUF file"),
        (["--max-tokens", "1"], "exceeds the limit of 1"),
        (["--context", "32", "word " * 100], "exceeds the limit of"),
    ],
    ids=["no such model", "not a model", "budget", "context"],
)
def test_wrong_input_ends_with_one_clear_line(words: list[str], message: str) -> None:
    prompt = [] if words[-1].startswith("word") else ["Hi"]
    regex = "[a-z]{40}"
    done = constrain_command("generate", "--regex", regex, "--quiet", *words, *prompt)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("constrain: ")
    assert message in line


def test_ctrl_c_while_streaming_ends_cleanly() -> None:
    words = ["--regex", "[a-z ]{3000}", "--max-tokens", "3000", "--stream", "Once upon a time"]
    with subprocess.Popen(
        [*COMMAND, "generate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        begun = process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert len(begun) == 10
    assert len(rest) < 2900
    assert errors.splitlines()[-1] == (
        "constrain: interrupted: the text above is partial, not a complete value"
    )


def test_models_describes_the_default_model() -> None:
    done = constrain_command("models")
    assert done.returncode == 0
    assert "SmolLM2-135M-Instruct" in done.stdout
    assert "context length: 8192 tokens" in done.stdout
    assert "n_vocab:        49152" in done.stdout


def test_models_refuses_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF\x03\x00")
    done = constrain_command("models", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"constrain: {path}: truncated")
