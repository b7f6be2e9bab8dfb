"""Random JSON Schemas made together with instances that are valid for them.

A strategy here draws a schema and, along with it, a strategy of valid values; hypothesis'
own machinery then varies both. Values that may be invalid come from `json_values`; who wants
a verdict on one asks `jsonschema`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Case = tuple[Any, SearchStrategy[Any]]

# No line feed: Python's `$`, which `jsonschema` uses, also matches before a last one, ECMA's
# does not.
TEXT = st.text('ab1 é"\\/\t\u007f€😀', max_size=5)
NAMES = st.sampled_from(["a", "b", "name", "é", 'q"', ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-20, 20), TEXT, st.sampled_from([0.5, -1.25, 10.75])
)


def json_values() -> SearchStrategy[Any]:
    """Any small JSON value."""
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=5,
    )


PATTERNS: list[Case] = [
    ({"type": "string", "pattern": "^[ab]{1,3}$"}, st.text("ab", min_size=1, max_size=3)),
    ({"type": "string", "pattern": "1"}, st.tuples(TEXT, TEXT).map("1".join)),
    ({"type": "string", "pattern": "^(é|€)+"}, TEXT.map("€".__add__)),
    (
        {"type": "string", "pattern": "a$", "maxLength": 4},
        st.text("ab", max_size=3).map("{}a".format),
    ),
]


@st.composite
def _strings(draw: DrawFn) -> Case:
    least = draw(st.integers(0, 3))
    most = draw(st.none() | st.integers(least, 5))
    schema: dict[str, Any] = {"type": "string"}
    if least:
        schema["minLength"] = least
    if most is not None:
        schema["maxLength"] = most
    return schema, st.text("ab1 é😀", min_size=least, max_size=5 if most is None else most)


@st.composite
def _integers(draw: DrawFn) -> Case:
    low = draw(st.integers(-20, 20))
    high = draw(st.integers(low + 10, low + 40))
    step = draw(st.sampled_from([1, 2, 3, 7]))
    schema: dict[str, Any] = {"type": "integer"}
    schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    if step > 1:
        schema["multipleOf"] = step
    first = (low // step + 1) * step
    return schema, st.integers(0, (high - 1 - first) // step).map(lambda k: first + k * step)


@st.composite
def _numbers(draw: DrawFn) -> Case:
    low = draw(st.integers(-5, 5))
    schema: dict[str, Any] = {"type": "number", "minimum": low, "exclusiveMaximum": low + 3}
    quarters = st.integers(0, 11).map(lambda k: low + k / 4)
    cases: list[Case] = [(schema, quarters), ({"type": "number"}, st.integers(-99, 99))]
    return draw(st.sampled_from(cases))


@st.composite
def _enums(draw: DrawFn) -> Case:
    values = draw(st.lists(json_values(), min_size=1, max_size=4))
    if draw(st.booleans()):
        return {"enum": values}, st.sampled_from(values)
    return {"const": values[0]}, st.just(values[0])


def _scalar_cases() -> SearchStrategy[Case]:
    fixed: list[Case] = [
        ({"type": "boolean"}, st.booleans()),
        ({"type": "null"}, st.none()),
        ({"type": ["string", "null"]}, st.none() | TEXT),
        ({}, json_values()),
        (True, json_values()),
        *PATTERNS,
    ]
    return st.one_of(st.sampled_from(fixed), _strings(), _integers(), _numbers(), _enums())


@st.composite
def _objects(draw: DrawFn, parts: SearchStrategy[Case]) -> Case:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    cases = {name: draw(parts) for name in names}
    required = [name for name in names if draw(st.booleans())]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: case[0] for name, case in cases.items()},
    }
    if required:
        schema["required"] = required
    further: SearchStrategy[dict[str, Any]] = st.just({})
    kind = draw(st.sampled_from(["closed", "schema", "open"]))
    others = st.sampled_from(["x", "y€", "nam", "names"])
    if kind == "closed":
        schema["additionalProperties"] = False
    elif kind == "schema":
        inner, values = draw(parts)
        schema["additionalProperties"] = inner
        further = st.dictionaries(others, values, max_size=2)
    else:
        further = st.dictionaries(others, SCALARS, max_size=2)
    declared = st.fixed_dictionaries(
        {name: cases[name][1] for name in required},
        optional={name: cases[name][1] for name in names if name not in required},
    )
    # In the order of the schema: that is the order the default text form asks for.
    ordered = declared.map(lambda found: {name: found[name] for name in names if name in found})
    return schema, st.builds(lambda first, second: {**first, **second}, ordered, further)


@st.composite
def _arrays(draw: DrawFn, parts: SearchStrategy[Case]) -> Case:
    inner, values = draw(parts)
    least = draw(st.integers(0, 2))
    most = draw(st.none() | st.integers(least, 3))
    schema: dict[str, Any] = {"type": "array", "items": inner}
    if least:
        schema["minItems"] = least
    if most is not None:
        schema["maxItems"] = most
    if draw(st.booleans()):
        return schema, st.lists(values, min_size=least, max_size=3 if most is None else most)
    first, firsts = draw(parts)
    schema = {"type": "array", "prefixItems": [first], "items": inner, "minItems": 1}
    return schema, st.builds(lambda a, b: [a, *b], firsts, st.lists(values, max_size=2))


@st.composite
def _unions(draw: DrawFn, parts: SearchStrategy[Case]) -> Case:
    cases = draw(st.lists(parts, min_size=1, max_size=3))
    return {"anyOf": [case[0] for case in cases]}, st.one_of([case[1] for case in cases])


def _composed(parts: SearchStrategy[Case]) -> SearchStrategy[Case]:
    return st.one_of(_objects(parts), _arrays(parts), _unions(parts))


def _trees() -> SearchStrategy[Case]:
    """Recursion through `$ref`: a tree of labels."""
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                },
                "required": ["label"],
                "additionalProperties": False,
            }
        },
    }
    values: SearchStrategy[Any] = st.recursive(
        st.builds(lambda label: {"label": label}, TEXT),
        lambda inner: st.builds(
            lambda label, children: {"label": label, "children": children},
            TEXT,
            st.lists(inner, max_size=2),
        ),
        max_leaves=4,
    )
    return st.just((schema, values))


def schema_cases() -> SearchStrategy[Case]:
    """A schema with a strategy of valid values whose keys are in the schema's order."""
    return st.recursive(_scalar_cases(), _composed, max_leaves=5) | _trees()


@st.composite
def schemas_with_instances(draw: DrawFn) -> tuple[Any, Any]:
    """A schema and a value that is valid for it."""
    schema, values = draw(schema_cases())
    return schema, draw(values)


# The kinds of schema that a project's first users bring; walks over real vocabularies use them.
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 30},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "email": {"type": ["string", "null"], "maxLength": 40},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": 4,
            "items": {
                "type": "object",
                "properties": {
                    "sku": {"type": "string", "maxLength": 12},
                    "count": {"type": "integer", "minimum": 1, "maximum": 99},
                    "price": {"type": "number", "minimum": 0},
                },
                "required": ["sku", "count", "price"],
                "additionalProperties": False,
            },
        },
        "express": {"type": "boolean"},
    },
    "required": ["id", "items"],
    "additionalProperties": False,
}
LABEL = {"enum": ["positive", "negative", "neutral", "posit", 1, None, ["x"], {"a": 1}]}
SWITCHES = {
    "type": "object",
    "properties": {f"switch_{number}": {"type": "boolean"} for number in range(20)},
    "required": [f"switch_{number}" for number in range(20)],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
    },
}
OPEN = {
    "type": "object",
    "properties": {"kind": {"const": "open"}, "n": {"type": "integer", "multipleOf": 7}},
    "required": ["kind"],
    "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
}
ANYTHING: dict[str, Any] = {}
WALKED = {
    "person": PERSON,
    "order": ORDER,
    "label": LABEL,
    "switches": SWITCHES,
    "tree": TREE,
    "open": OPEN,
    "anything": ANYTHING,
}
