"""Forced text as the model's own tokens.

Where the grammar leaves no choice about a stretch of text, it is fed the way the model itself
would cut it into tokens. A tokenizer is made for whole texts, not for stretches: SentencePiece
puts a space in front of the first word, and bytes that are no UTF-8 become U+FFFD. The answer
here spells the text exactly or is empty, and empty means: the mask leads, token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
