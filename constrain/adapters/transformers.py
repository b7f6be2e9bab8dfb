"""A grammar in transformers' `generate`, by a logits processor.

Works with greedy search, sampling and beam search, for batches of prompts. Every row of the
batch is followed by the tokens it has written, not by its place: beam search reorders and
copies rows between two steps. Errors are ordinary exceptions; no token comes after one.

What `generate` does after the last call of the processor cannot be known to it: that a limit
or a stop of its own (`max_length`, 20 tokens unless given; `max_new_tokens`, `stop_strings`,
`max_time`, another `eos_token_id`) cut the text off, or that beam search returns rows that it
filled up with. `GrammarLogitsProcessor.are_complete` looks at what was returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from constrain.automaton import CompiledGrammar, compile
from constrain.errors import DecodeError, LimitError, TokenRejectedError, VocabularyError
from constrain.grammar_of import as_grammar
from constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from constrain.automaton import Matcher

_NEW = "make a new GrammarLogitsProcessor for each call of generate"


class GrammarLogitsProcessor:
    """For `model.generate(..., logits_processor=[processor])`; serves one call.

    ::

        compiled = constrain.compile(grammar, constrain.Vocabulary.from_tokenizer(tokenizer))
        processor = GrammarLogitsProcessor(compiled, max_new_tokens=100)
        rows = model.generate(**inputs, logits_processor=[processor], max_new_tokens=100)
        processor.are_complete(rows)  # [True, …]

    What transformers does with the logits afterwards (temperature, top-k, …) cannot bring a
    forbidden token back: it has -inf. Assisted generation, which writes several tokens at
    once, is an error.

    Args:
        grammar: a `CompiledGrammar`, or what `as_grammar` takes.
        tokenizer: of the model, to compile `grammar` for, if that is not compiled.
        max_new_tokens: the same number that `generate` gets; texts are then complete within
            it, end token included. None: a text that is cut off is not complete.
        num_beams: the same number that `generate` gets. With beams, a row may hold a token
            that was forbidden: where fewer tokens are allowed than there are beams, beam search
            keeps candidates of score -inf, and everything is forbidden after them. With one
            beam such a token is an error. Where the grammar has fewer texts than
            `num_return_sequences`, some of the rows returned are such candidates, or copies of
            others, their scores some -1e9 divided by their length: ask `are_complete`.

    Raises:
        LimitError: `max_new_tokens` cannot hold the shortest text and an end token.
        VocabularyError: no tokenizer for a grammar that is not compiled, or the vocabulary has
            no end token.
        SchemaError, GrammarError: as `compile`.
    """

    def __init__(
        self,
        grammar: object,
        *,
        tokenizer: object = None,
        max_new_tokens: int | None = None,
        num_beams: int = 1,
    ) -> None:
        if isinstance(grammar, CompiledGrammar):
            compiled = grammar
        elif tokenizer is None:
            raise VocabularyError("give a CompiledGrammar, or the tokenizer to compile for")
        else:
            compiled = compile(as_grammar(grammar), Vocabulary.from_tokenizer(tokenizer))
        if not compiled.vocabulary.end_ids:
            raise VocabularyError("the vocabulary has no end token to finish with")
        needed = compiled.min_tokens + 1
        if max_new_tokens is not None and needed > max_new_tokens:
            what = "tokens of the shortest valid text and its end (max_new_tokens)"
            raise LimitError(what, needed, max_new_tokens)
        self._compiled = compiled
        self._max_new_tokens = max_new_tokens
        self._one_beam = num_beams == 1
        self._n_vocab = compiled.vocabulary.n_vocab
        self._ends = np.zeros(self._n_vocab, np.bool_)
        self._ends[sorted(compiled.vocabulary.end_ids)] = True
        self._words = np.zeros((self._n_vocab + 31) // 32, np.uint32)
        # What was written -> where it is in the grammar; None: nothing may follow.
        self._matchers: dict[tuple[int, ...], Matcher | None] = {(): compiled.matcher()}
        self._prompts: NDArray[np.int64] | None = None
        self._n_written = -1

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Forbid, in a copy of the scores, what the grammar does not allow.

        Args:
            input_ids: LongTensor[n_rows, n_tokens], prompts of equal (padded) length first.
            scores: FloatTensor[n_rows, n_vocab]; columns beyond the vocabulary are forbidden.

        Raises:
            DecodeError: the processor was used before or rows do not continue as rows do, a
                score is NaN, or (with one beam, or at first) nothing allowed has a probability.
        """
        import torch

        if scores.shape[1] < self._n_vocab:
            raise DecodeError(
                f"the model scores {scores.shape[1]} tokens, and the grammar was compiled for "
                f"{self._n_vocab}"
            )
        written = self._written(input_ids.cpu().numpy())
        self._follow(written)
        allowed = np.zeros(scores.shape, np.bool_)
        addends = np.zeros(scores.shape, np.float32)
        masks: dict[tuple[int, ...], tuple[NDArray[np.bool_], Any]] = {}
        for row, tokens in enumerate(written):
            if tokens not in masks:
                masks[tokens] = self._mask(self._matchers[tokens])
            mask, (ids, values) = masks[tokens]
            allowed[row, : self._n_vocab] = mask
            addends[row, ids] = values
        if bool(torch.isnan(scores).any()):
            raise DecodeError("a score is NaN")
        biased = scores + torch.from_numpy(addends).to(scores.device, scores.dtype)
        masked = biased.masked_fill(~torch.from_numpy(allowed).to(scores.device), -torch.inf)
        is_strict = self._one_beam or self._n_written == 0  # later, beams may be empty
        if is_strict and not bool((masked > -torch.inf).any(dim=1).all()):
            raise DecodeError("no token that the grammar allows has a probability")
        return masked

    def are_complete(self, sequences: Any) -> list[bool]:
        """For each row that `generate` returned: whether it holds a whole text of the grammar.

        That is one that ends with an end token (what follows is padding) or with the row.

        Args:
            sequences: LongTensor[n_rows, n_tokens] as returned, prompts first where they were
                in the input; or the output object that has it as `sequences`.

        Raises:
            DecodeError: the processor was never called, so no row was kept to the grammar, or
                the rows are shorter than its prompts were.

        Cost: one step of the automaton a token; no masks.
        """
        rows = getattr(sequences, "sequences", sequences)
        if self._prompts is None:
            raise DecodeError(
                "the processor was never called: pass logits_processor=[processor]"
            )
        n_prompt = self._prompts.shape[1]
        if rows.shape[1] < n_prompt:
            raise DecodeError(f"rows of {rows.shape[1]} tokens with prompts of {n_prompt}")
        return [self._is_complete(row) for row in rows[:, n_prompt:].tolist()]

    def _is_complete(self, tokens: list[int]) -> bool:
        matcher = self._compiled.matcher()
        for token_id in tokens:
            if matcher.is_finished:
                return True
            try:
                matcher.accept(token_id)
            except TokenRejectedError:
                return False
        return matcher.is_finished or matcher.is_accepting

    def _written(self, input_ids: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """What each row has written after its prompt."""
        if self._prompts is None:
            self._prompts = input_ids.copy()
        n_prompt = self._prompts.shape[1]
        self._n_written += 1
        if (
            input_ids.shape != (len(self._prompts), n_prompt + self._n_written)
            or (input_ids[:, :n_prompt] != self._prompts).any()
        ):
            raise DecodeError(f"the rows are not the last ones and one token more: {_NEW}")
        return [tuple(row) for row in input_ids[:, n_prompt:].tolist()]

    def _follow(self, written: list[tuple[int, ...]]) -> None:
        """Take the last token of each row, from the row that held all before it."""
        if self._n_written == 0:
            return
        after: dict[tuple[int, ...], Matcher | None] = {}
        for tokens in written:
            if tokens in after:
                continue
            if tokens[:-1] not in self._matchers:
                raise DecodeError(f"a row continues none of the last rows: {_NEW}")
            after[tokens] = self._accepted(self._matchers[tokens[:-1]], tokens[-1])
        self._matchers = after

    def _accepted(self, matcher: Matcher | None, token_id: int) -> Matcher | None:
        if matcher is None or matcher.is_finished:
            return matcher  # padding after the end
        after = matcher.copy()
        try:
            after.accept(token_id)
        except TokenRejectedError:
            if self._one_beam:
                raise
            return None
        return after

    def _mask(self, matcher: Matcher | None) -> tuple[NDArray[np.bool_], Any]:
        """The allowed tokens and the grammar's bias."""
        nothing = np.empty(0, np.int32), np.empty(0, np.float32)
        if matcher is None:
            return np.zeros(self._n_vocab, np.bool_), nothing
        if matcher.is_finished:  # generate() writes padding whatever is allowed
            return self._ends, nothing
        left = None if self._max_new_tokens is None else self._max_new_tokens - self._n_written
        if left is None or left <= 1:  # of the last token, only an end is text no more
            matcher.fill_mask(self._words)
        else:
            matcher.fill_mask_within(self._words, left - 2)
        bits = np.unpackbits(self._words.view(np.uint8), bitorder="little")
        mask = bits[: self._n_vocab].astype(np.bool_)
        return (mask & self._ends if left == 1 else mask), matcher.bias()
