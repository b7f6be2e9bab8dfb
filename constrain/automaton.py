"""Compiled grammars and matchers: the Python face of the kernel.

`compile` lowers a grammar for one vocabulary; a `CompiledGrammar` is shared and immutable to
its users, a `Matcher` is one cursor into it. Matchers of one compiled grammar share the
configurations they visit, so that copies cost nothing and what one has computed others find.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from constrain import kernel
from constrain.errors import (
    GrammarError,
    LimitError,
    TokenRejectedError,
    UnsatisfiableSchemaError,
    shorten,
)
from constrain.expected import describe
from constrain.grammar.ir import JsonText, JsonValue
from constrain.limits import Limits
from constrain.lowering import Lowering
from constrain.schema import json_schema
from constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from constrain.grammar.ir import Grammar, Whitespace

# Above this size a vocabulary's shared tables are replaced by fresh ones for new grammars;
# grammars that are alive keep the old ones.
_ENGINE_BYTES = 2**30

# Texts whose states nearly every JSON grammar visits; their tables are built at once.
_WARM_TEXTS = (
    *(b"", b'{"', b'{"a', b'{"a"', b'{"a":"'),
    *(b'{"a":1', b'{"a":1.5', b'{"a":[', b'{"a":"b",'),
)
_SMALL_VOCABULARY = 256  # up to this many tokens a table takes less than milliseconds


class Matcher(kernel.Matcher):
    """One cursor through a compiled grammar: what may come next, and how to go on.

    Not thread-safe; make one for each sequence with `CompiledGrammar.matcher`.

    `fill_mask(out)` writes the allowed tokens into `out: uint32[(n_vocab + 31) // 32]`
    (C-contiguous, owned by the caller, overwritten whole): bit i of word w is token 32 * w + i,
    1 = allowed, bits from n_vocab on are 0. Cost: one copy of the array and a few table
    look-ups, some microseconds at 128 000 tokens; a state seen for the first time in this
    vocabulary may build a table (milliseconds at most, shared by every later grammar).

    `accept(token_id)` and `accept_bytes(data)` move on, or raise `TokenRejectedError` and
    change nothing. `is_accepting`: the text may end here, and exactly then end tokens are
    allowed; `is_finished`: an end token was accepted. `can_continue`: some text may still
    follow. `forced_bytes()` is the text that must follow. `shortest_completion()` is a shortest
    text (in bytes) that finishes from here. `n_tokens` counts the calls of `accept` and
    `accept_bytes`.
    """

    def __init__(self, compiled: CompiledGrammar, _from: Matcher | None = None) -> None:
        super().__init__(compiled.kernel if _from is None else _from)
        self.compiled = compiled

    def copy(self) -> Matcher:
        """An independent matcher in the same state. Cost: O(1) but for the history's length."""
        return Matcher(self.compiled, self)

    def rollback(self, n_tokens: int) -> None:
        """Undo the last `n_tokens` calls of `accept` or `accept_bytes` (each counts one).

        Raises:
            ValueError: fewer were accepted, or the number is negative; nothing changes.
        """
        if not 0 <= n_tokens <= self.n_tokens:
            message = f"cannot undo {n_tokens} tokens: {self.n_tokens} were accepted"
            raise ValueError(message)
        self._rollback(n_tokens)

    def mask(self) -> NDArray[np.bool_]:
        """The allowed tokens as `bool[n_vocab]`; see `fill_mask` for the packed form."""
        n_vocab = self.compiled.vocabulary.n_vocab
        words = np.zeros((n_vocab + 31) // 32, np.uint32)
        self.fill_mask(words)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little", count=n_vocab)
        return bits.view(np.bool_)

    def bias(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """What the grammar adds to the logits: `(token_ids int32[k], values float32[k])`.

        Natural logarithms. Only allowed tokens with a value other than 0 are listed, ascending.
        Those of weighted choices and properties add up along any path to the weight of the text
        chosen less that of the best one; those of `Wishes` are relative to `bias_offset`, which
        no draw depends on, and add up with it to what the text costs.
        """
        ids, values = self._biases()
        return np.frombuffer(ids, np.int32).copy(), np.frombuffer(values, np.float32).copy()

    @property
    def min_tokens(self) -> int:
        """Tokens that suffice to finish from here, the end token not counted."""
        return self._tokens_needed()

    def min_tokens_after(self, token_id: int) -> int:
        """`min_tokens` once `token_id` is accepted; 0 for an end token.

        Raises:
            TokenRejectedError: the token is not allowed here.
        """
        needed = self._tokens_after(token_id)
        if needed == kernel.INFINITE:
            self.copy().accept(token_id)
        return needed

    def fits_after(self, token_id: int, n_tokens: int) -> bool:
        """Is `token_id` allowed, and do `n_tokens` more suffice to finish after it?

        Cheaper than `min_tokens_after` where the budget is large.
        """
        return self._fits_after(token_id, n_tokens)

    def forced_tokens(self, tokenize: Callable[[bytes], Sequence[int]]) -> list[int]:
        """The tokens that must follow, as the model's own tokenizer would cut them.

        Args:
            tokenize: text bytes -> token ids that spell these bytes or a beginning of them.

        Returns:
            Tokens for a beginning of `forced_bytes()`, empty if nothing is forced. They end
            before a place where a longer token that is allowed runs past the forced text: the
            model decides there. (Asking whether one is allowed matters: after `"age":` no token
            `":"` can come if a number must follow.)
        """
        forced = self.forced_bytes()
        if not forced:
            return []
        tokens = list(tokenize(forced))
        spelled = self.compiled.vocabulary.tokens
        if not forced.startswith(b"".join(spelled[t] for t in tokens)):
            return []  # the tokenizer does not spell this text exactly: leave it to the model
        probe = self.copy()
        start = 0
        for i, token in enumerate(tokens):
            if probe._allows_past(forced[start:]):  # noqa: SLF001  the kernel's method, same class
                return tokens[:i]
            try:
                probe.accept(token)
            except TokenRejectedError:  # the tokenizer knows it, but it is no text token
                return tokens[:i]
            start += len(spelled[token])
        return tokens

    def expected(self) -> tuple[str, ...]:
        """What may come next, readable: keys by name, characters, kinds of text, the end."""
        if self.is_finished:
            return ()
        first, names, others = self._expected()
        return describe(first, names, others=others, end=self.is_accepting)

    def _reject_token(self, token_id: int, n_read: int) -> None:
        vocabulary = self.compiled.vocabulary
        expected = self.expected()
        if self.is_finished:
            reason = f"token {token_id}: the text is finished"
            raise TokenRejectedError(reason, token_id=token_id)
        if not 0 <= token_id < vocabulary.n_vocab:
            reason = f"token {token_id} is outside the vocabulary of {vocabulary.n_vocab}"
            raise TokenRejectedError(reason, token_id=token_id, expected=expected)
        data = vocabulary.tokens[token_id] if token_id < len(vocabulary.tokens) else b""
        if token_id in vocabulary.end_ids:
            what = "the end is not allowed here"
        elif token_id in vocabulary.control_ids:
            what = "a control token is never text"
        else:
            what = f"not allowed from its byte {n_read} on"
        reason = f"token {token_id} ({shorten(data)}): {what}; expected {_listed(expected)}"
        raise TokenRejectedError(
            reason, token_id=token_id, data=data, position=n_read, expected=expected
        )

    def _reject_bytes(self, data: bytes, n_read: int) -> None:
        probe = self.copy()
        if self.is_finished:
            reason = "the text is finished"
            raise TokenRejectedError(reason, data=data)
        if 0 < n_read <= len(data):
            probe.accept_bytes(data[:n_read])
        raise rejection(data, n_read, probe.expected())


def rejection(data: bytes, position: int, expected: tuple[str, ...]) -> TokenRejectedError:
    """The error for a text that cannot stand from byte `position` on."""
    before = data[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    found = "the end of the text" if position >= len(data) else shorten(data[position:][:20])
    reason = (
        f"line {line}, column {column} (byte {position}): found {found}, "
        f"expected {_listed(expected)}"
    )
    return TokenRejectedError(
        reason, data=data, position=position, line=line, column=column, expected=expected
    )


def _listed(expected: tuple[str, ...]) -> str:
    return " or ".join(expected) if expected else "nothing more"


class CompiledGrammar:
    """A grammar on a vocabulary: shared by its matchers, immutable to its users.

    Attributes:
        grammar: what was compiled.
        vocabulary: the vocabulary whose token ids masks speak of.
        limits: what compiling and matching may cost.
    """

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, limits: Limits) -> None:
        self.grammar = grammar
        self.vocabulary = vocabulary
        self.limits = limits
        started = time.monotonic()
        lowering = Lowering(grammar, _engine(vocabulary), limits)
        root = lowering.run(grammar.root)
        self.kernel = lowering.kernel
        spent = time.monotonic() - started
        if spent > limits.seconds:
            what = "seconds"
            raise LimitError(what, spent, limits.seconds)
        if self.kernel.node_length(root) == kernel.INFINITE:
            raise _unsatisfiable(grammar)
        if not self.kernel.complete and not self.matcher()._spellable():  # noqa: SLF001  the kernel's name
            reason = "no text of this grammar can be spelled with the tokens of this vocabulary"
            raise GrammarError(reason)

    def matcher(self) -> Matcher:
        """A cursor at the beginning."""
        return Matcher(self)

    def shortest_text(self) -> bytes:
        """A shortest text (in bytes) of the grammar."""
        return self.matcher().shortest_completion()

    @property
    def min_tokens(self) -> int:
        """Tokens that suffice for the shortest text, the end token not counted."""
        return self.matcher().min_tokens

    @property
    def memory_bytes(self) -> int:
        """Memory of this grammar's configurations and memoized masks (tables not counted)."""
        return self.kernel.memory_bytes

    def __repr__(self) -> str:
        return f"CompiledGrammar({type(self.grammar.root).__name__}, {self.vocabulary!r})"


def compile(  # noqa: A001  the name says what it does, and `constrain.compile` is how it is used
    grammar: Grammar, vocabulary: Vocabulary, limits: Limits | None = None
) -> CompiledGrammar:
    """Compile a grammar for a vocabulary.

    Raises:
        UnsatisfiableSchemaError: no JSON value is valid; GrammarError: no text matches.
        LimitError: it would cost more than `limits` allow.
    """
    return CompiledGrammar(grammar, vocabulary, limits or Limits())


def check(grammar: Grammar, text: str | bytes) -> None:
    """Check that a whole text is of the grammar; no vocabulary is needed.

    Raises:
        TokenRejectedError: with the byte position, line and column of the first byte that
            cannot stand, and what was expected there.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    matcher = compile(grammar, bytes_vocabulary()).matcher()
    if data:
        matcher.accept_bytes(data)
    if not matcher.is_accepting:
        raise rejection(data, len(data), matcher.expected())


class _ByteTokens:
    """The vocabulary whose tokens are the 256 bytes, made once."""

    vocabulary: Vocabulary | None = None


def bytes_vocabulary() -> Vocabulary:
    """The vocabulary of the 256 bytes, without an end: for texts rather than tokens."""
    if _ByteTokens.vocabulary is None:
        _ByteTokens.vocabulary = Vocabulary([bytes([b]) for b in range(256)], end_ids=())
    return _ByteTokens.vocabulary


def _unsatisfiable(grammar: Grammar) -> GrammarError | UnsatisfiableSchemaError:
    if grammar.kind == "json":
        reason = "no JSON value can satisfy this schema"
        pointer = "#"
        if isinstance(grammar.root, JsonText) and isinstance(grammar.root.value, JsonValue):
            pointer = grammar.root.value.pointer or "#"
        return UnsatisfiableSchemaError(reason, pointer=pointer)
    return GrammarError("no text matches this grammar")


def _engine(vocabulary: Vocabulary) -> kernel.Engine:
    """The kernel's shared tables of a vocabulary, made on first use and kept with it."""
    engine = vocabulary.engine
    if isinstance(engine, kernel.Engine) and engine.memory_bytes < _ENGINE_BYTES:
        return engine
    tokens = list(vocabulary.tokens) + [b""] * (vocabulary.n_vocab - len(vocabulary.tokens))
    control = [i for i in vocabulary.control_ids if i not in vocabulary.end_ids]
    engine = kernel.make_engine(tokens, list(vocabulary.end_ids), control)
    vocabulary.engine = engine
    if vocabulary.n_vocab > _SMALL_VOCABULARY:
        _warm(engine, vocabulary)
    return engine


def _warm(engine: kernel.Engine, vocabulary: Vocabulary) -> None:
    """Build the tables of JSON's own strings, numbers and white space."""
    words = np.zeros((vocabulary.n_vocab + 31) // 32, np.uint32)
    forms: tuple[Whitespace, ...] = ("spaced", "bounded", "flexible")
    for whitespace in forms:
        grammar = json_schema(True, whitespace=whitespace, property_order="any")
        lowering = Lowering(grammar, engine, Limits())
        lowering.run(grammar.root)
        start = kernel.Matcher(lowering.kernel)
        for compact in _WARM_TEXTS:
            text = compact.replace(b":", b": ").replace(b",", b", ")
            matcher = kernel.Matcher(start)
            if matcher._try_bytes(text):  # noqa: SLF001  a vocabulary may lack a byte of it
                matcher.fill_mask(words)
