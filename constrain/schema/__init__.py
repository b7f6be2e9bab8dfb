"""JSON Schema -> grammar IR.

The data flows: `drafts`, `resources` and `document` (references) -> `keywords` and `values`
(one schema's own demands) -> `normal` (combinators; `implications` for `if` and its kin,
`negation` for `not`, `exclusive` for `oneOf`) -> `cases` (the normal form) -> `to_ir`.
`numbers`, `decimals`, `strings` and `formats` know the scalar types, `keys` knows patterns of
keys, `caps` keeps arrays and numbers short.

Not done here: satisfiability across children, which the kernel decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from typing import Literal as OneWordOf

from constrain.errors import SchemaError, shorten
from constrain.grammar.ir import Escapes, Grammar, JsonForm, PropertyOrder, Whitespace
from constrain.grammar.wishes import NO_WISHES, Wishes
from constrain.schema.caps import Caps
from constrain.schema.document import Document, found, read_json
from constrain.schema.to_ir import build, build_relaxed
from constrain.schema.treatments import Source

if TYPE_CHECKING:
    from constrain.schema.relaxing import Relaxation
    from constrain.schema.resources import Documents

__all__ = ["OnUnsupported", "json_schema"]

OnUnsupported = OneWordOf["error", "relax"]


def json_schema(  # noqa: PLR0913  each keyword is one independent option with a default
    schema: dict[str, Any] | bool | str,
    *,
    whitespace: Whitespace = "bounded",
    property_order: PropertyOrder = "schema",
    escapes: Escapes = "minimal",
    on_unsupported: OnUnsupported = "error",
    registry: Documents | None = None,
    max_items: int | None = None,
    max_digits: int | None = None,
    wishes: Wishes = NO_WISHES,
) -> Grammar:
    """The grammar of the JSON texts that a JSON Schema allows.

    Args:
        schema: a schema as Python data, or as JSON text (whose decimals stay exact).
        whitespace: "compact", "spaced" (after ':' and ','), "bounded" (nothing, one space, or
            a newline with indentation) or "flexible" (all that RFC 8259 allows).
        property_order: "schema": declared properties in the schema's order; "any".
        escapes: "minimal": a character is escaped only where JSON demands it; "any".
        on_unsupported: "error"; "relax": what is not supported exactly is left out where that
            only allows more values; `notes` and `report()` list it.
        registry: further schemas that references may name: a `referencing.Registry`, or a
            mapping of URIs to schemas or JSON texts. The metaschemas are known without it.
        max_items: most items of an array, unless the schema needs more; None: no cap.
        max_digits: most digits of a number, 1 to 1 000, on either side of the point (and in
            the exponent), unless the schema needs more. Values of `enum` are not capped, nor
            is what is in an array of `uniqueItems` with `minItems` of 2 or more.
        wishes: biases towards short texts.

    Raises:
        SchemaError: not a JSON Schema; says where, which keyword and what was found.
        UnsupportedSchemaError: says something that is not supported exactly.
        UnsatisfiableSchemaError: no value is valid, as far as the root alone tells.
        ValueError: an option is none of the allowed ones; TypeError: `wishes` is no `Wishes`.
        LimitError: combinators nested too deep, or too many combinations of schemas.

    Cost: linear in the size of the schema, but for conjunctions of recursive schemas.
    """
    form = JsonForm(whitespace, property_order, escapes, wishes)
    _check_options(form, on_unsupported)
    caps = Caps(max_items, max_digits)
    parsed = read_json(schema) if isinstance(schema, str) else schema
    if not isinstance(parsed, (dict, bool)):
        reason = f"a schema must be an object or a boolean, not {found(parsed)}"
        raise SchemaError(reason, value=parsed)
    document = Document(parsed, registry)
    relaxations: tuple[Relaxation, ...] = ()
    if on_unsupported == "error":
        grammar = build(document, form, caps)
    else:
        grammar, relaxations = build_relaxed(document, form, caps)
    notes = (*grammar.notes, *map(str, relaxations), *_idle_wishes(form))
    return replace(grammar, notes=notes, source=Source(document, relaxations))


def _idle_wishes(form: JsonForm) -> tuple[str, ...]:
    """What is said of wishes that change nothing."""
    if form.wishes.compact == 0 or form.whitespace in {"bounded", "flexible"}:
        return ()
    return (f"the wish for compact text changes nothing: white space is {form.whitespace!r}",)


def _check_options(form: JsonForm, on_unsupported: str) -> None:
    if not isinstance(form.wishes, Wishes):
        reason = f"wishes must be constrain.Wishes(...), not {shorten(form.wishes)}"
        raise TypeError(reason)
    for name, value, allowed in (
        ("whitespace", form.whitespace, ("compact", "spaced", "bounded", "flexible")),
        ("property_order", form.property_order, ("schema", "any")),
        ("escapes", form.escapes, ("minimal", "any")),
        ("on_unsupported", on_unsupported, ("error", "relax")),
    ):
        if value not in allowed:
            reason = f"{name} must be one of {allowed}, not {shorten(value)}"
            raise ValueError(reason)
