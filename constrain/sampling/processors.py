"""The steps between logits and a draw, each a pure function with its textbook formula.

These are the definitions; `Sampler` runs the same steps in one native call, and the tests hold
it to these. All take float32 logits `[n_vocab]` (any stride, never written to) and return a new
array. A token that is ruled out has the logit -inf; its probability is 0. Logits are in nats: a
difference of 1 is odds of e : 1. Where tokens are ranked, the greater logit is first, and among
equal logits the lower id.

Sums are taken in float64, so a truncation may differ from llama.cpp's (float32 sums, unstable
order among equals) where a token lies within rounding of the limit, or among equal logits.

NaN is not handled here: it spreads. `Sampler` refuses it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]

_IMPOSSIBLE = np.float32(-np.inf)


def log_softmax(logits: Logits) -> Probabilities:
    """Log-probabilities: `x_i - log(sum_j exp(x_j))`, float64, computed as `x - m - log(…)`.

    Stable for any finite input, since the greatest logit m is subtracted first. Logits of +inf
    share all probability (the limit of equal logits that grow); if all are -inf there is no
    distribution.

    Raises:
        ValueError: every logit is -inf, or there is none.

    Source: Blanchard, Higham, Higham: Accurately computing the log-sum-exp and softmax
    functions, IMA J. Numer. Anal. 41 (2021).

    >>> [float(round(p, 4)) for p in log_softmax(np.array([10, 5], np.float32))]
    [-0.0067, -5.0067]
    """
    values = np.asarray(logits, np.float64)
    top = values.max(initial=-np.inf)
    if top == -np.inf:
        message = "no logit is above -inf; there is no distribution"
        raise ValueError(message)
    if top == np.inf:
        values = np.where(values == np.inf, 0.0, -np.inf)
        top = np.float64(0.0)
    shifted = values - top
    result: Probabilities = shifted - math.log(np.exp(shifted).sum())
    return result


def softmax(logits: Logits) -> Probabilities:
    """Probabilities `exp(x_i) / sum_j exp(x_j)`, float64; as stable as `log_softmax`.

    >>> p = softmax(np.array([10, 5], np.float32))
    >>> float(round(p[0] / p[1], 1))
    148.4
    """
    weights = np.exp(log_softmax(logits))
    result: Probabilities = weights / weights.sum()
    return result


def logit_bias(
    logits: Logits, token_ids: Sequence[int] | npt.NDArray[np.int32], values: npt.ArrayLike
) -> Logits:
    """Adds `values[i]` to the logit of `token_ids[i]`; an id given twice is added twice.

    Source: llama.cpp's logit_bias sampler, OpenAI's parameter of that name.
    """
    result = np.array(logits, np.float32)
    addends = np.asarray(values, np.float32)
    np.add.at(result, np.asarray(token_ids, np.int64), addends)
    return result


def repetition_penalty(
    logits: Logits, history: Sequence[int] | npt.NDArray[np.int32], penalty: float
) -> Logits:
    """For tokens in `history`: `x / penalty` if x > 0, else `x * penalty`.

    Above 1 makes repetition less likely. Source: Keskar et al., CTRL, 2019, section 4.1, which
    only divides; multiplying the logits that are not positive is llama.cpp's correction.
    """
    result = np.array(logits, np.float32)
    seen = np.unique(np.asarray(history, np.int64))
    values = result[seen]
    factor = np.float32(penalty)
    result[seen] = np.where(values <= 0, values * factor, values / factor)
    return result


def frequency_presence_penalty(
    logits: Logits,
    history: Sequence[int] | npt.NDArray[np.int32],
    frequency: float = 0.0,
    presence: float = 0.0,
) -> Logits:
    """For tokens seen n > 0 times in `history`: `x - n * frequency - presence`, in nats.

    Source: OpenAI API reference, frequency_penalty and presence_penalty; llama.cpp's penalties
    sampler, which applies them after the repetition penalty.
    """
    result = np.array(logits, np.float32)
    seen, counts = np.unique(np.asarray(history, np.int64), return_counts=True)
    result[seen] -= counts.astype(np.float32) * np.float32(frequency) + np.float32(presence)
    return result


def apply_mask(logits: Logits, mask: npt.NDArray[np.bool_]) -> Logits:
    """The logit where `mask` is True (allowed), else -inf."""
    return np.where(mask, logits, _IMPOSSIBLE).astype(np.float32)


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    """`x / temperature`; at 0 only the greatest logit stays (of equals the lowest id).

    Values beyond float32 become infinite. Source: Ackley, Hinton, Sejnowski: A learning
    algorithm for Boltzmann machines, 1985; llama.cpp's temp sampler for 0.
    """
    values = np.asarray(logits, np.float32)
    if temperature == 0:
        result = np.full_like(values, _IMPOSSIBLE)
        best = int(values.argmax())
        result[best] = values[best]
        return result
    with np.errstate(over="ignore"):
        return (values.astype(np.float64) / temperature).astype(np.float32)


def top_k(logits: Logits, k: int) -> Logits:
    """Keeps exactly the k greatest logits (all, if k is 0 or there are fewer).

    Source: Fan, Lewis, Dauphin: Hierarchical neural story generation, 2018, section 5.2.
    """
    if k <= 0 or k >= len(logits):
        return np.array(logits, np.float32)
    return _keep(logits, _ranked(-np.asarray(logits, np.float64))[:k])


def top_p(logits: Logits, p: float) -> Logits:
    """Keeps the shortest ranked prefix whose probability is at least p, never none.

    The token that crosses p is kept. Source: Holtzman et al.: The curious case of neural text
    degeneration, 2020, section 3.1.
    """
    if p >= 1:
        return np.array(logits, np.float32)
    ranked = _ranked(-np.asarray(logits, np.float64))
    return _keep(logits, _prefix(ranked, softmax(logits), p))


def min_p(logits: Logits, p: float) -> Logits:
    """Keeps tokens whose probability is at least p times the greatest: `x_i >= m + log(p)`.

    Source: Nguyen et al.: Turning up the heat: min-p sampling, 2024, section 3.
    """
    values = np.asarray(logits, np.float32)
    if p <= 0:
        return values.copy()
    least = np.float64(values.max()) + math.log(p)
    return np.where(values >= least, values, _IMPOSSIBLE).astype(np.float32)


def typical_p(logits: Logits, p: float) -> Logits:
    """Keeps the smallest set of probability p or more with surprise nearest the entropy.

    Tokens are ranked by `|-log(q_i) - H|`, `H = -sum q log q`, ascending, lower id first.
    Source: Meister et al.: Locally typical sampling, 2023, section 4; llama.cpp's typical
    sampler, which stops when p is passed, here when it is reached.
    """
    if p >= 1:
        return np.array(logits, np.float32)
    log_q = log_softmax(logits)
    q = np.exp(log_q)
    possible = log_q > -np.inf
    entropy = -float((q[possible] * log_q[possible]).sum())
    ranked = _ranked(np.abs(-log_q - entropy))
    return _keep(logits, _prefix(ranked, q, p))


def _ranked(order: Probabilities) -> npt.NDArray[np.int64]:
    """Ids by ascending order, equals by id; those that are infinite (impossible) left out."""
    ids: npt.NDArray[np.int64] = np.argsort(order, kind="stable").astype(np.int64)
    return ids[order[ids] < np.inf]


def _prefix(
    ranked: npt.NDArray[np.int64], probabilities: Probabilities, p: float
) -> npt.NDArray[np.int64]:
    """The shortest prefix of `ranked` with probability p or more."""
    sums = np.cumsum(probabilities[ranked])
    n_kept = int(np.searchsorted(sums, p * sums[-1])) + 1
    return ranked[:n_kept]


def _keep(logits: Logits, token_ids: npt.NDArray[np.int64]) -> Logits:
    result = np.full(len(logits), _IMPOSSIBLE, np.float32)
    result[token_ids] = np.asarray(logits, np.float32)[token_ids]
    return result
