"""The steps between logits and a draw, each a pure function with its textbook formula.

These are the definitions; `Sampler` runs the same steps in one native call, and the tests hold
it to these (guidance, which needs the logits of two contexts, comes before it). A chain applies
them in the order that `Sampling` says. All take float32 logits `[n_vocab]` (any stride, never
written to) and return a new array. A token that is ruled out has the logit -inf; its
probability is 0. Logits are in nats: a difference of 1 is odds of e : 1. Where tokens are
ranked, the greater logit is first, and among equal logits the lower id.

Sums are taken in float64, so a truncation may differ from llama.cpp's (float32 sums, unstable
order among equals) where a token lies within rounding of the limit, or among equal logits.

Logits of +inf are equal ones that have outgrown all others: from temperature on, only they are
left, and of equal weight. Sums and products beyond float32 become infinite. NaN is not handled
here: it spreads (a bias of -inf on +inf makes one). `Sampler` refuses it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from constrain.errors import ArgumentError

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]

_IMPOSSIBLE = np.float32(-np.inf)
_MOST = float(np.finfo(np.float32).max)
_COARSE = 2.0**13  # from here on float32 rounds to 2^-11 and more


def log_softmax(logits: Logits) -> Probabilities:
    """Log-probabilities: `x_i - log(sum_j exp(x_j))`, float64, computed as `x - m - log(…)`.

    Stable for any finite input, since the greatest logit m is subtracted first. Logits of +inf
    share all probability (the limit of equal logits that grow); if all are -inf there is no
    distribution.

    Raises:
        ArgumentError: every logit is -inf, or there is none.

    Source: Blanchard, Higham, Higham: Accurately computing the log-sum-exp and softmax
    functions, IMA J. Numer. Anal. 41 (2021).

    >>> [float(round(p, 4)) for p in log_softmax(np.array([10, 5], np.float32))]
    [-0.0067, -5.0067]
    """
    values = np.asarray(logits, np.float64)
    top = values.max(initial=-np.inf)
    if top == -np.inf:
        message = "no logit is above -inf; there is no distribution"
        raise ArgumentError(message, name="logits")
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


def guided_logits(conditional: Logits, negative: Logits, scale: float) -> Logits:
    """Classifier-free guidance: `x_i + (scale - 1) * (c_i - n_i)`.

    x are the conditional logits, c and n the log-softmaxes of both. The distribution is that
    of `n_i + scale * (c_i - n_i)`, proportional to `p_c^scale * p_n^(1 - scale)`: scale 1 gives
    the conditional one (and its very logits, whose signs penalties look at), 0 the negative
    one, above 1 moves away from the negative, below 0 away from the conditional. A token that
    is impossible in one of the two is so in the result, if the exponent there is positive.
    Where it is moved away from, or left out, nothing speaks against the token: it has its
    value in the other one.

    Raises:
        ArgumentError: one of the two has no logit above -inf.

    Source: Sanchez et al.: Stay on topic with classifier-free guidance, 2023, equation 7.

    >>> logits = np.log(np.array([0.5, 0.5], np.float32)), np.log(np.array([0.75, 0.25]))
    >>> [float(round(p, 3)) for p in softmax(guided_logits(*logits, 2.0))]
    [0.25, 0.75]
    """
    wanted, unwanted = log_softmax(conditional), log_softmax(negative)
    logits = np.asarray(conditional, np.float64)
    can, could = wanted != -np.inf, unwanted != -np.inf  # a NaN is neither, and stays one
    both = can & could
    difference = np.where(both, wanted, 0.0) - np.where(both, unwanted, 0.0)
    result = np.where(both, logits + (scale - 1) * difference, -np.inf)
    if scale >= 1:
        result = np.where(can & ~could, logits, result)
    elif scale <= 0:
        top = int(logits.argmax())
        result = np.where(could & ~can, unwanted + (logits[top] - wanted[top]), result)
    with np.errstate(over="ignore"):
        return result.astype(np.float32)


def logit_bias(
    logits: Logits, token_ids: Sequence[int] | npt.NDArray[np.int32], values: npt.ArrayLike
) -> Logits:
    """Adds `values[i]` to the logit of `token_ids[i]`; an id given twice is added twice.

    Source: llama.cpp's logit_bias sampler, OpenAI's parameter of that name.
    """
    result = np.array(logits, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
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
    with np.errstate(over="ignore"):
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
    with np.errstate(over="ignore"):
        result[seen] -= counts.astype(np.float32) * np.float32(frequency) + np.float32(presence)
    return result


def apply_mask(logits: Logits, mask: npt.NDArray[np.bool_]) -> Logits:
    """The logit where `mask` is True (allowed), else -inf."""
    return np.where(mask, logits, _IMPOSSIBLE).astype(np.float32)


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    """`x / temperature`; at 0 only the greatest logit stays (of equals the lowest id).

    Where the greatest quotient is so large that float32 would round away what sets its
    neighbours apart (8192 and more), the greatest logit m is taken off first, `(x - m) /
    temperature`: that changes no probability, so any temperature above 0 may be as small as
    float64 allows.

    Source: Ackley, Hinton, Sejnowski: A learning algorithm for Boltzmann machines, 1985;
    llama.cpp's temp sampler for 0.

    >>> apply_temperature(np.array([10, 5, 10], np.float32), 1e-40).tolist()
    [0.0, -inf, 0.0]
    """
    values = np.asarray(logits, np.float32)
    greatest = values.max(initial=_IMPOSSIBLE)
    if temperature == 0:
        return _keep(values, _ranked(-values.astype(np.float64))[:1])
    if np.isinf(greatest):
        return np.where(values == greatest, values, _IMPOSSIBLE)
    wide = values.astype(np.float64)
    if abs(float(greatest)) >= _COARSE * temperature:
        wide -= float(greatest)
    with np.errstate(over="ignore"):
        return (wide / temperature).astype(np.float32)


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
    sampler, which stops when p is passed, here when it is reached (and whose entropy is NaN
    where a probability is 0 in float32, as after its top-n-sigma).
    """
    if p >= 1:
        return np.array(logits, np.float32)
    log_q = log_softmax(logits)
    q = np.exp(log_q)
    possible = log_q > -np.inf
    entropy = -float((q[possible] * log_q[possible]).sum())
    ranked = _ranked(np.abs(-log_q - entropy))
    return _keep(logits, _prefix(ranked, q, p))


def dynamic_temperature(
    logits: Logits, temperature: float, spread: float, exponent: float = 1.0
) -> Logits:
    """`x / t`, `t = low + (high - low) * (H / log n)^exponent`, the flatter, the hotter.

    `low = max(0, temperature - spread)`, `high = temperature + spread`, H is the entropy of
    the distribution in nats, n the number of tokens that are not -inf. With one such token the
    temperature is the plain one.

    Source: llama.cpp's temp_ext sampler (pull request 4972, "dynatemp"), whose n is the number
    of candidates it was given.
    """
    log_q = log_softmax(logits)
    possible = log_q[log_q > -np.inf]
    if spread <= 0 or len(possible) < 2:  # noqa: PLR2004 - log 1 is 0: no entropy to share
        return apply_temperature(logits, temperature)
    entropy = -float((np.exp(possible) * possible).sum())
    flatness = min(1.0, max(0.0, entropy / math.log(len(possible))))
    low, high = max(0.0, temperature - spread), temperature + spread
    return apply_temperature(logits, low + (high - low) * flatness**exponent)


def top_n_sigma(logits: Logits, n: float) -> Logits:
    """Keeps `x_i >= m - n * s`, s the standard deviation of the logits that are not -inf.

    The deviation is that of the population (divided by the number of logits). Off for n <= 0.
    Where m is +inf only such logits are kept.
    Source: Tang et al.: Top-nσ: not all logits are you need, 2024, algorithm 1. llama.cpp's
    sampler leaves what it drops among the candidates, so that a dynamic temperature after it
    counts them.
    """
    values = np.asarray(logits, np.float64)
    if n <= 0:
        return np.array(logits, np.float32)
    greatest = values.max(initial=-np.inf)
    finite = np.isfinite(greatest)
    least = greatest - n * values[values > -np.inf].std() if finite else greatest
    return np.where(values >= least, values, -np.inf).astype(np.float32)


def xtc(
    logits: Logits, threshold: float, probability: float = 1.0, chance: float = 0.0
) -> Logits:
    """Of the tokens with probability >= threshold, drops all but the least probable one.

    Does nothing where fewer than two reach the threshold, or when `chance` (a uniform random
    number in [0, 1)) is not below `probability`.

    Source: p-e-w: Exclude top choices, text-generation-webui pull request 6335, 2024;
    llama.cpp's xtc sampler.
    """
    values = np.array(logits, np.float32)
    if chance >= probability:
        return values
    ranked = _ranked(-values.astype(np.float64))
    n_reaching = int((softmax(values)[ranked] >= threshold).sum())
    values[ranked[: max(0, n_reaching - 1)]] = _IMPOSSIBLE
    return values


def mirostat_1(logits: Logits, mu: float, n_fitted: int = 100) -> Logits:
    """Keeps the k greatest, `k = (e 2^mu / (1 - n^-e))^(1/s)`, e = s - 1, s Zipf's exponent.

    s is fitted to the `n_fitted` greatest: `s = sum t_i b_i / sum t_i^2`, `t_i = log((i + 1) /
    i)`, `b_i = log(p_i / p_(i+1))`; n is the number of tokens that are not -inf; k is rounded
    down, and is at least 1. `mu` is in bits; see `mirostat_update`.

    Source: Basu et al.: Mirostat, ICLR 2021, algorithm 1; llama.cpp's mirostat sampler, whose n
    is the size of the vocabulary.
    """
    log_q = log_softmax(logits)
    ranked = _ranked(-log_q)
    best = log_q[ranked[:n_fitted]]
    places = np.arange(1, len(best), dtype=np.float64)
    t = np.log((places + 1) / places)
    exponent = float((t * -np.diff(best)).sum() / (t * t).sum()) if len(best) > 1 else 0.0
    return top_k(logits, _mirostat_k(exponent, len(ranked), mu))


def mirostat_2(logits: Logits, mu: float) -> Logits:
    """Keeps the tokens with a surprise `-log2(p)` of at most `mu` bits, never none.

    If none has so little, the greatest logit stays (of equals the lowest id).
    Source: Basu et al.: Mirostat, ICLR 2021, as simplified in llama.cpp's mirostat_v2 sampler.
    """
    values = np.asarray(logits, np.float32)
    kept = -log_softmax(values) <= mu * math.log(2)
    return apply_mask(values, kept) if kept.any() else apply_temperature(values, 0)


def mirostat_update(mu: float, logprob: float, tau: float, eta: float) -> float:
    """The next mu: `mu - eta * (surprise - tau)`, in bits.

    Args:
        mu: the present one; the first one is 2 * tau.
        logprob: of the drawn token among those kept, in nats; its surprise is -logprob / ln 2.
        tau: the surprise aimed at, in bits.
        eta: how fast to learn.

    >>> mirostat_update(10.0, -6 * math.log(2), tau=5.0, eta=0.5)
    9.5
    """
    return mu - eta * (-logprob / math.log(2) - tau)


def dry(
    logits: Logits,
    history: Sequence[int] | npt.NDArray[np.int32],
    multiplier: float,
    base: float = 1.75,
    allowed_length: int = 2,
    since_break: int | None = None,
) -> Logits:
    """`x - multiplier * base^(n - allowed_length)` for tokens that would go on a repetition.

    What is taken off is at most the greatest float32.

    A token that came before goes on a repetition of length n if the n tokens before it there
    equal the last n of `history`; n is the greatest such number, at most `since_break`, and
    counts if it is at least `allowed_length`. A negative id in `history` equals nothing.

    Args:
        logits: float32[n_vocab].
        history: the tokens so far, oldest first.
        multiplier: the penalty at the allowed length, in nats; 0 is off.
        base: its growth for each further token.
        allowed_length: tokens.
        since_break: how many of the last tokens come after the last breaker; None: all.

    Source: p-e-w: DRY, text-generation-webui pull request 5677, 2024; llama.cpp's dry sampler,
    which caps the power alone.
    """
    result = np.array(logits, np.float32)
    tokens = [int(token_id) for token_id in history]
    limit = len(tokens) if since_break is None else since_break
    if multiplier == 0 or limit < allowed_length:
        return result
    longest: dict[int, int] = {}
    for place in range(1, len(tokens)):
        n = min(_common_end(tokens[:place], tokens), limit)
        if n >= allowed_length and tokens[place] >= 0:
            longest[tokens[place]] = max(n, longest.get(tokens[place], 0))
    for token_id, n in longest.items():
        penalty = np.float32(_capped(multiplier, base, n - allowed_length))
        with np.errstate(over="ignore"):
            result[token_id] -= penalty
    return result


def ban_texts(
    logits: Logits, tokens: Sequence[bytes], texts: Sequence[bytes], written: bytes = b""
) -> Logits:
    """-inf for each token that would complete one of `texts` after `written`.

    Token i completes a text if an occurrence in `written + tokens[i]` ends in token i. Tokens
    beyond `len(tokens)` and empty ones complete nothing.

    >>> tokens = [b"c", b"at", b"cat", b"x"]
    >>> [float(x) for x in ban_texts(np.zeros(4, np.float32), tokens, [b"cat"], b"a c")]
    [0.0, -inf, -inf, 0.0]
    """
    result = np.array(logits, np.float32)
    for token_id, token in enumerate(tokens):
        for text in texts:
            whole = written + token
            start = max(0, len(written) - len(text) + 1)
            if token and whole.find(text, start) >= 0:
                result[token_id] = _IMPOSSIBLE
    return result


def _mirostat_k(exponent: float, n: int, mu: float) -> int:
    if n == 1:
        return 1
    epsilon = exponent - 1
    share = 1 / math.log(n) if epsilon == 0 else epsilon / (1 - n**-epsilon)
    power = 1 / exponent if exponent > 0 else math.inf  # all equal: nothing, or everything
    try:
        return max(1, min(n, math.floor(math.pow(share * 2**mu, power))))
    except OverflowError:
        return n


def _capped(multiplier: float, base: float, exponent: int) -> float:
    """`multiplier * base^exponent`, at most what float32 can hold."""
    try:
        return min(multiplier * base**exponent, _MOST)
    except OverflowError:
        return _MOST


def _common_end(a: Sequence[int], b: Sequence[int]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[-1 - n] == b[-1 - n] >= 0:
        n += 1
    return n


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
