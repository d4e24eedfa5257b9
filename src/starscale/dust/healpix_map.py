"""Dust maps in HEALPix cells (Gorski et al. 2005, ApJ 622, 759), of one size or of several (MOC)."""

from __future__ import annotations

from pathlib import Path

import healpix as library
import numpy as np
import polars as pl
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from starscale import io
from starscale.dust.description import HealpixFile
from starscale.io import Source
from starscale.io.parts.elements import axes_of
from starscale.tables import healpix
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Order of the cells to which all others are compared.
_FINEST = 29
#: The value that means "missing" in HEALPix files.
_UNSEEN = -1.6e30
_FRAMES = {"g": "galactic", "galactic": "galactic", "c": "icrs", "icrs": "icrs", "celestial": "icrs"}
_ORDERINGS = {"nested": "nested", "nest": "nested", "ring": "ring", "nuniq": "nuniq"}


class HealpixMap:
    """Values of a map in memory; a position has the value of its cell, without interpolation on the sky.

    Parameters
    ----------
    about : HealpixFile
    folder : Path
        Folder that the path of the file refers to.

    Raises
    ------
    InputError
        The file cannot be read, has no such columns, or does not say how its cells are numbered; all problems.
    """

    def __init__(self, about: HealpixFile, folder: Path) -> None:
        path = folder / Path(about.path).expanduser()
        source = io.open_table(path)
        columns = [name for name in (about.column, about.error, about.cell) if name is not None]
        table = source.read(columns)
        problems = Problems()
        self.distances = np.array(about.distances)
        self._frame = _stated(source, "COORDSYS", about.frame, _FRAMES, problems)
        ordering = _stated(source, "ORDERING", about.ordering, _ORDERINGS, problems)
        problems.raise_if_any()
        self._values = _values(table[about.column], len(self.distances), path)
        self._errors = None if about.error is None else _values(table[about.error], len(self.distances), path)
        cells = np.arange(len(self._values)) if about.cell is None else _numbers(table[about.cell], path)
        nside = about.nside or _nside(source, len(self._values) if about.cell is None else None)
        self._first, self._last, self._row = _ranges(cells, ordering, nside, path)
        if about.cell is None:
            _refuse_part(len(cells), nside, path)

    def at(
        self, ra: FloatArray, dec: FloatArray, distance: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return values and errors at positions (deg) and distances (pc); NaN outside the map. Shape (n,)."""
        if self._frame == "galactic":
            there = SkyCoord(ra * u.deg, dec * u.deg, frame="icrs").galactic
            ra, dec = there.l.deg, there.b.deg
        wanted = healpix.cells(ra, dec, _FINEST)
        place = np.searchsorted(self._first, wanted, side="right") - 1
        inside = (place >= 0) & (wanted < self._last[place])
        row = np.where(inside, self._row[place], -1)
        errors = None if self._errors is None else self._interpolated(self._errors, row, distance)
        return self._interpolated(self._values, row, distance), errors

    def _interpolated(self, values: FloatArray, row: NDArray[np.int64], distance: FloatArray | None) -> FloatArray:
        """Linear in distance; `row` is -1 outside the map."""
        found = values[row]
        if distance is None:
            result = found[:, 0]
        else:
            upper = np.clip(np.searchsorted(self.distances, distance), 1, max(len(self.distances) - 1, 1))
            upper = np.minimum(upper, len(self.distances) - 1)
            lower = np.maximum(upper - 1, 0)
            width = self.distances[upper] - self.distances[lower]
            part = np.divide(distance - self.distances[lower], width, out=np.zeros(len(row)), where=width > 0)
            star = np.arange(len(row))
            result = found[star, lower] * (1 - part) + found[star, upper] * part
        return np.where(row >= 0, result, np.nan)


def _stated(source: Source, key: str, given: str | None, words: dict[str, str], problems: Problems) -> str:
    """Return what the description or the header says about the cells."""
    stated = given or words.get(source.metadata.get(key, "").strip().lower(), "")
    if not stated:
        found = f"states {key} = {source.metadata[key]!r}" if key in source.metadata else f"does not state {key}"
        name = {"COORDSYS": "frame", "ORDERING": "ordering"}[key]
        expected = f"one of {', '.join(sorted(set(words.values())))}"
        problems.add(
            str(source.path), found, expected, f"Give {name} under [healpix] in the description of the map."
        )
    return stated


def _values(column: pl.Series, distances: int, path: Path) -> FloatArray:
    """Return the values as cells by distances; many programs write 1,024 cells to a row."""
    axes = axes_of(column.dtype)
    where = f"{path}: column {column.name!r}"
    if len(axes) > 1 or (axes and axes[0] is None) or not (axes or column.dtype.is_numeric()):
        raise InputError(Problem(where, f"is of type {column.dtype}", "numbers, or vectors of one length"))
    length = axes[0] if axes else 1
    if distances and length != distances:
        found = f"has {length} values for every cell, and the map has {distances} distances"
        raise InputError(Problem(where, found, "one value for every distance"))
    values = np.asarray(column.to_numpy(), dtype=np.float64).reshape(-1, distances or 1)
    return np.where(values < _UNSEEN, np.nan, values)


def _numbers(column: pl.Series, path: Path) -> NDArray[np.int64]:
    """Return the numbers of the cells."""
    if not column.dtype.is_integer() or column.null_count():
        found = f"is of type {column.dtype}, with {column.null_count()} missing values"
        raise InputError(Problem(f"{path}: column {column.name!r}", found, "the number of a cell in every row"))
    return column.to_numpy().astype(np.int64)


def _nside(source: Source, cells: int | None) -> int | None:
    """Return NSIDE as the header states it, or as it follows from the number of cells of the whole sky."""
    stated = source.metadata.get("NSIDE", "")
    if stated.isdecimal():
        return int(stated)
    return None if cells is None else max(round((cells / 12) ** 0.5), 1)


def _refuse_part(cells: int, nside: int | None, path: Path) -> None:
    """Refuse a part of the sky whose cells have no numbers: they would be taken for the first ones."""
    if nside is not None and cells != 12 * nside**2:
        found = f"has {cells:,} cells, and NSIDE = {nside} has {12 * nside**2:,}"
        fix = "For a part of the sky, name the column with their numbers: cell under [healpix]."
        raise InputError(Problem(str(path), found, "all cells of the sky, in order", fix))


def _ranges(
    cells: NDArray[np.int64], ordering: str, nside: int | None, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return every cell as a range of the finest cells, sorted, with the row of its value."""
    if ordering == "nuniq":
        # NUNIQ = 4 * 4^order + cell (IVOA MOC 2.0).
        order = np.maximum(np.searchsorted(4 ** np.arange(1, _FINEST + 2), cells, side="right") - 1, 0)
        cells = cells - 4 * 4**order
    elif nside is None or nside & (nside - 1):
        found = "does not state NSIDE" if nside is None else f"has NSIDE = {nside}"
        raise InputError(Problem(str(path), found, "a power of 2", "Give nside under [healpix]."))
    else:
        order = np.full(len(cells), nside.bit_length() - 1)
    if not len(cells):
        raise InputError(Problem(str(path), "has no rows", "one or more cells"))
    outside = (cells < 0) | (cells >= 12 * 4**order)
    if outside.any():
        found = f"has {int(outside.sum())} numbers of cells that do not exist (first: {cells[outside][0]})"
        raise InputError(Problem(str(path), found, "numbers from 0 to 12 NSIDE^2 - 1"))
    if ordering == "ring":
        cells = np.asarray(library.ring2nest(1 << int(order[0]), cells), dtype=np.int64)
    first = cells << (2 * (_FINEST - order))
    last = (cells + 1) << (2 * (_FINEST - order))
    row = np.argsort(first, kind="stable")
    if (first[row][1:] < last[row][:-1]).any():
        raise InputError(Problem(str(path), "has cells that overlap", "every part of the sky once"))
    return first[row], last[row], row
