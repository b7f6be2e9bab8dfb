"""Which tokens would complete a banned text, given the bytes written so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.sampling.token_search import TokenIds, TokenSearch

_NONE: TokenIds = np.empty(0, np.int32)


class BannedTexts:
    """The tokens that complete a banned text, exactly, on bytes.

    A token completes a text if an occurrence ends in it. The occurrence begins in the token,
    too: then the token holds the text, and is banned always. Or it begins in what was written:
    then that ends with a first part of the text, and the token begins with the rest.

    Args:
        texts: what must not be written, as UTF-8; none is empty.
        search: the tokens.
    """

    def __init__(self, texts: Sequence[bytes], search: TokenSearch) -> None:
        self._texts = tuple(texts)
        self._search = search
        self._known: dict[tuple[bytes, ...], TokenIds] = {}
        self.always = search.holding(self._texts)
        self.reach = max(map(len, self._texts), default=1) - 1
        """How many of the last bytes decide."""
        self._rests: dict[bytes, set[bytes]] = {}
        for text in self._texts:
            for n in range(1, len(text)):
                self._rests.setdefault(text[:n], set()).add(text[n:])

    def completing(self, written: bytes) -> TokenIds:
        """The ids of tokens that complete a text begun in `written`; see also `always`.

        Cost: a look-up for each of the last `reach` bytes; a search of the vocabulary for each
        set of rests that was not met before.
        """
        rests: set[bytes] = set()
        for n in range(1, min(self.reach, len(written)) + 1):
            rests |= self._rests.get(written[-n:], set())
        if not rests:
            return _NONE
        key = tuple(sorted(rests))
        if key not in self._known:
            self._known[key] = self._search.beginning(key)
        return self._known[key]
