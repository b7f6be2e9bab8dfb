"""llama.cpp, through the low-level interface of llama-cpp-python: the one module that calls it.

Nothing here samples, and llama.cpp is handed no callback but the one that takes its log. Seen
with llama-cpp-python 0.3.36: builds by gcc 12 crash on processors with AMX in `llama_decode`
of two tokens or more unless `use_extra_bufts` is off, so it is off (only this interface can
set it); a batch larger than `n_batch` aborts the process, so pieces are split here.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from constrain.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from constrain.driver.protocol import Logits, Piece

# Tokens that llama.cpp puts through the network together, on a processor without GPU. From 64
# on its attention works in tiles and rounds differently, so that logits depend on how a text
# was split into calls (by up to 0.8 for SmolLM2, 500 tokens); below, they were equal in every
# bit for all splits tried. Cost: none (500 tokens, one thread: 3.5 s with 32, 4.1 s with 512).
_EXACT_TOKENS = 32
_WARNING = 3  # ggml_log_level: 0 none, 1 debug, 2 info, 3 warning, 4 error, 5 continuation
_FAILURES = {
    1: "the context is full",
    2: "the evaluation was aborted",
    -1: "llama.cpp refused the batch (a token or a position out of range)",
    -2: "llama.cpp could not allocate memory for the evaluation",
    -3: "the evaluation failed",
}


@cache
def _library() -> Any:
    """The llama_cpp module, its backend started and its log turned to `_log`."""
    try:
        import llama_cpp
    except ImportError as error:
        raise DecodeError(
            "running a model needs llama-cpp-python: "
            "pip install 'constrain-decoding[smollm2]' or pip install llama-cpp-python"
        ) from error
    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(_log()[1], ctypes.c_void_p(0))
    return llama_cpp


@cache
def _log() -> tuple[deque[str], Any]:
    """The last warnings and errors of llama.cpp, and the callback that collects them.

    llama.cpp has one log for the whole process, and would print it to standard error.
    """
    import llama_cpp

    lines: deque[str] = deque(maxlen=20)

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes function type
    def collect(level: int, text: bytes, _data: object) -> None:
        if level >= _WARNING:
            lines.append(text.decode("utf-8", "replace").strip())

    return lines, collect


def _last_words() -> str:
    """What llama.cpp said last, as the end of a message."""
    lines = [line for line in _log()[0] if line][-3:]
    return f"; llama.cpp says: {' / '.join(lines)}" if lines else ""


class LlamaWeights:
    """A loaded model file: weights, tokenizer, metadata. Holds no sequence.

    Args:
        path: a GGUF file.

    Raises:
        DecodeError: llama.cpp is missing, cannot load the file, or cannot generate with it.
    """

    def __init__(self, path: Path) -> None:
        api = _library()
        _log()[0].clear()
        parameters = api.llama_model_default_params()
        parameters.use_extra_bufts = False
        self.pointer = api.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.pointer:
            raise DecodeError(f"llama.cpp cannot load {path}{_last_words()}")
        self.close = weakref.finalize(self, api.llama_model_free, self.pointer)
        if api.llama_model_has_encoder(self.pointer):
            raise DecodeError(f"{path} is an encoder model; only decoder-only models generate")
        self.vocabulary_pointer = api.llama_model_get_vocab(self.pointer)
        self.n_vocab = int(api.llama_vocab_n_tokens(self.vocabulary_pointer))
        self.n_ctx_train = int(api.llama_model_n_ctx_train(self.pointer))

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of the model, or None."""
        text = _library().llama_model_chat_template(self.pointer, None)
        return None if text is None else text.decode("utf-8", "replace")

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text, or None."""
        return _present(_library().llama_vocab_bos(self.vocabulary_pointer))

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text, or None."""
        return _present(_library().llama_vocab_eos(self.vocabulary_pointer))

    @property
    def adds_bos(self) -> bool:
        """Whether the model was trained with the beginning token before every text."""
        return bool(_library().llama_vocab_get_add_bos(self.vocabulary_pointer))

    def token_text(self, token_id: int) -> str:
        """A token's text as the tokenizer's table has it (`<|im_end|>`)."""
        text = _library().llama_vocab_get_text(self.vocabulary_pointer, token_id)
        return str(text.decode("utf-8", "replace"))

    def tokenize(self, data: bytes, *, control: bool) -> list[int]:
        """See `LanguageModel.tokenize`."""
        api = _library()
        room = len(data) + 16
        while True:
            buffer = (api.llama_token * room)()
            n = api.llama_tokenize(
                self.vocabulary_pointer, data, len(data), buffer, room, False, control
            )
            if n >= 0:
                return list(buffer[:n])
            if n == -(2**31):
                raise DecodeError(f"a text of {len(data)} bytes has too many tokens")
            room = -n


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How a context is made.

    Attributes:
        n_ctx: tokens one sequence can hold.
        n_sequences: sequences held at the same time, each with its own cache.
        n_batch: tokens evaluated in one call.
        n_threads: threads of the evaluation.
    """

    n_ctx: int
    n_sequences: int
    n_batch: int
    n_threads: int


class LlamaContext:
    """Sequences of tokens under evaluation: a `LanguageModel`.

    Memory grows with `n_ctx * n_sequences`; SmolLM2-135M takes 22 KiB for each token.

    Raises:
        DecodeError: llama.cpp cannot make the context (memory, usually).
    """

    def __init__(self, weights: LlamaWeights, options: ContextOptions) -> None:
        api = _library()
        self._weights = weights  # must outlive the context
        parameters = api.llama_context_default_params()
        parameters.n_ctx = options.n_ctx * options.n_sequences
        parameters.n_batch = min(options.n_batch, options.n_ctx)
        if not api.llama_supports_gpu_offload():
            parameters.n_ubatch = min(_EXACT_TOKENS, parameters.n_batch)
        parameters.n_seq_max = options.n_sequences
        parameters.n_threads = parameters.n_threads_batch = options.n_threads
        parameters.kv_unified = False
        parameters.no_perf = True
        _log()[0].clear()
        pointer = api.llama_init_from_model(weights.pointer, parameters)
        if not pointer:
            raise DecodeError(f"llama.cpp cannot make a context of {options}{_last_words()}")
        self._pointer = pointer
        self._memory = api.llama_get_memory(pointer)
        self._n_batch = int(api.llama_n_batch(pointer))
        self._batch = api.llama_batch_init(self._n_batch, 0, 1)
        self.close = weakref.finalize(self, _free, pointer, self._batch)
        view = np.ctypeslib.as_array
        self._tokens = view(self._batch.token, shape=(self._n_batch,))
        self._positions = view(self._batch.pos, shape=(self._n_batch,))
        self._wanted = view(self._batch.logits, shape=(self._n_batch,))
        view(self._batch.n_seq_id, shape=(self._n_batch,))[:] = 1
        # llama.cpp rounds the context up; what was asked for is what is promised.
        self.n_ctx = options.n_ctx
        self.n_sequences = options.n_sequences
        self.n_vocab = weights.n_vocab
        self.n_calls = 0

    def tokenize(self, data: bytes, *, control: bool) -> list[int]:
        """See `LanguageModel.tokenize`."""
        return self._weights.tokenize(data, control=control)

    def decode(self, pieces: Sequence[Piece]) -> list[Logits]:
        """See `LanguageModel.decode`. Splits what is longer than `n_batch`."""
        tokens = [(piece, i) for piece in pieces for i in range(len(piece.token_ids))]
        rows: list[Logits] = []
        for start in range(0, len(tokens), self._n_batch):
            if rows:  # the next call overwrites the rows of this one
                rows = [row.copy() for row in rows]
            rows += self._evaluate(tokens[start : start + self._n_batch])
        return rows

    def truncate(self, sequence: int, n_tokens: int) -> int:
        """See `LanguageModel.truncate`."""
        api = _library()
        if api.llama_memory_seq_rm(self._memory, sequence, n_tokens, -1):
            return n_tokens
        # Recurrent models keep one state, which cannot be taken back to the middle.
        api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return 0

    def _evaluate(self, tokens: Sequence[tuple[Piece, int]]) -> list[Logits]:
        """One `llama_decode`: logits for those tokens that are the last of their piece."""
        api = _library()
        last: list[int] = []
        for row, (piece, i) in enumerate(tokens):
            self._tokens[row] = piece.token_ids[i]
            self._positions[row] = piece.start + i
            self._batch.seq_id[row][0] = piece.sequence
            wanted = i == len(piece.token_ids) - 1
            self._wanted[row] = wanted
            if wanted:
                last.append(row)
        self._batch.n_tokens = len(tokens)
        self.n_calls += 1
        _log()[0].clear()
        code = api.llama_decode(self._pointer, self._batch)
        if code:
            meaning = _FAILURES.get(code, "an unknown failure")
            raise DecodeError(f"llama_decode returned {code}: {meaning}{_last_words()}")
        return [self._row(row) for row in last]

    def _row(self, row: int) -> Logits:
        pointer = _library().llama_get_logits_ith(self._pointer, row)
        if not pointer:
            raise DecodeError(f"llama.cpp has no logits for token {row} of the batch")
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))


def _free(context: Any, batch: Any) -> None:
    api = _library()
    api.llama_batch_free(batch)
    api.llama_free(context)


def _present(token_id: int) -> int | None:
    """A token id, where llama.cpp says -1 for none."""
    return None if token_id < 0 else int(token_id)
