"""One sampling step as the chain of reference processors, to compare the native one with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from constrain.sampling import Sampling, processors

Floats = npt.NDArray[np.float32]
NO_IDS = np.empty(0, np.int32)
NO_VALUES = np.empty(0, np.float32)


@dataclass
class Step:
    """The input of one step."""

    logits: Floats
    mask: npt.NDArray[np.bool_]
    bias_ids: npt.NDArray[np.int32]
    bias_values: Floats
    history: npt.NDArray[np.int32]


def pack(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The mask as words: bit i of word w is token 32*w + i."""
    words = np.zeros((len(mask) + 31) // 32, np.uint32)
    for token_id in np.flatnonzero(mask).tolist():
        words[token_id // 32] |= np.uint32(1 << (token_id % 32))
    return words


def seen(step: Step, settings: Sampling) -> npt.NDArray[np.int32]:
    """The part of the history inside the penalty window."""
    window = settings.penalty_window
    if window == 0:
        return NO_IDS
    return step.history if window < 0 else step.history[-window:]


def before_truncation(step: Step, settings: Sampling) -> Floats:
    """Logits after bias, penalties, mask and temperature (not 0)."""
    logits = processors.logit_bias(
        step.logits, [int(k) for k in settings.logit_bias], list(settings.logit_bias.values())
    )
    logits = processors.logit_bias(logits, step.bias_ids, step.bias_values)
    history = seen(step, settings)
    logits = processors.repetition_penalty(logits, history, settings.repeat_penalty)
    logits = processors.frequency_presence_penalty(
        logits, history, settings.frequency_penalty, settings.presence_penalty
    )
    logits = processors.apply_mask(logits, step.mask)
    return processors.apply_temperature(logits, settings.temperature)


def final_logits(step: Step, settings: Sampling) -> Floats:
    """The logits that are drawn from, by the whole chain of reference processors."""
    logits = before_truncation(step, settings)
    logits = processors.top_k(logits, settings.top_k)
    logits = processors.top_p(logits, settings.top_p)
    logits = processors.min_p(logits, settings.min_p)
    return processors.typical_p(logits, settings.typical_p)


def is_borderline(step: Step, settings: Sampling, rounding: float = 2e-6) -> bool:
    """Whether a truncation hangs on float32 rounding, so that either result is right."""
    logits = processors.top_k(before_truncation(step, settings), settings.top_k)
    chances = processors.softmax(logits)
    sums = np.cumsum(chances[np.argsort(-logits.astype(float), kind="stable")])
    if settings.top_p < 1 and np.abs(sums - settings.top_p).min() < rounding:
        return True
    logits = processors.top_p(logits, settings.top_p)
    if settings.min_p > 0:
        least = float(logits.max()) + math.log(settings.min_p)
        finite = logits[np.isfinite(logits)].astype(float)
        if np.abs(finite - least).min() < rounding * (1 + np.abs(finite).max()):
            return True
    logits = processors.min_p(logits, settings.min_p)
    if settings.typical_p < 1:
        q = processors.softmax(logits)
        q = q[q > 0]
        order = np.abs(-np.log(q) + (q * np.log(q)).sum())
        ranked = np.argsort(order, kind="stable")
        near = np.diff(order[ranked]) < 1e-5  # rounding of two float32 logits
        # Equal surprises by equal logits are no problem: the lower id comes first in both.
        near &= np.diff(q[ranked]) != 0
        crossing = np.abs(np.cumsum(q[ranked]) - settings.typical_p).min() < rounding
        return bool(near.any() or crossing)
    return False
