"""Vocabularies: exact bytes, end and control tokens, from models and tokenizers.

What is particular to GGUF files is in tests/test_gguf_vocabulary.py.
"""

from __future__ import annotations

import ctypes
import json
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from constrain.errors import VocabularyError
from constrain.vocabulary import Vocabulary
from constrain.vocabulary.token_bytes import byte_level_bytes, byte_token_bytes
from tests.vocabulary_sources import (
    assert_same,
    load_vocabulary_only,
    smollm2_gguf,
    smollm2_tokenizer,
)

if TYPE_CHECKING:
    from pathlib import Path

BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
STAND_INS = {
    byte: char for char in map(chr, range(0x200)) for byte in byte_level_bytes(char) or b""
}


@pytest.mark.model
def test_gguf_and_llama_agree_on_smollm2() -> None:
    """The file's metadata, read without llama.cpp, says what llama.cpp says."""
    path = smollm2_gguf()
    assert_same(Vocabulary.from_gguf(path), Vocabulary.from_llama(load_vocabulary_only(path)))


@pytest.mark.model
def test_gguf_and_tokenizer_json_agree_on_smollm2() -> None:
    """The GGUF file and the Hugging Face file hold the same vocabulary."""
    assert_same(
        Vocabulary.from_gguf(smollm2_gguf()), Vocabulary.from_tokenizer(smollm2_tokenizer())
    )


@pytest.mark.model
def test_smollm2_ends_its_turns_with_im_end() -> None:
    """Its chat format ends a turn with `<|im_end|>`; its pre-training used `<|endoftext|>`."""
    vocabulary = Vocabulary.from_gguf(smollm2_gguf())
    ends = {vocabulary.tokens[token_id] for token_id in vocabulary.end_ids}
    assert {b"<|im_end|>", b"<|endoftext|>"} <= ends
    assert vocabulary.n_vocab == 49_152  # design: 49 135 text tokens, 17 control
    assert len(vocabulary.control_ids) == 17


@pytest.mark.model
def test_from_llama_takes_the_high_level_object_and_the_wrappers_of_a_pointer() -> None:
    """A `Llama`, a model pointer in a `c_void_p`, and a holder of a vocab pointer agree."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path = smollm2_gguf()
    pointer = load_vocabulary_only(path)
    holder = SimpleNamespace(vocab=llama_cpp.llama_model_get_vocab(pointer))
    expected = Vocabulary.from_llama(pointer)
    assert_same(expected, Vocabulary.from_llama(ctypes.c_void_p(pointer)))
    assert_same(expected, Vocabulary.from_llama(holder))
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    assert_same(expected, Vocabulary.from_llama(llama))
    llama.close()
    with pytest.raises(VocabularyError, match="closed"):
        Vocabulary.from_llama(llama)


def test_from_llama_refuses_what_is_no_model() -> None:
    """A string, None, and null pointers are errors, not crashes."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    for wrong in ("model.gguf", None, True, 3.5):
        with pytest.raises(VocabularyError, match="is no llama_cpp"):
            Vocabulary.from_llama(wrong)
    for null in (0, ctypes.c_void_p(), SimpleNamespace(vocab=None)):
        with pytest.raises(VocabularyError, match="closed or was never loaded"):
            Vocabulary.from_llama(null)


@cache
def smollm2_tokenizer_and_vocabulary() -> tuple[Any, Vocabulary]:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    path = smollm2_tokenizer()
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    return tokenizer, Vocabulary.from_tokenizer(tokenizer)


# SmolLM2 has no token for these bytes, nor for 0xF1 and 0xF2, which begin the characters from
# U+40000: its tokenizer drops them.
UNSPELLABLE = "\x04\x06\x13\x14\x16\x1d"


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters=UNSPELLABLE, max_codepoint=0x2FFFF))
)
@example('Grüße 東京 🙂\r\n\t{"n": -1e10}')
def test_the_pieces_of_a_text_are_its_bytes_on_smollm2(text: str) -> None:
    """Tokenized by the real tokenizer, the pieces in a row are the text's UTF-8."""
    tokenizer, vocabulary = smollm2_tokenizer_and_vocabulary()
    assert pieces_of(vocabulary, tokenizer, text) == text.encode()


# --- tokenizers made here -------------------------------------------------------------------


def byte_level_tokenizer() -> Any:
    """Byte-level BPE: all 256 bytes, two merges, an end token, an added word, a special one."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocab = {STAND_INS[byte]: byte for byte in range(256)} | {"he": 256, "Ġhe": 257}
    model = tokenizers.models.BPE(vocab=vocab, merges=[("h", "e"), ("Ġ", "he")])
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_end|>", "<|user|>"])
    tokenizer.add_tokens([tokenizers.AddedToken("été", normalized=False)])
    return tokenizer


def sentencepiece_tokenizer() -> Any:
    """BPE as Llama 2 has it: `▁` for spaces, 256 byte tokens, a space put before the text."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    pieces = ["<unk>", "<s>", "</s>", *BYTE_TOKENS, "▁", "a", "b", "▁a", "▁▁"]
    model = tokenizers.models.BPE(
        vocab={piece: token_id for token_id, piece in enumerate(pieces)},
        merges=[("▁", "a"), ("▁", "▁")],
        unk_token="<unk>",  # noqa: S106  # a tokenizer's token, no password
        byte_fallback=True,
        fuse_unk=True,
    )
    tokenizer = tokenizers.Tokenizer(model)
    normalizers, decoders = tokenizers.normalizers, tokenizers.decoders
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def metaspace_tokenizer() -> Any:
    """A Unigram model with the Metaspace decoder and an unknown token."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    pieces = [
        ("<unk>", 0.0),
        ("</s>", 0.0),
        ("▁ab", -1.0),
        ("▁", -2.0),
        ("a", -3.0),
        ("b", -3.0),
    ]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    tokenizer.add_special_tokens(["</s>"])
    return tokenizer


def pieces_of(vocabulary: Vocabulary, tokenizer: Any, text: str) -> bytes:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return b"".join(vocabulary.tokens[token_id] for token_id in ids)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
@example("the hété\n")
def test_the_pieces_of_a_text_are_its_bytes_in_byte_level_bpe(text: str) -> None:
    """For any text: every byte has a token."""
    tokenizer = byte_level_tokenizer()
    assert pieces_of(Vocabulary.from_tokenizer(tokenizer), tokenizer, text) == text.encode()


# The tokenizer itself turns "▁" into a space, and finds "</s>" and its like in the text.
@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="▁<"), min_size=1))
@example("a  a\nç")
def test_the_pieces_of_a_text_are_its_bytes_after_a_space_in_sentencepiece(text: str) -> None:
    """The space that the tokenizer puts before a text is a real one in the middle of a text."""
    tokenizer = sentencepiece_tokenizer()
    pieces = pieces_of(Vocabulary.from_tokenizer(tokenizer), tokenizer, text)
    assert pieces == b" " + text.encode()


def test_byte_level_tokens_added_words_and_special_tokens_are_told_apart() -> None:
    """Merged pieces are mapped back, an added word is literal, special tokens are control."""
    vocabulary = Vocabulary.from_tokenizer(byte_level_tokenizer())
    assert vocabulary.tokens[:256] == tuple(bytes([byte]) for byte in range(256))
    assert vocabulary.tokens[256:] == (
        b"he", b" he", b"<|im_end|>", b"<|user|>", "été".encode(),
    )  # fmt: skip
    assert vocabulary.end_ids == {258}
    assert vocabulary.control_ids == {258, 259}


def test_sentencepiece_spells_spaces_and_byte_tokens() -> None:
    """`▁` is a space, also at the front; `<0x0A>` is one byte; `A` and `<0x41>` may both be."""
    vocabulary = Vocabulary.from_tokenizer(sentencepiece_tokenizer())
    assert vocabulary.tokens[:3] == (b"<unk>", b"<s>", b"</s>")
    assert vocabulary.tokens[3:259] == tuple(bytes([byte]) for byte in range(256))
    assert vocabulary.tokens[259:] == (b" ", b"a", b"b", b" a", b"  ")
    assert vocabulary.tokens.count(b"a") == 2  # the piece and its byte token
    assert vocabulary.end_ids == {2}
    assert vocabulary.control_ids == {0, 1, 2}


def test_metaspace_keeps_the_leading_space_and_the_unknown_token_is_control() -> None:
    """`▁ab` is `b" ab"`; `<unk>` is never text."""
    vocabulary = Vocabulary.from_tokenizer(metaspace_tokenizer())
    assert vocabulary.tokens == (b"<unk>", b"</s>", b" ab", b" ", b"a", b"b")
    assert vocabulary.end_ids == {1}
    assert vocabulary.control_ids == {0, 1}


def test_a_tokenizer_is_read_alike_from_object_text_file_and_folder(tmp_path: Path) -> None:
    """Also wrapped as transformers wraps it, where `eos_token_id` adds an end."""
    tokenizer = byte_level_tokenizer()
    expected = Vocabulary.from_tokenizer(tokenizer)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    for source in (tokenizer.to_str(), path, str(path), tmp_path):
        assert_same(expected, Vocabulary.from_tokenizer(source))
    wrapped = SimpleNamespace(backend_tokenizer=tokenizer, eos_token_id=259)
    assert Vocabulary.from_tokenizer(wrapped).end_ids == {258, 259}


def test_the_files_beside_a_tokenizer_name_further_end_tokens(tmp_path: Path) -> None:
    """generation_config.json names ids, tokenizer_config.json a token."""
    byte_level_tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [258, 10]}')
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|user|>"}}')
    assert Vocabulary.from_tokenizer(tmp_path).end_ids == {10, 258, 259}
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<gone>"}')
    with pytest.raises(VocabularyError, match="<gone>"):
        Vocabulary.from_tokenizer(tmp_path)


def tokenizer_json(**changes: Any) -> str:
    """A small byte-level tokenizer.json with some top-level keys replaced."""
    content: dict[str, Any] = {
        "added_tokens": [{"id": 2, "content": "</s>", "special": True}],
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "Ġb": 1}, "merges": []},
    }
    return json.dumps(content | changes)


def test_holes_and_padding_are_control_tokens_without_bytes() -> None:
    """Ids 3 and 4 have no token here, 6 and 7 are only in the logits."""
    text = tokenizer_json(
        added_tokens=[
            {"id": 2, "content": "</s>", "special": True},
            {"id": 5, "content": "<x>", "special": False},
        ]
    )
    vocabulary = Vocabulary.from_tokenizer(text, n_vocab=8)
    assert vocabulary.tokens == (b"a", b" b", b"</s>", b"", b"", b"<x>")
    assert (len(vocabulary), vocabulary.n_vocab) == (6, 8)
    assert vocabulary.control_ids == {2, 3, 4, 6, 7}


def test_an_added_token_takes_the_place_of_the_models_own() -> None:
    """The same id in both: the added content counts, literally."""
    text = tokenizer_json(added_tokens=[{"id": 1, "content": "</s>", "special": True}])
    assert Vocabulary.from_tokenizer(text).tokens == (b"a", b"</s>")


def test_end_ids_given_replace_those_found_and_none_found_is_an_error() -> None:
    """An empty set must be asked for."""
    assert Vocabulary.from_tokenizer(tokenizer_json(), end_ids=[1]).end_ids == {1}
    without = tokenizer_json(added_tokens=[])
    assert Vocabulary.from_tokenizer(without, end_ids=()).end_ids == frozenset()
    with pytest.raises(VocabularyError, match="pass end_ids"):
        Vocabulary.from_tokenizer(without)


def bpe(vocab: Any, **more: Any) -> dict[str, Any]:
    return {"model": {"type": "BPE", "vocab": vocab, **more}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decoder": None}, "no decoder"),
        ({"decoder": {"type": "WordPiece", "prefix": "##"}}, "WordPiece"),
        ({"decoder": {"type": "Sequence", "decoders": [{"type": "CTC"}]}}, "CTC"),
        ({"decoder": {"type": "Strip", "content": " ", "start": 1, "stop": 0}}, "Strip"),
        ({"decoder": {"type": "Replace", "pattern": {"Regex": "x"}, "content": ""}}, "Regex"),
        ({"model": {"type": "BPE"}}, "model.vocab"),
        ({"model": []}, "model.vocab"),
        (bpe("abc"), "not an object or an array"),
        (bpe([["a", -1.0], []]), "no spelling for id 1"),
        (bpe({"a": 0, "b": 0}), "gives id 0 to 'a' and to 'b'"),
        (bpe({"a": -1}), "expected a whole number"),
        (bpe({"a": 10**12}), "expected a whole number"),
        (bpe({"a": True}), "expected a whole number"),
        (bpe({"a": 0, "\ud800": 1}), "lone surrogate"),
        (bpe({"a</w>": 0}, end_of_word_suffix="</w>"), "end_of_word_suffix"),
        ({"added_tokens": [{"id": 2}]}, "no content"),
        ({"added_tokens": [{"id": "2", "content": "x"}]}, "expected a whole number"),
        ({"model": {"vocab": {}}, "added_tokens": []}, "no tokens"),
    ],
)
def test_a_tokenizer_json_without_exact_bytes_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    """Each with the reason."""
    with pytest.raises(VocabularyError, match=reason):
        Vocabulary.from_tokenizer(tokenizer_json(**changes), end_ids=())


def test_what_is_no_tokenizer_file_is_refused(tmp_path: Path) -> None:
    """Absent, not JSON, not UTF-8, not an object, or not a tokenizer at all."""
    path = tmp_path / "tokenizer.json"
    with pytest.raises(VocabularyError, match=r"cannot read .*No such file"):
        Vocabulary.from_tokenizer(path)
    for content, reason in (
        (b"{]", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "object was expected"),
        (b"[" * 200_000, "nested too deeply"),
        (b"{}", "model.vocab"),
    ):
        path.write_bytes(content)
        with pytest.raises(VocabularyError, match=reason):
            Vocabulary.from_tokenizer(path)
    for wrong in (None, 3, object()):
        with pytest.raises(VocabularyError, match="no fast tokenizer"):
            Vocabulary.from_tokenizer(wrong)


# --- tiktoken -------------------------------------------------------------------------------


def test_tiktoken_gives_bytes_holes_and_special_tokens() -> None:
    """Ids 4 and 6 are holes; `<|endoftext|>` ends, the other special token is control."""
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    ranks = {b"a": 0, b"\xc3": 1, b"\xa9": 2, b"\xc3\xa9": 3}
    special = {"<|endoftext|>": 5, "<|fim_prefix|>": 7}
    encoding = tiktoken.Encoding(
        "toy", pat_str=r".", mergeable_ranks=ranks, special_tokens=special
    )
    vocabulary = Vocabulary.from_tiktoken(encoding, n_vocab=9)
    assert vocabulary.tokens == (
        b"a", b"\xc3", b"\xa9", "é".encode(), b"", b"<|endoftext|>", b"", b"<|fim_prefix|>",
    )  # fmt: skip
    assert vocabulary.end_ids == {5}
    assert vocabulary.control_ids == {4, 5, 6, 7, 8}
    assert Vocabulary.from_tiktoken(encoding, end_ids=[7]).end_ids == {7}


def test_from_tiktoken_refuses_what_is_no_encoding() -> None:
    """A name of an encoding is not an encoding: loading one needs the network."""
    for wrong in ("cl100k_base", None):
        with pytest.raises(VocabularyError, match=r"not a tiktoken\.Encoding"):
            Vocabulary.from_tiktoken(wrong)


# --- the class itself -----------------------------------------------------------------------


def test_a_vocabulary_keeps_what_it_is_given() -> None:
    """Duplicates stay; end, empty and padding ids join the control ids."""
    vocabulary = Vocabulary([b"a", b"", b"a", b"<end>", b"<x>"], [3], np.array([4]), n_vocab=6)
    assert vocabulary.tokens == (b"a", b"", b"a", b"<end>", b"<x>")
    assert (len(vocabulary), vocabulary.n_vocab) == (5, 6)
    assert vocabulary.end_ids == {3}
    assert vocabulary.control_ids == {1, 3, 4, 5}
    assert vocabulary.engine is None
    assert repr(vocabulary) == "<Vocabulary n_vocab=6 text=2 end=[3 b'<end>']>"


def test_a_vocabulary_may_have_no_end_token() -> None:
    """Then only the caller can tell when to stop."""
    assert Vocabulary([b"a"], ()).end_ids == frozenset()


def test_a_vocabulary_cannot_be_changed() -> None:
    """Its attributes are read-only, and later changes to the given lists do not reach it."""
    tokens, ends = [b"a", b"b"], [1]
    vocabulary = Vocabulary(tokens, ends)
    tokens[0], ends[0] = b"z", 0
    assert vocabulary.tokens == (b"a", b"b")
    assert vocabulary.end_ids == {1}
    for name in ("tokens", "n_vocab", "end_ids", "control_ids", "new"):
        with pytest.raises(AttributeError):
            setattr(vocabulary, name, ())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (([], []), "no tokens"),
        ((b"ab", []), "expected a sequence of bytes"),
        ((None, []), "expected a sequence of bytes"),
        (([b"a", "b"], []), "token 1 is 'b', expected bytes"),
        (([b"a"], [1]), r"end_ids holds 1, expected an id in \[0, 1\)"),
        (([b"a"], [], [-1]), "control_ids holds -1"),
        (([b"a"], [0.5]), "end_ids holds 0.5, expected a token id"),
        (([b"a"], [True]), "end_ids holds True"),
        (([b"a"], 1), "end_ids is 1, expected token ids"),
        (([b"a", b""], [0]), "none of the 2 tokens is text"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], reason: str) -> None:
    """Each with what was given and what was expected."""
    with pytest.raises(VocabularyError, match=reason):
        Vocabulary(*arguments)


def test_logits_narrower_than_the_tokens_are_refused() -> None:
    """Every token needs a logit."""
    with pytest.raises(VocabularyError, match="n_vocab is 1, but there are 2 tokens"):
        Vocabulary([b"a", b"b"], [], n_vocab=1)
    with pytest.raises(VocabularyError, match=r"n_vocab is '8'"):
        Vocabulary([b"a", b"b"], [], n_vocab="8")  # type: ignore[arg-type]  # what is refused


def test_every_byte_has_one_stand_in_and_one_byte_token() -> None:
    """256 each; what is no spelling is None."""
    assert sorted(STAND_INS) == list(range(256))
    assert [byte_token_bytes(name) for name in BYTE_TOKENS] == [bytes([b]) for b in range(256)]
    for other in ("<0xA>", "<0x0A", "0x0A", "<0xGG>", "<0x0A> "):
        assert byte_token_bytes(other) is None
