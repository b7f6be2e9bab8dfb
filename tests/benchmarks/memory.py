"""Peak memory of a compiled schema and one matcher over 10 000 tokens.

    python -m tests.benchmarks.memory [--vocab smollm2|llama3] [--tokens 10000]

Prints, per schema of `tests/schema_strategies.py`: bytes of the compiled grammar by its own
count (`memory_bytes`, the peak) and growth of the process (VmHWM, Linux). A walk that reaches
the end of a text starts the next with a new matcher, so that the tokens add up.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import numpy as np

import constrain
from tests.real_vocabularies import NAMES, real_vocabulary
from tests.schema_strategies import WALKED


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def generate(compiled: constrain.CompiledGrammar, n_tokens: int) -> int:
    """Accept so many random allowed tokens; return the peak of `memory_bytes`."""
    chance = random.Random(1)
    n_vocab = compiled.vocabulary.n_vocab
    words = np.zeros((n_vocab + 31) // 32, dtype=np.uint32)
    matcher = compiled.matcher()
    peak = compiled.memory_bytes
    for number in range(n_tokens):
        matcher.fill_mask(words)
        allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        matcher.accept(int(allowed[chance.randrange(len(allowed))]))
        if matcher.is_finished:
            matcher = compiled.matcher()
        if number % 100 == 0:
            peak = max(peak, compiled.memory_bytes)
    return max(peak, compiled.memory_bytes)


def main() -> None:
    """Measure and print one line per schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", choices=NAMES, default="smollm2")
    parser.add_argument("--tokens", type=int, default=10_000)
    options = parser.parse_args()
    vocabulary = real_vocabulary(options.vocab)
    if vocabulary is None:
        parser.error(f"the vocabulary of {options.vocab} is not on this machine")
    before = peak_bytes()
    constrain.compile(constrain.choice(["a"]), vocabulary).matcher().mask()
    print(f"{options.vocab}: {vocabulary.n_vocab} tokens")
    print(f"token tables: {(peak_bytes() - before) / 2**20:.1f} MiB of the process")
    for name, schema in WALKED.items():
        before = peak_bytes()
        compiled = constrain.compile(constrain.json_schema(schema), vocabulary)
        own = generate(compiled, options.tokens)
        grown = (peak_bytes() - before) / 2**20
        print(f"{name:>10}: {own / 2**20:8.2f} MiB by its own count, process grew {grown:6.1f}")


if __name__ == "__main__":
    main()
