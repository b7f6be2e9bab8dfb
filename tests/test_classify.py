"""Classification: exact probabilities, and the options between them and the answer."""

from __future__ import annotations

import math
import typing
from contextlib import nullcontext
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from constrain.calibration import Platt, Temperature
from constrain.driver.branches import TreeEvaluator
from constrain.driver.cache import SequenceCache
from constrain.driver.classify import (
    Classification,
    Classifier,
    Judgement,
    MultiClassification,
    exclusive,
    questions,
)
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.judging import Judging
from constrain.driver.labels import labels_of
from constrain.driver.scoring import Scorer
from constrain.errors import ArgumentError, CalibrationError, DecodeError, LimitError
from tests.branching_toy import BranchingToy
from tests.toy_model import END, TOKENS, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from constrain.driver.prompts import Prompt

PROMPT = tokenize(b"the name")
OTHER = tokenize(b"the end")


def classifier(model: BranchingToy) -> Classifier:
    tree = TreeEvaluator(SequenceCache(model), model, [END])
    return Classifier(Scorer(tree, CanonicalTokenizer(tokenize, TOKENS)))


def classify(texts: dict[Any, str], judgement: Judgement = Judgement()) -> Classification:  # noqa: B008  # frozen
    return classifier(BranchingToy()).classify([PROMPT], texts, judgement)[0]


def product(prompt: Sequence[int], token_ids: Sequence[int]) -> float:
    """Probability of tokens one after the other, by the definition."""
    model, result = BranchingToy(), 1.0
    for i, token_id in enumerate(token_ids):
        row = model.logits((*prompt, *token_ids[:i])).astype(np.float64)
        result *= float(np.exp(row[token_id]) / np.exp(row).sum())
    return result


def own(*texts: str) -> dict[Any, str]:
    return {text: text for text in texts}


def test_probabilities_are_products_normalized_over_the_labels() -> None:
    texts = own("true", "false", "na na", "na me")
    products = {text: product(PROMPT, tokenize(text.encode())) for text in texts}
    result = classify(texts)
    total = sum(products.values())
    for text in texts:
        assert math.exp(result.logprobs[text]) == pytest.approx(products[text], rel=1e-9)
        assert result.probabilities[text] == pytest.approx(products[text] / total, rel=1e-9)
    assert list(result.probabilities) == list(texts)
    assert result.label == max(products, key=products.__getitem__)
    assert result.coverage == pytest.approx(total, rel=1e-9)


def test_a_label_that_begins_another_stands_for_what_does_not_go_on_as_it() -> None:
    # "a" with "ab" and "acd" below it, "ab" with "abe" below it
    texts = own("a", "ab", "abe", "acd", "x")
    p = {text: product(PROMPT, tokenize(text.encode())) for text in texts}
    expected = {
        "a": p["a"] - p["ab"] - p["acd"],
        "ab": p["ab"] - p["abe"],
        "abe": p["abe"],
        "acd": p["acd"],
        "x": p["x"],
    }
    result = classify(texts)
    for text, probability in expected.items():
        assert math.exp(result.logprobs[text]) == pytest.approx(probability, rel=1e-9)
    # the events exclude each other, and together are "begins with a or x"
    assert result.coverage == pytest.approx(p["a"] + p["x"], rel=1e-9)


def test_with_the_end_each_label_is_the_whole_answer() -> None:
    result = classify(own("a", "ab"), Judgement(end=True))
    for text in ("a", "ab"):
        expected = product(PROMPT, [*tokenize(text.encode()), END])
        assert math.exp(result.logprobs[text]) == pytest.approx(expected, rel=1e-9)


def test_a_label_that_always_goes_on_has_no_probability_of_its_own() -> None:
    assert exclusive([(1,), (1, 2)], [-1.0, -1.0]) == [-math.inf, -1.0]
    assert exclusive([(1,), (1, 2)], [-math.inf, -math.inf]) == [-math.inf, -math.inf]


def judged(
    judgement: Judgement, logprobs: dict[str, float], prior: dict[str, float] | None = None
) -> Classification:
    """Judge log-probabilities made up for labels whose tokens are their characters."""
    from constrain.driver.classify import _Found

    lengths = tuple(map(len, logprobs))
    before = None if prior is None else _Found(tuple(prior.values()), lengths)
    return judgement.classification(
        own(*logprobs), _Found(tuple(logprobs.values()), lengths), before
    )


def odds(result: Classification, a: str, b: str) -> float:
    return math.log(result.probabilities[a] / result.probabilities[b])


def test_length_normalization_compares_means() -> None:
    given = {"é": -2.0, "abc": -3.0}
    assert odds(judged(Judgement(), given), "é", "abc") == pytest.approx(-2 + 3)
    per_token = judged(Judgement(normalize="token"), given)
    assert odds(per_token, "é", "abc") == pytest.approx(-2 / 1 + 3 / 3)
    ended = judged(Judgement(normalize="token", end=True), given)
    assert odds(ended, "é", "abc") == pytest.approx(-2 / 2 + 3 / 4)
    per_byte = judged(Judgement(normalize="byte"), given)
    assert odds(per_byte, "é", "abc") == pytest.approx(-2 / 2 + 3 / 3)
    assert per_byte.logprobs == given


def test_the_prior_divides_by_what_the_labels_get_without_the_question() -> None:
    # 0.6 : 0.3 after the question, 0.8 : 0.1 without it: 0.75 : 3
    given = {"a": math.log(0.6), "b": math.log(0.3)}
    prior = {"a": math.log(0.8), "b": math.log(0.1)}
    result = judged(Judgement(), given, prior)
    assert result.label == "b"
    assert result.probabilities["b"] == pytest.approx(3 / 3.75)
    assert result.logprobs == given


def test_a_prior_is_read_from_the_model_once() -> None:
    model = BranchingToy()
    judge = classifier(model)
    texts = own("true", "false")
    first = judge.classify([PROMPT], texts, Judgement(), [OTHER])
    n_read = len(model.decoded)
    assert judge.classify([PROMPT], texts, Judgement(), [OTHER]) == first
    assert len(model.decoded) == n_read + 1
    p = {t: product(PROMPT, tokenize(t.encode())) for t in texts}
    q = {t: product(OTHER, tokenize(t.encode())) for t in texts}
    expected = math.log(p["true"] / q["true"]) - math.log(p["false"] / q["false"])
    assert odds(first[0], "true", "false") == pytest.approx(expected, abs=1e-9)
    # other labels, and the end, have a prior of their own
    for others, judgement in ((own("na", "name"), Judgement()), (texts, Judgement(end=True))):
        (found,) = judge.classify([PROMPT], others, judgement, [OTHER])
        (fresh,) = classifier(BranchingToy()).classify([PROMPT], others, judgement, [OTHER])
        assert found == fresh


def test_below_the_threshold_there_is_no_label() -> None:
    given = {"a": math.log(0.6), "b": math.log(0.4)}
    assert judged(Judgement(threshold=0.6), given).label == "a"
    unsure = judged(Judgement(threshold=0.61), given)
    assert (unsure.label, unsure.best) == (None, "a")
    assert unsure.confidence == pytest.approx(0.6)


def test_measures_of_doubt() -> None:
    result = Classification("a", {"a": 0.5, "b": 0.25, "c": 0.25, "d": 0.0}, {})
    assert result.margin == 0.25
    assert result.entropy == pytest.approx(1.5 * math.log(2))  # 1.5 bits
    even = Classification("a", {"a": 0.5, "b": 0.5}, {"a": -1.0, "b": -1.0})
    assert (even.best, even.margin) == ("a", 0.0)  # of equals the first
    assert even.coverage == pytest.approx(2 * math.exp(-1))


def test_a_calibration_is_applied_last() -> None:
    given = {"a": math.log(0.8), "b": math.log(0.2)}
    softer = Temperature(temperature=2.0)
    result = judged(Judgement(calibration=softer), given)
    assert result.probabilities["a"] == pytest.approx(2 / 3)  # sqrt(0.8 / 0.2) = 2
    strict = judged(Judgement(calibration=softer, threshold=0.7), given)
    assert strict.label is None
    assert result.logprobs == given


def test_a_calibration_finds_its_labels_in_any_order() -> None:
    lift = Platt(slopes=(1.0, 1.0), intercepts=(5.0, 0.0), labels=("b", "a"))
    result = judged(Judgement(calibration=lift), {"a": math.log(0.8), "b": math.log(0.2)})
    assert list(result.probabilities) == ["a", "b"]
    # b: sigmoid(log(1/4) + 5), a: sigmoid(log(4)) = 0.8
    b = 1 / (1 + 4 * math.exp(-5))
    assert result.probabilities["b"] == pytest.approx(b / (b + 0.8))
    with pytest.raises(CalibrationError, match=r"made|for"):
        judged(Judgement(calibration=lift), {"a": -1.0, "c": -1.0})


def test_labels_that_a_calibration_cannot_tell_apart_are_refused() -> None:
    """A text label is known by itself, any other by its text: here both by "name"."""
    judgement = Judgement(calibration=Temperature(temperature=2.0))
    with pytest.raises(CalibrationError, match="labels 1 and 'name' are both 'name'"):
        classify({1: "name", "name": "true"}, judgement)
    fine = classify({1: "true", "false": "na"}, judgement)
    assert list(fine.probabilities) == [1, "false"]


def test_labels_without_any_probability_are_an_error() -> None:
    none = {"a": -math.inf, "b": -math.inf}
    with pytest.raises(DecodeError, match="probability 0"):
        judged(Judgement(), none)
    one = judged(Judgement(), {"a": -math.inf, "b": -9.0})
    assert one.probabilities == {"a": 0.0, "b": 1.0}
    assert one.entropy == 0.0


class Mood(Enum):
    """Members whose values are texts."""

    GOOD = "good"
    BAD = "bad"


class Stars(IntEnum):
    """Members whose values are integers."""

    ONE = 1
    TWO = 2


LABELS = [
    (["good", "bad"], {"good": "good", "bad": "bad"}),
    (("good", "bad"), {"good": "good", "bad": "bad"}),
    ({"good": " good", 0: " bad"}, {"good": " good", 0: " bad"}),
    (Mood, {Mood.GOOD: "good", Mood.BAD: "bad"}),
    (Stars, {Stars.ONE: "1", Stars.TWO: "2"}),
    (Literal["good", 2], {"good": "good", 2: "2"}),
    (Literal["good", "bad"], {"good": "good", "bad": "bad"}),
]


@pytest.mark.parametrize(("source", "labels"), LABELS)
def test_labels_come_in_many_forms(source: object, labels: dict[Any, str]) -> None:
    found = labels_of(source)
    assert found == labels
    assert list(found) == list(labels)


def test_a_named_literal_is_one_too() -> None:
    alias = getattr(typing, "TypeAliasType", None)
    if alias is None:
        pytest.skip("Python 3.12 and later have named type aliases")
    named = alias("Answer", Literal["yes", "no"])
    assert labels_of(named) == {"yes": "yes", "no": "no"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("good", "expected a list of texts"),
        (5, "expected a list of texts"),
        (["good"], "at least 2"),
        ([], "at least 2"),
        (["good", "good"], "two labels have the text 'good'"),
        ({"a": "good", "b": "good"}, "two labels have the text 'good'"),
        (["good", ""], "not empty"),
        (["good", 5], "label 5 has the int 5"),
        (Literal[True, False], "label True has the bool True .* dict from label to text"),
        (Literal["good", b"bad"], "bytes b'bad' where a text"),
        (["good", None], "label None has the NoneType None"),
        (Enum("Pair", [("A", 0.5), ("B", 1.5)]), "Pair.A.* has the float 0.5"),
        ({"good": 1, "bad": 2}, "label 'good' has the int 1"),
        ({"good", "bad"}, "no order; pass a list"),
        (frozenset({"good", "bad"}), "no order; pass a list"),
    ],
)
def test_wrong_labels_are_refused(source: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        labels_of(source)
    assert caught.value.name == "labels"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalize": "word"}, "normalize"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"threshold": "0.5"}, "threshold is '0.5'; expected a number from 0 to 1"),
        ({"threshold": None}, "threshold"),
        ({"normalize": ["none"]}, "normalize"),
        ({"end": "no"}, "end is 'no'; expected True or False"),
        ({"calibration": {"temperature": 2}}, "calibration"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        Judgement(**options)
    ((name, value),) = options.items()
    assert (caught.value.name, caught.value.value) == (name, pytest.approx(value, nan_ok=True))


def test_many_prompts_share_what_they_begin_with() -> None:
    model = BranchingToy()
    prompts = [[*PROMPT, 50, 51], [*PROMPT, 52], [*PROMPT, 50]]
    texts = own("true", "false", "na na")
    found = classifier(model).classify(prompts, texts, Judgement())
    assert [list(piece.token_ids) for (piece,) in model.decoded] == [PROMPT]
    for prompt, result in zip(prompts, found, strict=True):
        for text in texts:
            expected = product(prompt, tokenize(text.encode()))
            assert math.exp(result.logprobs[text]) == pytest.approx(expected, rel=1e-9)


def test_prompts_with_nothing_in_common_are_read_one_by_one() -> None:
    model = BranchingToy()
    prompts = [[50, 51], [52]]
    found = classifier(model).classify(prompts, own("true", "false"), Judgement())
    assert [list(piece.token_ids) for (piece,) in model.decoded] == prompts
    assert math.exp(found[1].logprobs["true"]) == pytest.approx(
        product([52], tokenize(b"true")), rel=1e-9
    )


def test_labels_of_their_own_are_chosen_by_the_threshold() -> None:
    answers = {
        "x": Classification("yes", {"yes": 0.7, "no": 0.3}, {}),
        "y": Classification("no", {"yes": 0.4, "no": 0.6}, {}),
        "z": Classification("yes", {"yes": 0.5, "no": 0.5}, {}),
    }
    result = MultiClassification.of(answers, 0.5)
    assert result.labels == ("x", "z")
    assert result.probabilities == {"x": 0.7, "y": 0.4, "z": 0.5}


class ToyJudge(Judging):
    """What `Model` inherits, over the toy."""

    def __init__(self, n_ctx: int = 64) -> None:
        self.model = BranchingToy(n_ctx=n_ctx)

    def prompt_tokens(self, prompt: Prompt) -> list[int]:
        return tokenize(str(prompt).encode())

    def _busy(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def _scorer(self) -> Scorer:
        tree = TreeEvaluator(SequenceCache(self.model), self.model, [END])
        return Scorer(tree, CanonicalTokenizer(tokenize, TOKENS))


@pytest.mark.parametrize("end", [False, True])
def test_the_tokens_of_a_classification_are_those_it_needs(end: bool) -> None:
    labels = {"short": "na", "long": "the name true"}
    n = ToyJudge().n_tokens_to_classify("the name", labels, end=end)
    # all but the last of the longest label is fed, and that too if the end is asked for
    longest = max(len(tokenize(text.encode())) for text in labels.values())
    assert n == len(PROMPT) + longest - (0 if end else 1)
    enough = ToyJudge(n_ctx=n)
    assert not enough.model.decoded
    assert enough.classify("the name", labels, end=end).label in labels
    with pytest.raises(LimitError) as caught:
        ToyJudge(n_ctx=n - 1).classify("the name", labels, end=end)
    assert (caught.value.given, caught.value.limit) == (n, n - 1)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (("true", "false", "na"), "two texts, for yes and for no"),
        (("true",), "two texts, for yes and for no"),
        ({"true", "false"}, "no order"),
    ],
)
def test_a_question_has_two_answers(answers: Any, message: str) -> None:
    judge = ToyJudge()
    with pytest.raises(ArgumentError, match=message):
        judge.classify_each("the", ["name"], question="{label}", answers=answers)
    assert not judge.model.decoded
    found = judge.classify_each("the", ["name"], question="{label}", answers=("true", "false"))
    assert list(found.answers["name"].probabilities) == ["true", "false"]


def test_questions_follow_the_text_or_the_last_message() -> None:
    texts = own("war", "peace")
    assert questions("T.", " {label}?", texts) == ["T. war?", "T. peace?"]
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "T."}]
    assert questions(chat, " {label}?", texts)[1] == [
        chat[0],
        {"role": "user", "content": "T. peace?"},
    ]
    for wrong in ("what?", 3):
        with pytest.raises(ArgumentError, match=r"question is .* a text with '{label}' in it"):
            questions("T.", wrong, texts)  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(DecodeError, match="last message"):
        questions([], " {label}?", texts)
