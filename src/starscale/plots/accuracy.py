"""Predictions against known values: one to one, errors, pulls, residuals."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from starscale.plots.columns import PlotTable, label_unit, short_name
from starscale.plots.drawing import (
    around_zero,
    beyond,
    colourbar,
    counted,
    density,
    finite,
    histogram,
    limits_of,
    note,
    nothing,
    running_quantiles,
)
from starscale.plots.style import BLUE, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS


def one_to_one(
    table: AnyTable, label: str = "teff", *, reference: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw predicted against known value, with the statistics of the difference (Turchi et al. 2024, Fig. 1).

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        Columns that do not exist, or do not hold numbers.
    """
    known = reference or f"{label}_label"
    data = PlotTable.of(table, label, known)
    truth, predicted = finite(data.numbers(known), data.numbers(label))
    with canvas(ax, mock=data.mock) as axes:
        names = (data.title(label), "spectroscopic ") if reference is None else (data.title(label), "")
        axes.set(xlabel=names[1] + data.title(known if reference else label), ylabel=f"predicted {names[0]}")
        if not len(truth):
            nothing(axes)
            return axes
        limits = limits_of(truth, predicted)
        if mesh := density(axes, truth, predicted, (limits, limits)):
            colourbar(mesh, axes, "stars per cell")
        axes.plot(limits, limits, "--", color="black", linewidth=1)
        axes.set(xlim=limits, ylim=limits)
        axes.set_box_aspect(1)
        n = counted(len(truth)) + beyond((truth, limits), (predicted, limits))
        note(axes, f"{n}\n{_statistics(predicted - truth, label)}")
    return axes


def _statistics(difference: FloatArray, label: str) -> str:
    """Median, MAD and standard deviation of a difference, in words."""
    median = float(np.median(difference))
    mad = 1.4826 * float(np.median(np.abs(difference - median)))
    unit = label_unit(label)
    lines = [("median", median, "+"), ("MAD", mad, ""), ("std", float(np.std(difference)), "")]
    shown = [f"{name} {_written(value, label, sign)}" for name, value, sign in lines]
    return "\n".join(f"{line} {unit}".rstrip() for line in shown)


def _written(value: float, label: str, sign: str) -> str:
    name = label.removesuffix("_label")
    places = f".{LABELS[name].decimals - (LABELS[name].unit == 'K')}f" if name in LABELS else ".3g"
    return format(value, sign + places).replace("-", "\N{MINUS SIGN}")


def error_distribution(
    table: AnyTable, label: str = "teff", *, reference: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the distribution of predicted minus known value as shares (Turchi et al. 2024, Fig. 2).

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    known = reference or f"{label}_label"
    data = PlotTable.of(table, label, known)
    difference = finite(data.numbers(label) - data.numbers(known))[0]
    with canvas(ax, mock=data.mock) as axes:
        whose = "spectroscopic" if reference is None else known
        axes.set(xlabel=f"predicted - {whose} {data.title(label)}", ylabel="share of the sample per bin")
        histogram(axes, around_zero(difference), ("", difference, BLUE))
        if len(difference):
            axes.axvline(0, ymax=0.8, color="black", linewidth=1, linestyle="--")
            axes.texts[-1].set_text(f"{axes.texts[-1].get_text()}\n{_statistics(difference, label)}")
    return axes


def pulls(
    table: AnyTable,
    label: str = "teff",
    *,
    reference: str | None = None,
    error: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of the errors in units of the predicted error, with a unit Gaussian.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    label : str
        Column of the predicted values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    error : str, optional
        Column of the predicted errors; default: ``<label>_error``. Errors that are not positive are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    known, quoted = reference or f"{label}_label", error or f"{label}_error"
    data, limits = PlotTable.of(table, label, known, quoted), (-6.0, 6.0)
    width = data.numbers(quoted)
    pull = (data.numbers(label) - data.numbers(known)) / np.where(width > 0, width, np.nan)
    with canvas(ax, mock=data.mock) as axes:
        name = short_name(label)
        bin_width = histogram(axes, limits, ("", pull, BLUE))
        axes.set(xlabel=f"error of {name} / predicted error", ylabel="share of the sample per bin")
        if bin_width:
            x = np.linspace(*limits, 241)
            y = bin_width * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
            axes.plot(x, np.where(y >= axes.get_ylim()[0], y, np.nan), "--", color="black", linewidth=1)
    return axes


def residuals(
    table: AnyTable,
    label: str = "teff",
    against: str | None = None,
    *,
    reference: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predicted minus known value against any column, with running median and 16 to 84 %.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    label : str
        Column of the predicted values.
    against : str, optional
        Column of the horizontal axis; default: the known values.
    reference : str, optional
        Column of the known values; default: ``<label>_label``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Median and quantiles are those of bins of equal width with 20 stars or more.
    """
    known = reference or f"{label}_label"
    along = against or known
    data = PlotTable.of(table, label, known, along)
    difference = data.numbers(label) - data.numbers(known)
    with canvas(ax, mock=data.mock) as axes:
        axes.set_ylabel(f"error of {data.title(label)}")
        axes.set_xlabel(("spectroscopic " if along.endswith("_label") else "") + data.title(along))
        x, y = finite(data.numbers(along), difference)
        if not len(x):
            nothing(axes)
            return axes
        xlim, ylim = limits_of(x), around_zero(y, percent=99.0)
        density(axes, x, y, (xlim, ylim), colours="Greys", lighter=12)
        centre, (low, median, high) = running_quantiles(x, y, xlim)
        axes.fill_between(centre, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(centre, np.transpose([low, high]), color=BLUE, linewidth=0.8)
        axes.plot(centre, median, color=BLUE, linewidth=2)
        axes.axhline(0, color="black", linewidth=1, linestyle="--")
        axes.set(xlim=xlim, ylim=ylim)
    return axes
