"""The distribution of columns, such as [Fe/H]."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from starscale.plots.columns import PlotTable
from starscale.plots.drawing import histogram, limits_of
from starscale.plots.style import COLOURS, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.errors import InputError, Problem


def distribution(
    table: AnyTable,
    columns: str | Sequence[str] = "fe_h",
    *,
    names: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of a column, or of several on one axis, as shares per bin.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    columns : str or sequence of str
        Column, or columns of one quantity, at most seven.
    names : str or sequence of str, optional
        Their names in the legend; default: those of the columns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The axis holds 99.6 % of the values; the note says how many stars are outside it.
    """
    wanted = [columns] if isinstance(columns, str) else list(columns)
    if not 1 <= len(wanted) <= len(COLOURS):
        raise InputError(Problem("distribution", f"{len(wanted)} columns", f"1 to {len(COLOURS)}"))
    titles = [names] if isinstance(names, str) else list(names or wanted)
    if len(titles) != len(wanted):
        raise InputError(Problem("names", f"{len(titles)} for {len(wanted)} columns", "one for each"))
    data = PlotTable.of(table, *wanted)
    values = [data.numbers(name) for name in wanted]
    with canvas(ax, mock=data.mock) as axes:
        limits = limits_of(*values, percent=99.6)
        histogram(axes, limits, *zip(titles, values, COLOURS, strict=False))
        axes.set(xlabel=data.title(wanted[0]), ylabel="share of the stars per bin")
        if len(wanted) > 1 and axes.patches:
            axes.legend(loc="upper left", ncols=2)
    return axes
