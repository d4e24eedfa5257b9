"""Probabilities to be below a threshold: whether they are right, and what a limit on them selects."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from starscale.model.probabilities import probability_bins, purity_curve
from starscale.plots.columns import PlotTable, short_name
from starscale.plots.drawing import FEWEST, binomial_error, counted, finite, note, nothing
from starscale.plots.style import BLUE, GREY, canvas
from starscale.tables.api import AnyTable, name_of
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import below_columns
from starscale.vocabulary.errors import InputError, Problem

#: Largest number of bins, and of points of a curve, that are drawn.
_BINS, _POINTS = 20, 2000
#: Stars up to which every different probability is a limit, and limits of a curve of more.
_EXACT, _CELLS = 100_000, 10_000
#: Limits on the probability that are marked on a curve.
_MARKED = (0.9, 0.5, 0.1)


def probability_calibration(
    table: AnyTable,
    probability: str = "p_fe_h_below_m2",
    *,
    reference: str | None = None,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which share of the stars is below a threshold, against the predicted probability of it.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    probability : str
        Column of the probability to be below the threshold, 0 to 1.
    reference : str, optional
        Column of the known values; default: ``<label>_label`` for a column ``p_<label>_below_<threshold>``.
    threshold : float, optional
        Default: that of the name of the column.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Up to 20 bins with equal numbers of stars, 20 or more; error bars are binomial. Right probabilities lie on the
    dashed line.
    """
    p, below, what, mock = _sample(table, probability, reference, threshold)
    with canvas(ax, mock=mock) as axes:
        axes.set(xlabel=f"probability of {what} (%)", ylabel="stars below it (%)")
        axes.set(xlim=(-2, 102), ylim=(-2, 102))
        axes.set_box_aspect(1)
        axes.plot([0, 100], [0, 100], "--", color="black", linewidth=1)
        if len(p) < FEWEST:
            nothing(axes, f"fewer than {FEWEST} stars" if len(p) else "no values")
            return axes
        bins = probability_bins(p, below, max(FEWEST, -(-len(p) // _BINS)))
        share, n = bins["share"].to_numpy(), bins["n"].to_numpy().astype(np.float64)
        bars = 100 * binomial_error(share, n)
        axes.errorbar(100 * bins["probability"].to_numpy(), 100 * share, bars, fmt="o", color=BLUE, markersize=4)
        note(axes, f"{counted(len(p))}, {int(below.sum()):,} below")
    return axes


def purity_completeness(
    table: AnyTable,
    probability: str = "p_fe_h_below_m2",
    *,
    reference: str | None = None,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw purity against completeness of the stars that a limit on a probability selects.

    Parameters
    ----------
    table : path or table
        As for :func:`probability_calibration`.
    probability : str
        Column of the probability to be below the threshold, 0 to 1.
    reference : str, optional
        Column of the known values; default: ``<label>_label`` for a column ``p_<label>_below_<threshold>``.
    threshold : float, optional
        Default: that of the name of the column.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Completeness is the share of the stars below the threshold that are selected, purity the share of the selected
    stars that are below it. Numbers on the curve are limits on the probability; the dashed line is the purity of
    a selection by chance.
    """
    p, below, what, mock = _sample(table, probability, reference, threshold)
    with canvas(ax, mock=mock) as axes:
        axes.set(xlabel=f"completeness: selected of {what} (%)", ylabel="purity of the selected (%)")
        # Room for the numbers at the curve.
        axes.set(xlim=(0, 112), ylim=(0, 112), xticks=range(0, 101, 20), yticks=range(0, 101, 20))
        axes.set_box_aspect(1)
        if not below.any():
            nothing(axes, "no star below" if len(p) else "no values")
            return axes
        limit, completeness, purity = _selections(p, below)
        # As many points as can be told apart, at equal steps of the completeness.
        drawn = np.unique(np.searchsorted(completeness, np.linspace(completeness[0], 1, _POINTS)))
        axes.plot(100 * completeness[drawn], 100 * purity[drawn], color=BLUE)
        axes.axhline(100 * below.mean(), color="black", linewidth=1, linestyle="--")
        for marked in _MARKED:
            last = int((limit >= marked).sum()) - 1
            if last >= 0:
                at = (100 * completeness[last], 100 * purity[last])
                axes.plot(*at, "o", color=BLUE, markersize=4)
                axes.annotate(f"{marked:g}", at, (4, 4), textcoords="offset points", fontsize=8, color=GREY)
        note(axes, f"{counted(len(p))}, {int(below.sum()):,} below", right=True)
    return axes


def _selections(p: FloatArray, below: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Limit, completeness and purity, from the largest limit; of many stars at equal steps of the limit."""
    if len(p) <= _EXACT:
        curve = purity_curve(p, below)
        return curve["limit"].to_numpy(), curve["completeness"].to_numpy(), curve["purity"].to_numpy()
    cell = (p * _CELLS).astype(np.int32)
    n, found = (np.bincount(cells, minlength=_CELLS + 1)[::-1].cumsum() for cells in (cell, cell[below]))
    some = n > 0
    return np.linspace(1, 0, _CELLS + 1)[some], found[some] / found[-1], found[some] / n[some]


def _sample(
    table: AnyTable, probability: str, reference: str | None, threshold: float | None
) -> tuple[FloatArray, NDArray[np.bool_], str, bool]:
    """Return probabilities and truth of the stars that have both, what they are of, and whether they are mock."""
    known = below_columns([probability])
    named, limit = (f"{known[0][0]}_label", known[0][1]) if known else (None, None)
    label, value = reference or named, limit if threshold is None else threshold
    if label is None or value is None:
        expected = "reference and threshold, or a column such as 'p_fe_h_below_m2'"
        raise InputError(Problem(name_of(table), f"{probability!r} does not name its threshold", expected))
    data = PlotTable.of(table, probability, label)
    p, truth = finite(data.numbers(probability), data.numbers(label))
    if len(p) and not 0 <= p.min() <= p.max() <= 1:
        held = f"{probability!r} holds values from {p.min():g} to {p.max():g}"
        raise InputError(Problem(data.where, held, "probabilities from 0 to 1"))
    return p, truth < value, f"{short_name(label.removesuffix('_label'))} < {value:g}", data.mock
