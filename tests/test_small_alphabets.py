"""Vocabularies that lack bytes: what they cannot write as it is they escape, or leave."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import jsonschema
import numpy as np
import pytest

import constrain
from tests.vocabularies import vocabulary_of, with_end

ASCII = tuple(bytes([b]) for b in range(0x80))


def matcher_of(schema: Any, tokens: Sequence[bytes], text: bytes, **form: Any) -> Any:
    """A matcher after a text."""
    grammar = constrain.json_schema(schema, whitespace="compact", escapes="any", **form)
    matcher = constrain.compile(grammar, vocabulary_of(with_end(tuple(tokens)))).matcher()
    matcher.accept_bytes(text)
    return matcher


def allowed(matcher: Any, tokens: Sequence[bytes]) -> set[bytes]:
    """The allowed tokens; the end stands for itself."""
    return {[*tokens, b"<end>"][i] for i in np.flatnonzero(matcher.mask())}


E_ACUTE = {"const": "é"}  # C3 A9
KEY = {"type": "object", "properties": {"é": {"const": 0}}, "required": ["é"]}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (E_ACUTE, b'"'),
        ({"enum": ["é", "éa"]}, b'"'),
        ({"type": "string", "pattern": "^é+$"}, b'"'),
        (KEY, b'{"'),
        ({"patternProperties": {"^é": {}}, "additionalProperties": False}, b'{"'),
    ],
)
def test_no_character_begins_that_the_vocabulary_cannot_end(schema: Any, text: bytes) -> None:
    """C3 is a token, but A9 is none: the character can only be escaped."""
    for more in ([], [b"\x80"]):
        tokens = [*ASCII, b"\xc3", *more]
        found = allowed(matcher_of(schema, tokens, text), tokens)
        assert b"\xc3" not in found
        assert b"\\" in found
    tokens = [*ASCII, b"\xc3", b"\xa9"]
    assert b"\xc3" in allowed(matcher_of(schema, tokens, text), tokens)


def test_any_string_begins_characters_that_can_end() -> None:
    string = {"type": "string"}
    for rest, expected in ((b"", False), (b"\x80", True)):
        tokens = [*ASCII, b"\xc3", *([rest] if rest else [])]
        assert (b"\xc3" in allowed(matcher_of(string, tokens, b'"'), tokens)) == expected


@pytest.mark.parametrize(
    ("schema", "without", "text", "expected"),
    [
        # An escape is six bytes, a pair of them twelve; two where a letter will do.
        (E_ACUTE, "", b"", rb'"\u00E9"'),
        ({"const": "q"}, "q", b"", rb'"\u0071"'),
        ({"const": "\n"}, "n", b"", rb'"\u000A"'),
        ({"const": "\n"}, "", b"", rb'"\n"'),
        ({"const": "😀"}, "", b"", rb'"\uD83D\uDE00"'),
        (KEY, "", b"", rb'{"\u00E9":0}'),
        (KEY, "", rb'{"\u', rb'00E9":0}'),
        (
            {
                "type": "object",
                "patternProperties": {"é$": {"const": 0}},
                "additionalProperties": False,
                "minProperties": 1,
            },
            "",
            b"",
            rb'{"\u00E9":0}',
        ),
    ],
)
def test_the_shortest_text_escapes_what_is_missing(
    schema: Any, without: str, text: bytes, expected: bytes
) -> None:
    tokens = [t for t in ASCII if t.decode() not in without or not without]
    matcher = matcher_of(schema, tokens, text)
    assert matcher.shortest_completion() == expected
    assert matcher.min_tokens == len(expected)


def test_a_character_that_has_begun_is_ended_with_bytes_that_are_there() -> None:
    """E2 80 80 is a character; 81 to BF are no tokens, so no other one can be."""
    tokens = [*ASCII, b"\xe2", b"\x80"]
    matcher = matcher_of(True, tokens, b'{"\xe2')
    assert allowed(matcher, tokens) == {b"\x80"}
    assert matcher.shortest_completion() == b'\x80\x80":0}'


NAMES = ("é", "è", "€", "€a", "😀", "aé", "q", "a", "Ã", "é€", "\n", "/")
NEEDED = frozenset(b'{}[]":,\\u0123456789abcdefnltrs \n.-E+')


def random_schema(chance: random.Random, depth: int = 1) -> dict[str, Any]:
    """An object whose names and values need characters that may be missing."""
    values: list[Any] = [
        {"type": "null"},
        {"type": "string", "maxLength": 2},
        {"enum": ["é", "€", "q\n"]},
        {"const": "😀"},
        {"type": "string", "pattern": "^[é€a]+$"},
    ]
    names = [name for name in NAMES if chance.random() < 0.35]
    inner = [random_schema(chance, depth - 1)] if depth else []
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: chance.choice(values + inner) for name in names},
        "required": [name for name in names if chance.random() < 0.4],
    }
    if chance.random() < 0.6:
        schema["additionalProperties"] = chance.choice([False, {"type": "null"}])
    if chance.random() < 0.3:
        schema["minProperties"] = chance.randrange(4)
    if chance.random() < 0.2:
        schema["patternProperties"] = {"é$": {"type": "null"}}
    return schema


def random_tokens(chance: random.Random) -> tuple[bytes, ...]:
    """Some bytes, all that JSON needs among them, and a few longer tokens of them."""
    share = chance.choice([0.3, 0.6, 0.9, 1.0])
    there = {b for b in range(256) if chance.random() < (share if b >= 0x80 else 0.7)} | NEEDED
    longer = [
        text.encode() for text in ("é", "€", "😀", '":', 'a":', '",', 'é"', "\\u00", '"é')
    ]
    longer = [data[: chance.randrange(2, len(data) + 1)] for data in longer]
    return (
        *(bytes([b]) for b in sorted(there)),
        *dict.fromkeys(data for data in longer if there.issuperset(data)),
    )


def fewest_pieces(text: bytes, tokens: set[bytes]) -> int:
    """Tokens that a text can be cut into at least."""
    fewest = [0]
    for end in range(1, len(text) + 1):
        starts = [i for i in range(max(0, end - 5), end) if text[i:end] in tokens]
        fewest.append(1 + min((fewest[i] for i in starts), default=10**6))
    return fewest[-1]


def walk(chance: random.Random, matcher: Any, tokens: tuple[bytes, ...]) -> bytes:
    """A random walk that keeps to a budget; what must hold on the way is asserted."""
    words = np.zeros((len(tokens) + 32) // 32, np.uint32)
    left, text = matcher.min_tokens + chance.randrange(12), b""
    while True:
        assert matcher.min_tokens == fewest_pieces(matcher.shortest_completion(), set(tokens))
        assert matcher.mask().any(), "a dead end"
        if left == 0:
            break
        matcher.fill_mask_within(words, left - 1)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        found = [int(i) for i in np.flatnonzero(bits) if i < len(tokens)]
        assert found or matcher.is_accepting, "the budget cannot be kept"
        if not found or (matcher.is_accepting and chance.random() < 0.2):
            break
        unusual = [i for i in found if tokens[i][0] >= 0x80 or tokens[i][:1] in b'\\"']
        token_id = chance.choice(unusual if unusual and chance.random() < 0.6 else found)
        matcher.accept(token_id)
        text += tokens[token_id]
        left -= 1
    assert matcher.is_accepting
    return text


def test_walks_over_vocabularies_that_lack_bytes() -> None:
    n_walks = 0
    for seed in range(250):
        chance = random.Random(seed)
        tokens, schema = random_tokens(chance), random_schema(chance)
        order = chance.choice(["any", "schema"])
        try:
            matcher = matcher_of(schema, tokens, b"", property_order=order)
        except constrain.ConstrainError:  # a required name or value cannot be written
            continue
        for _ in range(2):
            value = json.loads(walk(chance, matcher.copy(), tokens))
            jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
            n_walks += 1
    assert n_walks > 250
