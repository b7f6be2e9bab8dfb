"""Times one sampling step: ours, numpy with argsort, and llama.cpp's chain on the same input.

Run: python tests/benchmarks/sampling.py [--repeats N]. Prints a Markdown table of median
microseconds. Logits are normal with standard deviation 3; masks are random bits. llama.cpp's
column includes building its candidate array from the mask in numpy, which any user of it has to
do; its samplers are made once.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary

SIZES = (49_152, 128_256, 262_144)
DENSITIES = (0.01, 0.5, 0.99)
CASES = {
    "greedy": Sampling(temperature=0, seed=1),
    "temperature 0.8": Sampling(temperature=0.8, seed=1),
    "top-k 40, top-p 0.95": Sampling(temperature=0.8, top_k=40, top_p=0.95, seed=1),
    "top-p 0.95": Sampling(temperature=0.8, top_p=0.95, seed=1),
    "min-p 0.05": Sampling(temperature=0.8, min_p=0.05, seed=1),
}

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def median_us(step: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call, after one that is not counted."""
    step()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


def numpy_step(logits: Floats, mask: Mask, sampling: Sampling, rng: np.random.Generator) -> int:
    """The usual pipeline: argsort of everything, cumulative sum, choice."""
    values = np.where(mask, logits, -np.inf)
    if sampling.temperature == 0:
        return int(values.argmax())
    values = values / sampling.temperature
    order = np.argsort(-values)
    if sampling.top_k:
        order = order[: sampling.top_k]
    weights = np.exp(values[order] - values[order[0]])
    weights = np.where(weights >= sampling.min_p, weights, 0)
    sums = np.cumsum(weights / weights.sum())
    n_kept = int(np.searchsorted(sums, sampling.top_p)) + 1
    return int(order[np.searchsorted(sums[:n_kept], rng.random() * sums[:n_kept][-1])])


class LlamaChain:
    """llama.cpp's samplers over a candidate array."""

    def __init__(self, sampling: Sampling) -> None:
        """Build the chain that the settings ask for."""
        from llama_cpp import llama_cpp

        self.llama = llama_cpp
        self.chain = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        parts = [llama_cpp.llama_sampler_init_temp(sampling.temperature)]
        if sampling.top_k:
            parts.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            parts.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            parts.append(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
        greedy = sampling.temperature == 0
        last = llama_cpp.llama_sampler_init_greedy() if greedy else None
        for part in [*parts, last or llama_cpp.llama_sampler_init_dist(1)]:
            llama_cpp.llama_sampler_chain_add(self.chain, part)

    def step(self, logits: Floats, mask: Mask) -> int:
        """Gather what is allowed, apply the chain, return the id."""
        ids = np.flatnonzero(mask)
        candidates = np.empty(len(ids), CANDIDATE)
        candidates["id"] = ids
        candidates["logit"] = logits[ids]
        data = candidates.ctypes.data_as(ctypes.POINTER(self.llama.llama_token_data))
        array = self.llama.llama_token_data_array(data, len(ids), -1, False)
        self.llama.llama_sampler_apply(self.chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def pack(mask: Mask) -> npt.NDArray[np.uint32]:
    """Mask words, bit i of word w is token 32*w + i."""
    data = np.packbits(mask, bitorder="little")
    return np.pad(data, (0, -len(data) % 4)).view(np.uint32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    print("| tokens | allowed | case | ours µs | numpy µs | llama.cpp µs |")
    print("|---|---|---|---|---|---|")
    for n_vocab in SIZES:
        logits = (rng.standard_normal(n_vocab) * 3).astype(np.float32)
        vocabulary = Vocabulary([b"t%d" % i for i in range(n_vocab)], [])
        for density in DENSITIES:
            mask = rng.random(n_vocab) < density
            words = pack(mask)
            for name, sampling in CASES.items():
                sampler = Sampler(sampling, vocabulary)
                chain = LlamaChain(sampling)
                ours = median_us(lambda: sampler.sample(logits, words), repeats)  # noqa: B023 - called at once
                few = max(5, repeats // 10)
                plain = median_us(lambda: numpy_step(logits, mask, sampling, rng), few)  # noqa: B023 - called at once
                theirs = median_us(lambda: chain.step(logits, mask), few)  # noqa: B023 - called at once
                print(
                    f"| {n_vocab} | {density:.0%} | {name} | {ours:.0f} | {plain:.0f} |"
                    f" {theirs:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
