"""The public names: sorted, documented, resolvable, and cheap to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import constrain
from constrain.kernel import _native

# The names the design fixes; all others may change.
FIXED = {
    "Limits", "Sampling", "Vocabulary", "check", "choice", "compile", "json_schema", "load",
    "regex", "text",
    "ArgumentError", "ConstrainError", "DecodeError", "GrammarError", "LimitError",
    "SchemaError", "TokenRejectedError", "UnsatisfiableSchemaError", "UnsupportedSchemaError",
    "VocabularyError",
}  # fmt: skip
MAX_NAMES = 33


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


def test_the_stub_declares_what_the_native_module_has() -> None:
    stub = Path(constrain.__file__).parent / "kernel" / "_native.pyi"
    declared: dict[str, set[str]] = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            declared[node.name] = names - {"__init__"}
        elif isinstance(node, ast.FunctionDef):
            declared[node.name] = set()
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared[node.target.id] = set()
    found = {
        name: {member for member in vars(thing) if not member.startswith("__")}
        if isinstance(thing, type)
        else set()
        for name, thing in vars(_native).items()
        if not name.startswith("__")
    }
    assert declared == found
