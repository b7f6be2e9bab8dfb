"""References between resources: ids, anchors, several documents, drafts, vocabularies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT7, DRAFT202012

import constrain
from constrain.errors import SchemaError, UnsupportedSchemaError
from constrain.grammar.ir import Grammar
from constrain.schema import json_schema
from tests.oracle.json_text import accepts
from tests.schema_verdicts import check_both_sides

DRAFT4 = "http://json-schema.org/draft-04/schema#"
DRAFT6 = "http://json-schema.org/draft-06/schema#"
DRAFT7_URI = "http://json-schema.org/draft-07/schema#"
DRAFT2019 = "https://json-schema.org/draft/2019-09/schema"
DRAFT2020 = "https://json-schema.org/draft/2020-12/schema"

NAME = {"$id": "http://example.com/name", "type": "string", "$anchor": "here", "minLength": 1}
PERSON = {
    "$id": "http://example.com/person",
    "properties": {"name": {"$ref": "name"}, "age": {"$ref": "#/$defs/age"}},
    "$defs": {"age": {"type": "integer", "$anchor": "age"}, "in": {"$id": "in/", "const": 7}},
}
DOCUMENTS: dict[str, Any] = {
    "http://example.com/name": NAME,
    "http://example.com/person": PERSON,
}


def check_registry(
    schema: Any, documents: dict[str, Any], valid: list[Any], invalid: list[Any]
) -> None:
    """Assert verdicts with a mapping and with a registry, beside those of `jsonschema`."""
    default = validator_for(schema, default=Draft202012Validator)
    registry: Registry[Any] = Registry().with_contents(
        documents.items(), default_specification=DRAFT202012
    )
    validator = default(schema, registry=registry)
    grammars = [
        json_schema(schema, whitespace="flexible", property_order="any", registry=documents_)
        for documents_ in (documents, registry)
    ]
    for values, expected in ((valid, True), (invalid, False)):
        for value in values:
            assert validator.is_valid(value) == expected, ("jsonschema", value)
            for grammar in grammars:
                assert accepts(grammar, json.dumps(value)) == expected, value


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"$ref": "http://example.com/name"}, ["a"], ["", 1]),
        ({"$ref": "http://example.com/name#"}, ["a"], ["", 1]),
        ({"items": {"$ref": "http://example.com/name#here"}}, [["a"]], [[""], [1]]),
        (
            {"$id": "http://example.com/x/y", "items": {"$ref": "../person"}},
            [[{"name": "a", "age": 1}], [1]],
            [[{"name": ""}], [{"age": "1"}]],
        ),
        ({"$ref": "http://example.com/person#/$defs/age"}, [1], ["a"]),
        ({"$ref": "http://example.com/person#age"}, [1], ["a"]),
        ({"$ref": "http://example.com/person#/properties/name"}, ["a"], [1, ""]),
        ({"$ref": "http://example.com/in/"}, [7], [8]),  # an id inside a document
        ({"items": {"$ref": "http://example.com/person#/$defs/in"}}, [[7]], [[8]]),
    ],
)
def test_documents_of_a_registry(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_registry(schema, DOCUMENTS, valid, invalid)


def test_documents_may_refer_to_the_root_and_to_each_other() -> None:
    root = {
        "$id": "http://example.com/root",
        "type": "object",
        "properties": {"list": {"$ref": "list"}},
        "required": ["list"],
    }
    one = {"$id": "http://example.com/list", "items": {"$ref": "item"}}
    other = {"$id": "http://example.com/item", "anyOf": [{"const": 0}, {"$ref": "root"}]}
    check_registry(
        root,
        {"http://example.com/list": one, "http://example.com/item": other},
        [{"list": []}, {"list": [0, {"list": [0]}]}],
        [{}, {"list": [1]}, {"list": [{"list": [{}]}]}],
    )


def test_a_document_may_be_json_text_and_a_boolean() -> None:
    documents = {"urn:a": '{"multipleOf": 0.01}', "urn:never": False, "urn:b#": {"const": 1}}
    properties = {name: {"$ref": f"urn:{name}"} for name in ("a", "never", "b")}
    grammar = json_schema({"type": "object", "properties": properties}, registry=documents)
    assert accepts(grammar, '{"a": 1.25}')
    assert not accepts(grammar, '{"a": 1.255}')
    assert not accepts(grammar, '{"never": 1}')
    assert accepts(grammar, '{"b": 1}')


def test_a_registry_may_retrieve() -> None:
    no_such_resource: Any = NoSuchResource  # mypy does not see what attrs makes
    new_registry: Any = Registry

    def retrieve(uri: str) -> Resource[Any]:
        if uri == "http://example.com/broken":
            raise OSError(uri)
        if uri != "http://example.com/kept":
            raise no_such_resource(ref=uri)
        return Resource.from_contents({"type": "null"}, default_specification=DRAFT202012)

    registry = new_registry(retrieve=retrieve)
    grammar = json_schema({"$ref": "http://example.com/kept"}, registry=registry)
    assert accepts(grammar, "null")
    assert not accepts(grammar, "1")
    with pytest.raises(SchemaError, match="com/other' cannot be resolved"):
        json_schema({"$ref": "http://example.com/other"}, registry=registry)
    with pytest.raises(SchemaError, match="no schema for 'http:"):
        json_schema({"$ref": "http://example.com/broken"}, registry=registry)


def test_the_registry_is_an_argument_of_every_public_front_end() -> None:
    schema = {"$ref": "http://example.com/name"}
    for grammar in (
        constrain.json_schema(schema, registry=DOCUMENTS),
        constrain.as_grammar(schema, registry=DOCUMENTS),
        constrain.json_schema(json.dumps(schema), registry=DOCUMENTS),
    ):
        assert isinstance(grammar, Grammar)
        assert accepts(grammar, '"a"')
        assert not accepts(grammar, "1")


@pytest.mark.parametrize(
    ("registry", "reason"),
    [
        (3, "a registry is a mapping of URIs to schemas, not 3"),
        ({1: {}}, "a registry is a mapping of URIs to schemas"),
        ({"urn:a": 3}, "urn:a: in the registry: must be an object or a boolean, not 3"),
        ({"urn:a": "{"}, "urn:a: the schema is not JSON text"),
        ({"urn:b": {}}, "'urn:a' cannot be resolved"),
    ],
)
def test_a_wrong_registry_is_named(registry: Any, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        json_schema({"$ref": "urn:a"}, registry=registry)


def test_messages_name_the_document() -> None:
    documents = {"urn:a": {"$defs": {"b": {"type": "strung"}}}}
    with pytest.raises(SchemaError) as caught:
        json_schema({"$ref": "urn:a#/$defs/b"}, registry=documents)
    assert caught.value.pointer == "urn:a#/$defs/b"
    nowhere = {"urn:a": {"$id": "urn:a", "items": {"$ref": "#nowhere"}}}
    with pytest.raises(SchemaError, match="'#nowhere' cannot be resolved") as caught:
        json_schema({"$ref": "urn:a"}, registry=nowhere)
    assert caught.value.pointer == "urn:a#/items"


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (  # nested ids are relative to each other
            {
                "$id": "http://example.com/a/root",
                "properties": {
                    "p": {
                        "$id": "b/",
                        "properties": {"q": {"$id": "c", "$defs": {"s": {"type": "string"}}}},
                    },
                    "r": {"$ref": "b/c#/$defs/s"},
                },
            },
            [{"r": "x"}, {"p": {"q": 1}}],
            [{"r": 1}],
        ),
        (
            {
                "$id": "urn:example:root",
                "items": {"$ref": "urn:example:item"},
                "$defs": {"i": {"$id": "urn:example:item", "$ref": "#/$defs/n",
                                "$defs": {"n": {"type": "null"}}}},
            },
            [[None]],
            [[1]],
        ),
        (  # the same anchor in two resources
            {
                "$id": "http://example.com/root",
                "prefixItems": [{"$ref": "#x"}, {"$ref": "other#x"}],
                "$defs": {
                    "x": {"$anchor": "x", "const": 1},
                    "o": {"$id": "other", "$defs": {"x": {"$anchor": "x", "const": 2}}},
                },
            },
            [[1, 2]],
            [[2], [1, 1]],
        ),
        (  # what stands in an enum or below an unknown keyword has no identity
            {
                "$id": "http://example.com/root",
                "items": {"$ref": "item"},
                "$defs": {
                    "a": {"enum": [{"$id": "item", "const": 1}]},
                    "b": {"x-mine": {"c": {"$id": "item", "const": 2}}},
                    "d": {"$id": "item", "const": 3},
                },
            },
            [[3]],
            [[1], [2]],
        ),
        (  # but a pointer reaches it
            {"x-mine": {"c": [{"type": "null"}]}, "items": {"$ref": "#/x-mine/c/0"}},
            [[None]],
            [[1]],
        ),
        (
            {
                "$schema": DRAFT7_URI,
                "definitions": {"a": {"$id": "#x", "type": "null"}},
                "items": {"$ref": "#x"},
                "additionalItems": False,
            },
            [[None]],
            [[1]],
        ),
        (  # beside `$ref` an id is void in draft 7
            {
                "$schema": DRAFT7_URI,
                "$id": "http://example.com/root",
                "definitions": {
                    "a": {"$id": "http://example.com/sub/a", "type": "string"},
                    "b": {"$id": "a", "type": "null"},
                },
                "items": {"$id": "http://example.com/sub/x", "$ref": "a", "minLength": 9},
            },
            [[None]],
            [["a"]],
        ),
        (
            {
                "$schema": DRAFT6,
                "$id": "http://example.com/root",
                "definitions": {"a": {"$id": "sub/a", "items": {"$ref": "b"}},
                                "b": {"$id": "sub/b", "const": 1}},
                "properties": {"a": {"$ref": "sub/a"}},
            },
            [{"a": [1]}],
            [{"a": [2]}],
        ),
        (
            {
                "$schema": DRAFT4,
                "id": "http://example.com/root",
                "definitions": {"a": {"id": "#x", "type": "null"},
                                "b": {"$id": "http://example.com/b", "type": "string"}},
                "items": {"$ref": "#x", "type": "string"},
                "properties": {"id": {"$ref": "#/definitions/b"}},
            },
            [[None], {"id": "a"}],
            [["a"], {"id": 1}],
        ),
        (
            {
                "$schema": DRAFT2019,
                "$id": "http://example.com/root",
                "$defs": {"a": {"$id": "a", "$anchor": "n", "type": "number"}},
                "items": {"$ref": "a#n", "maximum": 3},
            },
            [[3]],
            [[4], ["a"]],
        ),
    ],
)  # fmt: skip
def test_identifiers(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check_both_sides(schema, valid, invalid)


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (  # in draft 7 the sibling of `$ref` is void, `prefixItems` unknown
            {
                "$id": "http://example.com/root",
                "prefixItems": [{"$ref": "old"}],
                "$defs": {
                    "old": {
                        "$id": "old",
                        "$schema": DRAFT7_URI,
                        "definitions": {"s": {"type": ["string", "array"]}},
                        "allOf": [{"$ref": "#/definitions/s", "maxLength": 1}],
                        "prefixItems": [False],
                    }
                },
            },
            [["ab"], [[1]]],
            [[1]],
        ),
        (
            {
                "$schema": DRAFT4,
                "id": "http://example.com/root",
                "definitions": {
                    "new": {"$schema": DRAFT2020, "$id": "http://example.com/new",
                            "const": 1, "$defs": {"x": {"$anchor": "x", "type": "null"}}}
                },
                "items": {"$ref": "http://example.com/new"},
                "properties": {"x": {"$ref": "http://example.com/new#x"}},
                "const": "void in draft 4",
            },
            [[1], {"x": None}],
            [[2], {"x": 1}],
        ),
        (
            {
                "$id": "http://example.com/root",
                "items": {"$id": "old", "$schema": DRAFT4, "minimum": 1,
                          "exclusiveMinimum": True, "id": "http://example.com/old"},
            },
            [[2], [1.5]],
            [[1]],
        ),
    ],
)  # fmt: skip
def test_a_resource_in_another_draft(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    grammar = json_schema(schema, whitespace="flexible", property_order="any")
    for values, expected in ((valid, True), (invalid, False)):
        for value in values:
            assert accepts(grammar, json.dumps(value)) == expected, value


def test_a_registry_may_hold_older_drafts() -> None:
    old = {
        "$schema": DRAFT7_URI,
        "dependentRequired": {"a": ["b"]},
        "dependencies": {"a": ["c"]},
    }
    empty: Registry[Any] = Registry()
    grammar = json_schema(
        {"$schema": DRAFT2020, "$ref": "urn:old"},
        registry=empty.with_resource("urn:old", DRAFT7.create_resource(old)),
    )
    assert accepts(grammar, '{"a": 1, "c": 1}')
    assert not accepts(grammar, '{"a": 1, "b": 1}')


def test_definitions_that_nothing_refers_to_are_not_looked_into() -> None:
    broken = {
        "type": "strung",
        "$id": 3,
        "$anchor": [],
        "items": 7,
        "properties": 3,
        "allOf": 1,
    }
    schema = {
        "$defs": {"broken": broken, "good": {"$anchor": "x", "type": "string"}},
        "definitions": {"broken": {"$ref": "#/nowhere"}, "not a schema": 3},
        "items": {"$ref": "#x"},
    }
    grammar = json_schema(schema)
    assert accepts(grammar, '["a"]')
    assert not accepts(grammar, "[1]")


CORE = "https://json-schema.org/draft/2020-12/vocab/core"
MINE = "http://example.com/mine"


def metaschema(**vocabularies: bool) -> dict[str, Any]:
    """A registry of one metaschema with the core and some other vocabularies of 2020-12."""
    prefix = CORE.removesuffix("core")
    listed = {prefix + name.replace("_", "-"): flag for name, flag in vocabularies.items()}
    return {MINE: {"$schema": DRAFT2020, "$id": MINE, "$vocabulary": {CORE: True, **listed}}}


def test_vocabularies_that_are_not_listed_say_nothing() -> None:
    schema = {
        "$schema": MINE,
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": False, "c": {"items": {"minimum": 1}}},
        "dependentSchemas": {"d": {"required": ["e"]}},
    }
    applicator = json_schema(schema, registry=metaschema(applicator=True))
    for text, expected in (
        ("1", True), ('{"a": 1}', True), ('{"b": 1}', False), ('{"c": [0]}', True),
        ('{"d": 1}', True),
    ):  # fmt: skip
        assert accepts(applicator, text) == expected, text
    assert "unknown keyword 'type' at #" in applicator.notes
    validation = json_schema(schema, registry=metaschema(validation=True))
    for text, expected in (("1", False), ('{"a": 1}', True), ('{"b": 1}', True)):
        assert accepts(validation, text) == expected, text


def test_made_up_schemas_need_no_vocabulary() -> None:
    schema = {"$schema": MINE, "dependentRequired": {"a": ["b"]}, "enum": [{}, {"a": 1}, [1]]}
    grammar = json_schema(schema, registry=metaschema(validation=True))
    for text, expected in (("{}", True), ('{"a": 1}', False), ("[1]", True), ("[2]", False)):
        assert accepts(grammar, text) == expected, text


def test_unknown_vocabularies_are_refused_only_if_required() -> None:
    registry = metaschema(applicator=True)
    registry[MINE]["$vocabulary"]["http://example.com/vocabulary"] = False
    grammar = json_schema({"$schema": MINE, "items": False}, registry=registry)
    assert not accepts(grammar, "[1]")
    registry[MINE]["$vocabulary"]["http://example.com/vocabulary"] = True
    with pytest.raises(UnsupportedSchemaError, match="must be understood") as caught:
        json_schema({"$schema": MINE}, registry=registry)
    assert caught.value.keyword == "$vocabulary"
    with pytest.raises(SchemaError, match="must be an object of booleans"):
        json_schema({"$schema": MINE}, registry={MINE: {"$vocabulary": [CORE]}})


def test_an_unknown_metaschema_is_noted() -> None:
    grammar = json_schema({"$schema": "http://example.com/unknown", "type": "string"})
    assert any("unknown $schema" in note for note in grammar.notes)
    assert not accepts(grammar, "1")


BYTES = constrain.Vocabulary([*(bytes([byte]) for byte in range(256)), b""], end_ids=[256])


def is_whole(compiled: constrain.CompiledGrammar, text: str) -> bool:
    """Whether a compiled grammar accepts a text: the metaschemas are much for the oracle."""
    matcher = compiled.matcher()
    try:
        matcher.accept_bytes(text.encode())
    except constrain.TokenRejectedError:
        return False
    return matcher.is_accepting


METASCHEMAS = (DRAFT4, DRAFT6, DRAFT7_URI, DRAFT2019, DRAFT2020)


@pytest.mark.parametrize("uri", METASCHEMAS)
def test_the_metaschemas_are_exact(uri: str) -> None:
    validator = validator_for({"$schema": uri})
    values: list[Any] = [
        {}, {"type": "string"}, {"type": "strung"}, {"type": ["string", "null"]}, {"type": []},
        {"minLength": 1}, {"minLength": -1}, {"minLength": 1.5}, {"pattern": "a+"},
        {"properties": {"a": {"type": "object"}}}, {"properties": {"a": {"type": 1}}},
        {"properties": {"a": 1}}, {"items": [{"type": 1}]}, {"items": {"maxItems": 2}},
        {"allOf": []}, {"allOf": [{"not": {"required": ["a"]}}]}, {"required": ["a", "a"]},
        {"required": ["a", "b"]}, {"multipleOf": 0}, {"multipleOf": 0.5}, {"enum": [1, "a"]},
        {"$ref": "#/a"}, {"default": {"type": 1}}, {"unknown": {"type": 1}},
        {"not": {"anyOf": [{"properties": {"a": {"items": {"type": "strung"}}}}]}},
        {"dependencies": {"a": ["b"]}}, {"dependencies": {"a": {"type": 1}}}, 1, None, [],
        {"additionalProperties": {"type": 1}}, {"additionalProperties": False},
        {"exclusiveMinimum": 3, "minimum": 1}, {"title": 3}, {"definitions": {"a": []}},
    ]  # fmt: skip
    of_meta = validator(validator.META_SCHEMA)
    for schema in ({"$ref": uri}, {"$schema": uri, "$ref": uri}, validator.META_SCHEMA):
        grammar = json_schema(schema, whitespace="flexible", property_order="any")
        compiled = constrain.compile(grammar, BYTES)
        for value in values:
            assert is_whole(compiled, json.dumps(value)) == of_meta.is_valid(value), value
