"""The versions of JSON Schema: which keywords each understands, and where its schemas nest.

A metaschema of one's own is a version too: its `$vocabulary` leaves keywords out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from constrain.errors import SchemaError, UnsupportedSchemaError, shorten

_DRAFT4: Final = frozenset({
    "$ref", "type", "enum", "properties", "required", "additionalProperties",
    "patternProperties", "minProperties", "maxProperties", "dependencies", "items",
    "additionalItems", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength",
    "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "allOf", "anyOf", "oneOf", "not",
})  # fmt: skip
_DRAFT6: Final = _DRAFT4 | {"const", "contains", "propertyNames", "$id"}
_DRAFT7: Final = _DRAFT6 | {"if", "then", "else"}
_DRAFT2019: Final = _DRAFT7 | {
    "dependentRequired", "dependentSchemas", "minContains", "maxContains",
    "unevaluatedItems", "unevaluatedProperties", "$recursiveRef",
}  # fmt: skip
# `dependencies` is no keyword of these two, but their authors ask for it to be understood.
_DRAFT2020: Final = _DRAFT2019 - {"additionalItems", "$recursiveRef"} | {
    "prefixItems", "$dynamicRef",
}  # fmt: skip

_ANNOTATIONS: Final = frozenset({
    "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary",
    "$comment", "$defs", "definitions", "title", "description", "default", "examples",
    "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType",
    "contentSchema", "then", "else", "minContains", "maxContains",
})  # fmt: skip

# Keywords whose value is a schema or an array of schemas, and those whose values are.
_CHILDREN: Final = frozenset({
    "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "else", "if",
    "items", "not", "oneOf", "prefixItems", "propertyNames", "then", "unevaluatedItems",
    "unevaluatedProperties",
})  # fmt: skip
_NAMED_CHILDREN: Final = frozenset({
    "dependencies", "dependentSchemas", "patternProperties", "properties",
})  # fmt: skip

_UNEVALUATED: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})

_VOCABULARY: Final = re.compile(r"https://json-schema\.org/draft/(2019-09|2020-12)/vocab/(.*)")
# What each vocabulary adds to the core; what is not listed here belongs to the core.
_VOCABULARIES: Final[Mapping[str, frozenset[str]]] = {
    "core": frozenset(),
    "applicator": (_CHILDREN | _NAMED_CHILDREN) - _UNEVALUATED,
    "unevaluated": _UNEVALUATED,
    "validation": frozenset({
        "type", "enum", "const", "multipleOf", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "maxItems",
        "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties",
        "required", "dependentRequired",
    }),
    "format": frozenset({"format"}),
    "format-annotation": frozenset({"format"}),
    "format-assertion": frozenset({"format"}),
    "meta-data": frozenset(),
    "content": frozenset(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What one version of JSON Schema understands.

    Attributes:
        name: as in the `$schema` URI.
        keywords: keywords that constrain a value or change what a reference means.
        known: these and the standard's annotations.
        id_keyword: "$id", or "id" in draft 4.
        ref_hides_siblings: `$ref` makes its sibling keywords void (draft 7 and older).
        boolean_bounds: `exclusiveMinimum: true` is understood.
        id_anchors: an id that is a mere fragment (`#name`) is an anchor (draft 7 and older).
        anchors: `$anchor` is understood.
        children: keywords whose value is a schema or an array of schemas.
        named_children: keywords whose value is an object of schemas.
    """

    name: str
    keywords: frozenset[str]
    known: frozenset[str]
    id_keyword: str = "$id"
    ref_hides_siblings: bool = False
    boolean_bounds: bool = False
    id_anchors: bool = True
    anchors: bool = False
    children: frozenset[str] = frozenset()
    named_children: frozenset[str] = frozenset()


def _draft(name: str, keywords: frozenset[str]) -> Draft:
    children = _CHILDREN & keywords
    is_modern = "dependentSchemas" in keywords
    return Draft(
        name,
        keywords,
        keywords | _ANNOTATIONS,
        ref_hides_siblings=not is_modern,
        id_anchors=not is_modern,
        anchors=is_modern,
        children=children | {"contentSchema"} if is_modern else children,
        # `$defs` is used in older drafts too, and nobody means anything else by it.
        named_children=_NAMED_CHILDREN & keywords | {"$defs", "definitions"},
    )


_DRAFTS: Final = {
    "draft-04": replace(
        _draft("draft-04", _DRAFT4 | {"id"}), id_keyword="id", boolean_bounds=True
    ),
    "draft-06": _draft("draft-06", _DRAFT6),
    "draft-07": _draft("draft-07", _DRAFT7),
    "2019-09": _draft("2019-09", _DRAFT2019),
    "2020-12": _draft("2020-12", _DRAFT2020),
}
ANY_DRAFT: Final = replace(
    _draft("2020-12 with the older keywords", _DRAFT2020 | _DRAFT2019 | _DRAFT7),
    boolean_bounds=True,
    id_anchors=True,
)
"""Where no `$schema` says more."""


def standard_draft(uri: str) -> Draft | None:
    """The draft whose metaschema has this URI, by the last folder of its path.

    >>> standard_draft("http://json-schema.org/draft-07/schema#").name
    'draft-07'
    """
    parts = uri.rstrip("#").rstrip("/").split("/")
    return _DRAFTS.get(parts[-2] if len(parts) > 1 else "")


def with_vocabularies(draft: Draft, vocabularies: object, uri: str) -> Draft:
    """A draft without the keywords of vocabularies that a metaschema does not list.

    Args:
        draft: of the metaschema.
        vocabularies: value of its `$vocabulary`: whether each must be understood.
        uri: of the metaschema, for messages.

    Raises:
        SchemaError: malformed.
        UnsupportedSchemaError: an unknown vocabulary that must be understood.
    """
    if not isinstance(vocabularies, dict) or not all(
        isinstance(flag, bool) for flag in vocabularies.values()
    ):
        reason = "must be an object of booleans"
        raise SchemaError(reason, pointer=uri, keyword="$vocabulary", value=vocabularies)
    listed: frozenset[str] = frozenset()
    for name, is_required in vocabularies.items():
        match = _VOCABULARY.fullmatch(str(name))
        added = _VOCABULARIES.get(match[2]) if match else None
        if match and match.groups() == ("2019-09", "applicator"):
            listed |= _UNEVALUATED
        if added is not None:
            listed |= added
        elif is_required:
            reason = f"vocabulary {shorten(name)} must be understood and is not"
            raise UnsupportedSchemaError(
                reason, pointer=uri, keyword="$vocabulary", value=vocabularies
            )
    left_out = frozenset[str]().union(*_VOCABULARIES.values()) - listed
    return replace(
        draft,
        name=uri,
        keywords=draft.keywords - left_out,
        known=draft.known - left_out,
        children=draft.children - left_out,
        named_children=draft.named_children - left_out,
    )
