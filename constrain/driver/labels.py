"""What may be given as labels, read as one list: names, and the text of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from constrain.errors import ArgumentError, shorten


def labels_of(source: object, *, least: int = 2) -> dict[Any, str]:
    """Label -> text, in the order given.

    Args:
        source: texts, which are their own labels, but no set, whose order is another in each
            run; a dict label -> text; an Enum class, whose members are the labels and their
            values (texts or integers) the texts; or a `Literal` of texts and integers.
        least: how many there must be.

    Raises:
        ArgumentError: it is something else, holds too few labels, or a text is empty
            or comes twice.

    >>> labels_of(Literal["yes", "no"])
    {'yes': 'yes', 'no': 'no'}
    """
    source = getattr(source, "__value__", source)  # `type Answer = Literal[...]`
    if isinstance(source, Mapping):
        pairs: list[tuple[Any, object]] = list(source.items())
    elif isinstance(source, type) and issubclass(source, Enum):
        pairs = [(member, _written(member.value)) for member in source]
    elif get_origin(source) is Literal:
        pairs = [(value, _written(value)) for value in get_args(source)]
    elif isinstance(source, set | frozenset):
        raise _wrong(
            f"labels are the set {shorten(source)}, which has no order; pass a list", source
        )
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes):
        pairs = [(text, text) for text in source]
    else:
        raise _wrong(
            f"labels are {shorten(source)}; expected a list of texts, a dict from label to "
            "text, an Enum class or a Literal",
            source,
        )
    if len(pairs) < least:
        raise _wrong(f"labels are {shorten(source)}; expected at least {least}", source)
    return _checked(pairs)


def _written(value: object) -> object:
    """The text of an Enum member's or a Literal's value."""
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked(pairs: list[tuple[Any, object]]) -> dict[Any, str]:
    labels: dict[Any, str] = {}
    texts: set[str] = set()
    for label, text in pairs:
        if not isinstance(text, str):
            raise _wrong(
                f"label {shorten(label)} has the {type(text).__name__} {shorten(text)} where a "
                "text is expected; say how the model would write it, in a dict from label to "
                "text",
                text,
            )
        if not text:
            raise _wrong(
                f"label {shorten(label)} has the text ''; expected one that is not empty", text
            )
        if text in texts or label in labels:
            raise _wrong(f"two labels have the text {shorten(text)}", text)
        texts.add(text)
        labels[label] = text
    return labels


def _wrong(reason: str, value: object) -> ArgumentError:
    return ArgumentError(reason, name="labels", value=value)
