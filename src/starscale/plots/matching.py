"""Pairs of a cross-match: separations, probabilities, purity and completeness."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from starscale.crossmatch.kernel.quality import expected_quality
from starscale.plots.columns import PlotTable
from starscale.plots.drawing import counted, finite, histogram, note, nothing
from starscale.plots.style import BLUE, ORANGE, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.arrays import FloatArray

#: Share of the pairs that the axis of separations holds.
_SHOWN = 0.999


def separations(table: AnyTable, *, distance: str = "angular_distance", ax: Axes | None = None) -> Axes:
    """Draw the distribution of the separations of pairs; the axis holds 99.9 % of them.

    Parameters
    ----------
    table : path or table
        Pairs, as :func:`starscale.match` returns them, or any other.
    distance : str
        Column of the separation; arcsec, unless the table states another unit.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    data = PlotTable.of(table, distance)
    values = data.numbers(distance)
    known = finite(values)[0]
    end = float(np.quantile(known, _SHOWN)) if len(known) else 1.0
    with canvas(ax, mock=data.mock) as axes:
        histogram(axes, (0.0, 1.1 * (end or 1e-3)), ("", values, BLUE), noun="pairs")
        axes.set(xlabel=f"separation ({data.unit(distance) or 'arcsec'})", ylabel="share of the pairs per bin")
    return axes


def match_probabilities(
    table: AnyTable, *, probability: str = "match_probability", ax: Axes | None = None
) -> Axes:
    """Draw the distribution of one minus the match probability, on logarithmic axes.

    Parameters
    ----------
    table : path or table
        Pairs; only the best one of a star where the table has a column `best`.
    probability : str
        Column of the probability, 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    data, known = _probabilities(table, probability)
    edges = np.logspace(-8, 0, 49)
    with canvas(ax, mock=data.mock) as axes:
        axes.set(xlabel="1 - match probability", ylabel="pairs per bin")
        if not len(known):
            nothing(axes)
            return axes
        counts = np.histogram(np.clip(1 - known, edges[0], 1.0), bins=edges)[0]
        axes.stairs(counts, edges, color=BLUE, fill=True, alpha=0.2)
        axes.stairs(counts, edges, color=BLUE, linewidth=1.2)
        axes.set(xscale="log", yscale="log", ylim=(0.5, max(10.0, counts.max() * 8)))
        note(axes, counted(len(known), "pairs"))
    return axes


def _probabilities(table: AnyTable, probability: str) -> tuple[PlotTable, FloatArray]:
    """Return finite probabilities of the best pairs."""
    data = PlotTable.of(table, probability, optional=("best",))
    values = data.numbers(probability)
    return data, finite(values[data.numbers("best") == 1] if "best" in data else values)[0]


def purity(
    table: AnyTable, *, probability: str = "match_probability", truth: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the true pairs that are lost, and the wrong ones that are kept, against a threshold.

    Parameters
    ----------
    table : path or table
        Pairs; only the best one of a star where the table has a column `best`.
    probability : str
        Column of the probability, 0 to 1.
    truth : str, optional
        Column that says whether a pair is a true one (yes and no, or 1 and 0): the measured shares. Default:
        those that the probabilities imply.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Completeness is 100 % minus the lost share, purity 100 % minus the wrong share; lost pairs are those of this
    table alone.
    """
    if truth is None:
        data, known = _probabilities(table, probability)
        shares = known
    else:
        data = PlotTable.of(table, probability, truth)
        known, shares = finite(data.numbers(probability), data.numbers(truth))
    with canvas(ax, mock=data.mock) as axes:
        whose = "expected" if truth is None else "measured"
        axes.set(xlabel="1 - threshold on the probability", ylabel=f"{whose} share (%)")
        if not len(known):
            nothing(axes)
            return axes
        x = np.logspace(-5, 0, 101)
        if truth is None:
            curves = expected_quality(known, 1 - x)
            lost, wrong = 1 - curves["completeness"].to_numpy(), curves["contamination"].to_numpy()
        else:
            lost, wrong = _measured(known, shares, 1 - x)
        axes.plot(x, 100 * np.clip(lost, 1e-8, None), color=BLUE, label="true pairs that are lost")
        axes.plot(x, 100 * wrong, "--", color=ORANGE, label="wrong pairs among the kept")
        axes.set(xscale="log", yscale="log", ylim=(1e-4, 3e3))
        axes.legend(loc="upper right")
    return axes


def _measured(probability: FloatArray, truth: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of the true pairs below each threshold, and share of wrong ones at or above it."""
    order = np.argsort(probability, kind="stable")
    first = np.searchsorted(probability[order], at, side="left")
    right = np.concatenate([np.cumsum(truth[order][::-1])[::-1], [0.0]])[first]
    n = len(probability) - first
    total = float(truth.sum())
    lost = 1 - right / total if total else np.full(len(at), np.nan)
    return lost, np.where(n > 0, 1 - right / np.maximum(n, 1), np.nan)
