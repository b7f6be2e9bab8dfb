"""The layout rules: sizes, import order, who may import what, and no printing libraries.

Read with `ast` from the source tree; nothing is imported. The rules are those of the design:
each stage imports only the stages before it, and one module alone knows each big dependency.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "constrain"

MAX_LINES = 500
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 60

# Each row may import from its own row and from the rows above it.
LAYERS = (
    ("errors", "limits", "arguments"),
    ("grammar", "vocabulary"),
    ("schema", "grammar_of"),
    ("kernel", "lowering", "expected", "automaton", "report"),
    ("sampling", "logprobs", "calibration"),
    ("driver",),
    ("cli", "testing", "adapters", "__main__"),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FACADE_RANK = RANKS["cli"]  # `constrain` itself re-exports every stage below the last

# The one import that goes up: `Grammar.report` is asked of a grammar and needs the automaton.
UPWARD = {("grammar/ir.py", "constrain.report")}

# Module that may be imported -> the files (or folders) that may do it.
SINGLE_IMPORTS = {
    "llama_cpp": ("driver/", "vocabulary", "adapters/llama_chain.py"),
    "jinja2": ("driver/",),
    "lark": ("grammar/lark_text.py",),
    "jsonschema": (),
    "pydantic": ("grammar/python_types.py",),
    "jsonschema_specifications": ("schema/resources.py",),
    "referencing": ("schema/resources.py",),
    "tokenizers": ("vocabulary",),
    "tiktoken": ("vocabulary",),
    "torch": ("adapters/transformers.py",),
    "transformers": (),
    "sklearn": ("calibration/one_against_rest.py",),
    "matplotlib": ("calibration/diagram.py",),
}


def python_files(folder: Path) -> list[Path]:
    """Every Python file below `folder`, sorted, generated tables left out."""
    return sorted(path for path in folder.rglob("*.py") if "_data" not in path.parts)


def name_of(path: Path) -> str:
    """The path below the package, as `driver/llama.py`."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported module with its line; `from constrain import x` is `constrain.x`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            module = node.module or ""
            if module == "constrain":
                yield from ((node.lineno, f"constrain.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def layer_of(module: str) -> str:
    """`constrain.driver.llama` -> `driver`; the package itself -> ``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


SOURCES = python_files(PACKAGE)
KERNEL_SOURCES = sorted(
    path for suffix in ("*.cpp", "*.h", "*.hpp") for path in PACKAGE.rglob(suffix)
)
TESTS = python_files(ROOT / "tests")
EXAMPLES = python_files(ROOT / "examples")


def test_the_walk_finds_the_sources() -> None:
    assert {"errors.py", "limits.py", "grammar/ir.py"} <= {name_of(path) for path in SOURCES}
    assert KERNEL_SOURCES
    assert Path(__file__).resolve() in TESTS


def test_files_stay_within_their_length() -> None:
    limits = [(path, MAX_LINES) for path in SOURCES + KERNEL_SOURCES + EXAMPLES]
    limits += [(path, MAX_TEST_LINES) for path in TESTS]
    too_long = []
    for path, limit in limits:
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        if n_lines > limit:
            too_long.append(f"{path.relative_to(ROOT)}: {n_lines} lines, limit {limit}")
    assert not too_long, "\n".join(too_long)


def test_functions_stay_within_their_length() -> None:
    too_long = []
    for path in SOURCES + TESTS + EXAMPLES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if n_lines > MAX_FUNCTION_LINES:
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    too_long.append(f"{place}: {node.name} has {n_lines} lines")
    assert not too_long, "\n".join(too_long)


# The package itself re-exports every stage; nothing below the last one may import it.
STAGES = [path for path in SOURCES if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert parts[0] in RANKS, f"{name_of(path)}: give '{parts[0]}' a layer in LAYERS"
    rank = RANKS[parts[0]]
    wrong = []
    for line, module in imported_modules(path):
        if module != "constrain" and not module.startswith("constrain."):
            continue
        imported = layer_of(module)
        if (name_of(path), module) in UPWARD:
            continue
        if RANKS.get(imported, FACADE_RANK) > rank:
            wrong.append(f"{name_of(path)}:{line}: '{parts[0]}' may not import {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", SINGLE_IMPORTS)
def test_each_big_dependency_is_imported_in_its_one_place(module: str) -> None:
    wrong = [
        f"{name_of(path)}:{line}"
        for path in SOURCES
        for line, imported in imported_modules(path)
        if imported.split(".")[0] == module
        and not name_of(path).startswith(SINGLE_IMPORTS[module])
    ]
    assert not wrong, f"{module} imported at {', '.join(wrong)}"


def test_pydantic_and_lark_are_imported_by_one_module_each() -> None:
    importers: dict[str, set[str]] = {"pydantic": set(), "lark": set()}
    for path in SOURCES:
        for _, imported in imported_modules(path):
            importers.get(imported.split(".")[0], set()).add(name_of(path))
    assert all(len(files) <= 1 for files in importers.values()), importers


def test_only_the_command_line_prints() -> None:
    prints = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not name_of(path).startswith("cli")
    ]
    assert not prints, f"print outside the command line: {', '.join(prints)}"


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES + TESTS + EXAMPLES
        if ast.get_docstring(tree_of(path)) is None
    ]
    assert not silent, f"no module docstring: {', '.join(silent)}"


def test_the_top_level_holds_only_what_the_design_lists() -> None:
    listed = {
        "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE",
        "constrain", "grammars", "tests", "examples",
    }  # fmt: skip
    built = {"build", "dist", "results"}  # ignored by git
    extra = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and path.name not in listed | built
    }
    assert not extra, f"at the top level beside the design's list: {sorted(extra)}"
