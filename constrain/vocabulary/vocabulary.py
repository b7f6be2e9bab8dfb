"""A model's vocabulary: the bytes of every token, and which tokens end or are no text.

Bytes, never decoded text: a token may be part of a character. `Vocabulary` says nothing about
how text is split into tokens (that is the model's tokenizer) and holds no weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from constrain.errors import VocabularyError, shorten
from constrain.vocabulary.gguf_file import read_gguf
from constrain.vocabulary.llama_model import read_llama
from constrain.vocabulary.token_bytes import TokenTable, named_end_ids
from constrain.vocabulary.tokenizer_json import read_tokenizer

if TYPE_CHECKING:
    import os


_SHOWN_ENDS: Final = 4
"""End tokens that `repr` names."""


class Vocabulary:
    """The bytes of every token of a model, its end tokens and its control tokens.

    A token is *text* unless its id is in `control_ids`. Two tokens may have the same bytes; a
    mask then allows both. Vocabularies are compared by identity and are not to be changed.

    Args:
        tokens: the bytes of token 0, 1, …; a token without bytes is never allowed as text.
        end_ids: tokens that end a generation. May be empty: then a matcher never finishes by a
            token, and the caller must stop by itself when `is_accepting`.
        control_ids: further tokens that are no text (begin of text, padding, roles, …),
            whatever bytes they are given: no mask ever allows them.
        n_vocab: width of the model's logits, if wider than `tokens`; the rest is control.

    Attributes:
        tokens: the bytes by id, `len(tokens) <= n_vocab`.
        n_vocab: width of the model's logits; ids are in `[0, n_vocab)`.
        end_ids: ids that end a generation; allowed exactly where the text may end.
        control_ids: every id that is no text: those given, the end ids, the ids of tokens
            without bytes, and the ids from `len(tokens)` up.
        engine: tables that `constrain.compile` keeps here, or None; not for other use.

    Raises:
        VocabularyError: no tokens, a token that is not bytes, an id outside `[0, n_vocab)`, no
            token that is text, or `n_vocab < len(tokens)`.
    """

    __slots__ = ("__weakref__", "_control_ids", "_end_ids", "_n_vocab", "_tokens", "engine")

    engine: object | None

    def __init__(
        self,
        tokens: Sequence[bytes],
        end_ids: Iterable[int],
        control_ids: Iterable[int] = (),
        *,
        n_vocab: int | None = None,
    ) -> None:
        self._tokens = _checked_tokens(tokens)
        self._n_vocab = _checked_width(n_vocab, len(self._tokens))
        self._end_ids = _checked_ids("end_ids", end_ids, self._n_vocab)
        padding = range(len(self._tokens), self._n_vocab)
        empty = (token_id for token_id, token in enumerate(self._tokens) if not token)
        self._control_ids = _checked_ids("control_ids", control_ids, self._n_vocab).union(
            self._end_ids, empty, padding
        )
        if len(self._control_ids) == self._n_vocab:
            raise VocabularyError(
                f"none of the {self._n_vocab} tokens is text: all are end, control or empty"
            )
        self.engine = None

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes by token id."""
        return self._tokens

    @property
    def n_vocab(self) -> int:
        """Width of the model's logits, at least `len(vocabulary)`."""
        return self._n_vocab

    @property
    def end_ids(self) -> frozenset[int]:
        """The ids that end a generation."""
        return self._end_ids

    @property
    def control_ids(self) -> frozenset[int]:
        """Every id that is no text, the end ids among them."""
        return self._control_ids

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        n_text = self._n_vocab - len(self._control_ids)
        ends = ", ".join(
            f"{token_id} {shorten(self._tokens[token_id])}"
            for token_id in sorted(self._end_ids)[:_SHOWN_ENDS]
            if token_id < len(self._tokens)
        )
        more = ", …" if len(self._end_ids) > _SHOWN_ENDS else ""
        return f"<Vocabulary n_vocab={self._n_vocab} text={n_text} end=[{ends}{more}]>"

    @classmethod
    def from_gguf(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """The vocabulary stored in a GGUF file, without loading the model or llama_cpp.

        Byte-level BPE (`gpt2`) and SentencePiece (`llama`, `gemma4`) are read; for the others,
        load the model and use `from_llama`. Ends are those that llama.cpp would stop at.

        Raises:
            VocabularyError: unreadable, no GGUF, truncated, without vocabulary, or of a kind
                whose bytes are not known exactly.

        Cost: linear in the file's metadata (SmolLM2's 49 152 tokens: 0.2 s on a 2-core server).
        """
        table = read_gguf(path)
        return cls(table.tokens, table.end_ids, table.control_ids)

    @classmethod
    def from_llama(cls, llama: object) -> Vocabulary:
        """The vocabulary of a model that llama.cpp has loaded, of any kind it knows.

        Args:
            llama: a `llama_cpp.Llama`; an object whose attribute `vocab` is a `llama_vocab *`
                (as llama_cpp's own model wrapper); or a `llama_model *` as the low-level API
                gives it (an int). A pointer is trusted: a wrong one crashes the process.

        Raises:
            VocabularyError: none of these, a closed model, or a model without vocabulary.

        Cost: four calls a token (SmolLM2's 49 152 tokens: 0.2 s on a 2-core server).
        """
        table = read_llama(llama)
        return cls(table.tokens, table.end_ids, table.control_ids)

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: object,
        *,
        end_ids: Iterable[int] | None = None,
        n_vocab: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer.

        Byte-level and SentencePiece-like decoders are read; others do not give each token bytes
        of its own and are refused. SentencePiece's leading space is kept: what a model writes
        follows its prompt, and there `▁a` is `b" a"`. Special added tokens are control, other
        added tokens are text. Ids that no token has are control.

        Args:
            tokenizer: a `transformers` fast tokenizer, a `tokenizers.Tokenizer`, the path of a
                tokenizer.json (or of its folder), or the JSON text.
            end_ids: the tokens that end a generation. By default those known by name
                (`<|im_end|>`, `</s>`, …) and those that the tokenizer object, or the
                generation_config.json and tokenizer_config.json beside the file, name.
            n_vocab: width of the model's logits, where padded beyond the tokenizer.

        Raises:
            VocabularyError: not such a tokenizer, damaged, refused, or no end token was found
                (pass `end_ids`, which may be empty).
        """
        table = read_tokenizer(tokenizer)
        ends = _given_or_found(end_ids, table.end_ids)
        return cls(table.tokens, ends, table.control_ids, n_vocab=n_vocab)

    @classmethod
    def from_tiktoken(
        cls,
        encoding: Any,
        *,
        end_ids: Iterable[int] | None = None,
        n_vocab: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of a `tiktoken.Encoding`; its special tokens are control.

        Args:
            encoding: the encoding; `tiktoken` itself is not imported.
            end_ids: the tokens that end a generation. By default the special tokens known by
                name: `<|endoftext|>`, `<|im_end|>`, `<|return|>`, …
            n_vocab: width of the model's logits, where padded beyond the encoding.

        Raises:
            VocabularyError: not an encoding, or no end token was found (pass `end_ids`).
        """
        table = _read_tiktoken(encoding)
        ends = _given_or_found(end_ids, table.end_ids)
        return cls(table.tokens, ends, table.control_ids, n_vocab=n_vocab)


def _checked_tokens(tokens: object) -> tuple[bytes, ...]:
    if isinstance(tokens, bytes | str) or not isinstance(tokens, Sequence):
        raise VocabularyError(f"tokens is {shorten(tokens)}, expected a sequence of bytes")
    checked: list[bytes] = []
    for token_id, token in enumerate(tokens):
        if not isinstance(token, bytes):
            raise VocabularyError(f"token {token_id} is {shorten(token)}, expected bytes")
        checked.append(token)
    if not checked:
        raise VocabularyError("there are no tokens")
    return tuple(checked)


def _checked_width(n_vocab: object, n_tokens: int) -> int:
    if n_vocab is None:
        return n_tokens
    if not isinstance(n_vocab, int) or n_vocab < n_tokens:
        raise VocabularyError(
            f"n_vocab is {shorten(n_vocab)}, but there are {n_tokens} tokens; "
            "n_vocab is the width of the model's logits, which have one for every token"
        )
    return n_vocab


def _checked_ids(name: str, ids: object, n_vocab: int) -> frozenset[int]:
    if isinstance(ids, bytes | str) or not isinstance(ids, Iterable):
        raise VocabularyError(f"{name} is {shorten(ids)}, expected token ids")
    checked: set[int] = set()
    for token_id in ids:
        if isinstance(token_id, bool) or not isinstance(token_id, SupportsIndex):
            raise VocabularyError(f"{name} holds {shorten(token_id)}, expected a token id")
        number = token_id.__index__()  # numpy's integers are taken, and become Python's
        if not 0 <= number < n_vocab:
            raise VocabularyError(f"{name} holds {number}, expected an id in [0, {n_vocab})")
        checked.add(number)
    return frozenset(checked)


def _given_or_found(given: Iterable[int] | None, found: set[int]) -> Iterable[int]:
    if given is not None:
        return given
    if not found:
        raise VocabularyError(
            "no end token is known by name or configuration; pass end_ids=[...] "
            "(or end_ids=() if you stop by yourself)"
        )
    return found


def _read_tiktoken(encoding: Any) -> TokenTable:
    try:
        n_tokens = int(encoding.n_vocab)
        names = sorted(encoding.special_tokens_set)
        special = {name: int(encoding.encode_single_token(name)) for name in names}
        bytes_of = encoding.decode_single_token_bytes
    except (AttributeError, TypeError) as error:
        raise VocabularyError(f"{shorten(encoding)} is not a tiktoken.Encoding") from error
    tokens = []
    for token_id in range(n_tokens):
        try:
            tokens.append(bytes(bytes_of(token_id)))
        except KeyError:  # a hole: some encodings leave ids out below their special tokens
            tokens.append(b"")
    return TokenTable(tokens, named_end_ids(special), set(special.values()))
