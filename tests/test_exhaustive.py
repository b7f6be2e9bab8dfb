"""Small scopes, exhausted: all expressions up to a size times all strings up to a length."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import constrain
from constrain.grammar import ir
from tests.lockstep import packed_mask
from tests.vocabularies import single_bytes, with_end

LETTERS = "ab"
TOKENS = with_end(single_bytes(LETTERS))
Expression = tuple[ir.Node, str]  # a node and the same for Python's `re`

LEAVES: list[Expression] = [
    (ir.Literal("a"), "a"),
    (ir.Literal("b"), "b"),
    (ir.Literal(""), ""),
    (ir.Chars(((97, 98),)), "[ab]"),
]


def expressions(n_nodes: int) -> Iterator[Expression]:
    """All expressions of exactly so many nodes: 4 leaves, 3 unary and 2 binary operators."""
    if n_nodes == 1:
        yield from LEAVES
        return
    for node, pattern in expressions(n_nodes - 1):
        yield ir.Repeat(node), f"(?:{pattern})*"
        yield ir.Repeat(node, 0, 1), f"(?:{pattern})?"
        yield ir.Repeat(node, 1, 2), f"(?:{pattern}){{1,2}}"
    for n_left in range(1, n_nodes - 1):
        pairs = itertools.product(expressions(n_left), expressions(n_nodes - 1 - n_left))
        for (left, first), (right, second) in pairs:
            yield ir.Sequence((left, right)), f"(?:{first})(?:{second})"
            yield ir.Choice((left, right)), f"(?:{first})|(?:{second})"


def strings(most: int) -> list[str]:
    """All strings of up to `most` letters."""
    return ["".join(s) for n in range(most + 1) for s in itertools.product(LETTERS, repeat=n)]


def check_language(
    node: ir.Node, language: set[str], vocabulary: constrain.Vocabulary, most: int
) -> int:
    """Compare every mask along all strings of up to `most` letters; return the masks compared.

    `language` holds all texts of up to `most` + 3 letters: each state of an expression this
    small reaches an end within three letters or never (a shortest way to the end takes at
    most one letter from each leaf, of which there are at most three, or a few from a
    complement).
    """
    beginnings = {text[:n] for text in language for n in range(len(text) + 1)}
    if not language:
        try:
            constrain.compile(ir.Grammar(node), vocabulary)
        except constrain.ConstrainError:
            return 0
        raise AssertionError(f"{node} has no text, but compiles")
    matcher = constrain.compile(ir.Grammar(node), vocabulary).matcher()
    return _compare(matcher, "", (language, beginnings), most)


def _compare(
    matcher: constrain.Matcher, text: str, expected: tuple[set[str], set[str]], most: int
) -> int:
    language, beginnings = expected
    allowed = [text + letter in beginnings for letter in LETTERS]
    assert packed_mask(matcher, 3) == [*allowed, text in language], text
    compared = 1
    if len(text) < most:
        for token_id, there in enumerate(allowed):
            if there:
                matcher.accept(token_id)
                compared += _compare(matcher, text + LETTERS[token_id], expected, most)
                matcher.rollback(1)
    return compared


def test_all_expressions_of_up_to_four_nodes_agree_with_re() -> None:
    vocabulary = constrain.Vocabulary(TOKENS, [2])
    texts = strings(8)
    assert len(texts) == 2**9 - 1
    counts, compared = [], 0
    for n_nodes in (1, 2, 3, 4):
        found = list(expressions(n_nodes))
        counts.append(len(found))
        for node, pattern in found:
            compiled = re.compile(pattern)
            language = {text for text in texts if compiled.fullmatch(text)}
            compared += check_language(node, language, vocabulary, 5)
    # 4; 3 * 4; 3 * 12 + 2 * 4 * 4; 3 * 68 + 2 * (4 * 12 + 12 * 4)
    assert counts == [4, 12, 68, 396]
    assert compared > 5_000


def test_all_intersections_and_complements_of_up_to_two_nodes_agree_with_sets() -> None:
    vocabulary = constrain.Vocabulary(TOKENS, [2])
    texts = set(strings(8))
    small = []
    for node, pattern in itertools.chain(expressions(1), expressions(2)):
        compiled = re.compile(pattern)
        small.append((node, {text for text in texts if compiled.fullmatch(text)}))
    compared = 0
    for (left, first), (right, second) in itertools.product(small, repeat=2):
        both = ir.Intersect((left, right))
        but_not = ir.Intersect((left, ir.Complement(right)))
        compared += check_language(both, first & second, vocabulary, 4)
        compared += check_language(but_not, first - second, vocabulary, 4)
        neither = ir.Complement(ir.Choice((left, right)))
        language = texts - first - second
        every = ir.Intersect((neither, ir.Repeat(ir.Chars(((97, 98),)))))
        compared += check_language(every, language, vocabulary, 4)
    assert len(small) == 16
    assert compared > 2_000


ANY_VALUE = ir.Grammar(
    ir.JsonText(ir.Rule("v"), ir.JsonForm("flexible", "any", "any")),
    {
        "v": ir.JsonValue(
            scalar=ir.Choice(
                (ir.JsonString(ir.Repeat(ir.Chars(((0, 0x10FFFF),))), "any"), ir.Literal("1"))
            ),
            objects=(ir.JsonObject(additional=ir.Rule("v")),),
            arrays=(ir.JsonArray(items=ir.Rule("v")),),
        )
    },
    kind="json",
)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a key twice")
    return found


def _is_json(text: str) -> bool:
    """The standard library's verdict, keys unique and digits standing alone."""
    try:
        json.loads(text, object_pairs_hook=_unique)
    except ValueError:
        return False
    return "11" not in text


def test_all_short_json_texts_are_those_of_the_standard_library() -> None:
    tokens = with_end((b"{", b"}", b"[", b"]", b",", b'"a":', b'"\\u0061":', b"1", b" "))
    words = [token.decode() for token in tokens[:-1]]
    everything = [
        "".join(choice) for n in range(1, 6) for choice in itertools.product(words, repeat=n)
    ]
    assert len(everything) == 9 + 9**2 + 9**3 + 9**4 + 9**5
    expected = {text for text in everything if _is_json(text)}
    assert '{"a":1}' in expected
    closed = with_end((*tokens[:-1], *single_bytes('":a\\u06')))
    vocabulary = constrain.Vocabulary(closed, [len(closed) - 1])
    matcher = constrain.compile(ANY_VALUE, vocabulary).matcher()
    only = set(_finished_with(matcher, closed, len(words), 5))
    assert only == expected


def _finished_with(
    matcher: constrain.Matcher, tokens: tuple[bytes, ...], n_used: int, most: int
) -> Iterator[str]:
    """All texts of up to `most` of the first `n_used` tokens that the matcher accepts."""
    pending: list[tuple[constrain.Matcher, bytes, int]] = [(matcher, b"", 0)]
    while pending:
        here, text, n_tokens = pending.pop()
        if here.is_accepting:
            yield text.decode()
        mask = packed_mask(here, len(tokens)) if n_tokens < most else []
        for token_id in [i for i, allowed in enumerate(mask[:n_used]) if allowed]:
            after = here.copy()
            after.accept(token_id)
            pending.append((after, text + tokens[token_id], n_tokens + 1))
