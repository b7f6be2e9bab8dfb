"""From prompt to object on SmolLM2, beside llguidance and llama.cpp's own grammar.

    taskset -c 0 python tests/benchmarks/end_to_end.py --seeds 20

Five schemas, temperature 0.7, top-k 40, top-p 0.95, one thread, every prompt evaluated afresh,
engines interleaved. llguidance runs in a loop like ours: forced tokens ride with the sampled
one in a call (compact JSON, its fastest form). llama.cpp's grammar runs as a sampler in a chain
of its own. A row gives, per object: validity by jsonschema, truncation at `--max-tokens`,
model calls, output tokens, seconds, and milliseconds a step outside the network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import jsonschema
import numpy as np

import constrain
from constrain.driver.files import default_model
from constrain.driver.llama import ContextOptions, LlamaContext, LlamaWeights
from constrain.driver.protocol import Piece

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPERATURE, TOP_K, TOP_P = 0.7, 40, 0.95


def closed(required: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": required,
        "required": list(required),
        "additionalProperties": False,
    }


def text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest}


_SETTINGS = (
    "dark_mode", "push_notifications", "weekly_digest", "two_factor_login", "public_profile",
    "share_location", "auto_update", "beta_features", "offline_maps", "voice_control",
    "haptic_feedback", "low_power_mode", "metric_units", "read_receipts", "typing_indicator",
    "backup_to_cloud", "parental_controls", "screen_reader", "ad_personalization", "data_saver",
)  # fmt: skip

SCHEMAS: dict[str, dict[str, Any]] = {
    "person": closed(
        {
            "full_name": text(40),
            "born": {"type": "integer", "minimum": 1900, "maximum": 2025},
            "job": text(30),
            "town": text(30),
            "retired": {"type": "boolean"},
        }
    ),
    "order": closed(
        {
            "number": {"type": "string", "pattern": "^[A-Z]{3}[0-9]{4}$"},
            "buyer": closed({"name": text(30), "country": {"enum": ["AT", "DE", "FR", "IT"]}}),
            "lines": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "items": closed(
                    {
                        "article": text(20),
                        "count": {"type": "integer", "minimum": 1, "maximum": 50},
                        "price": {"type": "number", "minimum": 0, "maximum": 1000},
                    }
                ),
            },
            "paid": {"type": "boolean"},
        }
    ),
    "classify": closed(
        {
            "mood": {"enum": ["angry", "disappointed", "neutral", "pleased", "delighted"]},
            "subject": {"enum": ["delivery", "price", "quality", "support", "website"]},
            "priority": {"enum": ["low", "normal", "high"]},
            "needs_reply": {"type": "boolean"},
            "labels": {
                "type": "array",
                "items": {"enum": ["bug", "complaint", "praise", "question", "refund"]},
                "minItems": 1,
                "maxItems": 3,
            },
        }
    ),
    "booleans": closed({name: {"type": "boolean"} for name in _SETTINGS}),
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": closed(
                {
                    "label": text(15),
                    "children": {
                        "type": "array",
                        "items": {"$ref": "#/$defs/node"},
                        "maxItems": 2,
                    },
                }
            )
        },
    },
}
REQUESTS = {
    "person": "Describe, as a JSON record, a retired carpenter who lives in Porto.",
    "order": "Write the JSON record of an order: Lena Huber from Austria buys two lamps.",
    "classify": 'Classify as JSON: "Three weeks late, the box was open and nobody answers!"',
    "booleans": "Give as JSON the phone settings of a person who cares about privacy.",
    "tree": "Write a small JSON tree of kinds of animals.",
}


Engine: TypeAlias = "Callable[[str, list[int], int], Run | None]"
"""Schema's name, prompt and seed to an output; None where the engine cannot do the schema."""


@dataclass
class Run:
    """One output of one engine."""

    text: str
    n_tokens: int
    n_calls: int
    seconds: float
    network_s: float


class Peers:
    """A context of our own for the loops of the other engines."""

    def __init__(self, model: constrain.Model) -> None:
        self.weights = LlamaWeights(default_model())
        self.context = LlamaContext(self.weights, ContextOptions(2048, 1, 512, 1))
        self.model = model
        self.ends = model.vocabulary.end_ids
        self.network_s = 0.0

    def feed(self, start: int, token_ids: list[int]) -> np.ndarray:
        started = time.perf_counter()
        [row] = self.context.decode([Piece(0, start, token_ids)])
        self.network_s += time.perf_counter() - started
        return row

    def spelled(self, token_ids: list[int]) -> str:
        tokens = self.model.vocabulary.tokens
        return b"".join(tokens[t] for t in token_ids).decode("utf-8", "replace")

    def timed(self, loop: Callable[[], tuple[list[int], int]]) -> Run:
        self.context.truncate(0, 0)
        self.network_s = 0.0
        started = time.perf_counter()
        token_ids, calls = loop()
        seconds = time.perf_counter() - started
        return Run(self.spelled(token_ids), len(token_ids), calls, seconds, self.network_s)


def draw(logits: np.ndarray, allowed: np.ndarray, rng: np.random.Generator) -> int:
    """Top-k, top-p and temperature among the allowed tokens."""
    row = logits[allowed]
    if len(row) > TOP_K:
        top = np.argpartition(row, len(row) - TOP_K)[-TOP_K:]
        row, allowed = row[top], allowed[top]
    order = np.argsort(-row)
    weights = np.exp((row[order] - row[order[0]]) / TEMPERATURE)
    weights /= weights.sum()
    kept = int((weights.cumsum() < TOP_P).sum()) + 1
    weights = weights[:kept] / weights[:kept].sum()
    return int(allowed[order[rng.choice(len(weights), p=weights)]])


def llguidance_engine(peers: Peers, max_tokens: int) -> Engine:
    import llguidance
    import llguidance.llamacpp
    import llguidance.numpy

    tokenizer = llguidance.llamacpp.lltokenizer_from_vocab(peers.weights.vocabulary_pointer)
    grammars = {
        name: llguidance.LLMatcher.grammar_from_json_schema(
            schema, overrides={"whitespace_flexible": False}
        )
        for name, schema in SCHEMAS.items()
    }
    compiled = {name: llguidance.LLMatcher(tokenizer, g) for name, g in grammars.items()}
    words = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)

    def engine(name: str, prompt: list[int], seed: int) -> Run:
        rng = np.random.default_rng(seed)
        matcher = compiled[name].deep_copy()

        def loop() -> tuple[list[int], int]:
            found: list[int] = []
            pending, position, calls = list(prompt), 0, 0
            while len(found) < max_tokens:
                forced = matcher.compute_ff_tokens()
                matcher.consume_tokens(forced)
                found += forced
                pending += forced
                if matcher.is_stopped():
                    break
                logits = peers.feed(position, pending)
                position, calls = position + len(pending), calls + 1
                llguidance.numpy.fill_next_token_bitmask(matcher, words)
                bits = np.unpackbits(words[0].view(np.uint8), bitorder="little")
                token_id = draw(logits, np.flatnonzero(bits[: len(logits)]), rng)
                if token_id in peers.ends:
                    break
                matcher.consume_token(token_id)
                found.append(token_id)
                pending = [token_id]
            return found[:max_tokens], calls

        return peers.timed(loop)

    return engine


def llama_engine(peers: Peers, max_tokens: int) -> Engine:
    import llama_cpp
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    grammars = {}
    for name, schema in SCHEMAS.items():
        try:
            grammars[name] = json_schema_to_gbnf(json.dumps(schema)).encode()
        except KeyError:  # its converter has no recursion: no row for the tree
            continue

    def engine(name: str, prompt: list[int], seed: int) -> Run | None:
        if name not in grammars:
            return None
        chain = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        vocabulary = peers.weights.vocabulary_pointer
        for part in (
            llama_cpp.llama_sampler_init_grammar(vocabulary, grammars[name], b"root"),
            llama_cpp.llama_sampler_init_top_k(TOP_K),
            llama_cpp.llama_sampler_init_top_p(TOP_P, 1),
            llama_cpp.llama_sampler_init_temp(TEMPERATURE),
            llama_cpp.llama_sampler_init_dist(seed),
        ):
            llama_cpp.llama_sampler_chain_add(chain, part)

        def loop() -> tuple[list[int], int]:
            found: list[int] = []
            pending, position, calls = list(prompt), 0, 0
            while len(found) < max_tokens:
                peers.feed(position, pending)
                position, calls = position + len(pending), calls + 1
                token_id = llama_cpp.llama_sampler_sample(chain, peers.context._pointer, -1)
                if token_id in peers.ends:
                    break
                found.append(token_id)
                pending = [token_id]
            return found, calls

        try:
            return peers.timed(loop)
        finally:
            llama_cpp.llama_sampler_free(chain)

    return engine


def our_engine(model: constrain.Model, whitespace: str, max_tokens: int) -> Engine:
    grammars = {
        name: constrain.json_schema(schema, whitespace=whitespace)  # type: ignore[arg-type]  # a word
        for name, schema in SCHEMAS.items()
    }

    def engine(name: str, prompt: list[int], seed: int) -> Run:
        del prompt
        sampling = constrain.Sampling(
            temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, seed=seed
        )
        started = time.perf_counter()
        result = model.generate(
            messages(name), grammars[name], sampling=sampling, max_tokens=max_tokens
        )
        seconds = time.perf_counter() - started
        network = result.timings.prompt_s + result.timings.decode_s
        return Run(result.text, len(result.tokens), result.n_model_calls, seconds, network)

    return engine


def messages(name: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "You answer with one JSON object and nothing else."},
        {"role": "user", "content": REQUESTS[name]},
    ]


def verdict(name: str, written: str) -> str:
    """`valid`, `invalid` or `broken` (no JSON at all: cut off)."""
    try:
        value = json.loads(written)
    except ValueError:
        return "broken"
    validator = jsonschema.Draft202012Validator(SCHEMAS[name])
    return "valid" if validator.is_valid(value) else "invalid"


def main() -> None:
    """Run all engines and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--schemas", default=",".join(SCHEMAS))
    parser.add_argument("--engines", default="", help="words that an engine's name must hold")
    options = parser.parse_args()
    model = constrain.load(n_ctx=2048, n_threads=1, reuse_prefix=False)
    peers = Peers(model)
    engines = {
        "constrain": our_engine(model, "bounded", options.max_tokens),
        "constrain spaced": our_engine(model, "spaced", options.max_tokens),
        "constrain compact": our_engine(model, "compact", options.max_tokens),
        "llama.cpp grammar": llama_engine(peers, options.max_tokens),
    }
    if find_spec("llguidance"):
        engines["llguidance compact"] = llguidance_engine(peers, options.max_tokens)
    engines = {n: e for n, e in engines.items() if options.engines in n}
    rows: dict[tuple[str, str], list[tuple[str, Run]]] = defaultdict(list)
    for name in options.schemas.split(","):
        prompt = model.prompt_tokens(messages(name))
        for engine in engines.values():
            engine(name, prompt, 0)  # compiles, and warms the caches
        for seed in range(options.seeds):
            for label, engine in engines.items():
                run = engine(name, prompt, seed)
                if run is not None:
                    rows[label, name].append((verdict(name, run.text), run))
    sys.stdout.write(table(rows, list(engines), [*options.schemas.split(","), "all"]))


def table(
    rows: dict[tuple[str, str], list[tuple[str, Run]]], engines: list[str], names: list[str]
) -> str:
    """A line for each engine and schema, and one for all schemas."""
    lines = [f"{'engine':20} {'schema':9} {'valid':7} cut  calls tokens seconds ms/step"]
    for engine in engines:
        for name in names:
            runs = [
                run
                for (by, of), found in rows.items()
                if by == engine and name in (of, "all")
                for run in found
            ]
            if not runs:
                continue
            n = len(runs)
            valid = sum(verdict == "valid" for verdict, _ in runs)
            broken = sum(verdict == "broken" for verdict, _ in runs)
            calls = sum(run.n_calls for _, run in runs)
            tokens = sum(run.n_tokens for _, run in runs)
            seconds = sum(run.seconds for _, run in runs)
            outside = seconds - sum(run.network_s for _, run in runs)
            lines.append(
                f"{engine:20} {name:9} {valid:3}/{n:<3} {broken:3} {calls / n:6.1f} "
                f"{tokens / n:6.1f} {seconds / n:7.3f} {1000 * outside / calls:7.3f}"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
