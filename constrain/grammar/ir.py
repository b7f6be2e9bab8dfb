"""The one intermediate representation of grammars: frozen dataclasses, nothing else.

Every front end (regular expressions, JSON Schema, composition) produces these nodes, and the
kernel is lowered from them. A node is *regular* when it holds no `Rule` and no JSON node;
regular nodes are matched as one lexeme. Text is Unicode throughout: nodes speak of characters
(Unicode scalar values), never of bytes; the kernel turns them into UTF-8.

This module checks nothing about satisfiability and expands nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from typing import Literal as OneWordOf

from constrain.grammar.wishes import NO_WISHES, Wishes

if TYPE_CHECKING:
    from constrain.report import Report
    from constrain.vocabulary import Vocabulary

Whitespace = OneWordOf["compact", "spaced", "bounded", "flexible"]
PropertyOrder = OneWordOf["schema", "any"]
Escapes = OneWordOf["minimal", "any"]

MAX_CHAR = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Node:
    """Base of all nodes."""


@dataclass(frozen=True, slots=True)
class Chars(Node):
    """One character out of a set.

    Attributes:
        ranges: inclusive code point ranges, sorted, disjoint. Surrogates may be covered and
            are ignored. No range: matches nothing at all.
    """

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """Exactly this text; the empty text is allowed."""

    text: str


@dataclass(frozen=True, slots=True)
class OneOf(Node):
    """Any one of a (possibly very large) set of texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """Parts one after the other; no part: the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """Any of the alternatives; none: nothing matches.

    Attributes:
        alternatives: the nodes to choose from.
        weights: empty, or one log-space weight for each alternative (natural logarithm, added
            to the logits along the alternative's text). Weights need `Literal` alternatives.
    """

    alternatives: tuple[Node, ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    """`part` repeated `min` to `max` times; `max` None: without bound."""

    part: Node
    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Intersect(Node):
    """Text that every (regular) part matches."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Complement(Node):
    """Any text that the (regular) part does not match."""

    part: Node


@dataclass(frozen=True, slots=True)
class MultipleOf(Node):
    """A non-empty string of decimal digits whose value is a multiple of `divisor` (>= 1).

    With `places`, a point may stand anywhere after the first digit, and the value times
    10**places must be a multiple: `MultipleOf(3, 1)` are the multiples of 0.3. Leading zeros
    and a point at the end are allowed; intersect with a number's syntax to forbid them.
    """

    divisor: int
    places: int = 0


@dataclass(frozen=True, slots=True)
class JsonString(Node):
    """A JSON string literal, quotes included, whose *decoded* text matches `content`.

    Attributes:
        content: a regular node over the decoded characters.
        escapes: "minimal": a character is written as an escape only where JSON demands it
            (`"`, `\\`, U+0000 to U+001F; any of RFC 8259's spellings of those);
            "any": every escape RFC 8259 allows. Lone surrogates are never matched.
    """

    content: Node
    escapes: Escapes = "minimal"


@dataclass(frozen=True, slots=True)
class Rule(Node):
    """A reference to `Grammar.rules[name]`; rules may refer to each other and to themselves."""

    name: str


@dataclass(frozen=True, slots=True)
class Way:
    """One of several ways to read the same member or item, where its frame has demands.

    Attributes:
        value: a `JsonValue` or `Rule`.
        settles: the demands it settles, or the tallies it counts for, as bits (1 << index).
        when_full: the only way, but not before every tally has its `min`. So where items of a
            kind are told from others, they no longer are when it does not matter.
    """

    value: Node
    settles: int = 0
    when_full: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What an object must have settled when it closes.

    It is settled by a member read in a `Way` that settles it, by the absence of a property
    (`Property.absent`), or by having fewer than `under` or more than `over` members.
    """

    under: int = 0
    over: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many items of an array are read in a `Way` that counts for it: `min` to `max`.

    It does not matter in arrays with fewer than `under` or more than `over` items (which
    `max` must then be None).
    """

    min: int = 0
    max: int | None = None
    under: int = 0
    over: int | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """One declared property of a JSON object.

    Attributes:
        name: the decoded key.
        value: a `JsonValue`, or a `Rule` whose body is one.
        ways: in an object with demands: how it can be read, first the value itself.
        absent: the demands that are settled if the key does not occur, as bits.
        weight: log-space weight of including it, if it is not required.
    """

    name: str
    value: Node
    required: bool = False
    ways: tuple[Way, ...] = ()
    absent: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A case of `JsonValue`: an object. Keys are unique after decoding, declared or not.

    Attributes:
        properties: declared properties, in schema order, each name once.
        additional: value of every other key (`JsonValue` or `Rule`), or None: no other keys.
        key: regular node over decoded text that other keys must match, or None: any.
        others: further classes of other keys: what the decoded key matches, and its value. No
            key is in two classes, `key` included (then `key` must be given).
        min_properties, max_properties: bounds on the number of members.
        pointer: JSON pointer of the schema it came from, for messages.
        demands: what must be settled when the object closes.
        ways: with demands: how values of other keys can be read, the value itself first; for
            `additional` (if there is one) and each of `others`.
    """

    properties: tuple[Property, ...] = ()
    additional: Node | None = None
    key: Node | None = None
    min_properties: int = 0
    max_properties: int | None = None
    pointer: str = field(default="", compare=False)
    others: tuple[tuple[Node, Node], ...] = ()
    demands: tuple[Demand, ...] = ()
    ways: tuple[tuple[Way, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class JsonArray:
    """A case of `JsonValue`: an array.

    Attributes:
        prefix: values of the first items, position by position.
        items: value of every later item (`JsonValue` or `Rule`), or None: no later items.
        min_items, max_items: bounds on the number of items.
        tallies: how many items of a kind there must be.
        ways: with tallies: how the item at each position of the prefix, and then every later
            one, can be read; `prefix` and `items` are not looked at.
        unique: no two items are equal: numbers by value, strings after decoding, objects
            without regard to the order of their keys.
    """

    prefix: tuple[Node, ...] = ()
    items: Node | None = None
    min_items: int = 0
    max_items: int | None = None
    pointer: str = field(default="", compare=False)
    tallies: tuple[Tally, ...] = ()
    ways: tuple[tuple[Way, ...], ...] = ()
    unique: bool = False


@dataclass(frozen=True, slots=True)
class JsonValue(Node):
    """A JSON value: the union of its cases. No case at all: no value is valid.

    Attributes:
        scalar: a regular node over JSON *text* (a union of `JsonString`, numbers, `true`,
            `false`, `null`), or None.
        objects, arrays: cases that are tried side by side.
    """

    scalar: Node | None = None
    objects: tuple[JsonObject, ...] = ()
    arrays: tuple[JsonArray, ...] = ()
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class JsonForm:
    """How JSON text is laid out, and what it is wished to be (see `constrain.json_schema`)."""

    whitespace: Whitespace = "bounded"
    property_order: PropertyOrder = "schema"
    escapes: Escapes = "minimal"
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class JsonText(Node):
    """A whole JSON text: `value` (`JsonValue` or `Rule`) in the given form."""

    value: Node
    form: JsonForm = JsonForm()


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be said: a root node and the rules it refers to.

    Attributes:
        root: where matching starts.
        rules: bodies of `Rule` references.
        notes: what the front end treated as an annotation ("unknown format 'x' at #/…").
        target: the Python type or `pydantic.TypeAdapter` the text stands for, or None; what
            `generate` converts its result to.
        kind: "json" when the text is one JSON value, else "text".
        source: what `report` reads of where it came from, or None.
    """

    root: Node
    rules: Mapping[str, Node] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    target: object = field(default=None, compare=False)
    kind: OneWordOf["json", "text"] = "text"
    source: object = field(default=None, compare=False, repr=False)

    def __add__(self, other: Grammar | str) -> Grammar:
        """`self` followed by `other`; a `str` stands for exactly that text."""
        if not isinstance(other, Grammar | str):
            return NotImplemented
        from constrain.grammar.compose import sequence

        return sequence(self, other)

    def __radd__(self, other: str) -> Grammar:
        """The text `other` followed by `self`."""
        if not isinstance(other, str):
            return NotImplemented
        from constrain.grammar.compose import sequence

        return sequence(other, self)

    def __or__(self, other: Grammar | str) -> Grammar:
        """`self` or `other`; a `str` stands for exactly that text."""
        if not isinstance(other, Grammar | str):
            return NotImplemented
        from constrain.grammar.compose import alternatives

        return alternatives(self, other)

    def __ror__(self, other: str) -> Grammar:
        """The text `other`, or `self`."""
        if not isinstance(other, str):
            return NotImplemented
        from constrain.grammar.compose import alternatives

        return alternatives(other, self)

    def repeat(self, min: int = 0, max: int | None = None) -> Grammar:
        """`self`, `min` to `max` times in a row; `max` None: without bound."""
        from constrain.grammar.compose import repeat

        return repeat(self, min, max)

    def report(self, vocabulary: Vocabulary | None = None) -> Report:
        """What it means, before anything is generated: keywords, shortest text, size.

        Args:
            vocabulary: to count the tokens of the shortest text with.

        Raises:
            UnsatisfiableSchemaError: no JSON value is valid; GrammarError: no text matches.
            LimitError: the grammar is beyond the default limits.

        Cost: linear in schema and grammar, and that of compiling it once.
        """
        from constrain.report import report_of

        return report_of(self, vocabulary)
