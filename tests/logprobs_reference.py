"""What a step must say about its row of logits: plain float64 arithmetic, no shortcut."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from constrain.driver.result import Step


def expect(step: Step, row: NDArray[np.float32], allowed: NDArray[np.bool_], n: int) -> None:
    """Everything about a sampled step, by plain float64 arithmetic on its row."""
    own = np.exp(row.astype(np.float64) - row.max())
    own /= own.sum()
    among = np.where(allowed, own, 0.0)
    among /= among.sum()

    def entropy(p: NDArray[np.float64]) -> float:
        return float(-sum(x * math.log(x) for x in p if x > 0))

    assert step.n_allowed == allowed.sum()
    assert step.logprob == pytest.approx(math.log(own[step.token_id]), abs=1e-4)
    assert step.masked_logprob == pytest.approx(math.log(among[step.token_id]), abs=1e-4)
    assert step.removed_mass == pytest.approx(own[~allowed].sum(), abs=1e-5)
    assert step.entropy == pytest.approx(entropy(own), abs=1e-4)
    assert step.masked_entropy == pytest.approx(entropy(among), abs=1e-4)
    for side in (True, False):
        best = [i for i in np.argsort(-own, kind="stable") if allowed[i] == side][:n]
        found = [a for a in step.alternatives if a.allowed == side]
        assert [a.token_id for a in found] == best
        assert [math.exp(a.logprob) for a in found] == pytest.approx(own[best], abs=1e-5)
        if side:
            chances = [math.exp(cast("float", a.masked_logprob)) for a in found]
            assert chances == pytest.approx(among[best], abs=1e-5)
