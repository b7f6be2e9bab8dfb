"""`constrain check`: exit statuses, and the place of the first byte that cannot stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from constrain.cli import main
from tests.test_cli import YEAR_SCHEMA, give_input


@pytest.fixture
def schema_file(tmp_path: Path) -> str:
    path = tmp_path / "year.schema.json"
    path.write_text(json.dumps(YEAR_SCHEMA), encoding="utf-8")
    return str(path)


MATCHING = [
    b'{"year":1815}',
    b'{"year": 1815}\n',
    b'\n{\t"year" : -3 }\r\n',
    b'{"\\u0079ear": 0}',
]


@pytest.mark.parametrize("text", MATCHING)
def test_check_accepts_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
    schema_file: str,
    text: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    give_input(monkeypatch, text)
    assert main(["check", "--schema", schema_file]) == 0
    assert capsys.readouterr() == ("", "")


DIFFERING = {
    # text -> line, column, byte of the first byte that cannot stand, counted by hand
    '{"year": "x"}': (1, 10, 9),
    '{\n  "yeär": 1}': (2, 6, 7),
    '{"year": 1815': (1, 14, 13),
    '{"year": 1} {': (1, 13, 12),
    "": (1, 1, 0),
}


@pytest.mark.parametrize(("text", "place"), DIFFERING.items(), ids=DIFFERING)
def test_check_names_the_first_wrong_byte(
    tmp_path: Path,
    schema_file: str,
    text: str,
    place: tuple[int, int, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(text.encode())
    line, column, byte = place
    assert main(["check", "--schema", schema_file, str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"constrain: {path}:{line}:{column}: byte {byte}: ")
    assert "expected" in captured.err
    assert len(captured.err.splitlines()) == 1


def test_check_can_ask_for_the_generated_form(
    monkeypatch: pytest.MonkeyPatch, schema_file: str
) -> None:
    give_input(monkeypatch, b'{"year": 1815}')
    assert main(["check", "--schema", schema_file, "--whitespace", "compact"]) == 1


def test_check_of_an_absent_file_is_wrong_input(
    schema_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--schema", schema_file, "absent.json"]) == 2
    assert capsys.readouterr().err == "constrain: absent.json: No such file or directory\n"
