"""What the command line reads: texts from files or standard input, and the grammar it names."""

from __future__ import annotations

import importlib
import os
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import constrain
from constrain.errors import SchemaError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from constrain.grammar.ir import Grammar

STANDARD_INPUT = "-"


class UsageError(Exception):
    """The command line asks for something that cannot be done; nothing was started."""


def read_bytes(path: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        OSError: the file cannot be read.
    """
    if path != STANDARD_INPUT:
        return Path(path).read_bytes()
    if sys.stdin.isatty():
        print("constrain: reading from the terminal; end with Ctrl-D", file=sys.stderr)
    return sys.stdin.buffer.read()


def read_text(path: str) -> str:
    """A file or standard input (`-`) as text.

    Raises:
        OSError: the file cannot be read.
        UsageError: its bytes are not UTF-8; names the first wrong byte.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "standard input" if path == STANDARD_INPUT else path
        byte = data[error.start]
        raise UsageError(f"{name}: byte {error.start} (0x{byte:02X}) is not UTF-8") from None


def check_writable(option: str, path: str) -> None:
    """Find out before a long run that a file could not be written after it.

    Raises:
        UsageError: it could not; names the option.
    """
    place = Path(path)
    if place.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name a file")
    if not place.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {place.parent}")
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise UsageError(f"{option} {path}: may not be written")


def without_final_newline(text: bytes) -> bytes:
    r"""The text without the one line end that editors and `echo` put last.

    >>> without_final_newline(b"a\n\n")
    b'a\n'
    """
    return text.removesuffix(b"\n").removesuffix(b"\r") if text.endswith(b"\n") else text


def grammar_of(options: Namespace, shape: Mapping[str, Any] | None = None) -> Grammar:
    """The grammar that `--schema`, `--type`, `--regex` or `--choice` names.

    Args:
        options: of the command.
        shape: further arguments of `json_schema`.

    Raises:
        ConstrainError: it is malformed, unsupported, or nothing can match it.
        OSError: the schema file cannot be read.
        UsageError: the type cannot be imported.
    """
    if options.regex is not None:
        return constrain.regex(options.regex)
    if options.choice:
        return constrain.choice(options.choice)
    form = {
        "whitespace": options.whitespace,
        "property_order": options.property_order,
        "escapes": options.escapes,
        "on_unsupported": "relax" if "relax" in options and options.relax else "error",
        **(shape or {}),
    }
    if options.type is not None:
        return constrain.json_schema(_imported(options.type), **form)
    schema = read_text(options.schema)
    try:
        return constrain.json_schema(schema, **form)
    except SchemaError as error:
        raise UsageError(f"{options.schema}: {error}") from error


def _imported(name: str) -> object:
    """The object that `module:Name` names; modules are looked up in this folder first."""
    module_name, colon, attribute = name.partition(":")
    parts = [*module_name.split("."), *attribute.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise UsageError(f"--type {name}: expected module:Name, as in myproject.models:Person")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return attrgetter(attribute)(importlib.import_module(module_name))
    except (ImportError, AttributeError, SyntaxError) as error:
        raise UsageError(f"--type {name}: {error}") from error
    finally:
        sys.path.pop(0)
