"""What the README says is true: its commands, its code, its table of keywords, its paths."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import jsonschema
import pytest

import constrain

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PERSON = ROOT / "examples" / "person.schema.json"


def blocks(language: str) -> list[str]:
    """The contents of the README's fenced blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


PYTHON = blocks("python")
WITHOUT_MODEL = [code for code in PYTHON if not re.search(r"\bmodel\.|constrain\.load", code)]


def run_blocks(codes: Iterable[str]) -> None:
    """Run blocks one after the other, as one program."""
    program = ModuleType("readme_program")
    program.__dict__["constrain"] = constrain
    with pytest.MonkeyPatch.context() as patch:
        # Where pydantic looks up the names of a model's annotations.
        patch.setitem(sys.modules, program.__name__, program)
        for code in codes:
            exec(compile(code, "README.md", "exec"), program.__dict__)  # noqa: S102 - our own text


def test_every_fence_of_code_is_one_that_is_run() -> None:
    # A fence with more than its language on the line is no block here, and none on a page.
    assert README.count("```python") == len(PYTHON)
    assert README.count("```sh") == len(blocks("sh"))


def test_the_first_two_commands_are_one_line_each() -> None:
    run, test = blocks("sh")[:2]
    for command in (run, test):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert "constrain generate" in run
    assert "pytest" in test


def test_the_blocks_without_a_model_print_what_they_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = re.findall(r"^ *print\(.*\)  # (.*)$", "".join(WITHOUT_MODEL), flags=re.MULTILINE)
    assert len(said) == 8
    run_blocks(WITHOUT_MODEL)
    assert capsys.readouterr().out.splitlines() == said


@pytest.mark.model
def test_all_blocks_run_on_the_real_model() -> None:
    assert len(PYTHON) > len(WITHOUT_MODEL)
    run_blocks(PYTHON)


@pytest.mark.model
def test_the_first_command_prints_a_valid_object() -> None:
    command = shlex.split(blocks("sh")[0].rpartition("&&")[2])
    assert command[0] == ".venv/bin/constrain"
    done = subprocess.run(
        [sys.executable, "-m", "constrain", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads(done.stdout), json.loads(PERSON.read_text("utf-8")))


# A schema in which the keyword changes what is valid.
BINDING = {
    "type": {"type": "string"},
    "enum": {"enum": [1, "a"]},
    "const": {"const": 1},
    "properties": {"properties": {"a": {"type": "null"}}},
    "required": {"required": ["a"]},
    "additionalProperties": {"additionalProperties": {"type": "null"}},
    "minProperties": {"minProperties": 1},
    "maxProperties": {"maxProperties": 1},
    "items": {"items": {"type": "null"}},
    "prefixItems": {"prefixItems": [{"type": "null"}]},
    "additionalItems": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{}],
        "additionalItems": {"type": "null"},
    },
    "minItems": {"minItems": 1},
    "maxItems": {"maxItems": 1},
    "minLength": {"minLength": 1},
    "maxLength": {"maxLength": 1},
    "pattern": {"pattern": "^a"},
    "format": {"format": "date"},
    "minimum": {"minimum": 1},
    "maximum": {"maximum": 1},
    "exclusiveMinimum": {"exclusiveMinimum": 1},
    "exclusiveMaximum": {"exclusiveMaximum": 1},
    "multipleOf": {"multipleOf": 3, "type": "integer"},
    "anyOf": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    "$ref": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}},
    "$anchor": {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "type": "null"}}},
    "$dynamicRef": {"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}},
    "$recursiveRef": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "items": {"$recursiveRef": "#"},
    },
    "$defs": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}},
    "definitions": {"$ref": "#/definitions/a", "definitions": {"a": {"type": "null"}}},
    "allOf": {"allOf": [{"minimum": 1}, {"maximum": 2}]},
    "oneOf": {"oneOf": [{"minimum": 1}, {"maximum": 2}]},
    "not": {"not": {"type": "null"}},
    "if": {"if": {"type": "null"}, "then": False},
    "then": {"if": {"type": "null"}, "then": False},
    "else": {"if": {"type": "null"}, "else": False},
    "patternProperties": {"patternProperties": {"^a": {"type": "null"}}},
    "propertyNames": {"propertyNames": {"maxLength": 1}},
    "dependencies": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "dependencies": {"a": ["b"]},
    },
    "dependentRequired": {"dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {"dependentSchemas": {"a": {"maxProperties": 1}}},
    "contains": {"contains": {"type": "null"}},
    "minContains": {"contains": {"type": "null"}, "minContains": 2},
    "maxContains": {"contains": {"type": "null"}, "maxContains": 2},
    "uniqueItems": {"uniqueItems": True},
    "unevaluatedItems": {"unevaluatedItems": False},
    "unevaluatedProperties": {"unevaluatedProperties": False},
    "title": {"title": "A"},
    "description": {"description": "A"},
    "default": {"default": 1},
    "examples": {"examples": [1]},
}


def keyword_rows() -> list[tuple[str, str]]:
    """(keyword, support) for each keyword of the README's table that is tried below."""
    table = README.partition("| keyword | support |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    found = [(word, row[1]) for row in rows for word in re.findall(r"`([^`]+)`", row[0])]
    return [(word, support) for word, support in found if word in BINDING]


ROWS = keyword_rows()


def test_the_keywords_tried_are_in_the_table() -> None:
    parts_of_references = {"$anchor", "$defs", "definitions"}
    assert {word for word, _ in ROWS} == BINDING.keys() - parts_of_references


@pytest.mark.parametrize(("keyword", "support"), ROWS, ids=[word for word, _ in ROWS])
def test_a_keyword_is_supported_as_the_table_says(keyword: str, support: str) -> None:
    schema = BINDING[keyword]
    if support.startswith("error"):
        with pytest.raises(constrain.UnsupportedSchemaError) as caught:
            constrain.json_schema(schema)
        assert caught.value.keyword == keyword
        assert caught.value.pointer.startswith("#")
    else:
        assert constrain.json_schema(schema).notes == ()


SEVEN = {f"^{letter}": {"const": letter} for letter in "abcdefg"}
SIX = {f"^{letter}": {"const": letter} for letter in "abcdef"}


@pytest.mark.parametrize(
    ("supported", "error"),
    [
        ({"pattern": "^(a|b)$"}, {"pattern": r"^(a|b)\1$"}),
        ({"multipleOf": 2**63 - 1}, {"multipleOf": 2**63 + 1}),
        ({"patternProperties": SIX}, {"patternProperties": SEVEN}),
        ({"patternProperties": {"(a|b)": False}}, {"patternProperties": {r"(a|b)\1": False}}),
        ({"not": {"uniqueItems": False, "type": "null"}}, {"not": {"uniqueItems": True}}),
    ],
)
def test_support_ends_where_the_table_says(
    supported: dict[str, object], error: dict[str, object]
) -> None:
    assert constrain.json_schema(supported).notes == ()
    with pytest.raises(constrain.UnsupportedSchemaError):
        constrain.json_schema(error)


def named_formats(beginning: str) -> list[str]:
    sentence = re.search(rf"{beginning}: (.*?)\. ", README, flags=re.MULTILINE)
    assert sentence is not None
    return re.findall(r"`([a-z0-9-]+)`", sentence[1])


EXACT_FORMATS = named_formats("Every format of the standard is asserted. Exact")
PARTIAL_FORMATS = re.findall(
    r"^\| `([a-z-]+)` \|",
    README.partition("| format | left out |")[2].partition("\n\n")[0],
    flags=re.MULTILINE,
)


@pytest.mark.parametrize("name", [*EXACT_FORMATS, *PARTIAL_FORMATS, "int32", "int64"])
def test_an_asserted_format_refuses_a_wrong_value(name: str) -> None:
    wrong = {"int32": str(2**31), "int64": str(2**63), "regex": '"("'}.get(name, '"%"')
    kind = "integer" if name.startswith("int") else "string"
    grammar = constrain.json_schema({"type": kind, "format": name})
    assert bool(grammar.notes) == (name in PARTIAL_FORMATS)
    with pytest.raises(constrain.TokenRejectedError):
        constrain.check(grammar, wrong)


def test_every_path_it_names_exists() -> None:
    named = set(re.findall(r"`((?:constrain|tests|examples|\.ci)/[\w./-]*)`", README))
    assert "constrain/limits.py" in named
    missing = [path for path in sorted(named) if not (ROOT / path).exists()]
    assert not missing
