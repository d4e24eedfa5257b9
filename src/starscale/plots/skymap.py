"""Maps of the sky: the density of stars, or the mean of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from starscale.plots.columns import PlotTable
from starscale.plots.drawing import POINTS, Limits, binned, colourbar, counted, finite, limits_of, note, nothing
from starscale.plots.style import BLUE, canvas
from starscale.tables.api import AnyTable
from starscale.tables.healpix import cell_area, cell_centres, placed_cells
from starscale.tables.positions import separation
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

#: A map of stars within this radius (deg) shows the field, not the whole sky; beyond the declination it is drawn
#: in offsets from its centre.
_FIELD, _POLE = 30.0, 80.0
#: Stars that a cell of the whole sky holds on average, and the finest order.
_PER_CELL, _FINEST = 12, 6


@dataclass(frozen=True, slots=True)
class MapRows:
    """Places and values of stars, and how many stars each stands for.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,)
        Degrees.
    value : ndarray, shape (n,), or None
        What the map shows the mean of; None: the number of stars.
    weight : float
    title : str
        Title of the colour bar.
    share : bool
        The mean is a share, in per cent.
    """

    ra: FloatArray
    dec: FloatArray
    value: FloatArray | None
    weight: float
    title: str
    share: bool = False


def sky(
    table: AnyTable,
    *,
    ra: str = "ra",
    dec: str = "dec",
    value: str | None = None,
    weight: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw stars per square degree: the whole sky in HEALPix cells, or a field alone.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    ra, dec : str
        Columns of the position (ICRS, deg).
    value : str, optional
        Column whose mean is shown instead; of a column of yes and no, the share of yes.
    weight : float
        Number of stars that each row represents.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure, in Aitoff projection for the whole sky. On an Axes of another kind
        without a projection of the sky, the whole sky is drawn in degrees.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if not weight > 0:
        raise InputError(Problem("weight", f"{weight:g}", "a number above 0"))
    data = PlotTable.of(table, ra, dec, value)
    # A declination beyond the poles is an error of the table: such a row has no place.
    north = data.numbers(dec)
    places = finite(data.numbers(ra), np.where(np.abs(north) <= 90, north, np.nan), *_values(data, value))
    share = value is not None and str(data.frame.schema[value]) == "Boolean"
    title = "stars per square degree" if value is None else f"mean {data.title(value)}"
    title = f"{value}: share of the stars (%)" if share else title
    rows = MapRows(places[0], places[1], places[2] if value else None, weight, title, share)
    cell = placed_cells(rows.ra, rows.dec, _FINEST)
    centre, field = _extent(cell)
    with canvas(ax, mock=data.mock, projection=None if field else "aitoff") as axes:
        if not len(rows.ra):
            nothing(axes)
        elif field and axes.name == "rectilinear":
            _field(axes, rows, centre)
        else:
            _whole(axes, rows, cell)
    return axes


def is_field(ra: FloatArray, dec: FloatArray) -> bool:
    """Whether a map of these places (deg) shows a field, not the whole sky."""
    cell = placed_cells(ra, np.where(np.abs(dec) <= 90, dec, np.nan), _FINEST)
    return _extent(cell[cell >= 0])[1]


def looked_at(ra: FloatArray, dec: FloatArray) -> tuple[float, float, float] | None:
    """Return what to look at: the field of these places (deg), or their densest region of the whole sky.

    Returns
    -------
    (float, float, float) or None
        Right ascension and declination of the centre, and the width, deg; None without a place.
    """
    cell = placed_cells(ra, np.where(np.abs(dec) <= 90, dec, np.nan), _FINEST)
    cell = cell[cell >= 0]
    if not len(cell):
        return None
    (centre_ra, centre_dec), field = _extent(cell)
    if field:
        far = separation(_vectors(ra, dec), _vectors(np.array([centre_ra]), np.array([centre_dec])))
        return centre_ra, centre_dec, 2 * float(np.nanmax(far)) / 3600
    # Cells of 7 degrees.
    order = 3
    number, stars = np.unique(cell >> 2 * (_FINEST - order), return_counts=True)
    densest = number[[np.argmax(stars)]]
    x, y, z = (float(part[0]) for part in cell_centres(densest, order))
    width = cell_area(order) ** 0.5 / 3600
    return float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arcsin(z))), width


def _vectors(ra: FloatArray, dec: FloatArray) -> FloatArray:
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)


def _values(data: PlotTable, value: str | None) -> list[FloatArray]:
    return [data.numbers(value)] if value else []


def _extent(cell: NDArray[np.signedinteger]) -> tuple[tuple[float, float], bool]:
    """Mean direction of the cells with stars, deg, and whether all of them are in a field around it."""
    x, y, z = cell_centres(np.unique(cell), _FINEST)
    mean = np.array([x.sum(), y.sum(), z.sum()])
    length = float(np.linalg.norm(mean))
    if length < 1e-6 * max(len(x), 1):
        return (0.0, 0.0), False
    mean /= length
    nearest = float(np.min(mean @ np.stack([x, y, z])))
    centre = float(np.degrees(np.arctan2(mean[1], mean[0])) % 360), float(np.degrees(np.arcsin(mean[2])))
    return centre, nearest > np.cos(np.radians(_FIELD))


def _field(axes: Axes, rows: MapRows, centre: tuple[float, float]) -> None:
    """Draw a small field in right ascension and declination; around a pole, in offsets from its centre."""
    if np.abs(rows.dec).max() < _POLE:
        # Right ascensions near the middle of the field, without the jump at 360 deg.
        x, y = centre[0] + (rows.ra - centre[0] + 180) % 360 - 180, rows.dec
        limits = limits_of(x, percent=100.0), limits_of(y, percent=100.0)
        axes.set(xlabel="RA (deg)", ylabel="Dec (deg)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value % 360:g}"))
        axes.set_aspect(1 / max(0.05, np.cos(np.radians(np.mean(limits[1])))))
        heights = np.degrees(np.diff(np.sin(np.radians(np.linspace(*limits[1], 61)))))
    else:
        x, y = _offsets(rows.ra, rows.dec, centre)
        limits = limits_of(x, percent=100.0), limits_of(y, percent=100.0)
        where = f"RA {centre[0]:.1f}, Dec {centre[1]:+.1f}"
        axes.set(xlabel=f"offset to the east of {where} (deg)", ylabel="offset to the north (deg)")
        axes.set_aspect(1)
        heights = np.diff(np.linspace(*limits[1], 61))
    axes.set(xlim=limits[0][::-1], ylim=limits[1])
    note(axes, counted(round(len(x) * rows.weight)))
    if rows.value is None and len(x) < POINTS:
        axes.plot(x, y, ".", color=BLUE, markersize=3, alpha=0.6, markeredgewidth=0)
        return
    count, sums = binned(x, y, limits, (80, 60), rows.value)
    area = np.outer(np.diff(np.linspace(*limits[0], 81)), heights)
    edges = np.linspace(*limits[0], 81), np.linspace(*limits[1], 61)
    _mesh(axes, edges, _shown(rows, count, sums, area), rows)


def _offsets(ra: FloatArray, dec: FloatArray, centre: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Offsets east and north of a centre, deg, in an azimuthal projection of equal areas (Lambert)."""
    a, d, d0 = np.radians(ra - centre[0]), np.radians(dec), np.radians(centre[1])
    stretch = np.sqrt(2 / (1 + np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)))
    east = stretch * np.cos(d) * np.sin(a)
    north = stretch * (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a))
    return np.degrees(east), np.degrees(north)


def _shown(rows: MapRows, count: FloatArray, sums: FloatArray | None, area: FloatArray | float) -> FloatArray:
    """What the map shows in every cell, NaN where there is no star."""
    full = np.where(count > 0, count, np.nan)
    shown: FloatArray = rows.weight * full / area if sums is None else (100 if rows.share else 1) * sums / full
    return shown


def _whole(axes: Axes, rows: MapRows, finest: NDArray[np.signedinteger]) -> None:
    """Draw the whole sky in HEALPix cells, which have equal areas."""
    order = _order(finest)
    # A coarser cell holds the finer ones whose numbers begin with its own.
    cell, n = finest >> 2 * (_FINEST - order), 12 * 4**order
    count = np.bincount(cell, minlength=n).astype(np.float64)
    sums = None
    if rows.value is not None:
        sums = np.bincount(cell, weights=rows.value, minlength=n).astype(np.float64)
    shown = _shown(rows, count, sums, cell_area(order) / 3600**2)
    # Each point of a fine grid shows the cell that it lies in.
    lon, lat = np.linspace(-180, 180, 721), np.linspace(-90, 90, 361)
    middle = [(edges[1:] + edges[:-1]) / 2 for edges in (lon, lat)]
    grid = np.meshgrid(middle[0] % 360, middle[1])
    values = shown[placed_cells(grid[0].ravel(), grid[1].ravel(), order)].reshape(grid[0].shape).T
    projected = axes.name != "rectilinear"
    _chart(axes, projected=projected)
    # East is to the left, as on charts of the sky.
    edges = (-np.radians(lon), np.radians(lat)) if projected else (lon, lat)
    _mesh(axes, edges, values, rows)


def _order(cell: NDArray[np.signedinteger]) -> int:
    """Order of HEALPix at which a cell with stars holds some of them."""
    filled = len(np.unique(cell >> 2 * (_FINEST - 3))) / 768
    return int(np.clip(np.log2(len(cell) / (12 * filled * _PER_CELL)) / 2, 2, _FINEST))


def _chart(axes: Axes, *, projected: bool) -> None:
    if not projected:
        axes.set(xlabel="RA (deg)", ylabel="Dec (deg)", xlim=(180, -180), ylim=(-90, 90))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value % 360:g}"))
        return
    axes.grid(visible=True, linewidth=0.4, color="#999999")
    axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"], fontsize=8)
    for text in axes.get_xticklabels():
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1})
    axes.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["-60°", "-30°", "0°", "30°", "60°"], fontsize=8)


def _mesh(axes: Axes, edges: tuple[FloatArray, FloatArray], shown: FloatArray, rows: MapRows) -> None:
    if rows.share:
        mesh = axes.pcolormesh(*edges, shown.T, cmap="cividis", norm=Normalize(0, 100), rasterized=True)
        colourbar(mesh, axes, rows.title)
        return
    low, high = _colour_limits(shown)
    counts = rows.value is None
    norm = LogNorm(low, max(high, 1.5 * low)) if counts else Normalize(low, high)
    mesh = axes.pcolormesh(*edges, shown.T, cmap="viridis" if counts else "cividis", norm=norm, rasterized=True)
    colourbar(mesh, axes, rows.title, extend="both")


def _colour_limits(shown: FloatArray) -> Limits:
    low, high = np.nanpercentile(shown, (1, 99))
    return float(low), float(high)
