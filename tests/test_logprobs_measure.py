"""Entropies, masses and alternatives: by arithmetic, and the native call by definitions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrain.errors import DecodeError
from constrain.logprobs import Measurement, measure
from constrain.logprobs.distribution import (
    entropy,
    masked_log_softmax,
    removed_mass,
    top_tokens,
)
from constrain.sampling.processors import Logits, apply_mask, log_softmax
from constrain.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("instruction_set")

INFINITY = float("inf")


def logits_of(*probabilities: float) -> Logits:
    """Logits whose softmax is this distribution."""
    with np.errstate(divide="ignore"):
        return np.array(np.log(probabilities), np.float32)


def words_of(
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The mask in packed form; the bits past its end are 1, which must not matter."""
    n_words = (len(mask) + 31) // 32
    padded = np.ones(n_words * 32, np.bool_)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)


def vocabulary_of(n: int) -> Vocabulary:
    return Vocabulary([f"t{i}".encode() for i in range(n)], end_ids=[0] if n > 1 else [])


def measured(logits: object, mask: object, n: int = 5) -> Measurement:
    row, allowed = np.asarray(logits, np.float32), np.asarray(mask, np.bool_)
    return measure(row, words_of(allowed), vocabulary_of(len(row)), n)


@pytest.mark.parametrize("above", [0.0, 0.3, 7.7, 39.9, 40.1, 86.0, 200.0, 1e5])
def test_a_token_that_is_alone_has_all_of_the_mass(above: float) -> None:
    """However far forbidden ones are above it: exactly, since a constant is certain."""
    for n_forbidden in (1, 600):
        logits = np.full(n_forbidden + 1, np.float32(1.1) + np.float32(above), np.float32)
        logits[-1] = 1.1
        found = measured(logits, np.arange(n_forbidden + 1) == n_forbidden)
        alone = next(other for other in found.alternatives if other.allowed)
        assert (alone.masked_logprob, found.masked_entropy) == (0.0, 0.0)
        # e^0 of e^0 + n e^above
        expected = -above - math.log(math.exp(-above) + n_forbidden)
        assert alone.logprob == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert found.entropy >= 0
        assert all(other.logprob <= 0 for other in found.alternatives)


def test_entropy_is_that_of_the_textbook() -> None:
    # 1/2 * 1 + 1/4 * 2 + 2 * 1/8 * 3 = 1.75 bits
    assert entropy(logits_of(0.5, 0.25, 0.125, 0.125)) == pytest.approx(1.75 * math.log(2))
    assert entropy(np.zeros(8, np.float32)) == pytest.approx(math.log(8))
    assert entropy(logits_of(0.0, 1.0, 0.0)) == 0


def test_masses_and_alternatives_by_hand() -> None:
    # tokens 1 and 3 are allowed: 0.1 + 0.3 stay, 0.4 + 0.2 are removed
    found = measured(logits_of(0.4, 0.1, 0.2, 0.3), [False, True, False, True])
    assert removed_mass(
        logits_of(0.4, 0.1, 0.2, 0.3), np.array([False, True, False, True])
    ) == pytest.approx(0.6)
    assert [a.token_id for a in found.alternatives] == [0, 3, 2, 1]
    assert [a.allowed for a in found.alternatives] == [False, True, False, True]
    assert [a.data for a in found.alternatives] == [b"t0", b"t3", b"t2", b"t1"]
    assert [a.ends for a in found.alternatives] == [True, False, False, False]
    assert [math.exp(a.logprob) for a in found.alternatives] == pytest.approx(
        [0.4, 0.3, 0.2, 0.1]
    )
    among = [None if a.masked_logprob is None else math.exp(a.masked_logprob)
             for a in found.alternatives]  # fmt: skip
    assert among == [None, pytest.approx(0.75), None, pytest.approx(0.25)]
    own = -sum(p * math.log(p) for p in (0.4, 0.1, 0.2, 0.3))
    assert found.entropy == pytest.approx(own)
    assert found.masked_entropy == pytest.approx(
        -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    )


def agrees_with_the_definitions(logits: object, mask: object, n: int) -> None:
    row, allowed = np.asarray(logits, np.float32), np.asarray(mask, np.bool_)
    found = measured(row, allowed, n)
    own, masked = log_softmax(row), masked_log_softmax(row, allowed)
    assert found.entropy == pytest.approx(entropy(row), abs=2e-5)
    assert found.masked_entropy == pytest.approx(entropy(apply_mask(row, allowed)), abs=2e-5)
    sides = {True: top_tokens(row, allowed, n), False: top_tokens(row, ~allowed, n)}
    for side, expected in sides.items():
        assert [a.token_id for a in found.alternatives if a.allowed == side] == expected
    for a in found.alternatives:
        assert a.logprob == pytest.approx(own[a.token_id], abs=2e-5)
        if a.masked_logprob is not None:
            assert a.masked_logprob == pytest.approx(masked[a.token_id], abs=2e-5)
    for one, after in pairwise(found.alternatives):
        assert one.logprob >= after.logprob


@pytest.mark.parametrize("n_vocab", [1, 31, 512, 513, 5_000, 49_152])
@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_the_native_call_equals_the_definitions(n_vocab: int, share: float, n: int) -> None:
    random = np.random.default_rng([n_vocab, n])
    row = random.normal(0, 4, n_vocab).astype(np.float32)
    mask = random.random(n_vocab) < share
    mask[random.integers(n_vocab)] = True
    agrees_with_the_definitions(row, mask, n)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ties_infinities_and_extremes_too(data: st.DataObject) -> None:
    values = st.sampled_from([0.0, 1.0, -1.0, 3.5, -90.0, 1e38, -1e38, INFINITY, -INFINITY])
    row = data.draw(st.lists(values, min_size=1, max_size=70))
    mask = data.draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row)))
    if not any(m and x > -INFINITY for m, x in zip(mask, row, strict=True)):
        with pytest.raises(DecodeError, match="-inf"):
            measured(row, mask)
        return
    agrees_with_the_definitions(row, mask, data.draw(st.integers(0, 8)))


def test_few_allowed_tokens_far_below_the_rest_are_measured_exactly() -> None:
    # e^-200 is no float32: the allowed ones must be summed from their own maximum
    row = np.full(1000, 200.0, np.float32)
    row[:2] = [0.0, math.log(3)]
    found = measured(row, np.arange(1000) < 2)
    assert found.masked_entropy == pytest.approx(
        -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    )
    assert [a.masked_logprob for a in found.alternatives if a.allowed] == [
        pytest.approx(math.log(0.75)),
        pytest.approx(math.log(0.25)),
    ]


def test_a_nan_is_an_error() -> None:
    with pytest.raises(DecodeError, match="NaN"):
        measured([0.0, float("nan")], [True, False])


def test_arrays_of_another_kind_are_refused() -> None:
    vocabulary, words = vocabulary_of(40), np.ones(2, np.uint32)
    with pytest.raises(TypeError):
        measure(np.zeros(40), words, vocabulary, 1)  # type: ignore[arg-type]  # float64
    with pytest.raises(TypeError):
        measure(np.zeros(80, np.float32)[::2], words, vocabulary, 1)
    with pytest.raises(ValueError, match="mask_words"):
        measure(np.zeros(40, np.float32), words[:1], vocabulary, 1)
    with pytest.raises(ValueError, match="at least 0"):
        measure(np.zeros(40, np.float32), words, vocabulary, -1)


@pytest.mark.parametrize("n", [1, 5])
def test_figures_of_any_token_come_from_the_same_sums(n: int) -> None:
    random = np.random.default_rng(n)
    row = random.normal(0, 4, 5_000).astype(np.float32)
    mask = random.random(5_000) < 0.3
    found = measured(row, mask, n)
    own, masked = log_softmax(row), masked_log_softmax(row, mask)
    for token_id in map(int, np.flatnonzero(mask)[:200]):
        figures = found.probabilities(token_id, row)
        expected = (own[token_id], masked[token_id], removed_mass(row, mask))
        assert figures == pytest.approx(expected, abs=1e-6)
    for other in found.alternatives:
        if other.allowed:
            figures = found.probabilities(other.token_id, row)
            assert figures is not None
            assert figures[:2] == (other.logprob, other.masked_logprob)


def test_figures_are_left_to_others_where_the_sums_are_not_told() -> None:
    row = np.array([0.0, INFINITY, 1.0], np.float32)
    found = measured(row, [True, True, False], 2)
    assert found.probabilities(1, row) is None
    assert found.probabilities(0, row) is None
    nothing = measured(np.zeros(3), [True, True, False], 0)
    assert nothing.probabilities(0, np.zeros(3, np.float32)) is None
    even = measured(np.zeros(3), [True, True, True], 2)
    figures = even.probabilities(2, np.zeros(3, np.float32))
    assert figures == pytest.approx((-math.log(3), -math.log(3), 0.0))
