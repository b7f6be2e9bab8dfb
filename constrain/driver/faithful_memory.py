"""The context in which faithful sampling keeps its particles, for llama.cpp.

All particles share one memory: what they have in common (the prompt, and every beginning
before two of them differ) is in it once, and copying a particle computes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from constrain.driver.cache import SequenceCache
from constrain.driver.faithful import FaithfulRequest, FaithfulSampler, budget_of
from constrain.driver.llama import LlamaContext
from constrain.grammar.longest import most_bytes

if TYPE_CHECKING:
    from constrain.driver.llama import ContextOptions, LlamaWeights
    from constrain.driver.result import Result
    from constrain.vocabulary import Vocabulary

_ROUND = 256  # llama.cpp's own grain; so that nearly equal requests use the same context


class FaithfulMemory:
    """Draws faithfully; the context of the last draw is kept while it is large enough.

    Args:
        weights: the model.
        options: how its other contexts are made.
        vocabulary: its tokens.
        reuse: as `SequenceCache`.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        options: ContextOptions,
        vocabulary: Vocabulary,
        *,
        reuse: bool,
    ) -> None:
        self._weights = weights
        self._options = options
        self._vocabulary = vocabulary
        self._reuse = reuse
        self._context: LlamaContext | None = None
        self._cache: SequenceCache | None = None
        self._n_shared = 0

    def draw(self, request: FaithfulRequest) -> Result:
        """One faithful generation.

        Memory: tokens of the prompt and `n_particles` times the budget, or times the bytes of
        the grammar's longest text where these are known to be fewer (a token has a byte).

        Raises:
            LimitError, DecodeError: as `budget_of` and `FaithfulSampler.run`; also if llama.cpp
                cannot get the memory.
        """
        budget = budget_of(request, self._vocabulary, self._options.n_ctx)
        longest = most_bytes(request.grammar)
        n_each = budget if longest is None else min(budget, longest)
        n_tokens = len(request.prompt) + request.n_particles * n_each
        cache = self._large_enough(request.n_particles, n_tokens)
        return FaithfulSampler(cache, request, self._vocabulary, budget).run()

    def close(self) -> None:
        """Free the memory."""
        self._cache = None
        if self._context is not None:
            self._context.close()
            self._context = None

    def _large_enough(self, n_sequences: int, n_tokens: int) -> SequenceCache:
        n_shared = -(-n_tokens // _ROUND) * _ROUND
        cache = self._cache
        if cache and cache.n_sequences >= n_sequences and self._n_shared >= n_shared:
            return cache
        self.close()
        options = replace(self._options, n_sequences=n_sequences, n_shared=n_shared)
        self._context = LlamaContext(self._weights, options)
        self._cache = SequenceCache(self._context, reuse=self._reuse)
        self._n_shared = n_shared
        return self._cache
