"""Positions on the sphere at an epoch: from a table's columns to unit vectors that move.

Everything works on unit vectors, so that the poles and right ascension 0 are ordinary places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.surveys import Survey
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

Array = NDArray[np.float64]

ARCSEC = np.pi / 180 / 3600
MAS = ARCSEC / 1000
#: Julian epoch 2000.0 as MJD and JD.
_J2000 = {"mjd": 51544.5, "jd": 2451545.0}


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of one catalogue.

    Parameters
    ----------
    ra, dec : ndarray, (n,)
        Degrees, ICRS, at `epoch`; NaN where there is none.
    epoch : ndarray, (n,)
        Julian year; NaN where unknown (then the source is taken as it stands).
    pmra, pmdec : ndarray, (n,) or None
        Proper motions, mas/yr, `pmra` with cos(dec); NaN where unknown.
    own_epoch : ndarray of bool, (n,)
        False where the epoch is the survey's default.
    """

    ra: Array
    dec: Array
    epoch: Array
    pmra: Array | None
    pmdec: Array | None
    own_epoch: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where there is a position."""
        return np.isfinite(self.ra) & np.isfinite(self.dec)

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Where proper motion and epoch are known."""
        if self.pmra is None or self.pmdec is None:
            return np.zeros(len(self), dtype=bool)
        return np.isfinite(self.pmra) & np.isfinite(self.pmdec) & np.isfinite(self.epoch)

    def without_motion(self) -> Positions:
        """The same positions, standing still."""
        return replace(self, pmra=None, pmdec=None)

    def speed(self) -> Array:
        """Total proper motion, mas/yr; 0 where unknown. Shape (n,)."""
        if self.pmra is None or self.pmdec is None:
            return np.zeros(len(self))
        return np.where(self.moving, np.hypot(self.pmra, self.pmdec), 0.0)

    def vectors(self, rows: NDArray[np.intp], at: Array) -> Array:
        """Unit vectors of some rows, each moved to an epoch.

        The star moves uniformly on the tangent plane of its own position and is projected back
        (motion in a straight line with unknown radial velocity, ESA 1997, Hipparcos vol. 1,
        sec. 1.5.5 with the radial terms at zero), so a large motion near a pole is right too.

        Parameters
        ----------
        rows : ndarray of int, (m,)
        at : ndarray, (m,)
            Julian years; NaN leaves the row where it is.

        Returns
        -------
        ndarray, (m, 3)
        """
        ra, dec = np.radians(self.ra[rows]), np.radians(self.dec[rows])
        sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
        vector = np.stack([cos_dec * cos_ra, cos_dec * sin_ra, sin_dec], axis=1)
        if self.pmra is None or self.pmdec is None:
            return vector
        years = np.where(self.moving[rows] & np.isfinite(at), at - self.epoch[rows], 0.0)
        east = np.stack([-sin_ra, cos_ra, np.zeros_like(ra)], axis=1)
        north = np.stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], axis=1)
        step_ra = np.where(years != 0, self.pmra[rows] * years * MAS, 0.0)
        step_dec = np.where(years != 0, self.pmdec[rows] * years * MAS, 0.0)
        moved = vector + step_ra[:, None] * east + step_dec[:, None] * north
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float64)


def positions(table: pl.DataFrame, survey: Survey, where: str = "table") -> Positions:
    """Take the positions out of a standardised table.

    Raises
    ------
    InputError
        The survey has no positions, a column is missing, a declination or right ascension lies
        off the sphere, or no row has a position.
    """
    role = survey.position
    if role is None:
        missing = f"survey {survey.name} describes no positions"
        raise InputError(Problem(where, missing, "a [position] section in the survey file"))
    problems = Problems()
    for name in (role.ra, role.dec):
        if name not in table.columns:
            problems.add(
                f"{where}: column {name!r}",
                "is missing, but needed for positions",
                fix=did_you_mean(name, table.columns),
            )
    problems.raise_if_any()
    ra, dec = _column(table, role.ra), _column(table, role.dec)
    for name, values, low, high in ((role.ra, ra, -360.0, 720.0), (role.dec, dec, -90.0, 90.0)):
        outside = (values < low) | (values > high)
        if outside.any():
            problems.add(
                f"{where}: column {name!r}",
                f"{outside.sum()} of {len(values)} values are out of range (smallest {np.nanmin(values):g}, "
                f"largest {np.nanmax(values):g})",
                f"degrees, {low:g} to {high:g}",
                "Are the columns swapped, or is the unit not degrees?",
            )
    if len(ra) and not (np.isfinite(ra) & np.isfinite(dec)).any():
        problems.add(where, f"none of the {len(ra)} rows has a finite position", "ra and dec in degrees")
    problems.raise_if_any()
    epoch, own = _epochs(table, survey)
    motion = survey.motion
    has_motion = motion is not None and {motion.pmra, motion.pmdec} <= set(table.columns)
    return Positions(
        ra=ra,
        dec=dec,
        epoch=epoch,
        pmra=_column(table, motion.pmra) if has_motion and motion else None,
        pmdec=_column(table, motion.pmdec) if has_motion and motion else None,
        own_epoch=own,
    )


def _column(table: pl.DataFrame, name: str) -> Array:
    return table[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def _epochs(table: pl.DataFrame, survey: Survey) -> tuple[Array, NDArray[np.bool_]]:
    """Julian years, and where they are the row's own. Shape (n,) each."""
    n = table.height
    epoch = survey.position.epoch if survey.position else None
    if epoch is None:
        return np.full(n, np.nan), np.zeros(n, dtype=bool)
    default = np.nan if epoch.default is None else epoch.default
    if epoch.column is None or epoch.column not in table.columns:
        return np.full(n, default), np.zeros(n, dtype=bool)
    values = _column(table, epoch.column)
    if epoch.format != "jyear":
        values = 2000.0 + (values - _J2000[epoch.format]) / 365.25
    # A zero stands for "no epoch" in several archives and would move stars by two thousand years, or,
    # as an MJD, to 1858: before any catalogue of positions that is of use here.
    own = np.isfinite(values) & (values > 1880) & (values < 2200)
    return np.where(own, values, default), own


def separation(a: Array, b: Array) -> Array:
    """Angle between unit vectors, arcsec; exact for small angles. Shapes (n, 3), (n, 3) -> (n,)."""
    chord = np.linalg.norm(a - b, axis=1)
    return np.asarray(2 * np.arcsin(np.minimum(chord / 2, 1.0)) / ARCSEC, dtype=np.float64)
