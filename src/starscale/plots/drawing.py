"""What several pictures are made of: counts in cells, histograms, running quantiles, notes, colour bars.

Rows are binned in blocks, so that the memory for a picture does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogFormatter
from numpy.typing import NDArray

from starscale.plots.style import BLUE, GREY
from starscale.vocabulary.arrays import FloatArray

Limits = tuple[float, float]
#: Title, values and colour of a histogram.
Sample = tuple[str, FloatArray, str]

#: Fewest stars in a bin of a running median.
FEWEST = 20
#: Below this number each star is a point; above, stars are counted in cells.
POINTS = 3000
#: Most values from which the limits of an axis are found, and rows that are binned at a time.
_SAMPLE, _BLOCK = 2_000_000, 1 << 18


def finite(*arrays: FloatArray) -> list[FloatArray]:
    """The rows in which every array is finite."""
    mask = np.isfinite(arrays[0])
    for array in arrays[1:]:
        mask &= np.isfinite(array)
    return list(arrays) if mask.all() else [a[mask] for a in arrays]


def in_blocks(function: Callable[..., FloatArray], *columns: FloatArray) -> FloatArray:
    """Evaluate a function of columns, row by row, in blocks; its result has the rows along the last axis."""
    n = len(columns[0])
    parts = [function(*(c[i : i + _BLOCK] for c in columns)) for i in range(0, max(n, 1), _BLOCK)]
    return np.concatenate(parts, axis=-1)


def limits_of(*values: FloatArray, percent: float = 99.8, pad: float = 0.04) -> Limits:
    """Return axis limits: the central `percent` of the finite values, with a margin; never of zero width."""
    some = [v[:: max(1, len(v) // _SAMPLE)] for v in values]
    joined = np.concatenate([v[np.isfinite(v)] for v in some])
    if not len(joined):
        return 0.0, 1.0
    low, high = np.percentile(joined, (50 - percent / 2, 50 + percent / 2))
    margin = pad * (high - low) if high - low > 1e-9 * max(abs(high), 1.0) else max(abs(high) * 0.01, 0.1)
    return float(low - margin), float(high + margin)


def around_zero(values: FloatArray, percent: float = 99.8) -> Limits:
    """Return limits that have zero in the middle."""
    reach = max(map(abs, limits_of(values, percent=percent)))
    return -reach, reach


def binned(
    x: FloatArray,
    y: FloatArray,
    limits: tuple[Limits, Limits],
    shape: tuple[int, int],
    values: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray | None]:
    """Count rows in cells of equal size, as :func:`numpy.histogram2d`, and add `values` up in them.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Rows outside the limits, and those that are not finite, are left out.
    limits : pair of (float, float)
    shape : (int, int)
        Numbers of cells along x and y.
    values : ndarray, shape (n,), optional
        Finite.

    Returns
    -------
    counts : ndarray, `shape`
    sums : ndarray, `shape`, or None
    """
    n = shape[0] * shape[1]
    counts, sums = np.zeros(n), None if values is None else np.zeros(n)
    for start in range(0, len(x), _BLOCK):
        some = slice(start, start + _BLOCK)
        column, inside_x = _places(x[some], limits[0], shape[0])
        row, inside_y = _places(y[some], limits[1], shape[1])
        inside = inside_x & inside_y
        cell = (column * shape[1] + row)[inside]
        counts += np.bincount(cell, minlength=n)
        if sums is not None and values is not None:
            sums += np.bincount(cell, weights=values[some][inside], minlength=n)
    return counts.reshape(shape), None if sums is None else sums.reshape(shape)


def _places(values: FloatArray, limits: Limits, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Number of the bin of every value, and whether it is in one; the last bin holds its upper edge."""
    edges = np.linspace(*limits, n + 1)
    inside = (values >= edges[0]) & (values <= edges[-1])
    place = np.where(inside, (values - edges[0]) * (n / (edges[-1] - edges[0])), 0.0).astype(np.int64)
    np.clip(place, 0, n - 1, out=place)
    # Rounding may put a value near an edge into the neighbouring bin.
    place -= values < edges[place]
    np.clip(place, 0, n - 1, out=place)
    place += (values >= edges[place + 1]) & (place < n - 1)
    return place, inside


def cells_along(n: int) -> int:
    """Cells along one axis: coarser where there are few stars."""
    return int(np.clip(n**0.5, 30, 100))


def density(
    axes: Axes,
    x: FloatArray,
    y: FloatArray,
    limits: tuple[Limits, Limits],
    *,
    colours: str = "viridis",
    lighter: float = 1,
) -> QuadMesh | None:
    """Draw few stars as points, many as counts in cells on a logarithmic colour scale; empty cells stay white.

    With `lighter` above 1 the scale ends that many times above the highest count, for a background.
    Returns the cells, for a colour bar; None for points.
    """
    if len(x) < POINTS:
        colour = GREY if lighter > 1 else BLUE
        size = float(np.interp(len(x), (100, POINTS), (3.5, 1.8)))
        axes.plot(x, y, ".", color=colour, markersize=size, alpha=0.5, markeredgewidth=0, zorder=1)
        return None
    n = cells_along(len(x))
    counts, _ = binned(x, y, limits, (n, n))
    counts[counts == 0] = np.nan
    most = float(np.nanmax(counts)) if np.isfinite(counts).any() else 1.0
    scale = LogNorm(1 / lighter**0.5, lighter * max(most, 2.0))
    edges = [np.linspace(*ends, n + 1) for ends in limits]
    return axes.pcolormesh(*edges, counts.T, cmap=colours, norm=scale, rasterized=True)


def mean_cells(
    axes: Axes,
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    limits: tuple[Limits, Limits],
    colours: str = "cividis",
) -> QuadMesh:
    """Draw the mean of `z` in cells."""
    n = cells_along(len(x))
    counts, sums = binned(x, y, limits, (n, n), z)
    mean = np.divide(sums, counts, out=np.full((n, n), np.nan), where=counts > 0)  # type: ignore[arg-type]
    low, high = limits_of(mean.ravel(), percent=96.0, pad=0.0)
    edges = [np.linspace(*ends, n + 1) for ends in limits]
    return axes.pcolormesh(*edges, mean.T, cmap=colours, vmin=low, vmax=high, rasterized=True)


def histogram(axes: Axes, limits: Limits, *samples: Sample, noun: str = "stars") -> float:
    """Draw shares per bin on a log scale, of all finite values of each sample.

    Returns the width of a bin; 0 when no sample has a value.
    """
    drawn = [(title, finite(values)[0], colour) for title, values, colour in samples]
    drawn = [sample for sample in drawn if len(sample[1])]
    if not drawn:
        nothing(axes)
        return 0.0
    fewest = min(len(values) for _, values, _ in drawn)
    bins = int(np.clip(3 * fewest ** (1 / 3), 24, 80))
    edges = np.linspace(*limits, 1 + bins)
    floor, top = 1.0, 0.0
    for title, values, colour in drawn:
        share = np.histogram(values, bins=bins, range=limits)[0] / len(values)
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
        note(axes, counted(len(values), noun) + beyond((values, limits)))
    return float(edges[1] - edges[0])


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
    number, inside = _places(x, limits, 20)
    number = np.where(inside, number, -1).astype(np.int8)
    groups = [rows for i in range(20) if len(rows := np.flatnonzero(number == i)) >= FEWEST]
    centre = np.array([np.median(x[rows]) for rows in groups])
    quantiles = [np.quantile(y[rows], (0.16, 0.5, 0.84)) for rows in groups]
    return centre, np.array(quantiles).reshape(-1, 3).T


def binomial_error(share: FloatArray, n: FloatArray) -> FloatArray:
    """Compute the standard error of a share of `n` stars, with half a star added to both counts.

    The added half keeps the error of a share of 0 or 1 above zero.
    """
    smooth = (share * n + 0.5) / (n + 1)
    error: FloatArray = np.sqrt(smooth * (1 - smooth) / (n + 1))
    return error


def counted(n: int, noun: str = "stars") -> str:
    """Return a number with its noun, such as "1 star"."""
    return f"{n:,} {noun.removesuffix('s') if n == 1 else noun}"


def beyond(*pairs: tuple[FloatArray, Limits]) -> str:
    """Text with the number of stars outside the axes, so that none is hidden silently."""
    outside = np.logical_or.reduce([(v < low) | (v > high) for v, (low, high) in pairs]).sum()
    return f", {outside:,} off the axes" if outside else ""


def note(axes: Axes, text: str, *, right: bool = False) -> None:
    """Write a note in the upper left corner of a panel, or in the upper right one."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    place: Any = {"transform": axes.transAxes, "ha": "right" if right else "left", "va": "top", "zorder": 8}
    axes.text(0.97 if right else 0.03, 0.97, text, fontsize=8, color=GREY, bbox=box, linespacing=1.35, **place)


def nothing(axes: Axes, text: str = "no values") -> None:
    """Write on a panel that there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def colourbar(mesh: QuadMesh, axes: Axes, title: str, *, extend: str = "neither") -> None:
    """Draw the colour bar of a map beside its panel."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    if figure.get_layout_engine() is not None:
        # An inset has the height of the panel in every layout that makes room for it.
        bar = figure.colorbar(mesh, cax=axes.inset_axes((1.025, 0, 0.03, 1)), extend=extend)
    else:
        bar = figure.colorbar(mesh, ax=axes, extend=extend)
    bar.set_label(title, fontsize=8.5)
    bar.ax.tick_params(which="both", labelsize=8)
    if isinstance(mesh.norm, LogNorm):
        bar.ax.yaxis.set_major_formatter(LogFormatter())
        bar.ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
