"""The decode loop on a toy model: budget, forced tokens, caches, failures, cancelling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from constrain.driver.cache import SequenceCache, common_prefix
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.loop import Loop
from constrain.driver.sequence import Output, Request, text_mask
from constrain.driver.stream import Stream
from constrain.errors import DecodeError, LimitError
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary
from tests.toy_model import CONTROL, END, TOKENS, ListMatcher, ToyModel, people, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.automaton import Matcher
    from constrain.driver.result import Result

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])
CANONICAL = CanonicalTokenizer(tokenize, TOKENS)
PROMPT = tokenize(b"Write a person: ")
PEOPLE = people()


def output(
    texts: Sequence[str] | None,
    *,
    prompt: Sequence[int] = PROMPT,
    max_tokens: int = 100,
    seed: int = 0,
    n_ctx: int = 256,
    stop: Sequence[str] = (),
) -> Output:
    matcher = None if texts is None else cast("Matcher", ListMatcher(texts))
    request = Request(
        prompt=prompt,
        sampler=Sampler(Sampling(temperature=1.0, seed=seed), VOCABULARY),
        max_tokens=max_tokens,
        matcher=matcher,
        stop=stop,
    )
    return Output(request, VOCABULARY, CANONICAL, n_ctx)


def run(model: ToyModel, *outputs: Output, reuse: bool = True) -> list[Result]:
    Loop(SequenceCache(model, reuse=reuse), outputs).run()
    return [out.result() for out in outputs]


def wish_long(held: tuple[int, ...]) -> dict[int, float]:
    """Wants what makes the longest person: x and more x."""
    del held
    return {TOKENS.index(b"x"): 20.0, END: -20.0}


@pytest.mark.parametrize("seed", range(8))
def test_every_output_is_on_the_list_and_its_tokens_spell_it(seed: int) -> None:
    [result] = run(ToyModel(), output(PEOPLE, seed=seed))
    assert result.text in PEOPLE
    assert b"".join(result.token_bytes) == result.text.encode()
    assert result.finish_reason == "stop"


def test_forced_tokens_ride_with_the_sampled_one_in_a_single_call() -> None:
    # Only the letter is free: the prompt goes with '{"name": "', the letter with the rest.
    texts = ['{"name": "A", "ok": true}', '{"name": "B", "ok": true}']
    model = ToyModel()
    [result] = run(model, output(texts))
    assert len(model.decoded) == 1
    [[piece]] = model.decoded
    assert list(piece.token_ids) == PROMPT + tokenize(b'{"name": "')
    assert sum(not forced for forced in result.forced) == 1
    sampled = next(step for step in result.steps if not step.forced)
    assert sampled.data in (b"A", b"B")
    assert sampled.n_allowed == 2
    assert result.n_model_calls == model.n_calls


def test_a_token_is_held_back_only_where_a_longer_one_may_come() -> None:
    # The vocabulary has '":' and '": "'. Before a number only the first can come, and the
    # digit is the one choice; before a string the model may choose between them.
    number = ToyModel()
    run(number, output(['{"ok":1}', '{"ok":2}']))
    assert len(number.decoded) == 1
    assert TOKENS[number.held[0][-1]] == b'":'
    either = ToyModel()
    run(either, output(['{"ok": "1"}', '{"ok": 2}']))
    assert TOKENS[either.decoded[0][0].token_ids[-1]] == b"k"


def test_a_text_without_any_choice_needs_no_model_call() -> None:
    model = ToyModel()
    [result] = run(model, output(["true"]))
    assert (result.text, result.finish_reason) == ("true", "stop")
    assert result.n_model_calls == model.n_calls == 0
    assert result.logprobs == (None,) * len(result.tokens)


def test_forced_tokens_have_no_logprob_and_sampled_ones_do() -> None:
    [result] = run(ToyModel(), output(PEOPLE))
    for step in result.steps:
        assert (step.logprob is None) == step.forced
        if step.logprob is not None and step.removed_mass is not None:
            # renormalizing divides by the mass that is left
            left = 1 - step.removed_mass
            assert step.logprob <= step.masked_logprob <= 0 <= left <= 1


@pytest.mark.parametrize("wish", [None, wish_long])
@pytest.mark.parametrize("texts", [PEOPLE, ['"' + "x" * n + '"' for n in range(40)]])
def test_any_sufficient_budget_gives_a_complete_output(texts: list[str], wish: object) -> None:
    needed = ListMatcher(texts).min_tokens
    for budget in range(needed, needed + 30):
        for seed in range(3):
            model = ToyModel(wish=wish_long if wish else None)
            [result] = run(model, output(texts, max_tokens=budget, seed=seed))
            assert result.text in texts
            assert len(result.tokens) <= budget
            assert result.finish_reason == "stop"


def test_a_budget_is_used_up_when_the_model_wants_more() -> None:
    texts = ['"' + "x" * n + '"' for n in range(40)]
    [result] = run(ToyModel(wish=wish_long), output(texts, max_tokens=12))
    # ten x and two quotes: the longest text that twelve tokens spell
    assert result.text == '"xxxxxxxxxx"'
    assert result.shortened
    [free] = run(ToyModel(wish=wish_long), output(texts, max_tokens=41))
    assert free.text == '"' + "x" * 39 + '"'
    assert not free.shortened


def test_canonical_tokens_that_do_not_fit_the_budget_are_left_out() -> None:
    letters = CanonicalTokenizer(lambda data: [TOKENS.index(bytes([b])) for b in data], TOKENS)
    for budget in range(2, 6):
        # five letters, but "name" is a token: two tokens suffice
        matcher = cast("Matcher", ListMatcher(['name"']))
        request = Request(PROMPT, Sampler(Sampling(seed=1), VOCABULARY), budget, matcher)
        out = Output(request, VOCABULARY, letters, 256)
        Loop(SequenceCache(ToyModel()), [out]).run()
        result = out.result()
        assert (result.text, result.finish_reason) == ('name"', "stop")
        assert len(result.tokens) <= budget


def test_a_budget_below_the_shortest_output_names_the_number_needed() -> None:
    needed = ListMatcher(PEOPLE).min_tokens
    with pytest.raises(LimitError, match="max_tokens") as caught:
        output(PEOPLE, max_tokens=needed - 1)
    assert (caught.value.given, caught.value.limit) == (needed, needed - 1)


def test_the_context_is_a_budget_too() -> None:
    needed = ListMatcher(PEOPLE).min_tokens
    room = len(PROMPT) + needed
    model = ToyModel(n_ctx=room)
    [result] = run(model, output(PEOPLE, n_ctx=room))
    assert result.text in PEOPLE
    with pytest.raises(LimitError, match="n_ctx"):
        output(PEOPLE, n_ctx=room - 1)


def test_a_prompt_longer_than_the_context_names_both_numbers() -> None:
    with pytest.raises(LimitError, match="prompt") as caught:
        output(None, prompt=[5] * 64, n_ctx=64)
    assert (caught.value.given, caught.value.limit) == (64, 63)


def test_without_a_grammar_the_budget_or_the_context_ends_the_text() -> None:
    def never_ends(held: tuple[int, ...]) -> dict[int, float]:
        del held
        return {END: -100.0}

    [short] = run(ToyModel(wish=never_ends), output(None, max_tokens=7))
    assert (short.finish_reason, len(short.tokens)) == ("length", 7)
    model = ToyModel(wish=never_ends, n_ctx=len(PROMPT) + 5)
    [full] = run(model, output(None, n_ctx=len(PROMPT) + 5))
    assert (full.finish_reason, len(full.tokens)) == ("context", 5)


def test_an_end_token_ends_free_text_and_is_no_part_of_it() -> None:
    [result] = run(
        ToyModel(wish=lambda held: {END: 50.0 if len(held) > 20 else -50.0}), output(None)
    )
    assert result.finish_reason == "stop"
    assert result.end is not None
    assert result.end.token_id == END
    assert END not in result.tokens


def test_free_text_never_holds_control_tokens() -> None:
    [result] = run(
        ToyModel(wish=lambda _: {CONTROL: 100.0, 2: 100.0}), output(None, max_tokens=20)
    )
    assert not {CONTROL, 2} & set(result.tokens)


def test_the_mask_of_free_text_is_all_but_control_and_empty_tokens() -> None:
    words = text_mask(VOCABULARY)
    allowed = {t for t in range(len(words) * 32) if int(words[t // 32]) >> (t % 32) & 1}
    assert allowed == set(range(len(TOKENS))) - {CONTROL, 2}


def test_a_stop_string_ends_the_text_before_it() -> None:
    def spell(held: tuple[int, ...]) -> dict[int, float]:
        text = tokenize(b"one STOP two")
        return {text[len(held) - len(PROMPT)]: 100.0}

    [result] = run(ToyModel(wish=spell), output(None, stop=["STOP", "never"]))
    assert (result.text, result.finish_reason) == ("one ", "stop")


@pytest.mark.parametrize("reuse", [True, False])
def test_a_kept_prefix_gives_what_a_fresh_model_gives(*, reuse: bool) -> None:
    model = ToyModel()
    cache = SequenceCache(model, reuse=reuse)
    for prompt in (PROMPT, PROMPT[:6], [*PROMPT, 9, 9], PROMPT, [7, *PROMPT]):
        out = output(PEOPLE, prompt=prompt)
        Loop(cache, [out]).run()
        [fresh] = run(ToyModel(), output(PEOPLE, prompt=prompt))
        assert out.result().text == fresh.text
        assert out.result().logprobs == fresh.logprobs
        assert list(cache.held(0)) == model.held[0]


def test_a_shared_beginning_is_fed_once() -> None:
    model = ToyModel()
    cache = SequenceCache(model)
    Loop(cache, [output(["a", "b"])]).run()
    Loop(cache, [output(["a", "b"])]).run()
    assert [p.start for [p] in model.decoded] == [0, len(PROMPT) - 1]
    assert list(model.decoded[1][0].token_ids) == PROMPT[-1:]


def test_a_model_that_cannot_go_back_is_fed_afresh() -> None:
    model = ToyModel()
    model.recurrent = True
    cache = SequenceCache(model)
    Loop(cache, [output(["a", "b"])]).run()
    Loop(cache, [output(["a", "b"])]).run()
    assert [p.start for [p] in model.decoded] == [0, 0]
    assert list(cache.held(0)) == model.held[0]


def test_a_prompt_goes_to_the_sequence_that_shares_most_with_it() -> None:
    model = ToyModel(n_sequences=2)
    cache = SequenceCache(model)
    other = [9, 8, 7, 6]
    Loop(cache, [output(["a", "b"]), output(["a", "b"], prompt=other)]).run()
    Loop(cache, [output(["a", "b"], prompt=other), output(["a", "b"])]).run()
    assert [(p.sequence, p.start) for p in model.decoded[1]] == [
        (1, len(other) - 1),
        (0, len(PROMPT) - 1),
    ]


def test_several_outputs_share_each_call_and_equal_those_made_alone() -> None:
    prompts = [PROMPT, PROMPT[2:], [5, 6, 7], [*PROMPT, 8], [9]]
    model = ToyModel(n_sequences=3)
    many = run(model, *(output(PEOPLE, prompt=p, seed=i) for i, p in enumerate(prompts)))
    for i, prompt in enumerate(prompts):
        [alone] = run(ToyModel(), output(PEOPLE, prompt=prompt, seed=i))
        assert many[i].text == alone.text
        assert many[i].logprobs == alone.logprobs
    assert max(map(len, model.decoded)) == 3


@pytest.mark.parametrize("failure", [DecodeError("boom"), KeyboardInterrupt()])
def test_a_failing_model_emits_nothing_and_can_be_used_again(failure: BaseException) -> None:
    texts = ['"' + "x" * n + '"' for n in range(40)]
    for fail_at in (1, 2, 3):
        model = ToyModel(wish=wish_long)
        model.fail_at, model.failure = fail_at, failure
        cache = SequenceCache(model)
        out = output(texts)
        loop = Loop(cache, [out])
        for _ in range(fail_at - 1):
            loop.step()
        before, held = out.result().tokens, cache.held(0)
        with pytest.raises(type(failure)):
            loop.step()
        assert out.result().tokens == before
        assert cache.held(0)[: len(held)] == held[: len(cache.held(0))]
        assert list(cache.held(0)) == model.held[0]
        model.fail_at = None
        again = output(PEOPLE)
        Loop(cache, [again]).run()
        [fresh] = run(ToyModel(wish=wish_long), output(PEOPLE))
        assert again.result().text == fresh.text


def test_an_error_in_the_mask_emits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = output(PEOPLE)
    loop = Loop(SequenceCache(ToyModel()), [out])
    before = out.result().tokens

    def broken(_self: ListMatcher, _token_id: int) -> None:
        raise LimitError("threads", 5000, 4096)

    monkeypatch.setattr(ListMatcher, "accept", broken)
    with pytest.raises(LimitError):
        loop.run()
    assert out.result().tokens == before


def stream(
    texts: Sequence[str] | None, *, stop: Sequence[str] = ()
) -> tuple[Stream, list[str]]:
    released: list[str] = []
    out = output(texts, stop=stop, max_tokens=60)
    loop = Loop(SequenceCache(ToyModel()), [out])
    return Stream(loop, out, lambda: released.append("released")), released


@pytest.mark.parametrize("texts", [PEOPLE, ["😀é", "é😀"], None])
def test_pieces_join_to_the_text_and_never_split_a_character(texts: list[str] | None) -> None:
    flow, released = stream(texts)
    pieces = list(flow)
    assert all(pieces)
    assert "".join(pieces) == flow.result.text
    if texts is not None:
        assert flow.result.text in texts
        assert "\ufffd" not in "".join(pieces)
    assert released == ["released"]


def test_a_cancelled_stream_has_the_partial_text_and_no_value() -> None:
    with stream(None)[0] as flow:
        first = next(flow)
    assert flow.result.finish_reason == "cancelled"
    assert flow.result.text.startswith(first)
    assert flow.result.value is None
    assert first + "".join(flow) == flow.result.text


def test_ctrl_c_in_a_step_cancels_the_stream_and_frees_the_model() -> None:
    released: list[str] = []
    out = output(None)
    model = ToyModel()
    flow = Stream(Loop(SequenceCache(model), [out]), out, lambda: released.append("x"))
    first = next(flow)
    model.fail_at, model.failure = len(model.decoded) + 1, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        list(flow)
    assert released == ["x"]
    assert flow.result.finish_reason == "cancelled"
    assert flow.result.text.startswith(first)


def test_the_result_of_an_unfinished_stream_is_an_error() -> None:
    flow, released = stream(PEOPLE)
    with pytest.raises(DecodeError, match="not finished"):
        _ = flow.result
    flow.cancel()
    assert flow.result.finish_reason == "cancelled"
    assert released == ["released"]


def test_an_abandoned_stream_frees_the_model() -> None:
    flow, released = stream(None)
    next(flow)
    del flow
    assert released == ["released"]


def test_people_is_json() -> None:
    assert {type(json.loads(text)) for text in PEOPLE} == {dict}
    assert common_prefix([], [1]) == 0
