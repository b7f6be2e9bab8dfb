"""Verdicts on published schemas: the official test suite and MaskBench's development part.

Both lie beside the repository (`../shared`); without them these tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from constrain.errors import (
    SchemaError,
    TokenRejectedError,
    UnsatisfiableSchemaError,
    UnsupportedSchemaError,
)
from constrain.grammar.ir import Grammar
from constrain.schema import json_schema
from tests.oracle.json_text import accepts

SHARED = Path(__file__).resolve().parents[2] / "shared"
SUITE = SHARED / "data" / "json-schema-test-suite" / "tests"
MASKBENCH = SHARED / "data" / "maskbench"
DIALECTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
# `json_schema` asserts formats; these files want them to be annotations, or want
# `contentEncoding` to be an assertion.
OTHER_MEANING = {"format.json", "content.json", "vocabulary.json"}
# Valid, but outside the declared text form: integral numbers written as 1.0 or 1e308, and
# host names that the formats leave out (A-labels, long labels beyond ASCII).
OTHER_FORM = {
    "const.json",
    "enum.json",
    "type.json",
    "optional/float-overflow.json",
    "optional/format/hostname.json",
    "optional/format/idn-hostname.json",
}


def suite_groups(draft: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """File and group of each group of a draft."""
    folder = SUITE / draft
    if not folder.is_dir():
        pytest.skip("the JSON Schema test suite is not beside the repository")
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        if path.name not in OTHER_MEANING:
            for group in json.loads(path.read_text(encoding="utf-8")):
                yield name, group


def compiled(schema: Any) -> Grammar | None:
    """The grammar, or None if nothing is valid."""
    try:
        return json_schema(schema, whitespace="flexible", property_order="any", escapes="any")
    except UnsatisfiableSchemaError:
        return None


@pytest.mark.parametrize("draft", DIALECTS)
def test_no_verdict_on_the_official_suite_is_wrong(draft: str) -> None:
    n_groups = n_unsupported = n_cases = 0
    unresolved = set()
    for name, group in suite_groups(draft):
        schema = group["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": DIALECTS[draft], **schema}
        n_groups += 1
        try:
            grammar = compiled(schema)
        except UnsupportedSchemaError:
            n_unsupported += 1
            continue
        except SchemaError as error:
            unresolved.add((name, error.keyword))
            continue
        for case in group["tests"]:
            text = json.dumps(case["data"])
            accepted = grammar is not None and accepts(grammar, text)
            if accepted != case["valid"]:
                assert case["valid"], (name, group["description"], case["description"])
                assert name in OTHER_FORM, (name, group["description"], case["description"])
            n_cases += 1
    # Other documents and metaschemas are not given here.
    assert {keyword for _, keyword in unresolved} <= {"$ref"}
    assert {name for name, _ in unresolved} <= {
        "defs.json",
        "definitions.json",
        "dynamicRef.json",
        "ref.json",
        "refRemote.json",
        "optional/cross-draft.json",
    }
    assert n_cases > 1_300
    assert n_unsupported < 0.35 * n_groups


def maskbench(every: int) -> Iterator[dict[str, Any]]:
    """Every so-many-th schema of the development list, with its instances."""
    names = SHARED / "bench" / "lists" / "dev400.txt"
    if not names.is_file():
        pytest.skip("MaskBench's development part is not beside the repository")
    for name in names.read_text(encoding="utf-8").split()[::every]:
        yield json.loads((MASKBENCH / name).read_text(encoding="utf-8"))


def verdicts(
    every: int, is_accepted: Callable[[Grammar, str], bool], longest: float
) -> tuple[int, int]:
    """Counts of schemas that compile and of instances judged; fails at a wrong verdict."""
    n_schemas = n_instances = 0
    for entry in maskbench(every):
        try:
            grammar = compiled(json.dumps(entry["schema"]))
        except UnsupportedSchemaError:
            continue
        n_schemas += 1
        for instance in entry["tests"]:
            text = json.dumps(instance["data"], ensure_ascii=False)
            if len(text) > longest:
                continue
            accepted = grammar is not None and is_accepted(grammar, text)
            assert accepted == instance["valid"], (entry["schema"], text)
            n_instances += 1
    return n_schemas, n_instances


def test_no_verdict_of_the_oracle_on_maskbench_is_wrong() -> None:
    n_schemas, n_instances = verdicts(8, accepts, 1_000)
    assert n_schemas > 40
    assert n_instances > 100


def test_no_verdict_of_the_kernel_on_maskbench_is_wrong() -> None:
    automaton = pytest.importorskip("constrain.automaton", reason="needs the built kernel")

    def is_accepted(grammar: Grammar, text: str) -> bool:
        try:
            automaton.check(grammar, text)
        except TokenRejectedError:
            return False
        return True

    n_schemas, n_instances = verdicts(1, is_accepted, float("inf"))
    assert n_schemas > 340
    assert n_instances > 1_000
