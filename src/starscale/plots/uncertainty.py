"""Predicted intervals and errors against what happened: coverage, reliability, PIT."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes

from starscale.plots.columns import PlotTable, short_name
from starscale.plots.drawing import FEWEST, binomial_error, counted, finite, in_blocks, limits_of, note, nothing
from starscale.plots.style import BLUE, GREY, MARKERS, ORANGE, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

#: Suffixes of the ends of intervals, and the share that lies in them (%).
_INTERVALS = (("lower", "upper", 68), ("lower95", "upper95", 95))
#: Gaussian deviations of the ends of the 95 and 68 % intervals.
_DEVIATIONS = np.array([-NormalDist().inv_cdf(0.975), -1.0, 1.0, NormalDist().inv_cdf(0.975)])


def coverage(
    table: AnyTable,
    label: str = "teff",
    *,
    reference: str | None = None,
    by: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of stars whose known value lies in the predicted 68 and 95 % intervals, in bins.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes, with the ends of the 68 % interval in ``<label>_lower`` and
        ``<label>_upper`` or those of the 95 % interval in ``<label>_lower95`` and ``<label>_upper95``, or both.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    by : str, optional
        Column that is binned; default: the predicted value.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Ten bins with equal numbers of stars, 20 or more. Error bars are binomial.
    """
    known, along = reference or f"{label}_label", by or label
    ends = [f"{label}_{end}" for low, high, _ in _INTERVALS for end in (low, high)]
    data = PlotTable.of(table, label, known, along, optional=ends)
    _check_ends(data, label)
    place, truth = data.numbers(along), data.numbers(known)
    with canvas(ax, mock=data.mock) as axes:
        series: list[CoverageSeries] = []
        for low, high, level in _INTERVALS:
            if f"{label}_{low}" in data and f"{label}_{high}" in data:
                x, t, a, b = finite(place, truth, data.numbers(f"{label}_{low}"), data.numbers(f"{label}_{high}"))
                edges_low, edges_high, share, n = _shares(x, (t >= a) & (t <= b))
                series.append((level, edges_low, edges_high, share, n))
        draw_coverage(axes, series)
        axes.set_xlabel(("predicted " if along == label else "") + data.title(along))
        axes.set_ylabel(f"{short_name(label)}: in interval (%)")
    return axes


def _check_ends(data: PlotTable, label: str) -> None:
    if not any(f"{label}_{low}" in data and f"{label}_{high}" in data for low, high, _ in _INTERVALS):
        expected = f"{label}_lower and {label}_upper (68 %), or {label}_lower95 and {label}_upper95"
        raise InputError(Problem(data.where, f"has no interval of {label!r}", expected))


#: Level (%), and low and high end, share and number of stars of every bin.
CoverageSeries = tuple[int, FloatArray, FloatArray, FloatArray, FloatArray]


def _shares(x: FloatArray, inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[FloatArray, ...]:
    """Ends, share inside and number of stars of ten bins of `x` with equal numbers of stars."""
    bins = min(10, len(x) // FEWEST)
    if not bins:
        return (np.empty(0),) * 4
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)))
    number = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, max(len(edges) - 2, 0))
    n = np.bincount(number, minlength=max(len(edges) - 1, 1)).astype(np.float64)
    share = np.bincount(number, weights=inside, minlength=len(n)) / np.maximum(n, 1)
    return edges[: len(n)], edges[-len(n) :], share, n


def draw_coverage(axes: Axes, series: Sequence[CoverageSeries], *, legend: bool = True) -> None:
    """Draw shares in bins, with the nominal shares; the axis always reaches from 0 to 100 %."""
    drawn = False
    for (level, low, high, share, n), colour, marker in zip(series, (BLUE, ORANGE), MARKERS, strict=False):
        enough = n >= FEWEST
        low, high, share, n = (values[enough] for values in (low, high, share, n))
        axes.axhline(level, color=colour, linewidth=1, linestyle="--")
        bars = 100 * binomial_error(share, n), (high - low) / 2
        points = axes.errorbar((low + high) / 2, 100 * share, *bars, marker, color=colour, markersize=4)
        points.set_label(f"{level} % interval")
        drawn |= bool(len(n))
    if not drawn:
        nothing(axes, f"no bin with {FEWEST} stars")
        axes.set_xticks([])
    axes.set_ylim(0, 103)
    if legend:
        axes.legend(loc="lower left", ncols=2)


def _uniform(table: AnyTable, label: str, reference: str | None, error: str | None) -> tuple[FloatArray, bool]:
    """Probability integral transform of every star, and whether the table is mock."""
    known = reference or f"{label}_label"
    ends = [f"{label}_{end}" for end in ("lower95", "lower", "upper", "upper95")]
    quoted = error or f"{label}_error"
    optional = [] if error else [*ends, quoted]
    data = PlotTable.of(table, label, known, error, optional=optional)
    truth = data.numbers(known)
    if not error and all(end in data for end in ends):
        columns = finite(truth, *(data.numbers(end) for end in ends))
        return in_blocks(_by_intervals, *columns), data.mock
    if quoted not in data:
        expected = f"{label}_error, or the intervals {', '.join(ends)}"
        raise InputError(Problem(data.where, f"has no predicted error of {label!r}", expected))
    width = data.numbers(quoted)
    deviation = finite((truth - data.numbers(label)) / np.where(width > 0, width, np.nan))[0]
    return _cumulative(deviation), data.mock


def _by_intervals(truth: FloatArray, *ends: FloatArray) -> FloatArray:
    """Interpolate the Gaussian deviation of the truth between the ends of the intervals, and beyond them."""
    # Deviation on the straight line through ends i and i + 1; the line that holds the truth is chosen below.
    lines = []
    for i in range(3):
        width = np.maximum(ends[i + 1] - ends[i], 1e-12)
        slope = (_DEVIATIONS[i + 1] - _DEVIATIONS[i]) / width
        lines.append(_DEVIATIONS[i] + slope * (truth - ends[i]))
    below, above = truth < ends[1], truth > ends[2]
    return _cumulative(np.where(below, lines[0], np.where(above, lines[2], lines[1])))


def _cumulative(deviation: FloatArray) -> FloatArray:
    """Share of a Gaussian below a deviation, interpolated in a table that is exact to 1e-6."""
    nodes = np.linspace(-6, 6, 2401)
    known = np.array([NormalDist().cdf(x) for x in nodes])
    found: FloatArray = np.interp(deviation, nodes, known)
    return found


def reliability(
    table: AnyTable,
    label: str = "teff",
    *,
    reference: str | None = None,
    error: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which share of the known values lies below each predicted quantile.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes. Quantiles are those of the 68 and 95 % intervals
        (``<label>_lower``, ``_upper``, ``_lower95``, ``_upper95``), interpolated as those of a Gaussian; or those
        of a Gaussian with the predicted error.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    error : str, optional
        Column of the predicted errors: use them instead of the intervals. Default where there are no intervals:
        ``<label>_error``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The grey band holds 95 % of the curves of perfect errors at each quantile, for this number of stars. A curve
    that is flatter than the diagonal in the middle means errors that are too small.
    """
    uniform, mock = _uniform(table, label, reference, error)
    with canvas(ax, mock=mock) as axes:
        name = short_name(label)
        axes.set(xlabel=f"predicted quantile of {name} (%)", ylabel="known values below it (%)")
        axes.set(xlim=(0, 100), ylim=(0, 100))
        axes.set_box_aspect(1)
        if not len(uniform):
            nothing(axes)
            return axes
        nominal = np.linspace(0, 1, 101)
        observed = np.searchsorted(np.sort(uniform), nominal, side="right") / len(uniform)
        band = 1.96 * np.sqrt(nominal * (1 - nominal) / len(uniform))
        axes.fill_between(
            100 * nominal, 100 * (nominal - band), 100 * (nominal + band), color=GREY, alpha=0.2, lw=0
        )
        axes.plot([0, 100], [0, 100], "--", color="black", linewidth=1)
        axes.plot(100 * nominal, 100 * observed, color=BLUE, linewidth=1.8)
        note(axes, counted(len(uniform)))
    return axes


def pit(
    table: AnyTable,
    label: str = "teff",
    *,
    reference: str | None = None,
    error: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the histogram of the probability integral transform, which is flat where errors are well predicted.

    Parameters
    ----------
    table : path or table
        As for :func:`reliability`.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    error : str, optional
        Column of the predicted errors: use them instead of the intervals.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    A hollow histogram means errors that are too small, a hump errors that are too large, a slope an offset.
    """
    uniform, mock = _uniform(table, label, reference, error)
    with canvas(ax, mock=mock) as axes:
        name = short_name(label)
        axes.set(xlabel=f"PIT: predicted quantile of the known {name}", ylabel="stars per bin / expected")
        axes.set_xlim(0, 1)
        if not len(uniform):
            nothing(axes)
            return axes
        bins = int(np.clip(len(uniform) // 40, 5, 40))
        counts = np.histogram(uniform, bins=bins, range=(0, 1))[0]
        expected = len(uniform) / bins
        spread = 1.96 * np.sqrt((1 - 1 / bins) / expected)
        axes.axhspan(1 - spread, 1 + spread, color=GREY, alpha=0.2, linewidth=0)
        axes.axhline(1, color="black", linewidth=1, linestyle="--")
        axes.stairs(counts / expected, np.linspace(0, 1, bins + 1), color=BLUE, linewidth=1.5)
        axes.set_ylim(0, max(limits_of(counts / expected, percent=100)[1], 1.5) * 1.15)
        note(axes, counted(len(uniform)))
    return axes
