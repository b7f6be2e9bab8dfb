"""Masks within a budget, whole: each token is in one exactly if it leaves enough to finish."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import numpy as np
import pytest

import constrain
from tests.schema_chance import SchemaMaker
from tests.vocabularies import vocabulary_of, with_end

STRING = {"type": "string"}
UNIQUE: dict[str, Any] = {"type": "array", "uniqueItems": True}
MEMBER = {"type": "object", "properties": {"a": STRING}, "required": ["a"]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "open": {"type": "object"},
    "map": {"type": "object", "additionalProperties": STRING, "minProperties": 3},
    "declared and others": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "ab": STRING},
        "required": ["ab"],
        "additionalProperties": {"type": "null"},
        "minProperties": 3,
    },
    "classes of keys": {
        "type": "object",
        "patternProperties": {"^a": {"type": "null"}, "b$": STRING},
        "additionalProperties": {"type": "boolean"},
        "minProperties": 2,
    },
    "declared and a few": {  # the key at hand may be one that the completion would have
        "type": "object",
        "properties": {"": {"type": "array", "minItems": 1}, "é": True},
        "patternProperties": {"^a": {"type": "null"}},
        "additionalProperties": False,
        "minProperties": 4,
    },
    "required beside others": {
        "type": "object",
        "properties": {"ab": STRING, "b": {"type": "object", "required": ["a"]}},
        "required": ["ab", "b", "c"],
    },
    "names run out": {"propertyNames": {"enum": ["a", "ab", "é", "\n"]}, "minProperties": 3},
    "unique strings": {**UNIQUE, "items": STRING, "minItems": 3},
    "unique numbers": {**UNIQUE, "items": {"type": "number"}, "minItems": 4},
    "unique few": {**UNIQUE, "items": {"enum": ["a", "b", "ab", 1, 12]}, "minItems": 3},
    "unique objects": {**UNIQUE, "items": MEMBER, "minItems": 2},
    "unique arrays": {**UNIQUE, "items": {**UNIQUE, "items": STRING, "minItems": 2}},
    "counted": {"type": "string", "minLength": 4, "maxLength": 7},
    "pattern": {"type": "string", "pattern": "ab", "maxLength": 20},
    "several threads": {
        "anyOf": [
            {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "array", "items": STRING, "minItems": 2},
        ]
    },
}
TOKENS = with_end(
    (
        *(bytes([b]) for b in range(256)),
        *(a + b for a, b in itertools.product((b"a", b"b", b"1", b'"', b"\\"), repeat=2)),
        *(b'":', b'":"', b'","', b'"]', b'"}', b'a":', b'b","', b'{"', b'["', b", ", b"[["),
        b'"],["',
        *(b"aba", b'a":1,"', b"\\u00", b"61", b"1,2", b"12", b"null", b'"a"]', "é".encode()),
    )
)
WRITTEN = {*(bytes([b]) for b in b'{}[]":, ab01\\u6'), b'":', b'","', b'{"', b'a":', b'a":1,"'}
FORMS: tuple[dict[str, Any], ...] = (
    {"whitespace": "compact"},
    {"whitespace": "spaced", "escapes": "any", "property_order": "any"},
)


def within(matcher: constrain.Matcher, n_vocab: int, n_tokens: int) -> list[int]:
    """Ids of the tokens after which `n_tokens` suffice."""
    words = np.zeros((n_vocab + 31) // 32, np.uint32)
    matcher.fill_mask_within(words, n_tokens)
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


@pytest.mark.parametrize("form", FORMS, ids=["compact", "any escape"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_mask_holds_exactly_the_tokens_that_fit_one_by_one(
    name: str, form: dict[str, Any]
) -> None:
    grammar = constrain.json_schema(SCHEMAS[name], **form)
    compiled = constrain.compile(grammar, vocabulary_of(TOKENS))
    end = len(TOKENS) - 1
    for seed in range(8):
        chance, matcher = random.Random(seed), compiled.matcher()
        for _ in range(9):
            allowed = np.flatnonzero(matcher.mask()[:end]).tolist()
            needed = matcher.min_tokens
            for n_tokens in (0, needed - 1, needed, len(matcher.shortest_completion())):
                if n_tokens < 0:
                    continue
                expected = [t for t in allowed if matcher.fits_after(t, n_tokens)]
                found = within(matcher, len(TOKENS), n_tokens)
                assert [t for t in found if t != end] == expected, (seed, n_tokens)
            plain = [t for t in allowed if all(0x20 <= b < 0x7F for b in TOKENS[t])]
            if not plain:
                break
            matcher.accept(chance.choice(plain))


def fewest_pieces(text: bytes) -> int:
    """Tokens that a text can be cut into at least: dynamic programming over its beginnings."""
    tokens = set(TOKENS[:-1])
    fewest = [0]
    for end in range(1, len(text) + 1):
        starts = (i for i in range(end) if text[i:end] in tokens)
        fewest.append(1 + min(fewest[i] for i in starts))
    return fewest[-1]


@pytest.mark.parametrize("form", FORMS, ids=["compact", "any escape"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_min_tokens_are_those_of_the_shortest_completion(
    name: str, form: dict[str, Any]
) -> None:
    """Whatever was read before it, and whatever was found for other texts."""
    grammar = constrain.json_schema(SCHEMAS[name], **form)
    compiled = constrain.compile(grammar, vocabulary_of(TOKENS))
    plain = [t for t, data in enumerate(TOKENS) if data in WRITTEN]
    for seed in range(40):
        chance, matcher = random.Random(seed), compiled.matcher()
        for _ in range(12):
            assert matcher.min_tokens == fewest_pieces(matcher.shortest_completion()), seed
            allowed = [t for t in plain if matcher.mask()[t]]
            if not allowed:
                break
            matcher.accept(chance.choice(allowed))


def test_an_escape_that_has_begun_is_ended_the_shortest_way() -> None:
    r"""After `{"\` a quotation mark ends the escape, and with it a whole key: `{"\"":0}`."""
    schema = {"additionalProperties": {"type": "integer"}, "minProperties": 1, "type": "object"}
    grammar = constrain.json_schema(schema, whitespace="compact", escapes="any")
    matcher = constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()
    matcher.accept_bytes(b'{"\\')
    assert matcher.shortest_completion() == b'"":0}'


def test_no_escape_begins_inside_a_character_of_a_key() -> None:
    schema = {"properties": {"é": True}, "required": ["é"], "additionalProperties": False}
    grammar = constrain.json_schema({"type": "object", **schema}, whitespace="compact")
    matcher = constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()
    matcher.accept_bytes(b'{"\xc3')
    assert np.flatnonzero(matcher.mask()).tolist() == [0xA9]


# 23 400 tokens of letters: enough that a look at each costs far more than the bounds below.
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
MANY = with_end(
    (
        *TOKENS[:-1],
        *(bytes(t) for t in itertools.product(LETTERS, repeat=3)),
        *(b" " + bytes(t) for t in itertools.product(LETTERS, repeat=2)),
        *(bytes(t) for t in itertools.product(LETTERS[:9], repeat=4)),
    )
)


@pytest.mark.parametrize(
    ("schema", "text", "n_tokens"),
    [
        # Later items must be unlike this one, and fewer tokens are left than bytes are needed.
        ({**UNIQUE, "items": STRING, "minItems": 3}, b'["abc', 5),
        ({"type": "object", "additionalProperties": STRING, "minProperties": 2}, b'{"abc', 6),
    ],
    ids=["unique items", "keys"],
)
def test_groups_of_tokens_are_settled_at_once(
    schema: dict[str, Any], text: bytes, n_tokens: int
) -> None:
    """Token by token, the first takes seconds; bounded generously for a busy machine."""
    compiled = constrain.compile(constrain.json_schema(schema), vocabulary_of(MANY))
    matcher = compiled.matcher()
    matcher.accept_bytes(text)
    started = time.perf_counter()
    found = within(matcher, len(MANY), n_tokens)
    took = time.perf_counter() - started
    assert len(found) > len(MANY) * 0.9
    assert took < 1.0


def test_names_of_other_keys_do_not_lengthen_the_way_to_the_end() -> None:
    """After each other key the same members are needed: 20 s where each was a state apart."""
    inner = {f"inner_property_{i}": STRING for i in range(12)}
    needed = {"type": "object", "properties": inner, "required": list(inner)}
    outer = {f"outer_property_{i}": needed for i in range(12)}
    schema = {"type": "object", "properties": outer, "required": list(outer)}
    grammar = constrain.json_schema(schema, property_order="any")
    keys = tuple(bytes(t) + b'":' for t in itertools.product(LETTERS[:15], repeat=2))
    tokens = with_end((*TOKENS[:-1], *keys))
    matcher = constrain.compile(grammar, vocabulary_of(tokens)).matcher()
    matcher.accept_bytes(b'{"')
    started = time.process_time()
    longer = within(matcher, len(tokens), matcher.min_tokens + 4)
    shortest = within(matcher, len(tokens), matcher.min_tokens - 1)
    took = time.process_time() - started
    assert {tokens[t] for t in longer}.issuperset(keys)
    assert [tokens[t] for t in shortest] == [b"o"]  # no other key is as near to the end
    assert took < 2.5


def test_keys_of_a_vocabulary_that_lacks_a_byte_share_one_search() -> None:
    """No token is the byte q alone: whether a text can end is a search over whole tokens."""
    pairs = (bytes(t) for t in itertools.product(LETTERS, repeat=2))
    tokens = with_end((*(t for t in TOKENS[:-1] if t != b"q"), *pairs))
    schema = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3}
    compiled = constrain.compile(constrain.json_schema(schema), vocabulary_of(tokens))
    matcher = compiled.matcher()
    started = time.process_time()
    for text in (b'{"', b"ab", b"cq"):
        matcher.accept_bytes(text)
        assert matcher.mask()[tokens.index(b"qq")]
    assert time.process_time() - started < 1.0


def test_a_fresh_key_is_not_searched_through_all_escapes() -> None:
    """Names declared, classes of other keys, every escape: 2 s for one completion before."""
    schema = SchemaMaker(random.Random(46181)).document(3)
    grammar = constrain.json_schema(
        schema, whitespace="flexible", property_order="any", escapes="any"
    )
    matcher = constrain.compile(grammar, vocabulary_of(TOKENS)).matcher()
    started = time.perf_counter()
    for n_tokens in range(12):
        within(matcher, len(TOKENS), n_tokens)
    assert time.perf_counter() - started < 2.0
