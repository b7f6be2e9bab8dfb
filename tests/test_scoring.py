"""Log-probabilities of continuations: the tree gives what a walk token by token gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrain.driver.branches import Continuation, TreeEvaluator
from constrain.driver.cache import SequenceCache
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.scoring import Score, Scorer
from constrain.errors import ArgumentError, DecodeError, LimitError
from tests.branching_toy import BranchingToy
from tests.toy_model import END, TOKENS, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.driver.protocol import Logits

PROMPT = tokenize(b"the name")


def evaluator(model: BranchingToy, end_ids: Sequence[int] = (END,)) -> TreeEvaluator:
    return TreeEvaluator(SequenceCache(model), model, end_ids)


def scorer(model: BranchingToy) -> Scorer:
    return Scorer(evaluator(model), CanonicalTokenizer(tokenize, TOKENS))


def step_by_step(prompt: Sequence[int], asked: Continuation) -> list[float]:
    """The definition: after each token log p = x - log(sum(exp(x))), in plain Python."""
    values = []
    steps = [*asked.token_ids, *([END] if asked.ends else [])]
    for i in range(asked.n_given, len(steps)):
        row = [float(x) for x in BranchingToy().logits((*prompt, *asked.token_ids[:i]))]
        total = math.log(math.fsum(math.exp(x) for x in row))
        values.append(row[steps[i]] - total)
    return values


# Few different tokens, so that continuations share beginnings, repeat and contain each other.
continuations = st.lists(
    st.builds(
        Continuation,
        st.lists(st.sampled_from([40, 41, 42]), min_size=1, max_size=5).map(tuple),
        st.integers(0, 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
).filter(lambda asked: all(len(c.token_ids) + c.ends > c.n_given for c in asked))


@settings(max_examples=150, deadline=None)
@given(continuations, st.sampled_from([0, 1, 2, 3, 63]), st.integers(0, 9))
def test_a_tree_gives_what_a_walk_gives(
    asked: list[Continuation], n_branches: int, room: int
) -> None:
    longest = max(len(c.token_ids) for c in asked)
    model = BranchingToy(n_branches, n_ctx=len(PROMPT) + longest + room)
    found = evaluator(model).logprobs(PROMPT, asked)
    for values, continuation in zip(found, asked, strict=True):
        assert values == pytest.approx(step_by_step(PROMPT, continuation), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(continuations)
def test_the_prompt_and_each_node_are_evaluated_once(asked: list[Continuation]) -> None:
    model = BranchingToy()
    evaluator(model).logprobs(PROMPT, asked)
    # What must be read: every beginning that is followed by something asked about.
    steps = [(*c.token_ids, *([END] if c.ends else [])) for c in asked]
    wanted = {
        s[:i] for s, c in zip(steps, asked, strict=True) for i in range(c.n_given, len(s))
    }
    fed = {s[:i] for s in steps for i in range(1, len(s))}
    assert [piece.token_ids for (piece,) in model.decoded] == [PROMPT]
    assert len(model.trees) == (1 if fed else 0)
    nodes = model.trees[0] if fed else []
    assert len(nodes) == len(fed)
    assert sum(node.wanted for node in nodes) == len(wanted - {()})


def test_a_small_model_takes_the_tree_in_parts_and_reads_each_node_once() -> None:
    asked = [Continuation((40, 41, token_id), ends=True) for token_id in (42, 43, 44)]
    model = BranchingToy(n_branches=2)
    evaluator(model).logprobs(PROMPT, asked)
    # two leaves in the first part; the shared nodes are fed again for the third, not read
    assert [[n.token_id for n in tree] for tree in model.trees] == [
        [40, 41, 42, 43],
        [40, 41, 44],
    ]
    assert [n.wanted for n in model.trees[1]] == [False, False, True]


def test_nothing_of_the_tree_is_kept() -> None:
    model = BranchingToy()
    cache = SequenceCache(model)
    tree = TreeEvaluator(cache, model, [END])
    tree.logprobs(PROMPT, [Continuation((40, 41))])
    assert list(cache.held(0)) == model.held[0] == PROMPT
    tree.logprobs([*PROMPT, 50], [Continuation((40, 41))])
    assert list(model.decoded[-1][0].token_ids) == [50]


def test_text_past_the_context_is_an_error_before_anything_is_fed() -> None:
    model = BranchingToy(n_ctx=len(PROMPT) + 2)
    evaluator(model).logprobs(PROMPT, [Continuation((40, 41, 42))])  # the last is not fed
    with pytest.raises(LimitError) as caught:
        evaluator(model).logprobs(PROMPT, [Continuation((40, 41, 42), ends=True)])
    assert (caught.value.given, caught.value.limit) == (len(PROMPT) + 3, len(PROMPT) + 2)


def test_the_end_is_any_end_token() -> None:
    model = BranchingToy()
    row = model.logits(tuple(PROMPT)).astype(np.float64)
    p = np.exp(row) / np.exp(row).sum()
    asked = [Continuation((), ends=True)]
    found = evaluator(model, end_ids=[END, 40]).logprobs(PROMPT, asked)
    assert found == [pytest.approx((math.log(p[END] + p[40]),), abs=1e-9)]
    with pytest.raises(DecodeError, match="no end token"):
        evaluator(model, end_ids=[]).logprobs(PROMPT, asked)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_logits_that_are_no_distribution_are_an_error(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BranchingToy()

    def logits(_held: tuple[int, ...]) -> Logits:
        row = np.zeros(len(TOKENS), np.float32)
        row[7] = wrong
        return row

    monkeypatch.setattr(model, "logits", logits)
    with pytest.raises(DecodeError, match="not numbers"):
        evaluator(model).logprobs(PROMPT, [Continuation((40,))])


def test_scores_are_sums_and_means() -> None:
    score = Score("aé", (7, 8), (-1.0, -2.0))
    assert score.logprob == -3.0
    assert score.per_token == -1.5
    assert score.per_byte == -1.0  # é has two bytes
    ended = Score("aé", (7, 8), (-1.0, -2.0), end_logprob=-3.0)
    assert (ended.logprob, ended.per_token, ended.per_byte) == (-6.0, -2.0, -2.0)
    assert math.isnan(Score("", (), (), end_logprob=-3.0).per_byte)


def test_completions_are_tokenized_on_their_own() -> None:
    found = scorer(BranchingToy()).score(PROMPT, [" the", "name", " the"], end=False)
    assert [score.tokens for score in found] == [
        (TOKENS.index(b" the"),), (TOKENS.index(b"name"),), (TOKENS.index(b" the"),),
    ]  # fmt: skip
    assert found[0] == found[2]
    for score in found:
        expected = step_by_step(PROMPT, Continuation(score.tokens))
        assert score.logprobs == pytest.approx(expected, abs=1e-9)
        assert score.end_logprob is None


def test_completions_may_come_from_an_iterator() -> None:
    texts = [" the", "name"]
    found = scorer(BranchingToy()).score(PROMPT, (text for text in texts), end=False)
    assert [score.text for score in found] == texts
    assert found == scorer(BranchingToy()).score(PROMPT, texts, end=False)
    wrong: Any = iter(["name", 5])
    with pytest.raises(ArgumentError, match="completion 1 is 5"):
        scorer(BranchingToy()).score(PROMPT, wrong, end=False)


def test_an_end_is_one_more_step() -> None:
    (score,) = scorer(BranchingToy()).score(PROMPT, ["na me"], end=True)
    expected = step_by_step(PROMPT, Continuation(score.tokens, ends=True))
    assert [*score.logprobs, score.end_logprob] == pytest.approx(expected, abs=1e-9)
    (silent,) = scorer(BranchingToy()).score(PROMPT, [""], end=True)
    assert silent.logprob == pytest.approx(step_by_step(PROMPT, Continuation((), ends=True))[0])


def test_no_completions_cost_nothing() -> None:
    model = BranchingToy()
    assert scorer(model).score(PROMPT, [], end=False) == []
    assert not model.decoded


@pytest.mark.parametrize(
    ("completions", "error", "message"),
    [
        ("yes", ArgumentError, "one text"),
        (5, ArgumentError, "completions are 5; expected a list"),
        (["a", ""], ArgumentError, "completion 1 is empty"),
        ([b"a"], ArgumentError, "expected a text"),
        (["a\ud800"], DecodeError, "lone surrogate at index 1"),
        (["a\x07"], DecodeError, "cannot spell"),
    ],
)
def test_wrong_completions_are_refused(
    completions: Any, error: type[Exception], message: str
) -> None:
    model = BranchingToy()
    with pytest.raises(error, match=message):
        scorer(model).score(PROMPT, completions, end=False)
    assert not model.decoded
