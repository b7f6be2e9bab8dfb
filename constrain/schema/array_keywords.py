"""The keywords of arrays -> array cases."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from constrain.schema.arrays import ArrayCase, ItemTally, array_case
from constrain.schema.document import Need, Place
from constrain.schema.evaluation import EvaluatedItems
from constrain.schema.reading import count_of, malformed, need_of


def array_cases(
    place: Place, keywords: AbstractSet[str], *, annotate: bool
) -> tuple[ArrayCase, ...]:
    """What a schema's own keywords allow of arrays.

    Args:
        place: the schema, a dict.
        keywords: those of its keys that its draft knows to constrain.
        annotate: whether the case shall say what it evaluated.

    Raises:
        SchemaError: a keyword's value is malformed.
    """
    schema, pointer, _ = place
    unique = schema["uniqueItems"] if "uniqueItems" in keywords else False
    if not isinstance(unique, bool):
        raise malformed("uniqueItems", "true or false", place)
    shortest = count_of(place, "minItems", keywords) or 0
    longest = count_of(place, "maxItems", keywords)
    prefix: list[Need] = []
    items: Need = ()
    tuple_keyword = "prefixItems" if "prefixItems" in keywords else ""
    rest_keyword = "items" if "items" in keywords else ""
    if rest_keyword and isinstance(schema["items"], (list, tuple)) and not tuple_keyword:
        tuple_keyword = "items"
        rest_keyword = "additionalItems" if "additionalItems" in keywords else ""
    if tuple_keyword:
        schemas = schema[tuple_keyword]
        if not isinstance(schemas, (list, tuple)):
            raise malformed(tuple_keyword, "an array of schemas", place)
        prefix = [
            need_of(item, f"{pointer}/{tuple_keyword}/{i}", place)
            for i, item in enumerate(schemas)
        ]
    if rest_keyword:
        items = need_of(schema[rest_keyword], f"{pointer}/{rest_keyword}", place)
    count = len(prefix)
    case = array_case(prefix, items, shortest, longest, pointer)
    case.unique = unique and (case.longest is None or case.longest > 1)
    tally = _contained(place, keywords) if "contains" in keywords else None
    if tally is not None and (tally.least > 0 or tally.most is not None):
        case.tallies = (tally,)
    if annotate:
        case.evaluated = EvaluatedItems(None if rest_keyword else count)
        # Only since 2020-12 does `contains` speak of the items that it finds.
        if tally is not None and "prefixItems" in place[2].draft.keywords:
            case.evaluated |= EvaluatedItems(0, (tally.items,))
    return () if case.is_empty else (case,)


def _contained(place: Place, keywords: AbstractSet[str]) -> ItemTally:
    """What `contains`, `minContains` and `maxContains` count."""
    schema, pointer, _ = place
    need = need_of(schema["contains"], pointer + "/contains", place)
    at_least = count_of(place, "minContains", keywords)
    at_most = count_of(place, "maxContains", keywords)
    return ItemTally((), need, 1 if at_least is None else at_least, at_most)
