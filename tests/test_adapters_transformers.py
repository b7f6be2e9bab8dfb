"""The processor for transformers' `generate`, on a tiny model with random weights."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

import constrain
from constrain.adapters.transformers import GrammarLogitsProcessor
from constrain.errors import DecodeError, LimitError, TokenRejectedError, VocabularyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    # Warnings of torch and transformers about themselves; ours are errors elsewhere.
    pytest.mark.filterwarnings("default"),
]

END = 0
TOKENS = (
    b"<end>", b"<pad>", *(bytes([c]) for c in range(32, 127)),
    b'{"', b'":', b'",', b'"}', b"true", b"false", b"name", b"the", b"\n",
)  # fmt: skip
N_SCORES = 128  # wider than the vocabulary, as padded embeddings are
VOCABULARY = constrain.Vocabulary(TOKENS, [END], [1])
RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "ok": {"type": "boolean"},
        "n": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
    },
    "required": ["name", "ok"],
    "additionalProperties": False,
}
BUDGET = 60
PROMPTS = [[5, 9, 40, 41], [1, 1, 33, 34], [1, 60, 61, 62]]  # padded on the left


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    config = GPT2Config(
        vocab_size=N_SCORES,
        n_positions=128,
        n_embd=32,
        n_layer=1,
        n_head=2,
        initializer_range=0.3,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=1,
    )
    made: Any = GPT2LMHeadModel(config)
    made.eval()
    yield made
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def compiled() -> constrain.CompiledGrammar:
    return constrain.compile(constrain.json_schema(RECORD), VOCABULARY)


def generate(
    model: Any, processor: object, prompts: Sequence[Sequence[int]] = PROMPTS, **options: Any
) -> list[list[int]]:
    """What each row wrote, up to its end token."""
    import torch

    ids = torch.tensor(prompts)
    torch.manual_seed(options.pop("seed", 0))
    written = model.generate(
        ids,
        attention_mask=(ids != 1).long(),
        logits_processor=[processor],
        **{"max_new_tokens": BUDGET, "do_sample": True, "top_k": 0, **options},
    )
    rows = written[:, ids.shape[1] :].tolist()
    return [row[: row.index(END)] if END in row else row for row in rows]


def text(tokens: Sequence[int]) -> str:
    return b"".join(TOKENS[t] for t in tokens).decode()


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": False},
        {"seed": 1},
        {"seed": 2, "top_k": 3, "temperature": 2.0},
        {"seed": 3, "num_return_sequences": 3},
        {"do_sample": False, "num_beams": 4},
        {"do_sample": False, "num_beams": 4, "num_return_sequences": 2},
        {"seed": 4, "num_beams": 3},
    ],
    ids=str,
)
def test_every_row_is_valid_and_complete_within_the_budget(
    model: Any, compiled: constrain.CompiledGrammar, options: dict[str, Any]
) -> None:
    processor = GrammarLogitsProcessor(
        compiled, max_new_tokens=BUDGET, num_beams=options.get("num_beams", 1)
    )
    rows = generate(model, processor, **options)
    assert len(rows) == len(PROMPTS) * options.get("num_return_sequences", 1)
    for tokens in rows:
        jsonschema.validate(json.loads(text(tokens)), RECORD)
        constrain.check(compiled.grammar, text(tokens))


def tiny_seq2seq() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=N_SCORES, d_model=32, d_ff=32, d_kv=16, num_layers=1, num_heads=2
    )
    config.decoder_start_token_id = config.pad_token_id = 1
    config.eos_token_id = END
    return T5ForConditionalGeneration(config)


def tiny_llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=N_SCORES,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=1,
    )
    return LlamaForCausalLM(config)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (tiny_seq2seq, {}),
        (tiny_seq2seq, {"do_sample": False, "num_beams": 3}),
        (tiny_llama, {"cache_implementation": "static"}),
        (tiny_llama, {"do_sample": False, "num_beams": 3}),
    ],
)
def test_other_architectures_and_caches(
    compiled: constrain.CompiledGrammar, make: Callable[[], Any], options: dict[str, Any]
) -> None:
    import torch

    torch.manual_seed(7)
    other = make().eval()
    processor = GrammarLogitsProcessor(
        compiled, max_new_tokens=BUDGET, num_beams=options.get("num_beams", 1)
    )
    ids = torch.tensor(PROMPTS)
    written = other.generate(
        ids,
        attention_mask=(ids != 1).long(),
        logits_processor=[processor],
        **{"max_new_tokens": BUDGET, "do_sample": True, "top_k": 0, **options},
    )
    # An encoder reads the prompt: what is returned begins with the decoder's one start token.
    n_prompt = 1 if other.config.is_encoder_decoder else ids.shape[1]
    for row in written[:, n_prompt:].tolist():
        tokens = row[: row.index(END)] if END in row else row
        jsonschema.validate(json.loads(text(tokens)), RECORD)
    assert processor.are_complete(written) == [True] * len(PROMPTS)


@pytest.mark.parametrize(
    "options", [{"prompt_lookup_num_tokens": 3}, {"assistant_model": None}]
)
def test_assisted_generation_is_an_error(
    model: Any, compiled: constrain.CompiledGrammar, options: dict[str, Any]
) -> None:
    if "assistant_model" in options:
        options = {"assistant_model": model}
    processor = GrammarLogitsProcessor(compiled, max_new_tokens=BUDGET)
    with pytest.raises(DecodeError, match="one token more"):
        generate(model, processor, PROMPTS[:1], do_sample=False, **options)


@pytest.mark.parametrize("n_more", range(4))
def test_small_budgets_are_kept(
    model: Any, compiled: constrain.CompiledGrammar, n_more: int
) -> None:
    budget = compiled.min_tokens + 1 + n_more
    processor = GrammarLogitsProcessor(compiled, max_new_tokens=budget)
    for tokens in generate(model, processor, max_new_tokens=budget, seed=n_more):
        assert len(tokens) < budget
        constrain.check(compiled.grammar, text(tokens))


def test_without_a_grammar_the_model_writes_no_such_thing(model: Any) -> None:
    for tokens in generate(model, lambda _, scores: scores):
        with pytest.raises(ValueError, match=r"Expecting|Extra|UTF|index|control|delimiter"):
            json.loads(b"".join(TOKENS[t] for t in tokens if t < len(TOKENS)))


def test_greedy_takes_the_likeliest_allowed_token_at_each_step(
    model: Any, compiled: constrain.CompiledGrammar
) -> None:
    import torch

    processor = GrammarLogitsProcessor(compiled, max_new_tokens=BUDGET)
    for prompt in PROMPTS[:1]:
        [tokens] = generate(model, processor, [prompt], do_sample=False)
        matcher = compiled.matcher()
        held = list(prompt)
        for token_id in [*tokens, END]:
            with torch.no_grad():
                row = model(torch.tensor([held])).logits[0, -1, : len(TOKENS)].numpy()
            mask = matcher.mask()
            assert token_id == int(np.where(mask, row, -np.inf).argmax())
            matcher.accept(token_id)
            held.append(token_id)


def test_beams_of_few_choices_end_in_one_of_them(model: Any) -> None:
    # Fewer texts than beams: beam search fills up with forbidden candidates of score -inf.
    compiled = constrain.compile(constrain.choice(["true", "false"]), VOCABULARY)
    for n in (2, 5):
        processor = GrammarLogitsProcessor(compiled, max_new_tokens=8, num_beams=n)
        for tokens in generate(
            model, processor, do_sample=False, num_beams=n, max_new_tokens=8
        ):
            assert text(tokens) in {"true", "false"}


def test_rows_that_beam_search_filled_up_with_are_told_apart(model: Any) -> None:
    import torch

    compiled = constrain.compile(constrain.choice(["abc"]), VOCABULARY)
    processor = GrammarLogitsProcessor(compiled, max_new_tokens=6, num_beams=4)
    ids = torch.tensor([PROMPTS[0], PROMPTS[0]])
    torch.manual_seed(0)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        logits_processor=[processor],
        max_new_tokens=6,
        num_beams=4,
        num_return_sequences=4,
        do_sample=True,
        top_k=0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    rows = out.sequences[:, ids.shape[1] :].tolist()
    texts = [row[: row.index(END)] if END in row else row for row in rows]
    whole = processor.are_complete(out)
    assert whole == [text(tokens) == "abc" for tokens in texts]
    assert whole == processor.are_complete(out.sequences)
    # One text for each prompt: three rows of four are filled up with, as their scores say
    # (transformers' -1e9 by at most 6 tokens); copies of the text, or no text at all.
    likely = {row for row, score in enumerate(out.sequences_scores.tolist()) if score > -1e8}
    assert likely == {0, 4}
    assert all(whole[row] for row in likely)
    assert not all(whole)


@pytest.mark.parametrize("options", [{"max_new_tokens": 5}, {"eos_token_id": 2}], ids=str)
def test_rows_that_generate_cut_off_are_told_apart(model: Any, options: dict[str, Any]) -> None:
    import torch

    # Of the first text, 5 tokens are all but the end; the second is cut within. The token 2,
    # a space, ends the first row in the middle, for generate() takes it for an end token.
    for written, whole in (("a b c", True), ("a b d e", False)):
        compiled = constrain.compile(constrain.choice([written]), VOCABULARY)
        processor = GrammarLogitsProcessor(compiled)
        ids = torch.tensor([PROMPTS[0]])
        rows = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            logits_processor=[processor],
            **{"max_new_tokens": 20, "do_sample": False, **options},
        )
        is_cut_by_limit = "max_new_tokens" in options
        assert processor.are_complete(rows) == [whole and is_cut_by_limit]


def test_padding_after_the_end_and_prompts_do_not_count() -> None:
    import torch

    compiled = constrain.compile(constrain.choice(["ab", "ba"]), VOCABULARY)
    a, b = TOKENS.index(b"a"), TOKENS.index(b"b")
    processor = GrammarLogitsProcessor(compiled, num_beams=2)
    with pytest.raises(DecodeError, match="never called"):
        processor.are_complete(rows_of([9, 8, a, b]))
    processor(rows_of([9, 8], [9, 8]), even(2))
    rows = [[a, b, END, 1], [a, b, END, END], [b, a, END, b], [a, b, 1, 1], [a, END, 1, 1],
            [a, a, END, 1], [1, 1, 1, 1]]  # fmt: skip
    assert processor.are_complete(torch.tensor([[9, 8, *row] for row in rows])) == [
        *[True] * 3,  # what stands after the end is no text
        *[False] * 4,  # no end, no text of the grammar, nothing written
    ]
    assert processor.are_complete(rows_of([9, 8, a, b])) == [True]
    with pytest.raises(DecodeError, match="rows of 1 tokens"):
        processor.are_complete(rows_of([9]))


def test_weights_of_the_grammar_are_added(model: Any) -> None:
    for wished in ("true", "false"):
        grammar = constrain.choice({"true": 0.0, "false": 0.0} | {wished: 50.0})
        processor = GrammarLogitsProcessor(constrain.compile(grammar, VOCABULARY))
        assert {text(tokens) for tokens in generate(model, processor)} == {wished}


def rows_of(*rows: Sequence[int]) -> Any:
    import torch

    return torch.tensor(rows)


def even(n_rows: int) -> Any:
    import torch

    return torch.zeros(n_rows, N_SCORES)


def allowed(scores: Any) -> list[set[bytes]]:
    return [{TOKENS[int(t)] for t in np.flatnonzero(row > -np.inf)} for row in scores.numpy()]


def test_rows_are_followed_by_what_they_wrote_not_by_their_place() -> None:
    compiled = constrain.compile(constrain.choice(["ab", "ba", "cc"]), VOCABULARY)
    a, b, c = (TOKENS.index(data) for data in (b"a", b"b", b"c"))
    processor = GrammarLogitsProcessor(compiled, num_beams=3)
    first = processor(rows_of([9, 8], [9, 8], [9, 8]), even(3))
    assert allowed(first) == [{b"a", b"b", b"c"}] * 3
    # Beams were reordered: nobody is where it was, one is there twice.
    second = processor(rows_of([9, 8, c], [9, 8, a], [9, 8, a]), even(3))
    assert allowed(second) == [{b"c"}, {b"b"}, {b"b"}]
    third = processor(rows_of([9, 8, a, b], [9, 8, c, c], [9, 8, a, a]), even(3))
    assert allowed(third) == [{b"<end>"}, {b"<end>"}, set()]  # the last was forbidden


def test_with_one_beam_a_forbidden_token_is_an_error() -> None:
    compiled = constrain.compile(constrain.choice(["ab"]), VOCABULARY)
    processor = GrammarLogitsProcessor(compiled)
    processor(rows_of([9]), even(1))
    with pytest.raises(TokenRejectedError):
        processor(rows_of([9, TOKENS.index(b"b")]), even(1))


@pytest.mark.parametrize(
    "second",
    [
        [[9, 8]],  # the first call's prompt again
        [[9, 8, 7, 7]],  # two tokens at once
        [[9, 9, 66]],  # another prompt
        [[9, 8, 66], [9, 8, 66]],  # another row
    ],
)
def test_a_processor_serves_one_call_of_generate(second: list[list[int]]) -> None:
    compiled = constrain.compile(constrain.regex("[a-z]*"), VOCABULARY)
    processor = GrammarLogitsProcessor(compiled)
    processor(rows_of([9, 8]), even(1))
    with pytest.raises(DecodeError, match="make a new"):
        processor(rows_of(*second), even(len(second)))


def test_a_row_that_continues_none_is_an_error() -> None:
    compiled = constrain.compile(constrain.regex("[a-z]*"), VOCABULARY)
    processor = GrammarLogitsProcessor(compiled, num_beams=2)
    a, b = TOKENS.index(b"a"), TOKENS.index(b"b")
    processor(rows_of([9], [9]), even(2))
    processor(rows_of([9, a], [9, a]), even(2))
    with pytest.raises(DecodeError, match="none of the last rows"):
        processor(rows_of([9, a, a], [9, b, a]), even(2))


def test_the_last_token_of_the_budget_is_the_end() -> None:
    compiled = constrain.compile(constrain.regex("a*"), VOCABULARY)
    processor = GrammarLogitsProcessor(compiled, max_new_tokens=3)
    a = TOKENS.index(b"a")
    assert allowed(processor(rows_of([9]), even(1))) == [{b"a", b"<end>"}]
    assert allowed(processor(rows_of([9, a]), even(1))) == [{b"a", b"<end>"}]
    assert allowed(processor(rows_of([9, a, a]), even(1))) == [{b"<end>"}]


def test_scores_that_leave_no_choice_are_an_error() -> None:
    compiled = constrain.compile(constrain.choice(["ab"]), VOCABULARY)
    broken = even(1)
    broken[0, 3] = np.nan
    with pytest.raises(DecodeError, match="NaN"):
        GrammarLogitsProcessor(compiled)(rows_of([9]), broken)
    for n in (1, 2):
        with pytest.raises(DecodeError, match="no token"):
            GrammarLogitsProcessor(compiled, num_beams=n)(rows_of([9]), even(1) - np.inf)
    with pytest.raises(DecodeError, match="compiled for"):
        GrammarLogitsProcessor(compiled)(rows_of([9]), even(1)[:, :50])


def test_what_cannot_work_is_refused_at_once() -> None:
    compiled = constrain.compile(constrain.choice(["abc"]), VOCABULARY)
    with pytest.raises(LimitError) as caught:
        GrammarLogitsProcessor(compiled, max_new_tokens=3)
    assert caught.value.given == 4  # three letters and the end
    with pytest.raises(VocabularyError, match="tokenizer"):
        GrammarLogitsProcessor(constrain.choice(["abc"]))
    endless = constrain.compile(constrain.choice(["a"]), constrain.Vocabulary([b"a"], ()))
    with pytest.raises(VocabularyError, match="no end token"):
        GrammarLogitsProcessor(endless)
