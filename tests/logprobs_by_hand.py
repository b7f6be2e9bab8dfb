"""Outputs made by hand: their tokens, the probabilities of these, and what else could come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from constrain.driver.result import Result, Step, Timings
from constrain.logprobs import Alternative

if TYPE_CHECKING:
    from constrain.grammar.ir import Grammar
    from constrain.logprobs import Field


def alternative(text: str, p: float | None, *, ends: bool = False) -> Alternative:
    """Allowed with probability p among the allowed, or forbidden."""
    return Alternative(9, text.encode(), -1.0, None if p is None else math.log(p), ends)


def token(text: str, p: float | None = None, *others: Alternative) -> Step:
    """A token that was sampled with probability p among the allowed, or a forced one."""
    if p is None:
        return Step.of_forced(1, text.encode())
    return Step(
        token_id=1,
        data=text.encode(),
        forced=False,
        logprob=math.log(p) - 1,
        masked_logprob=math.log(p),
        sampling_logprob=0.0,
        removed_mass=0.5,
        n_allowed=3,
        masked_entropy=10 * p,  # tells the steps apart
        alternatives=others,
    )


def runners_up(field: Field) -> tuple[tuple[str, bool, float], ...]:
    """Text, whether it is complete, and probability of each."""
    return tuple((r.text, r.complete, round(r.probability, 9)) for r in field.runners_up)


def result_of(
    grammar: Grammar | None, *steps: Step, end: Step | None = None, cancelled: bool = False
) -> Result:
    """A result with these tokens."""
    return Result(
        text=b"".join(step.data for step in steps).decode("utf-8", "replace"),
        finish_reason="cancelled" if cancelled else "stop",
        steps=steps,
        end=end,
        shortened=False,
        prompt_tokens=1,
        n_model_calls=1,
        timings=Timings(),
        grammar=grammar,
    )
