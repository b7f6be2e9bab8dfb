"""The formats of identifiers and paths (URI, IRI, templates, JSON pointers) as regular nodes.

Sources: RFC 3986 appendix A (uri, uri-reference), RFC 3987 section 2.2 (iri), RFC 6570 section
2 with erratum 6937 (uri-template), RFC 6901 section 3 (json-pointer),
draft-handrews-relative-json-pointer-01 (relative-json-pointer).
"""

from __future__ import annotations

from functools import cache
from typing import Final

from constrain.grammar.ir import Choice, Literal, Node, Repeat, Sequence
from constrain.schema.formats_names import ipv6
from constrain.schema.strings import matching

_HEX: Final = "[0-9A-Fa-f]"
_ENCODED: Final = rf"%{_HEX}{{2}}"
_SUBSET: Final = "!$&'()*+,;="
_UCS: Final = (
    "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(p << 16)}-{chr((p << 16) + 0xFFFD)}" for p in range(1, 14))
    + "\U000e1000-\U000efffd"
)
_PRIVATE: Final = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_VARIABLE: Final = (
    rf"(?:[0-9A-Za-z_]|{_ENCODED})(?:\.?(?:[0-9A-Za-z_]|{_ENCODED}))*(?:\*|:[1-9]\d{{0,3}})?"
)
_URI_TEMPLATE: Final = (
    rf"(?:[!#$&'(-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|{_ENCODED}"
    rf"|\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"
)
_POINTER: Final = r"(?:/(?:[^~/]|~[01])*)*"


@cache
def uri() -> Node:
    """An absolute or rootless URI, with its scheme."""
    return _identifier("", "", relative=False)


@cache
def uri_reference() -> Node:
    """A URI or a relative reference."""
    return _identifier("", "", relative=True)


@cache
def iri() -> Node:
    """A URI with RFC 3987's characters."""
    return _identifier(_UCS, _PRIVATE, relative=False)


@cache
def iri_reference() -> Node:
    """A URI reference with RFC 3987's characters."""
    return _identifier(_UCS, _PRIVATE, relative=True)


@cache
def uri_template() -> Node:
    """A template of any level."""
    return matching(_URI_TEMPLATE)


@cache
def json_pointer() -> Node:
    """A pointer in its string form."""
    return matching(_POINTER)


@cache
def relative_json_pointer() -> Node:
    """A number of steps up, then `#` or a pointer (no index manipulation, as in draft 7)."""
    return matching(rf"(?:0|[1-9]\d*)(?:#|{_POINTER})")


def _identifier(more: str, private: str, *, relative: bool) -> Node:
    """RFC 3986's URI, or URI-reference; `more` and `private` are an IRI's characters."""
    unreserved = rf"0-9A-Za-z._~\-{more}"
    character = matching(rf"[{unreserved}{_SUBSET}:@]|{_ENCODED}")
    slash = Literal("/")
    further = Repeat(Sequence((slash, Repeat(character))))
    some = Repeat(character, 1)
    user = matching(rf"(?:(?:[{unreserved}{_SUBSET}:]|{_ENCODED})*@)?")
    name = matching(rf"(?:[{unreserved}{_SUBSET}]|{_ENCODED})*")
    future = matching(rf"[vV]{_HEX}+\.[0-9A-Za-z._~\-{_SUBSET}:]+")
    literal = Sequence((Literal("["), Choice((ipv6(), future)), Literal("]")))
    host = Choice((literal, name))
    authority = Sequence((Literal("//"), user, host, matching(r"(?::\d*)?"), further))
    absolute = Sequence((slash, Repeat(Sequence((some, further)), 0, 1)))
    rooted = Choice((authority, absolute, Sequence((some, further)), Literal("")))
    query = Repeat(
        Sequence((Literal("?"), Repeat(Choice((character, matching(rf"[/?{private}]")))))), 0, 1
    )
    fragment = Repeat(
        Sequence((Literal("#"), Repeat(Choice((character, matching("[/?]")))))), 0, 1
    )
    scheme = matching(r"[A-Za-z][0-9A-Za-z+.\-]*:")
    whole: Node = Sequence((scheme, rooted))
    if relative:
        no_colon = matching(rf"(?:[{unreserved}{_SUBSET}@]|{_ENCODED})+")
        rootless = Choice((authority, absolute, Sequence((no_colon, further)), Literal("")))
        whole = Choice((whole, rootless))
    return Sequence((whole, query, fragment))
