"""What a user sets about sampling: one frozen, validated dataclass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from constrain.errors import shorten

_MAX_SEED = 2**64


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        message = f"{name} is {shorten(value)}; expected {expected}"
        raise ValueError(message)


def _is_finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]  # `number` says so


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is chosen from the logits; the defaults sample the model's own distribution.

    The order of a step is fixed: logit bias and the automaton's bias, penalties, mask,
    temperature, top-k, top-p, min-p, typical-p, draw. The mask comes before the truncating
    steps, so that they never leave an empty set. The formulas are in
    `constrain.sampling.processors`.

    Attributes:
        temperature: divides the logits; 0 takes the greatest one (lowest id among equals) and
            uses no random number.
        top_k: keeps the k greatest; 0 is off.
        top_p: keeps the smallest set with at least this probability, in (0, 1]; 1 is off.
        min_p: drops tokens below this share of the greatest probability, in [0, 1]; 0 is off.
        typical_p: keeps the most typical set with at least this probability; 1 is off.
        repeat_penalty: divides positive and multiplies other logits of tokens seen; 1 is off.
        frequency_penalty: subtracted from a token's logit for each time it was seen.
        presence_penalty: subtracted once from the logit of each token seen.
        penalty_window: how many of the last tokens count as seen; 0 turns penalties off, -1
            counts all.
        logit_bias: added to logits. A key is a token id, or a text: the token whose bytes are
            exactly this text and the one that is a space and this text (`"JSON"` is `JSON` and
            ` JSON`), where the vocabulary has them; control tokens are never meant by a text.
            A text that is no single token is an error when the sampler is made, for a bias on
            its pieces would change other words. -inf bans a token; +100 about forces it.
        seed: the same seed, model and input give the same tokens; None takes one at random.

    Raises:
        ValueError: for a value out of range; it names the field.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: Mapping[int | str, float] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every field; the bias is copied, so that it cannot change later."""
        for name in (
            "temperature",
            "top_p",
            "min_p",
            "typical_p",
            "repeat_penalty",
            "frequency_penalty",
            "presence_penalty",
        ):
            value = getattr(self, name)
            _require(_is_finite(value), name, value, "a finite number")
        _require(self.temperature >= 0, "temperature", self.temperature, "0 (greedy) or more")
        _require(
            _is_int(self.top_k) and 0 <= self.top_k < 2**63,
            "top_k",
            self.top_k,
            "an int, 0 (off) or more",
        )
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "0 < top_p <= 1 (off)")
        _require(0 <= self.min_p <= 1, "min_p", self.min_p, "0 (off) <= min_p <= 1")
        _require(
            0 < self.typical_p <= 1, "typical_p", self.typical_p, "0 < typical_p <= 1 (off)"
        )
        _require(
            self.repeat_penalty > 0,
            "repeat_penalty",
            self.repeat_penalty,
            "more than 0; 1 is off",
        )
        _require(
            _is_int(self.penalty_window) and self.penalty_window >= -1,
            "penalty_window",
            self.penalty_window,
            "an int, -1 (all tokens) or more",
        )
        _require(
            self.seed is None or (_is_int(self.seed) and 0 <= self.seed < _MAX_SEED),
            "seed",
            self.seed,
            "None or an int in [0, 2**64)",
        )
        _check_bias(self.logit_bias)
        object.__setattr__(self, "logit_bias", MappingProxyType(dict(self.logit_bias)))

    def __reduce__(self) -> tuple[type[Sampling], tuple[object, ...]]:
        """Pickle by value: the read-only view of the bias cannot be pickled itself."""
        values = (getattr(self, item.name) for item in fields(self))
        return type(self), tuple(
            dict(value) if isinstance(value, MappingProxyType) else value for value in values
        )

    def __hash__(self) -> int:
        """Hash of all fields; equal settings have equal hashes."""
        values = (
            getattr(self, item.name) for item in fields(self) if item.name != "logit_bias"
        )
        return hash((*values, frozenset(self.logit_bias.items())))

    @property
    def penalizes(self) -> bool:
        """Whether the tokens seen so far change any logit."""
        off = (
            self.repeat_penalty == 1
            and self.frequency_penalty == 0
            and self.presence_penalty == 0
        )
        return self.penalty_window != 0 and not off


def _check_bias(logit_bias: Mapping[int | str, float]) -> None:
    _require(isinstance(logit_bias, Mapping), "logit_bias", logit_bias, "a mapping")
    for key, value in logit_bias.items():
        name = f"logit_bias[{shorten(key)}]"
        is_key = (isinstance(key, str) and key != "") or _is_int(key)
        _require(is_key, "logit_bias key", key, "a token id or a text that is not empty")
        _require(
            _is_finite(value) or value == -math.inf,
            name,
            value,
            "a finite number or -inf (ban)",
        )
