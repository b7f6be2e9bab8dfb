"""Where a grammar left a choice along a text, byte by byte, and what else could have stood.

The text is followed once more through the grammar compiled for single bytes, so nothing has to
be noted while tokens are drawn, and a token that spans several values can be taken apart. A
byte is *decided* where another byte could have stood, or where the text could have ended. In
JSON, what the grammar allows of white space between the tokens is a choice of *layout*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from constrain.automaton import bytes_vocabulary, compile
from constrain.errors import TokenRejectedError
from constrain.logprobs.layout import SPACE

if TYPE_CHECKING:
    from constrain.automaton import Matcher
    from constrain.grammar.ir import Grammar
    from constrain.limits import Limits
    from constrain.logprobs.layout import Layout

_SPACE_BYTES = np.frombuffer(SPACE, np.uint8)
_NUMBER_BYTES = np.frombuffer(b"+-.0123456789Ee", np.uint8)


class Replay:
    """A text under its grammar.

    Args:
        grammar: what the text follows; None: any text.
        data: the text, or the beginning of one.
        limits: for compiling the grammar for bytes; None: `Limits()`.

    Raises:
        TokenRejectedError: the text is no beginning of one of the grammar.
        LimitError: as compiling and matching do.

    Cost: compiling (0.1 to 0.4 ms for a small schema) and about 1 µs a byte.
    """

    def __init__(
        self, grammar: Grammar | None, data: bytes, limits: Limits | None = None
    ) -> None:
        self._data = data
        self._matcher: Matcher | None = None
        # Row i: which bytes the grammar allows at position i, after the i bytes before it.
        self._allowed: npt.NDArray[np.bool_] | None = None
        self._may_end: npt.NDArray[np.bool_] | None = None
        if grammar is not None:
            self._follow(compile(grammar, bytes_vocabulary(), limits).matcher())

    def _follow(self, matcher: Matcher) -> None:
        n = len(self._data)
        words = np.zeros((n + 1, 8), np.uint32)
        may_end = np.zeros(n + 1, np.bool_)
        for i in range(n + 1):
            matcher.fill_mask(words[i])
            may_end[i] = matcher.is_accepting
            if i < n:
                matcher.accept_bytes(self._data[i : i + 1])
        self._matcher = matcher
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
        self._allowed = bits.view(np.bool_)
        self._may_end = may_end

    def decided(self, layout: Layout) -> npt.NDArray[np.bool_]:
        """bool[len(data) + 1]: True where the grammar left a choice that is not of layout.

        The last entry speaks of the end of the text: True if it could also have gone on.
        A byte of content counts if another one, or the end, could have come in its place,
        and white space that is layout only if it ruled out content (the next digit of a number,
        another item) that could have stood in its place.
        """
        ways = self._ways()
        if ways is None:
            return np.ones(len(self._data) + 1, np.bool_)
        ways[np.ix_(np.flatnonzero(layout.free), _SPACE_BYTES)] = False
        result: npt.NDArray[np.bool_] = ways.sum(axis=1) > 1
        white = np.flatnonzero(layout.white)
        result[white] = (ways[white] & ~ways[white + 1]).any(axis=1)
        return result

    def layout_choices(self, layout: Layout) -> npt.NDArray[np.bool_]:
        """bool[len(data) + 1]: True where white space could be layout, or not be there."""
        ways = self._ways()
        if ways is None:
            return np.zeros(len(self._data) + 1, np.bool_)
        result: npt.NDArray[np.bool_] = (
            layout.free & ways[:, _SPACE_BYTES].any(axis=1) & (ways.sum(axis=1) > 1)
        )
        return result

    def _ways(self) -> npt.NDArray[np.bool_] | None:
        """bool[len(data) + 1, 257]: which byte could come, and last the end; None: anything."""
        if self._allowed is None or self._may_end is None:
            return None
        return np.hstack([self._allowed, self._may_end[:, None]])

    def number_goes_on(self, position: int) -> bool:
        """Could a number that ends at this position have had another character?"""
        if self._allowed is None:
            return True
        return bool(self._allowed[position, _NUMBER_BYTES].any())

    def continued(self, position: int, data: bytes) -> tuple[bytes, bool]:
        """What follows if `data` stands at `position`: `data` and all text then forced.

        Args:
            position: a byte of the text.
            data: at least one byte.

        Returns:
            The bytes from `position` on, empty if the grammar does not allow `data` there; and
            whether the text, or a number that it ends in, is sure not to go on.

        Cost: linear in the distance from the position of the call before.
        """
        if self._matcher is None:
            return data, False
        matcher = self._moved_to(position)
        try:
            matcher.accept_bytes(data)
            forced = matcher.forced_bytes()
            if forced:
                matcher.accept_bytes(forced)
            goes_on = bool(matcher.mask()[_NUMBER_BYTES].any())
        except TokenRejectedError:
            return b"", False
        finally:  # a copy would cost the whole history each time
            matcher.rollback(matcher.n_tokens - position)
        return data + forced, not goes_on

    def ends_at(self, position: int, data: bytes) -> bool:
        """Is the text complete, sure not to go on, if `data` stands at `position`?

        Raises:
            TokenRejectedError: it cannot stand there.
        """
        if self._matcher is None:
            return False
        matcher = self._moved_to(position)
        try:
            matcher.accept_bytes(data)
            return not matcher.can_continue
        finally:
            matcher.rollback(matcher.n_tokens - position)

    def _moved_to(self, position: int) -> Matcher:
        """The matcher after the first `position` bytes of the text."""
        matcher = self._matcher
        assert matcher is not None, "only called under a grammar"
        if matcher.n_tokens > position:
            matcher.rollback(matcher.n_tokens - position)
        for i in range(matcher.n_tokens, position):
            matcher.accept_bytes(self._data[i : i + 1])
        return matcher
