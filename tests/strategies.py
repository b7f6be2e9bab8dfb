"""Hypothesis strategies: grammars, vocabularies, schemas with instances, and walks.

The one place that knows how to make random inputs; what makes schemas is in
`tests/schema_strategies.py`.
"""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from constrain.grammar import ir
from tests.vocabularies import CROSSING, JSON_LETTERS, single_bytes

LETTERS = "ab"
RULES = ("x", "y", "z")
ANY_TEXT = ir.Repeat(ir.Chars(((0, 0x10FFFF),)))


@cache
def _bounds(most: int = 3) -> SearchStrategy[tuple[int, int | None]]:
    """A minimum with a maximum not below it, or none."""
    return st.tuples(st.integers(0, most), st.none() | st.integers(0, most)).map(
        lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
    )


def _chars(letters: str) -> SearchStrategy[ir.Node]:
    points = sorted(map(ord, letters))
    one = st.sampled_from(points).map(lambda point: ir.Chars(((point, point),)))
    every = ir.Chars(tuple((point, point) for point in points))
    return one | st.just(every) | st.just(ir.Chars(((points[0], points[-1]),)))


@cache
def _leaves(letters: str) -> SearchStrategy[ir.Node]:
    word = st.text(letters, max_size=3)
    return st.one_of(
        _chars(letters),
        word.map(ir.Literal),
        st.lists(word, min_size=1, max_size=3, unique=True).map(lambda w: ir.OneOf(tuple(w))),
    )


def _composed(parts: SearchStrategy[ir.Node]) -> SearchStrategy[ir.Node]:
    several = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        several.map(ir.Sequence),
        several.map(ir.Choice),
        st.builds(lambda part, pair: ir.Repeat(part, *pair), parts, _bounds()),
    )


@cache
def regular_nodes(letters: str = LETTERS, max_leaves: int = 6) -> SearchStrategy[ir.Node]:
    """Regular nodes over a few letters, intersections and complements among them."""

    def longer(parts: SearchStrategy[ir.Node]) -> SearchStrategy[ir.Node]:
        several = st.lists(parts, min_size=1, max_size=2).map(tuple)
        return _composed(parts) | several.map(ir.Intersect) | parts.map(ir.Complement)

    return st.recursive(_leaves(letters), longer, max_leaves=max_leaves)


@cache
def _bodies(letters: str, n_rules: int) -> SearchStrategy[ir.Node]:
    """Bodies of rules that may refer to so many rules."""
    leaves = _leaves(letters) | st.sampled_from([ir.Rule(name) for name in RULES[:n_rules]])
    return st.recursive(leaves, _composed, max_leaves=6)


@st.composite
def rule_grammars(draw: DrawFn, letters: str = LETTERS) -> ir.Grammar:
    """Context-free grammars of up to three rules: recursive, nullable, ambiguous."""
    names = RULES[: draw(st.integers(1, 3))]
    return ir.Grammar(
        ir.Rule("x"), {name: draw(_bodies(letters, len(names))) for name in names}
    )


def is_left_recursive(grammar: ir.Grammar) -> bool:
    """Whether some rule can begin with itself, perhaps after empty parts."""
    nullable: set[str] = set()
    for _ in grammar.rules:
        nullable |= {n for n, body in grammar.rules.items() if _first(body, nullable)[1]}
    first = {name: _first(body, nullable)[0] for name, body in grammar.rules.items()}
    for _ in grammar.rules:
        first = {n: f.union(*(first[other] for other in f)) for n, f in first.items()}
    return any(name in begins for name, begins in first.items())


def _first(node: ir.Node, nullable: set[str]) -> tuple[set[str], bool]:
    """Rules that a node can begin with, and whether it can be empty."""
    match node:
        case ir.Rule(name):
            return {name}, name in nullable
        case ir.Sequence(parts):
            found: set[str] = set()
            for part in parts:
                begins, empty = _first(part, nullable)
                found |= begins
                if not empty:
                    return found, False
            return found, True
        case ir.Choice(alternatives):
            both = [_first(one, nullable) for one in alternatives]
            return set().union(*(begins for begins, _ in both)), any(empty for _, empty in both)
        case ir.Repeat(part, least):
            begins, empty = _first(part, nullable)
            return begins, empty or least == 0
        case ir.Literal(text):
            return set(), text == ""
        case ir.OneOf(texts):
            return set(), "" in texts
        case _:
            return set(), False


def grammars(letters: str = LETTERS) -> SearchStrategy[ir.Grammar]:
    """Grammars of plain text: regular ones and ones with rules."""
    return regular_nodes(letters).map(ir.Grammar) | rule_grammars(letters)


@cache
def json_forms() -> SearchStrategy[ir.JsonForm]:
    """All text forms of JSON."""
    return st.builds(
        ir.JsonForm,
        st.sampled_from(["compact", "spaced", "bounded", "flexible"]),
        st.sampled_from(["schema", "any"]),
        st.sampled_from(["minimal", "any"]),
    )


DIGIT = ir.Chars(((0x30, 0x39),))
INTEGER = ir.Sequence(
    (
        ir.Repeat(ir.Literal("-"), 0, 1),
        ir.Choice(
            (ir.Literal("0"), ir.Sequence((ir.Chars(((0x31, 0x39),)), ir.Repeat(DIGIT))))
        ),
    )
)


@cache
def scalars(escapes: ir.Escapes) -> SearchStrategy[ir.Node]:
    """Scalar cases: strings of all kinds, integers, the three words."""
    contents = st.one_of(st.just(ANY_TEXT), regular_nodes("ab", max_leaves=3))
    one = st.one_of(
        contents.map(lambda content: ir.JsonString(content, escapes)),
        st.just(INTEGER),
        st.just(ir.OneOf(("true", "false", "null"))),
        st.just(ir.Literal("1")),
    )
    return one | st.lists(one, min_size=1, max_size=2).map(
        lambda parts: ir.Choice(tuple(parts))
    )


@st.composite
def json_objects(draw: DrawFn, values: SearchStrategy[ir.Node]) -> ir.JsonObject:
    """Object cases with up to three declared properties."""
    names = draw(st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=3, unique=True))
    least, most = draw(_bounds(2))
    properties = tuple(ir.Property(name, draw(values), draw(st.booleans())) for name in names)
    if draw(st.integers(0, 3)) == 0:
        first, second = _beginning_with("a"), _beginning_with("b")
        others = ((second, draw(values)),)
        return ir.JsonObject(properties, draw(values), first, least, most, others=others)
    key = draw(st.none() | regular_nodes("ab", max_leaves=2))
    return ir.JsonObject(properties, draw(st.none() | values), key, least, most)


def _beginning_with(letter: str) -> ir.Node:
    """Keys of up to three letters, a or b, with this first letter."""
    return ir.Sequence((ir.Literal(letter), ir.Repeat(ir.Chars(((97, 98),)), 0, 2)))


@st.composite
def json_arrays(draw: DrawFn, values: SearchStrategy[ir.Node]) -> ir.JsonArray:
    """Array cases with up to two prefix items."""
    least, most = draw(_bounds(2))
    prefix = tuple(draw(st.lists(values, max_size=2)))
    return ir.JsonArray(prefix, draw(st.none() | values), least, most)


@cache
def json_values(escapes: ir.Escapes, *, recursive: bool = False) -> SearchStrategy[ir.Node]:
    """JSON values two or three levels deep; with `recursive` some refer to rule `v`."""
    leaves: SearchStrategy[ir.Node] = scalars(escapes).map(ir.JsonValue)
    if recursive:
        leaves = leaves | st.just(ir.Rule("v"))

    def deeper(values: SearchStrategy[ir.Node]) -> SearchStrategy[ir.Node]:
        return st.builds(
            ir.JsonValue,
            st.none() | scalars(escapes),
            st.lists(json_objects(values), max_size=2).map(tuple),
            st.lists(json_arrays(values), max_size=2).map(tuple),
        )

    return deeper(leaves) | st.recursive(leaves, deeper, max_leaves=4)


@st.composite
def json_grammars(draw: DrawFn) -> ir.Grammar:
    """Whole JSON grammars in any text form, some recursive, some with no text at all."""
    form = draw(json_forms())
    recursive = draw(st.booleans())
    value = draw(json_values(form.escapes, recursive=recursive))
    if not recursive:
        return ir.Grammar(ir.JsonText(value, form), kind="json")
    body = draw(json_values(form.escapes, recursive=True).filter(lambda v: v != ir.Rule("v")))
    return ir.Grammar(ir.JsonText(value, form), {"v": body}, kind="json")


@st.composite
def token_lists(
    draw: DrawFn, letters: str = LETTERS, longer: tuple[bytes, ...] = ()
) -> tuple[bytes, ...]:
    """Tokens of a small vocabulary, the end token last; each byte in use is a token.

    There may be duplicates, empty tokens and parts of characters; `longer` are candidates for
    tokens of several bytes, besides random ones.
    """
    single = single_bytes(letters)
    byte_set = b"".join(single)
    pieces = st.text(letters, max_size=4).map(str.encode)
    more = draw(st.lists(st.sampled_from(longer) if longer else pieces, max_size=8))
    more += draw(st.lists(pieces, max_size=4))
    kept = [token for token in more if set(token) <= set(byte_set)]
    return (*draw(st.permutations([*single, *kept])), b"<end>")


def json_token_lists() -> SearchStrategy[tuple[bytes, ...]]:
    """Small vocabularies for JSON text: its letters and tokens that cross lexemes' borders."""
    return token_lists(JSON_LETTERS, CROSSING)
