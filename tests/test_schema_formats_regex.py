r"""The format `regex`: nothing that is not a pattern, and the patterns people write."""

from __future__ import annotations

import random
import re

import pytest

import constrain
from constrain.errors import GrammarError
from constrain.grammar.ir import Grammar
from constrain.grammar.regex_ecma import EcmaParser
from constrain.schema.formats_regex import MAX_NESTING, regex
from tests.vocabularies import vocabulary_of, with_end

BYTES = vocabulary_of(with_end(bytes([byte]) for byte in range(256)))
COMPILED = constrain.compile(Grammar(regex()), BYTES)
# Pieces that make a random text a pattern now and then.
PIECES = [
    *"ab019-^$.*+?()[]{}|/,:=!<>k_ \u00e9\u6f22", r"\d", r"\w", r"\b", r"\B", r"\1", r"\2",
    r"\0", r"\x41", r"\u0041", r"\u{1F600}", r"\cA", r"\-", r"\/", r"\]", r"\[", r"\(",
    r"\k<a>", "(?<a>", "(?<b>", "(?:", "(?=", "(?<!", r"\p{L}", r"\P{sc=Latn}", "{2,3}",
    "{3,2}", "{2}", "{12,}", "[a-z]", "[^", "[z-a]", r"\\", r"\a", "(a)", r"[\x41-", r"\x5a]",
]  # fmt: skip


def is_accepted(text: str) -> bool:
    """Whether the format has the text."""
    matcher = COMPILED.matcher()
    try:
        matcher.accept_bytes(text.encode())
    except constrain.TokenRejectedError:
        return False
    return matcher.is_accepting


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        ([r"([abc])+\s+$", "", "a|b|", "()", "(|)"], ["^(abc]", "(", ")", "a)", "((a)"]),
        ([r"\d\D\w\W\s\S.", r"\t\n\v\f\r\0", r"\cA\x41"], [r"\a", r"\Z", "\\", r"\c1", r"\x4"]),
        ([r"\u0041\ud83d\u{1F600}", r"\u{000000041}"], [r"\u004", r"\u{110000}", r"\u{}"]),
        ([r"\^\$\\\.\*\+\?\(\)\[\]\{\}\|\/"], [r"\-", r"\_", r"\e", r"\%", "]", "}", "{"]),
        (["(?:a)", "(?<n>a)", "(?=a)(?!b)(?<=c)(?<!d+)"], ["(?P<n>x)", "(?#c)", "(?i)a", "(?"]),
        (["a*b+c?", "a*?b+?c??", "a{2}b{2,}?c{0,3}"], ["a**", "*", "^*", "(?=a)*", r"\b+"]),
        (
            ["a{2,3}", "a{99,100}", "a{200,3000}", "a{5,5}"],
            ["a{3,2}", "a{12,3}", "a{", "a{,2}"],
        ),
        (["[]", "[^]", "[a-z^-]", "[-a]", r"[\d-]", r"[\b\-\]]"], ["[", "[a", r"[\B]", "a]"]),
        (["[--a]", "[+--]", "[^--a]", "[a-b-c]"], ["[a--]", "[z-a]", r"[\d-z]", r"[a-\d]"]),
        ([r"[\x41-\x5A]", r"[\u0041-\uD7FF]"], [r"[\x5A-\x41]", r"[\u1000-\u0FFF]"]),
        (["[\u0430-\u044f\u4e00-\u9fa5]", r"[ -\u00ff]"], ["[\u044f-\u0430]"]),
        ([r"(a)\1", r"(a)(?:b)(?<c>)\2"], [r"(a)\2", r"(?:a)\1", r"\1", r"(a)\10", r"\01"]),
        (
            [r"(?<n>a)\k<n>", "(?<year>.)(?<month>.)"],
            [r"\k<n>", r"(?<m>)\k<n>", "(?<n>)(?<n>)"],
        ),
        (["(?<\u00e9a$_0>x)"], ["(?<0>x)", "(?<>x)", "(?<a-b>x)", r"\k", r"(?<a>)\k<a"]),
        ([r"\p{L}\P{Lu}\p{Script=Greek}\p{scx=Grek}"], [r"\p{Foo}", r"\pL", r"\p{sc=Foo}"]),
        ([r"[\p{gc=Nd}]", r"\p{Emoji}\p{ASCII}"], [r"\p{}", r"\p{Lu", r"\p{Block=Thai}"]),
    ],
)
def test_texts_are_patterns_as_the_standard_says(valid: list[str], invalid: list[str]) -> None:
    for text in valid:
        assert is_accepted(text), text
    for text in invalid:
        assert not is_accepted(text), text


def test_groups_nest_as_deep_as_told() -> None:
    assert is_accepted("(" * MAX_NESTING + "a" + ")" * MAX_NESTING)
    assert not is_accepted("(" * (MAX_NESTING + 1) + ")" * (MAX_NESTING + 1))


TOKEN = re.compile(r"\\k<a>|\\[1-9](?![0-9])|\\.|\[(?:[^\\\]]|\\.)*\]|\(\?<(?![=!])|\(\??|.")


def is_pattern(text: str) -> bool:
    """Whether the reader of patterns takes the text; names, references are looked at here."""
    tokens = TOKEN.findall(text)
    plain = ["x" if re.fullmatch(r"\\k<a>|\\[1-9]", token) else token for token in tokens]
    try:
        EcmaParser("".join(plain)).parse()
    except GrammarError:
        return False
    names = re.findall(r"\(\?<([ab])>", "".join(plain))
    n_groups = sum(token in {"(", "(?<"} for token in tokens)
    numbers = [int(token[1]) for token in tokens if re.fullmatch(r"\\[1-9]", token)]
    return (
        len(names) == len(set(names))
        and max(numbers, default=0) <= n_groups
        and (r"\k<a>" not in tokens or "a" in names)
    )


def test_no_random_text_is_wrongly_accepted() -> None:
    chance = random.Random(3)
    n_accepted = 0
    for _ in range(1500):
        text = "".join(chance.choices(PIECES, k=chance.choice([1, 2, 3, 4, 5, 6, 8])))
        text += ")" * max(text.count("(") - text.count(")"), 0)
        if is_accepted(text):
            n_accepted += 1
            assert is_pattern(text), text
    assert n_accepted > 200
