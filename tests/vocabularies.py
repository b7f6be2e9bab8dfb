"""Vocabularies made by hand, small enough to check an assertion by eye."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from constrain.vocabulary import Vocabulary

# Twenty-six tokens: single characters, tokens that cross the borders of lexemes, a duplicate,
# an empty token, half a character, a control token and an end token.
HAND_TOKENS: tuple[bytes, ...] = (
    b"{",  # 0
    b"}",  # 1
    b'"',  # 2
    b":",  # 3
    b",",  # 4
    b"a",  # 5
    b"b",  # 6
    b"1",  # 7
    b"0",  # 8
    b'{"',  # 9: opens an object and a key
    b'":',  # 10: ends a key and reads the colon
    b'":"',  # 11: the same and opens a string
    b'"}',  # 12: ends a string and the object
    b'","',  # 13: ends a string and opens the next key
    b',"b":',  # 14: a whole key between two members
    b"ab",  # 15
    b"a",  # 16: duplicate of 5
    b"",  # 17: empty, never allowed
    b"\xc3",  # 18: first byte of é
    b"\xa9",  # 19: second byte of é
    "é".encode(),  # 20
    b"10",  # 21
    b"1}",  # 22
    b" ",  # 23
    b"<ctl>",  # 24: control, never allowed
    b"<end>",  # 25: end
)
HAND_CONTROL = (24,)
HAND_END = (25,)


def hand_vocabulary() -> Vocabulary:
    """The vocabulary of the twenty-six tokens above."""
    return Vocabulary(HAND_TOKENS, HAND_END, HAND_CONTROL)


def with_end(tokens: Iterable[bytes]) -> tuple[bytes, ...]:
    """Text tokens and one end token after them."""
    return (*tokens, b"<end>")


def vocabulary_of(tokens: Sequence[bytes]) -> Vocabulary:
    """A vocabulary of text tokens whose last entry is the end token."""
    return Vocabulary(tokens, [len(tokens) - 1])


def single_bytes(letters: str) -> tuple[bytes, ...]:
    """One token for each byte of the letters' UTF-8.

    >>> single_bytes("aé")
    (b'a', b'\\xa9', b'\\xc3')
    """
    return tuple(bytes([byte]) for byte in sorted(set(letters.encode())))


JSON_LETTERS = '{}[]:," \n\\ab01-etrufalsné'
# Tokens as real tokenizers have them, across the borders of strings, members and items.
CROSSING: tuple[bytes, ...] = (
    b'":',
    b'":"',
    b'": "',
    b'"},{"',
    b'", "',
    b'","',
    b',"a":',
    b'{"a',
    b'{"',
    b'"}',
    b'"]',
    b"]}",
    b"}}",
    b"[[",
    b"[]",
    b"{}",
    b'""',
    b"\n  ",
    b" ",
    b'\\"',
    b"\\u00",
    b"61",
    b"true",
    b"ull",
    b"-1",
    b"10",
    b"0,",
    b"aa",
    b"ab",
    b'b"',
)
# Longer than any fixed buffer one might choose.
LONG: tuple[bytes, ...] = (b"a" * 1_001, b'"' + b"a" * 1_001 + b'"', b"a" * 1_001 + b"b")
