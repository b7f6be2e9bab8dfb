"""The options that keep JSON text short: caps, and wishes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from constrain.cli.argument_types import number, positive, whole
from constrain.cli.inputs import UsageError
from constrain.grammar.wishes import Wishes
from constrain.schema.caps import Caps

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_NAMES = tuple(wish.name.replace("_", "-") for wish in fields(Wishes))


def add_shape(parser: ArgumentParser) -> None:
    """Add the group; an option that is not given caps and wishes nothing."""
    group = parser.add_argument_group("short JSON text")
    group.add_argument(
        "--max-items",
        type=whole,
        metavar="N",
        help="at most N items in an array, unless the schema needs more",
    )
    group.add_argument(
        "--max-digits",
        type=positive,
        metavar="N",
        help="at most N digits on either side of the point, unless the schema needs more",
    )
    group.add_argument(
        "--wish",
        type=_wish,
        action="append",
        default=[],
        metavar="NAME=NATS",
        help=f"a bias towards {', '.join(_NAMES)}; repeat it",
    )


def shape_of(options: Namespace) -> dict[str, Any]:
    """The arguments of `json_schema` that the options stand for.

    Raises:
        UsageError: a number out of range, or there is no JSON text to keep short.
    """
    given = {"max_items": options.max_items, "max_digits": options.max_digits}
    shape: dict[str, Any] = {name: n for name, n in given.items() if n is not None}
    try:
        Caps(**shape)
        if options.wish:
            shape["wishes"] = Wishes(**dict(options.wish))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if shape and (options.regex is not None or options.choice):
        raise UsageError("caps and wishes are for JSON text: give a --schema or --type")
    return shape


def _wish(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals or name.replace("_", "-") not in _NAMES:
        raise ArgumentTypeError(f"{text!r} is not NAME=NATS, NAME being {', '.join(_NAMES)}")
    return name.replace("-", "_"), number(value)
