"""Positions on the sphere at an epoch: from the columns of a table to unit vectors, moved by proper motion.

All computations use unit vectors, so that the poles and right ascension 0 need no special treatment.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.surveys import Survey
from starscale.surveys.schema import Motion
from starscale.tables.arrays import as_floats
from starscale.tables.coordinates import off_the_sphere
from starscale.tables.position_errors import MotionErrors, PositionErrors, motion_errors, position_errors
from starscale.tables.standardise import require
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, Problems

ARCSEC = np.pi / 180 / 3600
MAS = ARCSEC / 1000
#: One astronomical unit per year in km/s: relates radial velocity and parallax to proper motion.
AU_PER_YEAR = 4.740470446
#: Julian epoch 2000.0 as MJD and JD.
_J2000 = {"mjd": 51544.5, "jd": 2451545.0}


@dataclass(frozen=True, slots=True)
class Sines:
    """Sines and cosines of coordinates, from which unit vectors are computed. Arrays of shape (m,)."""

    sin_ra: FloatArray
    cos_ra: FloatArray
    sin_dec: FloatArray
    cos_dec: FloatArray

    def radial(self) -> FloatArray:
        """Unit vectors towards the positions. Shape (m, 3)."""
        return _vectors(self.cos_dec * self.cos_ra, self.cos_dec * self.sin_ra, self.sin_dec)

    def east(self) -> FloatArray:
        """Unit vectors towards east at the positions. Shape (m, 3)."""
        return _vectors(-self.sin_ra, self.cos_ra, np.zeros_like(self.sin_ra))

    def north(self) -> FloatArray:
        """Unit vectors towards north at the positions. Shape (m, 3)."""
        return _vectors(-self.sin_dec * self.cos_ra, -self.sin_dec * self.sin_ra, self.cos_dec)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of one catalogue.

    Parameters
    ----------
    ra, dec : ndarray, (n,)
        Degrees, ICRS, at `epoch`; NaN where missing.
    epoch : ndarray, (n,)
        Julian year; NaN where unknown (the source is then not moved).
    pmra, pmdec : ndarray, (n,) or None
        Proper motions, mas/yr, `pmra` with cos(dec); NaN where unknown.
    own_epoch : ndarray of bool, (n,)
        False where the epoch is the survey's default.
    errors : PositionErrors, optional
        Error ellipses of the positions, needed by a match with position errors.
    motion_errors : MotionErrors, optional
        Errors of the proper motions and their correlations with the positions.
    parallax, radial_velocity : ndarray, (n,), optional
        mas and km/s; NaN where unknown. Relevant only for the nearest and fastest stars.
    """

    ra: FloatArray
    dec: FloatArray
    epoch: FloatArray
    pmra: FloatArray | None
    pmdec: FloatArray | None
    own_epoch: NDArray[np.bool_]
    errors: PositionErrors | None = None
    motion_errors: MotionErrors | None = None
    parallax: FloatArray | None = None
    radial_velocity: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where the position is known. Shape (n,)."""
        return np.isfinite(self.ra) & np.isfinite(self.dec)

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Where proper motion and epoch are known. Shape (n,)."""
        return self.moves(slice(None))

    def moves(self, rows: NDArray[np.intp] | slice) -> NDArray[np.bool_]:
        """Whether proper motion and epoch of some rows are known. Shape (m,)."""
        epoch = self.epoch[rows]
        if self.pmra is None or self.pmdec is None:
            return np.zeros(len(epoch), dtype=bool)
        return np.isfinite(self.pmra[rows]) & np.isfinite(self.pmdec[rows]) & np.isfinite(epoch)

    def without_motion(self) -> Positions:
        """Return the same positions without proper motions."""
        return replace(self, pmra=None, pmdec=None, motion_errors=None)

    def take(self, rows: NDArray[np.intp] | slice) -> Positions:
        """Return some rows, in the order given; the rows of a slice are not copied."""
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                changes[field.name] = value[rows]
            elif value is not None:
                changes[field.name] = value.take(rows)
        return replace(self, **changes)

    def speed(self) -> FloatArray:
        """Total proper motion, mas/yr; 0 where unknown. Shape (n,)."""
        if self.pmra is None or self.pmdec is None:
            return np.zeros(len(self))
        return np.where(self.moving, np.hypot(self.pmra, self.pmdec), 0.0)

    def sines(self, rows: NDArray[np.intp]) -> Sines:
        """Sines and cosines of some rows' coordinates. Shape (m,)."""
        ra, dec = np.radians(self.ra[rows]), np.radians(self.dec[rows])
        return Sines(np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec))

    def triads(self, rows: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Unit vectors towards some rows, and towards east and north at their positions. Shapes (m, 3)."""
        sines = self.sines(rows)
        return sines.radial(), sines.east(), sines.north()

    def directions(self, rows: NDArray[np.intp]) -> FloatArray:
        """Unit vectors towards some rows. Shape (m, 3)."""
        return self.sines(rows).radial()

    def years(self, rows: NDArray[np.intp], at: FloatArray) -> FloatArray:
        """Years from the epoch of some rows to `at`; 0 where either is unknown. Shape (m,)."""
        span = at - self.epoch[rows]
        return np.where(np.isfinite(span), span, 0.0)

    def foreshortening(self, rows: NDArray[np.intp], years: FloatArray) -> FloatArray:
        """Ratio of the distance after some years to the distance now. Shape (m,).

        It is 1 + v_r parallax t / 4.74 (v_r in km/s, parallax in rad); 1 where the radial velocity is unknown or
        the parallax is not positive.
        """
        if self.radial_velocity is None or self.parallax is None:
            return np.ones(len(rows))
        rate = self.radial_velocity[rows] * self.parallax[rows] / AU_PER_YEAR * MAS
        return np.where((self.parallax[rows] > 0) & np.isfinite(rate), 1 + rate * years, 1.0)

    def shifts(self, rows: NDArray[np.intp], at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Displacement of some rows until `at`, towards east and north on their tangent planes, mas. Shapes (m,).

        A star in uniform space motion moves along a straight line on the tangent plane, faster when it approaches
        (ESA 1997, Hipparcos vol. 1, sec. 1.5.5). 0 for rows without motion, or where `at` is NaN.
        """
        if self.pmra is None or self.pmdec is None:
            return np.zeros(len(rows)), np.zeros(len(rows))
        pmra, pmdec, span = self.pmra[rows], self.pmdec[rows], at - self.epoch[rows]
        years = np.where(np.isfinite(pmra) & np.isfinite(pmdec) & np.isfinite(span), span, 0.0)
        scale = years / self.foreshortening(rows, years)
        moves = years != 0
        return np.where(moves, pmra * scale, 0.0), np.where(moves, pmdec * scale, 0.0)

    def vectors(self, rows: NDArray[np.intp], at: FloatArray) -> FloatArray:
        """Unit vectors of some rows, each moved to an epoch; valid near the poles and for any proper motion.

        Parameters
        ----------
        rows : ndarray of int, (m,)
        at : ndarray, (m,)
            Julian years; NaN: the row is not moved.

        Returns
        -------
        ndarray, (m, 3)
        """
        if self.pmra is None or self.pmdec is None:
            return self.directions(rows)
        radial, east, north = self.triads(rows)
        step_east, step_north = self.shifts(rows, at)
        moved = radial + (step_east * MAS)[:, None] * east + (step_north * MAS)[:, None] * north
        return np.asarray(moved / length(moved)[:, None], dtype=np.float64)


def positions(table: pl.DataFrame, survey: Survey, where: str = "table", *, whole: bool = True) -> Positions:
    """Read the positions from a standardised table.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
    survey : Survey
        Its `position` and `motion` name the columns.
    where : str
        Name of the table in error messages.
    whole : bool
        The table is complete, not a piece: refuse it if no row has a position.

    Raises
    ------
    InputError
        The survey has no positions, a column is missing, coordinates are out of range, or no row has a position.
    """
    role = survey.position
    if role is None:
        missing = f"survey {survey.name} describes no positions"
        raise InputError(Problem(where, missing, "a [position] section in the survey file"))
    require(table.columns, [role.ra, role.dec], where, "positions")
    ra, dec = as_floats(table[role.ra]), as_floats(table[role.dec])
    problems = Problems()
    problems.items.extend(off_the_sphere(table.select(role.ra, role.dec), survey, where))
    problems.raise_if_any()
    epoch, own = _epochs(table, survey)
    found = Positions(ra, dec, epoch, None, None, own, position_errors(table, survey))
    if whole:
        refuse_without_positions(found, where)
    return found if survey.motion is None else _with_motions(found, survey.motion, table, survey)


def refuse_without_positions(found: Positions, where: str) -> None:
    """Refuse a table of which no row has a position.

    Raises
    ------
    InputError
        It has rows, and none of them has one.
    """
    if len(found) and not found.valid.any():
        problem = Problem(where, f"none of the {len(found)} rows has a finite position", "ra and dec in degrees")
        raise InputError(problem)


def _with_motions(stars: Positions, motion: Motion, table: pl.DataFrame, survey: Survey) -> Positions:
    """Add parallaxes, radial velocities and proper motions, as far as the table has their columns."""
    stars = replace(
        stars,
        parallax=_optional(table, motion.parallax),
        radial_velocity=_optional(table, motion.radial_velocity),
    )
    if not {motion.pmra, motion.pmdec} <= set(table.columns):
        return stars
    pmra, pmdec = as_floats(table[motion.pmra]), as_floats(table[motion.pmdec])
    return replace(stars, pmra=pmra, pmdec=pmdec, motion_errors=motion_errors(table, survey, stars.errors))


def _optional(table: pl.DataFrame, name: str | None) -> FloatArray | None:
    return as_floats(table[name]) if name is not None and name in table.columns else None


def _epochs(table: pl.DataFrame, survey: Survey) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Epochs (Julian years), and where they come from the row itself. Shape (n,) each."""
    n = table.height
    epoch = survey.position.epoch if survey.position else None
    default = np.nan if epoch is None or epoch.default is None else epoch.default
    if epoch is None or epoch.column is None or epoch.column not in table.columns:
        # One number for all rows, without memory for each.
        return np.broadcast_to(np.float64(default), n), np.broadcast_to(np.False_, n)
    values = as_floats(table[epoch.column])
    if epoch.format != "jyear":
        values = 2000.0 + (values - _J2000[epoch.format]) / 365.25
    # Several archives use zero for a missing epoch. It would move stars by two thousand years or, as an MJD,
    # to 1858, before any catalogue of positions that is used here.
    own = np.isfinite(values) & (values > 1880) & (values < 2200)
    return np.where(own, values, default), own


def _vectors(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    """Vectors from their components, shape (n, 3), stored component by component, as sums over them need."""
    return np.stack([x, y, z]).T


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Scalar products of rows of vectors. Shapes (n, 3), (n, 3) -> (n,)."""
    # This order gives the result of einsum to the last bit, several times faster.
    return np.asarray(a[:, 0] * b[:, 0] + a[:, 2] * b[:, 2] + a[:, 1] * b[:, 1], dtype=np.float64)


def length(a: FloatArray) -> FloatArray:
    """Lengths of rows of vectors. Shape (n, 3) -> (n,)."""
    # The result of numpy's norm to the last bit, without its copies.
    return np.asarray(np.sqrt(a[:, 0] ** 2 + a[:, 1] ** 2 + a[:, 2] ** 2), dtype=np.float64)


def separation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Angle between unit vectors, arcsec; exact for small angles. Shapes (n, 3), (n, 3) -> (n,)."""
    chord = length(a - b)
    return np.asarray(2 * np.arcsin(np.minimum(chord / 2, 1.0)) / ARCSEC, dtype=np.float64)
