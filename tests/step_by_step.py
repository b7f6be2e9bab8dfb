"""The oracle for scoring: llama_cpp called directly, one token and one text at a time."""

from __future__ import annotations

import llama_cpp
import numpy as np

from constrain.driver.files import default_model


class StepByStep:
    """The default model in a context of its own, with no code of the package's driver."""

    def __init__(self, n_ctx: int = 256) -> None:
        parameters = llama_cpp.llama_model_default_params()
        parameters.use_extra_bufts = False  # crashes on processors with AMX
        self._model = llama_cpp.llama_model_load_from_file(
            str(default_model()).encode(), parameters
        )
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = n_ctx
        context.n_threads = context.n_threads_batch = 1
        self._context = llama_cpp.llama_init_from_model(self._model, context)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocabulary)

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def is_end(self, token_id: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token_id))

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        n = llama_cpp.llama_tokenize(
            self._vocabulary, data, len(data), buffer, len(buffer), False, False
        )
        return list(buffer[:n])

    def logprobs(self, prompt: str, text: str, *, end: bool = False) -> list[float]:
        """Log-probability of each token of `text` after `prompt`, then that of an end token."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        before, asked = self.tokenize(prompt), self.tokenize(text)
        values = []
        for i, token_id in enumerate([*before, *asked]):
            place = i - len(before)
            if place >= 0:
                values.append(float(self._row()[token_id]))
            batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token_id), 1)
            assert llama_cpp.llama_decode(self._context, batch) == 0
        if end:
            row = self._row()
            ends = [t for t in range(self._n_vocab) if self.is_end(t)]
            values.append(float(np.log(np.exp(row[ends]).sum())))
        return values

    def _row(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        row = np.ctypeslib.as_array(pointer, shape=(self._n_vocab,)).astype(np.float64)
        shifted = row - row.max()
        found: np.ndarray[tuple[int], np.dtype[np.float64]] = shifted - np.log(
            np.exp(shifted).sum()
        )
        return found
