"""`constrain explain`: the report on a schema or type, on standard output."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from constrain.cli import main
from tests.real_vocabularies import real_vocabulary

SCHEMA = {
    "title": "a person",
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}},
    "required": ["name"],
}


def written(path: Path, schema: Any) -> str:
    file = path / "schema.json"
    file.write_text(json.dumps(schema), encoding="utf-8")
    return str(file)


def test_the_report_goes_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", written(tmp_path, SCHEMA)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.startswith('shortest text: {"name": "')
    assert "annotations (they constrain nothing):\n  #: title\n" in output.out
    assert "  #/properties/name: type, minLength\n" in output.out


def test_standard_input_is_read_for_a_dash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"const": [1]}')))
    assert main(["explain", "-"]) == 0
    assert capsys.readouterr().out.startswith("shortest text: [1]\n")


def test_the_report_is_one_json_object_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", written(tmp_path, SCHEMA), "--json", "--whitespace=compact"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads(report["example"]).keys() == {"name"}
    assert {"pointer": "#", "keyword": "required", "treatment": "exact", "reason": ""} in (
        report["keywords"]
    )


def test_types_are_explained_by_their_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--type", "examples.order:Order"]) == 0
    output = capsys.readouterr().out
    assert '"quantity": 1' in output
    assert "  #/properties/note: anyOf\n" in output


def test_what_is_not_supported_is_an_error_that_names_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"items": {"pattern": "(a)\\1"}})
    assert main(["explain", path]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{path}: 'pattern' at #/items: " in output.err


def test_with_relax_it_is_left_out_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"items": {"pattern": "(a)\\1"}})
    assert main(["explain", "--relax", path]) == 0
    assert "  #/items: pattern (a back-reference" in capsys.readouterr().out


def test_one_source_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 2
    assert main(["explain", "schema.json", "--type", "a:B"]) == 2
    assert capsys.readouterr().err.count("one of them") == 2


def test_a_model_counts_the_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = real_vocabulary("smollm2")
    if vocabulary is None:
        pytest.skip("the vocabulary of smollm2 is not on this machine")
    monkeypatch.setattr("constrain.cli.explain.Vocabulary.from_gguf", lambda _: vocabulary)
    assert main(["explain", written(tmp_path, {"const": "no"}), "--model", "m.gguf"]) == 0
    # "no" in quotes is 4 bytes; three tokens at most: a quote, no, a quote.
    second = capsys.readouterr().out.splitlines()[1]
    assert second.strip().startswith("4 bytes, ")
    assert second.split()[2] in {"2", "3"}
