"""What was written so far, as the penalties, DRY and the bans count it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from constrain.sampling.settings import Sampling
    from constrain.vocabulary import Vocabulary

TokenIds = npt.NDArray[np.int32]

STRUCTURE: Final = b'{}[]":, \t\n\r'
"""The bytes of structural tokens: JSON's punctuation and white space (RFC 8259, section 2)."""

_GAP: Final = -1
_FIRST_ROOM: Final = 64


class TokenWindow:
    """The last tokens of a growing sequence, as one array.

    Args:
        size: how many; -1: all.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._data: TokenIds = np.empty(_FIRST_ROOM, np.int32)
        self._n = 0

    @property
    def ids(self) -> TokenIds:
        """int32[n], oldest first: a view, to be read before the next `append`."""
        first = 0 if self._size < 0 else max(0, self._n - self._size)
        return self._data[first : self._n]

    def append(self, token_id: int) -> None:
        """Add one; amortized constant cost, memory of at most four windows."""
        if self._n == len(self._data):
            kept = self.ids
            room = np.empty(max(_FIRST_ROOM, 2 * len(kept)), np.int32)
            room[: len(kept)] = kept
            self._data, self._n = room, len(kept)
        self._data[self._n] = token_id
        self._n += 1

    def copy(self) -> TokenWindow:
        """One that goes on independently."""
        twin = TokenWindow(self._size)
        twin._data, twin._n = self._data.copy(), self._n
        return twin


class History:
    """The output so far.

    Penalties count the tokens that were chosen and are not spared. DRY compares the same
    sequence, with a gap, which nothing equals, where tokens were left out. Under a grammar
    structural tokens are spared (see `Sampling.penalize_structure`); forced tokens always are.

    Args:
        settings: windows, breakers, and what is spared.
        vocabulary: the bytes of the tokens.
        constrained: whether a grammar is followed.
        reach: how many of the last bytes `tail` is to hold.
    """

    def __init__(
        self, settings: Sampling, vocabulary: Vocabulary, *, constrained: bool, reach: int
    ) -> None:
        self._vocabulary = vocabulary
        self._spares = constrained and not settings.penalize_structure
        self._breakers = [text.encode() for text in settings.dry_breakers]
        self._uses_dry = settings.uses_dry
        longest = max(map(len, self._breakers), default=1) - 1 if self._uses_dry else 0
        self._reach = max(reach, longest)
        self._seen = TokenWindow(settings.penalty_window)
        self._dry = TokenWindow(settings.dry_window)
        self._in_gap = True
        self.since_break = 0
        """Tokens after the last breaker or gap: the longest end that can be a repetition."""
        self.tail = b""
        """The last bytes of the output, forced ones included."""

    @property
    def seen(self) -> TokenIds:
        """The tokens in the penalty window, oldest first."""
        return self._seen.ids

    @property
    def dry(self) -> TokenIds:
        """The tokens in DRY's window, oldest first, -1 where some were left out."""
        return self._dry.ids

    def append(self, token_id: int, *, forced: bool) -> None:
        """Take a token in; `forced`: the grammar left no choice."""
        data = self._text_of(token_id)
        if not (forced or (self._spares and is_structural(data))):
            self._seen.append(token_id)
            self._append_dry(token_id, data)
        elif self._uses_dry:
            if not self._in_gap:
                self._dry.append(_GAP)
            self._in_gap = True
            self.since_break = 0
        if self._reach:
            self.tail = (self.tail + data)[-self._reach :]

    def copy(self) -> History:
        """One that goes on independently."""
        twin = object.__new__(History)
        twin.__dict__.update(self.__dict__)
        twin._seen, twin._dry = self._seen.copy(), self._dry.copy()
        return twin

    def _append_dry(self, token_id: int, data: bytes) -> None:
        if not self._uses_dry:
            return
        self._dry.append(token_id)
        self._in_gap = False
        text = self.tail + data
        start = len(self.tail) + 1  # the least end of an occurrence that ends in the token
        ends_here = any(
            text.find(breaker, max(0, start - len(breaker))) >= 0 for breaker in self._breakers
        )
        self.since_break = 0 if data and ends_here else self.since_break + 1

    def _text_of(self, token_id: int) -> bytes:
        is_text = token_id not in self._vocabulary.control_ids
        return self._vocabulary.tokens[token_id] if is_text else b""


def is_structural(data: bytes) -> bool:
    """Whether a token's text is nothing but JSON's punctuation and white space.

    >>> is_structural(b'": '), is_structural(b"true"), is_structural(b"")
    (True, False, False)
    """
    return data != b"" and not data.strip(STRUCTURE)
