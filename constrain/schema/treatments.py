"""How each keyword of a schema is treated: exactly, as an annotation, or left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from typing import Literal as OneWordOf

from constrain.errors import shorten
from constrain.schema.document import Document
from constrain.schema.formats import format_use
from constrain.schema.normal import X_WEIGHT
from constrain.schema.reachable import Visit, reachable
from constrain.schema.relaxing import Relaxation

Treatment = OneWordOf["exact", "narrowed", "annotation", "relaxed"]

# They constrain nothing by themselves, and are obeyed.
_OBEYED: Final = frozenset({
    "$anchor", "$defs", "$dynamicAnchor", "$id", "$recursiveAnchor", "$schema", "definitions",
    "id",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeywordUse:
    """One keyword at one place of a schema.

    Attributes:
        pointer: JSON pointer of the schema it stands in.
        keyword: its name, known or not.
        treatment: "exact": it means what the standard says; "narrowed": a format some of whose
            texts are left out, since they are no regular language; "annotation": it constrains
            nothing; "relaxed": it is left out (`oneOf`: read as `anyOf`).
        reason: why it is not exact, or "".
    """

    pointer: str
    keyword: str
    treatment: Treatment
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a grammar keeps of the schema it was made from.

    Attributes:
        document: the schema and its references.
        relaxations: what was left out.
    """

    document: Document
    relaxations: tuple[Relaxation, ...] = ()


def treatments(source: Source) -> tuple[KeywordUse, ...]:
    """Every keyword of every schema that the root reaches, in the order of the document.

    Cost: linear in the size of these schemas.
    """
    relaxed = {(one.pointer, one.keyword): one.reason for one in source.relaxations}
    visits = {id(visit.place[0]): visit for visit in reversed(reachable(source.document))}
    return tuple(
        use for visit in reversed(visits.values()) for use in _of_schema(visit, relaxed)
    )


def _of_schema(visit: Visit, relaxed: dict[tuple[str, str], str]) -> Iterator[KeywordUse]:
    schema, pointer, scope = visit.place
    for keyword in schema:
        if (pointer, keyword) in relaxed:
            yield KeywordUse(pointer, keyword, "relaxed", relaxed[pointer, keyword])
            continue
        reason = ""
        if keyword not in visit.keywords and keyword not in _OBEYED:
            if keyword == X_WEIGHT:
                reason = "biases, and forbids nothing"
            elif keyword not in scope.draft.known:
                reason = "unknown keyword"
            elif keyword in scope.draft.keywords:
                reason = "says nothing beside the keywords here"
            yield KeywordUse(pointer, keyword, "annotation", reason)
        elif keyword == "format":
            yield _of_format(pointer, schema["format"])
        else:
            yield KeywordUse(pointer, keyword, "exact")


def _of_format(pointer: str, name: str) -> KeywordUse:
    use = format_use(name)
    if use is None:
        return KeywordUse(pointer, "format", "annotation", f"{shorten(name)} is not known")
    if use.is_annotation:
        return KeywordUse(pointer, "format", "annotation", f"{shorten(name)} asserts nothing")
    if use.left_out:
        return KeywordUse(
            pointer, "format", "narrowed", f"{shorten(name)} without {use.left_out}"
        )
    return KeywordUse(pointer, "format", "exact")
