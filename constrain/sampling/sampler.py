"""Picks tokens from masked logits: the native step, its random stream and its history."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from constrain.arguments import as_int, unfit
from constrain.errors import ArgumentError, DecodeError, VocabularyError, shorten
from constrain.kernel import _native
from constrain.logprobs.paths import parse_pattern
from constrain.sampling.banned import BannedTexts
from constrain.sampling.history import History
from constrain.sampling.places import NO_BIAS, Bias, PlacedBiases
from constrain.sampling.processors import mirostat_update
from constrain.sampling.settings import Sampling
from constrain.sampling.token_search import TokenSearch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from constrain.vocabulary import Vocabulary

_NO_IDS: npt.NDArray[np.int32] = np.empty(0, np.int32)
_FAILURES = {
    1: "no token is allowed: the mask is empty",
    2: "a logit is NaN, in the model's output or after biases and penalties",
    3: "every allowed token has a logit of -inf",
    4: "every token that could come would complete a banned text",
}
_ALL_IMPOSSIBLE = 3
_BIASED_AWAY = (
    "every allowed token has a logit of -inf after biases and penalties, not before: a"
    " logit_bias of -inf never yields to a grammar; a large negative number, or banned, does"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One chosen token and what the step tells about it. Log-probabilities are in nats.

    Attributes:
        token_id: the chosen token; always allowed by the mask.
        logprob: the model's own, over the whole vocabulary, before any processing.
        masked_logprob: the model's own, renormalized over the allowed tokens.
        sampling_logprob: under the distribution it was drawn from; 0 when nothing was drawn.
        removed_mass: the model's probability of all tokens that the mask forbade, in [0, 1].
        n_allowed: how many tokens the mask allowed; bans are not counted.
    """

    token_id: int
    logprob: float
    masked_logprob: float
    sampling_logprob: float
    removed_mass: float
    n_allowed: int


class Sampler:
    """Chooses one token a step; owns its random stream and what it knows of the output.

    The random stream depends on the seed alone, and a step takes one number from it if more
    than one token may come and the temperature is not 0, else none. It does not know the
    grammar: the mask and the automaton's bias come with each call.

    Args:
        settings: what to do.
        vocabulary: gives `n_vocab` and the tokens that texts in the settings mean.
        seed: instead of `settings.seed`; None keeps that one.
        constrained: whether a grammar is followed: then structural tokens are spared from
            penalties and bans yield, as `Sampling` says.

    Raises:
        ArgumentError: the seed is out of range, or the settings are no `Sampling`.
        VocabularyError: `logit_bias` has an id outside the vocabulary, or a text that is no
            single token.

    Cost: scratch memory of 4 bytes a token. With DRY or banned texts a search of the
    vocabulary: 20 ms and more for 128 000 tokens.
    """

    def __init__(
        self,
        settings: Sampling,
        vocabulary: Vocabulary,
        seed: int | None = None,
        *,
        constrained: bool = False,
    ) -> None:
        if not isinstance(settings, Sampling):
            raise unfit("settings", settings, "constrain.Sampling(...)")
        self.settings = settings
        self.vocabulary = vocabulary
        self.constrained = constrained
        chosen = settings.seed if seed is None else as_int(seed)
        if seed is not None and (chosen is None or not 0 <= chosen < 2**64):
            raise unfit("seed", seed, "None or an int in [0, 2**64)")
        self.seed = secrets.randbits(64) if chosen is None else chosen
        # Hashed, so that the streams of seeds 1, 2, 3 … have nothing in common.
        digest = hashlib.blake2b(self.seed.to_bytes(8, "little"), digest_size=8).digest()
        self._key = int.from_bytes(digest, "little")
        self._n_drawn = 0
        self._bias = resolve_bias(settings, vocabulary)
        self._placed = _placed_biases(settings, vocabulary)
        self._mu = 2 * settings.mirostat_tau
        self._next_mu = self._mu
        searches = settings.banned or settings.uses_dry
        search = TokenSearch(vocabulary) if searches else None
        self._banned = BannedTexts(_utf8(settings.banned), search) if search else None
        self._dry_spared = search.holding(_utf8(settings.dry_breakers)) if search else _NO_IDS
        self._history = self._new_history()
        self._native = self._make_native()

    def _new_history(self) -> History:
        reach = self._banned.reach if self._banned else 0
        return History(
            self.settings, self.vocabulary, constrained=self.constrained, reach=reach
        )

    def _make_native(self) -> _native.TokenSampler:
        settings = self.settings
        steps = settings.steps
        if settings.mirostat:
            steps = (*steps[:-1], f"mirostat_{settings.mirostat}")
        return _native.TokenSampler(
            self.vocabulary.n_vocab,
            settings,
            steps=steps,
            bias_ids=self._bias[0],
            bias_values=self._bias[1],
            banned_ids=self._banned.always if self._banned else _NO_IDS,
            dry_spared_ids=self._dry_spared,
            bans_yield=self.constrained,
        )

    @property
    def history(self) -> tuple[int, ...]:
        """The tokens that count for the penalties, oldest first, at most the window."""
        return tuple(self._history.seen.tolist())

    @property
    def mu(self) -> float:
        """Mirostat's state: the greatest surprise, in bits, of the next token.

        It moves when a token that was drawn is accepted; where nothing is drawn, it stays.
        """
        return self._mu

    def accept(self, token_id: int, *, forced: bool = False) -> None:
        """Tell the sampler that this token was taken.

        Args:
            token_id: any id of the vocabulary.
            forced: the grammar left no choice. Such a token is not penalized and parts what
                DRY compares; but its bytes are part of the output, for the bans.

        Raises:
            ArgumentError: the id is outside the vocabulary; nothing changes.
        """
        if not 0 <= token_id < self.vocabulary.n_vocab:
            message = f"token id {token_id}; expected one in [0, {self.vocabulary.n_vocab})"
            raise ArgumentError(message, name="token_id", value=token_id)
        self._history.append(token_id, forced=forced)
        if token_id < len(self.vocabulary.tokens):
            self._placed.read(self.vocabulary.tokens[token_id])
        if not forced:
            self._mu = self._next_mu

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
            history: int32[n] tokens that count for penalties and DRY; None takes those
                accepted. Bans look at what was accepted.

        Raises:
            DecodeError: nothing allowed, a NaN, only logits of -inf among the allowed (of the
                model, or by a bias of -inf, which never yields), or (if not `constrained`) a
                ban on all that could come. No token is chosen and the
                random stream stays where it was.
            TypeError: an array of another type or stride; it is not converted.
            ValueError: an array of another length.
            IndexError: a token id in bias or history is outside the vocabulary.

        Cost: O(n_vocab) vector loops; with 128 256 tokens 0.03 to 0.08 ms on one core of an AMD
        EPYC server with AVX-512, most for top-p and typical-p over flat distributions.
        """
        ids, values = self._placed.added_to(bias or NO_BIAS)
        past = self._history if history is None else self._history_of(history)
        uses_dry = self.settings.uses_dry
        banned = self._banned.completing(self._history.tail) if self._banned else _NO_IDS
        step = self._native.sample(
            logits,
            mask_words,
            ids,
            values,
            past.seen if self.settings.penalizes else _NO_IDS,
            past.dry if uses_dry else _NO_IDS,
            past.since_break,
            banned,
            self._mu,
            self._key,
            self._n_drawn,
        )
        status, drawn = step[0], step[7]
        if status != 0:
            raise DecodeError(_reason(status, logits, mask_words))
        self._n_drawn += int(drawn)
        sample = Sample(*step[1:7])
        self._next_mu = self._mu
        if self.settings.mirostat and drawn:
            self._next_mu = mirostat_update(
                self._mu,
                sample.sampling_logprob,
                self.settings.mirostat_tau,
                self.settings.mirostat_eta,
            )
        return sample

    def copy(self) -> Sampler:
        """A sampler in the same state that goes on independently (and draws the same)."""
        twin = object.__new__(Sampler)
        twin.__dict__.update(self.__dict__)
        twin._history = self._history.copy()
        twin._placed = self._placed.copy()
        twin._native = self._make_native()
        return twin

    def _history_of(self, token_ids: npt.NDArray[np.int32]) -> History:
        if self.settings.uses_dry or self.settings.penalizes:
            past = self._new_history()
            for token_id in token_ids.tolist():
                past.append(token_id, forced=False)
            return past
        return self._history


def _placed_biases(settings: Sampling, vocabulary: Vocabulary) -> PlacedBiases:
    return PlacedBiases(
        [
            (parse_pattern(path), _resolved(f"logit_bias_at[{path!r}]", bias, vocabulary))
            for path, bias in settings.logit_bias_at.items()
        ]
    )


def resolve_bias(settings: Sampling, vocabulary: Vocabulary) -> Bias:
    """The bias as (ids, values); a text stands for the tokens that `Sampling` says.

    Raises:
        VocabularyError: an id outside the vocabulary, or a text that is no single token.
    """
    return _resolved("logit_bias", settings.logit_bias, vocabulary)


def _resolved(name: str, bias: Mapping[int | str, float], vocabulary: Vocabulary) -> Bias:
    wanted = {key for key in bias if isinstance(key, str)}
    meant = _tokens_of_texts(wanted, vocabulary) if wanted else {}
    ids: list[int] = []
    values: list[float] = []
    for key, value in bias.items():
        if isinstance(key, str):
            found = meant.get(key, [])
            if not found:
                message = (
                    f"{name}: {shorten(key)} is no single token of the vocabulary, with or"
                    " without a leading space; give the ids of the tokens meant"
                )
                raise VocabularyError(message)
        elif 0 <= key < vocabulary.n_vocab:
            found = [key]
        else:
            message = f"{name}: token id {key}; expected one in [0, {vocabulary.n_vocab})"
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


def _reason(
    status: int, logits: npt.NDArray[np.float32], mask_words: npt.NDArray[np.uint32]
) -> str:
    """Why the native step chose nothing; whose doing it was, where all has become -inf."""
    if status == _ALL_IMPOSSIBLE:
        bits = np.unpackbits(mask_words.view(np.uint8), bitorder="little", count=len(logits))
        if logits[bits.astype(np.bool_)].max(initial=-np.inf) > -np.inf:
            return _BIASED_AWAY
    return _FAILURES[status]


def _utf8(texts: tuple[str, ...]) -> list[bytes]:
    return [text.encode() for text in texts]
