"""The reliability table as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from constrain.errors import CalibrationError
from constrain.logprobs.shown_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

    from constrain.calibration.reliability import ReliabilityTable

# Told apart by colour-blind readers, and in print by their marks. Source: Okabe, Ito: Color
# universal design, 2008.
_STYLES = (("#D55E00", "o"), ("#0072B2", "s"), ("#009E73", "^"), ("#CC79A7", "D"))


def reliability_diagram(tables: Mapping[str, ReliabilityTable], *, title: str = "") -> Figure:
    """Accuracy over confidence, with 95 % intervals, and below it how many examples there are.

    Points on the diagonal are honest, points below it too sure. Nothing is shown on a screen:
    write it with `figure.savefig("reliability.png")`.

    Args:
        tables: name -> table, at most four, drawn together (before and after, say).
        title: written above. Names and title are shown as they are: `$` begins no formula.

    Raises:
        CalibrationError: no table, more than four, or matplotlib is not installed.
    """
    if not 1 <= len(tables) <= len(_STYLES):
        raise CalibrationError(
            f"{len(tables)} tables; a diagram shows 1 to {len(_STYLES)} of them"
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CalibrationError(
            "a diagram needs matplotlib: pip install 'constrain-decoding[plots]'"
        ) from error
    figure = Figure(figsize=(5.5, 7.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    drawn: list[Any] = upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    names = ["honest"]
    for (name, table), (colour, mark) in zip(tables.items(), _STYLES, strict=False):
        drawn.append(_draw(upper, table, colour, mark))
        names.append(f"{name} (error {table.expected_error:.1%}, n = {table.n})")
        _count(lower, table, colour)
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of right predictions")
    upper.set_title("\n".join(map(printable, title.split("\n"))), parse_math=False)
    _explain(figure, drawn, names)
    lower.set(xlabel="confidence (probability of the likeliest label)", ylabel="examples")
    for axes in (upper, lower):
        axes.grid(visible=True, color="0.92")
        axes.set_axisbelow(True)
    return figure


def _explain(figure: Figure, drawn: Sequence[Any], names: Sequence[str]) -> None:
    """The legend, under the picture.

    The names are put in afterwards: matplotlib leaves out names that begin with "_", and reads
    what stands between two "$" as a formula unless the finished text is told not to.
    """
    places = [str(i) for i in range(len(names))]
    legend = figure.legend(drawn, places, loc="outside lower center", frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(printable(name))


def _draw(axes: Axes, table: ReliabilityTable, colour: str, mark: str) -> ErrorbarContainer:
    """One table's points, with intervals."""
    bins = table.bins
    accuracy = [b.accuracy for b in bins]
    below = [max(0.0, b.accuracy - b.interval[0]) for b in bins]
    above = [max(0.0, b.interval[1] - b.accuracy) for b in bins]
    return axes.errorbar(
        [b.confidence for b in bins],
        accuracy,
        yerr=[below, above],
        color=colour,
        marker=mark,
        capsize=3,
        linewidth=1.2,
    )


def _count(axes: Axes, table: ReliabilityTable, colour: str) -> None:
    """How many examples each bin holds, as outlines that may overlap."""
    for b in table.bins:
        width = max(b.upper - b.lower, 0.004)
        axes.bar(b.lower, b.n, width, align="edge", fill=False, edgecolor=colour, linewidth=1.5)
