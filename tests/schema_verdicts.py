"""What a schema's grammar says of JSON values, beside what `jsonschema` says."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from constrain.errors import UnsatisfiableSchemaError
from constrain.grammar.ir import Grammar
from constrain.schema import json_schema
from tests.oracle.json_text import accepts


def grammar_of(schema: Any) -> Grammar | None:
    """The schema's grammar with any white space and key order; None if nothing is valid."""
    try:
        return json_schema(schema, whitespace="flexible", property_order="any")
    except UnsatisfiableSchemaError:
        return None


def is_accepted(grammar: Grammar | None, value: Any) -> bool:
    """Whether the grammar has the value's usual JSON text."""
    return grammar is not None and accepts(grammar, json.dumps(value, ensure_ascii=False))


def check_both_sides(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    """Assert that grammar and `jsonschema` accept and refuse exactly as stated."""
    validator = validator_for(schema, default=Draft202012Validator)(schema)
    grammar = grammar_of(schema)
    for values, expected in ((valid, True), (invalid, False)):
        for value in values:
            assert validator.is_valid(value) == expected, ("jsonschema", value)
            assert is_accepted(grammar, value) == expected, value
