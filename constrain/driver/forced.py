"""Forced text as the model's own tokens.

Where the grammar leaves no choice about a stretch of text, it is fed the way the model itself
would cut it into tokens. A tokenizer is made for whole texts, not for stretches: SentencePiece
puts a space in front of the first word, and bytes that are no UTF-8 become U+FFFD. The answer
here spells the text exactly or is empty, and empty means: the mask leads, token by token.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from constrain.errors import TokenRejectedError

if TYPE_CHECKING:
    from constrain.automaton import Matcher
    from constrain.driver.protocol import MaskWords

# Characters a tokenizer may keep apart from what follows. Each is tried as something to stand
# before the text, and used only if its tokens end exactly where the text begins.
_ANCHORS = (b"\n", b"\x01", b"|")

Tokenize = Callable[[bytes], Sequence[int]]


class CanonicalTokenizer:
    """A tokenizer whose tokens spell exactly the text it was given, or that gives none.

    Args:
        tokenize: the model's tokenizer; control tokens in the text stay text.
        tokens: the bytes of each token.
    """

    def __init__(self, tokenize: Tokenize, tokens: Sequence[bytes]) -> None:
        self._tokenize = tokenize
        self._tokens = tokens
        self._lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))

    def __call__(self, data: bytes) -> Sequence[int]:
        """The model's tokens for forced text.

        Text that ends inside a UTF-8 character is tokenized up to that character. Cost: one
        to four calls of the tokenizer.
        """
        text = _whole_characters(data)
        if not text:
            return ()
        found = self._tokenize(text)
        if self._spell(found, text):
            return found
        for anchor in _ANCHORS:
            found = _after(self._tokenize(anchor + text), anchor, self._tokens)
            if self._spell(found, text):
                return found
        return ()

    def _spell(self, token_ids: Sequence[int], text: bytes) -> bool:
        return b"".join(self._tokens[t] for t in token_ids) == text

    def forced(self, matcher: Matcher, mask: MaskWords) -> Sequence[int]:
        """Tokens that the output must go on with, as the model would write them.

        They end before a place where a longer token, allowed by the grammar, runs past the
        forced text: the model decides there. Whether one is allowed is worth asking: after
        `"age":` no token `":"` can come if a number must follow. (With twenty boolean
        settings, SmolLM2 was called 20 times so; 40 times when the vocabulary alone was asked.)

        Args:
            matcher: where the output is; not moved.
            mask: room for `fill_mask`; overwritten.

        Cost: a few calls a token, and a mask where the vocabulary has a longer token.
        """
        text = matcher.forced_bytes()
        if not text:
            return ()
        found = self(text)
        probe = matcher.copy()
        start = 0
        for i, token_id in enumerate(found):
            rest = text[start:]
            if self._runs_past(rest) and self._longest_allowed(probe, mask) > len(rest):
                return found[:i]
            try:
                probe.accept(token_id)
            except TokenRejectedError:  # the tokenizer knows it, but it is no text token
                return found[:i]
            start += len(self._tokens[token_id])
        return found

    @cached_property
    def _sorted(self) -> list[bytes]:
        return sorted(self._tokens)

    def _runs_past(self, text: bytes) -> bool:
        """Whether the vocabulary has a token that begins with the text and is longer."""
        # What begins with the text stands right after the text itself.
        after = bisect_right(self._sorted, text)
        return after < len(self._sorted) and self._sorted[after].startswith(text)

    def _longest_allowed(self, matcher: Matcher, mask: MaskWords) -> int:
        """Bytes of the longest token that may come."""
        matcher.fill_mask(mask)
        n_tokens = len(self._lengths)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=n_tokens)
        return int(self._lengths[bits.view(np.bool_)].max(initial=0))


def _whole_characters(data: bytes) -> bytes:
    """`data` up to the first byte that is not UTF-8 or a character that is cut off."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data[: error.start]
    return data


def _after(found: Sequence[int], anchor: bytes, tokens: Sequence[bytes]) -> Sequence[int]:
    """The tokens that follow those of the anchor (with or without a space before it)."""
    seen = b""
    for i, token_id in enumerate(found):
        seen += tokens[token_id]
        if seen in (anchor, b" " + anchor):
            return found[i + 1 :]
    return ()
