"""Classifier-free guidance: each output is read after its prompt and after another one.

The second prompt says what is not wanted, or nothing. Both contexts get the same output
tokens, in one model call; where they disagree about the next token, the difference is
exaggerated (`constrain.sampling.processors.guided_logits`) before anything else is done with
the logits. So log-probabilities and removed mass of a guided output are those of the combined
distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from constrain.errors import LimitError, shorten
from constrain.sampling.processors import guided_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.driver.cache import SequenceCache
    from constrain.driver.prompts import Prompt
    from constrain.driver.protocol import Logits, Piece


@dataclass(frozen=True, slots=True)
class Guidance:
    """How strongly an output keeps to its prompt, against another prompt.

    What a result says of probabilities (`Step`, fields, reports) is of the combined
    distribution, not of the model's own after the prompt.

    Attributes:
        scale: 1 is no guidance, above 1 more of what sets the prompt apart (1.5 is usual),
            0 writes after the negative prompt alone, below 0 the opposite of the prompt.
        negative_prompt: a text or chat messages, as a prompt; "" is the model's beginning
            token alone (what it writes when asked nothing).

    Raises:
        ValueError: the scale is no finite number.
    """

    scale: float = 1.5
    negative_prompt: Prompt = ""

    def __post_init__(self) -> None:
        """Check the scale."""
        if isinstance(self.scale, bool) or not math.isfinite(self.scale):
            message = f"scale is {shorten(self.scale)}; expected a finite number"
            raise ValueError(message)


class GuidedCache:
    """Sequences in pairs, for the decode loop.

    Output i has sequence 2i of the cache below and, after the negative prompt, 2i + 1.

    Args:
        cache: at least two sequences; nothing else may use it meanwhile.
        negative: tokens of the negative prompt, at least one.
        scale: of the guidance.
    """

    def __init__(self, cache: SequenceCache, negative: Sequence[int], scale: float) -> None:
        self._cache = cache
        self._negative = list(negative)
        self._scale = scale
        self._twins: dict[int, Piece] = {}  # by sequence: what its second one is to be fed

    @property
    def n_sequences(self) -> int:
        """Outputs that can run at the same time."""
        return self._cache.n_sequences // 2

    @property
    def n_calls(self) -> int:
        """Evaluations of the network so far."""
        return self._cache.n_calls

    def shared(self, sequence: int, token_ids: Sequence[int]) -> int:
        """How many of these tokens `restart` would not evaluate again."""
        return self._cache.shared(2 * sequence, token_ids)

    def restart(
        self, sequence: int, token_ids: Sequence[int], forced: Sequence[int] = ()
    ) -> Piece:
        """See `Sequences.restart`; the negative prompt gets the same forced tokens."""
        twin = self._cache.restart(2 * sequence + 1, self._negative, forced)
        self._twins[2 * sequence] = twin
        return self._cache.restart(2 * sequence, token_ids, forced)

    def extend(self, sequence: int, token_ids: Sequence[int]) -> Piece:
        """See `Sequences.extend`."""
        self._twins[2 * sequence] = self._cache.extend(2 * sequence + 1, token_ids)
        return self._cache.extend(2 * sequence, token_ids)

    def feed(self, pieces: Sequence[Piece]) -> list[Logits]:
        """See `Sequences.feed`: the combined logits, float32, owned by the caller."""
        twins = [self._twins[piece.sequence] for piece in pieces]
        rows = self._cache.feed([*pieces, *twins])
        n = len(pieces)
        return [guided_logits(rows[i], rows[n + i], self._scale) for i in range(n)]


def room_for_both(n_ctx: int, n_prompt: int, n_negative: int) -> int:
    """The context that is left for a prompt and its output beside a longer negative prompt.

    Raises:
        LimitError: the negative prompt leaves no room to answer.

    >>> room_for_both(100, 10, 30)
    80
    """
    if n_negative >= n_ctx:
        what = "tokens of the negative prompt (n_ctx, one left to answer)"
        raise LimitError(what, n_negative, n_ctx - 1)
    return n_ctx - max(0, n_negative - n_prompt)
