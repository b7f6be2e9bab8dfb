"""What was written counts: banned texts, spared structure, forced tokens, DRY's breakers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from constrain.errors import DecodeError
from constrain.sampling import Sampler, Sampling, processors
from constrain.sampling.banned import BannedTexts
from constrain.sampling.history import TokenWindow, is_structural
from constrain.sampling.token_search import TokenSearch
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import pack

END = 0
# Everything up to three letters of two, an end token, and a control token that looks like text.
LETTERS = [
    b"<end>", b"ab", b"",
    b"a", b"b", b"aa", b"ab", b"ba", b"bb", b"aab", b"abb", b"bab", b"c", b"ca",
]  # fmt: skip
VOCABULARY = Vocabulary(LETTERS, [END], [1])
ALL = np.ones(len(LETTERS), bool)

texts = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=3)


def banned_ids(banned: BannedTexts, written: bytes) -> set[int]:
    return set(banned.always.tolist()) | set(banned.completing(written).tolist())


@given(texts, st.text("abc", max_size=8))
@settings(max_examples=300, deadline=None)
@example(["aba", "b"], "ab")
@example(["aa"], "a")
def test_banned_tokens_are_those_that_complete_a_text(words: list[str], written: str) -> None:
    banned = BannedTexts([word.encode() for word in words], TokenSearch(VOCABULARY))
    logits = processors.ban_texts(
        np.zeros(len(LETTERS), np.float32),
        [b"" if i in VOCABULARY.control_ids else token for i, token in enumerate(LETTERS)],
        [word.encode() for word in words],
        written.encode(),
    )
    expected = set(np.flatnonzero(np.isneginf(logits)).tolist())
    assert banned_ids(banned, written.encode()) == expected
    reach = banned.reach
    assert banned_ids(banned, written.encode()[-reach:] if reach else b"") == expected


@pytest.mark.parametrize("seed", range(10))
def test_a_banned_text_is_never_written_whatever_the_tokens(seed: int) -> None:
    words = ("aba", "bb", "cac")
    sampler = Sampler(Sampling(banned=words, seed=seed), VOCABULARY)
    logits = np.zeros(len(LETTERS), np.float32)
    mask = ALL.copy()
    mask[[0, 1, 2]] = False
    text = b""
    for _ in range(60):
        token_id = sampler.sample(logits, pack(mask)).token_id
        sampler.accept(token_id)
        text += LETTERS[token_id]
    assert len(text) > 60
    assert not any(word.encode() in text for word in words)


def test_bytes_of_characters_are_banned_across_tokens() -> None:
    euro = "€".encode()
    vocabulary = Vocabulary([euro[:1], euro[1:2], euro[2:], b"x"], [])
    sampler = Sampler(Sampling(temperature=0, banned=("€",)), vocabulary)
    for token_id in (0, 1):
        sampler.accept(token_id)
    logits = np.array([0, 0, 9, 1], np.float32)
    assert sampler.sample(logits, pack(np.ones(4, bool))).token_id == 3


def test_a_ban_leaves_the_distribution_of_the_others_and_the_models_numbers() -> None:
    logits = np.log(np.arange(1, 5)).astype(np.float32)
    vocabulary = Vocabulary([b"a", b"b", b"c", b"d"], [])
    sampler = Sampler(Sampling(banned=("d",), seed=1), vocabulary)
    counts = [0] * 4
    n = 20_000
    for _ in range(n):
        counts[sampler.sample(logits, pack(np.ones(4, bool))).token_id] += 1
    sample = sampler.sample(logits, pack(np.ones(4, bool)))
    # a, b, c with 1/6, 2/6, 3/6. Chi-square with 2 degrees of freedom: 0.999 at 13.82.
    assert counts[3] == 0
    expected = [n / 6, n / 3, n / 2]
    assert sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=False)) < 13.82
    assert sample.n_allowed == 4
    assert sample.removed_mass == 0
    assert sample.logprob == pytest.approx(np.log((sample.token_id + 1) / 10), abs=1e-6)
    assert sample.masked_logprob == pytest.approx(sample.logprob, abs=1e-6)
    assert sample.sampling_logprob == pytest.approx(np.log((sample.token_id + 1) / 6), abs=1e-6)


def test_a_ban_over_many_tokens_is_exact() -> None:
    n_vocab = 9000
    rng = np.random.default_rng(2)
    logits = rng.standard_normal(n_vocab).astype(np.float32)
    vocabulary = Vocabulary([b"t%d." % i for i in range(n_vocab)], [])
    sampler = Sampler(Sampling(banned=("1", "7.t5"), top_p=0.9, seed=4), vocabulary)
    sampler.accept(507)
    tokens = [vocabulary.tokens[i] for i in range(n_vocab)]
    kept = processors.ban_texts(logits, tokens, [b"1", b"7.t5"], b"t507.")
    assert np.isneginf(kept).sum() > 3000
    logs = processors.log_softmax(processors.top_p(kept, 0.9))
    for _ in range(30):
        sample = sampler.sample(logits, pack(np.ones(n_vocab, bool)))
        assert sample.sampling_logprob == pytest.approx(logs[sample.token_id], abs=4e-6)


def test_a_ban_yields_under_a_grammar_and_nowhere_else() -> None:
    mask = np.zeros(len(LETTERS), bool)
    mask[[3, 5]] = True  # a, aa: both are banned
    logits = np.zeros(len(LETTERS), np.float32)
    free = Sampler(Sampling(banned=("a",), seed=1), VOCABULARY)
    with pytest.raises(DecodeError, match="banned text"):
        free.sample(logits, pack(mask))
    bound = Sampler(Sampling(banned=("a",), seed=1), VOCABULARY, constrained=True)
    assert {bound.sample(logits, pack(mask)).token_id for _ in range(50)} == {3, 5}
    mask[4] = True  # b is left: the ban holds
    assert {bound.sample(logits, pack(mask)).token_id for _ in range(50)} == {4}
    logits[4] = -np.inf  # it cannot come: the ban yields
    assert {bound.sample(logits, pack(mask)).token_id for _ in range(50)} == {3, 5}


def test_a_ban_that_yields_leaves_biases_and_penalties() -> None:
    # Tokens 3 and 5 have weights 3 and 4; 5 was seen, and its penalty takes it down to 1.
    settings = Sampling(
        banned=("a",),
        logit_bias={3: math.log(3), 5: math.log(4)},
        presence_penalty=math.log(4),
        seed=1,
    )
    sampler = Sampler(settings, VOCABULARY, constrained=True)
    sampler.accept(5)
    mask = np.zeros(len(LETTERS), bool)
    mask[[3, 5]] = True
    for _ in range(20):
        sample = sampler.sample(np.zeros(len(LETTERS), np.float32), pack(mask))
        chance = {3: 0.75, 5: 0.25}[sample.token_id]
        assert sample.sampling_logprob == pytest.approx(math.log(chance), abs=1e-6)


def test_forced_text_counts_for_bans_and_not_for_penalties() -> None:
    sampler = Sampler(Sampling(banned=("ab",), presence_penalty=1.0, temperature=0), VOCABULARY)
    sampler.accept(3, forced=True)
    assert sampler.history == ()
    logits = np.zeros(len(LETTERS), np.float32)
    logits[4] = 5.0  # b, which would complete ab
    logits[12] = 1.0
    assert sampler.sample(logits, pack(ALL)).token_id == 12


JSON = [
    b"<end>", b'{"', b'": "', b'", "', b",", b" ",
    b"\n  ", b"a", b'a"', b"true", b"]}", b"1",
]  # fmt: skip
STRUCTURAL = {1, 2, 3, 4, 5, 6, 10}


def test_structural_tokens_are_punctuation_and_white_space_alone() -> None:
    assert {i for i, token in enumerate(JSON) if is_structural(token)} == STRUCTURAL
    assert not is_structural(b"")
    assert not is_structural(b"\\")


@pytest.mark.parametrize("penalize", [False, True])
@pytest.mark.parametrize("constrained", [False, True])
def test_structure_is_spared_under_a_grammar_by_default(
    penalize: bool, constrained: bool
) -> None:
    sampling = Sampling(presence_penalty=1.0, penalize_structure=penalize, temperature=0)
    sampler = Sampler(sampling, Vocabulary(JSON, [0]), constrained=constrained)
    for token_id in range(1, len(JSON)):
        sampler.accept(token_id)
    spared = STRUCTURAL if constrained and not penalize else set()
    assert set(sampler.history) == set(range(1, len(JSON))) - spared
    # Penalized tokens lose 1: 'a' (4.5) stays before ', ' (4) only if that is not spared.
    logits = np.zeros(len(JSON), np.float32)
    logits[3], logits[7] = 4.0, 4.5
    assert sampler.sample(logits, pack(np.ones(len(JSON), bool))).token_id == (
        3 if spared else 7
    )


def dry_penalties(sampler: Sampler, n_vocab: int) -> list[float]:
    """What each token's logit lost: from the log-odds against token 0, which never repeats."""
    mask = np.zeros(n_vocab, bool)
    lost = []
    for token_id in range(1, n_vocab):
        logits = np.zeros(n_vocab, np.float32)
        mask[:] = False
        mask[[0, token_id]] = True
        sample = sampler.sample(logits, pack(mask))
        own = sample.sampling_logprob
        other = np.log1p(-np.exp(own))
        lost.append(float(other - own if sample.token_id else own - other))
    return lost


def test_dry_penalty_grows_with_the_repetition() -> None:
    # x a b c y a b c: only x and y came before; after "a b c" came y, with 3 tokens repeated:
    # 0.5 * 2^(3 - 2) = 1.
    tokens = [b"0", b"x", b"a", b"b", b"c", b"y"]
    sampling = Sampling(dry_multiplier=0.5, dry_base=2.0, dry_breakers=(), seed=1)
    sampler = Sampler(sampling, Vocabulary(tokens, []))
    for token_id in (1, 2, 3, 4, 5, 2, 3, 4):
        sampler.accept(token_id)
    assert dry_penalties(sampler, 6) == pytest.approx([0, 0, 0, 0, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("breaker", "expected"),
    # A break after b leaves "c" alone, shorter than allowed. One across a and b does too; one
    # in c leaves nothing; one in x is before the repetition. y holds a breaker: it is spared.
    # After one in a, "b c" is repeated: 0.5 * 2^0.
    [("a", 0.5), ("b", 0.0), ("ab", 0.0), ("c", 0.0), ("x", 1.0), ("y", 0.0), ("ba", 1.0)],
)
def test_dry_breakers_end_repetitions_wherever_tokens_part_them(
    breaker: str, expected: float
) -> None:
    tokens = [b"0", b"x", b"a", b"b", b"c", b"y"]
    sampling = Sampling(dry_multiplier=0.5, dry_base=2.0, dry_breakers=(breaker,), seed=1)
    sampler = Sampler(sampling, Vocabulary(tokens, []))
    for token_id in (1, 2, 3, 4, 5, 2, 3, 4):
        sampler.accept(token_id)
    assert dry_penalties(sampler, 6)[4] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("gap", [0, 1])
def test_dry_repetitions_do_not_go_on_across_what_was_left_out(gap: int) -> None:
    tokens = [b"0", b"x", b"a", b'"', b"c", b"y"]
    sampling = Sampling(dry_multiplier=0.5, dry_base=2.0, dry_breakers=(), seed=1)
    sampler = Sampler(sampling, Vocabulary(tokens, []), constrained=bool(gap))
    for token_id in (1, 2, 3, 4, 5, 2, 3, 4):  # the quote is structure under a grammar
        sampler.accept(token_id)
    assert dry_penalties(sampler, 6)[4] == pytest.approx(0.0 if gap else 1.0, abs=1e-5)
    sampler.accept(1, forced=True)
    sampler.accept(4)
    assert dry_penalties(sampler, 6)[4] == pytest.approx(0.0, abs=1e-5)


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 3), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_native_dry_is_the_reference(history: list[int], allowed: int, window: int) -> None:
    sampling = Sampling(
        dry_multiplier=0.01,
        dry_base=1.3,
        dry_allowed_length=allowed,
        dry_window=window,
        dry_breakers=("b",),
        seed=1,
    )
    sampler = Sampler(sampling, Vocabulary([b"z", b"a", b"c", b"0"], []))
    logits = np.zeros(4, np.float32)
    past = np.array(history, np.int32)
    expected = processors.dry(logits, history[-window:] if window else [], 0.01, 1.3, allowed)
    sample = sampler.sample(logits, pack(np.ones(4, bool)), None, past)
    chance = processors.log_softmax(expected)[sample.token_id]
    assert sample.sampling_logprob == pytest.approx(chance, abs=1e-5)


@given(st.lists(st.integers(0, 999), max_size=300), st.sampled_from([-1, 0, 1, 5, 64, 100]))
def test_a_window_holds_the_last_tokens(token_ids: list[int], size: int) -> None:
    window = TokenWindow(size)
    for token_id in token_ids:
        window.append(token_id)
    twin = window.copy()
    twin.append(5)
    expected = token_ids if size < 0 else token_ids[-size:] if size else []
    assert window.ids.tolist() == expected
    assert window.ids.dtype == np.int32


def test_search_finds_tokens_by_their_bytes() -> None:
    search = TokenSearch(Vocabulary([b"aaa", b"a", b"xa", b"", b"ba", b"aab"], [4]))
    assert search.holding([b"a"]).tolist() == [0, 1, 2, 5]
    assert search.holding([b"aa", b"x"]).tolist() == [0, 2, 5]
    assert search.beginning([b"aa"]).tolist() == [0, 5]
    assert search.beginning([b"q"]).tolist() == []
    assert search.holding([]).tolist() == []


def test_a_copy_has_its_own_history() -> None:
    sampling = Sampling(banned=("ab",), dry_multiplier=1.0, presence_penalty=1.0, seed=1)
    sampler = Sampler(sampling, VOCABULARY)
    sampler.accept(3)
    twin = sampler.copy()
    sampler.accept(4)
    assert twin.history == (3,)
    logits = np.zeros(len(LETTERS), np.float32)
    logits[4] = 9.0
    mask = ALL.copy()
    mask[END] = False
    assert twin.sample(logits, pack(mask)).token_id != 4
