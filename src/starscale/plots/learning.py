"""What a model rests on: inputs, bands, epochs of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from starscale.plots.columns import PlotTable, numbers
from starscale.plots.drawing import finite, nothing
from starscale.plots.style import BLUE, COLOURS, MARKERS, ORANGE, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.errors import InputError, Problem

#: Longest name of a bar.
_NAME = 34


def importance(table: AnyTable, label: str | None = None, *, most: int = 20, ax: Axes | None = None) -> Axes:
    """Draw how much the errors grow when a column is shuffled, the most important column at the top.

    Parameters
    ----------
    table : path or table
        Result of :func:`starscale.importance`: columns `group`, `label`, `rmse`, `rmse_increase` and
        `rmse_increase_spread`; groups of several columns are orange where it has `columns`.
    label : str, optional
        Default: the first label of the table.
    most : int
        Largest number of bars.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if most < 1:
        raise InputError(Problem("most", f"{most}", "1 or more"))
    wanted = ("rmse", "rmse_increase", "rmse_increase_spread")
    data = PlotTable.of(table, *wanted, texts=("group", "label"), optional=("columns",))
    label, rows = _of_label(data, label)
    order = rows.sort("rmse_increase", descending=True, nulls_last=True, maintain_order=True)["group"].to_list()
    with canvas(ax, mock=data.mock) as axes:
        importance_bars(axes, rows, order[:most])
        axes.set_title(label)
    return axes


def _of_label(data: PlotTable, label: str | None) -> tuple[str, pl.DataFrame]:
    """Return a label and the rows of the table with it.

    Raises
    ------
    InputError
        No row has it.
    """
    labels = [name for name in data.frame["label"].unique(maintain_order=True) if name is not None]
    label = label or (labels[0] if labels else "")
    if labels and label not in labels:
        raise InputError(Problem(data.where, f"has no row with label {label!r}", f"one of {', '.join(labels)}"))
    return label, data.frame.filter(pl.col("label").cast(pl.String) == label)


def importance_bars(axes: Axes, rows: pl.DataFrame, order: Sequence[str]) -> None:
    """Draw the increase of the RMSE of the groups in `order`, per cent; a missing row leaves a gap."""
    known = {row["group"]: row for row in rows.iter_rows(named=True)}
    shown = [known.get(group, {}) for group in order]
    if not shown:
        nothing(axes)
    value = np.array([_ratio(row, "rmse_increase") for row in shown], dtype=float)
    error = np.nan_to_num(np.array([_ratio(row, "rmse_increase_spread") for row in shown], dtype=float))
    colours = [ORANGE if len(row.get("columns") or ()) > 1 else BLUE for row in shown]
    axes.barh(range(len(shown)), value, xerr=error, color=colours, height=0.7, error_kw={"linewidth": 1})
    axes.axvline(0, color="black", linewidth=0.8)
    names = [_bar_name(group, row) for group, row in zip(order, shown, strict=True)]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel("increase of RMSE (%)")


def _ratio(row: Mapping[str, Any], name: str) -> float:
    value, rmse = row.get(name), row.get("rmse")
    return 100 * value / rmse if value is not None and rmse else float("nan")


def _bar_name(group: str, row: Mapping[str, Any]) -> str:
    columns: Sequence[str] = row.get("columns") or ()
    if len(columns) > 1 and len(group) > _NAME:
        return f"{columns[0]} + {len(columns) - 1} more"
    return group if len(group) <= _NAME else f"{group[: _NAME - 3]}..."


def missing_bands(table: AnyTable, label: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw by which factor the errors of the same stars grow without each measurement.

    Parameters
    ----------
    table : path or table
        Columns `missing`, `label`, `n` (stars) and `ratio` (MAD without it over MAD with it), as the list
        `missing_bands` of a model's information.
    label : str, optional
        Default: the first label of the table.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    data = PlotTable.of(table, "ratio", "n", texts=("missing", "label"))
    label, rows = _of_label(data, label)
    rows = rows.filter(pl.col("ratio").is_not_null()).sort("ratio", descending=True, maintain_order=True)
    with canvas(ax, mock=data.mock) as axes:
        ratio, n = numbers(rows, "ratio"), numbers(rows, "n")
        if not len(ratio):
            nothing(axes)
        axes.axvline(1, color="black", linewidth=1, linestyle="--")
        axes.plot(ratio, range(len(ratio)), "o", color=BLUE)
        for y, (x, stars) in enumerate(zip(ratio, n, strict=True)):
            axes.annotate(
                f"{stars:,.0f} stars", (x, y), (6, 0), textcoords="offset points", va="center", fontsize=7
            )
        names = [f"without {name}" for name in rows["missing"]]
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5) if names else None
        axes.margins(x=0.25)
        axes.set(title=label, xlabel="MAD without / MAD with it")
    return axes


def training_curves(
    table: AnyTable, *, epoch: str = "epoch", curves: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw losses against the epoch of a training.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes, with a row for every epoch.
    epoch : str
        Column of the epoch.
    curves : sequence of str, optional
        Columns of the losses; default: all other columns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The circle marks the lowest value of a curve. The axis is logarithmic where all losses are positive.
    """
    chosen = [curves] if isinstance(curves, str) else curves
    data = PlotTable.of(table, epoch, *(chosen or ()), every=not chosen)
    drawn = list(chosen or [name for name in data.frame.columns if name != epoch])
    if not drawn:
        raise InputError(Problem(data.where, f"has only the column {epoch!r}", "a column of losses"))
    with canvas(ax, mock=data.mock) as axes:
        lowest = [_curve(axes, data, epoch, name, i) for i, name in enumerate(drawn)]
        axes.set(xlabel="epoch", ylabel="loss")
        if np.isnan(lowest).all():
            nothing(axes)
        elif np.nanmin(lowest) > 0:
            axes.set_yscale("log")
        axes.legend()
    return axes


def _curve(axes: Axes, data: PlotTable, epoch: str, name: str, i: int) -> float:
    """Draw a curve with a mark at its lowest value, which is returned; NaN for a column without values."""
    x, y = finite(data.numbers(epoch), data.numbers(name))
    colour = COLOURS[i % len(COLOURS)]
    axes.plot(x, y, color=colour, label=name)
    if not len(y):
        return float("nan")
    best = int(np.argmin(y))
    look: Any = {"color": colour, "markerfacecolor": "none", "markersize": 6}
    axes.plot(x[best], y[best], MARKERS[i % len(MARKERS)], **look)
    return float(y[best])
