"""Microseconds for a mask, with and without a budget, and for the first one; real vocabularies.

    python -m tests.benchmarks.masks [--vocab llama3|smollm2] [--walks 20]

The texts are random walks over the schemas of `tests/schema_strategies.py`, replayed with a
fresh compiled grammar: so each state is visited first (cold) and then again (warm).
Comparisons with other engines are made by the project's mask benchmark, not here.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np

import constrain
from tests.real_vocabularies import NAMES, real_vocabulary
from tests.schema_strategies import WALKED

Ids = list[int]


def random_text(compiled: constrain.CompiledGrammar, seed: int, most: int = 60) -> Ids:
    """Token ids of a random walk that finishes within `most` tokens over the shortest text."""
    chance, matcher = random.Random(seed), compiled.matcher()
    n_vocab = compiled.vocabulary.n_vocab
    words = np.zeros((n_vocab + 31) // 32, dtype=np.uint32)
    found: Ids = []
    n_left = matcher.min_tokens + most
    end_id = min(compiled.vocabulary.end_ids)
    while n_left:
        matcher.fill_mask_within(words, n_left - 1)
        allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        token_id = int(allowed[chance.randrange(len(allowed))])
        if token_id in compiled.vocabulary.end_ids:
            break
        matcher.accept(token_id)
        found.append(token_id)
        n_left -= 1
    return [*found, end_id]


def replay(compiled: constrain.CompiledGrammar, texts: list[Ids]) -> list[float]:
    """Microseconds of mask and accept for each token."""
    words = np.zeros((compiled.vocabulary.n_vocab + 31) // 32, dtype=np.uint32)
    times = []
    for text in texts:
        matcher = compiled.matcher()
        for token_id in text:
            start = time.perf_counter_ns()
            matcher.fill_mask(words)
            matcher.accept(token_id)
            times.append((time.perf_counter_ns() - start) / 1e3)
    return times


def replay_within(compiled: constrain.CompiledGrammar, texts: list[Ids]) -> list[float]:
    """Microseconds of a mask within the fewest tokens that suffice, before each token."""
    words = np.zeros((compiled.vocabulary.n_vocab + 31) // 32, dtype=np.uint32)
    times = []
    for text in texts:
        matcher = compiled.matcher()
        for token_id in text:
            n_left = matcher.min_tokens
            start = time.perf_counter_ns()
            matcher.fill_mask_within(words, max(n_left - 1, 0))
            times.append((time.perf_counter_ns() - start) / 1e3)
            matcher.accept(token_id)
    return times


def shown(times: list[float]) -> str:
    """Mean and percentiles.

    >>> shown([1.0, 3.0])
    'mean    2.00  p50    2.00  p99    2.98  max      3.0 us'
    """
    p50, p99 = np.percentile(times, [50, 99])
    return (
        f"mean {np.mean(times):7.2f}  p50 {p50:7.2f}  p99 {p99:7.2f}  max {max(times):8.1f} us"
    )


def main() -> None:
    """Measure and print four lines per schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", choices=NAMES, default="llama3")
    parser.add_argument("--walks", type=int, default=20)
    options = parser.parse_args()
    vocabulary = real_vocabulary(options.vocab)
    if vocabulary is None:
        parser.error(f"the vocabulary of {options.vocab} is not on this machine")
    constrain.compile(constrain.json_schema({}), vocabulary).matcher().mask()
    for name, schema in WALKED.items():
        grammar = constrain.json_schema(schema)
        compiled = constrain.compile(grammar, vocabulary)
        texts = [random_text(compiled, seed) for seed in range(options.walks)]
        start = time.perf_counter_ns()
        fresh = constrain.compile(constrain.json_schema(schema), vocabulary)
        fresh.matcher().mask()
        first = (time.perf_counter_ns() - start) / 1e3
        print(f"{name}: first mask {first:.0f} us")
        print(f"  cold: {shown(replay(fresh, texts))}")
        print(f"  warm: {shown(replay(fresh, texts))}")
        budgeted = constrain.compile(constrain.json_schema(schema), vocabulary)
        print(f"  last tokens of a budget: {shown(replay_within(budgeted, texts))}")


if __name__ == "__main__":
    main()
