"""`on_unsupported="relax"`: what is left out of a schema so that the rest can be exact.

Only what makes the language wider is left out. A keyword whose schema is reached by
conjunctions, unions and children alone can go by itself. Under `not`, under `if`, in a branch
of `oneOf` and in a counted `contains` less demand may mean fewer values, so there the whole
outermost `not`, `if` with its `then` and `else`, or `contains` goes, and `oneOf` is read as
`anyOf`. Keywords that speak of "the other" keys or items go with what they count from.

This module decides; `Normalizer` collects what it had to refuse and obeys.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from constrain.errors import UnsupportedSchemaError
from constrain.schema.document import Document, Need, Place
from constrain.schema.needs import Either, Negation
from constrain.schema.reachable import Visit, reachable

MAX_PASSES: Final = 16
"""How often a schema may be found to hold more that is unsupported."""

_CHILDREN_COUNT: Final = frozenset({
    "$dynamicRef", "$recursiveRef", "$ref", "additionalItems", "additionalProperties", "allOf",
    "anyOf", "contains", "dependencies", "dependentSchemas", "if", "items",
    "patternProperties", "prefixItems", "properties", "unevaluatedItems",
    "unevaluatedProperties",
})  # fmt: skip
"""Keywords whose children count as evaluated for `unevaluatedItems` and `…Properties`."""
_NEGATING: Final = ("oneOf", "not", "if")
_UNEVALUATED: Final = ("unevaluatedItems", "unevaluatedProperties")
# What goes along: the rest is counted from these.
_WITH: Final = {
    "patternProperties": "additionalProperties",
    "properties": "additionalProperties",
    "prefixItems": "items",
    "items": "additionalItems",
}
# Parts of one demand go together.
_WHOLE: Final = {
    "then": "if", "else": "if", "minContains": "contains", "maxContains": "contains",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One keyword that is left out.

    Attributes:
        pointer: JSON pointer of its schema.
        keyword: what is left out there; `oneOf` is read as `anyOf` instead.
        reason: what is not supported, and where.
    """

    pointer: str
    keyword: str
    reason: str

    def __str__(self) -> str:
        done = "is read as 'anyOf'" if self.keyword == "oneOf" else "is left out"
        return f"'{self.keyword}' at {self.pointer} {done}: {self.reason}"


class Relaxing:
    """What is left out of one document, and what was refused in spite of that.

    Attributes:
        passed: whether nothing more was refused since the last `plan`.
        relaxations: what the last `plan` leaves out.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left_out: dict[int, set[str]] = {}
        self._refused: dict[tuple[int, str], tuple[object, UnsupportedSchemaError]] = {}
        self._planned: dict[int, set[str]] = {}
        self.passed = True
        self._last: UnsupportedSchemaError | None = None
        self.relaxations: tuple[Relaxation, ...] = ()

    def kept(self, schema: object, keywords: AbstractSet[str]) -> AbstractSet[str]:
        """The keywords of a schema that are obeyed."""
        left_out = self._left_out.get(id(schema))
        return keywords - (left_out - {"oneOf"}) if left_out else keywords

    def is_union(self, schema: object) -> bool:
        """Whether the schema's `oneOf` is read as `anyOf`."""
        return "oneOf" in self._left_out.get(id(schema), ())

    def refuse(self, place: Place, error: UnsupportedSchemaError) -> bool:
        """Remember what is not supported at a place.

        Returns:
            Whether leaving out a keyword of that very schema may help: it is left out until
            the next `plan`. If not, nothing may be demanded at the place for now.
        """
        self.passed = False
        self._last = error
        schema = place[0]
        if isinstance(schema, (Negation, Either)):
            self._refuse_to_negate(schema.of, error)
            return False
        keyword = _WHOLE.get(error.keyword, error.keyword)
        of_schema = self._left_out.setdefault(id(schema), set())
        if keyword not in schema:
            keyword = next((name for name in _NEGATING if name in schema), "")
        if not keyword or keyword in of_schema:
            self._refused.setdefault((id(schema), ""), (schema, error))
            return False
        self._refused.setdefault((id(schema), keyword), (schema, error))
        of_schema.add(keyword)
        return True

    def refuse_at(self, error: UnsupportedSchemaError) -> None:
        """The same where only the error tells the place.

        Raises:
            UnsupportedSchemaError: that very error; it tells no keyword of the document.
        """
        for visit in reachable(self._document):
            if visit.place[1] == error.pointer and error.keyword in visit.place[0]:
                self.refuse(visit.place, error)
                return
        raise error

    def _refuse_to_negate(
        self, needs: Need | tuple[Need, ...], error: UnsupportedSchemaError
    ) -> None:
        """Remember that the schemas of a need, or of several, have no complement here."""
        pending: list[Any] = [needs]
        while pending:
            part = pending.pop()
            if isinstance(part, tuple):  # needs, a need, or a place: a schema comes first
                pending.extend(part)
            elif isinstance(part, (Negation, Either)):
                pending.append(part.of)
            elif isinstance(part, dict):
                self._refused.setdefault((id(part), ""), (part, error))

    def plan(self) -> None:
        """Decide what is left out, from all that was refused so far.

        Raises:
            UnsupportedSchemaError: what was refused last, if that is no more than before.
        """
        plan = _Plan(reachable(self._document), self._refused)
        if plan.left_out == self._planned and self._last is not None:
            raise self._last
        self._left_out = plan.left_out
        self._planned = {of: set(keywords) for of, keywords in plan.left_out.items()}
        self.relaxations = tuple(plan.relaxations())
        self.passed = True


class _Plan:
    """What must be left out because of what was refused.

    A schema is *tainted* if something below it is left out or cannot be negated; a schema is
    *open* if it is reached from the root without passing a keyword under which less demand may
    mean fewer values. Where an open schema has such a keyword over a tainted one, it goes.

    Cost: linear in the number of schemas and of their children.
    """

    def __init__(
        self,
        visits: list[Visit],
        refused: dict[tuple[int, str], tuple[object, UnsupportedSchemaError]],
    ) -> None:
        self._visits: dict[int, Visit] = {}  # of several scopes, the first
        self._children: dict[int, list[tuple[str, int]]] = {}
        self._parents: dict[int, list[int]] = {}
        for visit in visits:
            schema = id(visit.place[0])
            self._visits.setdefault(schema, visit)
            for keyword, child in visit.children:
                self._children.setdefault(schema, []).append((keyword, id(child[0])))
                self._parents.setdefault(id(child[0]), []).append(schema)
        self._tainted: dict[int, UnsupportedSchemaError] = {}
        self._open: set[int] = set()
        self._is_negated = any(not keyword for _, keyword in refused)
        self._why: dict[tuple[int, str], UnsupportedSchemaError] = {}
        self.left_out: dict[int, set[str]] = {}
        for (schema, _), (_, error) in refused.items():
            self._taint(schema, error)
        if visits:
            self._reach(id(visits[0].place[0]))
        for (schema, keyword), (_, error) in refused.items():
            if keyword and schema in self._open:
                self._leave_out(schema, keyword, error)
        self._leave_out_what_counts()

    def relaxations(self) -> list[Relaxation]:
        """What is left out, in the order of the document."""
        return [
            Relaxation(visit.place[1], keyword, self._reason(schema, keyword))
            for schema, visit in self._visits.items()
            for keyword in visit.place[0]
            if keyword in self.left_out.get(schema, ())
        ]

    def _reason(self, schema: int, keyword: str) -> str:
        error = self._why[schema, keyword]
        is_here = (error.pointer, error.keyword) == (self._visits[schema].place[1], keyword)
        return error.reason if is_here else str(error)

    def _taint(self, schema: int, error: UnsupportedSchemaError) -> None:
        pending = [schema]
        while pending:
            child = pending.pop()
            if child in self._tainted:
                continue
            self._tainted[child] = error
            pending.extend(self._parents.get(child, ()))

    def _reach(self, schema: int) -> None:
        pending = [schema]
        while pending:
            here = pending.pop()
            visit = self._visits.get(here)
            if visit is None or here in self._open:
                continue
            self._open.add(here)
            children = self._children.get(here, [])
            for keyword, child in children:
                error = self._tainted.get(child)
                if not _is_mixed(keyword, visit):
                    pending.append(child)
                elif error is not None:
                    self._leave_out(here, keyword, error)
            if "oneOf" in self.left_out.get(here, ()):
                pending.extend(child for keyword, child in children if keyword == "oneOf")

    def _leave_out(self, schema: int, keyword: str, error: UnsupportedSchemaError) -> None:
        self.left_out.setdefault(schema, set()).add(keyword)
        self._why.setdefault((schema, keyword), error)
        if keyword in _WITH and _WITH[keyword] in self._visits[schema].keywords:
            self._leave_out(schema, _WITH[keyword], error)

    def _leave_out_what_counts(self) -> None:
        """Leave out `unevaluated…` above what no longer counts, or cannot be negated."""
        counted = any(not _CHILDREN_COUNT.isdisjoint(gone) for gone in self.left_out.values())
        if not counted and not self._is_negated:
            return
        for schema, error in self._tainted.items():
            if schema in self._open:
                for keyword in _UNEVALUATED:
                    if keyword in self._visits[schema].keywords:
                        self._leave_out(schema, keyword, error)


def _is_mixed(keyword: str, visit: Visit) -> bool:
    """Whether a keyword may allow fewer values when a child of it allows more."""
    if keyword == "contains":
        return "maxContains" in visit.keywords
    return keyword in {"not", "if", "oneOf"}
