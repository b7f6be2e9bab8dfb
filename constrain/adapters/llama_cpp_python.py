"""A grammar in `llama_cpp.Llama`, by its logits processors.

`Llama` calls logits processors from inside llama.cpp, through a ctypes callback. An exception
raised there is printed and dropped, and the token is then sampled from logits that nobody
masked. So nothing is ever raised there: what goes wrong is kept, every token but the end
tokens is forbidden, and the error is raised

- before the next token is given out, where the stopping criterion is passed along (`Llama`
  calls that one from Python), else
- when the `with` block is left.

Also found out and raised, never passed over in silence:

- a text that is cut off, by the completion's own `max_tokens` (16 unless given) or `stop`
  (`LlamaProcessor.is_complete` says what can be known);
- `logit_bias` together with logits processors (llama-cpp-python 0.3.36 then uses neither:
  it takes the result of `list.extend`, which is None);
- `grammar`, and what makes one (`response_format` and `tools` of a chat): two grammars that
  agree on no token make llama.cpp end the process. Seen at the first token, which is left
  to llama.cpp's grammar, and raised before that token is given out, or with the second one
  where no stopping criterion is passed;
- a token that was sampled without the processor: another callback failed before it, or Ctrl-C
  fell into the callback;
- a processor used for a second completion, and a draft model, whose guesses would be taken
  for text.

What cannot be known: whether `stop` cut a text whose last token completed it, and what another
logits processor does that comes after this one.

The mask comes before llama.cpp's penalties, top-k and so on, and bans by -inf, as llama.cpp's
own grammar does. Mirostat 1 divides by zero probabilities then: use mirostat 2.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from constrain.adapters.llama_chain import Refusal, n_sampled, sampler_names, sampler_of
from constrain.automaton import CompiledGrammar, compile
from constrain.errors import DecodeError, LimitError, VocabularyError
from constrain.grammar_of import as_grammar
from constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from constrain.automaton import Matcher

_MISSED = (
    "a token was sampled without the grammar's mask: another logits processor failed, or the "
    "call was interrupted; the output is not valid"
)
_NEVER = (
    "the grammar's processor was never called: pass logits_processor="
    "processor.logits_processor to the Llama; beside logit_bias, llama-cpp-python drops a "
    "LogitsProcessorList, and another processor may have failed before this one"
)
_TWO_GRAMMARS = (
    "the completion has a grammar of llama.cpp's own (grammar, or response_format or tools of "
    "a chat): leave it out, the processor's grammar alone decides"
)
_CUT_OFF = (
    "the text is cut off before its end: by the max_tokens of the completion (16 unless given; "
    "llama_processor wants the same number), by stop, or as a stream that was not read to its "
    "end (then call processor.close() before leaving the block)"
)


class _Processors(list[Any]):
    """What `Llama` is given as `logits_processor`: a list that `logit_bias` cannot undo."""

    def extend(self, _: Iterable[Any]) -> NoReturn:
        raise DecodeError(
            "logit_bias together with logits processors makes llama-cpp-python drop both: put "
            "a processor of your own that adds the bias before this one, or use "
            "constrain.Sampling(logit_bias=…) with constrain.load"
        )


class LlamaProcessor:
    """Keeps one completion to a grammar. Made by `llama_processor`.

    Attributes:
        logits_processor: for the argument of that name.
        matcher: where the text is in the grammar, the last token not yet counted.
    """

    def __init__(self, llama: Any, compiled: CompiledGrammar, max_tokens: int | None) -> None:
        self.logits_processor: list[Any] = _Processors([self])
        self.matcher: Matcher = compiled.matcher()
        self._llama = llama
        self._max_tokens = max_tokens
        self._end_ids = sorted(compiled.vocabulary.end_ids)
        self._n_vocab = compiled.vocabulary.n_vocab
        self._mask = np.zeros((self._n_vocab + 31) // 32, np.uint32)
        self._ends = np.zeros_like(self._mask)
        for token_id in self._end_ids:
            self._ends[token_id // 32] |= np.uint32(1 << token_id % 32)
        self._seen: NDArray[np.int64] | None = None
        self._n_prompt = 0
        self._n_masked = 0  # calls that left a masked row behind
        self._n_checked = 0  # calls of the stopping criterion
        old = sampler_of(llama)
        self._old_sampler = weakref.ref(old) if old is not None else lambda: None
        self._sampler: Any = None  # the chain of the last call
        self._n_by_sampler = 0  # calls from it
        self._error: BaseException | None = None
        self._is_raised = False
        self._is_open = True
        self._has_rival = False  # a grammar of llama.cpp's own

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Mask the logits `scores: float32[n_vocab]` in place; never raises.

        Args:
            input_ids: all tokens so far, the prompt's included.
            scores: what `Llama` hands over (of any stride); returned.
        """
        try:
            self._look_at_sampler()
            if self._has_rival:
                return scores  # without a token that it allows, llama.cpp ends the process
            if self._error is None:
                self._mask_row(np.asarray(input_ids, np.int64), scores)
                self._n_masked += 1
                self._n_by_sampler += 1
                return scores
        except BaseException as error:  # noqa: BLE001  ctypes would drop it and sample unmasked
            self._error = error
        scores[:] = -np.inf
        scores[self._end_ids] = 0.0
        return scores

    def stopping_criteria(self, input_ids: Any, logits: Any) -> bool:
        """For the argument of that name: never stops, but raises before a token is given out.

        Raises:
            DecodeError: something went wrong; the cause is what was raised in the processor.
        """
        del input_ids, logits
        self._n_checked += 1
        if self._error is None and self._n_masked == 0:
            self._error = DecodeError(_NEVER)
        elif self._error is None and self._running() is not self._sampler:
            self._error = DecodeError(_MISSED)
        self._check_calls()
        self._raise()
        return False

    @property
    def is_complete(self) -> bool | None:
        """Whether the text ended as the grammar wants it, for all that the masks tell.

        - True: it is whole, unless `stop` cut its last token.
        - False: no end token was written, so it is cut off; leaving the block raises.
        - None: the last token may be an end token, and may not. Then the answer's finish
          reason tells: `"length"` is cut off, and so may `"stop"` be where the completion has
          `stop`; `constrain.check(grammar, text)` tells for certain.

        The token sampled last is known to the `Llama` alone. None comes only of grammars whose
        texts can go on after a valid end, and never where the text was as long as `max_tokens`.
        """
        if self._error is not None or self._n_masked == 0:
            return False
        last = np.zeros_like(self._mask)
        self.matcher.fill_mask_within(last, 0)
        if not (self._mask & ~self._ends & ~last).any():
            return True
        return None if (self._mask & self._ends).any() else False

    def close(self) -> None:
        """No completion may use it any more.

        Called inside the block, it says that the text is not wanted whole, as of a stream that
        is not read to its end: leaving the block then does not raise for that.
        """
        self._check_calls()
        self._is_open = False
        self._sampler = None  # which holds the list of processors, and so this one

    def finish(self) -> None:
        """Raise what went wrong and was not raised yet; the `with` block calls it, then closes.

        Raises:
            DecodeError: also when the processor was never called, and when the text is cut off.
        """
        if self._is_open and self._error is None and self._n_masked == 0:
            self._error = DecodeError(_NEVER)
        self._check_calls()
        self._raise()
        # The criterion is called for each token and once more at the end: without that last
        # call, a stream was given up.
        is_given_up = not self._is_open or self._n_checked == self._n_masked
        if self._error is None and not is_given_up and self.is_complete is False:
            raise DecodeError(_CUT_OFF)

    def _look_at_sampler(self) -> None:
        """Find out a second grammar, and tokens that were sampled without a call."""
        sampler = self._running()
        if sampler is not self._sampler:
            if sampler is not None and "grammar" in sampler_names(sampler):
                self._has_rival = True
                self._error = error = DecodeError(_TWO_GRAMMARS)
                Refusal.replaces_sampler(self._llama, error)
                return
            if self._is_open:
                self._sampler, self._n_by_sampler = sampler, 0
        self._check_calls()

    def _running(self) -> Any:
        """The chain of the completion that is running, None in a loop without chains."""
        sampler = sampler_of(self._llama)
        return None if sampler is self._old_sampler() else sampler

    def _check_calls(self) -> None:
        """Whether each token that the chain sampled came after a mask."""
        if self._error is not None or self._sampler is None:
            return
        if n_sampled(self._sampler) != self._n_by_sampler:
            self._error = DecodeError(_MISSED)

    def _raise(self) -> None:
        if self._error is None or self._is_raised:
            return
        self._is_raised = True
        if isinstance(self._error, DecodeError) or not isinstance(self._error, Exception):
            raise self._error  # Ctrl-C too
        raise DecodeError(f"the grammar's processor failed: {self._error}") from self._error

    def _mask_row(self, input_ids: NDArray[np.int64], scores: Any) -> None:
        if not self._is_open:
            raise DecodeError("the processor is closed, or used outside its with block")
        self._follow(input_ids)
        if scores.shape != (self._n_vocab,):
            raise DecodeError(f"{scores.shape} logits for {self._n_vocab} tokens")
        if np.isnan(scores).any():
            raise DecodeError("a logit is NaN")
        self._fill_mask(len(input_ids) - self._n_prompt)
        allowed = np.unpackbits(
            self._mask.view(np.uint8), bitorder="little", count=self._n_vocab
        ).view(np.bool_)
        ids, values = self.matcher.bias()
        scores[ids] += values
        scores[~allowed] = -np.inf
        if not (scores > -np.inf).any():
            raise DecodeError("no token that the grammar allows has a probability")

    def _follow(self, input_ids: NDArray[np.int64]) -> None:
        """Take the token that was sampled since the last call."""
        seen = self._seen
        if seen is None:
            self._begin(len(input_ids))
        elif len(input_ids) != len(seen) + 1 or not np.array_equal(input_ids[:-1], seen):
            raise DecodeError(
                "the tokens are not those of the last call and one more: a processor serves "
                "one completion; make another one for the next"
            )
        else:
            self.matcher.accept(int(input_ids[-1]))
        self._seen = input_ids.copy()

    def _begin(self, n_prompt: int) -> None:
        self._n_prompt = n_prompt
        if self._max_tokens is None:
            return
        # Llama cuts its limit down to what is left of the context.
        self._max_tokens = min(self._max_tokens, self._llama.n_ctx() - n_prompt)
        needed = self.matcher.min_tokens
        if needed > self._max_tokens:
            what = "tokens of the shortest valid text (n_ctx less prompt)"
            raise LimitError(what, needed, self._max_tokens)

    def _fill_mask(self, n_written: int) -> None:
        left = None if self._max_tokens is None else self._max_tokens - n_written
        if left is not None and left > 0:
            self.matcher.fill_mask_within(self._mask, left - 1)
            return
        self.matcher.fill_mask(self._mask)
        if left is not None:  # nothing but the end fits
            self._mask &= self._ends


@contextmanager
def llama_processor(
    llama: Any, grammar: object, *, max_tokens: int | None = None
) -> Iterator[LlamaProcessor]:
    """A processor for one completion (or chat completion) of a `llama_cpp.Llama`.

    ::

        compiled = constrain.compile(grammar, constrain.Vocabulary.from_llama(llama))
        with llama_processor(llama, compiled, max_tokens=100) as processor:
            answer = llama.create_completion(
                prompt,
                max_tokens=100,
                logits_processor=processor.logits_processor,
                stopping_criteria=processor.stopping_criteria,
            )

    `create_chat_completion` takes no stopping criterion; errors are then raised when the block
    is left. A stream must be read inside the block, to its end or with `processor.close()`.

    Args:
        llama: the model.
        grammar: a `CompiledGrammar` for its vocabulary, or what `as_grammar` takes, which is
            compiled here (and the vocabulary read: a second or more, so compile once yourself
            for many completions).
        max_tokens: the same number that the completion gets (`create_completion` takes 16
            unless told otherwise); the text is then complete within it. None, or more than
            that: a text that the completion's limit cuts off is an error when the block is
            left. Cost: about 3 ms a token inside a string, 49 152 tokens.

    Raises:
        DecodeError: the model has a draft model, or is no `Llama` of llama-cpp-python 0.3;
            while generating and when the block is left, as the module says.
        LimitError: `max_tokens` cannot hold the shortest text.
        VocabularyError: `grammar` was compiled for another vocabulary.
        SchemaError, GrammarError: as `compile`.
    """
    if getattr(llama, "draft_model", None) is not None:
        raise DecodeError("the Llama has a draft model, whose guesses would be taken for text")
    if isinstance(grammar, CompiledGrammar):
        compiled = grammar
    else:
        compiled = compile(as_grammar(grammar), Vocabulary.from_llama(llama))
    vocabulary = compiled.vocabulary
    if vocabulary.n_vocab != llama.n_vocab() or llama.token_eos() not in vocabulary.end_ids:
        raise VocabularyError(
            f"the grammar was compiled for {vocabulary!r}, and the Llama has {llama.n_vocab()} "
            f"tokens and the end token {llama.token_eos()}: use Vocabulary.from_llama(llama)"
        )
    needed = compiled.min_tokens
    if max_tokens is not None and needed > max_tokens:
        raise LimitError("tokens of the shortest valid text (max_tokens)", needed, max_tokens)
    processor = LlamaProcessor(llama, compiled, max_tokens)
    try:
        yield processor
        processor.finish()
    finally:
        processor.close()
