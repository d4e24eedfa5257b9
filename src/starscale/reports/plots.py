"""Figures of the report: from arrays and tables to matplotlib figures.

Only matplotlib's object-oriented interface is used, so nothing global changes and no display is
needed. Missing values are left out; a figure without values says so.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS

Limits = tuple[float, float]
#: Title, values and colour of a histogram.
Sample = tuple[str, FloatArray, str]

DPI = 110
#: Blue and orange of Okabe and Ito: distinct for every kind of colour vision.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"
#: Fewest stars in a bin of a running median.
_FEWEST = 20


def png(figure: Figure, *, mock: bool = False) -> bytes:
    """Draw a figure as PNG; a title marks mock data, because figures are copied out of pages."""
    if mock:
        figure.suptitle("MOCK DATA (simulated stars)", fontsize=9, color="#b00020", fontweight="bold")
    figure.dpi = DPI
    canvas = FigureCanvasAgg(figure)
    # savefig would draw everything once more, and throw it away, to find the layout.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    # Without the name of the software the same run gives the same bytes.
    canvas.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def numbers(table: pl.DataFrame, name: str) -> FloatArray:
    """A column as float64, NaN where it is not finite; all NaN where there is no such column. Shape (n_rows,)."""
    if name not in table.columns:
        return np.full(table.height, np.nan)
    values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def axis_name(name: str) -> str:
    """Return the title of an axis: symbol and unit of a label, else the name of the column."""
    if name == "magnitude":
        return "magnitude (mag)"
    if name not in LABELS:
        return name
    symbol, _, index = LABELS[name].symbol.partition("_")
    unit = "K" if LABELS[name].unit == "K" else "dex"
    return (f"${symbol}_{{\\mathrm{{{index}}}}}$" if index else symbol) + f" ({unit})"


def one_to_one(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw predicted against spectroscopic value, coloured by density (Turchi et al. 2024, Fig. 1).

    Parameters
    ----------
    test : polars.DataFrame, (n, ...)
        For every label its prediction, and the spectroscopic value as ``<label>_label``.
    labels : sequence of str
        One panel each.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.25))
    for axes, label in zip(panels[0], labels, strict=False):
        truth, predicted = finite(numbers(test, f"{label}_label"), numbers(test, label))
        axes.set(xlabel=f"spectroscopic {axis_name(label)}", ylabel=f"predicted {axis_name(label)}")
        if not len(truth):
            nothing(axes)
            continue
        limits = limits_of(truth, predicted)
        mesh = _density(axes, truth, predicted, (limits, limits))
        colourbar(figure, mesh, axes, "stars per bin" if axes is panels[0][-1] else "")
        axes.plot(limits, limits, "--", color="black", linewidth=1)
        axes.set(xlim=limits, ylim=limits)
        axes.set_box_aspect(1)
        _note(axes, f"n = {len(truth):,}" + _beyond((truth, limits), (predicted, limits)))
    return figure


def error_distribution(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of ``prediction - label`` as shares of the sample (Turchi et al. 2024, Fig. 2).

    The parameters are those of :func:`one_to_one`.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.2))
    for axes, label in zip(panels[0], labels, strict=False):
        difference = numbers(test, label) - numbers(test, f"{label}_label")
        axes.set(xlabel=f"predicted - spectroscopic {axis_name(label)}", ylabel="share of the sample per bin")
        histogram(axes, _around_zero(difference), ("", difference, BLUE))
        axes.axvline(0, ymax=0.88, color="black", linewidth=1, linestyle="--")
    return figure


def pulls(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of ``(prediction - label) / predicted error`` with a unit Gaussian.

    The parameters are those of :func:`one_to_one`; `test` needs ``<label>_error`` as well.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.2))
    limits = (-6.0, 6.0)
    for axes, label in zip(panels[0], labels, strict=False):
        error = numbers(test, f"{label}_error")
        error[~(error > 0)] = np.nan
        pull = (numbers(test, label) - numbers(test, f"{label}_label")) / error
        width = histogram(axes, limits, ("", pull, BLUE))
        axes.set(xlabel=f"error of {LABELS[label].name} / predicted error", ylabel="share of the sample per bin")
        if width:
            x = np.linspace(*limits, 241)
            y = width * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
            bottom = axes.get_ylim()[0]
            axes.plot(x, np.where(y >= bottom, y, np.nan), "--", color="black", linewidth=1)
    return figure


def residual_trends(test: pl.DataFrame, labels: Sequence[str], against: Sequence[str]) -> Figure:
    """Draw the density of ``prediction - label`` with its running median and central 68 %.

    Parameters
    ----------
    test : polars.DataFrame, (n, ...)
        As for :func:`one_to_one`; may have `magnitude`.
    labels : sequence of str
        One row of panels each.
    against : sequence of str
        One column of panels each: labels (their spectroscopic value) or ``magnitude``.
    """
    figure, panels = grid(len(labels), len(against), (2.85, 2.35))
    for row, label in zip(panels, labels, strict=False):
        difference = numbers(test, label) - numbers(test, f"{label}_label")
        ylim = _around_zero(difference, percent=99.0)
        for axes, name in zip(row, against, strict=False):
            x, y = finite(numbers(test, name if name == "magnitude" else f"{name}_label"), difference)
            if axes is row[0]:
                axes.set_ylabel(f"error of {axis_name(label)}")
            if row is panels[-1]:
                axes.set_xlabel(("" if name == "magnitude" else "spectroscopic ") + axis_name(name))
            if not len(x):
                nothing(axes)
                continue
            xlim = limits_of(x)
            _density(axes, x, y, (xlim, ylim), colours="Greys", lighter=12)
            centre, (low, median, high) = running_quantiles(x, y, xlim)
            axes.fill_between(centre, low, high, color=BLUE, alpha=0.2, linewidth=0)
            axes.plot(centre, np.transpose([low, high]), color=BLUE, linewidth=0.8)
            axes.plot(centre, median, color=BLUE, linewidth=2)
            axes.axhline(0, color="black", linewidth=1, linestyle="--")
            axes.set(xlim=xlim, ylim=ylim)
    return figure


def running_quantiles(x: FloatArray, y: FloatArray, limits: Limits) -> tuple[FloatArray, FloatArray]:
    """Compute 16, 50 and 84 % quantiles of `y` in 20 bins of `x`.

    The bins have equal widths, not equal numbers of stars: the rare stars at either end are visible.

    Parameters
    ----------
    x, y : ndarray, (n,)
        Finite values.
    limits : tuple of float
        Ends of the first and the last bin.

    Returns
    -------
    centre : ndarray, (n_bins,)
        Median of `x` in each bin that has 20 stars or more.
    quantiles : ndarray, (3, n_bins)
    """
    number = np.digitize(x, np.linspace(*limits, 21))
    groups = [rows for i in range(1, 21) if len(rows := np.flatnonzero(number == i)) >= _FEWEST]
    centre = np.array([np.median(x[rows]) for rows in groups])
    quantiles = [np.quantile(y[rows], (0.16, 0.5, 0.84)) for rows in groups]
    return centre, np.array(quantiles).reshape(-1, 3).T


def coverage(bins: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the share of stars whose label lies in the 68 and 95 % intervals, with the nominal shares.

    Parameters
    ----------
    bins : polars.DataFrame
        `label`, `by` (``predicted`` or ``magnitude``), `low`, `high`, `n`, `coverage68`, `coverage95`;
        bins with fewer than 20 stars are not drawn.
    labels : sequence of str
        One column of panels each; one row for each `by` that has a bin.
    """
    drawn = bins.filter(pl.col("n") >= _FEWEST)
    kinds = [by for by in ("predicted", "magnitude") if by in drawn["by"]] or ["predicted"]
    figure, panels = grid(len(kinds), len(labels), (3.75, 2.8))
    for row, by in zip(panels, kinds, strict=False):
        for axes, label in zip(row, labels, strict=False):
            part = drawn.filter((pl.col("label") == label) & (pl.col("by") == by))
            low, high, n = numbers(part, "low"), numbers(part, "high"), numbers(part, "n")
            for level, colour, marker in ((68, BLUE, "o"), (95, ORANGE, "s")):
                share = numbers(part, f"coverage{level}")
                axes.axhline(level, color=colour, linewidth=1, linestyle="--")
                bars = 100 * binomial_error(share, n), (high - low) / 2
                points = axes.errorbar((low + high) / 2, 100 * share, *bars, marker, color=colour, markersize=4)
                points.set_label(f"{level} % interval")
            if part.is_empty():
                nothing(axes, f"no bin with {_FEWEST} stars")
                axes.set_xticks([])
            axes.set(ylim=(min(40.0, axes.get_ylim()[0]), 103))
            axes.set_xlabel(f"predicted {axis_name(label)}" if by == "predicted" else axis_name(by))
            axes.set_ylabel(f"{LABELS[label].name}: in interval (%)")
            if axes is panels[0][0]:
                axes.legend(fontsize=8, frameon=False, loc="lower left", ncols=2)
    return figure


def binomial_error(share: FloatArray, n: FloatArray) -> FloatArray:
    """Compute the standard error of a share of `n` stars, with half a star added to both counts.

    The added half keeps the error of a share of 0 or 1 above zero.
    """
    smooth = (share * n + 0.5) / (n + 1)
    error: FloatArray = np.sqrt(smooth * (1 - smooth) / (n + 1))
    return error


def kiel(stars: pl.DataFrame) -> Figure:
    """Draw two Kiel diagrams: coloured by density, and by the mean [Fe/H] of each cell.

    Parameters
    ----------
    stars : polars.DataFrame, (n, ...)
        `teff`, `logg`, and optionally `fe_h`.
    """
    teff, logg, fe_h = (numbers(stars, name) for name in ("teff", "logg", "fe_h"))
    coloured = bool(np.isfinite(fe_h).any())
    figure, panels = grid(1, 2 if coloured else 1, (5.2, 4.4))
    x, y = finite(teff, logg)
    xlim, ylim = limits_of(x), limits_of(y)
    for axes in panels[0]:
        axes.set(xlabel=axis_name("teff"), ylabel=axis_name("logg"))
        if not len(x):
            nothing(axes)
    if not len(x):
        return figure
    mesh = _density(panels[0][0], x, y, (xlim, ylim))
    colourbar(figure, mesh, panels[0][0], "stars per bin")
    if coloured:
        x3, y3, z3 = finite(teff, logg, fe_h)
        edges = [np.linspace(*limits, _cells(x) + 1) for limits in (xlim, ylim)]
        counts = np.histogram2d(x3, y3, bins=edges)[0]
        sums = np.histogram2d(x3, y3, bins=edges, weights=z3)[0]
        mean = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        low, high = limits_of(mean, percent=96.0, pad=0.0)
        mesh = panels[0][1].pcolormesh(*edges, mean.T, cmap="cividis", vmin=low, vmax=high)
        colourbar(figure, mesh, panels[0][1], f"mean {axis_name('fe_h')}", extend="both")
    for axes in panels[0]:
        axes.set(xlim=xlim[::-1], ylim=ylim[::-1])
    return figure


def label_distributions(stars: pl.DataFrame, test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of every label of `stars`, and of the labels of `test`, if it has rows."""
    figure, panels = grid(1, len(labels), (3.75, 3.0))
    for axes, label in zip(panels[0], labels, strict=False):
        predicted, known = numbers(stars, label), numbers(test, f"{label}_label")
        limits = limits_of(predicted, known, percent=99.6)
        histogram(axes, limits, ("catalogue", predicted, BLUE), ("spectroscopic, test part", known, ORANGE))
        axes.set(xlabel=axis_name(label), ylabel="share of the stars per bin")
        if axes is panels[0][0] and axes.patches:
            axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
    return figure


def limits_of(*values: FloatArray, percent: float = 99.8, pad: float = 0.04) -> Limits:
    """Return axis limits: the central `percent` of the finite values, with a margin; never of zero width."""
    joined = np.concatenate([v[np.isfinite(v)] for v in values])
    if not len(joined):
        return 0.0, 1.0
    low, high = np.percentile(joined, (50 - percent / 2, 50 + percent / 2))
    margin = pad * (high - low) if high - low > 1e-9 * max(abs(high), 1.0) else max(abs(high) * 0.01, 0.1)
    return float(low - margin), float(high + margin)


def _around_zero(values: FloatArray, percent: float = 99.8) -> Limits:
    reach = max(map(abs, limits_of(values, percent=percent)))
    return -reach, reach


def finite(*arrays: FloatArray) -> list[FloatArray]:
    """The rows in which every array is finite."""
    mask = np.logical_and.reduce([np.isfinite(a) for a in arrays])
    return [a[mask] for a in arrays]


def blank(width: float, height: float) -> Figure:
    """Make a figure without panels; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def grid(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with a grid of axes, at least one; `size` of one panel in inches."""
    rows, columns = max(rows, 1), max(columns, 1)
    figure = blank(columns * size[0], rows * size[1])
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.tick_params(labelsize=8.5, direction="in", top=True, right=True)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    return figure, panels.tolist()


def _density(
    axes: Axes,
    x: FloatArray,
    y: FloatArray,
    limits: tuple[Limits, Limits],
    *,
    colours: str = "viridis",
    lighter: float = 1,
) -> QuadMesh:
    """Draw counts in cells on a logarithmic colour scale; empty cells stay white.

    With `lighter` above 1 the scale ends that many times above the highest count, for a background.
    """
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=_cells(x), range=limits)
    counts[counts == 0] = np.nan
    most = float(np.nanmax(counts)) if np.isfinite(counts).any() else 1.0
    scale = LogNorm(1 / lighter**0.5, lighter * max(most, 2.0))
    return axes.pcolormesh(x_edges, y_edges, counts.T, cmap=colours, norm=scale)


def _cells(x: FloatArray) -> int:
    """Cells along one axis of a density: coarser where there are few stars."""
    return int(np.clip(len(x) ** 0.5, 30, 100))


def histogram(axes: Axes, limits: Limits, *samples: Sample, noun: str = "n") -> float:
    """Draw shares per bin on a log scale, of all finite values of each sample.

    Returns the width of a bin; 0 when no sample has a value.
    """
    drawn = [(title, values[np.isfinite(values)], colour) for title, values, colour in samples]
    drawn = [sample for sample in drawn if len(sample[1])]
    if not drawn:
        nothing(axes)
        return 0.0
    fewest = min(len(values) for _, values, _ in drawn)
    edges = np.linspace(*limits, 1 + int(np.clip(3 * fewest ** (1 / 3), 24, 80)))
    floor, top = 1.0, 0.0
    for title, values, colour in drawn:
        share = np.histogram(values, bins=edges)[0] / len(values)
        if len(drawn) == 1:
            axes.stairs(share, edges, color=colour, fill=True, alpha=0.2)
        axes.stairs(share, edges, color=colour, linewidth=1.2, label=title)
        # The axis starts at half a star: bins with one star are visible, empty ones are not.
        floor, top = min(floor, 0.5 / len(values)), max(top, share.max(), 1 / len(values))
    axes.set_yscale("log")
    # A quarter of the height is head room for the note or the legend.
    axes.set(xlim=limits, ylim=(floor, top * (top / floor) ** 0.25))
    if len(samples) == 1:
        values = drawn[0][1]
        _note(axes, f"{noun} = {len(values):,}" + _beyond((values, limits)))
    return float(edges[1] - edges[0])


def _beyond(*pairs: tuple[FloatArray, Limits]) -> str:
    """Text with the number of stars outside the axes, so that none is hidden silently."""
    outside = np.logical_or.reduce([(v < low) | (v > high) for v, (low, high) in pairs]).sum()
    return f", {outside:,} off the axes" if outside else ""


def _note(axes: Axes, text: str) -> None:
    axes.text(0.03, 0.97, text, transform=axes.transAxes, ha="left", va="top", fontsize=8, color=GREY)


def nothing(axes: Axes, text: str = "no values") -> None:
    """Write on a panel that there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def colourbar(figure: Figure, mesh: QuadMesh, axes: Axes, title: str, *, extend: str = "neither") -> None:
    """Draw the colour bar of a map beside its panel."""
    # An inset has the height of the panel in every layout.
    bar = figure.colorbar(mesh, cax=axes.inset_axes((1.025, 0, 0.03, 1)), extend=extend)
    bar.set_label(title, fontsize=8.5)
    bar.ax.tick_params(which="both", labelsize=8)
    if isinstance(mesh.norm, LogNorm):
        bar.ax.yaxis.set_major_formatter(LogFormatter())
        bar.ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
