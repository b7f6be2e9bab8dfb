"""Per-token figures of the decode loop: the toy model, against numpy on its rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from constrain.driver.cache import SequenceCache
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.loop import Loop
from constrain.driver.sequence import Output, Request
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary
from tests.logprobs_reference import expect
from tests.toy_model import CONTROL, END, TOKENS, ListMatcher, ToyModel, people, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.automaton import Matcher
    from constrain.driver.result import Result

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])
PROMPT = tokenize(b"Write a person: ")


def toy_result(
    texts: Sequence[str], seed: int, n: int, *, max_tokens: int = 100
) -> tuple[Result, ToyModel]:
    model = ToyModel()
    request = Request(
        prompt=PROMPT,
        sampler=Sampler(Sampling(temperature=0.7, top_p=0.9, seed=seed), VOCABULARY),
        max_tokens=max_tokens,
        matcher=cast("Matcher", ListMatcher(texts)),
        top_logprobs=n,
    )
    out = Output(request, VOCABULARY, CanonicalTokenizer(tokenize, TOKENS), 256)
    Loop(SequenceCache(model), [out]).run()
    return out.result(), model


@pytest.mark.parametrize("seed", range(4))
def test_steps_of_the_toy_model_are_those_of_its_rows(seed: int) -> None:
    result, model = toy_result(people(), seed, 3)
    matcher = ListMatcher(people())
    held = list(PROMPT)
    for step in result.steps:
        if not step.forced:
            allowed = np.array([matcher.allowed(t) for t in range(len(TOKENS))])
            expect(step, model.logits(tuple(held)), allowed, 3)
        matcher.accept(step.token_id)
        held.append(step.token_id)
    assert sum(not step.forced for step in result.steps) >= 2


@pytest.mark.parametrize("n", [1, 3, 60])
def test_a_step_and_its_alternatives_agree_to_the_last_digit(n: int) -> None:
    n_found = 0
    for seed in range(6):
        result, _ = toy_result(people(), seed, n)
        for step in (step for step in result.steps if not step.forced):
            own, removed = step.logprob, step.removed_mass
            assert own is not None
            assert removed is not None
            # The definition of the three, whatever was noted.
            assert step.masked_logprob == pytest.approx(own - math.log1p(-removed), abs=1e-12)
            for other in step.alternatives:
                if other.token_id == step.token_id:
                    n_found += 1
                    assert (own, step.masked_logprob) == (other.logprob, other.masked_logprob)
    assert n_found > 5


def test_near_the_budget_the_narrower_mask_counts() -> None:
    texts = ['"' + "x" * n + '"' for n in range(40)]
    result, model = toy_result(texts, 1, 2, max_tokens=4)
    held, matcher, narrowed = list(PROMPT), ListMatcher(texts), 0
    for i, step in enumerate(result.steps):
        if not step.forced:
            allowed = np.array([matcher.allowed(t) for t in range(len(TOKENS))])
            fits = np.array([a and matcher.fits_after(t, 3 - i) for t, a in enumerate(allowed)])
            is_narrow = step.n_allowed == fits.sum() < allowed.sum()
            narrowed += is_narrow
            expect(step, model.logits(tuple(held)), fits if is_narrow else allowed, 2)
        matcher.accept(step.token_id)
        held.append(step.token_id)
    assert result.text in texts


def test_forced_tokens_are_not_measured() -> None:
    result, _ = toy_result(people(), 0, 3)
    for step in (step for step in result.steps if step.forced):
        assert (step.entropy, step.masked_entropy, step.alternatives) == (None, 0.0, ())
    assert any(step.forced for step in result.steps)


def test_nothing_is_measured_unless_asked_for() -> None:
    result, _ = toy_result(people(), 0, 0)
    for step in (step for step in result.steps if not step.forced):
        assert (step.entropy, step.masked_entropy, step.alternatives) == (None, None, ())
    assert result.timings.measure_s == 0
    measured, _ = toy_result(people(), 0, 1)
    assert measured.tokens == result.tokens
    assert measured.timings.measure_s > 0
