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
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from constrain.driver.branches import Node
    from constrain.driver.protocol import Logits, Piece

    _Token = tuple[int, int, Sequence[int], bool]  # id, position, its sequences, wanted

# Tokens that llama.cpp puts through the network together, on a processor without GPU. From 64
# on its attention works in tiles and rounds differently, so that logits depend on how a text
# was split into calls (by up to 0.8 for SmolLM2, 500 tokens); below, they were equal in every
# bit for all splits tried. Cost: none (500 tokens, one thread: 3.5 s with 32, 4.1 s with 512).
_EXACT_TOKENS = 32
# Continuations of one sequence that can be evaluated together. They share its cells, so their
# number costs an attention model no memory and no time that could be measured (SmolLM2).
_BRANCHES = 63
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
        self._pointer = api.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._pointer:
            raise DecodeError(f"llama.cpp cannot load {path}{_last_words()}")
        self.close = weakref.finalize(self, api.llama_model_free, self._pointer)
        if api.llama_model_has_encoder(self.pointer):
            raise DecodeError(f"{path} is an encoder model; only decoder-only models generate")
        self._vocabulary_pointer = api.llama_model_get_vocab(self.pointer)
        self.n_vocab = int(api.llama_vocab_n_tokens(self.vocabulary_pointer))
        self.n_ctx_train = int(api.llama_model_n_ctx_train(self.pointer))
        # A recurrent state cannot be shared: each sequence has its own, and takes memory.
        self.is_recurrent = bool(
            api.llama_model_is_recurrent(self.pointer)
            or api.llama_model_is_hybrid(self.pointer)
        )

    @property
    def pointer(self) -> Any:
        """The `llama_model`.

        Raises:
            DecodeError: it is freed; llama.cpp would end the process.
        """
        if not self.close.alive:
            raise DecodeError("the model is closed: load it again")
        return self._pointer

    @property
    def vocabulary_pointer(self) -> Any:
        """The `llama_vocab`; raises as `pointer` does."""
        return self._vocabulary_pointer if self.pointer else None

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
        n_shared: tokens that all sequences hold together, where they share one memory and a
            copied sequence takes none of its own; None: each has a memory for `n_ctx`.
    """

    n_ctx: int
    n_sequences: int
    n_batch: int
    n_threads: int
    n_shared: int | None = None


class LlamaContext:
    """Sequences of tokens under evaluation: a `LanguageModel`.

    Memory grows with `n_ctx * n_sequences`; SmolLM2-135M takes 22 KiB for each token. With
    one sequence it is a `BranchingModel` too, unless the model is recurrent.

    Raises:
        DecodeError: llama.cpp cannot make the context (memory, usually).
    """

    def __init__(self, weights: LlamaWeights, options: ContextOptions) -> None:
        api = _library()
        self._weights = weights  # must outlive the context
        parameters = api.llama_context_default_params()
        parameters.n_ctx = options.n_shared or options.n_ctx * options.n_sequences
        n_batch = min(options.n_batch, options.n_ctx)
        if not api.llama_supports_gpu_offload():
            parameters.n_ubatch = min(_EXACT_TOKENS, n_batch)
        branches = options.n_sequences == 1 and not weights.is_recurrent
        self.n_branches = _BRANCHES if branches else 0
        parameters.n_seq_max = options.n_sequences + self.n_branches
        # One row of logits for each sequence must fit, or the process is aborted.
        parameters.n_batch = max(n_batch, parameters.n_seq_max)
        parameters.n_ctx = max(parameters.n_ctx, parameters.n_seq_max)  # bounds n_batch
        parameters.n_threads = parameters.n_threads_batch = options.n_threads
        parameters.kv_unified = options.n_shared is not None or self.n_branches > 0
        parameters.no_perf = True
        _log()[0].clear()
        pointer = api.llama_init_from_model(weights.pointer, parameters)
        if not pointer:
            raise DecodeError(f"llama.cpp cannot make a context of {options}{_last_words()}")
        self._pointer = pointer
        self._memory = api.llama_get_memory(pointer)
        self._n_batch = min(n_batch, int(api.llama_n_batch(pointer)))
        self._batch = api.llama_batch_init(self._n_batch, 0, 1 + self.n_branches)
        self.close = weakref.finalize(self, _free, pointer, self._batch)
        view = np.ctypeslib.as_array
        self._tokens = view(self._batch.token, shape=(self._n_batch,))
        self._positions = view(self._batch.pos, shape=(self._n_batch,))
        self._wanted = view(self._batch.logits, shape=(self._n_batch,))
        self._n_sequences_of = view(self._batch.n_seq_id, shape=(self._n_batch,))
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
        tokens = [
            (token_id, piece.start + i, (piece.sequence,), i == len(piece.token_ids) - 1)
            for piece in pieces
            for i, token_id in enumerate(piece.token_ids)
        ]
        rows: list[Logits] = []
        for start in range(0, len(tokens), self._n_batch):
            if rows:  # the next call overwrites the rows of this one
                rows = [row.copy() for row in rows]
            rows += self._evaluate(tokens[start : start + self._n_batch])
        return rows

    def decode_branches(
        self, nodes: Sequence[Node], read: Callable[[int, Logits], None]
    ) -> None:
        """See `BranchingModel.decode_branches`. Branch b is llama.cpp's sequence 1 + b."""
        api = _library()
        branches = sorted({branch for node in nodes for branch in node.branches})
        tokens = [
            (node.token_id, node.position, [1 + b for b in node.branches], node.wanted)
            for node in nodes
        ]
        try:
            for branch in branches:
                api.llama_memory_seq_cp(self._memory, 0, 1 + branch, -1, -1)
            for start in range(0, len(tokens), self._n_batch):
                part = tokens[start : start + self._n_batch]
                wanted = [start + i for i, token in enumerate(part) if token[3]]
                for index, row in zip(wanted, self._evaluate(part), strict=True):
                    read(index, row)
        finally:
            for branch in branches:
                api.llama_memory_seq_rm(self._memory, 1 + branch, -1, -1)

    def truncate(self, sequence: int, n_tokens: int) -> int:
        """See `LanguageModel.truncate`."""
        api = _library()
        if api.llama_memory_seq_rm(self._memory, sequence, n_tokens, -1):
            return n_tokens
        # Recurrent models keep one state, which cannot be taken back to the middle.
        api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return 0

    def copy(self, source: int, target: int) -> None:
        """See `LanguageModel.copy`. Cost: nothing to compute where the memory is shared."""
        api = _library()
        api.llama_memory_seq_rm(self._memory, target, -1, -1)
        api.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def _evaluate(self, tokens: Sequence[_Token]) -> list[Logits]:
        """One `llama_decode`: logits after those tokens where they are wanted."""
        api = _library()
        last: list[int] = []
        for row, (token_id, position, sequences, wanted) in enumerate(tokens):
            self._tokens[row] = token_id
            self._positions[row] = position
            self._n_sequences_of[row] = len(sequences)
            for i, sequence in enumerate(sequences):
                self._batch.seq_id[row][i] = sequence
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
