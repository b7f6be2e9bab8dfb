"""Which tokens each sequence of a model holds, so that a shared beginning is computed once.

A prompt that begins like what the sequence already holds (the same system message, the next
turn of a chat, the same prompt with another seed) costs only its new part. Attention over a
kept prefix reads the same keys and values that a fresh evaluation would write. Whether the
logits agree in every bit depends on how the backend rounds when tokens come in other groups:
`llama.py` sets llama.cpp up so that they do on a CPU (SmolLM2, 20 to 500 tokens, in all splits
tried); on a GPU they may differ slightly. `reuse=False` evaluates every prompt afresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constrain.driver.protocol import LanguageModel, Logits, Piece

if TYPE_CHECKING:
    from collections.abc import Sequence


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest shared beginning.

    >>> common_prefix([1, 2, 3], [1, 2, 4, 5])
    2
    """
    n = min(len(a), len(b))
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n


class SequenceCache:
    """The tokens held by each sequence of one model, kept true across failures.

    Args:
        model: the model whose sequences are tracked; nothing else may feed it.
        reuse: whether a new prompt may keep the prefix it shares with what is held.
    """

    def __init__(self, model: LanguageModel, *, reuse: bool = True) -> None:
        self.model = model
        self._reuse = reuse
        self._held: list[list[int]] = [[] for _ in range(model.n_sequences)]

    @property
    def n_sequences(self) -> int:
        """Sequences that can be held at the same time."""
        return self.model.n_sequences

    @property
    def n_calls(self) -> int:
        """Evaluations of the network so far."""
        return self.model.n_calls

    def held(self, sequence: int) -> tuple[int, ...]:
        """The tokens a sequence holds."""
        return tuple(self._held[sequence])

    def shared(self, sequence: int, token_ids: Sequence[int]) -> int:
        """How many tokens `restart` would keep: always fewer than `token_ids` has.

        The last token is evaluated again, since its logits are wanted.
        """
        if not self._reuse:
            return 0
        return min(common_prefix(self._held[sequence], token_ids), len(token_ids) - 1)

    def restart(
        self, sequence: int, token_ids: Sequence[int], forced: Sequence[int] = ()
    ) -> Piece:
        """Make a sequence ready to hold a prompt and what is forced after it.

        Returns:
            The piece that is left to decode.
        """
        wanted = [*token_ids, *forced]
        kept = self._cut(sequence, self.shared(sequence, wanted))
        return Piece(sequence, kept, wanted[kept:])

    def extend(self, sequence: int, token_ids: Sequence[int]) -> Piece:
        """The piece that appends `token_ids` to a sequence."""
        return Piece(sequence, len(self._held[sequence]), token_ids)

    def copy(self, source: int, target: int) -> None:
        """Make a sequence hold what another one holds."""
        self._held[target].clear()  # first: interrupted, the model holds more than is noted
        self.model.copy(source, target)
        self._held[target].extend(self._held[source])

    def drop(self, sequence: int) -> None:
        """Make a sequence hold nothing."""
        self._cut(sequence, 0)

    def feed(self, pieces: Sequence[Piece]) -> list[Logits]:
        """Decode the pieces.

        Returns:
            As `LanguageModel.decode`.

        Raises:
            DecodeError: the model failed; every sequence holds what it held before the call.
        """
        done = False
        try:
            rows = self.model.decode(pieces)
            done = True
        finally:
            # Also for KeyboardInterrupt: the model may have stored some of the tokens.
            if not done:
                for piece in pieces:
                    self._cut(piece.sequence, piece.start)
        for piece in pieces:
            self._held[piece.sequence].extend(piece.token_ids)
        return rows

    def _cut(self, sequence: int, n_tokens: int) -> int:
        # What is noted is cut first: interrupted in between, the model holds more than is
        # noted, and the next `restart` cuts that off.
        held = self._held[sequence]
        del held[n_tokens:]
        kept = self.model.truncate(sequence, n_tokens)
        del held[kept:]
        return kept
