"""The annotation `x-weight`: log-space weights of the values of `enum` and `const`.

Beside `enum` it is one number for all values, an array of numbers in the order of the values,
or an object of them (a string is named by itself, another value by its JSON text); beside
`const` it is a number. Values without one weigh 0. Weights add up over `allOf` and references,
and a value that several branches of `anyOf` or `oneOf` list has the greatest of theirs.
At the schema of an optional property, a number is the weight of including it.

Not here: what weights do to tokens, which is the kernel's; weights of containers and of types.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import Any, Final

from constrain.arguments import as_float
from constrain.errors import SchemaError, UnsupportedSchemaError, shorten
from constrain.grammar.ir import Choice, Escapes, Literal, Node
from constrain.grammar.wishes import MOST
from constrain.schema.cases import FALSE, NULL, TRUE, Cases
from constrain.schema.decimals import plain
from constrain.schema.document import REFERENCES, Need, Place, PlaceKey, key_of
from constrain.schema.implications import implications
from constrain.schema.needs import NEVER, Either, Negation
from constrain.schema.normal import X_WEIGHT, Normalizer
from constrain.schema.numbers import ANY_NUMBER
from constrain.schema.strings import ANY_STRING, writable
from constrain.schema.values import read_number

MAX_SPELLINGS: Final = 4_096
"""Most ways to write one weighted string."""

Scalar = tuple[str, str]
"""Type and text of a value: `("string", "a")`, `("number", "1")`, `("word", "null")`."""
Weights = dict[Scalar, float]

_SHORT: Final = {
    '"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t",
}  # fmt: skip


class Weigher:
    """Reads the weights of places.

    Args:
        normalizer: follows references.
    """

    def __init__(self, normalizer: Normalizer) -> None:
        self._normalizer = normalizer
        self._known: dict[PlaceKey, tuple[Place, Weights]] = {}
        self._used: set[int] = set()

    def of_need(self, need: Need) -> Weights:
        """The weights of the values that some schema of the need lists.

        Raises:
            SchemaError: a malformed weight.
        """
        return {} if need is NEVER else _sum(map(self._of_place, need))

    def of_property(self, need: Need) -> float:
        """The weight of including a property: the numbers at its own schemas, added up.

        Raises:
            SchemaError: a weight that is no number from -1e6 to 1e6, with no values listed.
        """
        total = 0.0
        for place in need:
            schema = place[0]
            if type(schema) is not dict or X_WEIGHT not in schema:
                continue
            self._used.add(id(schema))
            is_listed = "enum" in schema or "const" in schema
            if not (is_listed and isinstance(schema[X_WEIGHT], (dict, list, tuple))):
                total += _number(schema[X_WEIGHT], place)
        return total

    def check_used(self, places: Mapping[int, Place]) -> None:
        """Refuse weights that say nothing.

        Raises:
            SchemaError: a schema with a weight lists no values and is no property, or what
                it lists is never written: the names of `propertyNames`, or below `not`.
        """
        for key, place in places.items():
            if key in self._used:
                continue
            if place[0].keys().isdisjoint(("enum", "const")):
                raise _malformed("beside 'enum' or 'const', or that of a property", place)
            raise _malformed("of values that are written, and these are not", place)

    def _of_place(self, place: Place) -> Weights:
        place = self._normalizer.entered(place)
        schema = place[0]
        if not isinstance(schema, dict) or isinstance(schema, Negation):
            return {}
        if isinstance(schema, Either):
            return _best(map(self.of_need, schema.of))
        known = self._known.get(key_of(place))
        if known is None:
            known = self._known[key_of(place)] = (place, _sum(self._parts(place)))
        return known[1]

    def _parts(self, place: Place) -> Iterator[Weights]:
        schema, pointer, scope = place
        keywords = schema.keys() & scope.draft.keywords
        document = self._normalizer.document
        hides = "$ref" in keywords and scope.draft.ref_hides_siblings
        for keyword in ("$ref",) if hides else REFERENCES:
            if keyword in keywords:
                yield self._of_place(document.resolve(schema[keyword], pointer, scope, keyword))
        if hides:
            return
        if not schema.keys().isdisjoint(("enum", "const")):
            self._used.add(id(schema))
        yield own_weights(place)
        for branch in self._normalizer.branches("allOf", place, keywords):
            yield self._of_place(branch)
        for keyword in ("anyOf", "oneOf"):
            branches = self._normalizer.branches(keyword, place, keywords)
            yield _best(map(self._of_place, branches))
        for ways in implications(place, keywords):
            yield _best(map(self.of_need, ways))


def own_weights(place: Place) -> Weights:
    """The values that a schema itself lists, and their weights.

    Raises:
        SchemaError: malformed.
    """
    schema, pointer, _ = place
    listed: list[Any] = []
    if isinstance(schema.get("enum"), (list, tuple)):
        listed += schema["enum"]
    n_of_enum = len(listed)
    if "const" in schema:
        listed.append(schema["const"])
    scalars = [_scalar(value, pointer) for value in listed]
    given = schema.get(X_WEIGHT, 0)
    if isinstance(given, dict):
        weights = _named(given, scalars, place)
    elif isinstance(given, (list, tuple)):
        if len(given) != n_of_enum or len(listed) != n_of_enum:
            raise _malformed("an array of one number for each value of 'enum'", place)
        weights = [_number(weight, place) for weight in given]
    else:
        weights = [_number(given, place)] * len(listed)
    for value, scalar, weight in zip(listed, scalars, weights, strict=True):
        if scalar is None and weight:
            raise _malformed(f"of strings, numbers and words, not of {shorten(value)}", place)
    pairs = zip(scalars, weights, strict=True)
    return {scalar: weight for scalar, weight in pairs if scalar is not None}


def weighted_text(
    cases: Cases, weights: Weights, escapes: Escapes, pointer: str
) -> tuple[Node | None, Cases]:
    """The JSON texts of the listed values with their weights, and the cases without them.

    Raises:
        UnsupportedSchemaError: a weighted string that has too many spellings, or whose set is
            cut by a pattern or format.
    """
    texts = _scalar_texts(cases, weights)
    for string in cases.strings:
        listed = {text: weights.get(("string", text), 0.0) for text in string.texts or ()}
        if string.parts and any(listed.values()):
            reason = "is not supported where a pattern or format cuts the values"
            raise UnsupportedSchemaError(reason, pointer=pointer, keyword=X_WEIGHT)
        for text, weight in listed.items():
            for spelling in () if string.parts else spellings(text, escapes, pointer):
                texts[spelling] = weight
    # What lists a value is no case of its own beside one that holds all strings or numbers.
    for (kind, text), weight in weights.items():
        if weight > 0 and kind == "string" and ANY_STRING in cases.strings and writable(text):
            texts |= dict.fromkeys(spellings(text, escapes, pointer), weight)
        elif weight > 0 and kind == "number" and ANY_NUMBER in cases.numbers:
            texts[text] = weight
    if not any(texts.values()):
        return None, cases
    rest = replace(
        cases,
        words=0,
        numbers=tuple(case for case in cases.numbers if case.values is None),
        strings=tuple(case for case in cases.strings if case.texts is None or case.parts),
    )
    return Choice(tuple(map(Literal, texts)), tuple(texts.values())), rest


def _scalar_texts(cases: Cases, weights: Weights) -> dict[str, float]:
    """The JSON texts of listed numbers and of words."""
    words = ((NULL, "null"), (FALSE, "false"), (TRUE, "true"))
    texts = {word: weights.get(("word", word), 0.0) for bit, word in words if cases.words & bit}
    for case in cases.numbers:
        for value in case.values or ():
            text = plain(value)
            texts[text] = weight = weights.get(("number", text), 0.0)
            if value in case.pointed:
                texts[f"{text}.0"] = weight
    return texts


def spellings(text: str, escapes: Escapes, pointer: str) -> Iterator[str]:
    """Every JSON text of a string.

    Raises:
        UnsupportedSchemaError: more than `MAX_SPELLINGS`.

    >>> list(spellings('"', "minimal", "#"))
    ['"\\\\""', '"\\\\u0022"']
    """
    choices = [_spelled(char, escapes) for char in text]
    count = math.prod(map(len, choices))
    if count > MAX_SPELLINGS:
        reason = f"{shorten(text)} has {count} spellings, more than {MAX_SPELLINGS}"
        raise UnsupportedSchemaError(reason, pointer=pointer, keyword=X_WEIGHT)
    return (f'"{"".join(chosen)}"' for chosen in product(*choices))


def _spelled(char: str, escapes: Escapes) -> list[str]:
    """The ways to write a character in a JSON string (RFC 8259, section 7)."""
    must_escape = char in '"\\' or char < " "
    found = [] if must_escape else [char]
    if must_escape or escapes == "any":
        if char in _SHORT:
            found.append("\\" + _SHORT[char])
        digits = char.encode("utf-16-be").hex()
        cases = [sorted({digit, digit.upper()}) for digit in digits]
        for chosen in map("".join, product(*cases)):
            units = (chosen[i : i + 4] for i in range(0, len(chosen), 4))
            found.append("".join("\\u" + unit for unit in units))
    return found


def _scalar(value: object, pointer: str) -> Scalar | None:
    """The value if it is a scalar; None for containers."""
    if isinstance(value, str):
        return ("string", value)
    if value is None or isinstance(value, bool):
        return ("word", {None: "null", True: "true", False: "false"}[value])
    if isinstance(value, (int, float, Decimal)):
        return ("number", plain(read_number(value, "enum", pointer)))
    return None


def _named(given: dict[str, Any], scalars: list[Scalar | None], place: Place) -> list[float]:
    """Weights by name: that of a string if there is one, else of another value's text."""
    names = {scalar[1] for scalar in scalars if scalar is not None}
    for name in given:
        if name not in names:
            raise _malformed(f"of listed values, and {shorten(name)} is none", place)
    strings = {scalar[1] for scalar in scalars if scalar and scalar[0] == "string"}
    return [
        0.0
        if scalar is None or (scalar[0] != "string" and scalar[1] in strings)
        else _number(given.get(scalar[1], 0), place)
        for scalar in scalars
    ]


def _number(weight: object, place: Place) -> float:
    value = float(weight) if isinstance(weight, Decimal) else as_float(weight)
    if value is not None and abs(value) <= MOST:
        return value
    raise _malformed("a number from -1e6 to 1e6, or an array or object of them", place)


def _malformed(expected: str, place: Place) -> SchemaError:
    return SchemaError(
        f"must be {expected}", pointer=place[1], keyword=X_WEIGHT, value=place[0][X_WEIGHT]
    )


def _sum(parts: Iterable[Weights]) -> Weights:
    total: Weights = {}
    for part in parts:
        for scalar, weight in part.items():
            total[scalar] = total.get(scalar, 0.0) + weight
    return total


def _best(parts: Iterable[Weights]) -> Weights:
    best: Weights = {}
    for part in parts:
        for scalar, weight in part.items():
            best[scalar] = max(best.get(scalar, weight), weight)
    return best
