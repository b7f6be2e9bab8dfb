"""Finds the tokens of a vocabulary that hold a text, or begin with one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from constrain.vocabulary import Vocabulary

TokenIds = npt.NDArray[np.int32]


class TokenSearch:
    """The text tokens of a vocabulary, laid end to end; control tokens are never found.

    Cost: linear in the bytes of the vocabulary, to make (128 000 tokens: about 15 ms on a
    2-core server) and for each search (a few ms).
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokens = vocabulary.tokens
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        self._joined = b"".join(tokens)
        self._bytes = np.frombuffer(self._joined, np.uint8)
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        self._is_text = np.ones(len(tokens), np.bool_)
        control = [token_id for token_id in vocabulary.control_ids if token_id < len(tokens)]
        self._is_text[control] = False

    def holding(self, texts: Iterable[bytes]) -> TokenIds:
        """The ids of tokens with one of these texts somewhere in them, ascending."""
        found = [self._holding(text) for text in texts]
        return np.unique(np.concatenate(found)).astype(np.int32) if found else _none()

    def beginning(self, texts: Iterable[bytes]) -> TokenIds:
        """The ids of tokens that begin with one of these texts, ascending."""
        found = [self._beginning(text) for text in texts]
        return np.unique(np.concatenate(found)).astype(np.int32) if found else _none()

    def _holding(self, text: bytes) -> npt.NDArray[np.int64]:
        # Zero-width, so that occurrences may overlap: the first one can lie across two tokens.
        pattern = re.compile(b"(?=" + re.escape(text) + b")")
        places = np.fromiter(
            (match.start() for match in pattern.finditer(self._joined)), np.int64
        )
        ids = np.searchsorted(self._ends, places, side="right")
        inside = places + len(text) <= self._ends[ids] if len(ids) else ids.astype(np.bool_)
        ids = ids[inside]
        return ids[self._is_text[ids]].astype(np.int64)

    def _beginning(self, text: bytes) -> npt.NDArray[np.int64]:
        ids = np.flatnonzero(self._is_text & (self._ends - self._starts >= len(text)))
        for offset, byte in enumerate(text):
            ids = ids[self._bytes[self._starts[ids] + offset] == byte]
        return ids.astype(np.int64)


def _none() -> TokenIds:
    return np.empty(0, np.int32)
