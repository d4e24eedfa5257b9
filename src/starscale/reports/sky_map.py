"""Maps of the sky: the density of stars, or the share of them that is marked."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from starscale.reports.plots import blank, colourbar, finite, limits_of, nothing
from starscale.vocabulary.arrays import FloatArray

#: A map of a field smaller than this (deg) shows the field, not the whole sky.
_FIELD = 60.0


def sky(
    ra: FloatArray, dec: FloatArray, *, weight: float = 1.0, marked: NDArray[np.bool_] | None = None
) -> Figure:
    """Draw the stars per square degree: in Aitoff projection, or a small field alone.

    Parameters
    ----------
    ra, dec : ndarray, shape (n,)
        ICRS, deg.
    weight : float
        Number of stars that each entry represents.
    marked : ndarray of bool, shape (n,), optional
        Draw the share of the stars for which it is true instead.
    """
    ra, dec, chosen = finite(ra, dec, np.zeros(len(ra)) if marked is None else marked.astype(np.float64))
    figure = blank(8.6, 4.4)
    angle = np.radians(ra)
    middle = float(np.degrees(np.arctan2(np.sin(angle).sum(), np.cos(angle).sum())))
    # Right ascensions near the middle of the field, without the jump at 360 deg.
    near = middle + (ra - middle + 180) % 360 - 180
    field = len(ra) > 0 and np.ptp(near) < _FIELD and np.ptp(dec) < _FIELD
    axes = figure.add_subplot() if field else figure.add_subplot(projection="aitoff")
    ra = near if field else (ra + 180) % 360 - 180
    edges = _field(axes, ra, dec) if field else _whole(axes)
    if not len(ra):
        nothing(axes)
        return figure
    x, y = edges if field else (-np.radians(edges[0]), np.radians(edges[1]))
    count = np.histogram2d(ra, dec, bins=edges)[0]
    count[count == 0] = np.nan
    if marked is not None:
        share = np.histogram2d(ra, dec, bins=edges, weights=chosen)[0] / count
        mesh = axes.pcolormesh(x, y, 100 * share.T, cmap="cividis", norm=Normalize(0, 100))
        colourbar(figure, mesh, axes, "share of the stars (%)")
        return figure
    area = np.outer(np.diff(edges[0]), np.degrees(np.diff(np.sin(np.radians(edges[1])))))
    density = weight * count / area
    low, high = np.nanpercentile(density, (1, 99))
    mesh = axes.pcolormesh(x, y, density.T, cmap="viridis", norm=LogNorm(low, max(high, 1.5 * low)))
    colourbar(figure, mesh, axes, "stars per square degree", extend="both")
    return figure


def _field(axes: Axes, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Prepare the axes of a small field; return the edges of its cells."""
    xlim, ylim = limits_of(ra, percent=100.0), limits_of(dec, percent=100.0)
    ylim = max(ylim[0], -90.0), min(ylim[1], 90.0)
    axes.set(xlabel="RA (deg)", ylabel="Dec (deg)", xlim=xlim[::-1], ylim=ylim)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x % 360:g}"))
    axes.set_aspect(1 / max(0.05, np.cos(np.radians(np.mean(ylim)))))
    return np.linspace(*xlim, 81), np.linspace(*ylim, 61)


def _whole(axes: Axes) -> tuple[FloatArray, FloatArray]:
    """Prepare the axes of the whole sky; return the edges of cells of equal area, which have equal noise."""
    axes.grid(visible=True, linewidth=0.4, color="#999999")
    # East is to the left, as on charts of the sky.
    axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"], fontsize=8)
    for text in axes.get_xticklabels():
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1})
    axes.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["-60°", "-30°", "0°", "30°", "60°"], fontsize=8)
    return np.linspace(-180, 180, 145), np.degrees(np.arcsin(np.linspace(-1, 1, 73)))
