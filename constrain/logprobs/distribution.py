"""What a row of logits and a mask say, as pure functions with their formulas.

These are the definitions; `measure` gives the same from one native call, and the tests hold it
to these. All take float32 logits `[n_vocab]` in nats (any stride, never written to) and a mask
`bool[n_vocab]`, True = allowed. p is the softmax over all tokens: the model's own distribution,
before any bias, penalty, temperature or truncation. NaN spreads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from constrain.sampling.processors import Logits, Probabilities, apply_mask, log_softmax

Mask = npt.NDArray[np.bool_]


def entropy(logits: Logits) -> float:
    """Shannon's entropy in nats, `H = -sum_i p_i log p_i`, where 0 log 0 is 0.

    0: the next token is certain; log n: n tokens are equally likely. For the entropy among the
    allowed tokens, give it `apply_mask(logits, mask)`.

    Raises:
        ValueError: every logit is -inf, or there is none.

    Source: Shannon: A mathematical theory of communication, 1948, section 6.

    >>> round(entropy(np.zeros(8, np.float32)), 6)  # log 8
    2.079442
    """
    log_p = log_softmax(logits)
    possible = log_p[log_p > -np.inf]
    return float(-(np.exp(possible) * possible).sum()) + 0.0


def masked_log_softmax(logits: Logits, mask: Mask) -> Probabilities:
    """Log-probabilities renormalized over the allowed tokens, float64; -inf where forbidden.

    `log p_i - log sum_(j allowed) p_j`.

    Raises:
        ValueError: every allowed logit is -inf, or no token is allowed.
    """
    return log_softmax(apply_mask(logits, mask))


def removed_mass(logits: Logits, mask: Mask) -> float:
    """Probability of all forbidden tokens, in [0, 1]: how hard the constraint pulls.

    >>> removed_mass(np.zeros(4, np.float32), np.array([True, False, False, False]))
    0.75
    """
    p = np.exp(log_softmax(logits))
    return float(p[~np.asarray(mask, np.bool_)].sum())


def top_tokens(logits: Logits, mask: Mask, n: int) -> list[int]:
    """Ids of the n likeliest tokens for which `mask` is True, the likeliest first.

    Among equals the lower id is first; tokens with a logit of -inf are left out, so there may
    be fewer. For the likeliest forbidden tokens give it `~mask`.

    >>> top_tokens(np.array([1, 3, 2, 3], np.float32), np.array([True, True, False, True]), 2)
    [1, 3]
    """
    values = apply_mask(logits, mask)
    ids = np.argsort(-values, kind="stable")[:n]
    return [int(i) for i in ids if values[i] > -np.inf]
