"""The vector loops of each instruction set that this processor has give the same results.

The modules that use the fixture `instruction_set` hold each of them to the references, too.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrain.errors import DecodeError
from constrain.kernel import _native
from constrain.sampling import Sample, Sampler, Sampling
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import Floats, pack

KNOWN = ["avx512", "avx2", "baseline"]
FUSED = [name for name in _native.instruction_sets() if name != "baseline"]
N_VOCAB = 3001  # five chunks of 512 and a part; more than are listed
VOCABULARY = Vocabulary([b"t"] * N_VOCAB, [])
SAMPLINGS = [
    Sampling(seed=1),
    Sampling(temperature=0.7, top_p=0.9, seed=2),
    Sampling(typical_p=0.8, xtc_probability=1.0, xtc_threshold=1e-3, seed=3),
    Sampling(dynamic_temperature_range=0.5, top_n_sigma=2.0, seed=4),
    Sampling(temperature=1.5, min_p=1e-3, top_k=2500, seed=5),
    Sampling(mirostat=2, logit_bias={1: 2.0, 700: -1.0, 3000: 3.0}, seed=6),
]


@st.composite
def rows(draw: st.DrawFn) -> tuple[Floats, list[bool]]:
    """Logits, some of them equal or infinite, and a mask."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.standard_normal(N_VOCAB) * draw(st.sampled_from([0.3, 2.0, 20.0]))
    if draw(st.booleans()):
        logits = np.round(logits)
    logits[rng.random(N_VOCAB) < draw(st.sampled_from([0.0, 0.2]))] = -math.inf
    logits[rng.random(N_VOCAB) < draw(st.sampled_from([0.0, 0.0, 0.01]))] = math.inf
    mask = rng.random(N_VOCAB) < draw(st.sampled_from([0.1, 0.8, 1.0]))
    return logits.astype(np.float32), mask.tolist()


def drawn(name: str, row: tuple[Floats, list[bool]], sampling: Sampling) -> list[Sample]:
    """Some draws with the loops of this name; none where nothing can come."""
    before = _native.use_instruction_set(name)
    try:
        sampler = Sampler(sampling, VOCABULARY)
        words = pack(np.array(row[1]))
        return [sampler.sample(row[0], words) for _ in range(3)]
    except DecodeError:
        return []
    finally:
        _native.use_instruction_set(before)


def test_the_widest_set_is_used_and_one_that_is_not_there_is_refused() -> None:
    names = _native.instruction_sets()
    assert names == [name for name in KNOWN if name in names]
    assert names[-1] == "baseline"
    assert _native.use_instruction_set("baseline") == names[0]
    assert _native.use_instruction_set(names[0]) == "baseline"
    with pytest.raises(ValueError, match="instruction set"):
        _native.use_instruction_set("sse9")
    assert _native.use_instruction_set(names[0]) == names[0]


@given(rows(), st.sampled_from(SAMPLINGS))
@settings(max_examples=150, deadline=None)
def test_sets_with_fused_multiply_add_agree_in_every_bit(
    row: tuple[Floats, list[bool]], sampling: Sampling
) -> None:
    results = [drawn(name, row, sampling) for name in FUSED]
    assert all(result == results[0] for result in results)


@given(rows(), st.sampled_from(SAMPLINGS))
@settings(max_examples=150, deadline=None)
def test_the_baseline_differs_by_rounding_alone(
    row: tuple[Floats, list[bool]], sampling: Sampling
) -> None:
    widest = drawn(_native.instruction_sets()[0], row, sampling)
    baseline = drawn("baseline", row, sampling)
    assert len(widest) == len(baseline)
    for one, other in zip(widest, baseline, strict=True):
        assert one.n_allowed == other.n_allowed
        assert one.removed_mass == pytest.approx(other.removed_mass, abs=1e-6)
        if one.token_id == other.token_id:  # else the draw fell within the last bit
            assert one.logprob == pytest.approx(other.logprob, abs=3e-6)
            assert one.masked_logprob == pytest.approx(other.masked_logprob, abs=3e-6)
