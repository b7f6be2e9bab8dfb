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
    TokenRejectedError,
    UnsatisfiableSchemaError,
    UnsupportedSchemaError,
)
from constrain.grammar.ir import Grammar
from constrain.schema import json_schema
from tests import suite_verdicts as suite
from tests.oracle.json_text import accepts

SHARED = Path(__file__).resolve().parents[2] / "shared"
MASKBENCH = SHARED / "data" / "maskbench"


def compiled(schema: Any) -> Grammar | None:
    """The grammar, or None if nothing is valid."""
    try:
        return json_schema(schema, whitespace="flexible", property_order="any", escapes="any")
    except UnsatisfiableSchemaError:
        return None


@pytest.mark.parametrize("draft", suite.DRAFTS)
def test_the_oracle_and_the_kernel_agree_on_the_official_suite(draft: str) -> None:
    if not suite.is_here():
        pytest.skip("the JSON Schema test suite is not beside the repository")
    n_cases = 0
    for name, group in suite.groups(draft):
        if "format" in name:  # the oracle is slow on their expressions
            continue
        judge = suite.Judge(group["schema"], draft)
        for case in group["tests"]:
            accepted = judge.accepts(case["data"])
            by_oracle = judge.grammar is not None and accepts(
                judge.grammar, json.dumps(case["data"])
            )
            assert accepted == by_oracle, (name, group["description"], case["description"])
            n_cases += 1
    assert n_cases > 900


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
