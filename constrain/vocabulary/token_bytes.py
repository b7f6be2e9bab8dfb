"""How tokenizers spell a token, and the bytes each spelling stands for.

A tokenizer file does not hold a token's bytes but a printable spelling of them. Two families
cover the models llama.cpp runs:

- *byte-level BPE* (GPT-2, Llama 3, Qwen, SmolLM2): every byte has one printable stand-in, so
  `"Ġthe"` is `b" the"`;
- *SentencePiece* (Llama 2, Mistral, Gemma): text as it is, with `▁` for a space, and byte
  tokens `<0x0A>` for what has no piece of its own.

Where files do not say what a token is for, its name does: the names are here too. This module
reads no files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SPACE_MARK: Final = "▁"
"""U+2581, SentencePiece's stand-in for a space."""

_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenTable(NamedTuple):
    """What a reader found: bytes by token id, and which ids end or are no text."""

    tokens: list[bytes]
    end_ids: set[int]
    control_ids: set[int]


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in of every byte, in byte-level BPE.

    The 188 bytes that are visible characters of Latin-1 stand for themselves, the other 68, in
    order, are U+0100 and up. Source: `bytes_to_unicode` of openai/gpt-2, src/encoder.py.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)) - set(visible))
    alphabet = {chr(byte): byte for byte in visible}
    alphabet.update({chr(0x100 + index): byte for index, byte in enumerate(hidden)})
    return alphabet


_BYTE_OF_STAND_IN: Final = _byte_level_alphabet()


def byte_level_bytes(spelling: str) -> bytes | None:
    """The bytes of a byte-level spelling; None when a character is no stand-in.

    >>> byte_level_bytes("Ġthe")
    b' the'
    >>> byte_level_bytes("two words") is None
    True
    """
    try:
        return bytes([_BYTE_OF_STAND_IN[char] for char in spelling])
    except KeyError:
        return None


def byte_token_bytes(spelling: str) -> bytes | None:
    r"""The byte of a byte token; None when the spelling is not of that form.

    >>> byte_token_bytes("<0x0A>")
    b'\n'
    >>> byte_token_bytes("<0x0A>!") is None
    True
    """
    found = _BYTE_TOKEN.fullmatch(spelling)
    return bytes.fromhex(found[1]) if found else None


# Names below: src/llama-vocab.cpp of ggml-org/llama.cpp, as in llama-cpp-python 0.3.36. Files
# name one end token; models end with any of several, so llama.cpp goes by these names.
END_NAMES: Final = frozenset(
    {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>",
        "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>",
        "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
        "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
    }
)  # fmt: skip
"""Tokens that end a generation, whatever else the file says."""

FILE_END_NAMES: Final = frozenset(
    {
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>",
        "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    }
)  # fmt: skip
"""Padding, repository and file separators of code models: llama.cpp ends at them too."""

CONTROL_NAMES: Final = frozenset(
    {
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
        "<|code_prefix|>", "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
        "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>", "<|fim_middle|>",
        "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
        "<|middle|>", "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", "<|end|>",
    }
)  # fmt: skip
"""Tokens that steer a model (fill in the middle, gpt-oss channels), even if called text.

llama.cpp renders the five gpt-oss names; they are control here all the same, else a JSON string
could hold one. No text is lost by it: other tokens spell the same characters.
"""


def named_end_ids(ids_by_name: Mapping[str, int]) -> set[int]:
    """The ids of the tokens whose names say that they end a generation.

    Two names are ambiguous, and llama.cpp's rules decide: `<|end|>` is no end where
    `<|return|>` or `<|flush|>` and a call token are (gpt-oss, Solar), and `</s>` is plain text
    where `<|tool_response>` or `<|plamo:eos|>` is (Gemma 4, PLaMo).

    >>> sorted(named_end_ids({"<|im_start|>": 1, "<|im_end|>": 2, "</s>": 3}))
    [2, 3]
    """
    names = (END_NAMES | FILE_END_NAMES) & ids_by_name.keys()
    calls = names & {"<|call|>", "<|calls|>"}
    if ("<|return|>" in names and "<|call|>" in names) or ("<|flush|>" in names and calls):
        names -= {"<|end|>"}
    if ids_by_name.keys() & {"<|tool_response>", "<|plamo:eos|>"}:
        names -= {"</s>"}
    return {ids_by_name[name] for name in names}
