"""The public names: sorted, documented, resolvable, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import constrain

# The names the design fixes; all others may change.
FIXED = {
    "Limits", "Sampling", "Vocabulary", "check", "choice", "compile", "json_schema", "load",
    "regex", "text",
    "ConstrainError", "DecodeError", "GrammarError", "LimitError", "SchemaError",
    "TokenRejectedError", "UnsatisfiableSchemaError", "UnsupportedSchemaError",
    "VocabularyError",
}  # fmt: skip
MAX_NAMES = 32


def test_all_is_sorted_and_short() -> None:
    assert list(constrain.__all__) == sorted(constrain.__all__)
    assert len(constrain.__all__) == len(set(constrain.__all__)) <= MAX_NAMES


def test_the_fixed_names_are_there() -> None:
    assert set(constrain.__all__) >= FIXED


def test_every_public_name_resolves_and_is_documented() -> None:
    for name in constrain.__all__:
        thing = getattr(constrain, name)
        assert thing.__doc__, name


def test_dir_shows_every_public_name() -> None:
    assert set(dir(constrain)) >= set(constrain.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(constrain, "no_such_name")


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = (
        "llama_cpp",
        "lark",
        "jinja2",
        "jsonschema",
        "tokenizers",
        "hypothesis",
        "pydantic",  # longer than all the rest; imported once a Python type is given
        "referencing",
    )
    code = f"import sys, constrain; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
