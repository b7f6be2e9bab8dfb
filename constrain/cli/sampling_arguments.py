"""The options that say how tokens are chosen, named like the fields of `constrain.Sampling`."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from constrain.cli.argument_types import number, positive, whole, window
from constrain.cli.inputs import UsageError
from constrain.sampling import Sampling

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _ArgumentGroup
    from collections.abc import Callable

_ORDINARY: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("--temperature", number, "X", "0 takes the likeliest"),
    ("--top-k", whole, "N", "only the N likeliest tokens"),
    ("--top-p", number, "X", "only the likeliest tokens that sum to X"),
    ("--min-p", number, "X", "only tokens of X times the likeliest's"),
    ("--repeat-penalty", number, "X", "makes repeated tokens rarer (> 1)"),
)
_FURTHER: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("--dynamic-temperature-range", number, "X", "temperature ± X, by the entropy"),
    ("--dynamic-temperature-exponent", number, "X", "how the entropy counts (default: 1)"),
    ("--typical-p", number, "X", "only the most typical tokens that sum to X"),
    ("--top-n-sigma", number, "X", "only logits within X standard deviations of the top"),
    ("--xtc-probability", number, "X", "how often XTC drops the likeliest tokens"),
    ("--xtc-threshold", number, "X", "those of probability X or more (default: 0.1)"),
    ("--mirostat", whole, "N", "1 or 2: keep the surprise near --mirostat-tau"),
    ("--mirostat-tau", number, "X", "surprise in bits a token (default: 5)"),
    ("--mirostat-eta", number, "X", "how fast it learns (default: 0.1)"),
)
_REPETITION: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("--frequency-penalty", number, "X", "taken off for each time a token was seen"),
    ("--presence-penalty", number, "X", "taken off once for each token seen"),
    ("--penalty-window", window, "N", "tokens that count as seen (default: 64; -1: all)"),
    ("--dry-multiplier", number, "X", "DRY: penalty on going on a repeated sequence"),
    ("--dry-base", number, "X", "its growth with each token (default: 1.75)"),
    ("--dry-allowed-length", positive, "N", "shorter repetitions are not minded (default: 2)"),
    ("--dry-window", window, "N", "tokens that DRY compares (default: -1, all)"),
)


def add_sampling(parser: ArgumentParser) -> None:
    """Add the groups; an option that is not given is None, and means its default."""
    group = parser.add_argument_group("sampling")
    _add_all(group, _ORDINARY)
    _add_biases(group)
    group.add_argument("--seed", type=whole, metavar="N", help="the same seed, the same text")
    group.add_argument(
        "--max-tokens",
        type=positive,
        metavar="N",
        help="finish, validly, within N tokens (default: 256)",
    )
    further = parser.add_argument_group("further sampling steps")
    _add_all(further, _FURTHER)
    further.add_argument(
        "--sampling-order",
        dest="order",
        type=_names,
        metavar="NAMES",
        help="the steps after the mask, as top_k,min_p,temperature; mirostat last",
    )
    repetition = parser.add_argument_group("repetition")
    _add_all(repetition, _REPETITION)
    repetition.add_argument(
        "--dry-breaker",
        dest="dry_breakers",
        action="append",
        metavar="TEXT",
        help='ends repetitions (default: line end, colon, " and *); repeat it',
    )
    repetition.add_argument(
        "--penalize-structure",
        action="store_true",
        default=None,
        help="penalties also count JSON's punctuation and white space",
    )


def sampling_of(options: Namespace) -> Sampling:
    """The sampling options that were given; the others keep their defaults.

    Raises:
        UsageError: a value out of range; it names the field.
    """
    given = {item.name: getattr(options, item.name, None) for item in fields(Sampling)}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    chosen["logit_bias"] = dict([*options.logit_bias, *options.logit_bias_id])
    chosen["logit_bias_at"] = _placed(options.logit_bias_at)
    try:
        return Sampling(**chosen)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _add_all(
    group: _ArgumentGroup, options: tuple[tuple[str, Callable[[str], Any], str, str], ...]
) -> None:
    for flag, read, metavar, explanation in options:
        group.add_argument(flag, type=read, metavar=metavar, help=explanation)


def _add_biases(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--logit-bias",
        type=_bias,
        action="append",
        default=[],
        metavar="TEXT=VALUE",
        help="add VALUE to the logit of the token TEXT, -inf bans it; repeat it",
    )
    group.add_argument(
        "--logit-bias-id",
        type=_bias_by_id,
        action="append",
        default=[],
        metavar="ID=VALUE",
        help="the same by the token's id",
    )
    group.add_argument(
        "--logit-bias-at",
        nargs=2,
        action="append",
        default=[],
        metavar=("PATH", "TEXT=VALUE"),
        help="the same in one field, as $.city or $.items[*].name; repeat it",
    )
    group.add_argument(
        "--ban",
        dest="banned",
        action="append",
        metavar="TEXT",
        help="never write TEXT, unless the grammar demands it; repeat it",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().replace("-", "_") for name in text.split(","))


def _bias(text: str) -> tuple[str, float]:
    biased, equals, value = text.rpartition("=")
    if not (biased and equals):
        raise ArgumentTypeError(f"{text!r} is not TEXT=VALUE")
    return biased, -math.inf if value == "-inf" else number(value)


def _placed(given: list[list[str]]) -> dict[str, dict[str, float]]:
    placed: dict[str, dict[str, float]] = {}
    for path, bias in given:
        try:
            text, value = _bias(bias)
        except ArgumentTypeError as error:
            raise UsageError(f"--logit-bias-at {path}: {error}") from None
        placed.setdefault(path, {})[text] = value
    return placed


def _bias_by_id(text: str) -> tuple[int, float]:
    biased, value = _bias(text)
    return whole(biased), value
