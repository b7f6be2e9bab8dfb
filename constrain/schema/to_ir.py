"""Normal form -> grammar IR: every place that is referred to, or deep, becomes a rule.

Rule bodies are made from a work list, so neither recursion of the schema nor its depth costs
Python stack. Whether a rule can be met at all is for the kernel to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

from constrain.errors import LimitError, UnsatisfiableSchemaError, UnsupportedSchemaError
from constrain.grammar.ir import (
    Choice,
    Complement,
    Escapes,
    Grammar,
    JsonArray,
    JsonForm,
    JsonObject,
    JsonString,
    JsonText,
    JsonValue,
    Literal,
    Node,
    Property,
    Rule,
    Way,
)
from constrain.schema.arrays import ANY_ARRAY, ArrayCase
from constrain.schema.caps import NO_CAPS, Caps
from constrain.schema.cases import ANYTHING, FALSE, NULL, TRUE, Cases
from constrain.schema.document import Document, Need, Place, PlaceKey, key_of, keys_of
from constrain.schema.keys import rest_of, union_of
from constrain.schema.needs import NEVER
from constrain.schema.normal import Normalizer
from constrain.schema.numbers import ANY_INTEGER, ANY_NUMBER
from constrain.schema.objects import ANY_OBJECT, ObjectCase
from constrain.schema.obligations import NeedWay, Obligations
from constrain.schema.relaxing import MAX_PASSES, Relaxation, Relaxing
from constrain.schema.strings import ANY_STRING, ANY_TEXT, StringCase, content, union, writable
from constrain.schema.weights import Weigher, Weights, weighted_text

ANY_RULE: Final = "any value"
UNCAPPED_ANY_RULE: Final = "any value without caps"
MAX_INLINE_DEPTH = 30
MAX_RULES = 200_000

_NO_VALUE: Final = JsonValue()
_WORDS: Final = tuple(
    tuple(
        Literal(text)
        for bit, text in ((NULL, "null"), (FALSE, "false"), (TRUE, "true"))
        if bits & bit
    )
    for bits in range(8)
)


@dataclass(frozen=True, slots=True)
class _Shared:
    """Nodes that are the same in every schema.

    Attributes:
        caps: what they keep to.
        any_rule: name of the rule of any value.
    """

    caps: Caps
    any_rule: str
    text: JsonString
    value: JsonValue
    object: JsonObject
    array: JsonArray
    by_type: dict[str, JsonValue]


@cache
def _shared(escapes: Escapes, caps: Caps, any_rule: str) -> _Shared:
    text = JsonString(ANY_TEXT, escapes)
    anything = Rule(any_rule)
    any_object = JsonObject(additional=anything)
    any_array = JsonArray(items=anything, max_items=caps.longest(ANY_ARRAY))
    number, integer = caps.text(ANY_NUMBER), caps.text(ANY_INTEGER)
    assert number is not None and integer is not None  # noqa: PT018  neither has a divisor
    scalar = Choice((*_WORDS[NULL | FALSE | TRUE], number, text))
    return _Shared(
        caps,
        any_rule,
        text,
        JsonValue(scalar, (any_object,), (any_array,)),
        any_object,
        any_array,
        {
            "null": JsonValue(_WORDS[NULL][0]),
            "boolean": JsonValue(Choice(_WORDS[FALSE | TRUE])),
            "integer": JsonValue(integer),
            "number": JsonValue(number),
            "string": JsonValue(text),
            "array": JsonValue(arrays=(any_array,)),
            "object": JsonValue(objects=(any_object,)),
        },
    )


class Builder:
    """Makes the grammar of one document."""

    def __init__(
        self,
        document: Document,
        form: JsonForm,
        relaxing: Relaxing | None = None,
        caps: Caps = NO_CAPS,
    ) -> None:
        self._normalizer = Normalizer(document, relaxing)
        self._document = document
        self._form = form
        self._obligations = Obligations(
            self._normalizer.negated,
            self._normalizer.cannot_be_met,
            self._normalizer.followed,
        )
        self._weigher = Weigher(self._normalizer)
        self._shared = _shared(form.escapes, caps, ANY_RULE)
        # Without caps are the items of arrays that must hold several different ones.
        self._all_shared = (self._shared, _shared(form.escapes, NO_CAPS, UNCAPPED_ANY_RULE))
        self._rules: dict[str, Node] = {}
        self._names: dict[tuple[PlaceKey | frozenset[PlaceKey], Caps], str] = {}
        self._taken: set[str] = set()
        self._pending: list[tuple[str, Need, _Shared]] = []
        self._seen: set[int] = set()

    def grammar(self) -> Grammar:
        """The grammar of the whole document.

        Raises:
            UnsatisfiableSchemaError: the root allows no value, seen without its children.
        """
        root = (self._document.root, "#", self._document.scope)
        value = self._rule((root,))
        while self._pending:
            name, need, self._shared = self._pending.pop()
            self._rules[name] = self._body(need)
        self._weigher.check_used(self._normalizer.weighted)
        node: Node = value
        body = self._rules[value.name]
        if body is _NO_VALUE:
            raise UnsatisfiableSchemaError("no JSON value is valid", value=root[0])
        for shared in self._all_shared:
            if shared.any_rule in self._taken:
                self._rules[shared.any_rule] = shared.value
        notes = (*self._normalizer.notes, *self._all_shared[0].caps.notes)
        return Grammar(
            JsonText(node, self._form),
            self._rules,
            tuple(dict.fromkeys(notes)),
            kind="json",
        )

    def _body(self, need: Need) -> Node:
        if len(need) > 1:
            return self._value(self._normalizer.conjunction(need), need, 0)
        return self._single(need[0], 0)

    def _rule(self, need: Need) -> Rule:
        """The rule of a need; its body is made later."""
        key: PlaceKey | frozenset[PlaceKey]
        if len(need) == 1:
            place = self._normalizer.followed(need[0])
            need = (place,)
            key = (id(place[0]), place[2])
        else:
            places = map(self._normalizer.followed, need)
            need = tuple({key_of(place): place for place in places}.values())
            key = keys_of(need)
        caps = self._shared.caps
        name = self._names.get((key, caps))
        if name is None:
            if len(self._names) >= MAX_RULES:
                raise LimitError("nodes", len(self._names) + 1, MAX_RULES)
            name = " & ".join(place[1] for place in need[:4])
            if name in self._taken:
                name = f"{name} ({len(self._taken)})"
            self._taken.add(name)
            self._names[key, caps] = name
            self._pending.append((name, need, self._shared))
        return Rule(name)

    def _node(self, need: Need, depth: int) -> Node:
        """The value of a child."""
        if not need:
            self._taken.add(self._shared.any_rule)
            return self._shared.object.additional or _NO_VALUE
        if need is NEVER:
            return _NO_VALUE
        if len(need) == 1:
            return self._single(need[0], depth)
        return self._rule(need)

    def _single(self, place: Place, depth: int) -> Node:
        """The value of a child with one schema: a node where that is cheap, else a rule."""
        schema = place[0]
        if not isinstance(schema, dict):
            return self._value(self._normalizer.cases(place), (place,), depth)
        if len(schema) == 1 or (len(schema) == 2 and "description" in schema):  # noqa: PLR2004  the usual pair
            kind = schema.get("type")
            node = self._shared.by_type.get(kind) if isinstance(kind, str) else None
            if node is not None and "type" in place[2].draft.keywords:
                if node.scalar is None:
                    self._taken.add(self._shared.any_rule)
                return node
        if "$schema" in schema or place[2].draft.id_keyword in schema:
            place = self._normalizer.entered(place)
        keywords = self._normalizer.keywords(place)
        if depth and "type" not in keywords:
            target = self._normalizer.target(place, keywords)
            if target is not None:
                return self._rule((target,))
        if depth and (depth > MAX_INLINE_DEPTH or id(schema) in self._seen):
            return self._rule((place,))
        self._seen.add(id(schema))
        return self._value(self._normalizer.cases(place, keywords), (place,), depth)

    def _value(self, cases: Cases, need: Need, depth: int) -> Node:
        weights = self._weigher.of_need(need) if self._normalizer.weighted else {}
        if cases is ANYTHING and not any(weights.values()):
            self._taken.add(self._shared.any_rule)
            return self._shared.value
        scalar = self._scalar(cases, need, weights)
        objects: tuple[JsonObject, ...] = ()
        arrays: tuple[JsonArray, ...] = ()
        if cases.objects:
            made = [self._object(case, depth) for case in cases.objects]
            objects = tuple(case for case in made if case is not None)
        if cases.arrays:
            arrays = tuple([self._array(case, depth) for case in cases.arrays])
        if scalar is None and not objects and not arrays:
            return _NO_VALUE
        return JsonValue(scalar, objects, arrays, need[0][1])

    def _scalar(self, cases: Cases, need: Need, weights: Weights) -> Node | None:
        nodes: list[Node] = []
        if weights:
            listed, cases = weighted_text(cases, weights, self._form.escapes, need[0][1])
            nodes += () if listed is None else (listed,)
        nodes += _WORDS[cases.words]
        for number in cases.numbers:
            text = self._shared.caps.text(number)
            if text is None:  # divisors that are supported each, but not their common multiple
                assert number.multiple is not None, number
                raise UnsupportedSchemaError(
                    "a common multiple with that many digits is not supported",
                    pointer=need[0][1], keyword="multipleOf",
                    value=Fraction(*number.multiple),
                )  # fmt: skip
            nodes.append(text)
        if cases.strings:
            nodes.append(self._string(cases.strings))
        if not nodes:
            return None
        return nodes[0] if len(nodes) == 1 else Choice(tuple(nodes))

    def _string(self, cases: tuple[StringCase, ...]) -> JsonString:
        if cases[0] is ANY_STRING:
            return self._shared.text
        return JsonString(content(union(cases)), self._form.escapes)

    def _object(self, case: ObjectCase, depth: int) -> JsonObject | None:
        """The IR of a case; None if a required property is seen to have no value."""
        if case is ANY_OBJECT:
            self._taken.add(self._shared.any_rule)
            return self._shared.object
        excluded = self._obligations.excluded(case) if case.excluded else []
        if excluded:
            return self._obliged_object(case, excluded, depth)
        required = case.required
        additional, key, others = self._others(case, depth)
        properties: list[Property] = []
        for name, need in case.properties.items():
            node = self._node(need, depth + 1)
            if node is _NO_VALUE or not writable(name):
                if name in required:
                    return None
                if additional is None or not writable(name):
                    continue
            weight = self._weigher.of_property(need)
            properties.append(Property(name, node, name in required, weight=weight))
        return JsonObject(
            tuple(properties),
            additional,
            key,
            case.shortest,
            case.longest,
            case.pointer,
            others,
        )

    def _obliged_object(
        self, case: ObjectCase, excluded: list[ObjectCase], depth: int
    ) -> JsonObject | None:
        """The IR of a case with demands; None if a required property surely has no value."""
        obligations = self._obligations
        properties: list[Property] = []
        for name, need in obligations.names(case, excluded).items():
            is_required = name in case.required
            if not writable(name):
                if is_required:
                    return None
                continue
            member = obligations.of_name(name, need, excluded)
            ways = self._ways(member.ways, depth)
            value = ways[0].value
            if value is _NO_VALUE and is_required:
                return None
            weight = self._weigher.of_property(need)
            properties.append(Property(name, value, is_required, ways, member.absent, weight))
        classes: list[tuple[Node | None, tuple[Way, ...]]] = []
        for key, member in obligations.of_classes(case, excluded):
            ways = self._ways(member.ways, depth)
            if ways[0].value is not _NO_VALUE:
                classes.append((key, ways))
        first_key, first_ways = classes[0] if classes else (None, ())
        return JsonObject(
            tuple(properties),
            first_ways[0].value if first_ways else None,
            first_key,
            case.shortest,
            case.longest,
            case.pointer,
            tuple((key, ways[0].value) for key, ways in classes[1:] if key is not None),
            obligations.demands(excluded),
            tuple(ways for _, ways in classes),
        )

    def _ways(self, ways: list[NeedWay], depth: int) -> tuple[Way, ...]:
        """The ways to read a child; the first is kept even if it has no value."""
        nodes = [
            (_NO_VALUE if need is NEVER else self._node(need, depth + 1), bits)
            for need, bits in ways
        ]
        return tuple(
            Way(node, bits)
            for i, (node, bits) in enumerate(nodes)
            if i == 0 or node is not _NO_VALUE
        )

    def _others(
        self, case: ObjectCase, depth: int
    ) -> tuple[Node | None, Node | None, tuple[tuple[Node, Node], ...]]:
        """The classes of undeclared keys: a value, what its keys match (None: all), others.

        Classes with the same value are one.
        """
        value = self._value_or_none(case.additional, depth)
        if not case.classes:
            return value, None, ()
        values = [(key, self._value_or_none(need, depth)) for key, need in case.classes]
        if all(node is None or node == value for _, node in values):
            barred = [key for key, node in values if node is None]
            return value, Complement(union_of(barred)) if barred else None, ()
        classes: list[tuple[list[Node], Node]] = []
        for key, node in values:
            same = next((c for c in classes if c[1] == node), None)
            if same is not None:
                same[0].append(key)
            elif node is not None:
                classes.append(([key], node))
        pairs = [(union_of(keys), node) for keys, node in classes]
        if value is None:
            (first_key, first), *rest = pairs
            return first, first_key, tuple(rest)
        return value, rest_of(case.classes), tuple(pairs)

    def _value_or_none(self, need: Need, depth: int) -> Node | None:
        node = _NO_VALUE if need is NEVER else self._node(need, depth + 1)
        return None if node is _NO_VALUE else node

    def _array(self, case: ArrayCase, depth: int) -> JsonArray:
        if case is ANY_ARRAY:
            self._taken.add(self._shared.any_rule)
            return self._shared.array
        if case.tallies and case.unique:
            reason = "is not supported where items are counted (contains, or a complement)"
            raise UnsupportedSchemaError(
                reason, pointer=case.pointer, keyword="uniqueItems", value=True
            )
        longest = self._shared.caps.longest(case)
        if case.tallies:
            return JsonArray(
                min_items=case.shortest,
                max_items=longest,
                pointer=case.pointer,
                tallies=self._obligations.tallies(case),
                ways=self._ways_of_items(case, depth),
            )
        outside = self._shared
        if case.unique and case.shortest > 1:
            self._shared = self._all_shared[1]
        prefix = tuple(self._node(need, depth + 1) for need in case.prefix[:longest])
        ends = case.items is NEVER or (longest is not None and longest <= len(prefix))
        items = None if ends else self._node(case.items, depth + 1)
        self._shared = outside
        return JsonArray(
            prefix, items, case.shortest, longest, case.pointer, unique=case.unique
        )

    def _ways_of_items(self, case: ArrayCase, depth: int) -> tuple[tuple[Way, ...], ...]:
        return tuple(
            tuple(
                Way(node, bits, when_full)
                for need, bits, when_full in ways
                if (node := self._node(need, depth + 1)) is not _NO_VALUE
            )
            for ways in self._obligations.of_items(case)
        )


def build(document: Document, form: JsonForm, caps: Caps = NO_CAPS) -> Grammar:
    """The grammar of a schema document in a text form."""
    return Builder(document, form, caps=caps).grammar()


def build_relaxed(
    document: Document, form: JsonForm, caps: Caps = NO_CAPS
) -> tuple[Grammar, tuple[Relaxation, ...]]:
    """The same without what is not supported, and what was left out.

    What must go is known only when all is read without what was refused so far; so the grammar
    is made until nothing more is refused.

    Raises:
        UnsupportedSchemaError: leaving keywords out does not help.
        LimitError: more and more is found to be unsupported.
    """
    relaxing = Relaxing(document)
    for _ in range(MAX_PASSES):
        try:
            grammar = Builder(document, form, relaxing, caps).grammar()
        except UnsupportedSchemaError as error:
            relaxing.refuse_at(error)
        except UnsatisfiableSchemaError:
            if relaxing.passed:
                raise
        else:
            if relaxing.passed:
                return grammar, relaxing.relaxations
        relaxing.plan()
    raise LimitError("relaxing", MAX_PASSES + 1, MAX_PASSES)
