"""A matcher and the slow recognizers side by side over one small vocabulary."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np
from hypothesis import assume

import constrain
from constrain.grammar import ir
from tests.oracle.json_text import viable
from tests.oracle.token_level import allowed_tokens, alphabet_of

P = ParamSpec("P")
T = TypeVar("T")


def within_limits(run: Callable[P, T]) -> Callable[P, T]:
    """A property of random grammars, but for those that the limits do not allow.

    Rules that repeat themselves ambiguously may have too many stacks (see
    test_matcher_recursion), which is an error and no mask.
    """

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return run(*args, **kwargs)
        except constrain.LimitError as error:
            assume(error.what != "threads")
            raise

    return wrapped


UNUSED = np.uint32(0xDEADBEEF)


def packed_mask(matcher: constrain.Matcher, n_vocab: int) -> list[bool]:
    """The mask, unpacked from words that held something else before.

    Bits of tokens that do not exist must be zero.
    """
    words = np.full((n_vocab + 31) // 32, UNUSED, dtype=np.uint32)
    matcher.fill_mask(words)
    return unpacked(words, n_vocab)


def unpacked(words: np.ndarray[tuple[int], np.dtype[np.uint32]], n_vocab: int) -> list[bool]:
    """Bit i of word w is token 32 * w + i; all further bits are zero."""
    bits = [bool(int(word) >> i & 1) for word in words for i in range(32)]
    assert not any(bits[n_vocab:]), "bits of tokens that do not exist are set"
    return bits[:n_vocab]


def can_be_written(grammar: ir.Grammar, tokens: Sequence[bytes]) -> bool:
    """Whether any text of the grammar can be written with these tokens (the last one: end)."""
    return viable(grammar, b"", alphabet_of(tokens, [len(tokens) - 1]))


@dataclass
class Lockstep:
    """One grammar, one vocabulary whose last token ends the text, one matcher.

    Attributes:
        grammar: what may be said.
        tokens: bytes of each token.
        prefix: bytes accepted so far.
        history: ids of the tokens accepted so far.
    """

    grammar: ir.Grammar
    tokens: tuple[bytes, ...]
    prefix: bytes = b""
    history: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vocabulary = constrain.Vocabulary(self.tokens, [self.end])
        self.compiled = constrain.compile(self.grammar, self.vocabulary)
        self.matcher = self.compiled.matcher()

    @property
    def end(self) -> int:
        """The end token."""
        return len(self.tokens) - 1

    @property
    def alphabet(self) -> frozenset[int]:
        """Bytes that the vocabulary can write."""
        return alphabet_of(self.tokens, [self.end])

    def expected(self) -> list[bool]:
        """The mask from the definition."""
        return allowed_tokens(self.grammar, self.tokens, self.prefix, [self.end])

    def check(self) -> list[int]:
        """Assert that the mask is the oracle's, bit by bit; return the allowed text tokens."""
        expected = self.expected()
        found = packed_mask(self.matcher, len(self.tokens))
        wrong = {
            i: (self.tokens[i], found[i])
            for i in range(len(self.tokens))
            if found[i] != expected[i]
        }
        assert not wrong, f"after {self.prefix!r}: {wrong} (token: bytes, the kernel's bit)"
        assert any(found), f"dead end after {self.prefix!r}"
        assert self.matcher.is_accepting == expected[self.end], self.prefix
        return [i for i, allowed in enumerate(found) if allowed and i != self.end]

    def accept(self, token_id: int) -> None:
        """Accept a text token."""
        self.matcher.accept(token_id)
        self.prefix += self.tokens[token_id]
        self.history.append(token_id)

    def rollback(self, n_tokens: int) -> None:
        """Take back the last tokens."""
        self.matcher.rollback(n_tokens)
        kept = len(self.history) - n_tokens
        self.history = self.history[:kept]
        self.prefix = b"".join(self.tokens[i] for i in self.history)

    def walk(self, chance: random.Random, n_steps: int, most_bytes: int = 40) -> None:
        """Accept random allowed tokens, checking the mask before each and at the end."""
        for _ in range(n_steps):
            if not self._step(chance, self.check(), most_bytes):
                return
        self.check()

    def wander(self, chance: random.Random, n_steps: int, most_bytes: int = 40) -> None:
        """Accept random tokens of the kernel's own masks, asking no oracle."""
        for _ in range(n_steps):
            mask = packed_mask(self.matcher, len(self.tokens))
            allowed = [i for i, bit in enumerate(mask) if bit and i != self.end]
            if not self._step(chance, allowed, most_bytes):
                return

    def _step(self, chance: random.Random, allowed: list[int], most_bytes: int) -> bool:
        room = most_bytes - len(self.prefix)
        fitting = [i for i in allowed if len(self.tokens[i]) <= room]
        if fitting:
            self.accept(chance.choice(fitting))
        return bool(fitting)
