"""Error ellipses of positions and proper motions, in mas, from the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.io.units import convert
from starscale.surveys import Survey
from starscale.surveys.schema import ErrorEllipse, Position
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray

#: Largest errors, mas and mas/yr: their products still fit float32, and correlations stay below one.
_MOST = 1e19


class _Rows:
    """Arrays of the same length."""

    __slots__ = ()

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """Return some rows, in the order given; the rows of a slice are not copied."""
        values = [getattr(self, field.name)[rows] for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(*values)


@dataclass(frozen=True, slots=True)
class PositionErrors(_Rows):
    """Covariances of positions on their tangent planes, and whether they were measured.

    Parameters
    ----------
    east, north : ndarray of float32, (n,)
        Variances, mas^2.
    cross : ndarray of float32, (n,)
        Covariance, mas^2.
    stated : ndarray of bool, (n,)
        False where the catalogue has no error and the default of the survey file is used.
    """

    east: NDArray[np.float32]
    north: NDArray[np.float32]
    cross: NDArray[np.float32]
    stated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MotionErrors(_Rows):
    """Errors of proper motions, mas/yr, and their covariances with the position, mas^2/yr; 0 where unknown.

    Parameters
    ----------
    pmra, pmdec : ndarray of float32, (n,)
        Standard errors, mas/yr.
    pm_cross : ndarray of float32, (n,)
        Covariance of the two, mas^2/yr^2.
    ra_pmra, ra_pmdec, dec_pmra, dec_pmdec : ndarray of float32, (n,)
        Covariances of position and motion, mas^2/yr.
    """

    pmra: NDArray[np.float32]
    pmdec: NDArray[np.float32]
    pm_cross: NDArray[np.float32]
    ra_pmra: NDArray[np.float32]
    ra_pmdec: NDArray[np.float32]
    dec_pmra: NDArray[np.float32]
    dec_pmdec: NDArray[np.float32]


def position_errors(table: pl.DataFrame, survey: Survey) -> PositionErrors | None:
    """Read the error ellipses of positions from a standardised table; None if the survey has no positions.

    An error that is missing, zero or negative becomes the survey's `error_default`; one below
    `error_floor` becomes that floor (Marrese et al. 2019, A&A 621, A144, floor the errors of the
    external catalogues in the same way).
    """
    role = survey.position
    if role is None:
        return None
    if role.ellipse is not None:
        return _from_ellipse(table, survey, role, role.ellipse)
    ra, ra_stated = _floored(_in_mas(table, survey, role.ra_error), role)
    dec, dec_stated = _floored(_in_mas(table, survey, role.dec_error), role)
    correlation = _correlation(table, role.ra_dec_corr)
    return PositionErrors(_short(ra**2), _short(dec**2), _short(correlation * ra * dec), ra_stated & dec_stated)


def _from_ellipse(table: pl.DataFrame, survey: Survey, role: Position, ellipse: ErrorEllipse) -> PositionErrors:
    major, major_stated = _floored(_in_mas(table, survey, ellipse.major), role)
    minor, minor_stated = _floored(_in_mas(table, survey, ellipse.minor), role)
    # Without an angle the ellipse is replaced by a circle with its major axis as radius.
    angle = np.radians(_numbers(table, ellipse.angle))
    minor = np.where(np.isfinite(angle), minor, major)
    angle = np.nan_to_num(angle)
    # The position angle is measured from north towards east.
    sin, cos = np.sin(angle), np.cos(angle)
    return PositionErrors(
        east=_short((major * sin) ** 2 + (minor * cos) ** 2),
        north=_short((major * cos) ** 2 + (minor * sin) ** 2),
        cross=_short((major**2 - minor**2) * sin * cos),
        stated=major_stated & minor_stated,
    )


def motion_errors(table: pl.DataFrame, survey: Survey, errors: PositionErrors | None) -> MotionErrors | None:
    """Read the errors of proper motions from a standardised table; None if the survey has no motions.

    `errors` are those of the positions.
    """
    motion = survey.motion
    if motion is None or errors is None:
        return None
    pmra = np.minimum(_or_zero(_numbers(table, motion.pmra_error)), _MOST)
    pmdec = np.minimum(_or_zero(_numbers(table, motion.pmdec_error)), _MOST)
    ra, dec = np.sqrt(errors.east), np.sqrt(errors.north)
    return MotionErrors(
        pmra=_short(pmra),
        pmdec=_short(pmdec),
        pm_cross=_short(_correlation(table, motion.pmra_pmdec_corr) * pmra * pmdec),
        ra_pmra=_short(_correlation(table, motion.ra_pmra_corr) * ra * pmra),
        ra_pmdec=_short(_correlation(table, motion.ra_pmdec_corr) * ra * pmdec),
        dec_pmra=_short(_correlation(table, motion.dec_pmra_corr) * dec * pmra),
        dec_pmdec=_short(_correlation(table, motion.dec_pmdec_corr) * dec * pmdec),
    )


def _numbers(table: pl.DataFrame, name: str | None) -> FloatArray:
    """Return a column as float64, NaN where missing; all NaN if there is no such column."""
    if name is None or name not in table.columns:
        return np.full(table.height, np.nan)
    return as_floats(table[name])


def _in_mas(table: pl.DataFrame, survey: Survey, name: str | None) -> FloatArray:
    values = _numbers(table, name)
    if name is None:
        return values
    unit = survey.columns[name].unit or "mas"
    return convert(pl.Series(values), unit, "mas", f"survey {survey.name}: column {name!r}").to_numpy()


def _floored(error: FloatArray, role: Position) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return errors between floor and limit, the default where missing, and where the catalogue has them."""
    stated = np.isfinite(error) & (error > 0)
    default = max(role.error_default, role.error_floor)
    return np.clip(np.where(stated, error, default), role.error_floor, _MOST), stated


def _correlation(table: pl.DataFrame, name: str | None) -> FloatArray:
    # With a correlation of exactly one the ellipse would have no area.
    return np.clip(_or_zero(_numbers(table, name)), -0.9999, 0.9999)


def _short(values: FloatArray) -> NDArray[np.float32]:
    return values.astype(np.float32)


def _or_zero(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values) & (values != 0), values, 0.0)
