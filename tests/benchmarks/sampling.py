"""Times one sampling step: ours, numpy with argsort, and llama.cpp's chain on the same input.

Run: python tests/benchmarks/sampling.py [--repeats N] [--rare]. Prints a table of median
microseconds. Logits are normal with standard deviation 3; masks are random bits. llama.cpp's
column includes building its candidate array from the mask in numpy, which any user of it has to
do; its samplers are made once. The rarer steps (`--rare`) have no column for numpy.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from collections.abc import Callable, Iterator

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
    "temperature 1": Sampling(seed=1),
    "temperature 1, top-p 0.9": Sampling(top_p=0.9, seed=1),
    "temperature 1.5, top-p 0.95": Sampling(temperature=1.5, top_p=0.95, seed=1),
}
RARE = {
    "penalties, top-p 0.95, min-p 0.05": Sampling(
        temperature=0.8, top_p=0.95, min_p=0.05, repeat_penalty=1.1, seed=1
    ),
    "typical-p 0.9": Sampling(typical_p=0.9, seed=1),
    "top-n-sigma 1": Sampling(top_n_sigma=1.0, seed=1),
    "XTC": Sampling(xtc_probability=1.0, xtc_threshold=0.05, seed=1),
    "min-p 0.05, XTC": Sampling(
        temperature=0.8, min_p=0.05, xtc_probability=1.0, xtc_threshold=0.05, seed=1
    ),
    "mirostat 1": Sampling(mirostat=1, seed=1),
    "mirostat 2": Sampling(mirostat=2, seed=1),
    "temperature 0.5 to 1.5": Sampling(dynamic_temperature_range=0.5, seed=1),
    "DRY": Sampling(dry_multiplier=0.8, seed=1),
}

SEEN = [(i * i) % 900 for i in range(64)]
"""The tokens written before: what penalties and DRY look at."""

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

    def __init__(self, sampling: Sampling, n_vocab: int) -> None:
        """Build the chain that the settings ask for."""
        from llama_cpp import llama_cpp

        self.llama = llama_cpp
        self.chain = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        parts = [*self._penalties(sampling, n_vocab)]
        if sampling.temperature == 0:
            parts.append(llama_cpp.llama_sampler_init_greedy())
        else:
            parts += [self._step(name, sampling, n_vocab) for name in sampling.steps]
        if sampling.temperature > 0 and not sampling.mirostat:
            parts.append(llama_cpp.llama_sampler_init_dist(1))
        for part in parts:
            llama_cpp.llama_sampler_chain_add(self.chain, part)
        for token_id in SEEN:
            llama_cpp.llama_sampler_accept(self.chain, token_id)

    def _penalties(self, s: Sampling, n_vocab: int) -> Iterator[object]:
        make = self.llama
        if s.penalizes:
            yield make.llama_sampler_init_penalties(
                n_vocab,
                s.penalty_window,
                s.repeat_penalty,
                s.frequency_penalty,
                s.presence_penalty,
            )
        if s.uses_dry:
            yield make.llama_sampler_init_dry(
                None, s.dry_multiplier, s.dry_base, s.dry_allowed_length, len(SEEN), None, 0
            )

    def _step(self, name: str, s: Sampling, n_vocab: int) -> object:
        make = self.llama
        steps: dict[str, Callable[[], object]] = {
            "temperature": lambda: make.llama_sampler_init_temp_ext(
                s.temperature, s.dynamic_temperature_range, s.dynamic_temperature_exponent
            ),
            "top_n_sigma": lambda: make.llama_sampler_init_top_n_sigma(s.top_n_sigma),
            "top_k": lambda: make.llama_sampler_init_top_k(s.top_k),
            "top_p": lambda: make.llama_sampler_init_top_p(s.top_p, 1),
            "min_p": lambda: make.llama_sampler_init_min_p(s.min_p, 1),
            "typical_p": lambda: make.llama_sampler_init_typical(s.typical_p, 1),
            "xtc": lambda: make.llama_sampler_init_xtc(
                s.xtc_probability, s.xtc_threshold, 1, 1
            ),
            "mirostat": lambda: (
                make.llama_sampler_init_mirostat(
                    n_vocab, 1, s.mirostat_tau, s.mirostat_eta, 100
                )
                if s.mirostat == 1
                else make.llama_sampler_init_mirostat_v2(1, s.mirostat_tau, s.mirostat_eta)
            ),
        }
        return steps[name]()

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


def measured(
    name: str, sampling: Sampling, logits: Floats, mask: Mask, repeats: int
) -> tuple[float, float | None, float]:
    """Median microseconds: ours, numpy's (if it has the steps), llama.cpp's."""
    n_vocab = len(logits)
    words = pack(mask)
    sampler = Sampler(sampling, Vocabulary([b"t%d" % i for i in range(n_vocab)], []))
    for token_id in SEEN:
        sampler.accept(token_id)
    chain = LlamaChain(sampling, n_vocab)
    rng = np.random.default_rng(1)
    few = max(5, repeats // 10)
    ours = median_us(lambda: sampler.sample(logits, words), repeats)
    plain = None
    if name in CASES:
        plain = median_us(lambda: numpy_step(logits, mask, sampling, rng), few)
    return ours, plain, median_us(lambda: chain.step(logits, mask), few)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rare", action="store_true", help="the rarer steps too")
    options = parser.parse_args()
    cases = CASES | RARE if options.rare else CASES
    rng = np.random.default_rng(0)
    print("| tokens | allowed | case | ours µs | numpy µs | llama.cpp µs |")
    print("|---|---|---|---|---|---|")
    for n_vocab in SIZES:
        logits = (rng.standard_normal(n_vocab) * 3).astype(np.float32)
        for density in DENSITIES:
            mask = rng.random(n_vocab) < density
            for name, sampling in cases.items():
                ours, plain, theirs = measured(name, sampling, logits, mask, options.repeats)
                shown = "" if plain is None else f"{plain:.0f}"
                print(
                    f"| {n_vocab} | {density:.0%} | {name} | {ours:.0f} | {shown} |"
                    f" {theirs:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
