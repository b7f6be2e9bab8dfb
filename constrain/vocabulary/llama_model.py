"""Reads the token table of a model that llama.cpp has loaded.

llama.cpp itself says what bytes it writes for a token, which tokens end a generation and which
are control; only what it makes up, or marks as text for display alone, is put right here. With
`constrain.driver`, this is the only module that knows llama_cpp.

Source: include/llama.h of ggml-org/llama.cpp, as in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

from constrain.errors import VocabularyError, shorten
from constrain.vocabulary.token_bytes import CONTROL_NAMES, TokenTable

if TYPE_CHECKING:
    from types import ModuleType

_PIECE_BYTES: Final = 256
"""Room for a piece before it is asked for again with more; Llama 3's longest has 128 bytes."""

_WITH_CONTROL: Final = True
"""Render control tokens too: their bytes are shown to people, never matched."""

_CONTROL_SPELLINGS: Final = frozenset(name.encode() for name in CONTROL_NAMES)


def read_llama(llama: object) -> TokenTable:
    """Read tokens, end ids and control ids; see `Vocabulary.from_llama` for what is taken.

    Raises:
        VocabularyError: not a loaded model, or one without vocabulary.

    Cost: four calls a token.
    """
    import llama_cpp

    vocab = _vocab_pointer(llama_cpp, llama)
    if llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
        raise VocabularyError("the model has no vocabulary; llama.cpp knows its logits only")
    control_bits = (
        llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED
        | llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
    )
    tokens: list[bytes] = []
    end_ids: set[int] = set()
    control_ids: set[int] = set()
    for token_id in range(llama_cpp.llama_vocab_n_tokens(vocab)):
        piece = _llama_piece(llama_cpp, vocab, token_id)
        spelling = llama_cpp.llama_vocab_get_text(vocab, token_id)
        if _is_made_up(token_id, spelling, piece):
            piece = b""
        tokens.append(piece)
        if llama_cpp.llama_vocab_is_eog(vocab, token_id):
            end_ids.add(token_id)
        # An undefined attribute (0) gives an empty piece, which is control anyway.
        attributes = llama_cpp.llama_vocab_get_attr(vocab, token_id)
        if attributes & control_bits or spelling in _CONTROL_SPELLINGS:
            control_ids.add(token_id)
    return TokenTable(tokens, end_ids, control_ids)


def _vocab_pointer(llama_cpp: ModuleType, llama: object) -> Any:
    """The `llama_vocab *` of what the user gave; an int, which llama_cpp types as its own."""
    if isinstance(llama, ctypes.c_void_p):
        llama = llama.value or 0
    if isinstance(llama, int) and not isinstance(llama, bool):
        vocab = llama_cpp.llama_model_get_vocab(llama) if llama else None
    else:
        holder: Any = getattr(llama, "_model", llama)  # llama_cpp.Llama has no public way to it
        if not hasattr(holder, "vocab"):
            raise VocabularyError(
                f"{shorten(llama)} is no llama_cpp.Llama, no holder of a llama_vocab pointer "
                "and no llama_model pointer"
            )
        vocab = holder.vocab if getattr(holder, "model", True) else None
    if isinstance(vocab, int) and vocab:
        return vocab
    raise VocabularyError("the llama.cpp model is closed or was never loaded")


def _llama_piece(llama_cpp: ModuleType, vocab: Any, token_id: int) -> bytes:
    """The token's bytes; asked for again with the room llama.cpp says it needs."""
    room = _PIECE_BYTES
    while True:
        buffer = ctypes.create_string_buffer(room)
        n_bytes = llama_cpp.llama_token_to_piece(
            vocab, token_id, buffer, room, 0, _WITH_CONTROL
        )
        if n_bytes >= 0:
            return buffer.raw[:n_bytes]
        if -n_bytes <= room:
            raise VocabularyError(f"llama.cpp gives no bytes for token {token_id} ({n_bytes})")
        room = -n_bytes


def _is_made_up(token_id: int, spelling: bytes, piece: bytes) -> bool:
    """Whether llama.cpp invented the bytes: for an empty token, or one it cannot decode."""
    if b"[UNK_BYTE_0x" in piece and b"[UNK_BYTE_0x" not in spelling:
        return True
    return piece == b"[EMPTY_%d]" % token_id
