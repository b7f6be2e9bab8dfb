"""Schema resources: what a URI or an anchor names, in the document and in a registry.

A resource is a schema with an identity of its own: the root, a schema below it with an id, a
document of the registry, a metaschema. Nothing is fetched. A document is searched for ids and
anchors only when a reference asks for more than a JSON pointer, and only where its draft has
schemas: what stands in an `enum` or below an unknown keyword identifies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from constrain.errors import SchemaError, shorten
from constrain.schema.drafts import ANY_DRAFT, Draft, standard_draft, with_vocabularies
from constrain.schema.json_text import escaped, found, read_json

if TYPE_CHECKING:
    from referencing import Registry

    Documents: TypeAlias = Registry[Any] | Mapping[str, object]
    """What a user may give for a registry: `referencing`'s, or URI -> schema or JSON text."""

RECURSIVE: Final = ""
"""The name under which `$recursiveAnchor` is kept; no `$dynamicAnchor` has it."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

Path: TypeAlias = "tuple[Path, str] | None"
"""The segments of a JSON pointer, last first: cheap to make at any depth."""


def segments(path: Path) -> str:
    """A path as the text of a JSON pointer.

    >>> segments(((None, "a/b"), "0"))
    '/a~1b/0'
    """
    parts: list[str] = []
    while path is not None:
        parts.append(escaped(path[1]))
        path = path[0]
    return "".join(f"/{part}" for part in reversed(parts))


class Resource:
    """A schema that references are relative to.

    Attributes:
        uri: absolute if it has an id; without fragment.
        draft: what its schemas are written in.
        schema: its root.
        document: the URI of the document it is in; "" for that of the root schema.
        path: where in the document its root stands.
        anchors: name -> schema and pointer within the document; the dynamic ones too.
        dynamic: those made by `$dynamicAnchor`, and `RECURSIVE` if there is one.
    """

    __slots__ = ("anchors", "document", "draft", "dynamic", "path", "schema", "uri")

    def __init__(
        self, uri: str, draft: Draft, schema: object, document: str = "", path: Path = None
    ) -> None:
        self.uri = uri
        self.draft = draft
        self.schema: Any = schema
        self.document = document
        self.path = path
        self.anchors: dict[str, tuple[Any, Path]] = {}
        self.dynamic: dict[str, tuple[Any, Path]] = {}

    def pointer_to(self, path: Path) -> str:
        """The pointer of a place of the document; the root document's begin with "#"."""
        return f"{self.document}#{segments(path)}"

    @property
    def pointer(self) -> str:
        """The pointer of the resource's root."""
        return self.pointer_to(self.path)


class Library:
    """The resources that references from one root schema can name.

    Attributes:
        root: the resource of the root schema.
        notes: a `$schema` that is not known.
    """

    def __init__(self, schema: object, documents: Documents | None = None) -> None:
        self.notes: list[str] = []
        self._documents, self._registry = _separated(documents)
        self._unsearched = dict.fromkeys(self._documents)
        self._drafts: dict[str, Draft | None] = {}
        self._by_uri: dict[str, Resource] = {}
        # By the schema's id and the resource around it, which the relative id depends on.
        self._inner: dict[tuple[int, Resource], Resource] = {}
        self._unexpected: dict[tuple[int, Resource], Resource] = {}
        self._is_searched = False
        draft = self.draft_of(schema, ANY_DRAFT)
        self.root = Resource(_own_uri(schema, draft, ""), draft, schema)
        self._by_uri[self.root.uri] = self.root

    def draft_of(self, schema: object, default: Draft) -> Draft:
        """The draft that a schema's `$schema` names, else `default`.

        Raises:
            SchemaError, UnsupportedSchemaError: a metaschema's `$vocabulary`.
        """
        uri = schema.get("$schema") if isinstance(schema, dict) else None
        if not isinstance(uri, str):
            return default
        if uri not in self._drafts:
            self._drafts[uri] = None  # a metaschema may be written in itself
            self._drafts[uri] = self._named_draft(uri)
        draft = self._drafts[uri]
        return default if draft is None else draft

    def _named_draft(self, uri: str) -> Draft | None:
        metaschema = None
        if (self._documents or self._registry is not None) and "//json-schema.org/" not in uri:
            metaschema = self._contents(uri.partition("#")[0])
        if isinstance(metaschema, dict):
            draft = self.draft_of(metaschema, ANY_DRAFT)
            if "$vocabulary" in metaschema:
                draft = with_vocabularies(draft, metaschema["$vocabulary"], uri)
            return draft
        standard = standard_draft(uri)
        if standard is None:
            self.notes.append(f"unknown $schema {shorten(uri)}: all keywords are understood")
        return standard

    def search(self) -> None:
        """Find the ids and anchors of the root document, if that was not done.

        Cost: linear in the size of the document.
        """
        if not self._is_searched:
            self._is_searched = True
            self._search(self.root)

    def inner(self, schema: dict[str, Any], around: Resource) -> Resource:
        """The resource that a schema in `around` starts, else `around`."""
        if schema is around.schema:
            return around
        known = self._inner.get((id(schema), around))
        if known is not None:
            return known
        started = self._started(schema, around)
        if started is None:
            return around
        known = self.found_below(schema, around)
        if known is around:  # it stands where no draft has schemas, and is used as one
            unexpected = self._unexpected.get((id(schema), around))
            if unexpected is None:
                unexpected = Resource(*started, schema, started[0])
                self._unexpected[id(schema), around] = unexpected
                self._search(unexpected)
            return unexpected
        return known

    def found_below(self, value: dict[str, Any], around: Resource) -> Resource:
        """As `inner`, for a dict on a pointer's way, which may be no schema."""
        self.search()
        return self._inner.get((id(value), around), around)

    def named(self, uri: str) -> Resource | None:
        """The resource of a URI without fragment, or None.

        Raises:
            SchemaError: what the registry has there is no schema, or cannot be had.
        """
        known = self._by_uri.get(uri)
        if known is None:
            self.search()
            known = self._by_uri.get(uri)
        if known is None:
            contents = self._contents(uri)
            if contents is not None:
                return self._add(uri, contents)
            if self._searched_documents():
                known = self._by_uri.get(uri)
        return known

    def _add(self, uri: str, contents: object) -> Resource:
        """The resource of a document that was asked for by a URI."""
        draft = self.draft_of(contents, self.root.draft)
        own = _own_uri(contents, draft, uri)
        known = self._by_uri.get(own)
        if known is None or known.schema is not contents:
            known = Resource(own, draft, contents, uri)
            self._by_uri.setdefault(own, known)
            self._search(known)
        self._by_uri.setdefault(uri, known)
        return known

    def _searched_documents(self) -> bool:
        """Whether the documents of a plain mapping were not searched for ids before."""
        if not self._unsearched:
            return False
        documents, self._unsearched = self._unsearched, {}
        for uri in documents:
            contents = self._contents(uri)
            if contents is not None:
                self._add(uri, contents)
        return True

    def _contents(self, uri: str) -> object:
        """The schema of a URI in the registry or among the metaschemas, or None."""
        contents = self._documents.get(uri)
        if contents is None and self._registry is not None:
            contents = _retrieved(self._registry, uri)
        if contents is None:
            from jsonschema_specifications import REGISTRY

            contents = _retrieved(REGISTRY, uri)
        if isinstance(contents, str):
            try:
                contents = read_json(contents)
            except SchemaError as error:
                raise SchemaError(error.reason, pointer=uri, value=contents) from error
            self._documents[uri] = contents
        if contents is not None and not isinstance(contents, (dict, bool)):
            reason = f"in the registry: must be an object or a boolean, not {found(contents)}"
            raise SchemaError(reason, pointer=uri, value=contents)
        return contents

    def _started(self, schema: dict[str, Any], around: Resource) -> tuple[str, Draft] | None:
        """The URI and draft of the resource that a schema in `around` starts."""
        draft = self.draft_of(schema, around.draft)
        value = schema.get(draft.id_keyword)
        if not isinstance(value, str) or value.startswith("#"):
            return None
        if draft.ref_hides_siblings and "$ref" in schema:
            return None
        uri, fragment = joined(around.uri, value)
        return None if fragment and uri == around.uri else (uri, draft)

    def _search(self, resource: Resource) -> None:
        """Find the ids and anchors in a resource; each place is looked at once."""
        pending: list[tuple[Any, Path, Resource]] = [(resource.schema, resource.path, resource)]
        seen: set[tuple[int, Resource]] = set()
        while pending:
            schema, path, around = pending.pop()
            if not isinstance(schema, dict) or (id(schema), around) in seen:
                continue
            seen.add((id(schema), around))
            started = None if schema is around.schema else self._started(schema, around)
            if started is not None:
                inner = Resource(*started, schema, around.document, path)
                self._by_uri.setdefault(inner.uri, inner)
                self._inner[id(schema), around] = inner
                around = inner
            _note_anchors(schema, path, around)
            below = [(child, at, around) for child, at in _children(schema, path, around.draft)]
            pending.extend(reversed(below))


def _separated(documents: Documents | None) -> tuple[dict[str, object], Registry[Any] | None]:
    """Schemas by URI without fragment, and `referencing`'s registry, of which one is empty."""
    if documents is None:
        return {}, None
    from referencing import Registry
    from referencing import Resource as Referenced

    if isinstance(documents, Registry):
        return {}, documents
    if not _is_mapping(documents):
        reason = f"a registry is a mapping of URIs to schemas, not {shorten(documents)}"
        raise SchemaError(reason)
    return {
        uri.rstrip("#"): schema.contents if isinstance(schema, Referenced) else schema
        for uri, schema in documents.items()
    }, None


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(uri, str) for uri in value)


def joined(base: str, reference: str) -> tuple[str, str]:
    """A URI reference made absolute, and its fragment (RFC 3986, section 5.2).

    >>> joined("http://e.x/a/b", "../c#d")
    ('http://e.x/c', 'd')
    """
    uri, _, fragment = reference.partition("#")
    if not uri or not base:
        return uri or base, fragment
    from urllib.parse import urljoin

    # `urljoin` knows a list of schemes; to any other with an authority the same rules apply.
    scheme, separator, rest = base.partition("://")
    try:
        if not separator or _SCHEME.match(uri):
            return urljoin(base, uri), fragment
        return scheme + urljoin("http://" + rest, uri)[len("http") :], fragment
    except ValueError:  # no URI: it will not be found
        return uri, fragment


def _own_uri(schema: object, draft: Draft, base: str) -> str:
    value = schema.get(draft.id_keyword) if isinstance(schema, dict) else None
    if draft.ref_hides_siblings and isinstance(schema, dict) and "$ref" in schema:
        return base
    return joined(base, value)[0] if isinstance(value, str) else base


def _note_anchors(schema: dict[str, Any], path: Path, resource: Resource) -> None:
    """Keep the anchors that a schema of a resource defines."""
    draft = resource.draft
    if draft.id_anchors and not (draft.ref_hides_siblings and "$ref" in schema):
        value = schema.get(draft.id_keyword)
        if isinstance(value, str) and "#" in value:
            resource.anchors.setdefault(value.partition("#")[2], (schema, path))
    if not draft.anchors:
        return
    name = schema.get("$anchor")
    if isinstance(name, str):
        resource.anchors.setdefault(name, (schema, path))
    name = schema.get("$dynamicAnchor")
    if isinstance(name, str) and name and "$dynamicRef" in draft.keywords:
        resource.dynamic.setdefault(name, (schema, path))
        resource.anchors.setdefault(name, (schema, path))
    is_root = schema is resource.schema and "$recursiveRef" in draft.keywords
    if is_root and schema.get("$recursiveAnchor") is True:
        resource.dynamic[RECURSIVE] = (schema, path)


def _children(schema: dict[str, Any], path: Path, draft: Draft) -> Iterator[tuple[Any, Path]]:
    """The schemas directly below a schema."""
    for keyword, value in schema.items():
        if keyword in draft.children:
            if isinstance(value, (list, tuple)):
                at = (path, keyword)
                yield from ((child, (at, str(i))) for i, child in enumerate(value))
            else:
                yield value, (path, keyword)
        elif keyword in draft.named_children and isinstance(value, dict):
            at = (path, keyword)
            yield from ((child, (at, name)) for name, child in value.items())


def _retrieved(registry: Registry[Any], uri: str) -> object:
    """What a registry has under a URI, or None.

    Raises:
        SchemaError: it cannot be had, or a document of the registry is no schema.
    """
    from referencing.exceptions import CannotDetermineSpecification, NoSuchResource

    try:
        contents: object = registry.get_or_retrieve(uri).value.contents
    except NoSuchResource:
        return None
    # `referencing` trusts that whatever stands where a schema should is a schema.
    except (
        CannotDetermineSpecification, ValueError, TypeError, AttributeError, LookupError,
    ) as error:  # fmt: skip
        reason = f"the registry has no schema for {shorten(uri)}: {error!r}"
        raise SchemaError(reason, pointer=uri) from error
    return contents
