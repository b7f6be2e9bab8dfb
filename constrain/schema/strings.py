"""String cases: one regular language of decoded texts; conjunction and JSON text.

A case is a finite set of texts or all texts, cut by regular nodes and by a length in code
points. Lone surrogates cannot be written, so a text that holds one is no text here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from constrain.errors import GrammarError, SchemaError, UnsupportedSchemaError
from constrain.grammar.ir import (
    MAX_CHAR,
    Chars,
    Choice,
    Complement,
    Intersect,
    Literal,
    Node,
    OneOf,
    Repeat,
)

ANY_CHAR = Chars(((0, MAX_CHAR),))
ANY_TEXT = Repeat(ANY_CHAR)


@dataclass(frozen=True, slots=True)
class StringCase:
    """Strings whose decoded text is in every part, of a length, and maybe one of a set.

    Attributes:
        parts: regular nodes over decoded characters, all of which must match.
        shortest, longest: length in code points; `longest` None: no bound.
        texts: if not None, only these texts (already cut to the lengths).
    """

    parts: tuple[Node, ...] = ()
    shortest: int = 0
    longest: int | None = None
    texts: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no text is in the case, as far as lengths and sets tell."""
        if self.texts is not None:
            return not self.texts
        return self.longest is not None and self.shortest > self.longest


ANY_STRING = StringCase()


def writable(text: str) -> bool:
    """Whether the text holds no lone surrogate, so that JSON in UTF-8 can say it."""
    if text.isascii():
        return True
    return not any("\ud800" <= char <= "\udfff" for char in text)


def merged(cases: Iterable[StringCase]) -> tuple[StringCase, ...]:
    """The same strings, with all cases that are mere sets of texts as one."""
    sets: dict[str, None] = {}
    others = []
    for case in cases:
        if case.texts is None or case.parts:
            others.append(case)
        else:
            sets.update(dict.fromkeys(case.texts))
    return (*others, StringCase(texts=tuple(sets))) if sets else tuple(others)


def conjoin_strings(a: StringCase, b: StringCase) -> StringCase:
    """The strings in both cases."""
    if a is b or b is ANY_STRING:
        return a
    if a is ANY_STRING:
        return b
    shortest = max(a.shortest, b.shortest)
    longest = a.longest if b.longest is None else b.longest
    if a.longest is not None and b.longest is not None:
        longest = min(a.longest, b.longest)
    parts = a.parts + tuple(part for part in b.parts if part not in a.parts)
    texts = a.texts
    if texts is None:
        texts = b.texts
    elif b.texts is not None:
        kept = set(b.texts)
        texts = tuple(text for text in texts if text in kept)
    if texts is not None:
        texts = tuple(
            text
            for text in texts
            if shortest <= len(text) and (longest is None or len(text) <= longest)
        )
        barred = {text for part in parts for text in _barred(part)}
        if barred:
            texts = tuple(text for text in texts if text not in barred)
            parts = tuple(part for part in parts if not _barred(part))
        return StringCase(parts, 0, None, texts)
    return StringCase(parts, shortest, longest)


def _barred(part: Node) -> tuple[str, ...]:
    """The texts that a part forbids, if that is all it does; else none."""
    if isinstance(part, Complement):
        if isinstance(part.part, OneOf):
            return part.part.texts
        if isinstance(part.part, Literal):
            return (part.part.text,)
    return ()


def complement_strings(cases: tuple[StringCase, ...]) -> tuple[StringCase, ...]:
    """The strings in none of the cases."""
    if not cases:
        return (ANY_STRING,)
    if any(case == ANY_STRING for case in cases):
        return ()
    case = union(cases)
    if case.parts or case.texts is not None:
        return (StringCase((Complement(content(case)),)),)
    shorter = StringCase(longest=case.shortest - 1)
    longer = StringCase(shortest=0 if case.longest is None else case.longest + 1)
    return (*((shorter,) if case.shortest else ()), *((longer,) if longer.shortest else ()))


def content(case: StringCase) -> Node:
    """The regular node of the decoded texts of a case."""
    nodes = list(case.parts)
    if case.texts is not None:
        nodes.insert(0, Literal(case.texts[0]) if len(case.texts) == 1 else OneOf(case.texts))
    elif case.shortest or case.longest is not None:
        nodes.append(Repeat(ANY_CHAR, case.shortest, case.longest))
    if not nodes:
        return ANY_TEXT
    return nodes[0] if len(nodes) == 1 else Intersect(tuple(nodes))


def union(cases: tuple[StringCase, ...]) -> StringCase:
    """One case for the strings of any of several (at least one)."""
    if len(cases) == 1:
        return cases[0]
    if all(case.texts is not None and not case.parts for case in cases):
        texts = dict.fromkeys(text for case in cases for text in case.texts or ())
        return StringCase(texts=tuple(texts))
    return StringCase((Choice(tuple(map(content, cases))),))


@lru_cache(maxsize=512)
def _pattern_node(pattern: str) -> Node:
    from constrain.grammar.regex_text import parse_ecma

    return parse_ecma(pattern)


def pattern_node(pattern: str, pointer: str, keyword: str) -> Node:
    """The texts in which an ECMA-262 pattern is found.

    Raises:
        SchemaError: the pattern is malformed (UnsupportedSchemaError: not regular).
    """
    try:
        return _pattern_node(pattern)
    except GrammarError as error:
        unsupported = "support" in error.reason or "regular" in error.reason
        kind = UnsupportedSchemaError if unsupported else SchemaError
        raise kind(str(error), pointer=pointer, keyword=keyword, value=pattern) from error


def matching(pattern: str) -> Node:
    """The texts that an ECMA-262 pattern matches from end to end; for patterns of our own."""
    from constrain.grammar.regex_text import parse_ecma_full

    return parse_ecma_full(pattern)
