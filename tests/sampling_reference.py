"""One sampling step as the chain of reference processors, to compare the native one with."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def edited_logits(step: Step, settings: Sampling) -> Floats:
    """Logits after biases and penalties."""
    logits = processors.logit_bias(
        step.logits, [int(k) for k in settings.logit_bias], list(settings.logit_bias.values())
    )
    logits = processors.logit_bias(logits, step.bias_ids, step.bias_values)
    history = seen(step, settings)
    logits = processors.repetition_penalty(logits, history, settings.repeat_penalty)
    return processors.frequency_presence_penalty(
        logits, history, settings.frequency_penalty, settings.presence_penalty
    )


def before_truncation(step: Step, settings: Sampling) -> Floats:
    """Logits after bias, penalties, mask and temperature (not 0)."""
    logits = processors.apply_mask(edited_logits(step, settings), step.mask)
    return processors.apply_temperature(logits, settings.temperature)


def final_logits(
    step: Step, settings: Sampling, *, mu: float | None = None, chance: float = 0.0
) -> Floats:
    """The logits that are drawn from, by the whole chain of reference processors.

    Args:
        step: the input.
        settings: its `order` is followed; bans and DRY are not looked at.
        mu: mirostat's state; None: as at the beginning.
        chance: the random number that decides about XTC.
    """
    logits = processors.apply_mask(edited_logits(step, settings), step.mask)
    for name in settings.steps:
        logits = applied(name, logits, settings, mu, chance)
    return logits


def applied(
    name: str, logits: Floats, settings: Sampling, mu: float | None, chance: float
) -> Floats:
    """One step of the chain."""
    s = settings
    bits = 2 * s.mirostat_tau if mu is None else mu
    mirostat = processors.mirostat_1 if s.mirostat == 1 else processors.mirostat_2
    steps = {
        "temperature": lambda x: processors.dynamic_temperature(
            x, s.temperature, s.dynamic_temperature_range, s.dynamic_temperature_exponent
        ),
        "top_n_sigma": lambda x: processors.top_n_sigma(x, s.top_n_sigma),
        "top_k": lambda x: processors.top_k(x, s.top_k),
        "top_p": lambda x: processors.top_p(x, s.top_p),
        "min_p": lambda x: processors.min_p(x, s.min_p),
        "typical_p": lambda x: processors.typical_p(x, s.typical_p),
        "xtc": lambda x: processors.xtc(x, s.xtc_threshold, s.xtc_probability, chance),
        "mirostat": lambda x: mirostat(x, bits),
    }
    result: Floats = steps[name](logits)
    return result


NUDGE = 3e-6


def nudged(settings: Sampling, direction: int) -> Sampling:
    """The settings with every limit moved by what float32 sums may be off."""
    up = 1 + direction * NUDGE * 4
    changes: dict[str, float] = {
        "top_n_sigma": settings.top_n_sigma * up,
        "min_p": min(1.0, settings.min_p * up),
        "xtc_threshold": settings.xtc_threshold * up,
        "mirostat_tau": settings.mirostat_tau * up,
        "dynamic_temperature_range": settings.dynamic_temperature_range * up,
    }
    for name in ("top_p", "typical_p"):
        value = getattr(settings, name)
        if value < 1:
            changes[name] = min(1.0, value + direction * NUDGE)
    return replace(settings, **changes)  # type: ignore[arg-type]  # fields of that type


def is_borderline(step: Step, settings: Sampling, *, chance: float = 0.0) -> bool:
    """Whether a truncation hangs on rounding, so that either result is right."""
    kept = [
        np.isfinite(final_logits(step, chosen, chance=chance))
        for chosen in (settings, nudged(settings, 1), nudged(settings, -1))
    ]
    if not (np.array_equal(kept[0], kept[1]) and np.array_equal(kept[0], kept[2])):
        return True
    return settings.typical_p < 1 and has_near_surprises(step, settings, chance)


def has_near_surprises(step: Step, settings: Sampling, chance: float) -> bool:
    """Whether typical-p has to rank different logits that are about equally typical."""
    logits = processors.apply_mask(edited_logits(step, settings), step.mask)
    for name in settings.steps:
        if name == "typical_p":
            break
        logits = applied(name, logits, settings, None, chance)
    q = processors.softmax(logits)
    q = q[q > 0]
    order = np.abs(-np.log(q) + (q * np.log(q)).sum())
    ranked = np.argsort(order, kind="stable")
    near = np.diff(order[ranked]) < 1e-5  # rounding of two float32 logits
    # Equal surprises by equal logits are no problem: the lower id comes first in both.
    near &= np.diff(q[ranked]) != 0
    # Only where the limit is.
    sums = np.cumsum(q[ranked])
    at = int(np.searchsorted(sums, settings.typical_p))
    return bool(near[max(0, at - 3) : at + 3].any())
