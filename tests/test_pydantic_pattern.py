"""Pydantic's patterns in ECMA-262: what the translation matches, pydantic matches too."""

from __future__ import annotations

from typing import Annotated

import pydantic
import pytest
from pydantic import ConfigDict, Field, TypeAdapter

from constrain.grammar.pydantic_pattern import PatternError, to_ecma
from constrain.grammar.regex_text import parse_ecma
from tests.oracle.characters import matches

TEXTS = [
    *map(chr, range(0x20, 0x7F)),
    *(
        "\n",
        "\r",
        "\t",
        "\x1c",
        "\x85",
        "\xa0",
        "\u2028",
        "\ufeff",
        "\u0661",
        "é",
        "²",
        "ⓐ",
        "\u200d",
    ),
    *(
        "",
        "a\n",
        "\na",
        "ab",
        "ba",
        "a.b",
        "a-b",
        "a_b",
        "12",
        "1a",
        "a1",
        "2020",
        "aa",
        "A",
        " a ",
    ),
]

# On printable ASCII text both readings of these agree, so the translation must too.
PATTERNS = [
    "a",
    "^a$",
    "^a|b$",
    r"\Aab\z",
    r"^\d+$",
    r"^\D$",
    r"^\w+$",
    r"^\W$",
    r"^\s$",
    r"^\S$",
    r"^[\d.]$",
    r"^[^\d]$",
    r"^[^\w\s]$",
    r"^[\D]$",
    r"^[a-c\]\-]$",
    r"^[]a]$",
    r"^.$",
    r"^a\.b$",
    r"^a\-b$",
    r"^(?P<one>a)(?:b)?$",
    r"^\x41$",
    r"^\x{41}\n?$",
    r"^\u0041$",
    r"^\p{Lu}$",
    r"^\pL$",
    r"^\t$",
    r"^\/$",
    r"^a{2}$",
    r"^(a|b)*?$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_translation_matches_what_pydantic_matches(pattern: str) -> None:
    adapter = TypeAdapter(Annotated[str, Field(pattern=pattern)])
    node = parse_ecma(to_ecma(pattern))
    for text in TEXTS:
        try:
            adapter.validate_python(text)
            read = True
        except pydantic.ValidationError:
            read = False
        taken = matches(node, text)
        assert read or not taken, (text, to_ecma(pattern))
        if text.isascii() and text.isprintable():
            assert taken == read, (text, to_ecma(pattern))


@pytest.mark.parametrize(
    "pattern", ["a$", r"^\w$", r"^\s$", r"^.$", r"^\Z", r"^\D$", "^(?=a)a"]
)
def test_the_translation_holds_for_the_python_engine_too(pattern: str) -> None:
    class Model(pydantic.BaseModel):
        model_config = ConfigDict(regex_engine="python-re")
        text: Annotated[str, Field(pattern=pattern)]

    node = parse_ecma(to_ecma(pattern))
    taken = [text for text in TEXTS if matches(node, text)]
    assert taken
    for text in taken:
        assert Model(text=text).text == text


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)a",
        "(?i:a)",
        r"\ba",
        r"\B",
        "[[:alpha:]]",
        "[a&&b]",
        "[a--b]",
        r"[\W]",
        r"[^\D]",
        r"(?P=name)",
        "(?#comment)",
        r"(?!\d)a",
        r"(?<!.)a",
        r"\G",
        "[a",
        "a\\",
    ],
)
def test_what_the_engines_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        to_ecma(pattern)


def test_plain_patterns_stay_as_they_are() -> None:
    for pattern in ("^[A-Z][a-z]+(?: [A-Z]\\.)?$", "a|b", "^x{1,3}$"):
        assert to_ecma(pattern) == pattern
