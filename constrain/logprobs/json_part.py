"""Where the JSON text of an output lies: all of it, or one JSON text with text around it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, NamedTuple

from constrain.automaton import bytes_vocabulary, compile
from constrain.errors import TokenRejectedError
from constrain.grammar import ir
from constrain.logprobs.json_spans import json_spans
from constrain.logprobs.layout import SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from constrain.logprobs.json_spans import Span

_MAX_STARTS = 64  # places where the JSON text may begin; each is tried


class JsonPart(NamedTuple):
    """A JSON text in an output.

    Attributes:
        start, end: its bytes, half-open; one more than the output has if nothing may follow.
        spans: its values that are complete, with their places in the output.
    """

    start: int
    end: int
    spans: tuple[Span, ...]


def json_part(grammar: ir.Grammar | None, data: bytes, *, partial: bool) -> JsonPart | None:
    """The one JSON text of an output, or None.

    There is one if the grammar is JSON, or a sequence of which one part is JSON and no other
    holds any, and the text before it can end in one place only, given all that follows.

    Args:
        grammar: what the output follows; None: any text.
        data: the output.
        partial: whether it may be cut off.

    Raises:
        LimitError: the grammar costs more than `Limits()` when compiled for bytes.

    Cost: linear in the text for a grammar that is JSON, and where the text before can end in
    one place only; else as often as it can end.
    """
    if grammar is None:
        return None
    if grammar.kind == "json":
        return JsonPart(0, len(data) + 1, json_spans(data, partial=partial))
    if not isinstance(grammar.root, ir.Sequence):
        return None
    parts = grammar.root.parts
    places = [i for i, part in enumerate(parts) if _holds_json(part, grammar.rules)]
    if len(places) != 1 or not _is_json(parts[places[0]]):
        return None
    before = ir.Grammar(ir.Sequence(parts[: places[0]]), grammar.rules)
    after = ir.Grammar(ir.Sequence(parts[places[0] :]), grammar.rules)
    start = _start(before, after, data, partial=partial)
    if start is None or data[start : start + 1] not in (b"{", b"["):
        return None
    spans = tuple(
        replace(span, start=span.start + start, end=span.end + start)
        for span in json_spans(data[start:], partial=partial, followed=True)
    )
    closed = [span.end for span in spans if not span.keys]
    is_last = places[0] == len(parts) - 1
    end = len(data) + 1 if is_last or not closed else closed[0]
    return JsonPart(start, end, spans)


def _start(before: ir.Grammar, after: ir.Grammar, data: bytes, *, partial: bool) -> int | None:
    """Where the first byte of the JSON text is that is no white space; None: it is not sure."""
    starts = _ends(before, data)
    if len(starts) > _MAX_STARTS:
        return None
    compiled = compile(after, bytes_vocabulary())
    found = set()
    for start in starts:
        rest = data[start:]
        matcher = compiled.matcher()
        try:
            if rest:
                matcher.accept_bytes(rest)
        except TokenRejectedError:
            continue
        if partial or matcher.is_accepting:
            found.add(len(data) - len(rest.lstrip(SPACE)))
    return found.pop() if len(found) == 1 else None


def _ends(grammar: ir.Grammar, data: bytes) -> list[int]:
    """How many bytes of the text may be one of the grammar, in ascending order."""
    matcher = compile(grammar, bytes_vocabulary()).matcher()
    found = []
    for i in range(len(data) + 1):
        if matcher.is_accepting:
            found.append(i)
        if i == len(data) or not matcher.can_continue:
            break
        try:
            matcher.accept_bytes(data[i : i + 1])
        except TokenRejectedError:
            break
    return found


def _is_json(node: ir.Node) -> bool:
    if isinstance(node, ir.Choice):
        return bool(node.alternatives) and all(map(_is_json, node.alternatives))
    return isinstance(node, ir.JsonText)


def _holds_json(node: ir.Node, rules: Mapping[str, ir.Node]) -> bool:
    """Whether a JSON text can be a part of what a node matches."""
    waiting: list[object] = [node]
    followed: set[str] = set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, ir.JsonText | ir.JsonValue):
            return True
        if isinstance(item, ir.Rule) and item.name not in followed:
            followed.add(item.name)
            waiting.append(rules[item.name])
        elif isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, ir.Node):
            waiting.extend(getattr(item, field.name) for field in fields(item))
    return False
