"""Text assembled from token bytes, and forced text as canonical tokens."""

from __future__ import annotations

import itertools

import pytest

from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.text import TextAssembler


def pieces(chunks: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], str, bool]:
    """What can be taken after each chunk and after the end; the text; whether stopped early."""
    assembler = TextAssembler(stop)
    taken = []
    for chunk in chunks:
        assembler.add(chunk)
        taken.append(assembler.take())
    stopped = assembler.stopped
    assembler.finish()
    taken.append(assembler.take())
    return taken, assembler.text, stopped


def test_half_a_character_is_held_back() -> None:
    assert pieces([b"a\xf0\x9f", b"\x98", b"\x80b"])[0] == ["a", "", "😀b", ""]


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    data = b"a\xffb\xf0\x9f"
    assert pieces([data[:1], data[1:]])[1] == data.decode("utf-8", "replace")


def test_what_may_become_a_stop_string_is_held_back() -> None:
    taken, text, stopped = pieces([b"one S", b"TO", b"nes ST", b"OP two"], ("STOP",))
    assert taken == ["one ", "", "STOnes ", "", ""]
    assert (text, stopped) == ("one STOnes ", True)


def test_a_stop_string_that_never_completes_is_given_out_at_the_end() -> None:
    assert pieces([b"a ST"], ("STOP",)) == (["a ", "ST"], "a ST", False)


@pytest.mark.parametrize("stop", [("ab",), ("aa", "b"), ("aba", "bb"), ("b", "ab")])
def test_every_split_gives_the_text_before_the_first_complete_stop(
    stop: tuple[str, ...],
) -> None:
    for letters in itertools.product("ab", repeat=6):
        whole = "".join(letters)
        # the first stop to be complete when reading letter by letter, at its earliest start
        ends = [n for n in range(len(whole) + 1) if any(s in whole[:n] for s in stop)]
        expected = whole
        if ends:
            read = whole[: ends[0]]
            expected = read[: min(read.find(s) for s in stop if s in read)]
        chunks = [letter.encode() for letter in letters]
        taken, text, _ = pieces(chunks, stop)
        assert text == expected
        assert "".join(taken) == text


TOKENS = [b"", b"na", b"me", b" ", b"\n", b"x", b" na", b"\xc3", b"\xa9", b"|"]


def test_canonical_tokens_are_taken_as_the_tokenizer_gives_them() -> None:
    tokenize = CanonicalTokenizer(lambda data: {b"name": [1, 2]}[data], TOKENS)
    assert list(tokenize(b"name")) == [1, 2]


def test_a_space_that_the_tokenizer_puts_before_a_text_is_left_out() -> None:
    def sentencepiece(data: bytes) -> list[int]:
        if data.startswith(b"\n"):
            return [3, 4, *sentencepiece(data[1:])[1:], 2] if data == b"\nname" else [3, 4]
        return [6, 2]  # " name" for "name"

    # after the anchor: [" ", "\n", "me"] spells "me" only, the next anchors spell " name"
    assert list(CanonicalTokenizer(sentencepiece, TOKENS)(b"name")) == []

    def kept_apart(data: bytes) -> list[int]:
        return [3, 4, 1, 2] if data == b"\nname" else [6, 2]

    assert list(CanonicalTokenizer(kept_apart, TOKENS)(b"name")) == [1, 2]


def test_bytes_without_whole_characters_have_no_canonical_tokens() -> None:
    def tokenize(data: bytes) -> list[int]:
        assert data == b"na"
        return [1]

    spelled = CanonicalTokenizer(tokenize, TOKENS)
    assert list(spelled(b"\xa9")) == []
    assert list(spelled(b"na\xc3")) == [1]
