"""The keywords of objects -> object cases."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import reduce
from typing import Any

from constrain.errors import UnsupportedSchemaError
from constrain.grammar.ir import Node
from constrain.schema.document import Need, Place, escaped
from constrain.schema.evaluation import EvaluatedKeys
from constrain.schema.keys import MAX_PATTERNS, is_universal, matches, pattern_sets
from constrain.schema.needs import conjoin_needs
from constrain.schema.objects import ObjectCase
from constrain.schema.reading import count_of, malformed, need_of
from constrain.schema.strings import pattern_node


def object_cases(
    place: Place, keywords: AbstractSet[str], *, annotate: bool
) -> tuple[ObjectCase, ...]:
    """What a schema's own keywords allow of objects.

    Args:
        place: the schema, a dict.
        keywords: those of its keys that its draft knows to constrain.
        annotate: whether the case shall say what it evaluated.

    Raises:
        SchemaError: a keyword's value is malformed.
        UnsupportedSchemaError: too many patterns of keys.
    """
    schema, pointer, scope = place
    needs: dict[str, Need] = {}
    if "properties" in keywords:
        properties = schema["properties"]
        if not isinstance(properties, dict):
            raise malformed("properties", "an object", place)
        prefix = pointer + "/properties/"
        for name, child in properties.items():
            if child is True or child is False or not child:
                needs[name] = need_of(child, prefix + escaped(name), place)
            else:
                needs[name] = ((child, prefix + escaped(name), scope),)
    additional: Need = ()
    if "additionalProperties" in keywords:
        child = schema["additionalProperties"]
        additional = need_of(child, pointer + "/additionalProperties", place)
    required = _required(place, keywords)
    case = ObjectCase(
        needs,
        frozenset(required),
        additional,
        count_of(place, "minProperties", keywords) or 0,
        count_of(place, "maxProperties", keywords),
        pointer,
    )
    evaluated = EvaluatedKeys(frozenset(needs))
    if "patternProperties" in keywords:
        patterns = _classify(case, place)
        evaluated = replace(
            evaluated, keys=patterns, everything=any(map(is_universal, patterns))
        )
    if annotate:
        is_closed = "additionalProperties" in keywords
        case.evaluated = EvaluatedKeys(everything=True) if is_closed else evaluated
    for name in required:
        if name not in needs:
            needs[name] = case.need_of(name)
    return () if case.is_empty else (case,)


def _classify(case: ObjectCase, place: Place) -> tuple[Node, ...]:
    """Give a new case the classes of keys that `patternProperties` makes; the patterns."""
    patterns = place[0]["patternProperties"]
    if not isinstance(patterns, dict):
        raise malformed("patternProperties", "an object", place)
    prefix = place[1] + "/patternProperties/"
    nodes: list[Node] = []
    needs: list[Need] = []
    for pattern, child in patterns.items():
        node = pattern_node(pattern, place[1], "patternProperties")
        need = need_of(child, prefix + escaped(pattern), place)
        for name in case.properties:
            if matches(node, name):
                case.properties[name] = conjoin_needs(case.properties[name], need)
        nodes.append(node)
        needs.append(need)
    everywhere = [need for node, need in zip(nodes, needs, strict=True) if is_universal(node)]
    if everywhere:  # every key matches a pattern: none is additional
        case.additional = ()
    some = [i for i, node in enumerate(nodes) if not is_universal(node)]
    if not case.additional:
        some = [i for i in some if needs[i]]
    if len(some) > MAX_PATTERNS:
        raise UnsupportedSchemaError(
            f"more than {MAX_PATTERNS} patterns are not supported",
            pointer=place[1], keyword="patternProperties", value=patterns,
        )  # fmt: skip
    nothing: Need = ()
    common = reduce(conjoin_needs, everywhere, nothing)
    case.additional = conjoin_needs(case.additional, common)
    case.classes = tuple(
        (key, reduce(conjoin_needs, (needs[some[i]] for i in matched), common))
        for key, matched in pattern_sets([nodes[i] for i in some])
    )
    return tuple(nodes)


def _required(place: Place, keywords: AbstractSet[str]) -> list[Any]:
    if "required" not in keywords:
        return []
    required = place[0]["required"]
    if not isinstance(required, (list, tuple)):
        raise malformed("required", "an array of strings", place)
    for name in required:
        if not isinstance(name, str):
            raise malformed("required", "an array of strings", place)
    return list(required)
