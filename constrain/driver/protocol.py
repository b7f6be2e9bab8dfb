"""What the decode loop needs of a language model: given by `llama.py` and by a toy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Logits = NDArray[np.float32]
MaskWords = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens to append to one sequence.

    Attributes:
        sequence: which sequence, in `[0, n_sequences)`.
        start: position of the first token; the sequence holds exactly this many tokens.
        token_ids: the tokens, at least one.
    """

    sequence: int
    start: int
    token_ids: Sequence[int]


class LanguageModel(Protocol):
    """A model with a cache for some sequences of tokens."""

    @property
    def n_vocab(self) -> int:
        """Length of a row of logits."""
        ...

    @property
    def n_ctx(self) -> int:
        """Tokens that one sequence can hold."""
        ...

    @property
    def n_sequences(self) -> int:
        """Sequences that can be held at the same time."""
        ...

    @property
    def n_calls(self) -> int:
        """Evaluations of the network so far; one `decode` may need several."""
        ...

    def tokenize(self, data: bytes, *, control: bool) -> list[int]:
        """The model's own tokens for `data` (UTF-8), nothing added at the start.

        Args:
            data: the text.
            control: whether the text of a control token (`<|im_end|>`) becomes that token.
                When False it is ordinary text.
        """
        ...

    def decode(self, pieces: Sequence[Piece]) -> list[Logits]:
        """Append the pieces and evaluate the network on them.

        Returns:
            For each piece the logits after its last token, float32[n_vocab], to be read only
            and valid until the next `decode`.

        Raises:
            DecodeError: the evaluation failed. Sequences may then hold part of the pieces:
                `truncate` them.
        """
        ...

    def truncate(self, sequence: int, n_tokens: int) -> int:
        """Forget the tokens of a sequence from position `n_tokens` on.

        Returns:
            How many tokens the sequence holds now: `n_tokens`, or 0 for a model whose state
            cannot be cut in the middle.
        """
        ...

    def copy(self, source: int, target: int) -> None:
        """Make a sequence hold what another one holds; what it held before is forgotten."""
        ...


class Sequences(Protocol):
    """What the decode loop needs of the sequences of a model; one for each running output."""

    @property
    def n_sequences(self) -> int:
        """Outputs that can run at the same time."""
        ...

    @property
    def n_calls(self) -> int:
        """Evaluations of the network so far."""
        ...

    def shared(self, sequence: int, token_ids: Sequence[int]) -> int:
        """How many of these tokens `restart` would not evaluate again."""
        ...

    def restart(
        self, sequence: int, token_ids: Sequence[int], forced: Sequence[int] = ()
    ) -> Piece:
        """Begin an output anew: its prompt and what is forced after it, left to feed."""
        ...

    def extend(self, sequence: int, token_ids: Sequence[int]) -> Piece:
        """More tokens of an output, to feed."""
        ...

    def feed(self, pieces: Sequence[Piece]) -> list[Logits]:
        """For each piece the logits after it, valid until the next call.

        Raises:
            DecodeError: the model failed; every sequence holds what it held before the call.
        """
        ...
