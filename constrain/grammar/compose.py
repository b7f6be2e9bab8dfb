"""Grammars made of grammars: one after the other, side by side, repeated; and the plain leaves.

The leaves are `choice`, `regex` and `text`; `sequence`, `alternatives` and `repeat` are what
`a + b`, `a | b` and `grammar.repeat(...)` call. A composition is a text, not one Python value:
`Grammar.target` is dropped. Nothing is simplified or checked for emptiness here; `compile`
does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Literal as OneWordOf

from constrain.arguments import as_float
from constrain.errors import GrammarError, shorten
from constrain.grammar import ir, regex_text
from constrain.grammar.wishes import MOST

Dialect = OneWordOf["python", "ecma"]

_ANY = ir.Chars(((0, ir.MAX_CHAR),))
_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"


def sequence(first: ir.Grammar | str, second: ir.Grammar | str) -> ir.Grammar:
    """`first` followed by `second`; a `str` stands for exactly that text.

    The kind is "text". Rules of both are kept; see `_merged` for equal names.
    """
    left, right = _grammar(first), _grammar(second)
    rules, root = _merged(left, right)
    parts = (*_parts(left.root), *_parts(root))
    return ir.Grammar(ir.Sequence(parts), rules, _notes(left, right))


def alternatives(first: ir.Grammar | str, second: ir.Grammar | str) -> ir.Grammar:
    """`first` or `second`; a `str` stands for exactly that text.

    The kind is "json" when both sides are, else "text".
    """
    left, right = _grammar(first), _grammar(second)
    rules, root = _merged(left, right)
    options = (*_options(left.root), *_options(root))
    kind: OneWordOf["json", "text"] = "json" if left.kind == right.kind == "json" else "text"
    return ir.Grammar(ir.Choice(options), rules, _notes(left, right), kind=kind)


def repeat(grammar: ir.Grammar, minimum: int = 0, maximum: int | None = None) -> ir.Grammar:
    """`grammar`, `minimum` to `maximum` times in a row; `maximum` None: without bound.

    Raises:
        GrammarError: a bound is no integer or negative, or `minimum` exceeds `maximum`.
    """
    _check_count("repeat: min", minimum)
    if maximum is not None:
        _check_count("repeat: max", maximum)
        if minimum > maximum:
            raise GrammarError(f"repeat: min {minimum} is greater than max {maximum}")
    return ir.Grammar(ir.Repeat(grammar.root, minimum, maximum), grammar.rules, grammar.notes)


def choice(options: Sequence[str] | Mapping[str, float]) -> ir.Grammar:
    """Exactly one of some texts.

    One text may be the beginning of another; both can then be produced.

    Args:
        options: the texts; or a mapping from text to its weight in log space (natural
            logarithm): each unit multiplies the odds of that text by e. Only differences
            between weights matter. Where several alternatives of a composition still read
            the same text, a token is worth the best of them.

    Raises:
        GrammarError: no text, a text twice, something that is no text, or a weight that is
            no number from -1e6 to 1e6.
    """
    if isinstance(options, str):
        raise GrammarError(
            f"choice: expected several texts, got the single text {shorten(options)}; "
            f"write choice([{shorten(options)}])"
        )
    texts = tuple(options)
    _check_texts("choice", texts)
    if isinstance(options, Mapping):
        weights = tuple(_weight(text, options[text]) for text in texts)
        return ir.Grammar(ir.Choice(tuple(ir.Literal(text) for text in texts), weights))
    return ir.Grammar(ir.OneOf(texts))


def regex(pattern: str, dialect: Dialect = "python") -> ir.Grammar:
    """Text that `pattern` matches as a whole, from its first character to its last.

    Args:
        pattern: the regular expression.
        dialect: "python": the syntax of `re`, as `re.fullmatch` reads it; "ecma": the syntax
            of ECMA-262 with the `u` flag, as JSON Schema's `pattern` has it, but for the
            whole text instead of a search.

    Raises:
        GrammarError: the pattern is malformed, uses something that is not regular (a
            back-reference), or `dialect` is unknown.
    """
    if not isinstance(pattern, str):
        raise GrammarError(f"regex: expected the pattern as str, got {shorten(pattern)}")
    if dialect == "python":
        return ir.Grammar(regex_text.parse_python(pattern))
    if dialect == "ecma":
        return ir.Grammar(regex_text.parse_ecma_full(pattern))
    raise GrammarError(f"regex: unknown dialect {shorten(dialect)}; use 'python' or 'ecma'")


def text(
    *, stop: str | Sequence[str] | None = None, max_chars: int | None = None
) -> ir.Grammar:
    """Free text: any characters, until a stop string or up to a length.

    With `stop`, the text ends with the first occurrence of a stop string, right after its last
    character; the stop string is part of the text, cannot occur earlier, and cannot be left
    out. So `text(stop="</think>") + json_schema(...)` is free thinking followed by JSON.
    Without `stop`, the text may end anywhere.

    Args:
        stop: one stop string or several. Of several, the one that is complete first counts.
        max_chars: greatest number of characters, not counting the stop string.

    Raises:
        GrammarError: an empty stop string, no stop string in a sequence, one twice, or
            `max_chars` is no integer or negative.
    """
    if max_chars is not None:
        _check_count("text: max_chars", max_chars)
    free = ir.Repeat(_ANY, 0, max_chars)
    if stop is None:
        return ir.Grammar(free)
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    _check_texts("text: stop", stops)
    if "" in stops:
        raise GrammarError("text: an empty stop string would end every text at once")
    end = ir.OneOf(stops)
    # The text ends in a stop string, and none is complete in what precedes its last character.
    too_late = ir.Sequence((ir.Repeat(_ANY), end, ir.Repeat(_ANY, 1)))
    return ir.Grammar(ir.Intersect((ir.Sequence((free, end)), ir.Complement(too_late))))


def _grammar(operand: ir.Grammar | str) -> ir.Grammar:
    if isinstance(operand, str):
        _check_texts("composition", (operand,))
        return ir.Grammar(ir.Literal(operand))
    return operand


def _parts(root: ir.Node) -> tuple[ir.Node, ...]:
    return root.parts if isinstance(root, ir.Sequence) else (root,)


def _options(root: ir.Node) -> tuple[ir.Node, ...]:
    """Alternatives of a root; weighted ones stay together, as their weights are relative."""
    if isinstance(root, ir.Choice) and not root.weights:
        return root.alternatives
    return (root,)


def _notes(left: ir.Grammar, right: ir.Grammar) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*left.notes, *right.notes)))


def _check_count(what: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise GrammarError(f"{what} must be an integer of at least 0, got {shorten(count)}")


def _check_texts(what: str, texts: tuple[object, ...]) -> None:
    if not texts:
        raise GrammarError(f"{what}: at least one text is needed")
    seen: set[str] = set()
    for item in texts:
        if not isinstance(item, str):
            raise GrammarError(f"{what}: expected text, got {shorten(item)}")
        if any(_FIRST_SURROGATE <= char <= _LAST_SURROGATE for char in item):
            raise GrammarError(
                f"{what}: {shorten(item)} has a lone surrogate, which no UTF-8 has"
            )
        if item in seen:
            raise GrammarError(f"{what}: {shorten(item)} is given twice")
        seen.add(item)


def _weight(option: str, weight: object) -> float:
    value = as_float(weight)
    if value is not None and abs(value) <= MOST:
        return value
    raise GrammarError(
        f"choice: the weight of {shorten(option)} must be a number from -1e6 to 1e6, got "
        f"{shorten(weight)}; leave a text out to forbid it"
    )


# Merging the rules of two grammars. Walks are iterative: grammars may nest deeply.


def _merged(left: ir.Grammar, right: ir.Grammar) -> tuple[dict[str, ir.Node], ir.Node]:
    """Rules of both grammars, and the root of `right` in terms of them.

    A rule of `right` keeps its name unless `left` has another rule of that name: one with a
    different body, or with an equal body that refers to a rule which is renamed. Renamed
    rules are renamed everywhere in `right`.
    """
    renamed = _renamed_rules(left.rules, right.rules)
    rules = dict(left.rules)
    if not renamed:
        rules.update(right.rules)
        return rules, right.root
    for name, body in right.rules.items():
        rules[renamed.get(name, name)] = _with_names(body, renamed)
    return rules, _with_names(right.root, renamed)


def _renamed_rules(left: Mapping[str, ir.Node], right: Mapping[str, ir.Node]) -> dict[str, str]:
    shared = left.keys() & right.keys()
    clashing = {name for name in shared if not _same(left[name], right[name])}
    uses = {name: set(_rule_names(right[name])) for name in shared - clashing}
    while spoiled := {name for name, used in uses.items() if used & clashing}:
        clashing |= spoiled
        for name in spoiled:
            del uses[name]
    taken = left.keys() | right.keys()
    renamed: dict[str, str] = {}
    for name in right:
        if name in clashing:
            number = 2
            while f"{name}~{number}" in taken:
                number += 1
            renamed[name] = f"{name}~{number}"
            taken |= {renamed[name]}
    return renamed


def _children(item: object) -> Iterator[object]:
    """IR dataclasses directly inside an IR dataclass (`JsonObject` and its kin included)."""
    if not is_dataclass(item):
        return
    for entry in fields(item):
        value = getattr(item, entry.name)
        yield from (part for part in _flat(value) if is_dataclass(part))


def _flat(value: object) -> Iterable[object]:
    return value if isinstance(value, tuple) else (value,)


def _rule_names(root: object) -> Iterator[str]:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, ir.Rule):
            yield item.name
        waiting.extend(_children(item))


def _same(left: object, right: object) -> bool:
    """Whether two nodes are equal, as `==` says, without recursion on their depth."""
    waiting = [(left, right)]
    seen: set[tuple[int, int]] = set()
    while waiting:
        one, other = waiting.pop()
        if one is other or (id(one), id(other)) in seen:
            continue
        seen.add((id(one), id(other)))
        if type(one) is not type(other):
            return False
        if isinstance(one, tuple) and isinstance(other, tuple):
            if len(one) != len(other):
                return False
            waiting.extend(zip(one, other, strict=True))
        elif is_dataclass(one):
            names = [entry.name for entry in fields(one) if entry.compare]
            waiting.extend((getattr(one, name), getattr(other, name)) for name in names)
        elif one != other:
            return False
    return True


def _with_names(root: ir.Node, renamed: Mapping[str, str]) -> ir.Node:
    """`root` with every reference to a renamed rule replaced; unchanged parts are shared."""
    done: dict[int, object] = {}
    waiting: list[object] = [root]
    while waiting:
        item = waiting[-1]
        pending = [part for part in _children(item) if id(part) not in done]
        if id(item) not in done and pending:
            waiting.extend(pending)
            continue
        waiting.pop()
        if id(item) not in done:
            done[id(item)] = _rebuilt(item, done, renamed)
    result = done[id(root)]
    assert isinstance(result, ir.Node), result
    return result


def _rebuilt(item: object, done: Mapping[int, object], renamed: Mapping[str, str]) -> object:
    if isinstance(item, ir.Rule):
        return ir.Rule(renamed[item.name]) if item.name in renamed else item
    assert is_dataclass(item), item
    assert not isinstance(item, type), item
    changes: dict[str, object] = {}
    for entry in fields(item):
        value = getattr(item, entry.name)
        if isinstance(value, tuple):
            fresh: object = tuple(done.get(id(part), part) for part in value)
            if any(new is not old for new, old in zip(_flat(fresh), value, strict=True)):
                changes[entry.name] = fresh
        elif done.get(id(value), value) is not value:
            changes[entry.name] = done[id(value)]
    return replace(item, **changes) if changes else item
