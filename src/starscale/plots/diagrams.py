"""Stars in the planes of the field: Kiel, colour and magnitude, place in the Galaxy."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import CartesianRepresentation, Galactocentric, SkyCoord
from matplotlib.axes import Axes

from starscale.plots.columns import PlotTable
from starscale.plots.drawing import (
    beyond,
    binned,
    colourbar,
    counted,
    density,
    finite,
    in_blocks,
    limits_of,
    mean_cells,
    note,
    nothing,
)
from starscale.plots.style import BLUE, canvas
from starscale.tables.api import AnyTable
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

#: Cells along an axis of the arrows, and fewest stars of an arrow.
_ARROWS, _FEWEST = 18, 5


def kiel(
    table: AnyTable,
    *,
    teff: str = "teff",
    logg: str = "logg",
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw surface gravity against effective temperature, by density or by the mean of a column.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    teff, logg : str
        Columns, K and log(cm s^-2); those with known labels, for example, are ``teff_label`` and ``logg_label``.
    colour : str, optional
        Column whose mean in every cell is shown, such as ``fe_h``; default: the number of stars.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    data = PlotTable.of(table, teff, logg, colour)
    with canvas(ax, mock=data.mock) as axes:
        axes.set(xlabel=data.title(teff, "K"), ylabel=data.title(logg, "dex"))
        _plane(axes, data, data.numbers(teff), data.numbers(logg), colour)
        _backwards(axes, x=True)
    return axes


def _plane(axes: Axes, data: PlotTable, x: FloatArray, y: FloatArray, colour: str | None) -> None:
    """Draw stars in a plane by density, or by the mean of a column, with their number."""
    x, y, *z = finite(x, y, *([data.numbers(colour)] if colour else []))
    if not len(x):
        nothing(axes)
        return
    limits = limits_of(x), limits_of(y)
    if colour:
        colourbar(mean_cells(axes, x, y, z[0], limits), axes, f"mean {data.title(colour)}", extend="both")
    elif mesh := density(axes, x, y, limits):
        colourbar(mesh, axes, "stars per cell")
    axes.set(xlim=limits[0], ylim=limits[1])
    note(axes, counted(len(x)) + beyond((x, limits[0]), (y, limits[1])))


def _backwards(axes: Axes, *, x: bool = False) -> None:
    """Let the axes run as they do in the field: hot to the left, faint or dense below."""
    axes.set_ylim(max(axes.get_ylim()), min(axes.get_ylim()))
    if x:
        axes.set_xlim(max(axes.get_xlim()), min(axes.get_xlim()))


def kiel_difference(
    table: AnyTable,
    *,
    teff: str = "teff",
    logg: str = "logg",
    teff_reference: str | None = None,
    logg_reference: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw where the predictions lie relative to the known labels in the Kiel diagram.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    teff, logg : str
        Columns of the predicted values, K and log(cm s^-2).
    teff_reference, logg_reference : str, optional
        Columns of the known values; default: ``<column>_label``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Each arrow leads from the mean known values of the stars of a cell to their mean prediction; cells with fewer
    than five stars have none.
    """
    known = teff_reference or f"{teff}_label", logg_reference or f"{logg}_label"
    data = PlotTable.of(table, teff, logg, *known)
    x, y, to_x, to_y = finite(*(data.numbers(name) for name in (*known, teff, logg)))
    with canvas(ax, mock=data.mock) as axes:
        axes.set(xlabel=data.title(teff, "K"), ylabel=data.title(logg, "dex"))
        if not len(x):
            nothing(axes)
        else:
            limits = limits_of(x), limits_of(y)
            density(axes, x, y, limits, colours="Greys", lighter=12)
            _arrows(axes, (x, y, to_x, to_y), limits)
            axes.set(xlim=limits[0], ylim=limits[1])
            note(axes, f"{counted(len(x))}\narrows: known to predicted, mean of a cell")
        _backwards(axes, x=True)
    return axes


def _arrows(
    axes: Axes, columns: tuple[FloatArray, ...], limits: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    x, y, *_ = columns
    shape = _ARROWS, _ARROWS
    counts, _ = binned(x, y, limits, shape)
    many = counts >= _FEWEST
    means = []
    for values in columns:
        sums = binned(x, y, limits, shape, values)[1]
        means.append(np.asarray(sums)[many] / counts[many])
    start_x, start_y, end_x, end_y = means
    scale: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "dots", "width": 1.6}
    axes.quiver(start_x, start_y, end_x - start_x, end_y - start_y, color=BLUE, headwidth=4, headlength=4, **scale)


def colour_magnitude(
    table: AnyTable,
    *,
    blue: str = "phot_bp_mean_mag",
    red: str = "phot_rp_mean_mag",
    magnitude: str = "phot_g_mean_mag",
    parallax: str | None = None,
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a colour-magnitude diagram, by density or by the mean of a column.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    blue, red : str
        Columns of the magnitudes whose difference is the colour.
    magnitude : str
        Column of the magnitude.
    parallax : str, optional
        Column of the parallax, mas: draw the absolute magnitude of the stars whose parallax is positive, without
        a correction for extinction.
    colour : str, optional
        Column whose mean in every cell is shown, such as ``fe_h``; default: the number of stars.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    data = PlotTable.of(table, blue, red, magnitude, parallax, colour)
    y, title = data.numbers(magnitude), f"{magnitude} (mag)"
    if parallax:
        mas = data.numbers(parallax)
        y = y + 5 * np.log10(np.where(mas > 0, mas, np.nan)) - 10
        title = f"absolute {title}"
    with canvas(ax, mock=data.mock) as axes:
        axes.set(xlabel=f"{blue} - {red} (mag)", ylabel=title)
        _plane(axes, data, data.numbers(blue) - data.numbers(red), y, colour)
        _backwards(axes)
    return axes


def metallicity_rz(
    table: AnyTable,
    *,
    fe_h: str = "fe_h",
    ra: str = "ra",
    dec: str = "dec",
    distance: str | None = None,
    parallax: str | None = None,
    r: str | None = None,
    z: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean metallicity against the distance from the Galactic axis and plane.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes.
    fe_h : str
        Column of the metallicity, dex.
    ra, dec : str
        Columns of the position (ICRS, deg).
    distance : str, optional
        Column of the distance; pc, unless the table says kpc.
    parallax : str, optional
        Column of the parallax, mas: its inverse is the distance, of stars whose parallax is positive.
    r, z : str, optional
        Columns of the two axes (kpc), instead of position and distance.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The Sun is where astropy's Galactocentric frame puts it by default.
    """
    if (r is None) != (z is None) or (r is None and (distance is None) == (parallax is None)):
        raise InputError(
            Problem("metallicity_rz", "places are not given once", "distance, or parallax, or r and z")
        )
    names = (r, z) if r else (ra, dec, distance, parallax)
    data = PlotTable.of(table, fe_h, *names)
    if r and z:
        x, y = data.numbers(r), data.numbers(z)
    else:
        x, y = _galactocentric(data.numbers(ra), data.numbers(dec), _kpc(data, distance, parallax))
    x, y, value = finite(x, y, data.numbers(fe_h))
    with canvas(ax, mock=data.mock) as axes:
        axes.set(xlabel="R (kpc)", ylabel="Z (kpc)")
        if not len(x):
            nothing(axes)
            return axes
        limits = limits_of(x, percent=99.0), limits_of(y, percent=99.0)
        mesh = mean_cells(axes, x, y, value, limits)
        colourbar(mesh, axes, f"mean {data.title(fe_h)}", extend="both")
        note(axes, counted(len(x)) + beyond((x, limits[0]), (y, limits[1])))
    return axes


def _kpc(data: PlotTable, distance: str | None, parallax: str | None) -> FloatArray:
    if distance:
        return data.numbers(distance) * (1.0 if data.unit(distance) == "kpc" else 1e-3)
    mas = data.numbers(str(parallax))
    return 1 / np.where(mas > 0, mas, np.nan)


def _galactocentric(ra: FloatArray, dec: FloatArray, kpc: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distances from the Galactic axis and plane, kpc.

    The change of frame is affine: what astropy makes of the origin and of three points gives it, without angles
    and units for every star.
    """
    points = CartesianRepresentation(np.eye(4, 3, k=-1).T * u.kpc)
    frame = SkyCoord(points, frame="icrs").transform_to(Galactocentric())
    known = frame.cartesian.xyz.to_value(u.kpc)
    origin, matrix = known[:, 0], known[:, 1:] - known[:, :1]

    def place(ra: FloatArray, dec: FloatArray, kpc: FloatArray) -> FloatArray:
        a, d = np.radians(ra), np.radians(dec)
        towards = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
        x, y, z = origin[:, None] + matrix @ (kpc * towards)
        return np.stack([np.hypot(x, y), z])

    found = in_blocks(place, ra, dec, kpc)
    return found[0], found[1]
