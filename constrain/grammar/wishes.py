"""Wishes: log-space biases for the shape of a JSON text; they forbid nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields

from constrain.errors import shorten

MOST = 1e6


@dataclass(frozen=True, slots=True)
class Wishes:
    """How much shorter texts are wished for, in nats; 0: not at all, below 0: longer ones.

    A wish takes from the logits of tokens that go on where the text could end, and so divides
    the odds of going on against ending by exp(wish) at each such step. All tokens that go on
    in a string or number cost the same, so that none is spelled in smaller pieces.

    Attributes:
        short_strings: what a token costs that goes on in a string value and does not close it.
            Keys cost nothing, nor does the first token: no wish makes strings empty.
        short_numbers: what a token costs that goes on in a number, for each digit that is
            there already: the wish rises.
        short_arrays: what the comma costs that begins a further item, for each item that is
            there already; nothing while the schema still demands items.
        compact: what a character of white space costs outside of strings, where white space is
            "bounded" or "flexible" and so a matter of choice.
    """

    short_strings: float = 0.0
    short_numbers: float = 0.0
    short_arrays: float = 0.0
    compact: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: a wish is no number from -1e6 to 1e6.
        """
        for wish in fields(self):
            value = getattr(self, wish.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not -MOST <= value <= MOST:
                reason = f"{wish.name} must be from -1e6 to 1e6, not {shorten(value)}"
                raise ValueError(reason)


NO_WISHES = Wishes()
