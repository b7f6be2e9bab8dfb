"""Picks tokens from masked logits: the native step, its random stream and its history."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from constrain.errors import DecodeError, VocabularyError, shorten
from constrain.kernel import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constrain.sampling.settings import Sampling
    from constrain.vocabulary import Vocabulary

Bias = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]

_NO_IDS: npt.NDArray[np.int32] = np.empty(0, np.int32)
_NO_VALUES: npt.NDArray[np.float32] = np.empty(0, np.float32)
_FAILURES = {
    1: "no token is allowed: the mask is empty",
    2: "a logit is NaN, in the model's output or after adding the bias",
    3: "every allowed token has a logit of -inf",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One chosen token and what the step tells about it. Log-probabilities are in nats.

    Attributes:
        token_id: the chosen token; always allowed by the mask.
        logprob: the model's own, over the whole vocabulary, before any processing.
        masked_logprob: the model's own, renormalized over the allowed tokens.
        sampling_logprob: under the distribution it was drawn from; 0 when nothing was drawn.
        removed_mass: the model's probability of all tokens that the mask forbade, in [0, 1].
        n_allowed: how many tokens the mask allowed.
    """

    token_id: int
    logprob: float
    masked_logprob: float
    sampling_logprob: float
    removed_mass: float
    n_allowed: int


class Sampler:
    """Chooses one token a step; owns its random stream and the history for the penalties.

    The random stream depends on the seed alone, and a step takes one number from it if more
    than one token is allowed and the temperature is not 0, else none. It does not know the
    grammar: the mask and the automaton's bias come with each call.
    """

    def __init__(
        self, settings: Sampling, vocabulary: Vocabulary, seed: int | None = None
    ) -> None:
        """Resolve the bias on texts and allocate scratch memory (4 bytes a token).

        Args:
            settings: what to do.
            vocabulary: gives `n_vocab` and the tokens that a text in `logit_bias` means.
            seed: instead of `settings.seed`; None keeps that one.

        Raises:
            VocabularyError: `logit_bias` has an id outside the vocabulary, or a text that is
                no single token.
        """
        self.settings = settings
        self.vocabulary = vocabulary
        chosen = settings.seed if seed is None else seed
        self.seed = secrets.randbits(64) if chosen is None else chosen
        if not 0 <= self.seed < 2**64:
            message = f"seed is {shorten(self.seed)}; expected an int in [0, 2**64)"
            raise ValueError(message)
        # Hashed, so that the streams of seeds 1, 2, 3 … have nothing in common.
        digest = hashlib.blake2b(self.seed.to_bytes(8, "little"), digest_size=8).digest()
        self._key = int.from_bytes(digest, "little")
        self._n_drawn = 0
        window = settings.penalty_window
        self._history: deque[int] = deque(maxlen=None if window < 0 else window)
        self._bias = resolve_bias(settings, vocabulary)
        self._native = self._make_native()

    def _make_native(self) -> _native.TokenSampler:
        settings = self.settings
        return _native.TokenSampler(
            self.vocabulary.n_vocab,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            typical_p=settings.typical_p,
            repeat_penalty=settings.repeat_penalty,
            frequency_penalty=settings.frequency_penalty,
            presence_penalty=settings.presence_penalty,
            bias_ids=self._bias[0],
            bias_values=self._bias[1],
        )

    @property
    def history(self) -> tuple[int, ...]:
        """The tokens that count for the penalties, oldest first, at most the window."""
        return tuple(self._history)

    def accept(self, token_id: int) -> None:
        """Tell the sampler that this token was taken; call it for forced tokens as you wish.

        Raises:
            ValueError: the id is outside the vocabulary; nothing changes.
        """
        if not 0 <= token_id < self.vocabulary.n_vocab:
            message = f"token id {token_id}; expected one in [0, {self.vocabulary.n_vocab})"
            raise ValueError(message)
        self._history.append(token_id)

    def sample(
        self,
        logits: npt.NDArray[np.float32],
        mask_words: npt.NDArray[np.uint32],
        bias: Bias | None = None,
        history: npt.NDArray[np.int32] | None = None,
    ) -> Sample:
        """Choose one token; does not call `accept`.

        Args:
            logits: float32[n_vocab], contiguous, read only.
            mask_words: uint32[(n_vocab + 31) // 32]; bit i of word w is token 32*w + i, 1 =
                allowed; bits past n_vocab are ignored. Read only.
            bias: (int32[k] token ids, float32[k] addends) of the automaton.
            history: int32[n] tokens that count for the penalties; None takes those accepted.

        Raises:
            DecodeError: nothing allowed, a NaN, or only logits of -inf among the allowed. No
                token is chosen and the random stream stays where it was.
            TypeError: an array of another type or stride; it is not converted.
            ValueError: an array of another length.
            IndexError: a token id in bias or history is outside the vocabulary.

        Cost: O(n_vocab) vector loops; with 128 256 tokens 0.06 to 0.2 ms, by the settings
        (tests/benchmarks/sampling.py).
        """
        ids, values = (_NO_IDS, _NO_VALUES) if bias is None else bias
        if not self.settings.penalizes:
            seen = _NO_IDS
        elif history is None:
            seen = np.fromiter(self._history, np.int32, len(self._history))
        else:
            window = self.settings.penalty_window
            seen = history if window < 0 else history[-window:]
        step = self._native.sample(
            logits, mask_words, ids, values, seen, self._key, self._n_drawn
        )
        status, drawn = step[0], step[7]
        if status != 0:
            raise DecodeError(_FAILURES[status])
        self._n_drawn += int(drawn)
        return Sample(*step[1:7])

    def copy(self) -> Sampler:
        """A sampler in the same state that goes on independently (and draws the same)."""
        twin = Sampler(self.settings, self.vocabulary, self.seed)
        twin._n_drawn = self._n_drawn
        twin._history = self._history.copy()
        return twin


def resolve_bias(settings: Sampling, vocabulary: Vocabulary) -> Bias:
    """The bias as (ids, values); a text stands for the tokens that `Sampling` says.

    Raises:
        VocabularyError: an id outside the vocabulary, or a text that is no single token.
    """
    wanted = {key for key in settings.logit_bias if isinstance(key, str)}
    meant = _tokens_of_texts(wanted, vocabulary) if wanted else {}
    ids: list[int] = []
    values: list[float] = []
    for key, value in settings.logit_bias.items():
        if isinstance(key, str):
            found = meant.get(key, [])
            if not found:
                message = (
                    f"logit_bias: {shorten(key)} is no single token of the vocabulary, with or"
                    " without a leading space; give the ids of the tokens meant"
                )
                raise VocabularyError(message)
        elif 0 <= key < vocabulary.n_vocab:
            found = [key]
        else:
            message = f"logit_bias: token id {key}; expected one in [0, {vocabulary.n_vocab})"
            raise VocabularyError(message)
        ids += found
        values += [value] * len(found)
    return np.array(ids, np.int32), np.array(values, np.float32)


def _tokens_of_texts(texts: set[str], vocabulary: Vocabulary) -> dict[str, list[int]]:
    by_bytes = dict(_spellings(texts))
    result: dict[str, list[int]] = {}
    for token_id, data in enumerate(vocabulary.tokens):
        for text in by_bytes.get(data, ()):
            if token_id not in vocabulary.control_ids:
                result.setdefault(text, []).append(token_id)
    return result


def _spellings(texts: set[str]) -> Iterator[tuple[bytes, list[str]]]:
    spellings: dict[bytes, list[str]] = {}
    for text in sorted(texts):
        for spelling in (text, " " + text):
            spellings.setdefault(spelling.encode(), []).append(text)
    yield from spellings.items()
