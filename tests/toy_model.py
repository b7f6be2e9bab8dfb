"""Doubles for tests of the decode loop that need neither llama.cpp nor the native kernel.

A model whose logits come from a hash, and a matcher over a list of texts, obviously right.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from constrain.errors import DecodeError, TokenRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from constrain.driver.protocol import Logits, Piece

END = 0
# An end token, a control token, an empty token, single characters, longer tokens that cross
# JSON's borders, and characters of two to four bytes in halves.
TOKENS: tuple[bytes, ...] = (
    b"<end>", b"<ctrl>", b"",
    *(bytes([c]) for c in range(32, 127)),
    b'{"', b'":', b'",', b'"}', b'": "', b"na", b"name", b"tru", b"true", b"fal", b"false",
    b"ue", b"}]", b"],", b"the", b" the", b"\n",
    *(bytes([c]) for c in "é😀".encode()), "é".encode(), "😀".encode()[:2], "😀".encode()[2:],
)  # fmt: skip
CONTROL = 1


def tokenize(data: bytes) -> list[int]:
    """Greedy, longest token first; bytes without a token are left out."""
    found = []
    while data:
        fits = [t for t in range(2, len(TOKENS)) if TOKENS[t] and data.startswith(TOKENS[t])]
        if fits:
            found.append(max(fits, key=lambda t: len(TOKENS[t])))
        data = data[len(TOKENS[found[-1]]) if fits else 1 :]
    return found


class ToyModel:
    """A `LanguageModel` with the bookkeeping of a key-value cache, checked at each call.

    Logits depend on all tokens a sequence holds and on nothing else, so whatever changes the
    tokens changes the output.

    Args:
        n_ctx, n_sequences: as in the protocol.
        n_batch: tokens an evaluation takes; longer pieces count as several calls.
        wish: added to the logits given the tokens held, to make the model want something.
    """

    def __init__(
        self,
        n_ctx: int = 256,
        n_sequences: int = 1,
        n_batch: int = 16,
        wish: Callable[[tuple[int, ...]], dict[int, float]] | None = None,
    ) -> None:
        self.n_vocab = len(TOKENS)
        self.n_ctx = n_ctx
        self.n_sequences = n_sequences
        self.n_calls = 0
        self.held: list[list[int]] = [[] for _ in range(n_sequences)]
        self.decoded: list[list[Piece]] = []
        self.fail_at: int | None = None
        self.failure: BaseException = DecodeError("the toy fails as told")
        self.recurrent = False
        self._n_batch = n_batch
        self._wish = wish

    def tokenize(self, data: bytes, *, control: bool) -> list[int]:  # noqa: ARG002  # protocol
        return tokenize(data)

    def decode(self, pieces: Sequence[Piece]) -> list[Logits]:
        self.decoded.append(list(pieces))
        total = sum(len(piece.token_ids) for piece in pieces)
        self.n_calls += -(-total // self._n_batch)
        for piece in pieces:
            assert piece.token_ids, "an empty piece"
            assert piece.start == len(self.held[piece.sequence]), "not where the sequence ends"
            self.held[piece.sequence] += piece.token_ids
            assert len(self.held[piece.sequence]) <= self.n_ctx, "past the context"
            if self.fail_at == len(self.decoded):
                raise self.failure  # after part of the pieces was stored, as llama.cpp may
        return [self.logits(tuple(self.held[piece.sequence])) for piece in pieces]

    def truncate(self, sequence: int, n_tokens: int) -> int:
        if self.recurrent and n_tokens < len(self.held[sequence]):
            n_tokens = 0
        del self.held[sequence][n_tokens:]
        return n_tokens

    def copy(self, source: int, target: int) -> None:
        self.held[target] = self.held[source].copy()

    def logits(self, held: tuple[int, ...]) -> Logits:
        """The logits after these tokens."""
        seed = [len(held), *held]
        row = np.random.default_rng(seed).normal(0, 2, self.n_vocab).astype(np.float32)
        for token_id, value in (self._wish(held) if self._wish else {}).items():
            row[token_id] += value
        return row


class ListMatcher:
    """A matcher over an explicit list of texts: allowed is what begins one of them.

    Offers what the decode loop uses of `constrain.Matcher`, and nothing else.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(sorted({text.encode() for text in texts}))
        self._done = b""
        self.is_finished = False
        self.accepted: list[int] = []

    @property
    def is_accepting(self) -> bool:
        return self._done in self._texts

    @property
    def can_continue(self) -> bool:
        return any(t.startswith(self._done) and t != self._done for t in self._texts)

    def _rests(self) -> tuple[bytes, ...]:
        return _rests(self._texts, self._done)

    @property
    def min_tokens(self) -> int:
        return min(_fewest(rest) for rest in self._rests())

    def min_tokens_after(self, token_id: int) -> int:
        return min(_fewest(rest) for rest in _rests(self._texts, self._done + TOKENS[token_id]))

    def fits_after(self, token_id: int, n_tokens: int) -> bool:
        return token_id == END or self.min_tokens_after(token_id) <= n_tokens

    def allowed(self, token_id: int) -> bool:
        if token_id == END:
            return self.is_accepting
        if token_id == CONTROL or not TOKENS[token_id]:
            return False
        return bool(_rests(self._texts, self._done + TOKENS[token_id]))

    def fill_mask(self, out: NDArray[np.uint32]) -> None:
        self._fill(out, [t for t in range(len(TOKENS)) if self.allowed(t)])

    def fill_mask_within(self, out: NDArray[np.uint32], n_tokens: int) -> None:
        fits = [
            t
            for t in range(len(TOKENS))
            if self.allowed(t) and (t == END or self.min_tokens_after(t) <= n_tokens)
        ]
        self._fill(out, fits)

    def _fill(self, out: NDArray[np.uint32], token_ids: list[int]) -> None:
        out[:] = 0
        for t in token_ids:
            out[t // 32] |= np.uint32(1 << (t % 32))

    bias_offset = 0.0

    def bias(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return np.zeros(0, np.int32), np.zeros(0, np.float32)

    def accept(self, token_id: int) -> None:
        if not self.allowed(token_id):
            raise TokenRejectedError("not on the list", token_id=token_id)
        self.accepted.append(token_id)
        self.is_finished = token_id == END
        if token_id != END:
            self._done += TOKENS[token_id]

    def copy(self) -> ListMatcher:
        twin = ListMatcher([])
        twin._texts, twin._done = self._texts, self._done
        return twin

    def forced_tokens(self, tokenize: Callable[[bytes], Sequence[int]]) -> list[int]:
        """By the definition: up to where a longer token that is allowed runs past the text."""
        forced = self.forced_bytes()
        probe = self.copy()
        taken: list[int] = []
        for token_id in tokenize(forced) if forced else ():
            rest = forced[len(probe._done) - len(self._done) :]
            longer = (t for t, data in enumerate(TOKENS) if len(data) > len(rest))
            if any(probe.allowed(t) for t in longer if t not in (END, CONTROL)):
                break
            probe.accept(token_id)
            taken.append(token_id)
        return taken

    def forced_bytes(self) -> bytes:
        rests = self._rests()
        common = b""
        while (
            all(len(r) > len(common) for r in rests)
            and len({r[: len(common) + 1] for r in rests}) == 1
        ):
            common = rests[0][: len(common) + 1]
        return common


@lru_cache(maxsize=10_000)
def _rests(texts: tuple[bytes, ...], done: bytes) -> tuple[bytes, ...]:
    return tuple(t[len(done) :] for t in texts if t.startswith(done))


@lru_cache(maxsize=100_000)
def _fewest(text: bytes) -> int:
    """Tokens in the shortest spelling of a text."""
    best = [0] + [len(text)] * len(text)
    for end in range(1, len(text) + 1):
        best[end] = 1 + min(
            best[end - n] for n in range(1, end + 1) if text[end - n : end] in _PLAIN
        )
    return best[-1]


_PLAIN = frozenset(t for i, t in enumerate(TOKENS) if i > CONTROL and t)


def people() -> list[str]:
    """Texts for a `ListMatcher`: JSON records, some much longer than others."""
    names = ["Ann", "né", "😀", "the the the the the", "x" * 30]
    return [
        json.dumps({"name": name, "ok": ok}, ensure_ascii=False)
        for name in names
        for ok in (True, False)
    ]
