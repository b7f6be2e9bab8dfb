"""Vocabularies from GGUF files made here, against llama.cpp's reading of the same files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from constrain.errors import VocabularyError
from constrain.vocabulary import Vocabulary
from tests.gguf_writer import gguf_bytes, gguf_string
from tests.vocabulary_sources import assert_same, load_vocabulary_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def gguf_entries(model: bytes, tokens: dict[bytes, int], /, **more: Any) -> dict[str, Any]:
    """Metadata of a model with these tokens and types, as far as llama.cpp asks for it."""
    own = {
        "model": model,
        "tokens": list(tokens),
        "token_type": list(tokens.values()),
        "scores": [0.0] * len(tokens),
        "merges": ["Ġ a".encode()],
        **more,
    }
    named = {f"tokenizer.ggml.{key}": value for key, value in own.items()}
    return {"general.architecture": b"llama", "general.tags": [b"x", b"yy"], **named}


# Types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte, 0 undefined.
BYTE_LEVEL_TOKENS = {
    b"a": 1,
    "Ġ".encode(): 1,
    "Ċ".encode(): 1,
    "Ã".encode(): 1,
    "ĠĠ".encode(): 1,
    b"<|im_end|>": 3,
    "<tool é>".encode(): 4,
    "a日".encode(): 1,
    b"": 1,
    b"<|start|>": 4,
    b"<left>": 5,
    b"u": 0,
    b"<0x41>": 6,
    **{b"t%d" % number: 1 for number in range(64)},
}
BYTE_LEVEL_BYTES = (
    b"a", b" ", b"\n", b"\xc3", b"  ", b"<|im_end|>", "<tool é>".encode(), b"", b"",
    b"<|start|>", b"", b"", b"A",
)  # fmt: skip
SENTENCEPIECE_TOKENS = {
    b"<unk>": 2, b"<s>": 3, b"</s>": 3, b"<0x0A>": 6, b"<0x41>": 6, b"A": 1, "▁".encode(): 1,
    "▁▁".encode(): 1, b"  ": 4, "▁A▁".encode(): 1, "日".encode(): 1, b"<left>": 5, b"": 1,
    b"<|end|>": 4,
}  # fmt: skip
SENTENCEPIECE_BYTES = (
    b"<unk>", b"<s>", b"</s>", b"\n", b"A", b"A", b" ", b"  ", b"  ", b" A ", "日".encode(),
    b"", b"", b"<|end|>",
)  # fmt: skip


@pytest.fixture
def gguf(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes a file and gives its path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


def test_byte_level_gguf_gives_exact_bytes(gguf: Callable[[bytes], Path]) -> None:
    """Added text is literal; unused, undefined, empty and undecodable tokens are control."""
    entries = gguf_entries(b"gpt2", BYTE_LEVEL_TOKENS, eos_token_id=5)
    vocabulary = Vocabulary.from_gguf(gguf(gguf_bytes(entries)))
    assert vocabulary.tokens[:13] == BYTE_LEVEL_BYTES
    assert vocabulary.end_ids == {5}
    assert vocabulary.control_ids == {5, 7, 8, 9, 10, 11}


def test_sentencepiece_gguf_gives_exact_bytes(gguf: Callable[[bytes], Path]) -> None:
    """Two spaces twice, `A` twice: duplicates stay, each with its id."""
    vocabulary = Vocabulary.from_gguf(
        gguf(gguf_bytes(gguf_entries(b"llama", SENTENCEPIECE_TOKENS)))
    )
    assert vocabulary.tokens == SENTENCEPIECE_BYTES
    assert vocabulary.end_ids == {2, 13}
    assert vocabulary.control_ids == {0, 1, 2, 11, 12, 13}


@pytest.mark.parametrize(
    ("model", "tokens"), [(b"gpt2", BYTE_LEVEL_TOKENS), (b"llama", SENTENCEPIECE_TOKENS)]
)
def test_gguf_and_llama_agree_on_odd_tokens(
    gguf: Callable[[bytes], Path], model: bytes, tokens: dict[bytes, int]
) -> None:
    """llama.cpp, given the same file, gives the same bytes, ends and control tokens."""
    long = {b"x" * 2000: 1}  # longer than the first buffer: asked for again
    path = gguf(gguf_bytes(gguf_entries(model, tokens | long, eos_token_id=5)))
    read = Vocabulary.from_gguf(path)
    assert read.tokens[-1] == b"x" * 2000
    assert_same(read, Vocabulary.from_llama(load_vocabulary_only(path)))


def test_a_bpe_that_marks_spaces_is_read_as_sentencepiece(
    gguf: Callable[[bytes], Path],
) -> None:
    """Gemma 4: BPE with `▁` and byte tokens; `é` is not a stand-in for byte 0xE9 there."""
    tokens = {"▁é".encode(): 1, b"<0xE9>": 6, b"<turn|>": 3, b"</s>": 1, b"<|tool_response>": 3}
    for changes in ({"model": b"gemma4"}, {"model": b"gpt2", "pre": b"gemma4"}):
        entries = gguf_entries(b"", tokens, **changes)
        vocabulary = Vocabulary.from_gguf(gguf(gguf_bytes(entries)))
        assert vocabulary.tokens[:2] == (" é".encode(), b"\xe9")
        assert vocabulary.end_ids == {2, 4}  # </s> is text in Gemma 4
        assert vocabulary.control_ids == {2, 4}


def test_gpt_oss_names_are_control_and_end_is_no_end(gguf: Callable[[bytes], Path]) -> None:
    """gpt-oss closes a message with `<|end|>` and its turn with `<|return|>` or `<|call|>`."""
    names = [b"<|end|>", b"<|return|>", b"<|call|>", b"<|channel|>"]
    tokens = {b"a": 1} | dict.fromkeys(names, 4)
    vocabulary = Vocabulary.from_gguf(gguf(gguf_bytes(gguf_entries(b"gpt2", tokens))))
    assert vocabulary.end_ids == {2, 3}
    assert vocabulary.control_ids == {1, 2, 3, 4}


def wrong_gguf_files() -> Iterator[tuple[str, bytes, str]]:
    """Name, content and the reason that is expected."""
    good = gguf_entries(b"gpt2", {b"a": 1, b"</s>": 3})
    yield "empty", b"", "not a GGUF file"
    yield "zip", b"PK\x03\x04", "not a GGUF file"
    yield "magic only", b"GGUF", "truncated"
    yield "version 1", gguf_bytes(good, version=1), "version 1"
    yield "big-endian", b"GGUF" + struct.pack(">Iqq", 3, 0, 0), "big-endian"
    yield "cut", gguf_bytes(good)[:-3], "truncated"
    yield "no vocabulary", gguf_bytes({"general.architecture": b"llama"}), "no vocabulary"
    yield "WordPiece", gguf_bytes(good | {"tokenizer.ggml.model": b"bert"}), "'bert'"
    yield "model no text", gguf_bytes(good | {"tokenizer.ggml.model": 7}), "model is 7"
    yield "few types", gguf_bytes(good | {"tokenizer.ggml.token_type": [1]}), "a type for every"
    yield "tokens no list", gguf_bytes(good | {"tokenizer.ggml.tokens": 7}), "no vocabulary"
    yield "bad byte", gguf_bytes(gguf_entries(b"llama", {b"<0xZZ>": 6})), "form <0x0A>"
    alien = {"日".encode(): 1, "本".encode(): 1, b"a": 1}
    yield "not byte-level", gguf_bytes(gguf_entries(b"gpt2", alien)), "2 of 3 tokens"
    one = b"GGUF" + struct.pack("<Iqq", 3, 0, 1) + gguf_string(b"key")
    yield "unknown type", one + struct.pack("<i", 99), "unknown value type 99"
    yield "nested array", one + struct.pack("<iiQ", 9, 9, 1), "array of value type 9"
    yield "huge array", one + struct.pack("<iiQ", 9, 5, 2**62), "truncated"
    yield "huge string", one + struct.pack("<iQ", 8, 2**63), "truncated"
    yield "huge count", one[:16] + struct.pack("<q", 2**62) + one[24:], "truncated"


@pytest.mark.parametrize(
    ("content", "reason"), [pytest.param(*case[1:], id=case[0]) for case in wrong_gguf_files()]
)
def test_a_wrong_gguf_file_is_refused(
    gguf: Callable[[bytes], Path], content: bytes, reason: str
) -> None:
    """Each with the reason and the path."""
    path = gguf(content)
    with pytest.raises(VocabularyError, match=reason) as caught:
        Vocabulary.from_gguf(path)
    assert str(path) in str(caught.value)


def test_a_gguf_file_cut_anywhere_is_refused(gguf: Callable[[bytes], Path]) -> None:
    """No prefix of a file is taken for the whole, and none raises anything else."""
    content = gguf_bytes(gguf_entries(b"gpt2", {b"a": 1, b"</s>": 3}))
    for n_bytes in range(len(content)):
        with pytest.raises(VocabularyError):
            Vocabulary.from_gguf(gguf(content[:n_bytes]))
    assert len(Vocabulary.from_gguf(gguf(content))) == 2


def test_a_gguf_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Absent, or a folder."""
    for path in (tmp_path / "absent.gguf", tmp_path):
        with pytest.raises(VocabularyError, match="cannot read"):
            Vocabulary.from_gguf(path)
