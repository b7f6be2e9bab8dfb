"""Each processor, and a whole chain, does what llama.cpp's own sampler of that name does.

llama.cpp sums in float32 and orders equal logits as its sort leaves them, so equals are only
compared as values, and limits are chosen that no sum comes near.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from constrain.sampling import Sampler, Sampling, processors
from constrain.vocabulary import Vocabulary
from tests.sampling_reference import Step, final_logits, pack

llama = pytest.importorskip("llama_cpp.llama_cpp", reason="llama-cpp-python is not installed")

Floats = npt.NDArray[np.float32]
N_VOCAB = 1500  # llama.cpp's top-p has another path above 1 024


def logits_of(seed: int, *, ties: bool = False, bans: bool = False) -> Floats:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(N_VOCAB) * 3
    if ties:
        logits = np.round(logits * 2) / 2
    if bans:
        logits[rng.random(N_VOCAB) < 0.3] = -np.inf
    return logits.astype(np.float32)


def llama_applied(
    logits: Floats, samplers: Sequence[object], history: Sequence[int] = ()
) -> Floats:
    """The logits that are left after llama.cpp's samplers, -inf where it dropped a token."""
    ids = np.flatnonzero(logits > -np.inf)  # as its grammar sampler leaves no -inf in practice
    data = (llama.llama_token_data * len(ids))()
    for slot, token_id in zip(data, ids.tolist(), strict=True):
        slot.id, slot.logit = token_id, logits[token_id]
    array = llama.llama_token_data_array(data, len(ids), -1, False)
    for sampler in samplers:
        for token_id in history:
            llama.llama_sampler_accept(sampler, token_id)
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
        llama.llama_sampler_free(sampler)
    result = np.full(len(logits), -np.inf, np.float32)
    for i in range(array.size):
        result[array.data[i].id] = array.data[i].logit
    return result


def assert_same(ours: Floats, theirs: Floats, *, ties: bool = False) -> None:
    assert np.isfinite(theirs).any()
    if ties:
        ours, theirs = np.sort(ours), np.sort(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 7, 40, 129, 1499])
def test_top_k(seed: int, ties: bool, k: int) -> None:
    logits = logits_of(seed, ties=ties)
    theirs = llama_applied(logits, [llama.llama_sampler_init_top_k(k)])
    assert_same(processors.top_k(logits, k), theirs, ties=ties)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bans", [False, True])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.99])
def test_top_p(seed: int, bans: bool, p: float) -> None:
    logits = logits_of(seed, bans=bans)
    theirs = llama_applied(logits, [llama.llama_sampler_init_top_p(p, 1)])
    assert_same(processors.top_p(logits, p), theirs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 1.0])
def test_min_p(seed: int, ties: bool, p: float) -> None:
    logits = logits_of(seed, ties=ties, bans=True)
    theirs = llama_applied(logits, [llama.llama_sampler_init_min_p(p, 1)])
    assert_same(processors.min_p(logits, p), theirs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_typical_p(seed: int, p: float) -> None:
    logits = logits_of(seed, bans=True)
    theirs = llama_applied(logits, [llama.llama_sampler_init_typical(p, 1)])
    assert_same(processors.typical_p(logits, p), theirs)


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 2.5])
def test_temperature(temperature: float) -> None:
    logits = logits_of(1, bans=True)
    theirs = llama_applied(logits, [llama.llama_sampler_init_temp(temperature)])
    assert_same(processors.apply_temperature(logits, temperature), theirs)


@pytest.mark.parametrize(
    ("repeat", "frequency", "presence"),
    [(1.3, 0, 0), (1, 0.4, 0), (1, 0, 0.7), (1.2, 0.1, -0.3)],
)
@pytest.mark.parametrize("bans", [False, True])
def test_penalties(repeat: float, frequency: float, presence: float, bans: bool) -> None:
    logits = logits_of(2, bans=bans)
    history = np.random.default_rng(5).integers(0, 60, 100).tolist()
    theirs = llama_applied(
        logits,
        [llama.llama_sampler_init_penalties(N_VOCAB, 64, repeat, frequency, presence)],
        history,
    )
    ours = processors.repetition_penalty(logits, history[-64:], repeat)
    ours = processors.frequency_presence_penalty(ours, history[-64:], frequency, presence)
    assert_same(ours, theirs)


@pytest.mark.parametrize("bans", [False, True])
def test_logit_bias(bans: bool) -> None:
    logits = logits_of(3, bans=bans)
    if bans:
        logits[7] = -np.inf
    bias = (llama.llama_logit_bias * 3)()
    for slot, (token_id, value) in zip(bias, [(5, 2.5), (7, -1.0), (9, -np.inf)], strict=True):
        slot.token, slot.bias = token_id, value
    theirs = llama_applied(logits, [llama.llama_sampler_init_logit_bias(N_VOCAB, 3, bias)])
    assert_same(processors.logit_bias(logits, [5, 7, 9], [2.5, -1.0, -np.inf]), theirs)


@pytest.mark.parametrize("seed", range(6))
def test_whole_chain_in_the_order_of_a_step(seed: int) -> None:
    """Bias, penalties, mask, temperature, top-k, top-p, min-p: reference, native, llama.cpp."""
    settings = Sampling(
        temperature=0.7,
        top_k=60,
        top_p=0.93,
        min_p=0.02,
        repeat_penalty=1.2,
        frequency_penalty=0.1,
        logit_bias={5: 2.5},
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    logits, mask = logits_of(seed), rng.random(N_VOCAB) < 0.5
    history = rng.integers(0, N_VOCAB, 30).astype(np.int32)
    step = Step(logits, mask, np.empty(0, np.int32), np.empty(0, np.float32), history)
    bias = (llama.llama_logit_bias * 1)()
    bias[0].token, bias[0].bias = 5, 2.5
    chain = [
        llama.llama_sampler_init_logit_bias(N_VOCAB, 1, bias),
        llama.llama_sampler_init_penalties(N_VOCAB, 64, 1.2, 0.1, 0.0),
        llama.llama_sampler_init_temp(0.7),
        llama.llama_sampler_init_top_k(60),
        llama.llama_sampler_init_top_p(0.93, 1),
        llama.llama_sampler_init_min_p(0.02, 1),
    ]
    theirs = llama_applied(processors.apply_mask(logits, mask), chain, history.tolist())
    assert_same(final_logits(step, settings), theirs)
    chances = processors.log_softmax(theirs)
    sampler = Sampler(settings, Vocabulary([b"t%d" % i for i in range(N_VOCAB)], []))
    for _ in range(50):
        sample = sampler.sample(logits, pack(mask), None, history)
        assert sample.sampling_logprob == pytest.approx(chances[sample.token_id], abs=1e-5)
