"""Options about whose distribution is drawn from: faithful sampling, guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constrain.cli.argument_types import number, positive
from constrain.cli.inputs import UsageError
from constrain.driver.guidance import Guidance

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from constrain.driver.particles import Faithful

_RELIABLE = 2.0  # below it, one sequence has most of the weight


def add_distribution(parser: ArgumentParser) -> None:
    """Add the options; one that is not given is None."""
    group = parser.add_argument_group("distribution")
    group.add_argument(
        "--faithful",
        type=positive,
        metavar="N",
        help="draw as the model would if it wrote until its output is valid, by N sequences",
    )
    group.add_argument(
        "--guidance", type=number, metavar="X", help="keep closer to the prompt (1.5 is usual)"
    )
    group.add_argument(
        "--negative-prompt", metavar="TEXT", help="with --guidance: what to keep away from"
    )


def distribution_of(options: Namespace) -> dict[str, Any]:
    """The arguments of `generate` (those of faithful sampling) or `stream`.

    Raises:
        UsageError: options that exclude each other, or one that lacks another.
    """
    if options.negative_prompt is not None and options.guidance is None:
        raise UsageError("--negative-prompt needs --guidance X")
    if options.faithful is not None:
        if options.guidance is not None or options.stream:
            raise UsageError("--faithful goes neither with --guidance nor with --stream")
        return {"faithful": options.faithful}
    if options.guidance is None:
        return {}
    negative: str | list[dict[str, str]] = options.negative_prompt or ""
    if negative and (options.chat or options.system is not None):
        negative = [{"role": "user", "content": str(negative)}]
    return {"guidance": Guidance(options.guidance, negative)}


def account_of(faithful: Faithful) -> dict[str, Any]:
    """What faithful sampling tells, for JSON."""
    return {
        "log_validity": faithful.log_validity,
        "validity": faithful.validity,
        "effective_sample_size": faithful.effective_sample_size,
        "n_resampled": faithful.n_resampled,
        "particles": [
            {"text": each.text, "weight": each.weight} for each in faithful.particles
        ],
    }


def note_of(faithful: Faithful) -> str:
    """The same in a line, with a warning where it hangs on about one sequence."""
    size = faithful.effective_sample_size
    doubt = ": take more sequences before you rely on it" if size < _RELIABLE else ""
    return (
        f"probability of a valid output without the grammar: {faithful.validity:.3g}; "
        f"effective sample size {size:.1f}{doubt}"
    )
