"""Whatever a user may give for a grammar -> `Grammar`; `json_schema` for schemas and types.

pydantic is imported only where a Python type is given: it takes longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from constrain.errors import SchemaError
from constrain.grammar.ir import Grammar
from constrain.grammar.wishes import NO_WISHES, Wishes
from constrain.schema import json_schema as grammar_of_schema

if TYPE_CHECKING:
    from constrain.grammar.ir import Escapes, PropertyOrder, Whitespace
    from constrain.schema import OnUnsupported
    from constrain.schema.resources import Documents


def json_schema(  # noqa: PLR0913  each argument is one independent option
    schema: object,
    whitespace: Whitespace = "bounded",
    property_order: PropertyOrder = "schema",
    escapes: Escapes = "minimal",
    on_unsupported: OnUnsupported = "error",
    registry: Documents | None = None,
    *,
    max_items: int | None = None,
    max_digits: int | None = None,
    wishes: Wishes = NO_WISHES,
) -> Grammar:
    """The grammar of the JSON texts that are valid for a schema.

    Args:
        schema: a JSON Schema as a dict, a bool or JSON text; a Pydantic model, or any other
            type that `pydantic.TypeAdapter` takes.
        whitespace: "compact" (none), "spaced" (one space after `:` and `,`), "bounded" (in
            brackets and after commas nothing, one space, or a newline with indentation; after
            `:` nothing or one space), "flexible" (all that RFC 8259 allows).
        property_order: "schema" (declared keys in the schema's order, then others) or "any".
        escapes: "minimal" (a character is escaped only where JSON demands it) or "any".
        on_unsupported: "error", or "relax": what is not matched exactly is left out where that
            allows more values and refuses none; `notes` and `report()` list what was.
        registry: further schemas that references may name: a `referencing.Registry`, or a
            mapping of URIs to schemas. Nothing is fetched; the metaschemas are always known.
        max_items: most items of an array; None: no cap. It gives way where a schema asks for
            more, so that no schema becomes unsatisfiable; `notes` list the caps.
        max_digits: most digits of a number (1 to 1 000) before the point, after it, and in an
            exponent; gives way as well. Values of `enum` and `const` are not capped, nor what
            is in an array that must hold two or more different items.
        wishes: log-space biases towards short texts; unlike the caps they forbid nothing.

    Raises:
        SchemaError: malformed; UnsupportedSchemaError: outside what is matched exactly;
            UnsatisfiableSchemaError: already seen to have no valid value. Each names the place.
    """
    adapter: object = None
    if not isinstance(schema, dict | bool | str):
        from constrain.grammar.python_types import is_python_type, to_schema

        if not is_python_type(schema):
            reason = (
                f"a schema is a dict, a bool, JSON text or a Python type, not {type(schema)}"
            )
            raise SchemaError(reason)
        python_type = to_schema(schema)
        schema, adapter = python_type.schema, python_type.adapter
    grammar = grammar_of_schema(
        schema,
        whitespace=whitespace,
        property_order=property_order,
        escapes=escapes,
        on_unsupported=on_unsupported,
        registry=registry,
        max_items=max_items,
        max_digits=max_digits,
        wishes=wishes,
    )
    return grammar if adapter is None else replace(grammar, target=adapter)


def as_grammar(
    source: object, whitespace: Whitespace = "spaced", registry: Documents | None = None
) -> Grammar:
    """`source` if it is a `Grammar`, else `json_schema(source, whitespace, registry=registry)`.

    This is what `generate` makes of its argument. Its white space is "spaced", one way to lay
    out each value: all of it is forced text, so a small record takes about half the model calls
    that "bounded" takes, where the model chooses the layout. A `Grammar` keeps its own form.

    Raises:
        SchemaError: as `json_schema` does.
    """
    if isinstance(source, Grammar):
        return source
    if isinstance(source, Mapping) and not isinstance(source, dict):
        source = dict(source)
    return json_schema(source, whitespace, registry=registry)
