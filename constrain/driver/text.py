"""Bytes of tokens to text that can be shown: whole characters, nothing past a stop string."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextAssembler:
    """Collects the bytes of a growing text and gives out what is settled.

    Bytes that are no UTF-8 become U+FFFD (only text without a grammar can hold any).

    Args:
        stop: texts that end the output; the text before the first of them is kept.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._given = 0
        self.stopped = False

    def add(self, data: bytes) -> None:
        """Append the bytes of a token; sets `stopped` when a stop string is complete."""
        if not self.stopped:
            self._append(self._decoder.decode(data))

    def finish(self) -> None:
        """No more bytes will come: what was held back is settled now."""
        if not self.stopped:
            self._append(self._decoder.decode(b"", final=True))
        self.stopped = True

    @property
    def text(self) -> str:
        """All text so far, up to a stop string, without an unfinished character."""
        return self._text

    def take(self) -> str:
        """The settled text that was not taken yet; it will not change any more."""
        end = len(self._text) - (0 if self.stopped else self._held_back())
        piece = self._text[self._given : end]
        self._given += len(piece)
        return piece

    def _append(self, text: str) -> None:
        # A stop string that ends in the new text starts at most its own length before it.
        longest = max(map(len, self._stop), default=0)
        start = max(0, len(self._text) - longest)
        self._text += text
        found = [at for at in (self._text.find(s, start) for s in self._stop) if at >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.stopped = True

    def _held_back(self) -> int:
        """Characters at the end that may turn out to begin a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for n in range(min(longest, len(self._text)), 0, -1):
            tail = self._text[-n:]
            if any(s.startswith(tail) for s in self._stop):
                return n
        return 0
