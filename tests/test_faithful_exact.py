"""Faithful sampling has no bias: its mean over all that chance can do, not over some draws.

Every random choice of a run is replaced by a branch of known probability, and all branches are
gone through; so the expected weight of each sequence is a finite sum, and equals the model's
probability of it to rounding. Unlike a test on draws, this one cannot miss a small error.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

import constrain
from constrain.driver import faithful, particles
from constrain.driver.proposal import Proposal
from constrain.errors import DecodeError
from constrain.sampling import Sampling
from tests.faithful_toys import PROMPT, VOCABULARY, Oracle, Wishing, draw
from tests.toy_model import TOKENS, ListMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from constrain.driver.particles import Weights


class Chance:
    """Goes through all outcomes of a run, depth first, and knows how probable each is."""

    def __init__(self) -> None:
        self.probability = 1.0
        self._taken: list[tuple[int, int]] = []  # which of how many branches, at each choice
        self._at = 0

    def choose(self, probabilities: Sequence[float] | Weights) -> int:
        """The next choice of the run: one of those that are possible."""
        possible = [i for i, p in enumerate(probabilities) if p > 0]
        if self._at == len(self._taken):
            self._taken.append((0, len(possible)))
        chosen = possible[self._taken[self._at][0]]
        self._at += 1
        self.probability *= probabilities[chosen]
        return chosen

    def go_on(self) -> bool:
        """Begin the next run; False if there is none."""
        self._at, self.probability = 0, 1.0
        while self._taken:
            branch, n = self._taken.pop()
            if branch + 1 < n:
                self._taken.append((branch + 1, n))
                return True
        return False


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> Chance:
    """Stands for the random numbers of faithful sampling."""
    made = Chance()

    def draw_token(proposal: Proposal, _: float) -> int:
        return made.choose(np.exp(proposal._weights - proposal.log_mass))

    def draw_anew(log_weights: Weights, _: float) -> NDArray[np.int64]:
        # The outcome changes where one of the n points, all moved by u, passes a sum of shares.
        n = len(log_weights)
        sums = np.cumsum(particles.normalized(log_weights))
        ends = np.unique(np.round([0.0, *(n * sums % 1), 1.0], 12))
        part = made.choose(np.diff(ends))
        return particles.systematic(log_weights, (ends[part] + ends[part + 1]) / 2)

    monkeypatch.setattr(Proposal, "draw", draw_token)
    monkeypatch.setattr(faithful, "systematic", draw_anew)
    monkeypatch.setattr(faithful, "pick", lambda log_weights, _: int(log_weights.argmax()))
    return made


def wish(held: tuple[int, ...]) -> dict[int, float]:
    """Wants x, and then hardly an end; few tokens are possible, so there is little chance."""
    row = dict.fromkeys(range(len(TOKENS)), -math.inf)
    n = len(held) - len(PROMPT)
    wanted = [
        {b"x": 1.0, b"na": -1.0, b"!": 0.5},
        {b"x": 1.0, b"na": 0.5, b"!": 2.0, b"<end>": -4.0},
        {b"x": 2.0, b"!": 0.0, b"<end>": 0.5},
        {b"<end>": 1.0, b"x": 0.0},
    ][min(n, 3)]
    return row | {TOKENS.index(data): value for data, value in wanted.items()}


TEXTS = ["x", "x!", "xx!", "nax!", "xna"]
DEAD_END = ["x!", "!xna"]  # after !x the model gives no probability to na
BIAS = {TOKENS.index(b"na"): 0.7}
SAMPLING = Sampling(temperature=1.3, logit_bias=dict(BIAS.items()))


@dataclass
class Means:
    """Expected values over all that chance can do."""

    weights: Counter[tuple[int, ...]] = field(default_factory=Counter)
    total: float = 0.0
    validity: float = 0.0
    n_resampled: float = 0.0
    is_shortened: float = 0.0


def means_of(chance: Chance, matcher: object, n: int, budget: int) -> Means:
    """Draw with every outcome of every choice."""
    model = Wishing(n, wish)
    means = Means()
    is_left = True
    while is_left:
        try:
            result = draw(matcher, 0, model=model, n=n, max_tokens=budget, sampling=SAMPLING)
        except DecodeError:  # no sequence came to an end: the estimate is 0
            pass
        else:
            p = chance.probability
            account = result.faithful
            assert account is not None
            means.validity += p * account.validity
            means.n_resampled += p * account.n_resampled
            means.is_shortened += p * result.shortened
            for particle in account.particles:
                weight = p * math.exp(particle.log_weight) / n
                means.weights[particle.tokens] += weight  # type: ignore[assignment]  # a float
        means.total += chance.probability
        is_left = chance.go_on()
    assert means.total == pytest.approx(1, abs=1e-9)  # nothing that can happen was left out
    return means


def probabilities(texts: list[str], budget: int) -> dict[tuple[int, ...], float]:
    sequences = Oracle(wish, 1.3, BIAS, budget).sequences(texts)
    return {tokens: p for tokens, p in sequences.items() if p > 0}


@pytest.mark.parametrize(
    ("n", "budget", "texts", "is_drawn_anew"),
    [
        (1, 9, TEXTS, False),
        (1, 2, TEXTS, False),
        (2, 2, ["x!", "xx!"], False),
        (2, 9, DEAD_END, True),  # of two, only a dead one makes the sample that small
        (3, 9, ["x!", "!"], True),
        (3, 2, ["x!", "xx!", "!"], True),
    ],
)
def test_the_expected_weight_of_each_sequence_is_its_probability(
    chance: Chance, n: int, budget: int, texts: list[str], *, is_drawn_anew: bool
) -> None:
    expected = probabilities(texts, budget)
    means = means_of(chance, ListMatcher(texts), n, budget)
    assert (means.n_resampled > 0.01) == is_drawn_anew
    assert (means.is_shortened > 0) == (budget == 2)
    assert means.validity == pytest.approx(sum(expected.values()), rel=1e-6)
    assert dict(means.weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("budget", [9, 2])
def test_weights_of_the_grammar_are_divided_by_the_temperature(
    chance: Chance, budget: int
) -> None:
    weights = {"x": -1.0, "x!": 0.0, "xx!": 2.0, "xna": 0.5}
    expected = probabilities(list(weights), budget)

    def bent(tokens: tuple[int, ...]) -> float:
        """Relative to the best text: weights are, in all of the package."""
        text = b"".join(TOKENS[t] for t in tokens).decode()
        return math.exp((weights[text] - 2.0) / 1.3)

    compiled = constrain.compile(constrain.choice(weights), VOCABULARY)
    means = means_of(chance, compiled.matcher(), 1, budget)
    assert means.validity == pytest.approx(sum(expected.values()), rel=1e-6)
    assert dict(means.weights) == pytest.approx(
        {tokens: p * bent(tokens) for tokens, p in expected.items()}, rel=1e-6
    )
