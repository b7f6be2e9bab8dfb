"""Normal form -> grammar IR: every place that is referred to, or deep, becomes a rule.

Rule bodies are made from a work list, so neither recursion of the schema nor its depth costs
Python stack. Whether a rule can be met at all is for the kernel to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from constrain.errors import LimitError, UnsatisfiableSchemaError
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
)
from constrain.schema.cases import (
    ANY_ARRAY,
    ANY_OBJECT,
    ANYTHING,
    FALSE,
    NEVER,
    NULL,
    TRUE,
    ArrayCase,
    Cases,
    ObjectCase,
)
from constrain.schema.document import Document, Need, Place
from constrain.schema.keys import rest_of, union_of
from constrain.schema.normal import Normalizer
from constrain.schema.numbers import INTEGER_TEXT, NUMBER_TEXT, number_text
from constrain.schema.strings import ANY_STRING, ANY_TEXT, StringCase, content, union, writable

ANY_RULE: Final = "any value"
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
    """Nodes that are the same in every schema."""

    text: JsonString
    value: JsonValue
    object: JsonObject
    array: JsonArray
    by_type: dict[str, JsonValue]


@cache
def _shared(escapes: Escapes) -> _Shared:
    text = JsonString(ANY_TEXT, escapes)
    anything = Rule(ANY_RULE)
    any_object = JsonObject(additional=anything)
    any_array = JsonArray(items=anything)
    scalar = Choice((*_WORDS[NULL | FALSE | TRUE], NUMBER_TEXT, text))
    return _Shared(
        text,
        JsonValue(scalar, (any_object,), (any_array,)),
        any_object,
        any_array,
        {
            "null": JsonValue(_WORDS[NULL][0]),
            "boolean": JsonValue(Choice(_WORDS[FALSE | TRUE])),
            "integer": JsonValue(INTEGER_TEXT),
            "number": JsonValue(NUMBER_TEXT),
            "string": JsonValue(text),
            "array": JsonValue(arrays=(any_array,)),
            "object": JsonValue(objects=(any_object,)),
        },
    )


class Builder:
    """Makes the grammar of one document."""

    def __init__(self, document: Document, form: JsonForm) -> None:
        self._normalizer = Normalizer(document)
        self._document = document
        self._form = form
        self._shared = _shared(form.escapes)
        self._rules: dict[str, Node] = {}
        self._names: dict[frozenset[int], str] = {}
        self._taken: set[str] = set()
        self._pending: list[tuple[str, Need]] = []
        self._seen: set[int] = set()

    def grammar(self) -> Grammar:
        """The grammar of the whole document.

        Raises:
            UnsatisfiableSchemaError: the root allows no value, seen without its children.
        """
        root = (self._document.root, "#", self._document.scope)
        value = self._rule((root,))
        while self._pending:
            name, need = self._pending.pop()
            self._rules[name] = self._body(need)
        node: Node = value
        body = self._rules[value.name]
        if body is _NO_VALUE:
            raise UnsatisfiableSchemaError("no JSON value is valid", value=root[0])
        if ANY_RULE in self._taken:
            self._rules[ANY_RULE] = self._shared.value
        return Grammar(
            JsonText(node, self._form),
            self._rules,
            tuple(dict.fromkeys(self._normalizer.notes)),
            kind="json",
        )

    def _body(self, need: Need) -> Node:
        if len(need) > 1:
            return self._value(self._normalizer.conjunction(need), need[0][1], 0)
        return self._single(need[0], 0)

    def _rule(self, need: Need) -> Rule:
        """The rule of a need; its body is made later."""
        if len(need) == 1:
            need = (self._normalizer.followed(need[0]),)
        else:
            places = map(self._normalizer.followed, need)
            need = tuple({id(place[0]): place for place in places}.values())
        key = frozenset(id(place[0]) for place in need)
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= MAX_RULES:
                raise LimitError("nodes", len(self._names) + 1, MAX_RULES)
            name = " & ".join(place[1] for place in need[:4])
            if name in self._taken:
                name = f"{name} ({len(self._taken)})"
            self._taken.add(name)
            self._names[key] = name
            self._pending.append((name, need))
        return Rule(name)

    def _node(self, need: Need, depth: int) -> Node:
        """The value of a child."""
        if not need:
            self._taken.add(ANY_RULE)
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
            return self._value(self._normalizer.cases(place), place[1], depth)
        if len(schema) == 1 or (len(schema) == 2 and "description" in schema):  # noqa: PLR2004  the usual pair
            kind = schema.get("type")
            node = self._shared.by_type.get(kind) if isinstance(kind, str) else None
            if node is not None:
                if node.scalar is None:
                    self._taken.add(ANY_RULE)
                return node
        keywords = self._normalizer.keywords(place)
        if "type" not in keywords and self._normalizer.target(place, keywords) and depth:
            return self._rule((place,))
        if depth and (depth > MAX_INLINE_DEPTH or id(schema) in self._seen):
            return self._rule((place,))
        self._seen.add(id(schema))
        return self._value(self._normalizer.cases(place, keywords), place[1], depth)

    def _value(self, cases: Cases, pointer: str, depth: int) -> Node:
        if cases is ANYTHING:
            self._taken.add(ANY_RULE)
            return self._shared.value
        scalar = self._scalar(cases)
        objects: tuple[JsonObject, ...] = ()
        arrays: tuple[JsonArray, ...] = ()
        if cases.objects:
            made = [self._object(case, depth) for case in cases.objects]
            objects = tuple(case for case in made if case is not None)
        if cases.arrays:
            arrays = tuple([self._array(case, depth) for case in cases.arrays])
        if scalar is None and not objects and not arrays:
            return _NO_VALUE
        return JsonValue(scalar, objects, arrays, pointer)

    def _scalar(self, cases: Cases) -> Node | None:
        nodes: list[Node] = list(_WORDS[cases.words])
        for number in cases.numbers:
            text = number_text(number)
            assert text is not None, number  # unsupported ones were refused when read
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
            self._taken.add(ANY_RULE)
            return self._shared.object
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
            properties.append(Property(name, node, name in required))
        return JsonObject(
            tuple(properties),
            additional,
            key,
            case.shortest,
            case.longest,
            case.pointer,
            others,
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
            self._taken.add(ANY_RULE)
            return self._shared.array
        prefix = tuple(self._node(need, depth + 1) for need in case.prefix)
        items = None if case.items is NEVER else self._node(case.items, depth + 1)
        return JsonArray(
            prefix, items, case.shortest, case.longest, case.pointer, unique=case.unique
        )


def build(document: Document, form: JsonForm) -> Grammar:
    """The grammar of a schema document in a text form."""
    return Builder(document, form).grammar()
