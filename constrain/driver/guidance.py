"""Classifier-free guidance: each output is read after its prompt and after another one.

The second prompt says what is not wanted, or nothing. Both contexts get the same output
tokens, in one model call; where they disagree about the next token, the difference is
exaggerated (`constrain.sampling.processors.guided_logits`) before anything else is done with
the logits. So log-probabilities and removed mass of a guided output are those of the combined
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from constrain.arguments import as_float, unfit
from constrain.driver.prompts import Prompt, check_prompt
from constrain.errors import ArgumentError, DecodeError, LimitError
from constrain.sampling.processors import guided_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.driver.cache import SequenceCache
    from constrain.driver.protocol import Logits, Piece

_MOST_SCALE = 1e6


@dataclass(frozen=True, slots=True)
class Guidance:
    """How strongly an output keeps to its prompt, against another prompt.

    All figures of a guided output are of the combined distribution, not of the model's own:
    the log-probabilities of its steps, removed mass, entropies, alternatives, and so the
    confidence of its fields.

    Attributes:
        scale: 1 is no guidance, above 1 more of what sets the prompt apart (1.5 is usual),
            0 writes after the negative prompt alone, below 0 the opposite of the prompt; from
            -1e6 to 1e6.
        negative_prompt: a text or chat messages, as a prompt; "" is the model's beginning
            token alone (what it writes when asked nothing).

    Raises:
        ArgumentError: the scale is no number in its range, or the negative prompt no prompt.
    """

    scale: float = 1.5
    negative_prompt: Prompt = ""

    def __post_init__(self) -> None:
        """Check both; the scale becomes a Python float."""
        scale = as_float(self.scale)
        if scale is None or not abs(scale) <= _MOST_SCALE:
            raise unfit("scale", self.scale, "a number from -1e6 to 1e6")
        object.__setattr__(self, "scale", scale)
        check_prompt("negative_prompt", self.negative_prompt)


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
        """See `Sequences.feed`: the combined logits, float32, owned by the caller.

        Raises:
            DecodeError: also where one of the two has no logit above -inf.
        """
        twins = [self._twins[piece.sequence] for piece in pieces]
        rows = self._cache.feed([*pieces, *twins])
        n = len(pieces)
        try:
            return [guided_logits(rows[i], rows[n + i], self._scale) for i in range(n)]
        except ArgumentError as error:
            raise DecodeError("the model gave logits that are no distribution") from error


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
