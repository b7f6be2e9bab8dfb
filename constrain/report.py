"""What a grammar means, told before anything is generated; `Grammar.report` makes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from constrain.automaton import bytes_vocabulary, compile
from constrain.grammar.ir import Grammar, JsonArray, JsonObject, JsonValue, Node, Property
from constrain.schema.treatments import KeywordUse, Source, Treatment, treatments
from constrain.vocabulary import Vocabulary

_HEADINGS: tuple[tuple[Treatment, str], ...] = (
    ("relaxed", "left out (the grammar allows more than the schema)"),
    ("narrowed", "narrowed (the grammar allows less than the schema)"),
    ("annotation", "annotations (they constrain nothing)"),
    ("exact", "exact"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How big a grammar is, before any vocabulary; what is shared counts once.

    Attributes:
        rules: named parts.
        values: JSON values, with their object and array cases and declared properties.
        expressions: parts of regular expressions: texts, classes, repetitions, ….
    """

    rules: int
    values: int
    expressions: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a grammar means.

    Attributes:
        keywords: each keyword of the schema and how it is treated; empty where the grammar
            was not made from one schema.
        example: a shortest valid text (in bytes).
        example_tokens: tokens that suffice for it; None without a vocabulary.
        size: how big the grammar is.
        notes: what the front end noted.
    """

    keywords: tuple[KeywordUse, ...]
    example: str
    example_tokens: int | None
    size: Size
    notes: tuple[str, ...]

    def treated(self, treatment: Treatment) -> tuple[KeywordUse, ...]:
        """The keywords that are treated in one way."""
        return tuple(use for use in self.keywords if use.treatment == treatment)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        n_bytes = len(self.example.encode())
        tokens = "" if self.example_tokens is None else f", {self.example_tokens} tokens"
        size = self.size
        counts = f"{size.rules} rules, {size.values} values, {size.expressions} expressions"
        lines = [
            f"shortest text: {self.example}",
            f"               {n_bytes} bytes{tokens}",
            f"size:          {counts}",
        ]
        for treatment, heading in _HEADINGS:
            uses = self.treated(treatment)
            if uses:
                lines.append(f"{heading}:")
                lines += _by_pointer(uses)
        return "\n".join(lines)


def report_of(grammar: Grammar, vocabulary: Vocabulary | None = None) -> Report:
    """The report on a grammar; see `Grammar.report`."""
    example = compile(grammar, bytes_vocabulary()).shortest_text().decode()
    n_tokens = None if vocabulary is None else compile(grammar, vocabulary).min_tokens
    source = grammar.source
    keywords = treatments(source) if isinstance(source, Source) else ()
    return Report(keywords, example, n_tokens, _size(grammar), grammar.notes)


def _by_pointer(uses: Iterable[KeywordUse]) -> Iterator[str]:
    """A line for each pointer with its keywords; one for each keyword that has a reason."""
    plain: dict[str, list[str]] = {}
    for use in uses:
        plain.setdefault(use.pointer, [])
        if use.reason:
            plain[use.pointer].append(f"{use.keyword} ({use.reason})")
        else:
            plain[use.pointer].append(use.keyword)
    for pointer, keywords in plain.items():
        yield f"  {pointer}: {', '.join(keywords)}"


def _size(grammar: Grammar) -> Size:
    """Count the nodes, each object once."""
    values = expressions = 0
    seen: set[int] = set()
    pending: list[Any] = [grammar.root, *grammar.rules.values()]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending.extend(node)
            continue
        is_part = isinstance(node, (JsonValue, JsonObject, JsonArray, Property))
        if not isinstance(node, Node) and not is_part:
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        values += is_part
        expressions += not is_part
        pending.extend(getattr(node, one.name) for one in fields(node))
    return Size(len(grammar.rules), values, expressions)
